"""Tables as other projects publish and write them, told by their columns and brought to ours.

MELD's `*_sent_emo.csv`, MMSA's `label.csv` (MOSI, MOSEI, CH-SIMS), IEMOCAP's codes, the csv of the MER challenges, and the
result files of lmms-eval and ms-swift. docs/data.md has an example of each. `truths.py`, `own_clips.py` and the reader
of saved outputs pass their rows through here; a table that is none of these stays as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from affect_lightning.corpora.annotation_tables import RowFile, TableRow, columns_of, refuse
from affect_lightning.corpora.clip_names import bare_name
from affect_lightning.errors import DataError

IEMOCAP_CODES: dict[str, str] = {
    "ang": "angry", "dis": "disgusted", "exc": "excited", "fea": "fearful", "fru": "frustrated", "hap": "happy",
    "neu": "neutral", "sad": "sad", "sur": "surprised",
}  # fmt: skip
_WITHOUT_WORD = ("oth", "xxx")  # IEMOCAP: another emotion, and annotators who do not agree
_LABELS = ("labels", "label", "emotion", "emotions", "emo")
_NAMES = ("name", "clip", "clip_name", "filename", "id", "video_id", "video", "video_path", "video_name", "audio")
_MEDIA = ("videos", "video", "audios", "audio", "images", "image")

Row = dict[str, Any]


class OurRows:
    """The rows of a table with our column names, where its columns tell whose it is; every loop over it reads it anew.

    Attributes:
        columns: Ours, of any row; see `columns_of`.
        originals: What the truth is called in the file, by our name, where the layout has another one.
    """

    def __init__(
        self,
        rows: RowFile | Sequence[TableRow],
        split: str | None = None,
        keep: Collection[str] = (),
        *,
        with_others: bool = False,
    ) -> None:
        """Look at the columns; a table that may have codes instead of words is looked through for them.

        Args:
            rows: Of one file.
            split: `train` or `test`, for tables that have both in a column `mode`; None takes all rows.
            keep: Columns that stay as they are beside ours, because the user has named them.
            with_others: Whether columns that are none of the layout's stay, too, as answers put into a label file.

        Raises:
            DataError: The file cannot be read.
        """
        self._rows, self._keep = rows, keep
        given = rows.columns if isinstance(rows, RowFile) else columns_of(rows)
        columns = {column.strip().lower() for column in given}
        self._convert = next((convert for needed, convert in _LAYOUTS if needed <= columns), None)
        if self._convert is _of_mer_challenge and {*_LABELS} & columns:
            self._convert = None
        self._own = _OWN.get(self._convert, frozenset()) if with_others else frozenset()
        lowered = {column.strip().lower(): column for column in given}
        truths = _TRUTHS.get(self._convert, {})
        self.originals = {ours: lowered[theirs] for ours, theirs in truths.items() if ours not in given}
        self._split = split if {"mode", "video_id", "clip_id"} <= columns else None
        self._code_columns: tuple[str, ...] = ()
        self.columns = given if self._convert is None and self._split is None else columns_of(self)
        self._code_columns = self._columns_of_codes()

    def __iter__(self) -> Iterator[TableRow]:
        """The rows of the split.

        Raises:
            DataError: The file cannot be read, no row of the split is there, or a clip of IEMOCAP has no agreed emotion.
        """
        rows = self._of_split() if self._split is not None else self._converted()
        return (_decoded(row, self._code_columns) for row in rows) if self._code_columns else rows

    def _converted(self) -> Iterator[TableRow]:
        if self._convert is None:
            yield from self._rows
            return
        for row in self._rows:
            kept = {column: row[column] for column in self._keep if column in row}
            cells = {**kept, **self._convert(_lowered(row))}
            yield _replaced(row, {**cells, **self._others(row)} if self._own else cells)

    def _others(self, row: TableRow) -> Row:
        """The columns that the layout does not have; where one has our name, the layout's stays under its own."""
        others = {column: row[column] for column in row if column.strip().lower() not in self._own and column != "name"}
        taken = {theirs for ours, theirs in _TRUTHS.get(self._convert, {}).items() if ours in others}
        return {**others, **{column: row[column] for column in row if column.strip().lower() in taken}}

    def _of_split(self) -> Iterator[TableRow]:
        """The rows whose `mode` is the split; MMSA keeps all three in one file."""
        found: dict[str, Path] = {}
        for row in self._converted():
            mode = str(row.get("mode", "")).strip().lower()
            found[mode] = row.path
            if mode == self._split:
                yield row
        if found and self._split not in found:
            raise DataError(
                f"{next(iter(found.values()))} has no row with the mode {self._split}; found {', '.join(sorted(found))}. "
                f"Give a file with such rows."
            )

    def _columns_of_codes(self) -> tuple[str, ...]:
        """The column of labels and the kept ones, as far as every cell in them is a code of IEMOCAP."""
        codes = {*IEMOCAP_CODES, *_WITHOUT_WORD}
        labels = next((column for column in self.columns if column.strip().lower() in _LABELS), None)
        wanted = dict.fromkeys(column for column in (labels, *self._keep) if column is not None)
        found: dict[str, set[str]] = {column: set() for column in wanted if column in self.columns}
        for row in self if found else ():
            for column in list(found):
                code = str(row.get(column)).strip().lower()
                found[column].add(code)
                if code not in codes:
                    del found[column]
            if not found:
                break
        return tuple(column for column, told in found.items() if not told <= {"sad"})


def _lowered(row: TableRow) -> Row:
    return {column.strip().lower(): value for column, value in row.items()}


def _replaced(row: TableRow, cells: Row) -> TableRow:
    return type(row)(cells, row.path, row.line)


def _of_meld(row: Row) -> Row:
    """`Dialogue_ID` and `Utterance_ID` are the name; `Sentiment` is a word for the emotion's sign, no value."""
    name = f"dia{row['dialogue_id']}_utt{row['utterance_id']}"
    return {"name": name, "text": row["utterance"], "labels": row["emotion"], "speaker": row.get("speaker", "")}


def _of_mmsa(row: Row) -> Row:
    """`video_id` and `clip_id` are the name, `label` is the sentiment; `label_T` and the like are of one modality."""
    name = f"{row['video_id']}$_${row['clip_id']}"
    return {"name": name, "text": row["text"], "sentiment": row["label"], "mode": row["mode"]}


def _of_lmms_eval(row: Row) -> Row:
    """`doc` holds what the task knows of a clip, `filtered_resps` or `resps` the answer, in lists of one."""
    doc = row["doc"] if isinstance(row["doc"], Mapping) else {}
    document = {str(column).lower(): value for column, value in doc.items()}
    name = next((document[column] for column in _NAMES if document.get(column)), row.get("doc_id"))
    cells: Row = {"name": _bare(name), "question": document.get("question", "")}
    answer = _only(row.get("filtered_resps") or row.get("resps"))
    return {**cells, "response": answer, "target": row.get("target")}


def _of_swift(row: Row) -> Row:
    """The clip is its first medium; `labels` is the truth that the template knew, never what the model said."""
    name = next((_medium(row[column]) for column in _MEDIA if row.get(column)), None)
    if row.get("name") or name is None:
        return row
    return {**row, "name": _bare(name)}


def _of_mer_challenge(row: Row) -> Row:
    """`discrete` is the one emotion; the subtitles of the challenges are in a table of their own."""
    others = {column: value for column, value in row.items() if column != "discrete"}
    return {**others, "labels": row["discrete"], "text": row.get("text", "")}


_LAYOUTS: tuple[tuple[set[str], Callable[[Row], Row]], ...] = (
    ({"dialogue_id", "utterance_id", "utterance", "emotion"}, _of_meld),
    ({"video_id", "clip_id", "text", "label", "mode"}, _of_mmsa),
    ({"doc", "resps"}, _of_lmms_eval),
    ({"doc", "filtered_resps"}, _of_lmms_eval),
    ({"response", "messages"}, _of_swift),
    ({"response", "videos"}, _of_swift),
    ({"response", "audios"}, _of_swift),
    ({"name", "discrete"}, _of_mer_challenge),
)

# Columns of the layouts whose other columns are left out, and the truths that they rename.
_OWN: dict[Callable[[Row], Row] | None, frozenset[str]] = {
    _of_meld: frozenset(
        (
            "sr no.", "utterance", "speaker", "emotion", "sentiment", "dialogue_id", "utterance_id", "season", "episode",
            "starttime", "endtime",
        )
    ),
    _of_mmsa: frozenset(
        ("video_id", "clip_id", "text", "label", "label_t", "label_a", "label_v", "annotation", "mode")
    ),
}  # fmt: skip
_TRUTHS: dict[Callable[[Row], Row] | None, dict[str, str]] = {
    _of_meld: {"labels": "emotion"},
    _of_mmsa: {"sentiment": "label"},
    _of_mer_challenge: {"labels": "discrete"},
}


def _only(value: Any) -> Any:
    """The text in a list of one in a list of one."""
    while isinstance(value, list) and len(value) == 1:
        value = value[0]
    return value


def _medium(value: Any) -> Any:
    """The path of a medium: plain, in a list, or as an object with a path."""
    value = value[0] if isinstance(value, list) and value else value
    return (value.get("path") or value.get("url")) if isinstance(value, Mapping) else value


def _bare(name: Any) -> Any:
    return bare_name(name) if isinstance(name, str) else name


def _decoded(row: TableRow, columns: Sequence[str]) -> TableRow:
    """The row with words for IEMOCAP's codes."""
    words: Row = {}
    for column in columns:
        code = str(row[column]).strip().lower()
        if code in _WITHOUT_WORD:
            what = "another emotion" if code == "oth" else "no agreement of the annotators"
            refuse(row, column, f"IEMOCAP's code {code!r} means {what}, so there is no word for it. Remove such rows.")
        words[column] = IEMOCAP_CODES[code]
    return _replaced(row, {**row, **words})
