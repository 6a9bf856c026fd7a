"""Files as other tools write them, scored by `affect-lightning score`: the right score, or a stop that says why.

Each case stands for a kind that once gave a wrong score without a word. The inputs are made here.
"""

from __future__ import annotations

import csv
import json
import logging
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from affect_lightning.command_line.program import main
from affect_lightning.corpora.own_clips import read_own_table
from affect_lightning.errors import DataError
from affect_lightning.unibench.scoring.predictions import Prediction, write_predictions

WORDS = ("happy", "sad", "angry", "surprised", "fearful", "disgusted")
CLASSES = ("happy", "sad", "angry", "surprise", "worried", "sad")  # of MER2023
CHINESE = ("开心", "难过", "愤怒", "惊讶", "害怕", "厌恶")
TRADITIONAL = ("開心", "難過", "憤怒", "驚訝", "害怕", "厭惡")
VALUES = (-0.8, -0.4, -1, 0.6, 0.2, 1)
NAMES = [f"clip_{number:03d}" for number in range(6)]
CALM = 70.87719298245614  # of a right word beside `calm`: precision 1/2 on the wheels that part them


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything happens in a new folder with three label files."""
    monkeypatch.chdir(tmp_path)
    write("labels.csv", "openset", [f"['{word}']" for word in WORDS])
    write("mer_labels.csv", "discrete", CLASSES)
    write("sent_labels.csv", "val", VALUES)


def write(name: str, column: str, values: Sequence[Any], **more: Sequence[Any]) -> str:
    """A csv or jsonl file with a row a clip; the name of the file."""
    columns = {"name": NAMES[: len(values)], column: values, **more}
    rows = [dict(zip(columns, cells, strict=True)) for cells in zip(*columns.values(), strict=True)]
    if name.endswith(".csv"):
        with open(name, "w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, list(columns))
            writer.writeheader()
            writer.writerows(rows)
    else:
        Path(name).write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return name


def score(
    capsys: pytest.CaptureFixture[str], dataset: str, labels: str, predictions: str, *more: str
) -> tuple[int, dict[str, Any], str]:
    """Exit code, JSON and standard error."""
    capsys.readouterr()
    shutil.rmtree("out", ignore_errors=True)  # no result is written over another
    files = ("--dataset", dataset, "--labels", labels, "--predictions", predictions)
    code = main(["score", *files, "--taxonomy", "builtin", "--json", "--out", "out", *more])
    captured = capsys.readouterr()
    return code, json.loads(captured.out) if captured.out else {}, captured.err


def mine(capsys: pytest.CaptureFixture[str], column: str, values: Sequence[Any]) -> float:
    """The score of six predictions of a set of one's own."""
    code, result, err = score(capsys, "mine", "labels.csv", write("p.jsonl", column, values))
    assert code == 0, err
    return result["score"]


ASIDE = "<think>\nHappy, or sad, or angry, or surprised, or fearful?\n</think>\n\n"
THINKING = [ASIDE, ASIDE.replace("think>", "thinking>"), ASIDE.removeprefix("<think>"), f"{ASIDE}<answer>"]


@pytest.mark.parametrize("aside", THINKING)
def test_thoughts_give_no_labels(capsys: pytest.CaptureFixture[str], aside: str) -> None:
    results = [
        score(
            capsys, "mer2023", "mer_labels.csv", write("p.jsonl", "response", [f"{before}The person feels bored."] * 6)
        )[1]
        for before in ("", aside)
    ]
    assert results[0]["score"] == results[1]["score"] == pytest.approx(21.3333, abs=1e-3)
    assert (results[0]["cleaned"], results[1]["cleaned"]) == ({}, {"thoughts": 6})
    assert "thoughts 6" in Path("out/report.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "form",
    [
        '{{"emotion": "{word}", "confidence": 0.9}}',
        '```json\n{{"emotion": "{word}"}}\n```',
        '[{{"label": "{word}", "score": 0.9}}, {{"label": "calm", "score": 0.1}}]',
        "| Emotion | Score |\n|---|---|\n| {word} | 0.9 |\n| calm | 0.1 |",
        "**Emotion:** {word}",
        "{word}: 0.8, calm: 0.1",
        "It is \\boxed{{{word}}}",
        "{word}<|im_end|>\n<|im_start|>user\nNot happy, sad or angry?",
        "Is the person happy, sad, angry, surprised or fearful? The person is {word}.",
        "neither calm nor bored, just {word}",
    ],
)
def test_every_form_of_an_answer_gives_its_emotion(capsys: pytest.CaptureFixture[str], form: str) -> None:
    assert mine(capsys, "response", [form.format(word=word) for word in WORDS]) == pytest.approx(100.0)


@pytest.mark.parametrize(
    "response",
    [
        "I'm sorry, but I can't identify emotions of people in a video.",
        "抱歉，我无法判断他是高兴还是难过。",
        "看不出是高興還是難過",
    ],
)
def test_refusals_have_no_label_and_are_counted(capsys: pytest.CaptureFixture[str], response: str) -> None:
    predictions = write("p.jsonl", "response", [response] * 6)
    code, result, _ = score(capsys, "mer2023", "mer_labels.csv", predictions)
    assert (code, result["score"], result["without_a_label"], result["refused"]) == (0, 0.0, 6, 6)


@pytest.mark.parametrize("terms", [CHINESE, TRADITIONAL])
def test_both_chinese_scripts_are_read(capsys: pytest.CaptureFixture[str], terms: Sequence[str]) -> None:
    assert (
        mine(capsys, "response", [f"{'這個' if terms is TRADITIONAL else '这个'}人很{term}。" for term in terms])
        == 100.0
    )


def test_a_truth_beside_the_response_is_not_scored(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    answers = ["The person feels sad."] * 6
    swift = write("swift.jsonl", "response", answers, labels=WORDS, messages=[[{"role": "user"}]] * 6)
    with caplog.at_level(logging.WARNING):
        code, result, _ = score(capsys, "mine", "labels.csv", swift)
    assert (code, result["extractor"][:6]) == (0, "rules-")
    assert result["score"] < 50
    assert "the column response is scored, and labels is taken for the truth" in caplog.text
    factory = write("factory.jsonl", "predict", answers, label=WORDS, prompt=["How?"] * 6)
    assert score(capsys, "mine", "labels.csv", factory)[1]["score"] == result["score"]
    evaluation = write(
        "lmms.jsonl", "filtered_resps", [[answer] for answer in answers], resps=[[["?"]]] * 6, target=WORDS
    )
    assert score(capsys, "mine", "labels.csv", evaluation)[1]["score"] == result["score"]


def test_a_response_beside_labels_is_ambiguous_until_one_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    both = write("both.csv", "response", ["The person feels sad."] * 6, labels=WORDS)
    code, _, err = score(capsys, "mine", "labels.csv", both)
    assert code == 2
    assert (
        "both.csv has responses (response) beside labels (labels), which may be the model's words or the truth" in err
    )
    assert score(capsys, "mine", "labels.csv", both, "--column", "labels=labels")[1]["score"] == 100.0
    named = score(capsys, "mine", "labels.csv", both, "--column", "response=response")[1]
    assert named["score"] < 50


def test_what_predict_wrote_is_scored_by_its_labels(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [Prediction(name, "mine", "How?", "The person feels sad.", generated=True) for name in NAMES]
    answers = {
        (row.corpus, row.name, row.question): {"labels": [word], "sentiment": "neutral"}
        for row, word in zip(rows, WORDS, strict=True)
    }
    (path,) = write_predictions(Path("predictions"), rows, answers=answers)
    code, result, err = score(capsys, "mine", "labels.csv", str(path))
    assert (code, result["score"], result["extractor"]) == (0, 100.0, "given labels"), err
    assert score(capsys, "mine", "labels.csv", str(path), "--from-responses")[1]["score"] < 50


def test_columns_of_the_label_file_can_be_named(capsys: pytest.CaptureFixture[str]) -> None:
    Path("odd.csv").write_text("who,felt\n" + "".join(f"{n},{w}\n" for n, w in zip(NAMES, WORDS, strict=True)), "utf-8")
    predictions = write("p.csv", "discrete", WORDS)
    code, _, err = score(capsys, "mine", "odd.csv", predictions)
    assert code == 2
    assert "name yours with `--column truth-name=NAME`" in err
    names = ("--column", "truth-name=who", "--column", "truth=felt")
    assert score(capsys, "mine", "odd.csv", predictions, *names)[1]["score"] == 100.0
    code, _, err = score(capsys, "mine", "odd.csv", predictions, "--column", "truth-name=when")
    assert (code, "odd.csv has no column 'when'; its columns are who, felt" in err) == (2, True)


@pytest.mark.parametrize("between", [", ", "; ", "；", "、", "\n", " | ", "/", " + ", " and "])
def test_separators_of_words_are_one_on_both_sides(capsys: pytest.CaptureFixture[str], between: str) -> None:
    given = [f"{word}{between}calm" for word in WORDS]
    assert mine(capsys, "labels", given) == pytest.approx(CALM)
    truths = write("truths.csv", "openset", given)
    for values in (given, [[word, "calm"] for word in WORDS]):
        code, result, err = score(capsys, "mine", truths, write("p.jsonl", "labels", values))
        assert (code, result["score"], result["unread"]["true labels"]["unread"]) == (0, pytest.approx(100.0), 0), err


def test_case_final_points_and_scores_of_words_do_not_matter(capsys: pytest.CaptureFixture[str]) -> None:
    assert mine(capsys, "labels", [[f"{word.title()}."] for word in WORDS]) == 100.0
    assert mine(capsys, "labels", [[f"{word}: 0.9", "calm: 0.1"] for word in WORDS]) == 100.0


@pytest.mark.parametrize(
    "values",
    [
        ["negative"] * 3 + ["positive"] * 3,
        ["slightly negative"] * 3 + ["weakly positive"] * 3,
        ["-0,8"] * 3 + ["0,4"] * 3,
        ["NEG", "Neg.", "-", "POS", "Pos.", "+"],
        ["The sentiment is negative."] * 3 + ["positive (0.9)"] * 3,
        ["消极", "负面情绪", "偏消极", "积极", "正面", "偏积极"],
    ],
)
def test_sentiments_are_read_however_they_are_written(
    capsys: pytest.CaptureFixture[str], values: Sequence[str]
) -> None:
    predictions = write("p.jsonl", "sentiment", values)
    code, result, err = score(capsys, "mine", "sent_labels.csv", predictions)
    assert (code, result["score"]) == (0, 100.0), err
    truths = write("truths.csv", "val", values)
    assert score(capsys, "mine", truths, predictions)[1]["score"] == 100.0, "and as truths"


def test_unread_sentiments_stop_a_score(capsys: pytest.CaptureFixture[str]) -> None:
    predictions = write("p.jsonl", "sentiment", ["joyful", "gloomy", "so-so", "?", "negative", "positive"])
    code, _, err = score(capsys, "mine", "sent_labels.csv", predictions)
    assert code == 2
    assert "Check how the given sentiments of mine are written: 67% of them (4 of 6) could not be read" in err


@pytest.mark.parametrize(
    "codes", [["e1", "e2", "e3", "e4", "e5", "e6"], ["开心", "难过", "愤怒", "惊讶", "害怕", "厌恶"]]
)
def test_unknown_truths_stop_a_score_and_are_never_neutral(
    capsys: pytest.CaptureFixture[str], codes: list[str]
) -> None:
    truths = write("codes.csv", "label", codes)
    predictions = write("p.jsonl", "response", ["The person feels sad."] * 6)
    code, _, err = score(capsys, "mine", truths, predictions)
    assert code == 2
    assert "Check how the true labels of mine are written: 100% of them (6 of 6) could not be read, such as" in err
    assert repr(codes[0]) in err
    assert not Path("out").exists()
    code, result, _ = score(capsys, "mine", truths, predictions, "--max-unread", "100")
    assert (code, result["score"], result["unknown_truths"]) == (0, None, 6)
    page = Path("out/report.md").read_text(encoding="utf-8")
    assert "skipped, truth unknown" in page
    assert "100.0% (6 of 6)" in page


def test_iemocaps_codes_are_scored_as_words_and_its_disagreements_stop_a_score(
    capsys: pytest.CaptureFixture[str],
) -> None:
    truths = write("codes.csv", "label", ["hap", "sad", "ang", "sur", "fea", "dis"])
    predictions = write("p.jsonl", "labels", WORDS)
    code, result, err = score(capsys, "mine", truths, predictions)
    assert (code, result["score"]) == (0, 100.0), err
    truths = write("codes.csv", "label", ["exc", "neu", "fru", "xxx", "ang", "dis"])
    code, _, err = score(capsys, "mine", truths, predictions)
    assert code == 2
    assert "codes.csv, line 5, column label, clip clip_003: IEMOCAP's code 'xxx' means no agreement" in err


def test_a_column_of_a_known_table_can_be_named(capsys: pytest.CaptureFixture[str]) -> None:
    """MELD's table has its own names; naming one of them is no error."""
    rows = "".join(f"0,{number},Hi.,{word},neutral\n" for number, word in enumerate(WORDS))
    Path("meld.csv").write_text("Dialogue_ID,Utterance_ID,Utterance,Emotion,Sentiment\n" + rows, "utf-8")
    names = [f"dia0_utt{number}" for number in range(6)]
    Path("p.jsonl").write_text(
        "".join(json.dumps({"name": n, "labels": w}) + "\n" for n, w in zip(names, WORDS, strict=True)),
        encoding="utf-8",
    )
    for named in ((), ("--column", "truth=Emotion")):
        code, result, err = score(capsys, "mine", "meld.csv", "p.jsonl", *named)
        assert (code, result["score"]) == (0, 100.0), err


def test_a_few_unread_words_warn_and_are_in_every_output(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    given = [[word, "zzz-top"] if word in {"happy", "sad"} else [word] for word in WORDS]
    predictions = write("p.jsonl", "labels", given)
    with caplog.at_level(logging.WARNING):
        code, result, _ = score(capsys, "mine", "labels.csv", predictions)
    side = result["unread"]["given labels"]
    assert (code, side["words"], side["unread"], side["commonest"]) == (0, 8, 2, [["zzz-top", 2]])
    assert "mine: 25.0% of the given labels (2 of 8) could not be read; the commonest: 'zzz-top' (2)" in caplog.text
    assert "25.0% (2 of 8): 'zzz-top'" in Path("out/report.md").read_text(encoding="utf-8")
    saved = json.loads(Path("out/report.json").read_text(encoding="utf-8"))["rows"][0]["sets"]["mine"]["unread"]
    assert {"kind": "given labels", "words": 8, "unread": 2, "commonest": [["zzz-top", 2]]} in saved
    caplog.clear()
    assert score(capsys, "mine", "labels.csv", predictions, "--warn-unread", "30")[0] == 0
    assert "could not be read" not in caplog.text
    code, _, err = score(capsys, "mine", "labels.csv", predictions, "--max-unread", "20")
    assert (code, "means nothing above 20%" in err or "would mean nothing above 20%" in err) == (2, True)
    code, _, err = score(capsys, "mine", "labels.csv", predictions, "--max-unread", "200")
    assert (code, "from 0 to 100 percent; got 200.0" in err) == (2, True)


def test_what_stands_for_nothing_is_trained_on_nowhere() -> None:
    Path("mix.csv").write_text('name,text,labels\na,Hi,nan\nb,Ho,happy; calm\nc,He,None\nd,Ha,"happy, calm"\n', "utf-8")
    with pytest.raises(
        DataError, match=r"2 rows cannot be read\..*line 2, .*clip a: .*'nan'.*line 4, .*clip c: .*'None'"
    ):
        read_own_table("mix.csv")
    Path("mix.csv").write_text('name,text,labels\nb,Ho,happy; calm\nd,Ha,"happy, calm"\n', "utf-8")
    assert [clip.labels for clip in read_own_table("mix.csv")] == [("happy", "calm")] * 2
    Path("told.csv").write_text("name,text,description\na,Hi,nan\n", "utf-8")
    with pytest.raises(DataError, match="column description, clip a: expected a sentence, found 'nan'"):
        read_own_table("told.csv")
