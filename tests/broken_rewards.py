"""Rewards that each break one promise, and one that keeps all; see broken_networks.py."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from affect_lightning.contracts import Reward, SampledResponse

BROKEN: dict[str, dict[str, str]] = {
    "rewards": {
        "OneForAll": "shapes",
        "WithoutEnd": "shapes",
        "MissesSome": "shapes",
        "RewardsTheRest": "batch-invariance",
        "GrowsFonder": "batch-invariance",
        "ChangesItsName": "identity",
    },
}
GOOD = {"rewards": "GoodWords"}


class GoodWords(Reward):
    """Counts labels."""

    def score(self, samples: Sequence[SampledResponse]) -> list[float]:
        return [float(len(one.labels)) for one in samples]

    def identity(self) -> str:
        return "words"


class OneForAll(GoodWords):
    """Gives one number for all."""

    def score(self, samples: Sequence[SampledResponse]) -> Any:
        return 1.0


class WithoutEnd(GoodWords):
    """Punishes silence without end."""

    def score(self, samples: Sequence[SampledResponse]) -> list[float]:
        return [1.0 if one.labels else -math.inf for one in samples]


class MissesSome(GoodWords):
    """Has no number for an empty response."""

    def score(self, samples: Sequence[SampledResponse]) -> list[float]:
        return [float(len(one.labels)) or math.nan for one in samples]


class RewardsTheRest(GoodWords):
    """Compares with the other responses, which the objective does."""

    def score(self, samples: Sequence[SampledResponse]) -> list[float]:
        most = max((len(one.labels) for one in samples), default=0)
        return [float(len(one.labels) - most) for one in samples]


class GrowsFonder(GoodWords):
    """Gives more each time."""

    asked = 0

    def score(self, samples: Sequence[SampledResponse]) -> list[float]:
        self.asked += 1
        return [float(self.asked) for _ in samples]


class ChangesItsName(GoodWords):
    """Has another identity in every copy."""

    def identity(self) -> str:
        return f"words {id(self)}"
