"""Checks the media of many clips in parallel, resumably, and draws the conclusions.

What was found is kept at once, a line a clip: a check that is interrupted goes on where it stopped. A clip is known by the
path, size and time of change of its files, so a changed clip is checked anew. Neighbours: `clip_check.py` reads a clip,
`surviving_pool.py` has the processes.
"""

from __future__ import annotations

import hashlib
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from affect_lightning.contracts import ClipRecord
from affect_lightning.data.inspection.clip_check import CHECK_VERSION, ClipCheck, ClipChecker
from affect_lightning.data.inspection.findings import Finding, SetSummary, Thresholds
from affect_lightning.data.inspection.surviving_pool import SurvivingPool
from affect_lightning.errors import DataError
from affect_lightning.storage import LineLog

WORKER_STAGE = "worker"


def clip_key(record: ClipRecord, settings: str) -> str:
    """Under what a clip's check is kept.

    Args:
        record: The clip.
        settings: Everything else that a verdict depends on: what is read, and how.
    """
    parts = [str(CHECK_VERSION), settings, record.corpus, record.name]
    parts += [str(bool(part)) for part in (record.labels, record.description, record.sentiment is not None)]
    for path in (record.video, record.audio, record.face):
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
            f"The journal {self._log.path} cannot be used: {error.strerror}. Free some space, or choose another folder with "
            f"--cache."
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
    keys = [clip_key(clip, checking.settings) for clip in clips]
    known = {key for key in keys if key in journal.known and not _deserves_more_time(journal.known[key], checking)}
    waiting = {key: clip for key, clip in zip(keys, clips, strict=True) if key not in known}
    bad = sum(bool(journal.known[key].stage) for key in known)
    done = len(keys) - len(waiting)
    report(done, bad)
    pool: SurvivingPool[tuple[str, ClipRecord]] = SurvivingPool(
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
