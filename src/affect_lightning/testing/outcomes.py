"""What a check is and what comes out of it. Neighbours: `suite.py` runs checks, `*_checks.py` define them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from affect_lightning.testing.subject import Subject

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
