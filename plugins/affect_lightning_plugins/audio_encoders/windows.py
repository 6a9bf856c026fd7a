"""Windows spread evenly over a clip, as the paper cuts sound before HuBERT (Appendix B: 8 windows of 2 seconds).

The first window starts with the clip, the last one ends with it. In short clips they overlap, in long clips they leave
gaps. If a clip is shorter than a window, every window is the whole clip, on request followed by silence. `prosody.py`
cuts sequences of analysis frames, the other speech encoders cut samples, and `whisper.py` cuts encoded frames.
Legend: B clips, S audio samples, N windows, L steps in a window, R pieces of the whole batch.
"""

from __future__ import annotations

from dataclasses import dataclass

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
            f"Lengths must be between 0 and the waveform's {waveform.shape[1]} samples; got {int(lengths.min())} to "
            f"{int(lengths.max())}."
        )


@dataclass(frozen=True)
class Pieces:
    """The sound of a batch, cut into what is encoded at once.

    Attributes:
        sound: Samples [R, L], zero behind a piece's length.
        lengths: Real samples a piece [R], int64.
        index: Which piece a window is [B, N], int64; several windows of a short clip are the same piece.
        mask: True where a clip has sound [B, N], bool.
    """

    sound: Tensor
    lengths: Tensor
    index: Tensor
    mask: Tensor

    @property
    def windows(self) -> Tensor:
        """How many windows each piece stands for [R], int64."""
        return torch.bincount(self.index[self.mask], minlength=len(self.sound))


def cut_pieces(waveform: Tensor, lengths: Tensor, count: int, size: int | None, *, padded: bool = False) -> Pieces:
    """Cut windows out of every clip that has sound; a clip that is not longer than a window is cut once.

    Args:
        waveform: [B, S].
        lengths: Real samples a clip [B], int64.
        count: Windows a clip, N; 1 for whole clips.
        size: Samples in a window, L; None: whole clips, L being the longest one.
        padded: The silence that fills a short clip up to a window counts as sound.
    """
    longest = max(int(lengths.max()), 1) if lengths.numel() else 1
    positions, inside = window_positions(lengths, count, longest if size is None else size)
    mask = (lengths > 0)[:, None].expand(-1, count)
    repeated = (lengths <= positions.shape[2])[:, None] & (torch.arange(count, device=lengths.device) > 0)
    kept = mask & ~repeated  # [B, N]
    index = (kept.flatten().cumsum(0) - 1).clamp(min=0).view_as(kept)
    if waveform.shape[1] == 0:
        waveform = waveform.new_zeros(len(waveform), 1)
    sound = waveform.gather(1, positions.flatten(1)).view_as(positions)[kept].masked_fill(~inside[kept], 0.0)
    real = inside[kept].sum(dim=-1)
    return Pieces(sound, torch.full_like(real, sound.shape[1]) if padded else real, index, mask)


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
