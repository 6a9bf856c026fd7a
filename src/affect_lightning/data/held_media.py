"""Takes the wanted pictures and sound of a clip that is in memory: numpy frames and a waveform (ours).

Pictures are chosen by the rule for pictures without times (`frame_choice.py`), and sound is resampled as that of a WAV
file (`plain_wav.py`). `dataset.py` asks here instead of `decoding.py`. Legend: N pictures given, T pictures taken, S samples.
"""

from __future__ import annotations

import numpy as np

from affect_lightning.data.decoding import MIN_SOUND_SECONDS, SAMPLE_RATES, DecodedClip
from affect_lightning.data.frame_choice import FrameChoice, uniform_indices
from affect_lightning.data.media_files import HeldMedia
from affect_lightning.data.plain_wav import resample
from affect_lightning.data.quarantine import UnreadableClipError


def decode_held(
    held: HeldMedia, *, frame_count: int | None, sample_rate: int | None, frame_choice: FrameChoice = "middle"
) -> DecodedClip:
    """What `decode_clip` gives for files.

    Args:
        held: The clip.
        frame_count: T, or None to leave the pictures out.
        sample_rate: Of the waveform in Hz, or None to leave the sound out.
        frame_choice: Which picture of each of T equal parts.

    Raises:
        UnreadableClipError: What is wanted was not given, or is none.
    """
    frames = mask = None
    if frame_count is not None:
        given = _checked_frames(held)
        chosen = uniform_indices(len(given), frame_count, frame_choice)
        frames = np.zeros((frame_count, *given.shape[1:]), dtype=np.uint8)
        frames[: len(chosen)] = given[chosen]
        mask = np.arange(frame_count) < len(chosen)
    return DecodedClip(frames, mask, None, None if sample_rate is None else _sound(held, sample_rate))


def _checked_frames(held: HeldMedia) -> np.ndarray:
    if held.frames is None:
        raise UnreadableClipError(
            None, "video", "the network sees pictures. Give them as `frames`, uint8 [N, H, W, 3]."
        )
    frames = np.asarray(held.frames)
    if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[3] != 3 or 0 in frames.shape:
        found = f"{frames.dtype} {list(frames.shape)}"
        raise UnreadableClipError(None, "video", f"`frames` must be RGB, uint8 [N, H, W, 3]; got {found}.")
    return frames


def _sound(held: HeldMedia, sample_rate: int) -> np.ndarray:
    """The waveform at the wanted rate, float32 [S]."""
    if held.waveform is None:
        raise UnreadableClipError(None, "audio", "the network hears sound. Give it as `sound`, with its `sample_rate`.")
    sound = np.asarray(held.waveform)
    if sound.ndim != 1 or sound.dtype.kind != "f" or not np.isfinite(sound).all() or np.abs(sound).max(initial=0) > 1:
        raise UnreadableClipError(
            None, "audio", f"`sound` must be mono floats [S] in [-1, 1]; got {sound.dtype} {list(sound.shape)}."
        )
    if not SAMPLE_RATES[0] <= held.sample_rate <= SAMPLE_RATES[1]:
        allowed = f"{SAMPLE_RATES[0]} to {SAMPLE_RATES[1]} Hz"
        raise UnreadableClipError(None, "audio", f"`sample_rate` must be {allowed}; got {held.sample_rate}.")
    if len(sound) < MIN_SOUND_SECONDS * held.sample_rate:
        seconds = f"{len(sound) / held.sample_rate:.4f} s"
        raise UnreadableClipError(None, "audio", f"`sound` must last {MIN_SOUND_SECONDS} s or more; got {seconds}.")
    sound = sound.astype(np.float32)
    return sound if held.sample_rate == sample_rate else resample(sound, held.sample_rate, sample_rate)
