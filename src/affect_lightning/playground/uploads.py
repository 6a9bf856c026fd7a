"""An uploaded or recorded file, read into memory and deleted at once (ours).

What cannot be a clip (a text file, a picture, nothing, ten minutes) is refused in a sentence that names the remedy. Frames and
sound are those that `describe` reads from the file itself. `asked_networks.py` asks about the result.
Legend: T frames, S samples, H height and W width in pixels.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from affect_lightning.data.decoding import decode_clip, open_container
from affect_lightning.data.frame_choice import FrameChoice
from affect_lightning.data.picture_conversion import is_cover
from affect_lightning.data.quarantine import UnreadableClipError
from affect_lightning.errors import DataError
from affect_lightning.file_kinds import foreign_kind

_MICROSECONDS = 1_000_000  # FFmpeg's unit for the length of a container
_SILENCE = 1.0  # seconds of silence in the place of sound that is not there; no network hears it
_GREY = np.full((1, 64, 64, 3), 128, np.uint8)  # in the place of pictures that are not there; no network sees it


@dataclass(frozen=True)
class Limits:
    """What an upload may be; our choice: a clip of the benchmark lasts seconds and has a few megabytes.

    Attributes:
        megabytes: Largest file.
        seconds: Longest clip.
    """

    megabytes: int = 100
    seconds: float = 120.0


@dataclass(frozen=True)
class Reading:
    """How a network reads clips: what of an upload must be kept for it.

    Attributes:
        frames: T.
        choice: Which frame of each of T equal parts.
        sample_rate: In Hz.
    """

    frames: int
    choice: FrameChoice
    sample_rate: int


@dataclass(frozen=True)
class HeldClip:
    """A clip in memory.

    Attributes:
        frames: RGB, uint8 [T, H, W, 3], by T and choice.
        sounds: Mono in [-1, 1], float32 [S], by sample rate in Hz.
        seconds: How long it lasts.
        lacks: `pictures` or `sound`, if the file has none.
    """

    frames: dict[tuple[int, FrameChoice], np.ndarray] = field(repr=False)
    sounds: dict[int, np.ndarray] = field(repr=False)
    seconds: float
    lacks: tuple[str, ...] = ()


def read_upload(path: Path, readings: Iterable[Reading], limits: Limits | None = None) -> HeldClip:
    """Read what was uploaded or recorded. The file is deleted, whatever happens.

    Args:
        path: A video, or a file with sound alone.
        readings: Of the networks that will be asked.
        limits: Of size and length.

    Raises:
        DataError: The file is no clip, or too large or too long a one.
    """
    limits = limits or Limits()
    try:
        _check_file(path, limits)
        return _read(path, list(readings), limits)
    except UnreadableClipError as error:
        raise DataError(f"Choose another file: {path.name} cannot be read. {error.reason}") from error
    except OSError as error:
        raise DataError(f"Upload {path.name} again: it cannot be opened ({error.strerror or error}).") from error
    finally:
        path.unlink(missing_ok=True)


def with_sound_of(pictures: HeldClip | None, sound: HeldClip | None) -> HeldClip | None:
    """One clip out of a video and a sound file that takes the place of its sound; either may be missing."""
    if pictures is None or sound is None:
        return pictures or sound
    if "sound" in sound.lacks:
        return pictures
    lacks = tuple(name for name in pictures.lacks if name != "sound")
    return HeldClip(pictures.frames, sound.sounds, max(pictures.seconds, sound.seconds), lacks)


def _check_file(path: Path, limits: Limits) -> None:
    size = path.stat().st_size
    if size > limits.megabytes * 2**20:
        raise DataError(
            f"Choose a smaller file, or start the playground with a larger --megabytes: {path.name} has {size / 2**20:.0f} "
            f"MB, and {limits.megabytes} MB are allowed."
        )
    if (kind := foreign_kind(path)) is not None:
        raise DataError(f"Choose another file: {path.name} is {kind.rstrip('.')}.")
    import cv2

    if cv2.haveImageReader(str(path)):  # by its first bytes, whatever its name
        raise DataError(f"Choose a video or a sound file: {path.name} is a picture.")


def _read(path: Path, readings: list[Reading], limits: Limits) -> HeldClip:
    has_pictures, has_sound, seconds = _contents(path)
    _check_length(seconds, limits)
    if not (has_pictures or has_sound):
        raise DataError(f"Choose another file: {path.name} has neither pictures nor sound.")
    rates = dict.fromkeys(reading.sample_rate for reading in readings)
    sounds = {rate: _sound(path, rate) if has_sound else _silence(rate) for rate in rates}
    if has_sound:  # what a browser records does not say how long it is
        seconds = max(seconds, *(len(samples) / rate for rate, samples in sounds.items()))
        _check_length(seconds, limits)
    chosen = dict.fromkeys((reading.frames, reading.choice) for reading in readings)
    frames = {key: _frames(path, *key) if has_pictures else _GREY for key in chosen}
    lacking = (("pictures", has_pictures), ("sound", has_sound))
    return HeldClip(frames, sounds, seconds, tuple(name for name, is_there in lacking if not is_there))


def _check_length(seconds: float, limits: Limits) -> None:
    if seconds > limits.seconds:
        raise DataError(
            f"Choose a shorter clip, or start the playground with a larger --seconds: this one lasts {seconds:.0f} s, and "
            f"{limits.seconds:.0f} s are allowed. `affect-lightning predict --segments` answers long videos part by part."
        )


def _contents(path: Path) -> tuple[bool, bool, float]:
    """Whether a file has pictures, whether it has sound, and how long it lasts in seconds: 0 if it does not say."""
    with open_container(path, "video") as container:
        moving = [stream for stream in container.streams.video if not is_cover(stream)]
        return bool(moving), bool(container.streams.audio), float(container.duration or 0) / _MICROSECONDS


def _frames(path: Path, count: int, choice: FrameChoice) -> np.ndarray:
    found = decode_clip(path, None, frame_count=count, sample_rate=None, frame_choice=choice)
    assert found.frames is not None
    return found.frames[found.frame_mask]


def _sound(path: Path, sample_rate: int) -> np.ndarray:
    found = decode_clip(None, path, frame_count=None, sample_rate=sample_rate).waveform
    assert found is not None
    return found


def _silence(sample_rate: int) -> np.ndarray:
    return np.zeros(int(_SILENCE * sample_rate), np.float32)
