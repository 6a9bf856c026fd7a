"""MER-UniBench's metrics: emotion wheels, set F-score, hit rate and sentiment scores (paper, section 4).

`Taxonomy` maps labels to sectors; the functions are pure, the four metric classes are torchmetrics. `unibench` scores
with them, `model` logs them. Scores are fractions in [0, 1].

The metric classes are imported when they are first used: torchmetrics takes seconds to import, as it imports
transformers where that is installed, and scoring saved outputs needs neither.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from affect_lightning.label_strings import parse_labels
from affect_lightning.metrics.functional import (
    ClipHits,
    ClipSentiments,
    ClipSetScores,
    HitRate,
    SetFScore,
    clip_hits,
    clip_sentiments,
    clip_set_scores,
    hit_rate,
    sentiment_accuracy,
    sentiment_waf,
    set_f_score,
)
from affect_lightning.metrics.taxonomy import Taxonomy
from affect_lightning.metrics.taxonomy_choice import default_taxonomy, taxonomy_by_name
from affect_lightning.metrics.wheels import Wheel

if TYPE_CHECKING:
    from affect_lightning.metrics.metric_classes import (
        EmotionHitRate,
        EmotionWheelFScore,
        SentimentAccuracy,
        SentimentWAF,
    )

__all__ = [
    "ClipHits",
    "ClipSentiments",
    "ClipSetScores",
    "EmotionHitRate",
    "EmotionWheelFScore",
    "HitRate",
    "SentimentAccuracy",
    "SentimentWAF",
    "SetFScore",
    "Taxonomy",
    "Wheel",
    "clip_hits",
    "clip_sentiments",
    "clip_set_scores",
    "default_taxonomy",
    "hit_rate",
    "parse_labels",
    "sentiment_accuracy",
    "sentiment_waf",
    "set_f_score",
    "taxonomy_by_name",
]

_METRIC_CLASSES = ("EmotionHitRate", "EmotionWheelFScore", "SentimentAccuracy", "SentimentWAF")


def __getattr__(name: str) -> Any:
    """Import a metric class when it is first asked for."""
    if name in _METRIC_CLASSES:
        return getattr(import_module(f"{__name__}.metric_classes"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
