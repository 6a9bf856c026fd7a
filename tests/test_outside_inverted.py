"""Answers that mean the contrary of a word in them, or one of several words: chances, options, ticks, persons, scales.

Each once read inverted, flat or not at all. A neighbour of `test_outside_sentiments.py` and `test_outside_structure.py`.
"""

from __future__ import annotations

import json

import pytest

from affect_lightning.prompting.cleaning import clean_response
from affect_lightning.sentiment_strings import read_sentiment
from affect_lightning_plugins.label_extractors.rules import RulesLabelExtractor
from test_outside_words import VALUES, own_folder, score, write

__all__ = ["own_folder"]  # the fixture of the other file, which pytest finds by its name here

SENTIMENTS = {
    "85% positive": "positive",
    "15% positive": "negative",
    "positive: 0.9": "positive",
    "positive: 0.1": "negative",
    '{"positive": 0.9}': "positive",
    '{"positive": 0.1}': "negative",
    "negative: 0.1": "positive",
    "negative: 0.9": "negative",
    '{"negative": 0.1}': "positive",
    "P(positive)=0.1": "negative",
    "positive probability: 0.1": "negative",
    "positive: 0.5": "neutral",
    "positive: 50%": "neutral",
    '{"positive": 0.5}': "neutral",
    "The probability of positive sentiment is 20%": "negative",
    "positive sentiment: 0.2": "negative",
    "positive=False": "negative",
    "Is positive: false": "negative",
    "positive? hardly.": "negative",
    "negative sentiment: no": "positive",
    '{"positive": false}': "negative",
    '{"is_positive": false}': "negative",
    '{"is_negative": true}': "negative",
    "is positive: true": "positive",
    "good": "positive",
    "bad": "negative",
    "not bad": "positive",
    "Good.": "positive",
    "very bad": "negative",
    "Sentiment: good": "positive",
    "not good": "negative",
    "Rating: 9/10": "positive",
    "Rating: 2/10": "negative",
    "(1.2)": "positive",
    "(-1.2)": "negative",
    "Sentiment score: 0.8 (range 0-1, 0 = negative, 1 = positive)": "positive",
    "Sentiment score: 0.2 (range 0-1, 0 = negative, 1 = positive)": "negative",
    "On a scale of 1 to 5, where 1 is very negative and 5 very positive, I rate it 4.": "positive",
    "On a scale of 1 to 5, where 1 is very negative and 5 very positive, I rate it 2.": "negative",
    "On a scale of 1 to 5, where 1 is very positive and 5 very negative, I rate it 2.": "positive",
    "The answer is between -3 and 3: 1.5": "positive",
    "The answer is between -3 and 3: -1.5": "negative",
    "+2/3": "positive",
    "-2/3": "negative",
    "Four stars": "positive",
    "two stars": "negative",
    "one star": "negative",
    '{"rating": 4, "scale": "1-5"}': "positive",
    '{"rating": 2, "scale": "1-5"}': "negative",
}

EMOTIONS = {
    '{"happy": {"present": false}, "sad": {"present": true}}': "sad",
    '[{"emotion":"sad","present":true},{"emotion":"happy","present":false}]': "sad",
    '[{"emotion":"sad","detected":"yes"},{"emotion":"happy","detected":"no"}]': "sad",
    '{"happy": {"detected": "no"}, "sad": {"detected": "yes"}}': "sad",
    '{"answer":"B","options":{"A":"happy","B":"sad"}}': "sad",
    '{"options":["A. happy","B. sad"],"answer":"B"}': "sad",
    "1. happy 2. sad 3. angry. Answer: 2": "sad",
    "1. happy\n2. sad\n3. angry\nAnswer: 2": "sad",
    "选项：A.开心 B.悲伤 答案：B": "sad",
    "| Option | Emotion | Chosen |\n|---|---|---|\n| A | happy | |\n| B | sad | x |": "sad",
    "| Option | Emotion | Chosen |\n|---|---|---|\n| A | happy | no |\n| B | sad | yes |": "sad",
    "Happy: unlikely. Sad: very likely.": "sad",
    "Happy - no evidence. Sad - strong evidence.": "sad",
    "happy ❌ sad ✅": "sad",
    "❌ happy ✅ sad": "sad",
    "Happy: 0/5, Sad: 5/5": "sad",
    "Happy: 1 out of 10, Sad: 8 out of 10": "sad",
    '{"happy": "1/5", "sad": "5/5"}': "sad",
    '{"happy": "unlikely", "sad": "likely"}': "sad",
    '{"top1":{"label":"sad","score":0.93},"top2":{"label":"happy","score":0.02}}': "sad",
    "sad; anger: absent; joy: absent": "sad",
    "Primary emotion: sad. Other possible emotions that were excluded: angry, happy.": "sad",
    "| Person | Emotion |\n|---|---|\n| Speaker | sad |\n| Bystander | happy |": "sad",
    '{"speaker":{"emotion":"sad"},"listener":{"emotion":"happy"}}': "sad",
}

PROSE = [
    "He is happy (x) and she is not.",
    "The person is 85% positive that he is angry.",
    "It is good to see him; he is sad.",
    "On a scale of emotions she is between calm and sad.",
    "She looks tired, and it is unlikely that she is happy.",
]


@pytest.mark.parametrize(("text", "word"), SENTIMENTS.items())
def test_a_form_has_the_sentiment_that_it_means(text: str, word: str) -> None:
    cell = clean_response(text).text if text.startswith("{") else text
    assert read_sentiment(cell) == word


@pytest.mark.parametrize(("text", "label"), EMOTIONS.items())
def test_of_several_emotions_the_meant_one_is_read(text: str, label: str) -> None:
    assert RulesLabelExtractor().extract([text]) == [[label]]
    once = clean_response(text).text
    assert clean_response(once).text == once


@pytest.mark.parametrize("text", PROSE)
def test_prose_stays_as_it_is(text: str) -> None:
    assert clean_response(text).text == text


PAIRS = [
    ("15% positive", "85% positive"),
    ("positive: 0.1", "positive: 0.9"),
    ("negative: 0.9", "negative: 0.1"),
    ('{"positive": 0.1}', '{"positive": 0.9}'),
    ('{"negative": true}', '{"negative": false}'),
    ("P(positive)=0.1", "P(positive)=0.9"),
    ("positive? hardly.", "positive? yes."),
    ("Sentiment: bad", "Sentiment: good"),
    ("Rating: 2/10", "Rating: 9/10"),
    ("-2/3", "+2/3"),
    ("two stars", "Four stars"),
    ('{"rating": 2, "scale": "1-5"}', '{"rating": 4, "scale": "1-5"}'),
    ("The answer is between -3 and 3: -1.5", "The answer is between -3 and 3: 1.5"),
]


@pytest.mark.parametrize(("negative", "positive"), PAIRS)
@pytest.mark.parametrize("column", ["response", "sentiment"])
def test_a_score_reads_it_in_either_column(
    capsys: pytest.CaptureFixture[str], column: str, negative: str, positive: str
) -> None:
    texts = [negative if value < 0 else positive for value in VALUES]
    given = [json.loads(text) if column == "sentiment" and text.startswith("{") else text for text in texts]
    code, result, err = score(capsys, "mine", write("t.csv", "val", VALUES), write("p.jsonl", column, given))
    assert (code, result["score"], result["without_a_label"]) == (0, 100.0, 0), err


@pytest.mark.parametrize(
    "text",
    [
        "On a scale of 1 to 5, where 1 is negative and 5 is positive, I rate it 7.",
        "On a scale of 1 to 5, where 1 is negative and 5 is positive.",
        "range 0-1, 0 = negative, 1 = positive: 0.2 or 0.8",
    ],
)
def test_a_scale_that_cannot_be_read_tells_no_sentiment(text: str) -> None:
    assert read_sentiment(text) is None
