"""Scores of responses: labels out of free text, labels onto emotion wheels, and the nine primary scores.

Paper: Section 4 (F_S for fine-grained, hit rate for basic emotions, WAF for sentiment) and Appendix E (labels and
sentiment out of a response). The metrics themselves live in `affect_lightning.metrics`, the extractors are plugins;
this module brings predictions to them set by set. `predictions.py` holds the input, `report` shows the result.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from affect_lightning.contracts import LabelExtractor
from affect_lightning.corpora import MER_UNIBENCH, BenchmarkSet, Metric, known_sets
from affect_lightning.corpora.known_sets import title_of
from affect_lightning.errors import DataError
from affect_lightning.metrics import Taxonomy
from affect_lightning.metrics.functional import Array, Flags, clip_hits, clip_sentiments, clip_set_scores
from affect_lightning.unibench.scoring.predictions import Prediction, group_by_corpus
from affect_lightning.unibench.scoring.scores import (
    ClipOutcome,
    Confusion,
    SetScore,
    SuiteScores,
    sector_confusion,
    sentiment_confusion,
)
from affect_lightning.unibench.scoring.set_answers import answers_of
from affect_lightning.unibench.statistics.intervals import hit_terms, metric_values, scored_clips, with_intervals


def score_predictions(
    predictions: Iterable[Prediction],
    extractor: LabelExtractor,
    taxonomy: Taxonomy,
    *,
    intervals: bool = True,
    sets: Mapping[str, BenchmarkSet] | None = None,
) -> SuiteScores:
    """Score predictions set by set.

    Args:
        predictions: Of any number of sets. A set that is not known is scored by F_S if its truth has words and by WAF
            if it has sentiment values. No set outside MER-UniBench enters the mean.
        extractor: Turns responses into labels, and labels into sentiment; asked only for what was not given.
        taxonomy: Maps labels onto the emotion wheels; level 1, the inner ring, as in the paper.
        intervals: Whether to add the bootstrap intervals, which take most of the time.
        sets: The known sets by key; by default those of MER-UniBench and of installed packages.

    Raises:
        DataError: There are no predictions, a clip has two, or a set has no truth.
        ContractError: The extractor returned another number of results than it was given.
    """
    groups = group_by_corpus(predictions)
    if not groups:
        raise DataError("There are no predictions to score. Test at least one set with at least one readable clip.")
    known = known_sets() if sets is None else sets
    scored = {key: _score_set(key, known, groups[key], extractor, taxonomy) for key in MER_UNIBENCH.in_order(groups)}
    scores = SuiteScores(scored, taxonomy.name, taxonomy.sha256, extractor_text(scored.values()))
    return with_intervals(scores) if intervals else scores


def extractor_text(scores: Iterable[SetScore]) -> str:
    """Where the labels and sentiments of several sets come from: in one phrase, or set by set where it differs."""
    titles: dict[str, list[str]] = {}
    for score in scores:
        titles.setdefault(score.extractor, []).append(score.title)
    if len(titles) == 1:
        return next(iter(titles))
    return "; ".join(f"{source} ({', '.join(named)})" for source, named in titles.items())


@dataclass(frozen=True)
class _Result:
    """Hits and terms by clip, and a confusion."""

    hits: list[bool | None]
    terms: Array
    confusion: Confusion


def _score_set(
    key: str,
    sets: Mapping[str, BenchmarkSet],
    group: Sequence[Prediction],
    extractor: LabelExtractor,
    taxonomy: Taxonomy,
) -> SetScore:
    item = sets.get(key)
    metric = item.metric if item else _metric_of(key, group)
    answers = answers_of(key, group, extractor, by_sentiment=metric == "waf")
    if metric == "waf":
        result = _score_sentiments(key, group, answers.sentiments)
    else:
        candidates = item.labels if item and metric == "hit_rate" else None
        result = _score_labels(key, group, answers.labels, taxonomy, candidates)
    sums = result.terms.sum(0)
    values = {name: _percent(float(value)) for name, value in metric_values(metric, sums).items()}
    scored = scored_clips(metric, sums)
    outcomes = zip(group, answers.labels, answers.sentiments, result.hits, result.terms.tolist(), strict=True)
    return SetScore(
        key=key,
        title=title_of(key, sets),
        metric=metric,
        score=values.pop(metric),
        secondary=values,
        clips=len(group),
        scored_clips=round(sum(scored) / len(scored)),
        scored_clips_per_wheel=() if metric == "waf" else scored,
        unparsable=answers.unparsable,
        labels_per_response=answers.labels_per_response,
        official_clips=item.clips if item else None,
        outcomes=tuple(
            ClipOutcome(p.name, tuple(words), feeling, hit, tuple(terms)) for p, words, feeling, hit, terms in outcomes
        ),
        skipped_clips=result.hits.count(None),
        label_counts=tuple(np.bincount([len(words) for words in answers.labels]).tolist()),
        confusion=result.confusion,
        extractor=answers.source,
        missing=sum(prediction.missing for prediction in group),
    )


def _metric_of(key: str, group: Sequence[Prediction]) -> Metric:
    if any(prediction.truth_labels for prediction in group):
        return "f_s"
    if any(prediction.truth_sentiment is not None for prediction in group):
        return "waf"
    raise DataError(
        f"The set {key} has predictions for {len(group)} clips but no truth, so it cannot be scored. Use "
        f"`affect-lightning predict` for clips without labels."
    )


def _score_sentiments(key: str, group: Sequence[Prediction], sentiments: Sequence[str]) -> _Result:
    for prediction in group:
        if prediction.truth_sentiment is None:
            raise DataError(
                f"The clip {prediction.name} of {key} has no true sentiment, which the metric of this set needs. Read the "
                f"set with its label file and test again."
            )
    clips = clip_sentiments(sentiments, [float(prediction.truth_sentiment or 0.0) for prediction in group])
    rights = clips.truth == clips.predicted
    hits = [bool(right) if counts else None for right, counts in zip(rights, clips.scored, strict=True)]
    return _Result(hits, clips.terms(), sentiment_confusion(clips))


def _score_labels(
    key: str,
    group: Sequence[Prediction],
    labels: Sequence[Sequence[str]],
    taxonomy: Taxonomy,
    candidates: Sequence[str] | None,
) -> _Result:
    truths = [prediction.truth_labels for prediction in group]
    if not any(truths):
        raise DataError(
            f"None of the {len(group)} clips of {key} has true emotion words, which the metric of this set needs. Read "
            f"it with its label file and test again."
        )
    agreement = clip_set_scores(labels, truths, taxonomy)
    confusion = sector_confusion(labels, truths, taxonomy)
    if candidates is None:
        return _Result(_majority(agreement.recall > 0, agreement.scored), agreement.terms(), confusion)
    clips = clip_hits(labels, truths, taxonomy, candidates)
    return _Result(_majority(clips.hit > 0, clips.scored), hit_terms(clips, agreement), confusion)


def _majority(hit: Flags, scored: Flags) -> list[bool | None]:
    """Whether a clip hits on at least half of the wheels that count it; None where none does. Both bool [B, W]."""
    hits, wheels = (hit & scored).sum(1).tolist(), scored.sum(1).tolist()
    return [2 * count >= total if total else None for count, total in zip(hits, wheels, strict=True)]


def _percent(fraction: float) -> float | None:
    return None if math.isnan(fraction) else 100.0 * fraction
