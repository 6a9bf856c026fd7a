"""Cross-validation of members and of their crowd, scored as MERBench scores, beside what guessing would give.

Paper: MERBench (arXiv 2401.03429) reports the weighted F1 (WAF) of emotion classes and, for sentiment, the WAF of positive
against negative, which the project's own metric gives. Every member has the same folds, so the votes on a clip by members that
have not seen it make the crowd's cross-validated verdict.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from affect_lightning.annotation.trained_crowd.attention_fusion import AttentionFusion
from affect_lightning.annotation.trained_crowd.fitting import FittingOptions, Targets, fit, predict
from affect_lightning.annotation.trained_crowd.folds import watched_part
from affect_lightning.metrics.functional import sentiment_accuracy, sentiment_waf

POSITIVE, NEGATIVE, NEUTRAL = "positive", "negative", "neutral"


@dataclass(frozen=True)
class TaskScore:
    """How right predictions are, in percent.

    Attributes:
        waf: Weighted F1.
        accuracy: Of the clips.
        clips: That count.
        chance: WAF of guessing: the better of the most frequent class and of a draw by frequency.
    """

    waf: float
    accuracy: float
    clips: int
    chance: float

    @property
    def above_chance(self) -> bool:
        """Whether the WAF is above that of guessing."""
        return self.waf > self.chance


def weighted_f1(said: Sequence[Hashable], true: Sequence[Hashable]) -> float:
    """F1 of each class weighted by its share of the truth, a fraction.

    >>> round(weighted_f1(["sad", "sad", "happy"], ["sad", "happy", "happy"]), 4)
    0.6667
    """
    support, named = Counter(true), Counter(said)
    right = Counter(truth for word, truth in zip(said, true, strict=True) if word == truth)
    return sum(count * 2 * right[name] / (count + named[name]) for name, count in support.items()) / len(true)


def chance_waf(true: Sequence[Hashable]) -> float:
    """WAF of guessing, a fraction: always the most frequent class, or classes by their frequency, whichever is better.

    >>> chance_waf(["sad", "happy"]), round(chance_waf(["sad"] * 9 + ["happy"]), 3)
    (0.5, 0.853)
    """
    shares = [count / len(true) for count in Counter(true).values()]
    most = max(shares)
    return max(most * 2 * most / (1 + most), sum(share * share for share in shares))


def emotion_score(said: Sequence[str | None], true: Sequence[str]) -> TaskScore:
    """Score classes; a clip without a prediction is wrong."""
    right = sum(word == truth for word, truth in zip(said, true, strict=True))
    return TaskScore(100 * weighted_f1(said, true), 100 * right / len(true), len(true), 100 * chance_waf(true))


def sentiment_score(said: Sequence[str | None], true: Sequence[float]) -> TaskScore:
    """Score sentiments by the metric of MER-UniBench; values of exactly 0 do not count."""
    signs = [value > 0 for value in true if value]
    return TaskScore(
        100 * sentiment_waf(said, true), 100 * sentiment_accuracy(said, true), len(signs), 100 * chance_waf(signs)
    )


def mood_of(value: float) -> str:
    """The sentiment that a value votes for, by its sign as in MERBench.

    >>> mood_of(0.2), mood_of(-0.2), mood_of(0.0)
    ('positive', 'negative', 'neutral')
    """
    return POSITIVE if value > 0 else NEGATIVE if value < 0 else NEUTRAL


def cross_validate(
    features: Mapping[str, Tensor],
    targets: Targets,
    strata: Sequence[Hashable],
    fold_of: Sequence[int],
    options: FittingOptions,
    seed: int,
) -> tuple[Tensor, Tensor]:
    """Classes and sentiments of clips, each by a network that was trained without the clip's fold.

    Args:
        features: One vector a clip [N, D] by modality.
        targets: Of the N clips.
        strata: Of the N clips, for the part that is watched.
        fold_of: The fold of each clip.
        options: How members are trained.
        seed: Of the member; each fold has a seed of its own.

    Returns:
        The number of the class [N], -1 without classes, and the sentiment [N].
    """
    classes, sentiments = torch.full((len(fold_of),), -1), torch.full((len(fold_of),), torch.nan)
    for fold in sorted(set(fold_of)):
        others = [place for place, number in enumerate(fold_of) if number != fold]
        mine = [place for place, number in enumerate(fold_of) if number == fold]
        network = fit_watched(features, targets, strata, others, options, seed * options.folds + fold)
        classes[mine], sentiments[mine] = predict(network, {name: values[mine] for name, values in features.items()})
    return classes, sentiments


def fit_watched(
    features: Mapping[str, Tensor],
    targets: Targets,
    strata: Sequence[Hashable],
    places: Sequence[int],
    options: FittingOptions,
    seed: int,
) -> AttentionFusion:
    """Train on some clips, a part of which only says when to stop."""
    learnt, watched = watched_part([strata[place] for place in places], options.folds, seed)
    return fit(
        features, targets, [places[place] for place in learnt], [places[place] for place in watched], options, seed
    )


def is_known(values: Tensor) -> np.ndarray:
    """Rows without a NaN."""
    return ~values.isnan().any(1).numpy()
