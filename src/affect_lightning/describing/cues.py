"""From clips to descriptions: what is heard and what is seen, asked of two models, and merged with what is said.

Paper: Section 2.1. The describers never see the subtitle; the merger adds it. An empty or refused answer is asked for once
more; a clip that then has none is left out and named. Every answer is a line of a log the moment it is there, so a kill
asks nothing again. `annotation/descriptions.py` makes a stage of this, `clip_reading.py` reads the clips.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from affect_lightning.contracts import ClipBatch, ClipRecord, ClueMerger, CueDescriber, Transcriber
from affect_lightning.contracts.conformance import check_texts
from affect_lightning.contracts.label_checks import ConformanceError
from affect_lightning.data.quarantine import BadClip
from affect_lightning.describing.clip_reading import ClipReading, left_out
from affect_lightning.describing.subtitles import HeardSubtitle, hear_missing
from affect_lightning.plugin_loading import held_to_contract
from affect_lightning.prompting.cleaning import clean_response
from affect_lightning.storage import LineLog
from affect_lightning.unibench.scoring.predictions import refused_writing

TRIES = 2  # an empty or refused answer is asked for once more; our choice
SUBTITLE, AUDIO, VISUAL, MERGED = "subtitle", "audio cues", "visual cues", "description"
ASKED = (AUDIO, VISUAL, MERGED)
_LEFT_OUT = "left out"
Tell = Callable[[str, int, int], None]
"""Told what is being done, how many more of it are done, and how many were to be done."""


@dataclass(frozen=True)
class CueParts:
    """Who is asked.

    Attributes:
        merger: Writes one text from what was heard, seen and said.
        audio: Describes the sound; None if the other one describes both, or nothing is to be heard.
        visual: Describes the pictures, or both; None if only the sound is described.
        transcriber: Hears the subtitles that are missing; None for none.
    """

    merger: ClueMerger
    audio: CueDescriber | None = None
    visual: CueDescriber | None = None
    transcriber: Transcriber | None = None

    @property
    def describers(self) -> dict[str, CueDescriber]:
        """The describers by what they write."""
        both = {AUDIO: self.audio, VISUAL: self.visual}
        return {what: part for what, part in both.items() if part is not None}

    def identities(self) -> dict[str, str]:
        """Identity of each part."""
        named: dict[str, Any] = {**self.describers, "merger": self.merger, "transcriber": self.transcriber}
        return {name: part.identity() for name, part in named.items() if part is not None}

    def check(self) -> None:
        """Refuse before a clip is read; see `CueDescriber.check`."""
        for part in (*self.describers.values(), self.merger, self.transcriber):
            if part is not None:
                part.check()


@dataclass(frozen=True)
class CueAsking:
    """How they are asked.

    Attributes:
        questions: By what a describer writes.
        batch_size: Clips read and asked together.
        workers: Processes that read clips.
    """

    questions: Mapping[str, str]
    batch_size: int = 8
    workers: int = 0


@dataclass(frozen=True)
class Said:
    """A text as a part wrote it.

    Attributes:
        text: As it came.
        tries: How often it was asked for.
        nothing: Whether the clip has nothing that could be described, such as no sound; then an empty text is right.
        seconds: From the answer before to this one.
    """

    text: str
    tries: int = 1
    nothing: bool = False
    seconds: float = 0.0

    def answer(self, question: str = "") -> str:
        """What counts of the text; empty where it says nothing, or refuses."""
        return clean_response(self.text, question).text.strip()


@dataclass(frozen=True)
class ClipCues:
    """What became of one clip.

    Attributes:
        audio: What was heard.
        visual: What was seen.
        subtitle: What is said.
        description: All three in one text; empty for a clip that was left out.
        heard: Source and language of a subtitle that a transcriber wrote.
        problem: Why the clip was left out; empty if it was not.
    """

    audio: str
    visual: str
    subtitle: str
    description: str
    heard: HeardSubtitle | None = None
    problem: str = ""


@dataclass
class CueLog:
    """The answers about some clips, in a file that only grows.

    Attributes:
        path: Of the file.
        said: The last text by what it is and the clip's name.
        heard: Subtitles that a transcriber wrote, by name.
        bad: Clips that were left out, by name.
        hearing: Seconds that each subtitle took; the lines of earlier versions have none.
    """

    path: Path
    said: dict[tuple[str, str], Said] = field(default_factory=dict)
    heard: dict[str, HeardSubtitle] = field(default_factory=dict)
    bad: dict[str, BadClip] = field(default_factory=dict)
    hearing: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._log = LineLog(self.path)
        try:
            for row in self._log.new_records():
                self._take(row)
        except OSError as error:
            raise refused_writing(error, self.path) from error

    def _take(self, row: Mapping[str, Any]) -> None:
        name, what = row["name"], row["what"]
        if what == SUBTITLE:
            self.heard[name] = HeardSubtitle(row["subtitle"], row["subtitle_source"], row["subtitle_language"])
            if "seconds" in row:
                self.hearing[name] = row["seconds"]
        elif what == _LEFT_OUT:
            self.bad[name] = BadClip(name, row["corpus"], row["path"], row["stage"], row["reason"])
        else:
            self.said[what, name] = Said(row["text"], row["tries"], row["nothing"], row["seconds"])

    def add(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Keep rows; they outlive this process when this returns."""
        try:
            self._log.add(*rows)
        except OSError as error:
            raise refused_writing(error, self.path) from error
        for row in rows:
            self._take(row)

    def leave_out(self, clips: Iterable[BadClip]) -> None:
        """Keep clips that are left out."""
        new = [{"what": _LEFT_OUT, **asdict(clip)} for clip in clips if clip.name not in self.bad]
        if new:
            self.add(new)


def describe_clips(
    records: Sequence[ClipRecord], parts: CueParts, asking: CueAsking, log: CueLog, tell: Tell
) -> list[ClipCues]:
    """Ask about clips what is not in the log yet.

    Args:
        records: The clips; their names differ.
        parts: Who is asked.
        asking: How.
        log: Has the answers so far, and takes the new ones.
        tell: See `Tell`.

    Returns:
        What became of each clip, in the order of the records.

    Raises:
        ContractError: A part breaks its contract.
        AffectLightningError: A part cannot answer; the answers before are kept.
    """
    run = _CueRun(records, parts, asking, log, tell)
    run.hear()
    for what, part in parts.describers.items():
        for attempt in range(1, TRIES + 1):
            run.ask(what, part, attempt)
        run.leave_out_unanswered(what)
    for attempt in range(1, TRIES + 1):
        run.merge(attempt)
    run.leave_out_unanswered(MERGED)
    return [run.outcome(record) for record in records]


def open_questions(records: Sequence[ClipRecord], parts: CueParts, log: CueLog | None) -> dict[str, int]:
    """How many answers are missing, by what they are; one that may be asked for twice counts once.

    Args:
        records: The clips.
        parts: Who is asked.
        log: Has the answers so far; None where there is none.
    """
    said, heard, bad = (log.said, log.heard, log.bad) if log is not None else ({}, {}, {})
    left = [record for record in records if record.name not in bad]
    silent = [record for record in left if not record.subtitle_english and record.name not in heard]
    hearing = {SUBTITLE: len(silent)} if parts.transcriber is not None else {}
    asked = (*parts.describers, MERGED)
    return hearing | {what: sum((what, record.name) not in said for record in left) for what in asked}


@dataclass
class _CueRun:
    """One call of `describe_clips`."""

    records: Sequence[ClipRecord]
    parts: CueParts
    asking: CueAsking
    log: CueLog
    tell: Tell

    def hear(self) -> None:
        """Subtitles that nobody gave."""
        transcriber = self.parts.transcriber
        silent = [
            record for record in self._left() if not record.subtitle_english and record.name not in self.log.heard
        ]
        if transcriber is None or not silent:
            return
        for batch in self._batches(
            silent, "", ClipReading(("audio",), {}, self.asking.batch_size, self.asking.workers)
        ):
            begun = time.monotonic()
            heard = hear_missing(batch, transcriber)
            took = round((time.monotonic() - begun) / max(1, len(heard)), 4)
            rows = [
                {"name": batch.records[index].name, "what": SUBTITLE, **words.to_row(), "seconds": took}
                for index, words in heard.items()
            ]
            self.log.add(rows)
            self.tell(SUBTITLE, len(heard), len(silent))

    def ask(self, what: str, part: CueDescriber, attempt: int) -> None:
        """Ask a describer about the clips whose answer is missing, or was empty or a refusal the time before."""
        clips = self._open(what, attempt)
        if not clips:
            return
        question = self.asking.questions[what]
        reading = ClipReading(part.streams, part.reading, self.asking.batch_size, self.asking.workers)
        for batch in self._batches(clips, question, reading):
            shown = replace(batch, subtitles=[""] * len(batch))
            absent = [_has_nothing(batch, index) for index in range(len(batch))]
            for found, seconds in _timed(_answers(part, shown)):
                rows = [
                    self._row(batch.records[index].name, what, text, attempt, seconds / len(found), absent[index])
                    for index, text in found.items()
                ]
                self._keep(rows, what, len(clips))

    def merge(self, attempt: int) -> None:
        """Ask the merger about the clips of which something is known."""
        clips = self._open(MERGED, attempt)
        if not clips:
            return
        merger, names = self.parts.merger, [record.name for record in clips]
        audio, visual = ([self._answer(what, name) for name in names] for what in (AUDIO, VISUAL))
        subtitles = [self._subtitle(record) for record in clips]
        for found, seconds in _timed(_merged(merger, audio, visual, subtitles)):
            rows = [
                self._row(names[index], MERGED, text, attempt, seconds / len(found), False)
                for index, text in found.items()
            ]
            self._keep(rows, MERGED, len(clips))

    def leave_out_unanswered(self, what: str) -> None:
        """Name the clips that have no answer after all tries."""
        self.log.leave_out(
            BadClip(record.name, record.corpus, str(record.video or record.audio or ""), what, _reason(said))
            for record in self._left()
            if (said := self.log.said.get((what, record.name))) is not None and self._is_bad(what, said)
        )

    def outcome(self, record: ClipRecord) -> ClipCues:
        """What became of a clip."""
        bad = self.log.bad.get(record.name)
        return ClipCues(
            audio=self._answer(AUDIO, record.name),
            visual=self._answer(VISUAL, record.name),
            subtitle=self._subtitle(record),
            description="" if bad else self._answer(MERGED, record.name),
            heard=self.log.heard.get(record.name),
            problem=f"{bad.stage}: {bad.reason}" if bad else "",
        )

    def _batches(self, clips: Sequence[ClipRecord], question: str, reading: ClipReading) -> Iterator[ClipBatch]:
        with reading.loader(clips, question) as loader:
            for batch in loader:
                yield batch
                self.log.leave_out(left_out(loader))
            self.log.leave_out(left_out(loader))

    def _left(self) -> list[ClipRecord]:
        return [record for record in self.records if record.name not in self.log.bad]

    def _open(self, what: str, attempt: int) -> list[ClipRecord]:
        found = []
        for record in self._left():
            said = self.log.said.get((what, record.name))
            if said is None or (said.tries < attempt and self._is_bad(what, said)):
                found.append(record)
        return found

    def _is_bad(self, what: str, said: Said) -> bool:
        return not said.nothing and not said.answer(self.asking.questions.get(what, ""))

    def _answer(self, what: str, name: str) -> str:
        said = self.log.said.get((what, name))
        return "" if said is None else said.answer(self.asking.questions.get(what, ""))

    def _subtitle(self, record: ClipRecord) -> str:
        heard = self.log.heard.get(record.name)
        return record.subtitle_english or ("" if heard is None else heard.subtitle)

    def _keep(self, rows: Sequence[Mapping[str, Any]], what: str, total: int) -> None:
        self.log.add(rows)
        self.tell(what, len(rows), total)

    @staticmethod
    def _row(name: str, what: str, text: str, tries: int, seconds: float, nothing: bool) -> dict[str, Any]:
        return {
            "name": name, "what": what, "text": text, "tries": tries, "nothing": nothing, "seconds": round(seconds, 4),
        }  # fmt: skip


def _has_nothing(batch: ClipBatch, index: int) -> bool:
    """Whether streams were read, and the clip has none of them."""
    return bool(batch.streams) and not any(bool(stream.mask[index].any()) for stream in batch.streams.values())


def _answers(part: CueDescriber, batch: ClipBatch) -> Iterator[dict[int, str]]:
    open_clips = set(range(len(batch)))
    with held_to_contract(part):
        for found in part.answers(batch):
            yield _checked(found, open_clips)
        if open_clips:
            raise ConformanceError(f"a text for each of {len(batch)} clips", f"none for {sorted(open_clips)}")


def _merged(
    merger: ClueMerger, audio: Sequence[str], visual: Sequence[str], subtitles: Sequence[str]
) -> Iterator[dict[int, str]]:
    open_clips = set(range(len(subtitles)))
    with held_to_contract(merger):
        for found in merger.merges(audio, visual, subtitles):
            yield _checked(found, open_clips)
        if open_clips:
            raise ConformanceError(f"a text for each of {len(subtitles)} clips", f"none for {sorted(open_clips)}")


def _checked(found: Mapping[int, str], open_clips: set[int]) -> dict[int, str]:
    """Texts by position, which are taken off the open ones."""
    if not set(found) <= open_clips:
        raise ConformanceError("answers by positions that are open, each once", f"{sorted(found)}")
    open_clips -= set(found)
    check_texts(list(found.values()), count=len(found), what="texts")
    return dict(found)


def _timed(found: Iterator[dict[int, str]]) -> Iterator[tuple[dict[int, str], float]]:
    """The answers that are not empty, with the seconds since those before."""
    before = time.monotonic()
    for texts in found:
        if texts:
            yield texts, time.monotonic() - before
            before = time.monotonic()


def _reason(said: Said) -> str:
    if clean_response(said.text).refused:
        return f"refused {said.tries} times: {' '.join(said.text.split())[:120]}"
    return f"nothing usable in {said.tries} answers: {' '.join(said.text.split())[:120] or 'an empty text'}"
