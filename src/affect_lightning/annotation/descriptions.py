"""The stage `describe`: audio cues, visual cues and the subtitle become one description of each clip.

Paper: Section 2.1. `describing/cues.py` asks and keeps the answers; here are the options, the columns, and figures that tell
how good a text looks without a reference (`text_quality.py`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from affect_lightning.annotation.clip_files import records_of
from affect_lightning.annotation.lengths import words_in
from affect_lightning.annotation.stages import Stage, StageCost
from affect_lightning.annotation.tables import ClipTable
from affect_lightning.annotation.text_quality import distinct_share, language_of, repetition_of, share_used
from affect_lightning.contracts import ClueMerger, CueDescriber, Transcriber
from affect_lightning.errors import ConfigurationError, DataError

if TYPE_CHECKING:
    from affect_lightning.describing.cues import ClipCues, CueLog, CueParts

_LOG = "answers.jsonl"
_NAMED = 5  # clips that a message names; our choice


@dataclass(frozen=True)
class DescribeOptions:
    """What is asked about a clip.

    Attributes:
        audio_question: Asked of the describer of the sound; our wording. The subtitle is not shown.
        visual_question: Asked of the describer of the pictures; our wording.
        both_question: Asked of a single describer of both; our wording.
        batch_size: Clips read and asked together; 8 is our choice, as in `answer`.
        workers: Processes that read clips; 0 reads in this one (our choice: it works everywhere).
        max_bad_share: Share of the clips that may be left out, unreadable or without an answer, before the run stops; 0.1 is
            our choice: models refuse faces and voices more often than files are broken.
    """

    audio_question: str = (
        "Describe how the person's voice sounds: pitch, loudness, pace, pauses, and what they tell of the feelings. Do not "
        "repeat the words."
    )
    visual_question: str = (
        "Describe the person's face, eyes, gestures and posture in this video, and what they tell of the feelings."
    )
    both_question: str = "Describe the person's voice, face and gestures, and what they tell of the feelings."
    batch_size: int = 8
    workers: int = 0
    max_bad_share: float = 0.1

    def __post_init__(self) -> None:
        if self.batch_size < 1 or self.workers < 0 or not 0 <= self.max_bad_share <= 1:
            raise ConfigurationError(
                f"Give batch_size of 1 or more, workers of 0 or more and max_bad_share from 0 to 1; got {self.batch_size}, "
                f"{self.workers} and {self.max_bad_share:g}."
            )


class DescribeStage(Stage[DescribeOptions]):
    """Adds cues, subtitle and description of each clip, and figures of their quality; a clip without them does not stay."""

    name = "describe"
    passing = frozenset({"batch_size", "workers", "max_bad_share"})

    def __init__(
        self,
        options: DescribeOptions,
        *,
        merger: ClueMerger,
        audio: CueDescriber | None = None,
        visual: CueDescriber | None = None,
        transcriber: Transcriber | None = None,
    ) -> None:
        """Take the parts.

        Args:
            options: See `DescribeOptions`.
            merger: Writes the description from what was heard, seen and said.
            audio: Describes the sound; None if `visual` describes both, or only pictures are described.
            visual: Describes the pictures, or both; None if only the sound is described.
            transcriber: Hears the subtitles that are missing; None for none.

        Raises:
            ConfigurationError: There is no describer, or the one of the sound looks at pictures too.
        """
        super().__init__(options)
        if audio is None and visual is None:
            raise ConfigurationError(
                "Choose a describer with --audio NAME, with --visual NAME, or both; `affect-lightning plugins --group "
                "cue_describers` lists them."
            )
        if audio is not None and audio.streams and audio.modality != "audio":
            raise ConfigurationError(
                f"Set modality: audio for the describer of the sound, or give it alone as the one of the pictures: "
                f"{audio.identity()} takes {audio.modality}."
            )
        self._audio, self._visual, self._merger, self._transcriber = audio, visual, merger, transcriber

    def _asked(self) -> CueParts:
        from affect_lightning.describing.cues import CueParts

        return CueParts(self._merger, self._audio, self._visual, self._transcriber)

    def check(self) -> None:
        """See `CueDescriber.check`."""
        self._asked().check()

    def parts(self) -> Mapping[str, str]:
        """Who was asked."""
        return self._asked().identities()

    def columns_of(self, table: ClipTable) -> dict[str, Sequence[Any]]:
        """See the contract; the table needs the clips' files (`clip_files.py`).

        Raises:
            DataError: A clip has no file, or too many were left out.
            AffectLightningError: A part cannot answer; the answers before are kept in the folder of the work.
        """
        parts = self._asked()
        parts.check()
        if self.work.folder is None:
            with TemporaryDirectory() as folder:
                return self._columns(table, parts, Path(folder))
        return self._columns(table, parts, self.work.folder)

    def _columns(self, table: ClipTable, parts: CueParts, folder: Path) -> dict[str, Sequence[Any]]:
        from affect_lightning.describing.cues import AUDIO, VISUAL, CueAsking, CueLog, describe_clips

        options = self.options
        visual = options.both_question if self._audio is None and self._hears() else options.visual_question
        questions = {AUDIO: options.audio_question, VISUAL: visual}
        asking = CueAsking(questions, options.batch_size, options.workers)
        records = records_of(table, needs_files=self._reads())
        log = CueLog(folder / _LOG)
        cues = describe_clips(records, parts, asking, log, self.work.tell)
        self._check_bad([(record.name, one.problem) for record, one in zip(records, cues, strict=True)])
        return _columns_of(cues)

    def _hears(self) -> bool:
        return self._visual is not None and self._visual.modality == "both"

    def _reads(self) -> bool:
        """Whether anything is read of a clip; texts from files need none."""
        return self._transcriber is not None or any(part.streams for part in self._asked().describers.values())

    def _check_bad(self, problems: Sequence[tuple[str, str]]) -> None:
        bad = [(name, problem) for name, problem in problems if problem]
        if len(bad) > max(1, math.ceil(self.options.max_bad_share * len(problems))):
            named = " ".join(f"[{name}] {problem}" for name, problem in bad[:_NAMED])
            raise DataError(
                f"Look at what the models say, or raise max_bad_share if you can lose these clips: {len(bad)} of "
                f"{len(problems)} clips have no description, and max_bad_share is {self.options.max_bad_share:g}. {named}"
            )

    def cost(self, table: ClipTable) -> StageCost:
        """Answers that are missing, and what those cost that are there."""
        from affect_lightning.describing.cues import CueLog, open_questions

        records = records_of(table, needs_files=False)
        log = CueLog(self.work.folder / _LOG) if self.work.folder is not None else None
        return StageCost(open_questions(records, self._asked(), log), {} if log is None else _measured(log))


def _measured(log: CueLog) -> dict[str, tuple[int, int, float]]:
    from affect_lightning.describing.cues import SUBTITLE

    timed = [len(log.heard[name].subtitle) for name in log.hearing]
    found: dict[str, tuple[int, int, float]] = {}
    if timed:
        found[SUBTITLE] = len(timed), sum(timed), sum(log.hearing.values())
    for (what, _), said in log.said.items():
        count, characters, seconds = found.get(what, (0, 0, 0.0))
        found[what] = count + 1, characters + len(said.text), seconds + said.seconds
    return found


def _columns_of(cues: Sequence[ClipCues]) -> dict[str, Sequence[Any]]:
    words = [words_in(one.description.lower()) for one in cues]
    there = [bool(one.description) for one in cues]
    return {
        "audio_cues": [one.audio or None for one in cues],
        "visual_cues": [one.visual or None for one in cues],
        "subtitle": [one.subtitle for one in cues],
        "subtitle_source": [None if one.heard is None else one.heard.subtitle_source for one in cues],
        "subtitle_language": [None if one.heard is None else one.heard.subtitle_language for one in cues],
        "description": [one.description or None for one in cues],
        "quality.words": [len(found) if is_there else None for found, is_there in zip(words, there, strict=True)],
        "quality.language": [language_of(one.description) if one.description else None for one in cues],
        "quality.repetition": [
            repetition_of(found) if is_there else None for found, is_there in zip(words, there, strict=True)
        ],
        "quality.distinct": [distinct_share(found) for found in words],
        "quality.audio_used": [share_used(one.audio, one.description) if one.description else None for one in cues],
        "quality.visual_used": [share_used(one.visual, one.description) if one.description else None for one in cues],
        "problem.describe": [one.problem or None for one in cues],
        "kept.describe": [not one.problem for one in cues],
    }
