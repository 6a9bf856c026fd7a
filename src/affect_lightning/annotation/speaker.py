"""The stage `speaker`: a clip stays if the person whom it shows is the one who is heard.

Paper: Section 2, low-level filtering: clips whose speaker is not in the picture are dropped, as found by active-speaker
detection. A plugin of the group `speaker_detectors` gives a score, `data.face_tracks` reads what it needs. Each score is
kept as it comes, so a killed run measures no clip twice.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from affect_lightning.annotation.clip_files import records_of
from affect_lightning.annotation.stages import Stage
from affect_lightning.annotation.tables import ClipTable
from affect_lightning.contracts import ClipRecord, FaceDetector, SpeakerDetector
from affect_lightning.errors import ConfigurationError, DataError
from affect_lightning.storage import LineLog

UNREADABLE = "cannot be read"  # begins the reason of a clip that FFmpeg cannot decode
_LOG = "scores.jsonl"
_NAMED = 5  # clips that a message names; our choice


@dataclass(frozen=True)
class SpeakerOptions:
    """Which clips stay.

    Attributes:
        threshold: Least score of a clip that stays; None takes the detector's own.
        drops_undecided: Whether a clip of which the detector cannot tell, such as one without speech, goes too; by default it
            stays, as in the other filters. A clip without a visible face never stays.
        max_bad_share: Share of the clips that may be unreadable before the run stops; 0.01 is our choice, as in training.
    """

    threshold: float | None = None
    drops_undecided: bool = False
    max_bad_share: float = 0.01

    def __post_init__(self) -> None:
        if self.threshold is not None and not math.isfinite(self.threshold):
            raise ConfigurationError(f"Give a threshold that is a number; got {self.threshold}.")
        if not 0 <= self.max_bad_share <= 1:
            raise ConfigurationError(f"Give max_bad_share from 0 to 1; got {self.max_bad_share:g}.")


@dataclass(frozen=True)
class SpeakerVerdict:
    """What was found of a clip.

    Attributes:
        score: The detector's; None if there is none.
        reason: Why there is none; empty if there is one.
        shows_nobody: Whether the reason is that no face can be seen.
    """

    score: float | None
    reason: str = ""
    shows_nobody: bool = False

    @property
    def is_unreadable(self) -> bool:
        """Whether the clip's file could not be decoded."""
        return self.reason.startswith(UNREADABLE)


class SpeakerStage(Stage[SpeakerOptions]):
    """Adds `speaker_score`, `speaker_reason` (why there is no score) and `kept.speaker`."""

    name = "speaker"
    passing = frozenset({"max_bad_share"})

    def __init__(
        self, options: SpeakerOptions, *, detector: SpeakerDetector | None, faces: FaceDetector | None
    ) -> None:
        """Take the parts.

        Args:
            options: See `SpeakerOptions`.
            detector: Gives the scores.
            faces: Finds the faces.

        Raises:
            ConfigurationError: A part is left out, or finds nothing.
        """
        super().__init__(options)
        if detector is None:
            raise ConfigurationError("Choose a speaker detector, such as sync; the stage speaker cannot do without.")
        if faces is None or not faces.finds_faces:
            raise ConfigurationError(
                "Choose a face detector as `faces`, such as centerface; the stage speaker cannot do without."
            )
        self._detector, self._faces = detector, faces

    @property
    def threshold(self) -> float:
        """Least score of a clip that stays."""
        return self._detector.threshold if self.options.threshold is None else self.options.threshold

    def parts(self) -> Mapping[str, str]:
        """Who was asked, and where the limit was."""
        return {**self._asked(), "threshold": f"{self.threshold:g}"}

    def _asked(self) -> dict[str, str]:
        return {"detector": self._detector.identity(), "faces": self._faces.identity()}

    def columns_of(self, table: ClipTable) -> dict[str, Sequence[Any]]:
        """See the contract; the table needs the clips' files (`clip_files.py`).

        Raises:
            DataError: A clip has no file, or too many cannot be read.
        """
        if self.work.folder is None:
            with TemporaryDirectory() as folder:
                verdicts = self._verdicts(table, Path(folder))
        else:
            verdicts = self._verdicts(table, self.work.folder)
        self._check_bad(table.names, verdicts)
        return {
            "speaker_score": [verdict.score for verdict in verdicts],
            "speaker_reason": [verdict.reason or None for verdict in verdicts],
            "kept.speaker": [self._stays(verdict) for verdict in verdicts],
        }

    def _stays(self, verdict: SpeakerVerdict) -> bool:
        if verdict.score is not None:
            return verdict.score >= self.threshold
        return not (verdict.shows_nobody or verdict.is_unreadable or self.options.drops_undecided)

    def _verdicts(self, table: ClipTable, folder: Path) -> list[SpeakerVerdict]:
        """One for each clip; those of the log are taken from it, the others are added to it one by one.

        Raises:
            DataError: The log cannot be read or written.
        """
        log, asked = LineLog(folder / _LOG), self._asked()
        found: list[SpeakerVerdict] = []
        try:
            before = {
                row["name"]: row for row in log.new_records() if isinstance(row, dict) and row.get("asked") == asked
            }
            for record in records_of(table):
                row = before.get(record.name)
                if row is None or row["file"] != _file_of(record):
                    verdict = self._verdict(record)
                    row = {"name": record.name, "file": _file_of(record), "asked": asked, **vars(verdict)}
                    log.add(row)
                found.append(SpeakerVerdict(row["score"], row["reason"], row["shows_nobody"]))
                self.work.tell("who speaks", 1, len(table))
        except OSError as error:
            raise DataError(
                f"{log.path} cannot be written: {error.strerror or error}. Free space; the scores so far are kept."
            ) from error
        return found

    def _verdict(self, record: ClipRecord) -> SpeakerVerdict:
        from affect_lightning.contracts.conformance import check_speaker_score
        from affect_lightning.data.face_tracks import NO_PICTURE, NOBODY, MissingPart, read_face_with_sound
        from affect_lightning.data.quarantine import UnreadableClipError
        from affect_lightning.plugin_loading import held_to_contract

        if record.video is None:
            return SpeakerVerdict(None, NO_PICTURE, shows_nobody=True)
        try:
            clip = read_face_with_sound(
                record.video,
                self._faces,
                frame_rate=self._detector.frame_rate,
                sample_rate=self._detector.sample_rate,
                audio=record.audio,
            )
        except UnreadableClipError as error:
            return SpeakerVerdict(None, f"{UNREADABLE} ({error.stage}): {error.reason}")
        if isinstance(clip, MissingPart):
            return SpeakerVerdict(None, clip.reason, clip.reason in NOBODY)
        with held_to_contract(self._detector):
            score = check_speaker_score(self._detector.score(clip))
        return SpeakerVerdict(score.value, score.reason)

    def _check_bad(self, names: Sequence[str], verdicts: Sequence[SpeakerVerdict]) -> None:
        bad = [(name, one.reason) for name, one in zip(names, verdicts, strict=True) if one.is_unreadable]
        if len(bad) > max(1, math.ceil(self.options.max_bad_share * len(verdicts))):
            named = " ".join(f"[{name}] {reason}" for name, reason in bad[:_NAMED])
            raise DataError(
                f"Fix the files, or raise max_bad_share if you can lose these clips: {len(bad)} of {len(verdicts)} clips "
                f"cannot be read, and max_bad_share is {self.options.max_bad_share:g}. {named}"
            )


def _file_of(record: ClipRecord) -> str:
    return " ".join(str(path) for path in (record.video, record.audio) if path is not None)
