"""Windows spread evenly over a clip, as the paper cuts sound before HuBERT (Appendix B: 8 windows of 2 seconds).

The first window starts with the clip, the last one ends with it. In short clips they overlap, in long clips they leave
gaps. If a clip is shorter than a window, every window is the whole clip, on request followed by silence. `prosody.py`
cuts sequences of analysis frames, the other speech encoders cut samples, and `whisper.py` cuts encoded frames.
Legend: B clips, S audio samples, N windows, L steps in a window, R pieces of the whole batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from affect_lightning.errors import ContractError
from affect_lightning.sending import sent_rows


def checked_lengths(waveform: Tensor, lengths: Tensor) -> list[int]:
    """Check what an audio encoder was given.

    Returns:
        The lengths as numbers. Lengths on a GPU are waited for; the network hands them over on the processor.

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
    known: list[int] = lengths.tolist()
    if known and (min(known) < 0 or max(known) > waveform.shape[1]):
        raise ContractError(
            f"Lengths must be between 0 and the waveform's {waveform.shape[1]} samples; got {min(known)} to {max(known)}."
        )
    return known


@dataclass(frozen=True)
class Pieces:
    """The sound of a batch, cut into what is encoded at once. Tensors are on the sound's device.

    Attributes:
        sound: Samples [R, L], zero behind a piece's length.
        known_lengths: Real samples of each piece, R numbers.
        lengths: The same [R], int64.
        times: How many windows each piece stands for [R], int64.
        index: Which piece a window is [B, N], int64; several windows of a short clip are the same piece.
        mask: True where a clip has sound [B, N], bool.
    """

    sound: Tensor
    known_lengths: tuple[int, ...]
    lengths: Tensor
    times: Tensor
    index: Tensor
    mask: Tensor


def cut_pieces(
    waveform: Tensor, lengths: Sequence[int], count: int, size: int | None, *, padded: bool = False
) -> Pieces:
    """Cut windows out of every clip that has sound; a clip that is not longer than a window is cut once.

    What is cut follows from the lengths, so the processor plans it and sends the plan in one copy.

    Args:
        waveform: [B, S].
        lengths: Real samples of each clip, B numbers.
        count: Windows a clip, N; 1 for whole clips.
        size: Samples in a window, L; None: whole clips, L being the longest one.
        padded: The silence that fills a short clip up to a window counts as sound.
    """
    width = max([*lengths, 1]) if size is None else size
    places = [_places(clip, length, count, width) for clip, length in enumerate(lengths)]
    cut = [place for found in places for place in found]  # clip and start of each piece
    samples = [min(lengths[clip] - start, width) for clip, start in cut]
    index, times = _pieces_of_windows([len(found) for found in places], count)
    heard = [int(len(found) > 0) for found in places for _ in range(count)]
    real = [width] * len(cut) if padded else samples
    plan = [[clip for clip, _ in cut], [start for _, start in cut], samples, real, times, index, heard]
    clips, starts, inside, sent_lengths, sent_times, sent_index, sent_mask = sent_rows(plan, waveform.device)
    if waveform.shape[1] == 0:
        waveform = waveform.new_zeros(len(waveform), 1)
    steps = torch.arange(width, device=waveform.device)
    positions = (starts[:, None] + steps).clamp(max=waveform.shape[1] - 1)  # [R, L]
    sound = waveform[clips[:, None], positions].masked_fill(steps >= inside[:, None], 0.0)
    windows = (len(lengths), count)
    return Pieces(
        sound, tuple(real), sent_lengths, sent_times, sent_index.view(windows), sent_mask.bool().view(windows)
    )


def _places(clip: int, length: int, count: int, size: int) -> list[tuple[int, int]]:
    """The clip and the first sample of each of its pieces."""
    if length <= size:
        return [(clip, 0)] if length else []
    return [(clip, _start(length - size, window, count)) for window in range(count)]


def _pieces_of_windows(pieces: Sequence[int], count: int) -> tuple[list[int], list[int]]:
    """Which piece each window is, B * N numbers, and how many windows each piece stands for.

    Args:
        pieces: Of each clip: N, 1 or none.
        count: N.
    """
    index: list[int] = []
    times: list[int] = []
    for own in pieces:
        first = len(times)
        index += [first + min(window, own - 1) if own else max(first - 1, 0) for window in range(count)]
        times += [count] if own == 1 else [1] * own
    return index, times


def _start(spare: int, window: int, count: int) -> int:
    """First step of a window; integers throughout, since a rounded float could differ from device to device."""
    return spare * window // max(count - 1, 1)


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
