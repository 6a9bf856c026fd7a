"""Predictions and labels in every format of `affect-lightning score`, hand-worked scores, and every broken input."""

from __future__ import annotations

import csv
import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from affect_lightning.command_line.program import main
from affect_lightning.errors import ConfigurationError, DataError
from affect_lightning.unibench.scoring.checkpoint_rules import (
    best_checkpoint,
    check_rule,
    checkpoint_for_all_sets,
    in_order,
)
from affect_lightning.unibench.scoring.predictions import Prediction, write_predictions

# Truth and predicted words of five MELD clips. On each wheel of the built-in taxonomy joy, anger and sadness differ and
# neutral stands nowhere: a hits, b misses, c hits, d does not count, e has no words. Hit rate 2 of 4.
EMOTIONS = {"a": "joy", "b": "anger", "c": "sadness", "d": "neutral", "e": "anger"}
WORDS = {"a": ["happy"], "b": ["sad"], "c": ["sad"], "d": ["happy"], "e": []}
# Sentiments of four CH-SIMS clips: a and b are right, c is wrong, d (truth 0) does not count. Confusion: truth positive
# 1 right; truth negative 1 right, 1 wrong. F1 positive 2/3, negative 2/3; WAF 2/3.
VALUES = {"a": 0.4, "b": -0.2, "c": -1.0, "d": 0.0}
FEELINGS = {"a": "positive", "b": "negative", "c": "positive", "d": "neutral"}
RESPONSES = {name: f"The person feels {words[0]}." if words else "I cannot tell." for name, words in WORDS.items()}

Rows = Sequence[dict[str, Any]]


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Everything happens in a new folder with the labels of two sets."""
    monkeypatch.chdir(tmp_path)
    write_csv(Path("labels/meld.csv"), [{"name": name, "emotion": word} for name, word in EMOTIONS.items()])
    write_csv(Path("labels/sims.csv"), [{"name": name, "val": value} for name, value in VALUES.items()])
    return tmp_path


def write_csv(path: Path, rows: Rows) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def write_jsonl(path: Path, rows: Rows) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def write_parquet(path: Path, rows: Rows) -> Path:
    pyarrow = pytest.importorskip("pyarrow", reason="parquet needs pyarrow: pip install 'affect-lightning[parquet]'")
    from pyarrow import parquet

    parquet.write_table(pyarrow.Table.from_pylist(list(rows)), path)
    return path


def write_reasons(path: Path, rows: Rows) -> Path:
    np.savez(path, name2reason=np.array({row["name"]: row["response"] for row in rows}, dtype=object))
    return path


def write_items(path: Path, rows: Rows) -> Path:
    """As the authors do: names, and label lists as texts without quotes, or sentiments."""
    (column,) = set(rows[0]) - {"name"}
    items = [f"[{', '.join(row[column])}]" if isinstance(row[column], list) else row[column] for row in rows]
    np.savez(path, filenames=np.array([row["name"] for row in rows]), fileitems=np.array(items))
    return path


def score(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of a run with the built-in taxonomy."""
    capsys.readouterr()
    code = main(["score", *map(str, words), "--taxonomy", "builtin"])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def result_of(capsys: pytest.CaptureFixture[str], dataset: str, predictions: Path, *words: object) -> dict[str, Any]:
    options = ("--dataset", dataset, "--labels", "labels", "--predictions", predictions, "--json")
    code, out, err = score(capsys, *options, *words)
    assert code == 0, err
    return json.loads(out)


LABEL_ROWS = [{"name": name, "labels": words} for name, words in WORDS.items()]
TEXT_ROWS = [{"name": name, "openset": str(words)} for name, words in WORDS.items()]
RESPONSE_ROWS = [{"name": name, "response": text} for name, text in RESPONSES.items()]
SENTIMENT_ROWS = [{"name": name, "sentiment": word} for name, word in FEELINGS.items()]
NUMBER_ROWS = [{"clip": name, "sentiment": {"p": 0.9, "n": -0.5}.get(word[0], 0)} for name, word in FEELINGS.items()]
NUMBER_ROWS[-1]["sentiment"] = 0.0

Writer = Callable[[Path, Rows], Path]


@pytest.mark.parametrize(
    ("writer", "name", "rows"),
    [
        (write_csv, "x.csv", TEXT_ROWS),
        (write_jsonl, "x.jsonl", TEXT_ROWS),
        (write_jsonl, "x.jsonl", LABEL_ROWS),
        (write_parquet, "x.parquet", LABEL_ROWS),
        (write_parquet, "x.parquet", TEXT_ROWS),
        (write_items, "x.npz", LABEL_ROWS),
        (write_items, "x-openset.npz", LABEL_ROWS),
        (write_csv, "x.csv", RESPONSE_ROWS),
        (write_jsonl, "x.jsonl", RESPONSE_ROWS),
        (write_parquet, "x.parquet", RESPONSE_ROWS),
        (write_reasons, "x.npz", RESPONSE_ROWS),
    ],
)
def test_every_format_gives_the_hand_worked_hit_rate(
    capsys: pytest.CaptureFixture[str], writer: Writer, name: str, rows: Rows
) -> None:
    result = result_of(capsys, "meld", writer(Path(name), rows))
    assert result["score"] == pytest.approx(50.0)
    assert (result["clips"], result["scored"], result["taxonomy"]) == (5, 4, "builtin")
    assert result["extractor"].startswith("rules-" if rows is RESPONSE_ROWS else "given labels")


@pytest.mark.parametrize(
    ("writer", "name", "rows"),
    [
        (write_csv, "x.csv", SENTIMENT_ROWS),
        (write_csv, "x.csv", NUMBER_ROWS),
        (write_jsonl, "x.jsonl", SENTIMENT_ROWS),
        (write_jsonl, "x.jsonl", NUMBER_ROWS),
        (write_parquet, "x.parquet", SENTIMENT_ROWS),
        (write_parquet, "x.parquet", NUMBER_ROWS),
        (write_items, "x.npz", SENTIMENT_ROWS),
        (write_items, "x-openset-sentiment.npz", SENTIMENT_ROWS),
    ],
)
def test_every_format_gives_the_hand_worked_waf(
    capsys: pytest.CaptureFixture[str], writer: Writer, name: str, rows: Rows
) -> None:
    result = result_of(capsys, "sims", writer(Path(name), rows))
    assert result["score"] == pytest.approx(200 / 3)
    assert result["secondary"] == {"ACC": pytest.approx(200 / 3)}
    assert (result["clips"], result["scored"], result["extractor"]) == (4, 3, "given sentiments")


def test_a_set_of_ones_own_is_scored_by_its_words(capsys: pytest.CaptureFixture[str]) -> None:
    write_jsonl(Path("mine.jsonl"), [{"name": "a", "labels": ["joyful", "sad"]}])
    predictions = write_csv(Path("p.csv"), [{"name": "a", "openset": "[happy]"}])
    words = ("--dataset", "mine", "--labels", "mine.jsonl", "--predictions", predictions, "--json")
    code, out, err = score(capsys, *words)
    result = json.loads(out)
    # Precision 1, recall 1/2 on each wheel: F = 2/3.
    assert (code, result["metric"], result["score"]) == (0, "F_S", pytest.approx(200 / 3))
    assert "mine is not a set of MER-UniBench" in err


def test_our_own_predictions_carry_their_truth(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [Prediction(name, "meld", "How?", RESPONSES[name], (truth,)) for name, truth in EMOTIONS.items()]
    write_predictions("run/predictions", [*rows, Prediction("z", "sims", "How?", "happy", (), 1.0)])
    for place in ("run", "run/predictions", "run/predictions/meld.jsonl"):
        code, out, err = score(capsys, "--dataset", "meld", "--predictions", place, "--json")
        assert (code, json.loads(out)["score"]) == (0, pytest.approx(50.0)), err
    code, _, err = score(capsys, "--dataset", "meld", "--predictions", "run/predictions/sims.jsonl")
    assert code == 2
    assert "has no row of the set meld: its column 'corpus' says sims" in err


def test_missing_predictions_are_an_error_or_wrong(capsys: pytest.CaptureFixture[str]) -> None:
    fewer = write_csv(Path("fewer.csv"), [row for row in TEXT_ROWS if row["name"] != "c"])
    code, _, err = score(capsys, "--dataset", "meld", "--labels", "labels", "--predictions", fewer)
    assert code == 2
    assert "1 of 5 clips of meld have no prediction: c." in err
    assert "--allow-missing" in err
    result = result_of(capsys, "meld", fewer, "--allow-missing", "--out", "out")
    assert (result["score"], result["clips"], result["scored"]) == (pytest.approx(25.0), 5, 4)
    assert result["missing"] == ["c"]
    assert "MELD 1: c" in Path("out/report.md").read_text(encoding="utf-8")
    # "Nothing said" is not positive, so it would be right for b, whose sentiment is negative; missing is wrong.
    fewer = write_csv(Path("fewer.csv"), [row for row in SENTIMENT_ROWS if row["name"] != "b"])
    result = result_of(capsys, "sims", fewer, "--allow-missing")
    assert result["secondary"] == {"ACC": pytest.approx(100 / 3)}


def test_surplus_predictions_are_named_and_not_scored(capsys: pytest.CaptureFixture[str]) -> None:
    more = write_csv(Path("more.csv"), [*TEXT_ROWS, {"name": "x1", "openset": "happy"}])
    options = ("--dataset", "meld", "--labels", "labels", "--predictions", more, "--json")
    code, out, err = score(capsys, *options)
    assert (code, json.loads(out)["score"], json.loads(out)["surplus"]) == (0, pytest.approx(50.0), ["x1"])
    assert "more, meld: 1 without a label, not scored: x1" in err


class Planted:
    """Pickles into a call that makes a file."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("executed",)


@pytest.mark.parametrize("where", ["name2reason", "filenames", "labels"])
def test_a_planted_pickle_is_refused(capsys: pytest.CaptureFixture[str], where: str) -> None:
    predictions, labels = Path("x.npz"), Path("labels")
    if where == "name2reason":
        np.savez(predictions, name2reason=np.array({"a": Planted()}, dtype=object))
    elif where == "filenames":
        np.savez(predictions, filenames=np.array([Planted()], dtype=object), fileitems=np.array(["[happy]"]))
    else:
        write_items(predictions, LABEL_ROWS)
        labels = Path("label.npz")
        np.savez(labels, test_corpus=np.array({"a": Planted()}, dtype=object))
    code, _, err = score(capsys, "--dataset", "meld", "--labels", labels, "--predictions", predictions)
    assert code == 2
    assert "refused, and nothing of it was run" in err
    assert not Path("executed").exists()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("x.csv", "name,openset\na,[happy]\nb\n", "x.csv, line 3: 1 cells, but the header has 2"),
        ("x.csv", "name,openset\na,happy, calm\n", "x.csv, line 2: 3 cells, but the header has 2"),
        ("x.csv", "name,openset\n,[happy]\n", "x.csv, line 2, column name: expected the name of a clip"),
        (
            "x.csv",
            "name,openset\na,[happy]\na,[sad]\n",
            "x.csv, line 3, column name: the clip 'a' is listed twice, first as number 2",
        ),
        ("x.csv", "name,words\na,happy\n", "x.csv has no column for the response or labels or sentiment"),
        ("x.csv", "who,openset\na,happy\n", "x.csv has no column for the name; its columns are who, openset"),
        ("x.csv", "name,openset,labels\na,happy,sad\n", "more than one column that can be the labels: openset, labels"),
        ("x.csv", "name,sentiment\na,positive\nb,\nc,x\nd,x\ne,x\n", "is scored by its emotion words"),
        ("x.csv", "", "x.csv lists no clips"),
        ("x.csv", b"name,openset\na,\xff\n", "x.csv, line 2 cannot be read as UTF-8"),
        ("x.jsonl", '{"name": "a", "labels": ["happy"]}\n{"name"\n', "x.jsonl, line 2 is not JSON"),
        ("x.jsonl", '{"name": "a", "labels": [1]}\n', "x.jsonl, line 1, column labels, clip a: expected a list"),
        (
            "x.jsonl",
            '{"name": "a", "response": null}\n',
            "line 1, column response, clip a: expected a text, found None",
        ),
        (
            "x.jsonl",
            '{"name": "a", "labels": ["x"]}\n{"name": "b"}\n',
            "line 2, column labels, clip b: expected a list",
        ),
        ("x.parquet", b"PAR1 nothing", "x.parquet is not a valid parquet file"),
        ("x.npz", b"nothing", "x.npz is not a valid .npz"),
        ("x.txt", "a happy", "x.txt ends in .txt; expected one of .npz, .csv, .tsv, .jsonl, .json, .parquet, .xlsx"),
        ("x.csv", "name,openset\nq,[happy]\n", "None of the 1 predicted clips (q) is among the 5 clips of meld"),
    ],
)
def test_broken_predictions_are_named(
    capsys: pytest.CaptureFixture[str], name: str, content: str | bytes, message: str
) -> None:
    if name.endswith(".parquet"):
        pytest.importorskip("pyarrow", reason="parquet needs pyarrow")
    Path(name).write_bytes(content.encode() if isinstance(content, str) else content)
    code, out, err = score(capsys, "--dataset", "meld", "--labels", "labels", "--predictions", name)
    assert (code, out) == (2, "")
    assert message in err
    assert not Path("runs").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            "name,emotion\na,joy\nb,merry\n",
            "labels/meld.csv, line 3, column emotion, clip b: the label 'merry'",
        ),
        ("name,emotion\na,joy\na,joy\n", "line 3, column name: the clip 'a' is listed twice"),
        ("name,mood\na,joy\n", "labels/meld.csv has no column with the truth of the clips of meld"),
    ],
)
def test_broken_labels_are_named(capsys: pytest.CaptureFixture[str], content: str, message: str) -> None:
    Path("labels/meld.csv").write_text(content, encoding="utf-8")
    predictions = write_csv(Path("x.csv"), TEXT_ROWS)
    code, _, err = score(capsys, "--dataset", "meld", "--labels", "labels", "--predictions", predictions)
    assert code == 2
    assert message in err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "Give --dataset SET and --predictions FILE for one set, or --suite FOLDER"),
        (("--suite", "labels"), "labels is not a suite"),
        (("--suite", "labels", "--dataset", "meld"), "leave out --dataset"),
        (("--suite", "nowhere"), "There is no folder nowhere"),
        (("--dataset", "meld", "--predictions", "x.csv"), "have no truth"),
        (("--dataset", "meld", "--predictions", "y.csv"), "There is no file y.csv with predictions"),
        (("--dataset", "medl", "--predictions", "x.csv", "--labels", "labels"), "Did you mean 'meld'?"),
        (("--dataset", "../meld", "--predictions", "x.csv"), "--dataset takes the key of a set"),
        (("--dataset", "meld", "--predictions", "x.csv", "--column", "labels"), "--column takes KIND=NAME"),
        (("--dataset", "meld", "--predictions", "x.csv", "--column", "mood=m"), "no kind of column 'mood'"),
        (("--dataset", "meld", "--predictions", "x.csv", "--column", "labels=m"), "x.csv has no column 'm'"),
        (("--dataset", "meld", "--predictions", "x.csv", "--from-responses"), "no column for the response"),
        (("--dataset", "meld", "--predictions", "x.csv", "--checkpoint-rule", "fixed"), "add `--checkpoint 60`"),
        (("--dataset", "meld", "--predictions", "x.csv", "--checkpoint", "3"), "needs `--checkpoint-rule fixed`"),
        (("--dataset", "meld", "--predictions", "x.csv", "--extractor", "rulez"), "Did you mean 'rules'?"),
    ],
)
def test_mistakes_on_the_command_line_are_explained(
    capsys: pytest.CaptureFixture[str], words: Sequence[str], message: str
) -> None:
    write_csv(Path("x.csv"), TEXT_ROWS)
    code, out, err = score(capsys, *words)
    assert (code, out) == (2, "")
    assert message in err


def test_without_pyarrow_parquet_is_explained(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("x.parquet").write_bytes(b"")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    code, _, err = score(capsys, "--dataset", "meld", "--labels", "labels", "--predictions", "x.parquet")
    assert code == 2
    assert "pip install 'affect-lightning[parquet]'" in err


def test_a_suite_in_the_simple_layout(capsys: pytest.CaptureFixture[str]) -> None:
    write_csv(Path("suite/labels/meld.csv"), [{"name": name, "emotion": word} for name, word in EMOTIONS.items()])
    write_csv(Path("suite/labels/sims.csv"), [{"name": name, "val": value} for name, value in VALUES.items()])
    write_csv(Path("suite/predictions/one/meld.csv"), TEXT_ROWS)
    write_jsonl(Path("suite/predictions/one/sims.jsonl"), SENTIMENT_ROWS)
    wrong = [{"name": name, "labels": ["fearful"]} for name in EMOTIONS]
    write_jsonl(Path("suite/predictions/two/meld/step_9.jsonl"), LABEL_ROWS)
    write_jsonl(Path("suite/predictions/two/meld/step_10.jsonl"), wrong)
    scores = {}
    for rule in (("last",), ("fixed", "--checkpoint", "9"), ("paper_best_on_test",)):
        code, out, err = score(capsys, "--suite", "suite", "--json", "--checkpoint-rule", *rule)
        assert code == 0, err
        one, two = json.loads(out)["rows"]
        assert (one["model"], one["checkpoint_rule"]) == ("one", None)
        assert one["mean"] == pytest.approx((50 + 200 / 3) / 2)
        scores[rule[0]] = (two["model"], two["checkpoint_rule"], two["sets"]["meld"]["score"])
    assert scores == {
        "last": ("two", "last", pytest.approx(0.0)),
        "fixed": ("two", "fixed", pytest.approx(50.0)),
        "paper_best_on_test": ("two [paper_best_on_test]", "paper_best_on_test", pytest.approx(50.0)),
    }
    code, out, _ = score(capsys, "--suite", "suite", "--out", "out")
    assert code == 0
    assert "label extractor (one): given labels (MELD); given sentiments (CH-SIMS)" in out
    assert {"report.html", "report.json", "report.md"} <= {path.name for path in Path("out").iterdir()}


def test_checkpoint_rules() -> None:
    names = {"meld": ["step_10", "step_9"], "sims": ["step_9", "step_10"], "ovmerd": ["only"]}
    assert in_order(names["meld"]) == ["step_9", "step_10"]
    last = {"ovmerd": "only", "meld": "step_10", "sims": "step_10"}
    assert checkpoint_for_all_sets("m", names, "last") == last
    for meant in ("step_9", "9", "009"):
        chosen = checkpoint_for_all_sets("m", names, "fixed", meant)
        assert chosen == {"ovmerd": "only", "meld": "step_9", "sims": "step_9"}
    with pytest.raises(DataError, match=r"m has no checkpoints '1' for meld; it has step_9, step_10"):
        checkpoint_for_all_sets("m", names, "fixed", "1")
    with pytest.raises(DataError, match=r"last checkpoints of m differ between the sets \(meld step_10, sims step_8\)"):
        checkpoint_for_all_sets("m", {"meld": ["step_9", "step_10"], "sims": ["step_7", "step_8"]}, "last")
    assert best_checkpoint({"step_10": 5.0, "step_9": 5.0, "step_8": None}) == "step_9"
    with pytest.raises(ConfigurationError, match="no checkpoint rule 'best'"):
        check_rule("best", None)


def test_an_unknown_set_is_told_with_the_nearest_whatever_is_missing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "p.csv").write_text("name,labels\na,happy\n", encoding="utf-8")
    (tmp_path / "nothing").mkdir()
    there, gone = str(tmp_path / "p.csv"), str(tmp_path / "gone")
    for predictions, labels in (
        (there, ()),
        (gone, ()),
        (there, ("--labels", gone)),
        (there, ("--labels", str(tmp_path / "nothing"))),
    ):
        words = ["--dataset", "melf", "--predictions", predictions, *labels, "--out", str(tmp_path / "out")]
        assert main(["score", *words]) == 2
        assert "There is no benchmark set 'melf'. Did you mean 'meld'?" in capsys.readouterr().err
