"""Sentiments as people and models write them: leanings, denials, comparisons, scales, chances, and both at once; and truths.

Each once scored as something else without a word, or was not read. A neighbour of `test_outside_third.py`.
"""

from __future__ import annotations

import json
import logging

import pytest

from affect_lightning.sentiment_strings import read_sentiment
from test_outside_words import CLASSES, VALUES, WORDS, own_folder, score, write

__all__ = ["own_folder"]  # the fixture of the other file, which pytest finds by its name here

SENTIMENTS: dict[str, str | None] = {
    "偏负面": "negative",
    "偏正面": "positive",
    "略显积极": "positive",
    "有点消极": "negative",
    "有些积极": "positive",
    "稍微负面": "negative",
    "比较消极": "negative",
    "非常积极": "positive",
    "略微偏正面": "positive",
    "轻微负面": "negative",
    "强烈消极": "negative",
    "中性偏负面": "negative",
    "中性偏积极": "positive",
    "偏中性": "neutral",
    "极度消极": "negative",
    "不太积极": None,
    "并不积极": None,
    "不积极": None,
    "并非积极": None,
    "不是积极的": None,
    "没有积极情绪": None,
    "不算积极": None,
    "谈不上积极": None,
    "不消极": None,
    "并不消极": None,
    "毫不积极": None,
    "未表现出积极情绪": None,
    "not positive": None,
    "isn't positive": None,
    "It is not very positive": None,
    "far from positive": None,
    "anything but positive": None,
    "hardly positive": None,
    "can't be called positive": None,
    "neither positive nor negative": "neutral",
    "The sentiment is neither positive nor negative.": "neutral",
    "not positive or negative": "neutral",
    "not positive, not negative": "neutral",
    "既不积极也不消极": "neutral",
    "既非正面也非负面": "neutral",
    "不积极也不消极": "neutral",
    "非正非负": None,
    "no positive or negative sentiment": "neutral",
    "neither negative nor positive": "neutral",
    "more negative than positive": "negative",
    "more positive than negative": "positive",
    "less positive than negative": "negative",
    "rather negative than positive": "negative",
    "negative rather than positive": "negative",
    "positive, not negative": "positive",
    "not positive but negative": "negative",
    "不是积极而是消极": "negative",
    "负面多于正面": "negative",
    "积极大于消极": "positive",
    "消极成分更多，积极较少": None,
    "与其说积极，不如说消极": "negative",
    "更偏向负面而非正面": "negative",
    "leaning negative": "negative",
    "leans positive": "positive",
    "neutral to negative": None,
    "neutral, leaning negative": "negative",
    "slightly negative, almost neutral": None,
    "neutral to slightly positive": None,
    "between neutral and positive": None,
    "close to neutral": "neutral",
    "mixed": "mixed",
    "mixed positive and negative": "mixed",
    "both positive and negative": "mixed",
    "positive and negative": "mixed",
    "混合": "mixed",
    "正负混合": "mixed",
    "积极与消极并存": "mixed",
    "bittersweet, mixed": "mixed",
    "partly positive, partly negative": "mixed",
    "3/5": "neutral",
    "4 out of 5": "positive",
    "2/5": "negative",
    "sentiment: 4 out of 10": "negative",
    "sentiment: 7 out of 10": "positive",
    "5/10": "neutral",
    "4 out of 6": None,
    "sentiment: 1/3": None,
    "2/3": None,
    "3/7": "negative",
    "sentiment: 40/100": "negative",
    "-2/3": "negative",
    "+2 out of 3": "positive",
    "-0.5/1": "negative",
    "sentiment: 4 (scale 1-5)": "positive",
    "sentiment: 2 (1-5)": "negative",
    "sentiment 2 on a scale of 1 to 5": "negative",
    "on a scale from -3 to 3: -2": "negative",
    "sentiment: -2 (scale -3 to 3)": "negative",
    "Sentiment: 3 on a scale from 1 to 5": "neutral",
    "sentiment: 6 on a scale of 0-10": "positive",
    "在1到5分中为2分": "negative",
    "情感得分：2（1-5分）": "negative",
    "情感：4/5": "positive",
    "五分之四": None,
    "sentiment: 1 on a scale of 0 to 2": "neutral",
    "0 (scale 0-2)": "negative",
    "positive: -0.1, negative: -2.3": "positive",
    "positive: -2.3, negative: -0.1": "negative",
    "{'positive': -2.3, 'negative': -0.1}": "negative",
    "P(positive)=0.2, P(negative)=0.8": "negative",
    "positive (0.2), neutral (0.3), negative (0.5)": "negative",
    "positive 20% negative 80%": "negative",
    "likelihood of positive: 0.2, likelihood of negative: 0.8": "negative",
    "negative likelihood 0.8, positive likelihood 0.2": "negative",
    "probability of negative is 0.8": "negative",
    "probability of positive is 0.2": "negative",
    "positive: 0.2": "negative",
    "negative: 80%": "negative",
    "积极概率20%，消极概率80%": "negative",
    "积极：0.2，消极：0.8": "negative",
    "20% positive, 80% negative": "negative",
    "正面0.2 负面0.8": "negative",
    "{'neg': 0.8, 'neu': 0.1, 'pos': 0.1}": "negative",
    "{'neg': 0.0, 'neu': 0.6, 'pos': 0.4, 'compound': 0.7}": "positive",
    "compound: -0.6": "negative",
    "non-negative": None,
    "nonpositive": None,
    "LABEL_0": None,
    "Negative Positive": None,
    "very positive": "positive",
    "weakly negative": "negative",
    "POS": "positive",
    "pos/neg": None,
    "positive?": "positive",
    "possibly negative": "negative",
    "正": None,
    "负": None,
    "正向": "positive",
    "好评": "positive",
    "差评": "negative",
    "褒义": "positive",
    "乐观": None,
    "The sentiment is not negative; it is positive.": "positive",
    "It is positive, I do not see anything negative.": "positive",
    "There is nothing positive; negative.": "negative",
}


@pytest.mark.parametrize(("text", "word"), SENTIMENTS.items())
def test_a_text_has_the_sentiment_that_it_tells(text: str, word: str | None) -> None:
    assert read_sentiment(text) == word


PAIRS = [
    ("偏负面", "偏正面"),
    ("略显消极", "略显积极"),
    ("more negative than positive", "more positive than negative"),
    ("not positive but negative", "The sentiment is not negative; it is positive."),
    ("sentiment: 2 (1-5)", "sentiment: 4 (scale 1-5)"),
    ("sentiment: 4 out of 10", "sentiment: 7 out of 10"),
    ("positive: -2.3, negative: -0.1", "positive: -0.1, negative: -2.3"),
    ("{'neg': 0.8, 'neu': 0.1, 'pos': 0.1}", "{'neg': 0.1, 'neu': 0.1, 'pos': 0.8}"),
    ("{'neg': 0.8, 'pos': 0.1, 'compound': -0.7}", "{'neg': 0.1, 'pos': 0.8, 'compound': 0.7}"),
    ("positive (0.2), neutral (0.3), negative (0.5)", "positive (0.5), neutral (0.3), negative (0.2)"),
]


@pytest.mark.parametrize(("negative", "positive"), PAIRS)
@pytest.mark.parametrize("column", ["response", "sentiment", "truth"])
def test_both_sides_of_a_score_read_it(
    capsys: pytest.CaptureFixture[str], column: str, negative: str, positive: str
) -> None:
    texts = [negative if value < 0 else positive for value in VALUES]
    labels = write("t.csv", "val", texts if column == "truth" else VALUES)
    given = write("p.jsonl", "sentiment" if column == "truth" else column, VALUES if column == "truth" else texts)
    code, result, err = score(capsys, "mine", labels, given)
    assert (code, result["score"], result["without_a_label"]) == (0, 100.0, 0), err


@pytest.mark.parametrize("text", ["并不积极", "not positive", "neutral to negative"])
def test_what_tells_no_sentiment_is_counted_and_not_guessed(capsys: pytest.CaptureFixture[str], text: str) -> None:
    answers = [text, *("negative" if value < 0 else "positive" for value in VALUES[1:])]
    assert score(capsys, "mine", "sent_labels.csv", write("p.jsonl", "response", answers))[1]["without_a_label"] == 1


@pytest.mark.parametrize(("column", "what"), [("response", "responses say"), ("sentiment", "given sentiments say")])
@pytest.mark.parametrize("text", ["both positive and negative", "积极与消极并存", "mixed"])
def test_both_sentiments_at_once_are_told(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture, column: str, what: str, text: str
) -> None:
    answers = [text, *("negative" if value < 0 else "positive" for value in VALUES[1:])]
    with caplog.at_level(logging.WARNING):
        assert score(capsys, "mine", "sent_labels.csv", write("p.jsonl", column, answers))[0] == 0
    assert f"mine: 1 {what} both sentiments and weigh neither, such as" in caplog.text


# --- truths ---


def test_truths_with_chances_are_their_best_words(capsys: pytest.CaptureFixture[str]) -> None:
    given = write("p.jsonl", "labels", WORDS)
    for form in ("WORD: 0.8, calm: 0.1", '{"WORD": 0.8, "calm": 0.1}', "WORD: -0.2, calm: -2.3", "WORD (3), calm (1)"):
        truths = write("t.jsonl", "openset", [form.replace("WORD", word) for word in WORDS])
        assert score(capsys, "mine", truths, given)[1]["score"] == 100.0, form
    classes = write("p.jsonl", "labels", CLASSES)
    truths = write("t.csv", "discrete", [f"{word}: 0.8, neutral: 0.1" for word in CLASSES])
    assert score(capsys, "mer2023", truths, classes)[1]["score"] == 100.0


@pytest.mark.parametrize(
    "form",
    [
        "The person is WORD.",
        "In the clip the man frowns. Overall, he seems WORD.",
        "<think>calm</think>WORD",
        '```json\n["WORD"]\n```',
        "2024-01-01 12:00 INFO WORD",
        "0:WORD",
    ],
)
@pytest.mark.parametrize("dataset", ["mine", "mer2023"])
def test_a_truth_that_is_no_list_of_words_stops_the_score(
    capsys: pytest.CaptureFixture[str], dataset: str, form: str
) -> None:
    words = WORDS if dataset == "mine" else CLASSES
    truths = write("t.csv", "label", [form.replace("WORD", word) for word in words])
    code, _, err = score(capsys, dataset, truths, write("p.jsonl", "labels", words))
    assert code == 2
    assert "could not be read" in err or "cannot be read" in err or "is not one of the emotions" in err


@pytest.mark.parametrize(
    "values", [[0, 1, 2, 3, 4, 5], [json.dumps([1, 0]), *["[0, 1]"] * 5], ["100000", *["010000"] * 5]]
)
def test_numbers_without_a_key_are_no_truths(capsys: pytest.CaptureFixture[str], values: list[object]) -> None:
    code, _, err = score(capsys, "mine", write("t.csv", "label", values), write("p.jsonl", "labels", WORDS))
    assert (code, "the emotion words cannot be read from" in err) == (2, True)


@pytest.mark.parametrize("column", ["truth", "sentiment", "response"])
def test_logarithms_as_sentiments_are_told(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture, column: str
) -> None:
    numbers = [-0.1, -2.2, -0.3, -2.3, -1.2, -3]
    truths = write("t.csv", "val", numbers if column == "truth" else VALUES)
    given = write("p.jsonl", "sentiment" if column == "truth" else column, VALUES if column == "truth" else numbers)
    with caplog.at_level(logging.WARNING):
        score(capsys, "mine", truths, given)
    assert "(-3 to -0.1) is above 0, and all are read as negative" in caplog.text
