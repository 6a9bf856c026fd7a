"""Reads the commonest sound file, 16-bit PCM in a WAV, without FFmpeg (paper, Appendix B: sound beside each clip).

Hand-written for speed: FFmpeg takes some milliseconds to open a WAV and to turn its samples into floats, as long as
decoding the pictures of a small clip. The numbers are the same. Everything else, every damaged file too, is left to FFmpeg.
Neighbour: `decoding.py` asks here first. Legend: S audio samples, C channels.
"""

from __future__ import annotations

import wave

import numpy as np

from affect_lightning.data.media_files import MediaFile, PackedFile

_BYTES = 2  # a sample
_FULL_SCALE = np.float32(1 / 32768)  # FFmpeg's


def read_plain_wav(
    path: MediaFile, sample_rate: int, *, least_seconds: float, most_seconds: float
) -> np.ndarray | None:
    """Mono waveform, float32 [S] in [-1, 1), the average of the channels.

    Args:
        path: The sound file.
        sample_rate: Wanted rate in Hz; a file of another rate is left to FFmpeg.
        least_seconds: A shorter sound is left to FFmpeg, and so to its error.
        most_seconds: A longer one too.

    Returns:
        None for anything but a whole 16-bit PCM WAV of this rate and length.

    Raises:
        UnreadableClipError: A packed file could not be read when it was packed.
    """
    if path.suffix.lower() != ".wav" or not (isinstance(path, PackedFile) or path.is_file()):
        return None
    try:
        with wave.open(path.opened("audio") if isinstance(path, PackedFile) else str(path), "rb") as sound:
            length, channels = sound.getnframes(), sound.getnchannels()
            plain = sound.getsampwidth() == _BYTES and sound.getframerate() == sample_rate
            if not plain or not least_seconds * sample_rate <= length <= most_seconds * sample_rate:
                return None
            content = sound.readframes(length)
    except (wave.Error, EOFError, OSError):
        return None
    if len(content) != length * channels * _BYTES:  # truncated
        return None
    waveform = np.frombuffer(content, dtype="<i2").astype(np.float32) * _FULL_SCALE
    return waveform if channels == 1 else waveform.reshape(length, channels).T.mean(axis=0)
