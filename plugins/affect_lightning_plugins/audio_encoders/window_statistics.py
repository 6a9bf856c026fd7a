"""From measures every 10 ms to one standardised vector a window, for the `prosody` encoder.

The statistics are the usual ones of affective computing (functionals of pitch, loudness, tempo and spectrum). Fixed
constants bring each of them roughly to mean 0 and standard deviation 1, so that later layers need not learn scales.
`prosody.py` measures the frames.
Legend: B clips, F analysis frames, N windows, L frames in a window, M mel bands, D feature width.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from affect_lightning.sending import sent

PITCH_QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
LOUDNESS_QUANTILES = (0.1, 0.5, 0.9)


@dataclass(frozen=True)
class FrameMeasures:
    """What is measured every 10 ms.

    Attributes:
        mel: Natural logarithm of the power in mel bands [B, F, M].
        decibels: Power of the frame in dB of full scale [B, F].
        octaves: Pitch in octaves above the lowest one sought [B, F]; meaningless where not voiced.
        voiced: True where there is a pitch [B, F], bool.
        aperiodicity: 0 for a clear tone, 1 for noise and silence [B, F].
    """

    mel: Tensor
    decibels: Tensor
    octaves: Tensor
    voiced: Tensor
    aperiodicity: Tensor


def statistics_width(bands: int) -> int:
    """Width D of a window's vector: mean and deviation of every band, and the other statistics."""
    return 2 * bands + len(STATISTICS)


# Name, and the typical mean and standard deviation in read and acted speech at 16 kHz; rounded, our choice.
STATISTICS: tuple[tuple[str, float, float], ...] = (
    ("pitch_mean", 1.3, 0.55),  # octaves above the lowest pitch, as all of pitch
    ("pitch_deviation", 0.2, 0.15),
    ("pitch_quantile_0.05", 1.1, 0.55),
    ("pitch_quantile_0.25", 1.2, 0.55),
    ("pitch_quantile_0.5", 1.3, 0.55),
    ("pitch_quantile_0.75", 1.4, 0.55),
    ("pitch_quantile_0.95", 1.5, 0.6),
    ("pitch_range", 0.5, 0.4),
    ("pitch_movement", 0.015, 0.015),  # octaves in 10 ms
    ("voiced_share", 0.6, 0.17),
    ("aperiodicity_mean", 0.32, 0.11),
    ("voice_onsets", 4.2, 1.7),  # a second
    ("loudness_mean", -38.0, 6.0),  # dB of full scale, as all of loudness
    ("loudness_deviation", 11.0, 2.5),
    ("loudness_quantile_0.1", -54.0, 9.0),
    ("loudness_quantile_0.5", -36.0, 6.0),
    ("loudness_quantile_0.9", -28.0, 6.0),
    ("loudness_range", 28.0, 9.0),
    ("loudness_movement", 2.2, 0.6),  # dB in 10 ms
    ("loudness_peaks", 4.2, 1.6),  # a second
    ("spectral_flux", 0.8, 0.25),  # change of log power in 10 ms, mean of the bands
    ("spectral_tilt", -4.5, 1.8),  # log power
)
# Log power of the mel bands falls from the first mean to the second. Bands tell who speaks as much as how, and there
# are many of them: a scale of about three deviations keeps them from outweighing pitch, loudness and tempo.
MEL_MEANS, MEL_MEAN_SCALE = (-9.0, -14.0), 5.5
MEL_DEVIATION, MEL_DEVIATION_SCALE = 3.0, 2.0


def window_statistics(measures: FrameMeasures, positions: Tensor, inside: Tensor, step: float) -> Tensor:
    """Statistics of every window, standardised.

    Args:
        measures: Of all frames of the batch.
        positions: Frames of every window [B, N, L], int64.
        inside: True where such a frame is real [B, N, L], bool.
        step: Seconds from frame to frame.

    Returns:
        [B, N, D]; pitch statistics are 0, that is typical, in a window without any voiced frame.
    """
    loudness = _gather(measures.decibels, positions)
    octaves = _gather(measures.octaves, positions)
    voiced = _gather(measures.voiced, positions) & inside
    aperiodicity = _gather(measures.aperiodicity, positions)
    mel_mean, mel_deviation = _band_moments(measures.mel, positions, inside)  # [B, N, M]
    change = torch.nn.functional.pad((measures.mel[:, 1:] - measures.mel[:, :-1]).abs().mean(dim=-1), (1, 0))
    heard = inside[..., 1:] & inside[..., :-1]
    seconds = inside.sum(dim=-1).clamp(min=1) * step
    values = [
        *_pitch_statistics(octaves, voiced),
        voiced.sum(dim=-1) / inside.sum(dim=-1).clamp(min=1),
        masked_moments(aperiodicity, inside)[0],
        ((voiced[..., 1:] & ~voiced[..., :-1]).sum(dim=-1)) / seconds,
        *_loudness_statistics(loudness, inside, seconds),
        masked_moments(_gather(change, positions)[..., 1:], heard)[0],
        _tilt(mel_mean),
    ]
    typical = sent([row[1:] for row in STATISTICS], mel_mean.device)
    vector = (torch.stack(values, dim=-1) - typical[:, 0]) / typical[:, 1]
    unvoiced = ~voiced.any(dim=-1)
    pitched = sent([row[0].startswith("pitch") for row in STATISTICS], mel_mean.device)
    vector = vector.masked_fill(unvoiced[..., None] & pitched, 0.0)
    falling = torch.linspace(*MEL_MEANS, mel_mean.shape[-1], device=mel_mean.device)
    bands = ((mel_mean - falling) / MEL_MEAN_SCALE, (mel_deviation - MEL_DEVIATION) / MEL_DEVIATION_SCALE)
    return torch.cat([*bands, vector], dim=-1)


def _gather(values: Tensor, positions: Tensor) -> Tensor:
    """Values [B, F, ...] at positions [B, N, L] -> [B, N, L, ...]."""
    clips = torch.arange(len(values), device=values.device)[:, None, None]
    return values[clips, positions]


def _band_moments(mel: Tensor, positions: Tensor, inside: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of every band in every window [B, N, M], without copying the windows out."""
    weights = torch.zeros(*positions.shape[:2], mel.shape[1], device=mel.device)
    weights.scatter_add_(2, positions, inside.to(weights.dtype))  # [B, N, F]
    count = weights.sum(dim=-1, keepdim=True).clamp(min=1.0)
    mean = weights @ mel / count
    centre = sum(MEL_MEANS) / 2  # a fixed one, so that the difference of squares keeps its digits
    squares = weights @ (mel - centre).square() / count
    return mean, (squares - (mean - centre).square()).clamp(min=0.0).sqrt()


def _pitch_statistics(octaves: Tensor, voiced: Tensor) -> list[Tensor]:
    mean, deviation = masked_moments(octaves, voiced)
    quantiles = masked_quantiles(octaves, voiced, PITCH_QUANTILES)
    both = voiced[..., 1:] & voiced[..., :-1]
    movement = masked_moments((octaves[..., 1:] - octaves[..., :-1]).abs(), both)[0]
    return [mean, deviation, *quantiles, quantiles[-1] - quantiles[0], movement]


def _loudness_statistics(loudness: Tensor, inside: Tensor, seconds: Tensor) -> list[Tensor]:
    mean, deviation = masked_moments(loudness, inside)
    quantiles = masked_quantiles(loudness, inside, LOUDNESS_QUANTILES)
    both = inside[..., 1:] & inside[..., :-1]
    movement = masked_moments((loudness[..., 1:] - loudness[..., :-1]).abs(), both)[0]
    # A syllable is counted where the loudness rises through the middle of its range.
    level = 0.5 * (quantiles[0] + quantiles[-1])
    loud = (loudness > level[..., None]) & inside
    peaks = (loud[..., 1:] & ~loud[..., :-1]).sum(dim=-1) / seconds
    return [mean, deviation, *quantiles, quantiles[-1] - quantiles[0], movement, peaks]


def _tilt(mel_mean: Tensor) -> Tensor:
    """Mean log power of the upper half of the bands above that of the lower half [B, N]."""
    half = mel_mean.shape[-1] // 2
    return mel_mean[..., half:].mean(dim=-1) - mel_mean[..., :half].mean(dim=-1)


def masked_moments(values: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation over the last dimension where the mask is True; 0 where it is nowhere True."""
    mask = mask.expand_as(values)
    count = mask.sum(dim=-1).clamp(min=1)
    mean = values.masked_fill(~mask, 0.0).sum(dim=-1) / count
    squares = (values - mean[..., None]).masked_fill(~mask, 0.0).square().sum(dim=-1)
    return mean, (squares / count).sqrt()


def masked_quantiles(values: Tensor, mask: Tensor, quantiles: tuple[float, ...]) -> list[Tensor]:
    """Quantiles over the last dimension where the mask is True, with linear interpolation; 0 where nowhere True.

    >>> masked_quantiles(torch.tensor([1.0, 9.0, 3.0]), torch.tensor([True, False, True]), (0.5,))
    [tensor(2.)]
    """
    ordered = values.masked_fill(~mask, torch.inf).sort(dim=-1).values
    last = (mask.sum(dim=-1, keepdim=True) - 1).clamp(min=0)
    place = last * sent(quantiles, values.device)  # [..., quantiles]
    below = place.floor().long()
    low, high = ordered.gather(-1, below), ordered.gather(-1, torch.minimum(below + 1, last))
    found = torch.lerp(low, high, place - below).masked_fill(~mask.any(dim=-1, keepdim=True), 0.0)
    return list(found.unbind(dim=-1))
