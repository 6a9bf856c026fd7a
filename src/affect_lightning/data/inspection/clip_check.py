"""Reads one clip as training or testing would, and says what came of it. Runs in the processes of `surviving_pool.py`.

The verdict is that of `dataset.py`, so the doctor finds what a run would quarantine, and nothing else; the length comes
from the file's header. Faces that are found on the way go into the face cache, as in training.
"""

from __future__ import annotations

import copy
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from affect_lightning.contracts import ClipRecord
from affect_lightning.data.dataset import ClipDataset, FailedSample, SampleKey
from affect_lightning.data.decoding import announced_seconds
from affect_lightning.data.quarantine import BadClip, UnreadableClipError

CHECK_VERSION = 1  # changes whenever a verdict means something else: kept verdicts are then made anew
SILENCE = 1e-4  # our choice: -80 dB of full scale; a microphone's noise is louder


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
