"""Asking a describer about the clips of benchmark sets, so that a killed run goes on where it was.

Paper: Table 9, systems of others on MER-UniBench. A clip is read as training reads it (`data`), a missing subtitle is
heard first (`subtitles.py`), the describer is asked, and a merger may add the subtitle afterwards. Each answer is a line
of `answers.jsonl` the moment it is there. At the end the answers become prediction files as `affect-lightning score`
takes them. `command_line/answer_command.py` has the options.
"""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from affect_lightning.contracts import ClipBatch, ClipRecord, ClueMerger, CueDescriber, ResponseRow, Transcriber
from affect_lightning.contracts.conformance import check_texts
from affect_lightning.contracts.label_checks import ConformanceError
from affect_lightning.describing.subtitles import hear_missing, row_of
from affect_lightning.errors import ConfigurationError, DataError
from affect_lightning.plugin_loading import held_to_contract
from affect_lightning.prompting.cleaning import clean_response
from affect_lightning.storage import LineLog, write_whole
from affect_lightning.unibench.scoring.predictions import Prediction, refused_writing, write_predictions

ANSWERS_FILE, SETTINGS_FILE = "answers.jsonl", "asked.json"
_LOG = logging.getLogger(__name__)
ClipKey = tuple[str, str]
"""Corpus and name."""


@dataclass(frozen=True)
class AskedParts:
    """Who is asked.

    Attributes:
        describer: Answers the question about a clip.
        merger: Adds the subtitle to what the describer wrote; None for none.
        transcriber: Hears the subtitles that are missing; None for none.
        shows_subtitle: Whether the describer is shown the subtitle.
    """

    describer: CueDescriber
    merger: ClueMerger | None = None
    transcriber: Transcriber | None = None
    shows_subtitle: bool = False

    def __post_init__(self) -> None:
        if self.transcriber is not None and not self.shows_subtitle and self.merger is None:
            raise ConfigurationError(
                "Nothing would use the words of the transcriber. Add --subtitle to show them to the describer, or --merger "
                "to add them afterwards."
            )

    @property
    def streams(self) -> tuple[str, ...]:
        """Streams that are read."""
        heard = ("audio",) if self.transcriber is not None else ()
        return tuple(dict.fromkeys((*self.describer.streams, *heard)))

    def check(self) -> None:
        """Refuse before a clip is read; see `CueDescriber.check`."""
        for part in (self.describer, self.merger, self.transcriber):
            if part is not None:
                part.check()

    def identities(self) -> dict[str, Any]:
        """Who answers depend on, as plain values."""
        parts = {"describer": self.describer, "merger": self.merger, "transcriber": self.transcriber}
        named = {kind: None if part is None else part.identity() for kind, part in parts.items()}
        return {**named, "subtitle": self.shows_subtitle}


class AnswerFolder:
    """The folder of one run of `answer`: its settings, and the answers that are there."""

    def __init__(self, folder: Path, settings: Mapping[str, Any]) -> None:
        """Open the folder, or make it.

        Args:
            folder: Of this run alone.
            settings: Everything that an answer depends on.

        Raises:
            ConfigurationError: The folder has answers under other settings.
            DataError: The folder cannot be read or written.
        """
        self.folder = folder
        self._log = LineLog(folder / ANSWERS_FILE)
        self.answers: dict[ClipKey, dict[str, Any]] = {}
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._check_settings(dict(settings))
            for row in self._log.new_records():
                self._take(row)
        except OSError as error:
            raise refused_writing(error, folder) from error
        if self._log.damaged:
            _LOG.warning("%d lines of %s are damaged; their clips are asked again.", self._log.damaged, self._log.path)

    def _check_settings(self, settings: dict[str, Any]) -> None:
        path = self.folder / SETTINGS_FILE
        if not path.exists():
            write_whole(path, json.dumps(settings, ensure_ascii=False, indent=1) + "\n")
            return
        try:
            before = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise DataError(f"{path} is damaged ({error}). Choose another folder with --out.") from error
        names = [*settings, *(before if isinstance(before, dict) else {})]
        changed = [
            name
            for name in dict.fromkeys(names)
            if not isinstance(before, dict) or before.get(name) != settings.get(name)
        ]
        if changed:
            name = changed[0]
            was = before.get(name) if isinstance(before, dict) else before
            raise ConfigurationError(
                f"Choose another folder with --out: {self.folder} has answers under other settings ({', '.join(changed)}). "
                f"{name} was {was!r} and is {settings.get(name)!r} now."
            )

    def _take(self, row: Any) -> None:
        values = row if isinstance(row, dict) else {}
        key = (values.get("corpus"), values.get("name"))
        if all(isinstance(value, str) for value in (*key, values.get("response"), values.get("question"))):
            self.answers[key] = values  # type: ignore[index]

    def add(self, rows: Sequence[dict[str, Any]]) -> None:
        """Keep answers; they outlive this process when this returns.

        Raises:
            DataError: The system refuses.
        """
        try:
            self._log.add(*rows)
        except OSError as error:
            raise refused_writing(error, self._log.path) from error
        for row in rows:
            self._take(row)


def ask(parts: AskedParts, batches: Iterable[ClipBatch], folder: AnswerFolder, done: Callable[[int], None]) -> None:
    """Ask about every batch and keep each answer as it comes.

    Args:
        parts: Who is asked.
        batches: Clips without an answer, with their questions.
        folder: Takes the answers.
        done: Told how many answers came, for a bar.

    Raises:
        ContractError: A part breaks its contract.
        AffectLightningError: A part cannot answer; the answers before are kept.
    """
    for batch in batches:
        heard = hear_missing(batch, parts.transcriber) if parts.transcriber is not None else {}
        for texts in _texts(parts, batch):
            rows = [
                {
                    "corpus": batch.records[index].corpus,
                    "name": batch.records[index].name,
                    "question": batch.questions[index],
                    "response": text,
                    **row_of(heard, index),
                }
                for index, text in texts.items()
            ]
            folder.add(rows)
            done(len(rows))


def _texts(parts: AskedParts, batch: ClipBatch) -> Iterator[dict[int, str]]:
    """Texts by position, each as soon as it is there; a merger is asked about those that came together."""
    shown = batch if parts.shows_subtitle else replace(batch, subtitles=[""] * len(batch))
    open_clips = set(range(len(batch)))
    with held_to_contract(parts.describer):
        for found in parts.describer.answers(shown):
            if not set(found) <= open_clips:
                raise ConformanceError(f"answers by positions from {sorted(open_clips)}, each once", f"{sorted(found)}")
            open_clips -= set(found)
            check_texts(list(found.values()), count=len(found), what="texts")
            yield _merged(parts, batch, dict(found)) if found else {}
        if open_clips:
            raise ConformanceError(f"a text for each of {len(batch)} clips", f"none for {sorted(open_clips)}")


def _merged(parts: AskedParts, batch: ClipBatch, found: dict[int, str]) -> dict[int, str]:
    if parts.merger is None:
        return found
    texts, nothing = list(found.values()), [""] * len(found)
    hears = parts.describer.modality == "audio"
    with held_to_contract(parts.merger):
        merged = parts.merger.merge(
            texts if hears else nothing, nothing if hears else texts, [batch.subtitles[index] for index in found]
        )
        return dict(zip(found, check_texts(merged, count=len(found), what="texts"), strict=True))


@dataclass(frozen=True)
class SetAnswers:
    """What came out for one set.

    Attributes:
        clips: Listed.
        answered: With an answer.
        empty: Answers of which nothing is left, such as an empty one or the prompt repeated.
        refused: Answers that refuse, or say that they cannot tell.
        cleaned: What was removed before labels are read, and in how many answers.
        file: The predictions; None where there is no answer.
    """

    clips: int
    answered: int
    empty: int
    refused: int
    cleaned: Mapping[str, int]
    file: Path | None


def write_answers(
    records: Sequence[ClipRecord], folder: AnswerFolder, generated: Callable[[str], bool]
) -> dict[str, SetAnswers]:
    """Write a prediction file a set, with the truths of its clips, and count.

    Args:
        records: Every clip that was to be asked about.
        folder: With the answers.
        generated: Whether a set is of a generated corpus, so that its score is no result.

    Raises:
        DataError: The files cannot be written.
    """
    listed = Counter(record.corpus for record in records)
    rows = [
        (record, folder.answers[key]) for record in records if (key := (record.corpus, record.name)) in folder.answers
    ]
    marked = {corpus for corpus in listed if generated(corpus)}
    predictions: list[Prediction] = []
    beside: dict[tuple[str, str, str], dict[str, Any]] = {}
    for record, row in rows:
        response = ResponseRow(
            record.name, record.corpus, row["question"], row["response"], record.labels, record.sentiment
        )
        predictions.append(replace(Prediction.of_response(response), generated=record.corpus in marked))
        heard: dict[str, Any] = {
            name: row[name] for name in ("subtitle", "subtitle_source", "subtitle_language") if name in row
        }
        beside[record.corpus, record.name, row["question"]] = heard
    files = {path.stem: path for path in write_predictions(folder.folder / "predictions", predictions, beside)}
    return {corpus: _counted(corpus, clips, rows, files.get(corpus)) for corpus, clips in listed.items()}


def _counted(
    corpus: str, clips: int, rows: Sequence[tuple[ClipRecord, Mapping[str, Any]]], file: Path | None
) -> SetAnswers:
    own = [row for record, row in rows if record.corpus == corpus]
    cleaned = [clean_response(row["response"], row["question"]) for row in own]
    return SetAnswers(
        clips=clips,
        answered=len(own),
        empty=sum(not one.text.strip() and not one.refused for one in cleaned),
        refused=sum(one.refused for one in cleaned),
        cleaned=dict(Counter(kind for one in cleaned for kind in one.removed)),
        file=file,
    )
