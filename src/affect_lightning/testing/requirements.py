"""What a check is, what comes out of it, and comparisons that say what was expected and received.

All errors are measured against the size of what is expected. Neighbours: `*_checks.py` define checks, `suite.py` runs them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor

from affect_lightning.contracts.conformance import ConformanceError, described

if TYPE_CHECKING:
    from affect_lightning.testing.subject import Subject


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


Outcome = Literal["passed", "failed", "skipped"]


class CheckNotPossibleError(Exception):
    """The check cannot be made here, for a reason outside the part; the text says which."""


@dataclass(frozen=True)
class Check:
    """One check of the suite.

    Attributes:
        name: Short name, such as `mask-invariance`.
        promise: What the part must hold, in one line; printed as what is expected.
        run: Takes the subject; returns when all is well (with a remark, if there is one), raises ConformanceError when
            the promise is broken and CheckNotPossibleError when that cannot be said here.
    """

    name: str
    promise: str
    run: Callable[[Subject], str | None]


@dataclass(frozen=True)
class CheckResult:
    """What came out of one check.

    Attributes:
        check: Its name.
        outcome: passed, failed or skipped.
        expected: What was expected: the promise, or the part of it that was broken.
        received: What came instead; the reason of a skipped check; a remark on a passed one, or nothing.
        seconds: How long it took.
        error: What was raised, for a failed check.
    """

    check: str
    outcome: Outcome
    expected: str
    received: str
    seconds: float = 0.0
    error: Exception | None = None

    def __str__(self) -> str:
        return f"{self.check}: {self.outcome}. Expected: {self.expected}. Received: {self.received or 'as expected'}."
