"""Windows spread evenly over a clip, as the paper cuts sound before HuBERT (Appendix B: 8 windows of 2 seconds).

The first window starts with the clip, the last one ends with it; they overlap in short clips and leave gaps in long
ones. Where a clip is shorter than a window, every window is the whole clip.
Neighbours: `prosody.py` cuts sequences of analysis frames, `tiny_audio.py` cuts samples.
Legend: B clips, S audio samples, N windows, L steps in a window.
"""

from __future__ import annotations

import torch
from torch import Tensor

from affect_lightning.errors import ContractError


def check_waveform(waveform: Tensor, lengths: Tensor) -> None:
    """Check what an audio encoder was given.

    Raises:
        ContractError: `waveform` is not floating point [B, S], or `lengths` is not an integer [B] in 0 to S.
    """
    if waveform.ndim != 2 or not waveform.is_floating_point():
        raise ContractError(
            f"An audio encoder takes a floating point waveform [B, S] in [-1, 1]; got {waveform.dtype} "
            f"{list(waveform.shape)}."
        )
    if lengths.shape != waveform.shape[:1] or lengths.is_floating_point() or lengths.dtype == torch.bool:
        raise ContractError(
            f"An audio encoder takes int64 lengths [{waveform.shape[0]}] to fit its waveform; got {lengths.dtype} "
            f"{list(lengths.shape)}."
        )
    if lengths.numel() and (int(lengths.min()) < 0 or int(lengths.max()) > waveform.shape[1]):
        raise ContractError(
            f"Lengths must lie between 0 and the waveform's {waveform.shape[1]} samples; got {int(lengths.min())} to "
            f"{int(lengths.max())}."
        )


def window_positions(lengths: Tensor, count: int, size: int) -> tuple[Tensor, Tensor]:
    """Positions of the steps of every window.

    Args:
        lengths: Real steps a clip [B], int64.
        count: Windows a clip, N.
        size: Steps in a window, L.

    Returns:
        Positions [B, N, L], int64, and True where a position lies inside its clip [B, N, L], bool. Positions outside
        are clamped to the last real step (or 0), so that they can be gathered.

    >>> positions, inside = window_positions(torch.tensor([10]), count=3, size=4)
    >>> positions[0, :, 0].tolist()
    [0, 3, 6]
    """
    spare = (lengths - size).clamp(min=0)  # [B]
    steps = torch.arange(count, device=lengths.device)
    # Integers throughout: a rounded float could differ from device to device.
    starts = (spare[:, None] * steps) // max(count - 1, 1)
    positions = starts[:, :, None] + torch.arange(size, device=lengths.device)
    inside = positions < lengths[:, None, None]
    return torch.minimum(positions, (lengths - 1).clamp(min=0)[:, None, None]), inside
