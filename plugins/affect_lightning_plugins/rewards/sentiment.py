"""Reward by the sentiment of a response, for sets without emotion words (paper, Section 4: the sentiment sets).

The truth is positive or not, as in the metric; `emotion_wheels.py` has the rewards by emotion.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from affect_lightning.contracts import Reward, SampledResponse
from affect_lightning.metrics import clip_sentiments


class SentimentReward(Reward):
    """1 if the labels of a response are positive or not as the clip's true sentiment is, else 0."""

    reads_sentiment = True

    def score(self, samples: Sequence[SampledResponse]) -> list[float]:
        """See `Reward.score`; NaN where the clip has no true sentiment, or one of exactly 0."""
        truths = [one.record.sentiment or 0.0 for one in samples]
        found = clip_sentiments([one.sentiment for one in samples], truths)
        right = found.truth == found.predicted
        return [float(hit) if scored else math.nan for hit, scored in zip(right, found.scored, strict=True)]

    def identity(self) -> str:
        """See `Reward.identity`."""
        return "SentimentReward"
