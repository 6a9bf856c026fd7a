"""Log-mel filter banks as Kaldi computes them, in torch: what ImageBind hears.

Paper, Figure 4 (ImageBind). Kaldi's way differs from librosa's in five points that matter: no padding at the ends, the
mean of every frame removed, pre-emphasis within the frame, a symmetric window, and triangles that are straight in mel.
Used by `imagebind.py`. Neighbour: `whisper.py` has Whisper's own spectrogram.
Legend: R sounds, L samples, F frames, M mel bands.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

SAMPLE_RATE = 16_000  # Hz
FRAME, HOP = 400, 160  # 25 and 10 ms: Kaldi's defaults
_FFT = 512  # the next power of two
_PRE_EMPHASIS = 0.97  # Kaldi's default
_LOWEST = 20.0  # Hz; Kaldi's default
_SMALLEST = torch.finfo(torch.float32).eps  # under the logarithm, as in Kaldi


def frame_counts(lengths: Tensor) -> Tensor:
    """Whole frames in sounds of so many samples.

    >>> frame_counts(torch.tensor([399, 400, 560, 32_000])).tolist()
    [0, 1, 2, 198]
    """
    return ((lengths - FRAME).div(HOP, rounding_mode="floor") + 1).clamp(min=0)


def mel_filters(bands: int) -> Tensor:
    """Triangles from 20 Hz to half the sample rate, even and straight in mel (HTK's scale).

    Returns:
        Weights of the power spectrum [257, M], float32.
    """
    low, high = _mel(torch.tensor([_LOWEST, SAMPLE_RATE / 2], dtype=torch.float64))
    edges = torch.linspace(float(low), float(high), bands + 2, dtype=torch.float64)
    bins = _mel(torch.arange(_FFT // 2 + 1, dtype=torch.float64) * (SAMPLE_RATE / _FFT))[:, None]
    rising = (bins - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - bins) / (edges[2:] - edges[1:-1])
    filters = torch.minimum(rising, falling).clamp(min=0.0)
    filters[-1] = 0.0  # Kaldi leaves the last bin, half the sample rate, out
    return filters.float()


def log_filter_banks(sound: Tensor, filters: Tensor) -> Tensor:
    """Natural logarithm of the filter banks [R, F, M] of sounds [R, L] of at least one frame.

    Args:
        sound: float32, in [-1, 1].
        filters: From `mel_filters`.
    """
    with torch.autocast(sound.device.type, enabled=False):
        frames = sound.unfold(1, FRAME, HOP)  # [R, F, FRAME]
        frames = frames - frames.mean(dim=-1, keepdim=True)
        before = functional.pad(frames, (1, 0), mode="replicate")[..., :-1]
        window = torch.hann_window(FRAME, periodic=False, device=sound.device)
        spectrum = torch.fft.rfft((frames - _PRE_EMPHASIS * before) * window, n=_FFT)
        power = spectrum.abs().square()  # [R, F, 257]
        return (power @ filters.to(sound.device)).clamp(min=_SMALLEST).log()


def _mel(hertz: Tensor) -> Tensor:
    return 1127.0 * (1.0 + hertz / 700.0).log()
