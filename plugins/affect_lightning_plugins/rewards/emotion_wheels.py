"""Rewards by the emotion wheels: the F-score and the hit of one response (AffectGPT-R1, arXiv 2508.01318; ours).

The functions are those of the metrics (paper, Section 4), asked for one clip at a time. The objective `group-relative` asks
the rewards. `form_of_response.py` has those that need no truth. Legend: N responses.
"""

from __future__ import annotations

from collections.abc import Sequence

from affect_lightning.contracts import Reward, SampledResponse
from affect_lightning.errors import ConfigurationError
from affect_lightning.metrics import clip_hits, clip_set_scores, taxonomy_by_name
from affect_lightning.metrics.functional import hit_figures, set_figures
from affect_lightning.metrics.taxonomy import Taxonomy


class _WheelReward(Reward):
    """What both rewards have: a taxonomy and a ring of its wheels."""

    def __init__(self, *, taxonomy: str | None = None, level: int = 1) -> None:
        """Keep the options; the taxonomy is read when it is first needed.

        Args:
            taxonomy: Its name or folder, as in `benchmark.taxonomy`; None for the default.
            level: 1 for the inner ring (the paper's figures), 2 for the middle ring.

        Raises:
            ConfigurationError: The level is neither.
        """
        if level not in (1, 2):
            raise ConfigurationError(f"The level of a wheel must be 1 or 2; got {level}.")
        self.taxonomy, self.level = taxonomy, level
        self._loaded: Taxonomy | None = None

    @property
    def wheels(self) -> Taxonomy:
        """The taxonomy, read once."""
        if self._loaded is None:
            self._loaded = taxonomy_by_name(self.taxonomy)
        return self._loaded

    def identity(self) -> str:
        """See `Reward.identity`."""
        return f"{type(self).__name__} taxonomy={self.wheels.name} level={self.level}"


class WheelFScoreReward(_WheelReward):
    """F_S of one response: F-score of its labels and the true ones, a mean over the wheels, 0 to 1."""

    def score(self, samples: Sequence[SampledResponse]) -> list[float]:
        """See `Reward.score`; NaN where the true labels map to no sector of any wheel."""
        terms = clip_set_scores(*_labels(samples), self.wheels, self.level).terms()
        return [float(value) for value in set_figures(terms)["f"]]


class HitReward(_WheelReward):
    """Whether a true emotion is among the labels of one response, a mean over the wheels, 0 to 1."""

    def score(self, samples: Sequence[SampledResponse]) -> list[float]:
        """See `Reward.score`; NaN where the true labels map to no sector of any wheel."""
        terms = clip_hits(*_labels(samples), self.wheels, level=self.level).terms()
        return [float(value) for value in hit_figures(terms)["hit_rate"]]


def _labels(samples: Sequence[SampledResponse]) -> tuple[list[list[str]], list[list[str]]]:
    """Labels of the N responses, and the true ones."""
    return [list(one.labels) for one in samples], [list(one.record.labels) for one in samples]
