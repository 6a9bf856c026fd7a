"""Reads the commonest sound file, 16-bit PCM in a WAV, without FFmpeg (paper, Appendix B: sound next to each clip, 16 kHz).

Hand-written for speed. FFmpeg takes some milliseconds to open a WAV and to turn its samples into floats, as long as
decoding the pictures of a small clip, and longer to resample one. At the wanted rate the numbers are the same. Other
rates are resampled by librosa, that is by soxr: such a file is read 1.1 to 9 times as fast as by FFmpeg (docs/data.md).
FFmpeg reads all other files, and every damaged one. `decoding.py` asks here first.
Legend: S audio samples, C channels.
"""

from __future__ import annotations

import atexit
import importlib.util
import os
import shutil
import tempfile
import wave

import numpy as np

from affect_lightning.data.media_files import MediaFile, PackedFile
from affect_lightning.storage import user_cache_folder

_BYTES = 2  # a sample
_FULL_SCALE = np.float32(1 / 32768)  # FFmpeg's
_RATES = (8_000, 192_000)  # Hz, our choice: from telephone to studio; others are left to FFmpeg
_MOST_BYTES = 2**26  # our choice: six minutes at 48 kHz; FFmpeg resamples longer ones piece by piece
_METHOD = "soxr_hq"  # librosa's default


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


def says_no_length(path: MediaFile) -> bool:
    """Whether a WAV file comes from a pipe: its header was written before anybody knew how long it would be."""
    if path.suffix.lower() != ".wav":
        return False
    try:
        with path.opened("audio") if isinstance(path, PackedFile) else path.open("rb") as file:
            head = file.read(8)
    except OSError:
        return False
    return head[:4] == b"RIFF" and head[4:] in (bytes(4), b"\xff" * 4)


def _average(waveform: np.ndarray) -> np.ndarray:
    """Average of the channels of [S, C]; channel by channel, which is 6 times faster than numpy's mean of narrow rows."""
    total = waveform[:, 0].copy()
    for channel in range(1, waveform.shape[1]):
        total += waveform[:, channel]
    return total / np.float32(waveform.shape[1])


def resample(waveform: np.ndarray, rate: int, wanted: int) -> np.ndarray:
    """The same sound at another rate.

    Args:
        waveform: float32 [S] in [-1, 1].
        rate: Of the waveform in Hz.
        wanted: In Hz.

    Returns:
        float32 [round(S * wanted / rate)] in [-1, 1]; what the filter takes past full scale is cut, as elsewhere.
    """
    _give_numba_a_folder()
    import librosa

    found = librosa.resample(waveform, orig_sr=rate, target_sr=wanted, res_type=_METHOD)
    return np.clip(found[: round(len(waveform) * wanted / rate)], -1.0, 1.0)


def _give_numba_a_folder() -> None:
    """Let librosa be imported where neither its own folder nor the home can be written.

    numba, which it is compiled with, wants to keep machine code there and raises where it cannot.
    """
    spec = importlib.util.find_spec("librosa")
    beside = list(spec.submodule_search_locations or ()) if spec else []
    if "NUMBA_CACHE_DIR" in os.environ or any(os.access(folder, os.W_OK) for folder in beside):
        return
    try:
        folder = str(user_cache_folder("numba"))
        os.makedirs(folder, exist_ok=True)
    except (OSError, RuntimeError):  # no home, or none that can be written
        folder = tempfile.mkdtemp(prefix="affect-lightning-numba-")
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
    os.environ["NUMBA_CACHE_DIR"] = folder
