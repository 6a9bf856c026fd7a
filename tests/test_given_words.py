"""Given words and sentiments: every way of writing them that users bring, and the authors' own files unchanged."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import pytest

from affect_lightning.corpora.annotation_tables import TableRow
from affect_lightning.corpora.table_cells import number_of, true_labels, words_of
from affect_lightning.errors import DataError
from affect_lightning.label_strings import given_words, parse_labels
from affect_lightning.metrics import Taxonomy
from affect_lightning.safe_npz import read_npz
from affect_lightning.sentiment_strings import read_sentiment, sentiment_value

TWO = ("happy", "calm")


@pytest.mark.parametrize(
    "text",
    [
        "happy, calm",
        "happy; calm",
        "happy；calm",
        "happy、calm",
        "happy，calm",
        "happy | calm",
        "happy/calm",
        "happy + calm",
        "happy\ncalm",
        "happy\r\ncalm\r\n",
        "happy\tcalm",
        "happy and calm",
        "happy, and calm.",
        "happy & calm",
        "- happy\n- calm",
        '"happy", "calm"',
        "['happy', 'calm']",
        '["happy","calm"]',
        "[happy; calm]",
        "“happy”, “calm”",
        "happy: 0.8, calm: 0.7, sad: 0.1",
        "Happy (80%)\nCalm (75%)\nSad (5%)".lower(),
    ],
)
def test_a_list_of_words_is_split_however_it_is_written(text: str) -> None:
    assert parse_labels(text) == TWO
    assert true_labels(text, "here") == TWO, "truths are split alike"
    assert given_words([text]) == TWO, "and so is a list of one"


@pytest.mark.parametrize("text", ["", "nan", "NaN", "None", "null", "N/A", "[]", "['nan']", "-", "[None]"])
def test_what_stands_for_nothing_is_no_word(text: str) -> None:
    assert parse_labels(text) == given_words([text]) == ()


@pytest.mark.parametrize("text", ["nan", "None", "null", "happy, nan", "[none]", "[happy", "[?]", "?"])
def test_a_truth_that_stands_for_nothing_is_named(text: str) -> None:
    if text in {"happy, nan", "[none]"}:  # a list says so by itself
        assert true_labels(text, "here") == (("happy",) if "happy" in text else ())
        return
    with pytest.raises(DataError, match=r"here: the emotion words cannot be read from .*Fix the cell"):
        true_labels(text, "here")
    if "[" not in text:
        with pytest.raises(DataError, match="t.csv, line 3, column labels: the emotion words cannot be read"):
            words_of(TableRow({"labels": [text]}, Path("t.csv"), 3), "labels")


@pytest.mark.parametrize(
    "text",
    ["「高兴」『悲伤』", "“高兴”“悲伤”", "【高兴，悲伤】", "【高兴】【悲伤】", "（高兴、悲伤）", "（高兴）（悲伤）",
     "“高兴”和“悲伤”", '"高兴" and "悲伤"', "['（高兴）', '「悲伤」']", "「高兴」: 0.9, 「悲伤」: 0.8"],
)  # fmt: skip
def test_chinese_quotes_and_brackets_part_and_end_words(text: str) -> None:
    assert parse_labels(text) == ("高兴", "悲伤")


def test_a_remark_behind_a_word_stays() -> None:
    assert parse_labels("高兴（强烈），悲伤") == ("高兴（强烈）", "悲伤")


def test_words_in_brackets_keep_what_a_bracket_may_hold() -> None:
    """The authors' metric splits at quotes and commas: 14 of their labels hold `and`, 10 a slash."""
    assert parse_labels("['positive and friendly', 'joy/enthusiasm']") == ("positive and friendly", "joy/enthusiasm")
    assert parse_labels(parse_labels("[a bit shy., Happy]")) == ("a bit shy", "Happy")


def test_the_authors_label_lists_read_as_their_metric_reads_them(reference: Path) -> None:
    lists: set[str] = set()
    for path in reference.rglob("*-openset.npz"):
        lists.update(map(str, read_npz(path)["fileitems"]))
    with (reference / "ovmerd" / "check-openset.csv").open(encoding="utf-8") as file:
        lists.update(row["openset"] for row in csv.DictReader(file))
    texts = sorted(lists)
    assert len(texts) > 20_000
    theirs = [
        [word.strip() for word in re.split("[\"',]", text.strip().removeprefix("[").removesuffix("]")) if word.strip()]
        for text in texts
    ]
    ours = [parse_labels(text) for text in texts]
    for taxonomy in (Taxonomy.builtin(), Taxonomy.from_official(reference / "emotion_wheel")):
        for level in (1, 2):
            assert (taxonomy.encode(ours, level) == taxonomy.encode(theirs, level)).all()
    differing = [(one, other) for one, other in zip(ours, theirs, strict=True) if list(one) != other]
    assert all(len(one) == len(other) for one, other in differing), "labels a clip stay"


@pytest.mark.parametrize(
    ("text", "word", "value"),
    [
        ("positive", "positive", 1.0),
        ("Negative.", "negative", -1.0),
        ("NEU", "neutral", 0.0),
        ("pos", "positive", 1.0),
        ("slightly negative", "negative", -1.0),
        ("weakly positive", "positive", 1.0),
        ("Strongly Negative", "negative", -1.0),
        ("-0,8", "negative", -0.8),
        ("0,4", "positive", 0.4),
        ("\u22120.4", "negative", -0.4),
        ("+0.5", "positive", 0.5),
        ("0", "neutral", 0.0),
        ("+", "positive", 1.0),
        ("-", "negative", -1.0),
        ("negative (-0.8)", "negative", -1.0),
        ("The sentiment is positive.", "positive", 1.0),
        ("Sentiment: negative, not positive", "negative", -1.0),
        ("sentiment score: -0.8", "negative", -1.0),
        ("积极", "positive", 1.0),
        ("情绪是消极的。", "negative", -1.0),
        ("負面", "negative", -1.0),
        ("中性", "neutral", 0.0),
        ("mixed", "mixed", None),
        ("positive or negative", None, None),
        ("not positive", None, None),
        ("不积极", None, None),
        ("angry", None, None),
        ("nan", None, None),
        ("inf", None, None),
        ("1e400", None, None),
        ("", None, None),
    ],
)
def test_sentiments_are_read_in_words_signs_and_numbers(text: str, word: str | None, value: float | None) -> None:
    assert (read_sentiment(text), sentiment_value(text)) == (word, value)


def test_a_true_sentiment_is_read_as_a_predicted_one_is() -> None:
    row = TableRow({"val": "weakly negative", "bad": "so-so", "comma": "-0,8"}, Path("t.csv"), 2)
    assert (number_of(row, "val"), number_of(row, "comma")) == (-1.0, -0.8)
    with pytest.raises(DataError, match=r"t.csv, line 2, column bad: 'so-so' is not a number, nor positive"):
        number_of(row, "bad")
