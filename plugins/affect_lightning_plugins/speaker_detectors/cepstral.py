"""Mel-frequency cepstral coefficients as the speech recognisers of the HTK school compute them.

Light-ASD and TalkNet were trained on the coefficients of the package python_speech_features, whose details differ from
librosa's: frames without a window function, 26 triangles whose corners are whole bins, liftered coefficients, and the
frame's energy in place of the first. Davis and Mermelstein (1980); HTK Book, Section 5. Legend: S samples, F frames.
"""

from __future__ import annotations

import numpy as np

RATE = 16_000  # Hz
FRAME, STEP = 400, 160  # samples: 25 ms every 10 ms
POINTS = 512  # of the Fourier transform
TRIANGLES, COEFFICIENTS = 26, 13
EMPHASIS, LIFTER = 0.97, 22
_FULL_SCALE = 32768.0  # both models were trained on 16-bit numbers, and the energy depends on the scale


def coefficients(waveform: np.ndarray) -> np.ndarray:
    """Coefficients of sound.

    Args:
        waveform: Mono, in [-1, 1] at `RATE` [S]; S at least 1.

    Returns:
        float32 [F, 13], F = 1 + (S - 400) / 160, rounded up, and at least 1.
    """
    sound = waveform.astype(np.float64) * _FULL_SCALE
    sound = np.append(sound[0], sound[1:] - EMPHASIS * sound[:-1])
    frames = 1 + max(0, -(-(len(sound) - FRAME) // STEP))
    padded = np.zeros((frames - 1) * STEP + FRAME)
    padded[: len(sound)] = sound
    pieces = np.lib.stride_tricks.sliding_window_view(padded, FRAME)[::STEP]
    power = np.abs(np.fft.rfft(pieces, POINTS)) ** 2 / POINTS
    least = np.finfo(float).eps  # silence has no logarithm
    energy = np.maximum(power.sum(axis=1), least)
    bands = np.log(np.maximum(power @ _triangles().T, least))
    orders = np.arange(COEFFICIENTS)
    lifted = (bands @ _cosines().T) * (1 + LIFTER / 2 * np.sin(np.pi * orders / LIFTER))
    lifted[:, 0] = np.log(energy)
    return lifted.astype(np.float32)


def _triangles() -> np.ndarray:
    """Weights of the bins in each triangle [26, 257]; corners are equally far apart in mels."""
    top = 2595 * np.log10(1 + RATE / 2 / 700)
    hertz = 700 * (10 ** (np.linspace(0, top, TRIANGLES + 2) / 2595) - 1)
    corners = np.floor((POINTS + 1) * hertz / RATE)
    bins = np.arange(POINTS // 2 + 1)
    left, middle, right = (corners[index : index + TRIANGLES, None] for index in range(3))
    rising, falling = (bins - left) / (middle - left), (right - bins) / (right - middle)
    return np.where(bins < middle, np.clip(rising, 0, None), np.clip(falling, 0, None))


def _cosines() -> np.ndarray:
    """Orthonormal cosine transform of the second kind [13, 26]."""
    places = (np.arange(TRIANGLES) + 0.5) / TRIANGLES
    table = np.cos(np.pi * np.arange(COEFFICIENTS)[:, None] * places) * np.sqrt(2 / TRIANGLES)
    table[0] /= np.sqrt(2)
    return table
