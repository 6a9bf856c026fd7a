"""Twenty more inputs as other tools and models write them: the right score, or a stop or a warning that says why.

They are of the kinds of `test_outside_words.py` and found by trying what a new user would bring; each gave a wrong figure without
a word, or ended in an error of Python, before it was put here.
"""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest

from test_outside_words import CHINESE, NAMES, WORDS, mine, own_folder, score, write

__all__ = ["own_folder"]  # the fixture of the other file, which pytest finds by its name here

ANSWERS = {
    "1 thoughts without marks": "Thought: calm or bored.\nReason: a flat voice.\nAnswer: {word}",
    "2 lines of keys": "Emotion: {word}\nConfidence: 0.9\nReason: not calm",
    "3 a whole chat without its marks": "system\nBe kind.\nuser\nIs she calm, bored or sad?\nassistant\n{word}",
    "4 yes and no": "{word}: yes\ncalm: no\nbored: no",
    "5 a table with yes and no": "| Emotion | Present |\n|---|---|\n| {word} | Yes |\n| calm | No |",
    "6 a table turned round": "| Emotion | {word} |\n|---|---|\n| Confidence | 0.9 |",
    "7 JSON with true and false": '{{"{word}": true, "calm": false, "bored": false}}',
    "8 JSON with numbers as texts": '{{"{word}": "0.9", "calm": "0.05", "bored": "0.05"}}',
    "9 pairs": '[["{word}", 0.9], ["calm", 0.05]]',
    "10 JSON in a text of JSON": '"{{\\"emotion\\": \\"{word}\\", \\"confidence\\": 0.9}}"',
    "11 HTML's entities": "{{&quot;emotion&quot;: &quot;{word}&quot;, &quot;confidence&quot;: 0.9}}",
    "12 ranges of percent": "{word} (80-90%), calm (5-10%)",
    "13 high and low": "{word}: high, calm: low, bored: none",
    "14 an offer at the end": "The person is {word}. Would you like me to say how calm or bored they are?",
    "15 curly apostrophes": "The person isn’t calm and doesn’t look bored; she is {word}.",
    "15a thoughts of Ollama": "Thinking...\ncould be calm or bored\n...done thinking.\n\n{word}",
    "15b an answer behind hashes": "He might look calm. #### {word}",
    "16 one mark of thoughts more": "<|think|>calm or bored<|/think|>The person is {word}.",
}


@pytest.mark.parametrize("form", ANSWERS.values(), ids=ANSWERS)
def test_every_form_gives_its_emotion(capsys: pytest.CaptureFixture[str], form: str) -> None:
    assert mine(capsys, "response", [form.format(word=word) for word in WORDS]) == pytest.approx(100.0)


def test_17_two_languages_in_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    answers = [f"The person seems {word} because of the news." for word in CHINESE]
    assert mine(capsys, "response", answers) == pytest.approx(100.0)


@pytest.mark.parametrize("codes", [["0", "1", "2", "3", "4", "5"], [["0"], ["1"], ["2"], ["3"], ["4"], ["5"]]])
def test_18_class_codes_as_predictions_stop_a_score(capsys: pytest.CaptureFixture[str], codes: list[Any]) -> None:
    code, _, err = score(capsys, "mer2023", "mer_labels.csv", write("p.jsonl", "labels", codes))
    assert code == 2
    assert "Check how the given labels of MER2023 are written: 100% of them (6 of 6) could not be read" in err


def test_class_codes_with_a_point_are_classes_as_truths(capsys: pytest.CaptureFixture[str]) -> None:
    """pandas writes a column of whole numbers with a gap as 0.0, 1.0 ..."""
    scores = set()
    for codes in (["1", "5", "3", "4", "0", "5"], ["1.0", "5.0", "3.0", "4.0", "0.0", "5.0"]):
        truths = write("codes.csv", "discrete", codes)
        scores.add(score(capsys, "mer2023", truths, write("p.jsonl", "labels", WORDS))[1]["score"])
    assert scores == {score(capsys, "mer2023", "mer_labels.csv", "p.jsonl")[1]["score"]}


@pytest.mark.parametrize("values", [[0, 0, 1, 2, 2, 2], [0.1, 0.2, 0.3, 0.7, 0.8, 0.9], [1, 2, 1, 4, 4, 5]])
def test_19_sentiments_that_are_never_below_zero_are_told(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture, values: list[float]
) -> None:
    given = write("p.jsonl", "sentiment", values)
    with caplog.at_level(logging.WARNING):
        assert score(capsys, "mine", "sent_labels.csv", given)[0] == 0
    assert "p.jsonl: no number in the column sentiment is below 0 (" in caplog.text
    caplog.clear()
    truths = write("codes.csv", "val", values)
    with caplog.at_level(logging.WARNING):
        assert score(capsys, "mine", truths, write("p.jsonl", "sentiment", ["positive"] * 6))[0] == 0
    assert "codes.csv: no number in the column val is below 0 (" in caplog.text
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        score(capsys, "mine", "sent_labels.csv", write("p.jsonl", "sentiment", [-0.5, *values[1:]]))
        score(capsys, "mine", "sent_labels.csv", write("p.jsonl", "sentiment", ["negative", *values[1:]]))
    assert "is below 0" not in caplog.text


@pytest.mark.parametrize(
    ("column", "answer"),
    [("response", "I cannot determine the sentiment."), ("response", "The table is brown."), ("sentiment", "mixed")],
)
def test_clips_that_no_answer_wins_are_told(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture, column: str, answer: str
) -> None:
    """The official rule counts what is not positive as right where the truth is negative."""
    truths = write("truths.csv", "val", [-0.5, -0.5, -0.5, -0.5, 0.5, 0.5])
    with caplog.at_level(logging.WARNING):
        code, result, _ = score(capsys, "mine", truths, write("p.jsonl", column, [answer] * 6))
    assert (code, result["clips"]) == (0, 6)
    assert "mine: 6 of 6 clips have no positive, negative or neutral sentiment." in caplog.text
    assert "so 4 of them count as right, because their truth is negative." in caplog.text
    assert "They count as wrong" not in caplog.text
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        score(capsys, "mine", truths, write("p.jsonl", "sentiment", ["negative"] * 4 + ["positive"] * 2))
    assert "count as right" not in caplog.text


@pytest.mark.parametrize("answers", [["The table is brown."] * 6, ["A", "B", "C", "D", "E", "F"], [""] * 6])
def test_20_responses_that_are_no_answers_are_told(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture, answers: list[str]
) -> None:
    with caplog.at_level(logging.WARNING):
        code, result, _ = score(capsys, "mine", "labels.csv", write("p.jsonl", "response", answers))
    assert (code, result["score"], result["without_a_label"], result["refused"]) == (0, 0.0, 6, 0)
    assert f"mine: 6 of 6 responses give no label and do not refuse, such as {answers[0]!r}." in caplog.text
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        score(capsys, "mine", "labels.csv", write("p.jsonl", "response", ["I cannot tell."] * 6))
        score(capsys, "mine", "labels.csv", write("p.jsonl", "response", ["She is sad."] * 3 + ["A"] * 3))
    assert "give no label" not in caplog.text
    with caplog.at_level(logging.WARNING):
        score(capsys, "mine", "labels.csv", write("p.jsonl", "labels", [[]] * 4 + [["sad"]] * 2))
    assert "mine: 4 of 6 given lists of labels are empty. They count as wrong." in caplog.text


def test_sentiments_in_structured_answers_are_read_where_no_emotion_is_there(
    capsys: pytest.CaptureFixture[str],
) -> None:
    words = ["negative"] * 3 + ["positive"] * 3
    for form in ('{{"sentiment": "{word}", "confidence": 0.9}}', "Sentiment: {word}\nReason: not clear"):
        given = write("p.jsonl", "response", [form.format(word=word) for word in words])
        assert score(capsys, "mine", "sent_labels.csv", given)[1]["score"] == 100.0


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("commas.jsonl", '{"name": "a", "response": "Sad."},\n', "commas.jsonl, line 1 is not JSON: Extra data"),
        ("list.jsonl", '[\n{"name": "a", "response": "Sad."}\n]\n', "list.jsonl, line 1 is not JSON"),
        ("comma.json", '[{"name": "a", "response": "Sad."},\n]', "comma.json is not JSON"),
        ("beams.jsonl", '{"name": "a", "response": ["Sad.", "Happy."]}\n', "beams.jsonl, line 1, column response"),
        ("twice.jsonl", '{"name": "a", "response": "Sad."}\n' * 2, "twice.jsonl, line 2, column name: the clip 'a'"),
        ("bars.csv", "name|labels\na|sad\n", "bars.csv has no column for the name; its columns are name|labels"),
    ],
)
def test_files_that_are_not_quite_right_stop_with_their_place(
    capsys: pytest.CaptureFixture[str], name: str, text: str, message: str
) -> None:
    Path(name).write_text(text, encoding="utf-8")
    code, _, err = score(capsys, "mine", "labels.csv", name)
    assert (code, message in err) == (2, True), err


def test_a_file_of_lines_is_read_twice_at_most(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once for its columns, because lines may differ, and once for its rows."""
    from affect_lightning.corpora import annotation_tables

    read: list[str] = []
    rows = annotation_tables.stream_row_file

    def counted(path: Path) -> Any:
        read.append(path.name)
        return rows(path)

    monkeypatch.setattr(annotation_tables, "stream_row_file", counted)
    lines = [json.dumps({"name": name, "response": f"She is {word}."}) for name, word in zip(NAMES, WORDS, strict=True)]
    Path("p.jsonl").write_text("\n".join(lines), encoding="utf-8")
    assert score(capsys, "mine", "labels.csv", "p.jsonl")[1]["score"] == 100.0
    assert read.count("p.jsonl") == 2
