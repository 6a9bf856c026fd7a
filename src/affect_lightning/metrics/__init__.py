"""MER-UniBench's metrics: emotion wheels, set F-score, hit rate and sentiment scores (paper, section 4).

`Taxonomy` maps labels to sectors; the functions are pure, the classes are torchmetrics. `unibench` scores with them,
`model` logs them. Scores are fractions in [0, 1].
"""

from affect_lightning.metrics.emotion_metrics import EmotionHitRate, EmotionWheelFScore
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
from affect_lightning.metrics.label_strings import parse_labels
from affect_lightning.metrics.sentiment_metrics import SentimentAccuracy, SentimentWAF
from affect_lightning.metrics.taxonomy import Taxonomy
from affect_lightning.metrics.wheels import Wheel

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
    "hit_rate",
    "parse_labels",
    "sentiment_accuracy",
    "sentiment_waf",
    "set_f_score",
]
