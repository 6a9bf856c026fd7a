"""The metrics: hand-worked cases, an independent implementation, and every figure of the authors' own metric."""

from __future__ import annotations

import math
from functools import cache
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchmetrics import Metric, MetricCollection
from torchmetrics.utilities import dim_zero_sum

from affect_lightning.errors import ConfigurationError, DataError
from affect_lightning.metrics import (
    EmotionHitRate,
    EmotionWheelFScore,
    SentimentAccuracy,
    SentimentWAF,
    Taxonomy,
    Wheel,
    clip_hits,
    clip_set_scores,
    hit_rate,
    parse_labels,
    sentiment_accuracy,
    sentiment_waf,
    set_f_score,
)
from metric_cases import (
    PlainTaxonomy,
    expected,
    official_truth,
    plain_f_score,
    plain_hit_rate,
    plain_sentiment,
    read_label_table,
    saved_outputs,
)

DIGITS = 4  # of the reference data, in percent


@cache
def official(folder: Path) -> Taxonomy:
    return Taxonomy.from_official(folder)


@cache
def plain(folder: Path) -> PlainTaxonomy:
    return PlainTaxonomy(folder)


def two_wheels() -> Taxonomy:
    """Joy, grief and rage apart on the first wheel; good and bad on the second; `rage` stands on the first only."""
    first = Wheel.from_rows(
        [("joy", "glad", "happy"), ("joy", "fun", "amused"), ("grief", "hurt", "sad"), ("rage",) * 3]
    )
    second = Wheel.from_rows([("good", "good", "happy"), ("good", "good", "amused"), ("bad", "low", "sad")])
    words = {word: [word] for word in ("happy", "amused", "sad", "rage")}
    return Taxonomy("two wheels", {**words, "joyful": ["happy"], "furious": ["rage"]}, words, [first, second])


def test_f_score_by_hand() -> None:
    # Wheel 1: clip 0 predicts {joy, rage} for {joy}: 1/2, 1. Clip 1 predicts nothing for {rage}: 0, 0. Clip 2 has no truth.
    #   precision 1/4, recall 1/2, F = 1/3. Wheel 2: clip 0 predicts {good} for {good}; `rage` is not there: 1, 1, 1.
    result = set_f_score([["Joyful ", "furious"], [], ["sad"]], [["amused"], ["rage"], ["unheard-of"]], two_wheels())
    assert result.scored_clips == (2, 1)
    assert result.precision == pytest.approx((1 / 4 + 1) / 2)
    assert result.recall == pytest.approx((1 / 2 + 1) / 2)
    assert result.f == pytest.approx((1 / 3 + 1) / 2)


def test_level_2_takes_the_middle_ring() -> None:
    # happy -> glad, amused -> fun on wheel 1 (a miss); both -> good on wheel 2 (a hit).
    assert set_f_score([["amused"]], [["happy"]], two_wheels(), level=2).f == pytest.approx(1 / 2)
    assert set_f_score([["amused"]], [["happy"]], two_wheels(), level=1).f == 1.0


def test_hit_rate_and_m_score_by_hand() -> None:
    # Wheel 1: {joy, rage} holds joy (M 1/2), {grief} misses rage: hit 1/2, M 1/4. Wheel 2: hit 1, M 1 (rage is not there).
    result = hit_rate(["[amused, furious]", "['sad']"], ["happy", "rage"], two_wheels())
    assert result.scored_clips == (2, 1)
    assert result.hit_rate == pytest.approx((1 / 2 + 1) / 2)
    assert result.m_score == pytest.approx((1 / 4 + 1) / 2)


def test_m_score_counts_candidate_sectors_only() -> None:
    predictions, truths = [["happy", "sad", "rage"]], ["happy"]
    assert hit_rate(predictions, truths, two_wheels(), candidates=["happy"]).m_score == 1.0
    # Wheel 1: three candidate sectors are predicted, wheel 2: two.
    full = hit_rate(predictions, truths, two_wheels(), candidates=["happy", "sad", "rage"])
    assert full.m_score == pytest.approx((1 / 3 + 1 / 2) / 2)


def test_sentiment_by_hand() -> None:
    # Scored: 4 of 5. Positive truth: 2, one found. Not positive: 2, both found (neutral and unreadable are not positive).
    predictions, truths = ["Positive", "negative", "neutral", "???", "positive"], [1.0, 0.2, -1.0, -0.5, 0.0]
    assert sentiment_accuracy(predictions, truths) == pytest.approx(3 / 4)
    assert sentiment_waf(predictions, truths) == pytest.approx((2 * 1 / 3 + 2 * 2 / 5 * 1) / 2)


def test_nothing_scored_is_not_a_number() -> None:
    assert math.isnan(set_f_score([["happy"]], [["unheard-of"]], two_wheels()).f)
    assert math.isnan(hit_rate([], [], two_wheels()).hit_rate)
    assert math.isnan(sentiment_waf(["positive"], [0.0]))
    assert math.isnan(sentiment_accuracy([], []))


def test_results_clip_by_clip_average_to_the_score() -> None:
    predictions, truths = [["happy", "sad"], ["rage"], []], [["happy"], ["sad"], ["sad"]]
    clips = clip_set_scores(predictions, truths, two_wheels())
    assert clips.precision.tolist() == [[0.5, 0.5], [0.0, 0.0], [0.0, 0.0]]
    assert clips.recall.shape == clips.scored.shape == (3, 2)
    recall = set_f_score(predictions, truths, two_wheels()).recall
    by_wheel = np.where(clips.scored, clips.recall, 0).sum(0) / clips.scored.sum(0)
    assert recall == pytest.approx(by_wheel.mean())
    assert clips.terms().tolist()[:2] == [[0.5, 0.5, 1.0, 1.0, 1.0, 1.0], [0.0] * 4 + [1.0, 1.0]]
    assert clip_hits(predictions, ["happy", "sad", "sad"], two_wheels()).hit.tolist() == [[1, 1], [0, 0], [0, 0]]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: set_f_score([["happy"]], []), "Got 1 predictions for 0 truths"),
        (lambda: sentiment_waf(["positive"], [1.0, 2.0]), "Got 1 predicted sentiments for 2 true values"),
        (lambda: sentiment_waf(["positive"], [float("nan")]), "sentiment of clip 0 is not a number"),
        (lambda: sentiment_waf(["positive"], [None]), "sentiment of clip 0 is not a number"),
        (
            lambda: EmotionHitRate().update(["[happy]"], ["joy"], torch.tensor([True, False])),
            "`valid` mask for 2 clips",
        ),
    ],
)
def test_wrong_data_is_an_error(call, message: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(DataError, match=message):
        call()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: EmotionWheelFScore(level=3), r"level 1 \(inner ring\) or 2 \(middle ring\); got 3"),
        (lambda: EmotionWheelFScore(statistic="auc"), "Unknown statistic 'auc'; choose one of f, precision, recall"),
        (lambda: EmotionHitRate(statistic="m_score"), "needs `candidates`"),
        (lambda: Taxonomy.builtin().sector("happy", 6), "no wheel 6; the taxonomy 'builtin' has the wheels 1 to 5"),
    ],
)
def test_wrong_options_are_an_error(call, message: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ConfigurationError, match=message):
        call()


@pytest.mark.parametrize("key", ["mer2023", "meld"])
def test_hit_rates_are_the_authors_own(reference: Path, key: str) -> None:
    truth, taxonomy = official_truth(reference, key), official(reference / "emotion_wheel")
    figures = expected(reference)[key]
    for checkpoint, figure in figures["by_checkpoint"].items():
        labels = saved_outputs(reference, key, checkpoint, "openset")
        result = hit_rate([labels[name] for name in truth], list(truth.values()), taxonomy)
        assert round(100 * result.hit_rate, DIGITS) == figure, checkpoint
        assert list(result.scored_clips) == figures["scored_clips_per_wheel"]
    assert len(truth) == figures["clips"]
    assert max(figures["by_checkpoint"].values()) == pytest.approx(figures["paper"], abs=0.01)


@pytest.mark.parametrize("key", ["cmumosi", "cmumosei", "sims"])
def test_sentiment_scores_are_the_authors_own(reference: Path, key: str) -> None:
    truth, figures = official_truth(reference, key), expected(reference)[key]
    for checkpoint, figure in figures["by_checkpoint"].items():
        words = saved_outputs(reference, key, checkpoint, "openset-sentiment")
        predictions = [words[name] for name in truth]
        assert round(100 * sentiment_waf(predictions, list(truth.values())), DIGITS) == figure["waf"]
        assert round(100 * sentiment_accuracy(predictions, list(truth.values())), DIGITS) == figure["acc"]
    assert sum(value != 0 for value in truth.values()) == figures["scored_clips"]


def test_f_scores_are_the_authors_own(reference: Path) -> None:
    truth, figures = official_truth(reference, "ovmerd"), expected(reference)["ovmerd"]
    cases = [(reference / "ovmerd" / "predict-openset.csv", level, f"level{level}") for level in (1, 2)]
    wanted = [figures["predict-openset.csv"][name] for *_, name in cases]
    for model, figure in figures["baseline_outputs"].items():
        cases.append((next((reference / "baseline_outputs" / model).glob("*-openset.npz")), 1, model))
        wanted.append(figure)
    for (path, level, name), figure in zip(cases, wanted, strict=True):
        labels = read_label_table(path)
        taxonomy = official(reference / "emotion_wheel")
        result = set_f_score([labels[clip] for clip in truth], list(truth.values()), taxonomy, level)
        found = {"f": result.f, "p": result.precision, "r": result.recall}
        assert {key: round(100 * value, DIGITS) for key, value in found.items()} == figure, name
    assert len(truth) == figures["clips"]


def test_an_independent_implementation_agrees(reference: Path) -> None:
    folder, truth = reference / "emotion_wheel", official_truth(reference, "ovmerd")
    (path,) = (reference / "baseline_outputs" / "SALMONN").glob("*-openset.npz")
    labels = read_label_table(path)
    predictions, truths = ([list(parse_labels(texts[name])) for name in truth] for texts in (labels, truth))
    for level in (1, 2):
        ours = set_f_score(predictions, truths, official(folder), level)
        theirs = plain_f_score(predictions, truths, plain(folder), level)
        assert [100 * value for value in (ours.f, ours.precision, ours.recall)] == pytest.approx(theirs, abs=1e-9)
    emotions = official_truth(reference, "mer2023")
    texts = saved_outputs(reference, "mer2023", "checkpoint_000045", "openset")
    lists = [list(parse_labels(texts[name])) for name in emotions]
    ours_hit = hit_rate(lists, list(emotions.values()), official(folder)).hit_rate
    assert 100 * ours_hit == pytest.approx(plain_hit_rate(lists, list(emotions.values()), plain(folder)), abs=1e-9)


VOCABULARY = ("happy", "joyful", "sad", "angry", "fear", "surprise", "neutral", "calm", "proud", "unheard-of")
label_lists = st.lists(st.lists(st.sampled_from(VOCABULARY), max_size=5), min_size=1, max_size=6)


@settings(max_examples=150, deadline=None)
@given(label_lists, st.randoms(use_true_random=False))
def test_scores_do_not_depend_on_order_or_repeats(lists: list[list[str]], random) -> None:  # type: ignore[no-untyped-def]
    truths = [random.sample(VOCABULARY, 2) for _ in lists]
    shuffled = [random.sample(words, len(words)) + words[:1] for words in lists]
    first, second = (set_f_score(predicted, truths) for predicted in (lists, shuffled))
    assert (first.f, first.recall) == pytest.approx((second.f, second.recall), nan_ok=True)
    assert hit_rate(lists, [t[0] for t in truths]) == hit_rate(shuffled, [t[0] for t in truths])


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["positive", "negative", "neutral", "?"]), st.integers(-3, 3)), min_size=1))
def test_sentiment_agrees_with_a_plain_loop(clips: list[tuple[str, int]]) -> None:
    predictions, truths = [word for word, _ in clips], [float(value) for _, value in clips]
    if any(truths):
        waf, accuracy = plain_sentiment(predictions, truths)
        assert 100 * sentiment_waf(predictions, truths) == pytest.approx(waf)
        assert 100 * sentiment_accuracy(predictions, truths) == pytest.approx(accuracy)


def test_batches_and_the_whole_agree_and_padding_does_not_count() -> None:
    predictions = [["happy", "sad"], ["angry"], [], ["calm", "joyful"], ["fear"]]
    truths = [["joy"], ["rage"], ["sad"], ["happy", "proud"], ["fear"]]
    metric = EmotionWheelFScore()
    metric.update(predictions[:2], truths[:2])
    metric.update([*predictions[2:], ["happy"]], [*truths[2:], ["happy"]], torch.tensor([True, True, True, False]))
    assert metric.compute().item() == pytest.approx(set_f_score(predictions, truths).f, abs=1e-12)
    assert metric.compute().dtype == torch.float64
    metric.reset()
    first = metric(predictions[:1], truths[:1])
    assert first.item() == pytest.approx(set_f_score(predictions[:1], truths[:1]).f)


@pytest.mark.parametrize("statistic", ["f", "precision", "recall"])
def test_metric_classes_give_the_functional_scores(statistic: str) -> None:
    predictions, truths = ["[happy, angry]", "['calm']"], [["joy"], ["rage"]]
    metric = EmotionWheelFScore(level=2, statistic=statistic)  # type: ignore[arg-type]
    metric.update(predictions, truths)
    assert metric.compute().item() == pytest.approx(getattr(set_f_score(predictions, truths, level=2), statistic))


def test_hit_rate_and_sentiment_classes() -> None:
    m_score = EmotionHitRate(statistic="m_score", candidates=["happy", "sad", "angry"])
    m_score.update([["happy", "angry"], ["sad"]], ["happy", "angry"])
    wanted = hit_rate([["happy", "angry"], ["sad"]], ["happy", "angry"], candidates=["happy", "sad", "angry"]).m_score
    assert m_score.compute().item() == pytest.approx(wanted)
    words, values = ["positive", "neutral", "positive", "x"], torch.tensor([1.0, -1.0, -0.5, 0.0])
    for metric, score in ((SentimentWAF(), sentiment_waf), (SentimentAccuracy(), sentiment_accuracy)):
        metric.update(words, values, torch.tensor([True, True, True, False]))
        assert metric.compute().item() == pytest.approx(score(words, values))


def test_one_collection_shares_states() -> None:
    collection = MetricCollection(
        {name: EmotionWheelFScore(statistic=name) for name in ("f", "precision", "recall")}  # type: ignore[arg-type]
    )
    collection.update([["happy"]], [["joy"]])
    collection.update([["sad"]], [["joy", "proud"]])
    assert len(collection.compute_groups) == 1
    assert {name: value.item() for name, value in collection.compute().items()}["precision"] == pytest.approx(0.5)


@pytest.mark.parametrize(
    "metric",
    [
        EmotionWheelFScore(level=2),
        EmotionHitRate(level=2),
        EmotionHitRate(statistic="m_score", candidates=["happy", "sad"]),
        SentimentWAF(),
        SentimentAccuracy(),
    ],
    ids=lambda metric: type(metric).__name__,
)
def test_every_class_plots_its_value_given_values_and_in_a_collection(metric: Metric) -> None:
    emotional = isinstance(metric, EmotionWheelFScore | EmotionHitRate)
    metric.reset()
    metric.update(*([["happy"], ["sad"]], ["joy", "anger"]) if emotional else (["positive", "negative"], [1.0, 1.0]))
    mpl.use("Agg")
    figure, axes = metric.plot()
    (point,) = axes.get_lines()
    assert point.get_ydata()[0] == pytest.approx(metric.compute().item())
    assert 0 < metric.compute().item() < 1
    assert axes.get_ylim()[0] <= 0
    assert axes.get_ylim()[1] >= 1
    mpl.pyplot.close(figure)
    figure, axes = metric.plot([torch.tensor(0.25), torch.tensor(0.5)])
    assert list(axes.get_lines()[0].get_ydata()) == [0.25, 0.5]
    mpl.pyplot.close(figure)
    for figure, _ in MetricCollection({"score": metric}).plot():
        mpl.pyplot.close(figure)


@pytest.mark.parametrize("metric", [EmotionWheelFScore(), EmotionHitRate(), SentimentWAF(), SentimentAccuracy()])
def test_states_are_sums_of_fixed_size(metric: Metric) -> None:
    states = {name: getattr(metric, name) for name in metric._defaults}
    assert states
    for name, state in states.items():
        assert metric._reductions[name] is dim_zero_sum
        assert (state.dtype, state.numel() <= 15) == (torch.float64, True)


def test_metrics_of_other_settings_never_share_their_sums() -> None:
    """All of them sum to the same in the first batch, so that a collection would give one the sums of another."""
    candidates = ["happy", "sad", "angry"]
    metrics = {
        "level 1": EmotionWheelFScore(two_wheels()),
        "level 2": EmotionWheelFScore(two_wheels(), level=2),
        "hits": EmotionHitRate(two_wheels()),
        "m_score": EmotionHitRate(two_wheels(), "m_score", candidates),
        "other m_score": EmotionHitRate(two_wheels(), "m_score", ["happy"]),
    }
    collection = MetricCollection({name: metric.clone() for name, metric in metrics.items()})
    for predictions, truths in (([["sad"]], [["happy"]]), ([["happy", "sad"]], [["amused"]])):
        collection.update(predictions, truths)
        for metric in metrics.values():
            metric.update(predictions, truths)
    alone = {name: metric.compute().item() for name, metric in metrics.items()}
    assert {name: value.item() for name, value in collection.compute().items()} == alone
    assert len(set(alone.values())) > 2
