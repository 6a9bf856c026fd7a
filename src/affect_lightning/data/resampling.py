"""A waveform at another sample rate, by librosa (paper, Appendix B: the sound of every clip at 16 kHz).

librosa resamples by soxr: such a file is read 1.1 to 9 times as fast as by FFmpeg (docs/data.md). Its import takes 1.4
seconds, so it waits for the first file that needs it. Neighbour: `plain_wav.py` reads the file.
Legend: S audio samples.
"""

from __future__ import annotations

import atexit
import importlib.util
import os
import shutil
import tempfile

import numpy as np

from affect_lightning.storage import user_cache_folder

_METHOD = "soxr_hq"  # librosa's default


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
