"""The plugins `import`: texts and subtitles that any model or human wrote, out of a file.

Paper: Table 9; a system that does not run here is answered for by its saved outputs. Texts are read by the readers of
`affect-lightning score`, so every file that it takes is taken here. docs/systems.md names the files of each system.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from affect_lightning.contracts import ClipBatch, CueDescriber, Transcriber, Transcript
from affect_lightning.contracts.describers import Modality
from affect_lightning.corpora.annotation_tables import RowFile, columns_of
from affect_lightning.describing.digests import digest_of
from affect_lightning.errors import ConfigurationError, DataError
from affect_lightning.unibench.scoring.prediction_columns import COLUMNS
from affect_lightning.unibench.scoring.prediction_files import OUTPUT_SUFFIXES, Answer, read_answers

TEXT_COLUMNS = ("subtitle", "text", "transcript", "transcription", "sentence", "english", "chinese", "words")
LANGUAGE_COLUMNS = ("subtitle_language", "language", "lang")


class ImportedDescriber(CueDescriber):
    """Texts of any model or human from a file, by the clips' names; nothing of a clip is read."""

    def __init__(
        self, *, file: str, column: str | None = None, modality: Modality = "both", absent: str = "error"
    ) -> None:
        """Look for the file; it is read when the first clip is asked about.

        Args:
            file: A file with texts by clip, of a kind that `affect-lightning score` takes (npz, csv, jsonl, json, xlsx,
                parquet), or a folder with one named after each set, such as meld.jsonl.
            column: Column of the texts, if its name is not a usual one such as response or reason.
            modality: What the texts are about: audio, video or both.
            absent: What a clip without a text gets: `error` stops (our choice), `empty` gives an empty text.

        Raises:
            ConfigurationError: There is no such file or folder, or `absent` is unknown.
        """
        self.modality: Modality = modality
        self._place, self._column, self._absent = Path(file).expanduser(), column, absent
        if absent not in ("error", "empty"):
            raise ConfigurationError(f"absent must be error or empty; got {absent!r}.")
        if not self._place.exists():
            raise ConfigurationError(f"Give an existing file or folder of texts as file; {file!r} does not exist.")
        self._texts: dict[str, Mapping[str, Answer]] = {}

    @property
    def streams(self) -> tuple[str, ...]:
        """None: the texts are there."""
        return ()

    def describe(self, batch: ClipBatch) -> list[str]:
        """The text of each clip.

        Raises:
            DataError: The file is broken, or a clip has no text in it.
        """
        texts = []
        for record in batch.records:
            found = self._of_set(record.corpus).get(record.name)
            if found is None and self._absent == "error":
                raise DataError(
                    f"{self._file(record.corpus)} has no text for the clip {record.name!r} of {record.corpus}. Add it, or "
                    f"give such clips an empty text with absent: empty."
                )
            texts.append("" if found is None or found.response is None else found.response)
        return texts

    def _of_set(self, corpus: str) -> Mapping[str, Answer]:
        if corpus not in self._texts:
            columns = None if self._column is None else {"response": self._column}
            self._texts[corpus] = read_answers([self._file(corpus)], corpus, columns=columns, from_responses=True)
        return self._texts[corpus]

    def _file(self, corpus: str) -> Path:
        if self._place.is_file():
            return self._place
        found = [self._place / f"{corpus}{suffix}" for suffix in OUTPUT_SUFFIXES]
        there = [path for path in found if path.is_file()]
        if len(there) != 1:
            have = ", ".join(path.name for path in there) or "none of these"
            raise DataError(f"{self._place} must have one of {', '.join(path.name for path in found)}; it has {have}.")
        return there[0]

    def identity(self) -> str:
        """`import` with the file, its size and the column."""
        return f"import {digest_of(self._place)} column={self._column or 'found by name'} absent={self._absent}"


class ImportedTranscriber(Transcriber):
    """Subtitles from a table, by the clips' names."""

    def __init__(self, *, file: str, column: str | None = None, language: str | None = None) -> None:
        """Look for the file; it is read when the first clip is asked about.

        Args:
            file: A csv, jsonl, json, xlsx or parquet file with a row a clip.
            column: Column of the words, if its name is not a usual one such as subtitle, text or english.
            language: Code of the language, such as en; by default that of a column such as language, or none.

        Raises:
            ConfigurationError: There is no such file.
        """
        self._path, self._column, self._language = Path(file).expanduser(), column, language
        if not self._path.is_file():
            raise ConfigurationError(f"Give an existing file of subtitles as file; {file!r} is none.")
        self._found: dict[str, Transcript] | None = None

    def transcribe(self, batch: ClipBatch) -> list[Transcript]:
        """The subtitle of each clip; an empty one for a clip that the table does not have.

        Raises:
            DataError: The file is broken, or lacks a column.
        """
        if self._found is None:
            self._found = dict(self._rows())
        return [self._found.get(record.name, Transcript("")) for record in batch.records]

    def _rows(self) -> Iterator[tuple[str, Transcript]]:
        rows = RowFile(self._path)
        present = columns_of(rows)
        name = self._one_of(present, COLUMNS["name"], "the clip's name")
        text = self._column or self._one_of(present, TEXT_COLUMNS, "the words")
        if text not in present:
            raise DataError(f"{self._path} has no column {text!r}; its columns are {', '.join(present)}.")
        spoken = next((column for column in present if column.strip().lower() in LANGUAGE_COLUMNS), None)
        for row in rows:
            words = str(row.get(text) or "")
            language = self._language or (str(row.get(spoken) or "") if spoken else "")
            yield str(row[name]).strip(), Transcript(words, language if words else "")

    def _one_of(self, present: Sequence[str], known: Sequence[str], what: str) -> str:
        found = [column for column in present if column.strip().lower() in known]
        if len(found) == 1:
            return found[0]
        have = f"several: {', '.join(found)}" if found else f"only {', '.join(present)}"
        raise DataError(
            f"{self._path} must have one column of {what}, such as {known[0]}; it has {have}. Name yours as column."
        )

    def identity(self) -> str:
        """`import` with the file, its size and the column."""
        return (
            f"import {digest_of(self._path)} column={self._column or 'found by name'} language={self._language or '-'}"
        )
