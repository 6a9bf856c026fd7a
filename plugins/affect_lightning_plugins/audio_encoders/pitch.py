"""Fundamental frequency of a batch of frames by YIN, in torch and without a loop.

YIN: de Cheveigne and Kawahara, J. Acoust. Soc. Am. 111(4), 2002; step numbers below are the article's. It serves the
`prosody` encoder, for which librosa's pyin would take most of a second a clip.
Legend: F frames, P samples in a frame, G lags.
"""

from __future__ import annotations

import torch
from torch import Tensor


def yin_pitch(
    frames: Tensor, sample_rate: int, lowest: float, highest: float, threshold: float = 0.15
) -> tuple[Tensor, Tensor]:
    """Pitch and aperiodicity of frames.

    Args:
        frames: Sound [F, P], float32; P must be more than twice the longest lag, `sample_rate / lowest`.
        sample_rate: In Hz.
        lowest: Lowest pitch sought, in Hz.
        highest: Highest pitch sought, in Hz.
        threshold: Depth that a dip must reach to be taken before a deeper one at a longer lag (step 4); our choice
            between the article's 0.1 and the 0.2 of later toolkits.

    Returns:
        Pitch in Hz [F], and aperiodicity [F]: near 0 for a clear tone, about 1 for noise and for silence.

    >>> tone = torch.sin(torch.arange(1024) * (2 * torch.pi * 200 / 16000))
    >>> round(float(yin_pitch(tone[None], 16000, 60, 500)[0]))
    200
    """
    shortest, longest = max(int(sample_rate / highest), 2), int(sample_rate / lowest) + 1
    difference = _difference(frames, longest)  # [F, longest + 1]
    running = difference[:, 1:].cumsum(dim=1) / torch.arange(1, longest + 1, device=frames.device)
    quiet = running <= 1e-8 * frames.shape[1]
    normalised = torch.where(quiet, 1.0, difference[:, 1:] / running.clamp(min=1e-12))  # step 3; column 0 is lag 1
    middle = normalised[:, shortest - 1 : longest - 1]  # lags `shortest` to `longest - 1`, both with neighbours
    before, after = normalised[:, shortest - 2 : longest - 2], normalised[:, shortest:longest]
    dips = (middle < threshold) & (middle <= before) & (middle < after)
    chosen = torch.where(dips.any(dim=1), dips.float().argmax(dim=1), middle.argmin(dim=1))[:, None]
    low, centre, high = (part.gather(1, chosen) for part in (before, middle, after))
    curvature = low - 2.0 * centre + high
    shift = torch.where(curvature > 1e-9, 0.5 * (low - high) / curvature.clamp(min=1e-9), 0.0).clamp(-0.5, 0.5)
    lag = chosen + shortest + shift  # step 5: parabolic interpolation
    return (sample_rate / lag).squeeze(1), centre.squeeze(1).clamp(0.0, 1.0)


def _difference(frames: Tensor, longest: int) -> Tensor:
    """Squared difference of each frame and its copy at lags 0 to `longest` [F, longest + 1] (step 2), through FFT."""
    size = frames.shape[1]
    span = size - longest  # samples compared at every lag
    spectrum = torch.fft.rfft(frames, n=size)
    start = torch.fft.rfft(frames[:, :span], n=size)
    # No wrap-around: span + longest = size.
    product = torch.fft.irfft(spectrum * start.conj(), n=size)[:, : longest + 1]
    squares = torch.nn.functional.pad(frames.square().cumsum(dim=1), (1, 0))
    energy = squares[:, span : span + longest + 1] - squares[:, : longest + 1]
    return (energy[:, :1] + energy - 2.0 * product).clamp(min=0.0)
