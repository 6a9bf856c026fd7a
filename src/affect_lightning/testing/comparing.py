"""Comparisons that say what was expected and received. All errors are measured against the size of what is expected."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from affect_lightning.contracts.conformance import ConformanceError, described

SAME = 1e-4
"""Largest difference of two 32-bit results that should be the same, as a share of their size (our choice: rounding in
another order of summation is about 1e-6, what a leak changes is rarely below 1e-3)."""

HALF = 0.1
"""The same for 16 bits against 32 (our choice: bfloat16 has 8 bits of precision, and errors add up over layers)."""


def require_same(expected: Sequence[Tensor], received: Sequence[Tensor], why: str, share: float = SAME) -> None:
    """Require equal results, tensor by tensor.

    Args:
        expected: Results of the usual call.
        received: Results of the varied call.
        why: What must not change them, for the message, such as `the content of padding changes nothing`.
        share: Largest root mean square difference as a share of the root mean square of `expected`.

    Raises:
        ConformanceError: They differ in number, shape or value.
    """
    if len(expected) != len(received):
        raise ConformanceError(f"{why}: {len(expected)} results", f"{len(received)} results")
    for position, (wanted, found) in enumerate(zip(expected, received, strict=True)):
        if wanted.shape != found.shape:
            raise ConformanceError(f"{why}: {described(wanted)}", described(found))
        if not wanted.numel():
            continue
        if not bool(torch.isfinite(found).all()):
            raise ConformanceError(f"{why}: finite results", "NaN or infinity")
        size = _size(wanted)
        difference = _size(wanted.detach().double() - found.detach().double())
        if difference > share * size + 1e-7:
            raise ConformanceError(
                f"{why}: a difference of at most {share:g} of the results' size {size:.3g}",
                f"a difference of {difference:.3g}{f' in clip {position}' if len(expected) > 1 else ''}",
            )


def _size(values: Tensor) -> float:
    """Root mean square."""
    return float(values.detach().double().square().mean().sqrt())


def require_equal_state(expected: Mapping[str, Tensor], received: Mapping[str, Tensor], why: str) -> None:
    """Require equal names and equal values of two states, to the bit.

    Raises:
        ConformanceError: They differ.
    """
    if expected.keys() != received.keys():
        names = sorted(expected.keys() ^ received.keys())
        raise ConformanceError(f"{why}: the same names of weights", f"{len(names)} others, such as {names[0]}")
    for name, wanted in expected.items():
        found = received[name]
        if wanted.shape != found.shape or wanted.dtype != found.dtype or not _identical(wanted, found):
            raise ConformanceError(
                f"{why}: the same {name}", "other values" if wanted.shape == found.shape else described(found)
            )


def _identical(first: Tensor, second: Tensor) -> bool:
    return torch.equal(first.detach().cpu().nan_to_num(), second.detach().cpu().nan_to_num())


def require(condition: Any, expected: str, received: Any) -> None:
    """Require a condition.

    Raises:
        ConformanceError: It does not hold.
    """
    if not condition:
        raise ConformanceError(expected, received if isinstance(received, str) else described(received))
