"""Saved outputs of any model: the authors' `.npz` files, and tables of every kind that `annotation_tables.py` reads.

Paper: Section 4 and Appendix E. A file gives for each clip a response in free words, the emotion words or the
sentiment, under the column names below. `suite_scoring.py` joins these answers with the truth.
"""

from __future__ import annotations

import json
import logging
import math
import re
from array import array
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from affect_lightning.corpora import known_sets
from affect_lightning.corpora.annotation_tables import (
    ROW_FILE_SUFFIXES,
    ItemRow,
    RowFile,
    TableRow,
    refuse,
)
from affect_lightning.corpora.clip_names import check_numbering, check_positions
from affect_lightning.corpora.known_sets import canonical_key
from affect_lightning.corpora.trade_tables import OurRows
from affect_lightning.corpora.truths import Truth
from affect_lightning.errors import ConfigurationError, DataError
from affect_lightning.label_strings import given_words, label_key, words_of_object
from affect_lightning.prompting.cleaning import clean_response
from affect_lightning.prompting.cleaning.chat_objects import answers_of_server, text_of_chat
from affect_lightning.safe_npz import read_npz
from affect_lightning.sentiment_strings import SENTIMENT_WORDS, one_sided, read_sentiment, sentiment_number
from affect_lightning.unibench.scoring.prediction_columns import (
    COLUMNS,
    KINDS,
    TRUTH_KINDS,
    check_other_answers,
    used_columns,
)

OUTPUT_SUFFIXES = (".npz", *ROW_FILE_SUFFIXES)

_NUMBER = re.compile(r"\d+(?:\.\d+)?")
_SERVERS_KEYS = re.compile(r'"(?:choices|candidates)"\s*:\s*\[\s*\{')
_COPIED_CLIPS = 20  # from which equal answers are a copied truth; our choice
_REMEMBERED = 100_000  # label lists read once for all rows that write them alike; our choice
_LOG = logging.getLogger(__name__)
_SENTIMENT_SHARE = 0.9  # of an npz member's words; our choice: the authors' files have 99.9% and more, label files 0


@dataclass(frozen=True, slots=True)
class Answer:
    """What a saved output says of one clip; None where it does not say.

    Attributes:
        response: Free words.
        labels: Emotion words.
        sentiment: One of SENTIMENT_WORDS, or what the model said instead of one.
        question: What was asked.
        truth_labels: True emotion words, which our own prediction files carry.
        truth_sentiment: True sentiment value, likewise.
        generated: Whether the clip is of a generated corpus, likewise.
    """

    response: str | None = None
    labels: tuple[str, ...] | None = None
    sentiment: str | None = None
    question: str = ""
    truth_labels: tuple[str, ...] = ()
    truth_sentiment: float | None = None
    generated: bool = False


def read_answers(
    paths: Sequence[Path],
    dataset: str,
    *,
    columns: Mapping[str, str] | None = None,
    from_responses: bool = False,
    truths: Mapping[str, Truth] | None = None,
) -> dict[str, Answer]:
    """The answers of one model to the clips of one set, by clip name.

    Args:
        paths: One file, or several that tell different things of the same answers, as the authors' files do
            (`X.npz` responses, `X-openset.npz` labels, `X-openset-sentiment.npz` sentiments).
        dataset: Key of the set; rows whose `corpus` is the name of another set are left out.
        columns: Column (or npz member) by kind, where its name is not one of COLUMNS. If one of response, labels and
            sentiment is named, the others are not read.
        from_responses: Take the responses only, although labels or sentiments are there.
        truths: By clip name, to tell a copied truth from an answer.

    Raises:
        DataError: A file is missing, broken, refused or without a usable column; a clip is listed twice; the
            message names file, row and column.
        ConfigurationError: A kind of column is unknown, or parquet without pyarrow.
    """
    chosen = dict(columns or {})
    unknown = [kind for kind in chosen if kind not in (*COLUMNS, *TRUTH_KINDS)]
    if unknown:
        raise ConfigurationError(
            f"There is no kind of column {unknown[0]!r}. Use one of {', '.join((*COLUMNS, *TRUTH_KINDS))}."
        )
    kinds = ("response",) if from_responses else tuple(kind for kind in KINDS if kind in chosen) or KINDS
    merged: dict[str, Answer] = {}
    sources: dict[str, Path] = {}
    for path in paths:
        for name, answer in _read_one(path, dataset, chosen, kinds, truths or {}).items():
            merged[name] = _merged(merged[name], answer, name, (sources[name], path)) if name in merged else answer
            sources.setdefault(name, path)
    if not merged:
        where = ", ".join(map(str, paths)) or "nothing"
        raise DataError(f"There is no {' or '.join(kinds)} of a clip in {where}; expected at least one.")
    return merged


def _merged(first: Answer, second: Answer, name: str, paths: tuple[Path, Path]) -> Answer:
    told = {kind: getattr(second, kind) for kind in KINDS if getattr(second, kind) is not None}
    for kind in told:
        if getattr(first, kind) is not None:
            raise DataError(
                f"{paths[0]} and {paths[1]} both have a {kind} for the clip {name!r}. Keep one of the two files."
            )
    return replace(first, **told)


def _read_one(
    path: Path, dataset: str, columns: Mapping[str, str], kinds: Sequence[str], truths: Mapping[str, Truth]
) -> dict[str, Answer]:
    suffix = path.suffix.lower()
    if suffix not in OUTPUT_SUFFIXES:
        raise DataError(f"{path} ends in {suffix or 'nothing'}; expected one of {', '.join(OUTPUT_SUFFIXES)}.")
    if suffix == ".npz":
        rows, used = _read_npz_rows(path, columns)
        return _answers(rows, used) if set(kinds) & set(used) else {}
    table = OurRows(RowFile(path), keep=[columns[kind] for kind in COLUMNS if kind in columns], with_others=True)
    present = table.columns
    corpora = {str(row["corpus"]) for row in table if row.get("corpus")} if "corpus" in present else set()
    used = used_columns(path, present, columns, kinds, table, table.originals)
    if "name" not in columns:
        check_numbering(path, used["name"], "name", table)
    answers = _answers(_rows_of_set(path, table, dataset, corpora), used)
    check_positions(path, used["name"], answers.keys(), truths.keys())
    copied = [kind for kind in KINDS if kind in used and _is_copied(kind, answers, truths)]
    if copied:
        check_other_answers(path, present, columns, used, table, table.originals, copied=copied)
    return answers


def _is_copied(kind: str, answers: Mapping[str, Answer], truths: Mapping[str, Truth]) -> bool:
    """Whether what is said of every clip is its truth, of more clips than a model gets right by chance."""
    common = truths.keys() & answers.keys()
    return len(common) >= _COPIED_CLIPS and all(_says_truth(kind, answers[name], truths[name]) for name in common)


def _says_truth(kind: str, answer: Answer, truth: Truth) -> bool:
    if kind == "sentiment":
        return truth.sentiment is not None and sentiment_word(str(truth.sentiment)) == answer.sentiment
    said = answer.labels if kind == "labels" else given_words(answer.response or "")
    return bool(truth.labels) and {*map(label_key, said or ())} == {*map(label_key, truth.labels)}


def _rows_of_set(path: Path, table: Iterable[TableRow], dataset: str, corpora: Collection[str]) -> Iterator[TableRow]:
    """Rows whose `corpus`, if they have one, is the set."""
    sets = known_sets() if corpora else {}
    meant = {name for name in corpora if name == dataset or canonical_key(name, sets) == dataset}
    found = False
    for row in table:
        if not row.get("corpus") or str(row["corpus"]) in meant:
            found = True
            yield row
    if not found:
        raise DataError(
            f"{path} has no row of the set {dataset}: its column 'corpus' says {', '.join(sorted(corpora))}. Give "
            f"`--dataset` one of these, or another file."
        )


def _answers(rows: Iterable[TableRow], used: Mapping[str, str]) -> dict[str, Answer]:
    answers: dict[str, Answer] = {}
    lines = array("Q")
    column = used.get("sentiment")
    low, high, path = math.inf, -math.inf, None  # of given sentiments, as long as all are numbers
    for row in rows:
        name = _name(row, used["name"])
        if name in answers:
            first = lines[list(answers).index(name)]
            refuse(row, used["name"], f"the clip {name!r} is listed twice, first as number {first}. Keep one.")
        lines.append(row.line)
        answers[name] = _answer(row, used)
        if column is not None:
            number = _number_of_text(str(row.get(column)))
            column = None if number is None else column
            low, high, path = min(low, number or 0.0), max(high, number or 0.0), row.path
    warning = one_sided((low, high)) if column is not None and answers else None
    if warning:
        _LOG.warning(warning, path, f"in the column {column}", low, high)
    return answers


def _name(row: TableRow, column: str) -> str:
    value = row.get(column)
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str) or not value.strip():
        refuse(row, column, f"expected the name of a clip, found {value!r}. Give the row a name or remove it.")
    return value.strip()


def _answer(row: TableRow, used: Mapping[str, str]) -> Answer:
    values = {kind: _READERS[kind](row, used[kind]) for kind in KINDS if kind in used and _is_told(row, used[kind])}
    question = row.get("question")
    return Answer(
        **values,
        question=question if isinstance(question, str) else "",
        truth_labels=_labels(row, "truth_labels") if row.get("truth_labels") else (),
        truth_sentiment=_truth_sentiment(row),
        generated=row.get("generated") is True,
    )


def _is_told(row: TableRow, column: str) -> bool:
    """Our own files leave given labels and sentiments out where a clip has none; other columns must be filled."""
    return column in row or not column.startswith("given_")


def _response(row: TableRow, column: str) -> str:
    value = _of_lists_of_one(row.get(column))
    if value is None and row.get("error"):
        return f"Error: {row['error']}"  # of a call in a batch that failed
    number = answers_of_server(_object_of(value))
    if number > 1:
        refuse(row, column, f"expected one answer, found {number} choices of a server. Keep one, or ask with n=1.")
    text = value if isinstance(value, str) else _text_of_object(value)
    if text is None:
        refuse(
            row,
            column,
            f"expected a text, found {value!r:.100}. Write one text, and an empty one if the model said nothing.",
        )
    return text


def _object_of(value: Any) -> Any:
    """The object of a text of JSON that may be a server's; any other value as it is."""
    if not isinstance(value, str) or not value.lstrip().startswith("{") or not _SERVERS_KEYS.search(value):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return value


def _of_lists_of_one(value: Any) -> Any:
    """What a list of one holds, as lmms-eval writes it."""
    while isinstance(value, list) and len(value) == 1:
        value = value[0]
    return value


def _text_of_object(value: Any) -> str | None:
    """The answer in what a chat server sent; JSON and numbers as text; None for what could be several answers or none."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    is_list = isinstance(value, list) and value and all(isinstance(item, Mapping) for item in value)
    if not is_list and not isinstance(value, Mapping):
        return None
    said = text_of_chat(value)
    return json.dumps(value, ensure_ascii=False) if said is None else said


def _labels(row: TableRow, column: str) -> tuple[str, ...]:
    value = row.get(column)
    if isinstance(value, str):
        return _words_of_text(value)
    objects = words_of_object(value)
    if objects is not None:
        return objects
    if not isinstance(value, list | tuple) or not all(isinstance(word, str) for word in value):
        refuse(
            row,
            column,
            f"expected a list of words, or a text such as \"['happy', 'calm']\", found {value!r:.99}. Write [] if there is none.",
        )
    return given_words(value) or _codes(" ".join(value))


@lru_cache(maxsize=_REMEMBERED)
def _words_of_text(text: str) -> tuple[str, ...]:
    """Equal texts share their words, which a million rows could not hold otherwise."""
    return given_words(text) or _codes(text)


def _codes(text: str) -> tuple[str, ...]:
    """Numbers where words should be: they count as words that cannot be read, so that class codes stop a score."""
    return tuple(_NUMBER.findall(text))


def _sentiment(row: TableRow, column: str) -> str:
    value = _of_lists_of_one(row.get(column))
    if isinstance(value, Mapping | list):
        value = _sentiment_of_object(value)
    if isinstance(value, str):
        return sentiment_word(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or not _is_finite(value):
        refuse(
            row,
            column,
            f"write {', '.join(SENTIMENT_WORDS[:2])}, {SENTIMENT_WORDS[2]} or a number below, at or above 0. Found "
            f"{row.get(column)!r:.60}.",
        )
    return sentiment_word(str(value))


def _sentiment_of_object(value: Any) -> Any:
    """The one sentiment of an object such as `{"negative": 0.9, "positive": 0.1}`; the object itself if it has none."""
    text = clean_response(json.dumps(value, ensure_ascii=False)).text
    return text if read_sentiment(text) else value


@lru_cache(maxsize=_REMEMBERED)
def _number_of_text(text: str) -> float | None:
    """The number that a given sentiment is; None for words."""
    return sentiment_number(text)


def _is_finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number of 400 digits
        return False


def _truth_sentiment(row: TableRow) -> float | None:
    value = row.get("truth_sentiment")
    if value is None or value == "":
        return None
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        refuse(row, "truth_sentiment", f"expected a number or null, found {value!r}. Fix the cell.")


_READERS: dict[str, Callable[[TableRow, str], Any]] = {
    "response": _response,
    "labels": _labels,
    "sentiment": _sentiment,
}


def sentiment_word(text: str) -> str:
    """The sentiment that a text means: one of SENTIMENT_WORDS, or what it says instead of one.

    >>> sentiment_word(" Slightly positive"), sentiment_word("-0,4"), sentiment_word("0"), sentiment_word("angry")
    ('positive', 'negative', 'neutral', 'angry')
    """
    return read_sentiment(text) or text.strip().strip("[]'\". ").lower()


def _read_npz_rows(path: Path, columns: Mapping[str, str]) -> tuple[list[TableRow], dict[str, str]]:
    """The clips of an `.npz` file as rows, and which of their columns is of which kind."""
    content = read_npz(path)
    if "name2reason" in content and "filenames" not in content:
        values = content["name2reason"]
        if not isinstance(values, Mapping):
            raise DataError(f"{path}: name2reason must be a dictionary of clips, found {type(values).__name__}.")
        names, items, member, kind = list(values), list(values.values()), "name2reason", "response"
    elif "filenames" in content and "fileitems" in content:
        names, items, member = list(content["filenames"]), list(content["fileitems"]), "fileitems"
        if len(names) != len(items):
            raise DataError(f"{path} has {len(names)} filenames for {len(items)} fileitems; expected equal numbers.")
        kind = _npz_kind(path, items)
    else:
        raise DataError(
            f"{path} has the entries {', '.join(content) or 'none'}; expected name2reason (responses), or filenames and "
            f"fileitems (labels or sentiments), as the authors save them."
        )
    kind = next((named for named in KINDS if columns.get(named) == member), kind)
    pairs = enumerate(zip(names, items, strict=True), start=1)
    rows: list[TableRow] = [ItemRow({"name": name, member: item}, path, number) for number, (name, item) in pairs]
    return rows, {"name": "name", kind: member}


def _npz_kind(path: Path, items: Sequence[Any]) -> str:
    """Whether fileitems are labels or sentiments: by the file's name, else by their content."""
    if path.stem.endswith("-sentiment"):
        return "sentiment"
    if path.stem.endswith("-openset"):
        return "labels"
    known = sum(sentiment_word(str(item)) in SENTIMENT_WORDS for item in items)
    return "sentiment" if items and known >= _SENTIMENT_SHARE * len(items) else "labels"
