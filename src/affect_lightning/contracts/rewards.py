"""What a reward must provide: one number for a response that the network sampled, for training on the metric itself.

Not in the paper; AffectGPT-R1 (arXiv 2508.01318) trains so. Rewards are plugins of the group `rewards`. The objective
`group-relative` samples the responses, tells the scored part apart, reads its labels, and asks each reward.
Legend: N responses.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from affect_lightning.contracts.clips import ClipRecord
from affect_lightning.contracts.pipeline_parts import Sentiment


@dataclass(frozen=True)
class SampledResponse:
    """A response of the network with what is known of its clip.

    Attributes:
        record: The clip, with its true labels and sentiment.
        question: What was asked.
        response: What the network wrote, unchanged.
        answer: The scored part: the response without thoughts, marks and refusals (`prompting.cleaning`).
        labels: Emotion words in the answer, by the label extractor.
        sentiment: Overall sentiment of the labels; None unless a reward reads it.
        rewards: What each reward gave, by name, without its weight; filled in after all were asked.
        reward: Their weighted sum; NaN if the clip has no truth for any of them.
    """

    record: ClipRecord
    question: str
    response: str
    answer: str
    labels: tuple[str, ...] = ()
    sentiment: Sentiment | None = None
    rewards: Mapping[str, float] = field(default_factory=dict)
    reward: float = float("nan")


class Reward(ABC):
    """Says how good a response is. It has options and no weights of its own.

    An option must not be called `weight`: that is the reward's share in the sum.

    Attributes:
        reads_sentiment: Whether it reads `SampledResponse.sentiment`; a sentiment costs a call of the label extractor.
    """

    reads_sentiment: ClassVar[bool] = False

    @abstractmethod
    def score(self, samples: Sequence[SampledResponse]) -> list[float]:
        """One finite number for each of the N responses, more for better.

        A response gets the same number whatever the others are. NaN means that the clip has no truth for this reward, so
        it must come for every response to that clip; the reward is then left out for the clip.
        """

    @abstractmethod
    def identity(self) -> str:
        """Name and options in one line."""
