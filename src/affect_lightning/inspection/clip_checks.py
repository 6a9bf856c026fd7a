"""Checks the media of many clips in parallel, resumably, and draws the conclusions.

A clip is read as training or testing would read it, by `dataset.py`, so the doctor finds exactly what a run would
quarantine. The length comes from the file's header. Faces that are found go into the face cache, as in training.
Results are kept at once, a line a clip, so an interrupted check continues where it stopped. A clip is known by the
path, size and time of change of its files, so a changed clip is checked again. `fault_tolerant_pool.py` has the
processes.
"""

from __future__ import annotations

import copy
import hashlib
import statistics
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from affect_lightning.contracts import ClipRecord
from affect_lightning.data.dataset import ClipDataset, FailedSample
from affect_lightning.data.header_checks import announced_seconds
from affect_lightning.data.ordering import SampleKey
from affect_lightning.data.quarantine import BadClip, UnreadableClipError
from affect_lightning.errors import DataError
from affect_lightning.inspection.fault_tolerant_pool import FaultTolerantPool
from affect_lightning.inspection.findings import Finding, SetSummary, Thresholds
from affect_lightning.storage import LineLog

CHECK_VERSION = 1  # changes whenever a verdict means something else: kept verdicts are then made again
SILENCE = 1e-4  # our choice: -80 dB of full scale; a microphone's noise is louder
WORKER_STAGE = "worker"


@dataclass(frozen=True)
class ClipCheck:
    """What was found in a clip.

    Attributes:
        name: Of the clip.
        corpus: Its set.
        stage: Empty for a readable clip; else what failed: see `UnreadableClipError`, or `worker`.
        reason: Why it failed.
        path: The file that failed.
        video_seconds: Length of the pictures as the file says; None without pictures.
        audio_seconds: Length of the decoded sound; None without sound.
        frames: Frames that were read.
        frames_without_face: Those of them in which the speaker's face was not found.
        silent: Whether the sound is silence.
        seconds_given: Time after which the process was ended, for the stage `worker`: with more time it is tried again.
    """

    name: str
    corpus: str
    stage: str = ""
    reason: str = ""
    path: str = ""
    video_seconds: float | None = None
    audio_seconds: float | None = None
    frames: int = 0
    frames_without_face: int = 0
    silent: bool = False
    seconds_given: float = 0.0

    @classmethod
    def from_plain(cls, values: dict[str, Any]) -> ClipCheck:
        """What `plain` gave, as a check again; raises TypeError for anything else."""
        return cls(**values)

    def plain(self) -> dict[str, Any]:
        """The values that are not the default, for JSON."""
        return {key: value for key, value in asdict(self).items() if value not in ("", None, 0, False)}


class ClipChecker:
    """Checks clips one by one. Pickles before its first use.

    Args:
        reader: Reads a clip as a run would; its own records are left alone.
        finds_faces: Whether its face detector looks for faces at all.
    """

    def __init__(self, reader: ClipDataset, finds_faces: bool = True):
        self._reader = copy.copy(reader)
        self._reader.records = []
        self.finds_faces = finds_faces

    def files_of_plugins(self, record: ClipRecord) -> list[Path]:
        """The files that readers of plugins' streams open for a clip."""
        return [path for reader in self._reader.options.readers.values() for path in reader.files(record).values()]

    def __call__(self, record: ClipRecord) -> ClipCheck:
        """The check of a clip.

        Raises:
            AffectLightningError: Something is wrong that is no fault of the clip, such as a detector that cannot start.
        """
        self._reader.records = [record]
        sample = self._reader[SampleKey(0)]
        if isinstance(sample, FailedSample):
            raise sample.error
        if isinstance(sample, BadClip):
            return ClipCheck(record.name, record.corpus, sample.stage, sample.reason, sample.path)
        rate = self._reader.options.sample_rate
        sound = sample.streams["audio"].values if "audio" in sample.streams else None
        return ClipCheck(
            record.name,
            record.corpus,
            video_seconds=_video_seconds(record.video) if sample.frames else None,
            audio_seconds=None if sound is None else round(len(sound) / rate, 3),
            frames=sample.frames if self.finds_faces else 0,
            frames_without_face=sample.frames_without_face,
            silent=sound is not None and float(np.abs(sound).max(initial=0.0)) < SILENCE,
        )


def _video_seconds(path: Path | None) -> float | None:
    """Length of the pictures; None where the clip was read without them, from released face crops."""
    if path is None:
        return None
    try:
        seconds = announced_seconds(path)
    except UnreadableClipError:
        return None
    return None if seconds is None else round(seconds, 3)


def clip_key(record: ClipRecord, settings: str, more: Sequence[Path] = ()) -> str:
    """Under what a clip's check is kept.

    Args:
        record: The clip.
        settings: Everything else that a verdict depends on: what is read, and how.
        more: Files that plugins read for it.
    """
    parts = [str(CHECK_VERSION), settings, record.corpus, record.name]
    parts += [str(bool(part)) for part in (record.labels, record.description, record.sentiment is not None)]
    for path in (record.video, record.audio, record.face, *more):
        try:
            status = path.stat() if path is not None else None
        except OSError:
            status = None
        parts += [str(path), f"{status.st_size} {status.st_mtime_ns}" if status is not None else "-"]
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogateescape")).hexdigest()[:32]


class CheckJournal:
    """Checks by key, kept in a JSONL file.

    Args:
        path: The file; its folder is made.

    Raises:
        DataError: The file cannot be read or written.
    """

    def __init__(self, path: Path):
        self._log = LineLog(path)
        self.known: dict[str, ClipCheck] = {}
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            records = list(self._log.new_records())
            self.known = dict(entry for record in records if (entry := _entry(record)) is not None)
            if self._log.damaged or len(self.known) < len(records):  # damaged, foreign or double lines
                self._log.rewrite(_record(key, check) for key, check in self.known.items())
        except OSError as error:
            raise self._refused(error) from error

    def add(self, key: str, check: ClipCheck) -> None:
        """Keep a check.

        Raises:
            DataError: The file cannot be written.
        """
        self.known[key] = check
        try:
            self._log.add(_record(key, check))
        except OSError as error:
            raise self._refused(error) from error

    def _refused(self, error: OSError) -> DataError:
        return DataError(
            f"The journal {self._log.path} cannot be read or written: {error.strerror}. Free space, or choose "
            "another folder with --cache."
        )


def _record(key: str, check: ClipCheck) -> dict[str, Any]:
    return {"key": key, "check": check.plain()}


def _entry(record: Any) -> tuple[str, ClipCheck] | None:
    try:
        return str(record["key"]), ClipCheck.from_plain(record["check"])
    except (ValueError, TypeError, KeyError):
        return None


@dataclass(frozen=True)
class Checking:
    """How clips are checked.

    Attributes:
        checker: Reads a clip.
        settings: What its verdicts depend on, for `clip_key`.
        workers: Processes.
        seconds: Time for one clip.
    """

    checker: ClipChecker
    settings: str
    workers: int
    seconds: float


def check_clips(
    clips: Sequence[ClipRecord],
    checking: Checking,
    journal: CheckJournal,
    report: Callable[[int, int], None] = lambda done, failed: None,
) -> list[ClipCheck]:
    """The check of every clip, in the clips' order; those in the journal are not read again.

    Args:
        clips: To check.
        checking: How.
        journal: Of earlier checks.
        report: Told how many clips are done, and how many of these are bad, whenever that grows.
    """
    keys = [clip_key(clip, checking.settings, checking.checker.files_of_plugins(clip)) for clip in clips]
    known = {key for key in keys if key in journal.known and not _deserves_more_time(journal.known[key], checking)}
    waiting = {key: clip for key, clip in zip(keys, clips, strict=True) if key not in known}
    bad = sum(bool(journal.known[key].stage) for key in known)
    done = len(keys) - len(waiting)
    report(done, bad)
    pool: FaultTolerantPool[tuple[str, ClipRecord]] = FaultTolerantPool(
        _Keyed(checking.checker), min(checking.workers, len(waiting)) or 1, checking.seconds
    )
    for outcome in pool.run(waiting.items()) if waiting else ():
        key, clip = outcome.piece
        check = outcome.result or _failed(clip, outcome.failure, checking.seconds)
        journal.add(key, check)
        done, bad = done + 1, bad + bool(check.stage)
        report(done, bad)
    return [journal.known[key] for key in keys]


@dataclass(frozen=True)
class _Keyed:
    """The checker, for pieces that carry their key."""

    checker: ClipChecker

    def __call__(self, piece: tuple[str, ClipRecord]) -> ClipCheck:
        return self.checker(piece[1])


def _deserves_more_time(check: ClipCheck, checking: Checking) -> bool:
    return check.stage == WORKER_STAGE and check.seconds_given < checking.seconds


def _failed(clip: ClipRecord, reason: str, seconds: float) -> ClipCheck:
    path = str(clip.video or clip.audio or "")
    return ClipCheck(clip.name, clip.corpus, WORKER_STAGE, f"{reason}.", path, seconds_given=seconds)


def media_findings(
    corpus: str, checks: Sequence[ClipCheck], limits: Thresholds, missing: frozenset[str]
) -> list[Finding]:
    """What the checks of a set's clips say.

    Args:
        corpus: Key of the set.
        checks: Of its clips.
        limits: Lengths beyond which a clip is listed.
        missing: Clips of which a file is missing; they are reported as such already.
    """
    bad = [check for check in checks if check.stage and check.name not in missing]
    whole = [check for check in checks if not check.stage]
    lengths = {check.name: length for check in whole if (length := _length(check)) is not None}
    return [
        *_unreadable(corpus, "unreadable", [check for check in bad if check.stage != WORKER_STAGE]),
        *_unreadable(corpus, "worker-died", [check for check in bad if check.stage == WORKER_STAGE]),
        *_listed(corpus, "too-short", {name: f"{s:.2f} s" for name, s in lengths.items() if s < limits.shortest}),
        *_listed(corpus, "too-long", {name: f"{s:.1f} s" for name, s in lengths.items() if s > limits.longest}),
        *_listed(
            corpus,
            "lengths-differ",
            {
                check.name: f"pictures {check.video_seconds:.2f} s, sound {check.audio_seconds:.2f} s"
                for check in whole
                if check.video_seconds is not None
                and check.audio_seconds is not None
                and abs(check.video_seconds - check.audio_seconds) > limits.difference
            },
        ),
        *_listed(corpus, "silent", {check.name: "" for check in whole if check.silent}),
        *_listed(
            corpus,
            "no-face",
            {
                check.name: f"{check.frames} frames"
                for check in whole
                if check.frames and check.frames_without_face == check.frames
            },
        ),
    ]


def _length(check: ClipCheck) -> float | None:
    """A clip is as long as the longer of its pictures and its sound."""
    known = [seconds for seconds in (check.video_seconds, check.audio_seconds) if seconds is not None]
    return max(known) if known else None


def _unreadable(corpus: str, kind: str, checks: Sequence[ClipCheck]) -> list[Finding]:
    if not checks:
        return []
    details = {check.name: {"path": check.path, "stage": check.stage, "reason": check.reason} for check in checks}
    first = checks[0]
    text = f"first: {first.stage}, {first.reason}"
    return [Finding(corpus, kind, "problem", tuple(check.name for check in checks), text, details)]


def _listed(corpus: str, kind: str, clips: dict[str, str]) -> list[Finding]:
    if not clips:
        return []
    first = next(iter(clips.values()))
    details = {name: {"found": found} for name, found in clips.items() if found}
    return [Finding(corpus, kind, "problem", tuple(clips), f"first: {first}" if first else "", details)]


def with_media(summary: SetSummary, checks: Sequence[ClipCheck]) -> SetSummary:
    """The summary of a set, with what was found in its clips."""
    lengths = [length for check in checks if not check.stage and (length := _length(check)) is not None]
    return replace(
        summary,
        checked=len(checks),
        seconds=(min(lengths), statistics.median(lengths), max(lengths)) if lengths else (),
        frames=sum(check.frames for check in checks),
        frames_without_face=sum(check.frames_without_face for check in checks),
    )
