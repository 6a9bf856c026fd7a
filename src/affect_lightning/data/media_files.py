"""The files of a clip, on disk or in a shard: what `decoding.py`, `faces.py` and `box_cache.py` open.

Not in the paper. A packed clip has the bytes of its files. To its readers a `PackedFile` looks like the path that it
came from, so one way of decoding serves both. `packed_sets` makes packed files, `dataset.py` passes them on.
"""

from __future__ import annotations

import io
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeAlias

import numpy as np

from affect_lightning.contracts import ClipRecord
from affect_lightning.data.quarantine import UnreadableClipError

if TYPE_CHECKING:
    from torch import Tensor


class NamedBytes(io.BytesIO):
    """Bytes in memory with the name of the file that they came from: FFmpeg looks at its ending, as it does on disk."""

    def __init__(self, content: bytes, name: str) -> None:
        super().__init__(content)
        self.name = name


@dataclass(frozen=True)
class PackedFile:
    """A file out of a shard.

    Attributes:
        path: Where the file was when it was packed; for messages, and for its name. Nothing is looked for there.
        content: Its bytes.
        problem: Why it could not be read when it was packed; None if it could.
    """

    path: Path
    content: bytes = b""
    problem: str | None = None

    def __str__(self) -> str:
        return str(self.path)

    @property
    def suffix(self) -> str:
        """Ending of the name, such as `.mp4`."""
        return self.path.suffix

    def opened(self, stage: str) -> NamedBytes:
        """The content as a binary stream.

        Args:
            stage: See `UnreadableClipError`.

        Raises:
            UnreadableClipError: The file could not be read when it was packed.
        """
        if self.problem is not None:
            raise UnreadableClipError(self.path, stage, self.problem)
        return NamedBytes(self.content, self.path.name)


MediaFile: TypeAlias = Path | PackedFile


@dataclass(frozen=True)
class CachedClip:
    """What the cache knows of one clip.

    Attributes:
        features: Tokens, float32 [N, D], and which of them are real, bool [N], by stream.
        frames: Real frames that it was encoded from.
        frames_without_face: Those in which the face was not found.
    """

    features: dict[str, tuple[Tensor, Tensor]]
    frames: int
    frames_without_face: int


@dataclass(frozen=True)
class HeldMedia:
    """Pictures and sound of one clip that are in memory already; `held_media.py` takes what is wanted of them.

    Attributes:
        frames: RGB pictures, uint8 [N, H, W, 3], spread evenly over the clip; None for a clip without pictures.
        waveform: Mono sound in [-1, 1], float32 [S]; None for a clip without sound.
        sample_rate: Of the sound, in Hz.
    """

    frames: np.ndarray | None = None
    waveform: np.ndarray | None = None
    sample_rate: int = 16_000


class EncodedClip(Protocol):
    """What `packed_sets` takes out of a shard instead of files."""

    def read(self, streams: Collection[str]) -> CachedClip:
        """The features of these streams."""


@dataclass(frozen=True)
class MediaFiles:
    """The files of one clip; None for those that it has not. See `ClipRecord` for what each is.

    Attributes:
        video: Pictures, and the sound if `audio` is None.
        audio: Sound.
        face: Released face crops.
        encoded: What the encoders gave for the clip, of a set that was packed with that instead of files.
        held: Pictures and sound instead of files.
        span: The part of the files that is read, in seconds; None for the whole.
        is_passing: Whether nothing of the clip may be kept: its face boxes are not cached.
    """

    video: MediaFile | None = None
    audio: MediaFile | None = None
    face: MediaFile | None = None
    encoded: EncodedClip | None = None
    held: HeldMedia | None = None
    span: tuple[float, float] | None = None
    is_passing: bool = False

    @classmethod
    def on_disk(cls, record: ClipRecord) -> MediaFiles:
        """The files that a record names."""
        return cls(record.video, record.audio, record.face, span=record.span)
