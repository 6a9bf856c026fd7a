"""Reads the commonest sound file, 16-bit PCM in a WAV, without FFmpeg (paper, Appendix B: sound beside each clip).

Hand-written for speed: FFmpeg takes some milliseconds to open a WAV and to turn its samples into floats, as long as
decoding the pictures of a small clip, and longer to resample one. At the wanted rate the numbers are the same. Everything
else, every damaged file too, is left to FFmpeg.
Neighbours: `decoding.py` asks here first, `resampling.py` changes the rate. Legend: S audio samples, C channels.
"""

from __future__ import annotations

import wave

import numpy as np

from affect_lightning.data.media_files import MediaFile, PackedFile
from affect_lightning.data.resampling import resample

_BYTES = 2  # a sample
_FULL_SCALE = np.float32(1 / 32768)  # FFmpeg's
_RATES = (8_000, 192_000)  # Hz, our choice: from telephone to studio; others are left to FFmpeg
_MOST_BYTES = 2**26  # our choice: six minutes at 48 kHz; FFmpeg resamples longer ones piece by piece


def read_plain_wav(
    path: MediaFile, sample_rate: int, *, least_seconds: float, most_seconds: float
) -> np.ndarray | None:
    """Mono waveform, float32 [S] in [-1, 1), the average of the channels.

    Args:
        path: The sound file.
        sample_rate: Wanted rate in Hz; a file of another rate is resampled.
        least_seconds: A shorter sound is left to FFmpeg, and so to its error.
        most_seconds: A longer one too.

    Returns:
        None for anything but a whole 16-bit PCM WAV of such a length.

    Raises:
        UnreadableClipError: A packed file could not be read when it was packed.
    """
    if path.suffix.lower() != ".wav" or not (isinstance(path, PackedFile) or path.is_file()):
        return None
    try:
        with wave.open(path.opened("audio") if isinstance(path, PackedFile) else str(path), "rb") as sound:
            length, channels = sound.getnframes(), sound.getnchannels()
            rate, width = sound.getframerate(), sound.getsampwidth()
            if width != _BYTES or not least_seconds * rate <= length <= most_seconds * rate:
                return None
            if rate != sample_rate and not (
                _RATES[0] <= rate <= _RATES[1] and length * channels * _BYTES <= _MOST_BYTES
            ):
                return None
            content = sound.readframes(length)
    except (wave.Error, EOFError, OSError):
        return None
    if len(content) != length * channels * _BYTES:  # truncated
        return None
    waveform = np.frombuffer(content, dtype="<i2").astype(np.float32) * _FULL_SCALE
    mono = _average(waveform.reshape(length, channels)) if channels > 1 else waveform
    return mono if rate == sample_rate else resample(mono, rate, sample_rate)


def _average(waveform: np.ndarray) -> np.ndarray:
    """Average of the channels of [S, C]; channel by channel, which is 6 times faster than numpy's mean of narrow rows."""
    total = waveform[:, 0].copy()
    for channel in range(1, waveform.shape[1]):
        total += waveform[:, channel]
    return total / np.float32(waveform.shape[1])
