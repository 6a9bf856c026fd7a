"""The best scores that the sandbox allows: against a simulation, by hand, and in their order."""

from __future__ import annotations

from collections import Counter, defaultdict
from itertools import product
from random import Random

import pytest

from affect_lightning.errors import ConfigurationError
from affect_lightning.sandbox.emotions import EMOTIONS, joint_table
from affect_lightning.sandbox.priors import (
    MODALITIES,
    SUBSETS,
    TEST_CORPORA,
    bounds_report,
    score_bounds,
    set_bound,
    subset_name,
)


def test_no_single_modality_reaches_three_quarters_of_all_three() -> None:
    report = bounds_report()
    mean = report["scores"]["mean"]
    assert mean["face+voice+text"] == pytest.approx(1.0)
    assert max(mean[modality] for modality in MODALITIES) <= 0.75 * mean["face+voice+text"]
    assert report["best_single_modality"]["share_of_all_three"] <= 0.75
    assert "names exactly one" in report["assumptions"]


def test_observing_more_never_lowers_a_bound() -> None:
    for row in score_bounds().values():
        for smaller, larger in product(SUBSETS, SUBSETS):
            if set(smaller) < set(larger):
                assert row[subset_name(smaller)] <= row[subset_name(larger)] + 1e-12


@pytest.mark.parametrize("key", ["mer2023", "meld", "iemocap", "ovmerdplus"])
@pytest.mark.parametrize("subset", SUBSETS)
def test_hit_rate_bounds_agree_with_a_simulation(key: str, subset: tuple[str, ...]) -> None:
    observed = _simulate(key, subset)
    likeliest = {
        cell: Counter(name for name in names if name != "neutral").most_common(1) for cell, names in observed.items()
    }
    hits = sum(best[0][1] for best in likeliest.values() if best)
    counted = sum(name != "neutral" for names in observed.values() for name in names)
    assert hits / counted == pytest.approx(score_bounds()[key][subset_name(subset)], abs=0.015)


@pytest.mark.parametrize("subset", [("face",), ("voice",), ("text",)])
def test_waf_bounds_agree_with_trying_every_rule_on_a_simulation(subset: tuple[str, ...]) -> None:
    observed = _simulate("cmumosi", subset)
    truth, seen = [], []
    for cell, names in observed.items():
        signs = [EMOTIONS[name].valence for name in names if EMOTIONS[name].valence]
        truth += [sign > 0 for sign in signs]
        seen += [cell] * len(signs)
    cells = sorted(set(seen))
    best = 0.0
    for calls in product((False, True), repeat=len(cells)):
        rule = dict(zip(cells, calls, strict=True))
        best = max(best, _plain_waf(truth, [rule[cell] for cell in seen]))
    assert best == pytest.approx(score_bounds()["cmumosi"][subset_name(subset)], abs=0.015)


def _simulate(key: str, subset: tuple[str, ...]) -> dict[tuple[str, ...], list[str]]:
    table = joint_table(TEST_CORPORA[key].prior)
    random = Random(f"{key}{subset}")
    observed: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for row in random.choices(table, weights=[row.probability for row in table], k=20_000):
        codes = {"face": row.face, "voice": row.voice, "text": row.topic}
        observed[tuple(codes[modality] for modality in subset)].append(row.emotion)
    return observed


def _plain_waf(truth: list[bool], called: list[bool]) -> float:
    score = 0.0
    for side in (False, True):
        right = sum(t == c == side for t, c in zip(truth, called, strict=True))
        marked = sum(c == side for c in called)
        present = sum(t == side for t in truth)
        f1 = 2 * right / (marked + present) if marked + present else 0.0
        score += f1 * present / len(truth)
    return score


def test_a_hand_worked_bound() -> None:
    """Face on MELD. Six emotions of equal weight; a face tells two apart only where one of them wears another face.

    Of a non-neutral emotion's clips 0.25/0.9 deviate; 0.4 of these are bland (a third in the face), 0.6 conflict (a
    third in the face for sadness, anger, surprise and fear).
    """
    deviating, conflict = 0.25 / 0.9, 0.6
    bland = deviating * (1 - conflict) / 3
    face_conflict = deviating * conflict / 3  # of sadness, anger, surprise and fear; joy and disgust have none
    own = {"joy": 1 - bland, "disgust": 1 - bland}
    own |= dict.fromkeys(("sadness", "anger", "surprise", "fear"), 1 - bland - face_conflict)
    hits = own["joy"] + own["sadness"] + own["anger"] + bland  # best guesses at smile, distressed, wide and rest
    assert score_bounds()["meld"]["face"] == pytest.approx(hits / 6)


def test_unknown_modalities_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="Name one or more of the modalities face, voice, text"):
        set_bound(TEST_CORPORA["meld"], ("smell",))
