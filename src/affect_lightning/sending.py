"""What the processor works out and a device needs, sent so that nobody waits (ours).

`torch.tensor(values, device=...)` and a plain `to` wait until a GPU has done all that it was asked before. A copy from pinned
memory does not. Encoders (`plugins/`) send their plans with it: lengths, places, and constants.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor


def sent(values: Any, device: torch.device, dtype: torch.dtype | None = None) -> Tensor:
    """Values of the processor as a tensor of the device; what is there already is only changed in type.

    Args:
        values: A tensor, or numbers.
        device: Where to.
        dtype: Of the result; None keeps that of the values.
    """
    tensor = torch.as_tensor(values)
    if tensor.device == device or tensor.device.type != "cpu" or device.type == "meta":
        return tensor.to(device, dtype)
    tensor = tensor.to(dtype=dtype)
    return (tensor.pin_memory() if device.type == "cuda" else tensor).to(device, non_blocking=True)


def sent_rows(rows: Sequence[Sequence[int]], device: torch.device) -> list[Tensor]:
    """Several rows of whole numbers in one copy, int64; the rows may differ in length."""
    together = sent(torch.tensor([number for row in rows for number in row], dtype=torch.long), device)
    return list(together.split([len(row) for row in rows]))
