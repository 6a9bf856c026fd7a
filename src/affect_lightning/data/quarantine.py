"""What happens to a clip that cannot be read: a named, counted quarantine, or an error.

The authors' code silently takes a random other clip instead; here nothing is replaced. Worker processes send a
`BadClip` instead of a sample. The main process logs it, counts it and stops the run past a limit. `decoding.py` and
`faces.py` raise `UnreadableClipError`, `dataset.py` turns it into a `BadClip`, and `loading.py` gives that to the
`Quarantine`.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from affect_lightning.errors import ConfigurationError, DataError
from affect_lightning.storage import LineLog

BadClipPolicy = Literal["quarantine", "error"]
NAMED_CLIPS = 10  # how many bad clips a message names (our choice: fits a screen)


class UnreadableClipError(DataError):
    """A clip, or one file of it, cannot be read.

    Attributes:
        path: The file.
        stage: What was being done: `video`, `audio`, `face`, `annotation`, or a plugin's stream.
        reason: Why it failed and what was expected, in one sentence.
    """

    def __init__(self, path: object | None, stage: str, reason: str) -> None:
        self.path = str(path) if path is not None else ""
        self.stage = stage
        self.reason = reason
        super().__init__(f"{self.path or 'This clip'} cannot be read (stage {stage}): {reason}")

    def __reduce__(self) -> tuple[type[UnreadableClipError], tuple[str, str, str]]:
        return type(self), (self.path, self.stage, self.reason)


@dataclass(frozen=True)
class BadClip:
    """A clip that could not be read: one line of the quarantine file.

    Attributes:
        name: The clip's name.
        corpus: Its set.
        path: The file that failed.
        stage: See `UnreadableClipError`.
        reason: See `UnreadableClipError`.
    """

    name: str
    corpus: str
    path: str
    stage: str
    reason: str

    def __str__(self) -> str:
        return f"{self.name} ({self.corpus}, {self.stage}): {self.reason}"


@dataclass(frozen=True)
class BadClipOptions:
    """What is done about clips that cannot be read; options of `ClipDataModule`.

    Attributes:
        policy: `quarantine` continues with the other clips; `error` stops at the first bad clip.
        max_bad_share: Share of the clips that may be bad (1%, our choice). At least one clip is always allowed, so that a
            small set does not stop at its first.

    Raises:
        ConfigurationError: `policy` is unknown or `max_bad_share` is outside [0, 1].
    """

    policy: BadClipPolicy = "quarantine"
    max_bad_share: float = 0.01

    def __post_init__(self) -> None:
        known = get_args(BadClipPolicy)
        if self.policy not in known:
            raise ConfigurationError(f"on_bad_clip must be one of {', '.join(known)}; got {self.policy!r}.")
        if not 0.0 <= self.max_bad_share <= 1.0:
            raise ConfigurationError(f"max_bad_share must be between 0 and 1 (0.01 = 1%); got {self.max_bad_share}.")


class Quarantine:
    """Counts bad clips of one run, writes them down, and stops the run when there are too many.

    A clip counts once, however many epochs meet it. It lives in the main process only.

    Args:
        policy: See `BadClipOptions`.
        max_bad_share: The same.
        file: JSONL file to append to; None writes nothing. Several processes may share the file. A clip that stands in
            it already, from an earlier part of the run, is not written again.
    """

    def __init__(
        self,
        policy: BadClipPolicy = BadClipOptions.policy,
        max_bad_share: float = BadClipOptions.max_bad_share,
        file: Path | None = None,
    ):
        self.options = BadClipOptions(policy, max_bad_share)
        self._log = None if file is None else LineLog(file, shared=True)
        self._clips: dict[tuple[str, str], BadClip] = {}
        self._written: list[Any] | None = None  # records of the file, read before the first is added

    @property
    def clips(self) -> list[BadClip]:
        """The bad clips so far, in the order in which they were met."""
        return list(self._clips.values())

    def admit(self, clip: BadClip, clip_count: int) -> None:
        """Count a bad clip.

        Args:
            clip: The clip; one that is known already changes nothing.
            clip_count: Clips that this process reads, of which `max_bad_share` may be bad.

        Raises:
            DataError: The policy is `error`, the limit is passed, or the quarantine file cannot be written.
        """
        if self.options.policy == "error":
            raise DataError(
                f"The clip {clip} ({clip.path}) Fix or remove it, or set on_bad_clip to quarantine to continue without it."
            )
        key = (clip.corpus, clip.name)
        if key in self._clips:
            return
        self._clips[key] = clip
        self._write(clip)
        if len(self._clips) > max(1, math.ceil(self.options.max_bad_share * clip_count)):
            raise DataError(self._too_many(clip_count))

    def _write(self, clip: BadClip) -> None:
        if self._log is None:
            return
        try:
            if self._written is None:
                self._written = list(self._log.new_records())
            if asdict(clip) not in self._written:
                self._log.add(asdict(clip))
        except OSError as error:
            raise DataError(
                f"The quarantine file {self._log.path} cannot be written: {error.strerror}. Free space, or choose "
                f"another folder for the run: this file names the clips that could not be read. The clip was {clip}"
            ) from error

    def _too_many(self, clip_count: int) -> str:
        named = self.clips[:NAMED_CLIPS]
        return (
            f"{len(self._clips)} of {clip_count} clips cannot be read, which is more than max_bad_share = "
            f"{self.options.max_bad_share:g} allows. The first {len(named)}: "
            + " ".join(f"[{position}] {clip}" for position, clip in enumerate(named, 1))
            + " Fix the data, or raise max_bad_share if you can lose these clips."
        )
