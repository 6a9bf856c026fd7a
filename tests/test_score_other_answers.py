"""Answers put into a label file: the truth is never scored as the prediction in silence, whatever the columns are called."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest

from affect_lightning.command_line.program import main

# Every answer is wrong: the right score of the answers is 0, of the truths 100.
TRUTHS = {"dia0_utt0": "joy", "dia0_utt1": "anger", "dia0_utt2": "sadness", "dia1_utt0": "joy"}
ANSWERS = {"dia0_utt0": "sad", "dia0_utt1": "happy", "dia0_utt2": "happy", "dia1_utt0": "angry"}
VALUES = {"v1$_$1": 0.6, "v1$_$2": -0.4, "v2$_$1": -1.0, "v2$_$2": 0.8}
FEELINGS = {name: "negative" if value > 0 else "positive" for name, value in VALUES.items()}
SAID = {name: f"The person in the clip seems {word}." for name, word in ANSWERS.items()}
IN_CHINESE = {
    name: f"从视频中人物的面部表情、语气和所说的话来看，可以推断出这个人此刻的内心感受是{word}的，这一点从头到尾都很明显。"
    for name, word in zip(TRUTHS, ("难过", "高兴", "高兴", "愤怒"), strict=True)
}
ASKED = "What does the person feel, happy or sad?"
Rows = list[dict[str, Any]]


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything happens in a new folder with the labels of two sets."""
    monkeypatch.chdir(tmp_path)
    write("labels/meld.csv", [{"name": name, "emotion": word} for name, word in TRUTHS.items()])
    write("labels/sims.csv", [{"name": name, "val": value} for name, value in VALUES.items()])


def write(path: str, rows: Rows) -> Path:
    file = Path(path)
    file.parent.mkdir(parents=True, exist_ok=True)
    if file.suffix == ".parquet":
        pyarrow = pytest.importorskip(
            "pyarrow", reason="parquet needs pyarrow: pip install 'affect-lightning[parquet]'"
        )
        from pyarrow import parquet

        parquet.write_table(pyarrow.Table.from_pylist(rows), file)
        return file
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    file.write_text(lines if file.suffix == ".jsonl" else text.getvalue(), encoding="utf-8")
    return file


def score(capsys: pytest.CaptureFixture[str], dataset: str, path: Path, *words: str, labels: str = "labels") -> Any:
    """The score, or the message where there is none."""
    capsys.readouterr()
    options = ["--dataset", dataset, "--labels", labels, "--predictions", str(path), "--taxonomy", "builtin", "--json"]
    code = main(["score", *options, *words])
    out, err = capsys.readouterr()
    assert code in {0, 2}, err
    return json.loads(out)["score"] if code == 0 else err


def of_meld(column: str) -> Rows:
    return [
        {
            "Sr No.": number, "Utterance": "Oh.", "Speaker": "Ross", "Emotion": word, "Sentiment": "positive",
            "Dialogue_ID": name[3], "Utterance_ID": name[-1], "Season": 4, "Episode": 7, "StartTime": "0", "EndTime": "1",
            column: ANSWERS[name],
        }
        for number, (name, word) in enumerate(TRUTHS.items())
    ]  # fmt: skip


def of_mmsa(column: str) -> Rows:
    return [
        {
            "video_id": name.split("$_$")[0], "clip_id": name.split("$_$")[1], "text": "b", "label": value, "label_T": 0,
            "label_A": 0, "label_V": 0, "annotation": "x", "mode": "test", column: FEELINGS[name],
        }
        for name, value in VALUES.items()
    ]  # fmt: skip


def plain(truth: str, column: str, answers: dict[str, str] | None = None, **more: str) -> Rows:
    said = answers or ANSWERS
    return [{"name": name, **more, truth: word, column: said[name]} for name, word in TRUTHS.items()]


def sentiments(column: str, answers: dict[str, Any] | None = None) -> Rows:
    return [
        {"name": name, "sentiment": "positive" if value > 0 else "negative", column: (answers or FEELINGS)[name]}
        for name, value in VALUES.items()
    ]


CODES = {"joy": "hap", "anger": "ang", "sadness": "sad", "sad": "sad", "happy": "hap", "angry": "ang"}
CODED = [{"name": name, "labels": CODES[word], "qwen": CODES[ANSWERS[name]]} for name, word in TRUTHS.items()]
NUMBERS = {name: -value for name, value in VALUES.items()}
SURE = (
    "preds",
    "pred_labels",
    "y_pred",
    "generated_response",
    "llm_answer",
    "hypothesis",
    "qwen",
    "text",
    "qwen_audio",
)
CASES: list[tuple[str, str, Rows, str]] = [  # set, truth as the file calls it, rows, kind of the answers
    *[("meld", "Emotion", of_meld(column), "response") for column in ("response", "pred", "prediction", "answer")],
    ("meld", "Emotion", of_meld("Pred_Emotion"), "labels"),
    ("meld", "labels", of_meld("labels"), ""),
    *[("sims", "label", of_mmsa(column), "response") for column in ("response", "pred")],
    *[("sims", "label", of_mmsa(column), "sentiment") for column in ("y_pred", "gemini")],
    *[("meld", "labels", plain("labels", column), "labels") for column in SURE],
    *[("meld", "labels", plain("labels", column, SAID), "response") for column in ("qwen", "text", "y_pred")],
    ("meld", "labels", CODED, "labels"),
    ("meld", "openset", plain("openset", "openset_pred"), "labels"),
    ("meld", "emotions", plain("emotions", "predicted"), "labels"),
    ("meld", "discrete", plain("discrete", "response"), "response"),
    ("meld", "discrete", plain("discrete", "pred_discrete"), "labels"),
    ("meld", "discrete", plain("discrete", "qwen_out"), "labels"),
    ("sims", "sentiment", sentiments("sentiment_pred"), "sentiment"),
    ("sims", "sentiment", sentiments("y_pred"), "sentiment"),
    ("sims", "sentiment", sentiments("pred_score", NUMBERS), "sentiment"),
    ("sims", "sentiment", sentiments("qwen", NUMBERS), "sentiment"),
    ("meld", "answer", plain("answer", "pred_answer", question=ASKED), "response"),
    ("meld", "labels", plain("labels", "eval", IN_CHINESE), "response"),
    ("meld", "answer", plain("answer", "qwen2vl", question=ASKED), "response"),
    ("meld", "output", plain("output", "model_response", instruction=ASKED), "response"),
    ("meld", "description", plain("description", "pred_emotion"), "response"),
    ("meld", "description", plain("description", "response_text", SAID), "response"),
    ("meld", "output", plain("output", "final_answer"), "response"),
]  # fmt: skip


@pytest.mark.parametrize(("dataset", "truth", "rows", "kind"), CASES)
@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet"])
def test_answers_beside_a_truth_stop_until_one_is_named(
    capsys: pytest.CaptureFixture[str], dataset: str, truth: str, rows: Rows, kind: str, form: str
) -> None:
    path = write(f"saved.{form}", rows)
    said = score(capsys, dataset, path)
    column = list(rows[0])[-1]
    assert isinstance(said, str), f"scored {said}"
    assert column in said
    assert truth in said
    assert f"--column {kind or 'labels'}={column}" in said
    assert score(capsys, dataset, path, "--column", f"{kind or 'labels'}={column}") == pytest.approx(0.0)


def test_from_responses_finds_the_column_in_a_native_table(capsys: pytest.CaptureFixture[str]) -> None:
    assert score(capsys, "meld", write("saved.csv", of_meld("response")), "--from-responses") == pytest.approx(0.0)
    said = score(capsys, "meld", write("saved.csv", of_meld("Pred_Emotion")))
    assert "saved.csv has labels (Emotion) beside Pred_Emotion" in said
    assert "`--column labels=Emotion`" in said
    assert score(capsys, "meld", Path("saved.csv"), "--column", "labels=Emotion") == pytest.approx(100.0)


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"transcript": "Oh, it is you."},
        {"text": "Come in."},
        {"question": ASKED},
        {"path": "clips/happy/1.mp4"},
        {"model": "happy-7b"},
        {"speaker": "Joy"},
        {"split": "test"},
        {"pred_time": "0.5"},
        {"confidence": "0.9"},
        {"pred_score": "0.9"},
        {"ground_truth": "joy"},
        {"gt_emotion": "joy"},
        {"video_id": "1"},
    ],
)
@pytest.mark.parametrize("column", ["labels", "response", "answer", "output"])
def test_what_is_no_answer_stands_beside_the_chosen_column(
    capsys: pytest.CaptureFixture[str], more: dict[str, str], column: str
) -> None:
    key = "clip" if "video_id" not in more else "name"
    rows = [{key: name, column: word, **more} for name, word in ANSWERS.items()]
    named = ("--column", "name=name") if "video_id" in more else ()
    assert score(capsys, "meld", write("saved.jsonl", rows), *named) == pytest.approx(0.0)


def test_the_truth_beside_a_response_is_left_alone(capsys: pytest.CaptureFixture[str]) -> None:
    for column in ("emotion", "label"):
        rows = [{"name": name, "answer": ANSWERS[name], column: word} for name, word in TRUTHS.items()]
        assert score(capsys, "meld", write("saved.csv", rows)) == pytest.approx(0.0)


def test_one_file_of_a_suite_stops_the_suite(capsys: pytest.CaptureFixture[str]) -> None:
    write("predictions/honest/meld.csv", [{"name": name, "labels": word} for name, word in ANSWERS.items()])
    write("predictions/other/meld.csv", plain("labels", "preds"))
    assert main(["score", "--suite", ".", "--taxonomy", "builtin"]) == 2
    err = capsys.readouterr().err
    assert "meld.csv has labels (labels) beside preds" in err


def test_a_file_called_last_is_the_last_checkpoint(capsys: pytest.CaptureFixture[str]) -> None:
    for name, words in (("last", ANSWERS), ("step100", TRUTHS)):
        write(f"saved/{name}.csv", [{"name": clip, "labels": word} for clip, word in words.items()])
    assert score(capsys, "meld", Path("saved")) == pytest.approx(0.0)


@pytest.mark.parametrize("twin", ["dia0_utt0.mp4", "DIA0_utt0", "clips/dia0_utt0"])
def test_one_clip_under_two_names_has_one_answer(capsys: pytest.CaptureFixture[str], twin: str) -> None:
    rows = [{"name": name, "labels": word} for name, word in ANSWERS.items()]
    said = score(capsys, "meld", write("saved.csv", [*rows, {"name": twin, "labels": "happy"}]))
    assert f"list one clip twice, as 'dia0_utt0' and as '{twin}'" in said
    assert score(capsys, "meld", write("saved.csv", [*rows, {"name": twin, "labels": "sad"}])) == pytest.approx(0.0)


@pytest.mark.parametrize("words", [("joy", "anger"), ("sad", "joy")])
def test_a_copied_truth_shows_that_any_other_text_may_be_the_answer(
    capsys: pytest.CaptureFixture[str], words: tuple[str, str]
) -> None:
    truths = {f"c{number}": ("joy", "anger")[number % 2] for number in range(24)}
    labels = write("own.csv", [{"name": name, "labels": word} for name, word in truths.items()])
    rows = [
        {"name": name, "labels": words[number % 2], "text": f"Class {'AB'[number % 3 == 0]}."}
        for number, name in enumerate(truths)
    ]
    said = score(capsys, "own", write("saved.csv", rows), labels=str(labels))
    assert ("has labels (labels) beside text" in str(said)) is (words == ("joy", "anger"))
    assert not isinstance(score(capsys, "own", Path("saved.csv"), "--column", "labels=labels", labels=str(labels)), str)


@pytest.mark.parametrize("names", [("1", "2", "3", "4"), ("0001", "0002", "0003", "0004")])
@pytest.mark.parametrize("column", ["doc_id", "id", "name"])
def test_positions_are_no_names(capsys: pytest.CaptureFixture[str], names: tuple[str, ...], column: str) -> None:
    """lmms-eval numbers its rows from 0; clips 1 to 4 would each get their neighbour's answer."""
    words = ("joy", "anger", "sadness", "joy")
    write("labels/meld.csv", [{"name": name, "emotion": word} for name, word in zip(names, words, strict=True)])
    path = write("saved.jsonl", [{column: number, "response": word} for number, word in enumerate(words)])
    said = score(capsys, "meld", path)
    assert isinstance(said, str), f"scored {said}"
    assert f"The column '{column}' of saved.jsonl counts from 0 to 3" in said
    assert "--column name=COLUMN" in said
    write("saved.jsonl", [{column: number, "response": word} for number, word in enumerate(words, start=1)])
    assert score(capsys, "meld", path) == pytest.approx(100.0)


def test_names_from_0_are_names(capsys: pytest.CaptureFixture[str]) -> None:
    words = ("joy", "anger", "sadness", "joy")
    write("labels/meld.csv", [{"name": number, "emotion": word} for number, word in enumerate(words)])
    path = write("saved.jsonl", [{"doc_id": number, "response": word} for number, word in enumerate(words)])
    assert score(capsys, "meld", path) == pytest.approx(100.0)


def test_a_batch_of_openai_as_it_comes(capsys: pytest.CaptureFixture[str]) -> None:
    """`id` is the request's and `custom_id` the clip's; a call that failed has an error in the place of a response."""
    write(
        "labels/meld.csv", [{"name": name, "emotion": word} for name, word in zip("abc", TRUTHS.values(), strict=False)]
    )
    answers = [
        {
            "response": {
                "status_code": 200,
                "body": {"choices": [{"index": 0, "message": {"role": "assistant", "content": word}}]},
            }
        }
        for word in ("joy", "anger")
    ]
    failed = {
        "response": None,
        "error": {"code": "batch_expired", "message": "Not executed before the window expired."},
    }
    rows = [
        {"id": f"batch_req_{number}", "custom_id": name, "error": None, **answer}
        for number, (name, answer) in enumerate(zip("abc", (*answers, failed), strict=True))
    ]
    Path("batch.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    assert score(capsys, "meld", Path("batch.jsonl")) == pytest.approx(200 / 3)


def test_class_codes_in_place_of_responses_stop_the_score(capsys: pytest.CaptureFixture[str]) -> None:
    codes = dict(zip(TRUTHS, ("3", "[0]", "", "I cannot tell."), strict=True))
    path = write("codes.csv", [{"name": name, "pred": code} for name, code in codes.items()])
    said = score(capsys, "meld", path)
    assert "Write the words of the classes in place of their numbers: 67% of the responses of MELD (2 of 3)" in said
    assert "such as '3' (1), '[0]' (1)" in said
    assert score(capsys, "meld", path, "--max-unread", "70") == 0.0
    one = write("one.csv", [{"name": name, "pred": code} for name, code in {**SAID, "dia0_utt0": "3"}.items()])
    assert score(capsys, "meld", one) == 0.0
    degrees = write("sims.csv", [{"name": name, "pred": str(value)} for name, value in VALUES.items()])
    assert score(capsys, "sims", degrees) == 100.0
