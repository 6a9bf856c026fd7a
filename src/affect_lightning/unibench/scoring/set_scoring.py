"""Scores of responses: labels out of free text, labels onto emotion wheels, and the nine primary scores.

Paper: Section 4 (F_S for fine-grained, hit rate for basic emotions, WAF for sentiment) and Appendix E (labels and
sentiment out of a response). The metrics themselves live in `affect_lightning.metrics`, the extractors are plugins;
this module brings predictions to them set by set. `predictions.py` holds the input, `report` shows the result.
"""

from __future__ import annotations

import logging
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

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
    add_confusions,
    sector_confusion,
    sentiment_confusion,
)
from affect_lightning.unibench.scoring.set_answers import SetAnswers, answers_of
from affect_lightning.unibench.scoring.unread_words import (
    DEFAULT_LIMITS,
    ReadingLimits,
    UnreadWords,
    WordReader,
    check_numbers,
    check_unread,
    unread_sentiments,
)
from affect_lightning.unibench.statistics.intervals import hit_terms, metric_values, scored_clips, with_intervals

_ANSWERS = ("positive", "negative", "neutral")
_SHOWN_WORDS = 5  # our choice
_WORTH_TELLING = 0.05  # share of the clips; our choice
_LOG = logging.getLogger(__name__)


def score_predictions(
    predictions: Iterable[Prediction],
    extractor: LabelExtractor,
    taxonomy: Taxonomy,
    *,
    intervals: bool = True,
    sets: Mapping[str, BenchmarkSet] | None = None,
    limits: ReadingLimits = DEFAULT_LIMITS,
) -> SuiteScores:
    """Score predictions set by set.

    Args:
        predictions: Of any number of sets. A set that is not known is scored by F_S if its truth has words and by WAF
            if it has sentiment values. No set outside MER-UniBench enters the mean.
        extractor: Turns responses into labels, and labels into sentiment; asked only for what was not given.
        taxonomy: Maps labels onto the emotion wheels; level 1, the inner ring, as in the paper.
        intervals: Whether to add the bootstrap intervals, which take most of the time.
        sets: The known sets by key; by default those of MER-UniBench and of installed packages.
        limits: From which share of words that could not be read a warning comes, and the score stops.

    Raises:
        DataError: There are no predictions, a clip has two, a set has no truth, or too many words could not be read.
        ContractError: The extractor returned another number of results than it was given.
    """
    groups = group_by_corpus(predictions)
    if not groups:
        raise DataError("There are no predictions to score. Test at least one set with at least one readable clip.")
    known = known_sets() if sets is None else sets
    reader = WordReader(taxonomy)
    scored: dict[str, SetScore] = {}
    for key in MER_UNIBENCH.in_order(groups):
        sides = _sides(key, known, groups[key], reader)
        check_unread(title_of(key, known), sides, limits)
        if not _by_sentiment(key, known, groups[key]):
            open_answers = (clip.response for clip in groups[key] if clip.given_labels is None)
            check_numbers(title_of(key, known), open_answers, limits)
        scored[key] = _score_set(key, known, groups[key], extractor, taxonomy)
        unknown = _unknown_truths(groups[key], reader) if scored[key].metric != "waf" else 0
        scored[key] = replace(scored[key], unread=sides, unknown_truths=unknown)
    scores = SuiteScores(scored, taxonomy.name, taxonomy.sha256, extractor_text(scored.values()))
    return with_intervals(scores) if intervals else scores


def _sides(
    key: str, sets: Mapping[str, BenchmarkSet], group: Sequence[Prediction], reader: WordReader
) -> tuple[UnreadWords, ...]:
    """The unread words of both sides, as far as the set's metric uses them, where a side has words."""
    by_sentiment = _by_sentiment(key, sets, group)
    sentiments = [clip.given_sentiment for clip in group if by_sentiment and clip.given_sentiment is not None]
    labels = (clip.given_labels for clip in group if not (by_sentiment and clip.given_sentiment is not None))
    sides = (
        reader.unread("given labels", filter(None, labels)),
        unread_sentiments(sentiments),
        reader.unread("true labels", () if by_sentiment else (clip.truth_labels for clip in group)),
    )
    return tuple(side for side in sides if side.words)


def _by_sentiment(key: str, sets: Mapping[str, BenchmarkSet], group: Sequence[Prediction]) -> bool:
    item = sets.get(key)
    return (item.metric if item else _metric_of(key, group)) == "waf"


def _unknown_truths(group: Sequence[Prediction], reader: WordReader) -> int:
    """Clips of which no true word could be read, or that have none: they count nowhere, and not because of a neutral truth."""
    known = {words: any(map(reader.knows, words)) for words in {item.truth_labels for item in group}}
    return sum(not known[item.truth_labels] for item in group)


def extractor_text(scores: Iterable[SetScore]) -> str:
    """Where the labels and sentiments of several sets come from: in one phrase, or set by set where it differs."""
    titles: dict[str, list[str]] = {}
    for score in scores:
        titles.setdefault(score.extractor, []).append(score.title)
    if len(titles) == 1:
        return next(iter(titles))
    return "; ".join(f"{source} ({', '.join(named)})" for source, named in titles.items())


_CHUNK = 100_000  # clips whose terms are held as a matrix at once (12 MB); our choice


@dataclass(frozen=True)
class _Result:
    """Hits and terms by clip, the sums of the terms, and a confusion; equal terms are one object."""

    hits: list[bool | None]
    terms: list[tuple[float, ...]]
    sums: Array
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
        result = _score_sentiments(key, group, answers)
    else:
        candidates = item.labels if item and metric == "hit_rate" else None
        result = _score_labels(key, group, answers.labels, taxonomy, candidates)
    sums = result.sums
    values = {name: _percent(float(value)) for name, value in metric_values(metric, sums).items()}
    scored = scored_clips(metric, sums)
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
        outcomes=_outcomes(group, answers, result),
        skipped_clips=result.hits.count(None),
        label_counts=tuple(np.bincount([len(words) for words in answers.labels]).tolist()),
        confusion=result.confusion,
        extractor=answers.source,
        missing=sum(prediction.missing for prediction in group),
        cleaned=answers.cleaned,
        refused=answers.refused,
    )


def _outcomes(group: Sequence[Prediction], answers: SetAnswers, result: _Result) -> tuple[ClipOutcome, ...]:
    rows = zip(group, answers.labels, answers.sentiments, result.hits, result.terms, strict=True)
    return tuple(ClipOutcome(clip.name, words, mood, hit, terms) for clip, words, mood, hit, terms in rows)


def _metric_of(key: str, group: Sequence[Prediction]) -> Metric:
    if any(prediction.truth_labels for prediction in group):
        return "f_s"
    if any(prediction.truth_sentiment is not None for prediction in group):
        return "waf"
    raise DataError(
        f"The set {key} has predictions for {len(group)} clips but no truth, so it cannot be scored. Use "
        f"`affect-lightning predict` for clips without labels."
    )


def _score_sentiments(key: str, group: Sequence[Prediction], answers: SetAnswers) -> _Result:
    for prediction in group:
        if prediction.truth_sentiment is None:
            raise DataError(
                f"The clip {prediction.name} of {key} has no true sentiment, which the metric of this set needs. Read the "
                f"set with its label file and test again."
            )
    clips = clip_sentiments(answers.sentiments, [float(prediction.truth_sentiment or 0.0) for prediction in group])
    _warn_of_won_clips(key, group, answers)
    if not clips.scored.any():
        _LOG.warning(
            "%s has no score: the true sentiment of all its %d clips is 0, and the metric leaves neutral clips out. Score clips "
            "with a positive or negative sentiment.",
            key, len(group),
        )  # fmt: skip
    rights = clips.truth == clips.predicted
    hits = [bool(right) if counts else None for right, counts in zip(rights, clips.scored, strict=True)]
    terms = clips.terms()
    return _Result(hits, _shared(terms, {}), terms.sum(0), sentiment_confusion(clips))


def _warn_of_won_clips(key: str, group: Sequence[Prediction], answers: SetAnswers) -> None:
    """Say how many clips without an answer the official rule counts as right, if these are many."""
    scored, silent, won = 0, 0, 0
    for prediction, labels, sentiment in zip(group, answers.labels, answers.sentiments, strict=True):
        if not prediction.truth_sentiment or prediction.missing:
            continue
        answered = sentiment in _ANSWERS and (bool(labels) or prediction.given_sentiment is not None)
        scored, silent = scored + 1, silent + (not answered)
        won += not answered and prediction.truth_sentiment < 0
    if won > _WORTH_TELLING * scored:
        _LOG.warning(
            "%s: %d of %d clips have no positive, negative or neutral sentiment. The official rule counts them as not positive, "
            "so %d of them count as right, because their truth is negative.",
            key, silent, scored, won,
        )  # fmt: skip


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
    hits: list[bool | None] = []
    terms: list[tuple[float, ...]] = []
    shared: dict[bytes, tuple[float, ...]] = {}
    sums: Array | None = None
    confusions = []
    for start in range(0, len(group), _CHUNK):
        said, true = labels[start : start + _CHUNK], truths[start : start + _CHUNK]
        found, matrix = _agreement(said, true, taxonomy, candidates)
        hits += found
        terms += _shared(matrix, shared)
        sums = matrix.sum(0) if sums is None else sums + matrix.sum(0)
        confusions.append(sector_confusion(said, true, taxonomy))
    confusion = add_confusions(confusions)
    assert sums is not None
    assert confusion is not None
    if hits.count(None) == len(hits):
        _warn_of_no_truth(key, truths)
    return _Result(hits, terms, sums, confusion)


def _warn_of_no_truth(key: str, truths: Sequence[Sequence[str]]) -> None:
    """Say why a set has no score: no true word is on a wheel."""
    words = Counter(word for labels in truths for word in labels)
    _LOG.warning(
        "%s has no score: none of the true words of its %d clips (%s) is on an emotion wheel, and clips without one count "
        "nowhere. Score clips with other true emotions, or choose another --taxonomy.",
        key, len(truths), ", ".join(f"{word!r}" for word, _ in words.most_common(_SHOWN_WORDS)),
    )  # fmt: skip


def _agreement(
    labels: Sequence[Sequence[str]],
    truths: Sequence[Sequence[str]],
    taxonomy: Taxonomy,
    candidates: Sequence[str] | None,
) -> tuple[list[bool | None], Array]:
    """Hits and terms of some clips."""
    agreement = clip_set_scores(labels, truths, taxonomy)
    if candidates is None:
        return _majority(agreement.recall > 0, agreement.scored), agreement.terms()
    clips = clip_hits(labels, truths, taxonomy, candidates)
    return _majority(clips.hit > 0, clips.scored), hit_terms(clips, agreement)


def _shared(matrix: Array, kept: dict[bytes, tuple[float, ...]]) -> list[tuple[float, ...]]:
    """The rows as tuples, equal ones as one object, which a million clips could not hold otherwise."""
    rows = []
    for row in matrix:
        code = row.tobytes()
        found = kept.get(code)
        if found is None:
            found = kept[code] = tuple(row.tolist())
        rows.append(found)
    return rows


def _majority(hit: Flags, scored: Flags) -> list[bool | None]:
    """Whether a clip hits on at least half of the wheels that count it; None where none does. Both bool [B, W]."""
    hits, wheels = (hit & scored).sum(1).tolist(), scored.sum(1).tolist()
    return [2 * count >= total if total else None for count, total in zip(hits, wheels, strict=True)]


def _percent(fraction: float) -> float | None:
    return None if math.isnan(fraction) else 100.0 * fraction
