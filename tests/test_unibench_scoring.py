"""Predictions and their scores: hand-worked cases for each metric, the authors' saved outputs, and every error."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import pytest

from affect_lightning.contracts import LabelExtractor, Sentiment
from affect_lightning.corpora.official_folders import read_benchmark_set
from affect_lightning.errors import ContractError, DataError
from affect_lightning.metrics import Taxonomy
from affect_lightning.metrics.wheels import Wheel
from affect_lightning.safe_npz import read_npz
from affect_lightning.unibench.scoring.predictions import Prediction, read_predictions, write_predictions
from affect_lightning.unibench.scoring.set_scoring import SuiteScores, score_predictions


class CommaExtractor(LabelExtractor):
    """Labels stand in the response itself, between commas; the first decides the sentiment."""

    def extract(self, responses: Sequence[str]) -> list[list[str]]:
        return [[word.strip() for word in response.split(",") if word.strip()] for response in responses]

    def sentiment(self, labels: Sequence[Sequence[str]]) -> list[Sentiment]:
        known: dict[str, Sentiment] = {"happy": "positive", "sad": "negative", "angry": "negative"}
        return [known.get(words[0], "neutral") if words else "neutral" for words in labels]

    def identity(self) -> str:
        return "comma extractor of a test"


def small_taxonomy() -> Taxonomy:
    """Two wheels: the first tells three emotions apart, the second only pleasant from unpleasant."""
    first = Wheel.from_rows([("joy", "content", "happy"), ("sadness", "hurt", "sad"), ("rage", "mad", "angry")])
    second = Wheel.from_rows([("good", "good", "happy"), ("bad", "low", "sad"), ("bad", "high", "angry")])
    words = {"happy": ["happy"], "sad": ["sad"], "angry": ["angry"]}
    return Taxonomy("two wheels", {**words, "joyful": ["happy"]}, words, [first, second])


def answers(corpus: str, rows: Sequence[tuple[str, str | float]]) -> list[Prediction]:
    """Predictions of one set out of pairs of response and truth (words between commas, or a sentiment value)."""
    return [
        Prediction(
            name=f"clip{number}",
            corpus=corpus,
            question="How does the person feel?",
            response=response,
            truth_labels=tuple(truth.split(",")) if isinstance(truth, str) else (),
            truth_sentiment=truth if isinstance(truth, float) else None,
        )
        for number, (response, truth) in enumerate(rows)
    ]


BASIC = answers("iemocap", [("joyful, angry", "happy"), ("angry", "sad"), ("", "angry"), ("happy", "neutral")])
FINE = answers("ovmerdplus", [("happy", "happy,sad"), ("sad, angry", "angry")])
SENTIMENT = answers("sims", [("happy", 1.0), ("sad", -0.5), ("happy", 0.0), ("unheard-of", 0.4)])


def score(predictions: Sequence[Prediction]) -> SuiteScores:
    return score_predictions(predictions, CommaExtractor(), small_taxonomy())


def test_hit_rate_by_hand() -> None:
    # Wheel 1: clip0 hits, clip1 and clip2 miss: 1/3. Wheel 2: clip1 hits as well (both are "bad"): 2/3. Mean 1/2.
    # clip3's truth stands on no wheel, so it does not count. M-score: clip0 names 2 candidate sectors: (1/6 + 1/2) / 2.
    result = score(BASIC).sets["iemocap"]
    assert result.score == pytest.approx(50.0)
    # Sets of sectors: wheel 1 P = 1/6, R = 1/3; wheel 2 P = 1/2, R = 2/3.
    assert result.secondary == {
        "M-score": pytest.approx(100 / 3),
        "Precision_S": pytest.approx(100 / 3),
        "F_S": pytest.approx(100 * (2 / 9 + 4 / 7) / 2),
    }
    assert (result.skipped_clips, result.label_counts) == (1, (1, 2, 1))
    assert (result.metric, result.clips, result.scored_clips) == ("hit_rate", 4, 3)
    assert result.scored_clips_per_wheel == (3, 3)
    assert (result.unparsable, result.labels_per_response, result.official_clips) == (1, 1.0, 1241)
    assert [outcome.hit for outcome in result.outcomes] == [True, True, False, None]
    assert result.outcomes[0].labels == ("joyful", "angry")


def test_set_f_score_by_hand() -> None:
    # Wheel 1: P = (1 + 1/2)/2, R = (1/2 + 1)/2, F = 3/4. Wheel 2: P = 1, R = (1/2 + 1)/2, F = 6/7.
    result = score(FINE).sets["ovmerdplus"]
    assert result.metric == "f_s"
    assert result.score == pytest.approx(100 * (3 / 4 + 6 / 7) / 2)
    assert result.secondary == {"Precision_S": pytest.approx(87.5), "Recall_S": pytest.approx(75.0)}
    assert [outcome.hit for outcome in result.outcomes] == [True, True]


def test_sentiment_by_hand() -> None:
    # Truth 0 is removed; an unknown word is neutral, so not positive: 2 of 3 clips are right; F1 is 2/3 for both.
    result = score(SENTIMENT).sets["sims"]
    assert result.metric == "waf"
    assert result.score == pytest.approx(200 / 3)
    assert result.secondary == {"ACC": pytest.approx(200 / 3)}
    assert (result.scored_clips, result.scored_clips_per_wheel) == (3, ())
    assert [outcome.hit for outcome in result.outcomes] == [True, True, None, False]
    assert [outcome.sentiment for outcome in result.outcomes] == ["positive", "negative", "positive", "neutral"]


def test_the_mean_is_over_the_benchmark_sets_only() -> None:
    other = answers("my-clips", [("happy", "happy"), ("happy", "happy")])
    scores = score([*SENTIMENT, *other, *FINE, *BASIC])
    assert list(scores.sets) == ["iemocap", "sims", "ovmerdplus", "my-clips"]
    assert scores.sets["my-clips"].metric == "f_s"
    assert scores.sets["my-clips"].score == pytest.approx(100.0)
    assert scores.mean == pytest.approx((50 + 200 / 3 + 100 * (3 / 4 + 6 / 7) / 2) / 3)
    assert (scores.sets_in_mean, scores.complete) == (3, False)
    assert (scores.taxonomy, len(scores.taxonomy_sha256)) == ("two wheels", 64)
    assert scores.extractor == "comma extractor of a test"
    assert SuiteScores.from_json(json.loads(json.dumps(scores.to_json()))) == scores


def test_a_set_in_which_no_clip_counts_has_no_score() -> None:
    scores = score([*answers("meld", [("happy", "neutral")]), *SENTIMENT])
    assert scores.sets["meld"].score is None
    assert scores.sets["meld"].secondary == {"M-score": None, "Precision_S": None, "F_S": None}
    assert scores.sets["meld"].interval is None
    assert scores.sets_in_mean == 1


def test_the_order_of_predictions_does_not_matter() -> None:
    assert score([*reversed(BASIC), *FINE]) == score([*FINE, *BASIC])


class ShortExtractor(CommaExtractor):
    def extract(self, responses: Sequence[str]) -> list[list[str]]:
        return super().extract(responses)[1:]


def test_what_cannot_be_scored_is_explained() -> None:
    with pytest.raises(DataError, match="There are no predictions to score"):
        score([])
    with pytest.raises(DataError, match=r"The set iemocap has more than one prediction for the clip 'clip0'"):
        score([*BASIC, BASIC[0]])
    with pytest.raises(DataError, match=r"None of the 1 clips of meld has true emotion words"):
        score([Prediction("a", "meld", "", "happy")])
    with pytest.raises(DataError, match=r"The clip a of sims has no true sentiment"):
        score([Prediction("a", "sims", "", "happy")])
    with pytest.raises(DataError, match=r"The set mine has predictions for 1 clips but no truth"):
        score([Prediction("a", "mine", "", "happy")])
    message = r"label extractor ShortExtractor .* expected a list of 4 lists .* got a list of 3 list"
    with pytest.raises(ContractError, match=message):
        score_predictions(BASIC, ShortExtractor(), small_taxonomy())


def test_predictions_survive_the_disk(tmp_path: Path) -> None:
    odd = Prediction("ü", "meld", "Wie?", 'Zeile 1\nZeile 2 "quoted" 高兴\u2028', ("joy",), None)
    paths = write_predictions(tmp_path / "predictions", [*SENTIMENT, odd, *BASIC])
    assert [path.name for path in paths] == ["sims.jsonl", "meld.jsonl", "iemocap.jsonl"]
    assert read_predictions(tmp_path) == [*BASIC, odd, *SENTIMENT]
    assert read_predictions(paths[1]) == [odd]
    assert sorted(path.name for path in (tmp_path / "predictions").iterdir()) == sorted(path.name for path in paths)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", r"meld.jsonl, row 2 is broken: Expecting property name"),
        ("[1]", r"meld.jsonl, row 2 is broken: the row must be a JSON object, found list"),
        ('{"name": "a"}', r"row 2 is broken: the row lacks corpus, question, response, truth_labels, truth_sentiment"),
        ('{"response": 3}', r"response must be a text, found 3"),
        ('{"truth_labels": "joy"}', r"truth_labels must be a list of texts, found 'joy'"),
        ('{"truth_sentiment": true}', r"truth_sentiment must be a number or null, found True"),
    ],
)
def test_broken_rows_are_named(tmp_path: Path, line: str, message: str) -> None:
    (path,) = write_predictions(tmp_path, answers("meld", [("happy", "joy")]))
    whole = json.loads(path.read_text(encoding="utf-8"))
    changes = json.loads(line) if line.startswith('{"') else {}
    if changes and "name" not in changes:
        line = json.dumps({**whole, **changes})
    path.write_text(path.read_text(encoding="utf-8") + line + "\n", encoding="utf-8")
    with pytest.raises(DataError, match=message):
        read_predictions(path)


def test_missing_or_empty_predictions_are_explained(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"holds no predictions \(\*.jsonl\). `affect-lightning test` writes them"):
        read_predictions(tmp_path)
    with pytest.raises(DataError, match=r"nowhere.jsonl cannot be read"):
        read_predictions(tmp_path / "nowhere.jsonl")
    (tmp_path / "meld.jsonl").write_text("\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"meld.jsonl holds no predictions"):
        read_predictions(tmp_path)
    with pytest.raises(DataError, match=r"The set's name '../meld' cannot be a file name"):
        write_predictions(tmp_path, [Prediction("a", "../meld", "", "")])


class SavedExtractor(LabelExtractor):
    """The labels and sentiments that the authors saved, instead of a language model that extracts them."""

    def __init__(self, sentiments: Sequence[str]) -> None:
        self.sentiments = list(sentiments)

    def extract(self, responses: Sequence[str]) -> list[list[str]]:
        from affect_lightning.label_strings import parse_labels

        return [list(parse_labels(response)) for response in responses]

    def sentiment(self, labels: Sequence[Sequence[str]]) -> list[Sentiment]:
        return [sentiment if sentiment in {"positive", "negative"} else "neutral" for sentiment in self.sentiments]

    def identity(self) -> str:
        return "saved outputs of the authors"


@pytest.mark.parametrize("key", ["mer2023", "meld", "cmumosi", "sims"])
def test_saved_outputs_of_the_authors_score_as_their_metric_says(reference: Path, key: str) -> None:
    """From the official label files and saved labels to the figures of expected.json, for the first checkpoint."""
    expected = json.loads((reference / "expected.json").read_text(encoding="utf-8"))[key]["by_checkpoint"][
        "checkpoint_000030"
    ]
    (saved,) = (reference / "affectgpt_outputs" / key).glob("checkpoint_000030*-openset.npz")
    labels = saved_column(saved)
    sentiment_file = saved.with_name(saved.name.replace("-openset", "-openset-sentiment"))
    feelings = saved_column(sentiment_file) if sentiment_file.is_file() else {}
    records = read_benchmark_set(reference / "labels", key)
    predictions = [
        Prediction(r.name, key, "", str(labels[r.name]), r.labels, r.sentiment) for r in records if r.name in labels
    ]
    extractor = SavedExtractor([str(feelings.get(p.name, "")) for p in predictions])
    result = score_predictions(predictions, extractor, official_taxonomy(reference)).sets[key]
    assert result.clips == result.official_clips
    assert result.score == pytest.approx(expected["waf"] if isinstance(expected, dict) else expected, abs=1e-3)
    if isinstance(expected, dict):
        assert result.secondary["ACC"] == pytest.approx(expected["acc"], abs=1e-3)


def saved_column(path: Path) -> dict[str, object]:
    """Clip name to what the authors saved for it."""
    content = read_npz(path)
    return dict(zip(content["filenames"], content["fileitems"], strict=True))


@cache
def official_taxonomy(reference: Path) -> Taxonomy:
    return Taxonomy.from_official(reference / "emotion_wheel")
