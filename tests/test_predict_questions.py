"""`predict` with clips, questions and classes of one's own: short options, the label extractor `choices`, scores by class."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from affect_lightning.command_line.predict_options import take_file_of_responses, with_predict_options
from affect_lightning.command_line.program import main
from affect_lightning.errors import ConfigurationError, DataError
from affect_lightning.model import AffectGPT
from affect_lightning.plugin_loading import build_part
from affect_lightning.prompting import PromptStyle
from affect_lightning.unibench.statistics.class_scores import FIGURES, class_scores
from language_model_server import serving
from run_cases import words, write_tables

QUESTION = "Does the person hesitate?"
OTHER = "Is the person sure of it?"
ANSWERS = {
    "a": ("Yes, she hesitates.", "hesitant", "hesitant"),
    "b": ("No, he does not hesitate.", "certain", "certain"),
    "c": ("She is hesitant, not certain.", "certain", "hesitant"),
    "d": ("It is Tuesday.", "hesitant", None),
    "e": ("He seems certain.", "certain", "certain"),
}
CLASSES = "hesitant=yes|hesitates|hesitate,certain=no"


def write_clips(folder: Path, truths: dict[str, str]) -> Path:
    """A table of clips without media: the network of these tests reads text alone."""
    rows = [f"{name},What {name} says,{truth}" for name, truth in truths.items()]
    path = folder / "clips.csv"
    path.write_text("\n".join(["name,text,class", *rows, ""]), encoding="utf-8")
    return path


@pytest.fixture
def canned(monkeypatch: pytest.MonkeyPatch) -> None:
    def answer(self: AffectGPT, batch: Any, questions: list[str], **options: Any) -> list[list[str]]:
        return [[ANSWERS[name][0] if text == QUESTION else "No idea." for text in questions] for name in batch.names]

    monkeypatch.setattr(AffectGPT, "answer", answer)


# --- short options ---


@pytest.mark.parametrize(
    ("given", "long"),
    [
        (["--clips", "in", "--out", "o"], ["--out", "o", '--data.predict_video=["in"]']),
        (["--clips", "a.mp4", "b.mkv", "--json"], ["--json", '--data.predict_video=["a.mp4", "b.mkv"]']),
        (["--clips=a.wav"], ['--data.predict_audio=["a.wav"]']),
        (["--clips", "a.wav", "b.mp4"], ['--data.predict_video=["a.wav", "b.mp4"]']),
        (
            ["--question", "Is it so?", "--question=name"],
            ['--model.predict_questions=["Is it so?", "name"]'],
        ),
        (
            ["--classes", "a=yes|sure,b"],
            [
                *("--benchmark.label_extractor=choices", '--benchmark.label_extractor.classes=["a", "b"]'),
                '--benchmark.label_extractor.words={"a": ["yes", "sure"]}',
            ],
        ),
    ],
)
def test_short_options_stand_for_long_ones(given: list[str], long: list[str]) -> None:
    assert with_predict_options(["predict", *given]) == ["predict", *long]
    assert with_predict_options(["test", *given]) == ["test", *given]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["--clips", "--json"], "--clips needs a value, such as --clips a folder"),
        (["--question"], '--question needs a value, such as --question "Does the person'),
        (["--clips", "a.mp4", "--data.predict_table", "t.csv"], "Give --clips or --data.predict_table, not both"),
    ],
)
def test_short_options_that_cannot_be_are_refused(given: list[str], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        with_predict_options(["predict", *given])


def test_a_folder_of_sounds_alone_is_heard(tmp_path: Path) -> None:
    (tmp_path / "a.wav").touch()
    assert with_predict_options(["predict", "--clips", str(tmp_path)])[1].startswith("--data.predict_audio=")
    (tmp_path / "b.m2ts").touch()
    assert with_predict_options(["predict", "--clips", str(tmp_path)])[1].startswith("--data.predict_video=")


def test_the_file_of_responses_is_never_written_over(tmp_path: Path) -> None:
    assert take_file_of_responses(["predict", "--out", "x", "--json"]) == (["predict", "--out", "x", "--json"], None)
    assert take_file_of_responses(["predict", "--out=x.jsonl", "--json"]) == (["predict", "--json"], Path("x.jsonl"))
    (tmp_path / "there.jsonl").touch()
    with pytest.raises(ConfigurationError, match="no result is written over another"):
        take_file_of_responses(["predict", "--out", str(tmp_path / "there.jsonl")])


def test_a_misspelt_short_option_is_told_with_the_right_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["predict", "--clps", "a.mp4"]) == 2
    assert "Did you mean `--clips`?" in capsys.readouterr().err
    assert main(["fit", "--clips", "a.mp4"]) == 2
    assert "There is no option --clips" in capsys.readouterr().err


# --- the command ---


def test_questions_of_ones_own_are_asked_mapped_and_scored(
    canned: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    f1_score = pytest.importorskip("sklearn.metrics").f1_score
    monkeypatch.chdir(tmp_path)
    root = write_tables(tmp_path / "tables")
    table = write_clips(tmp_path, {name: truth for name, (_, truth, _) in ANSWERS.items()})
    options = ("--data.predict_table", str(table), "--question", QUESTION, "--question", OTHER, "--classes", CLASSES)
    out = ("--out", str(tmp_path / "answers.jsonl"))
    assert main(["predict", *words(root, None, *options), *out]) == 0
    printed = capsys.readouterr().out
    rows = [json.loads(line) for line in (tmp_path / "answers.jsonl").read_text(encoding="utf-8").splitlines()]
    asked = [row for row in rows if row["question"] == QUESTION]
    assert {row["name"]: row["labels"] for row in asked} == {
        name: [] if found is None else [found] for name, (_, _, found) in ANSWERS.items()
    }
    (folder,) = (tmp_path / "runs" / "tiny" / "predict").iterdir()
    first, second = json.loads((folder / "classes.json").read_text(encoding="utf-8"))
    truths = [truth for _, truth, _ in ANSWERS.values()]
    answers = [found or "none" for _, _, found in ANSWERS.values()]
    for name, average in (("macro_f1", "macro"), ("weighted_f1", "weighted")):
        expected = f1_score(truths, answers, labels=["hesitant", "certain"], average=average, zero_division=0)
        assert first["scores"][name] == pytest.approx(100 * expected)
    assert (first["scores"]["accuracy"], first["unmapped"], second["unmapped"]) == (60.0, 1, 5)
    assert "accuracy: 60.0 (" in printed
    assert "clips: 5, 1 of them without a class in the response" in printed
    assert f"a ({QUESTION}): Yes, she hesitates." in printed
    assert QUESTION in (folder / "confusion.svg").read_text(encoding="utf-8")
    assert (folder / "confusion-2.svg").is_file()
    questions = json.loads((folder / "questions.json").read_text(encoding="utf-8"))
    prompt = PromptStyle().prompt(str, ["text"], "", QUESTION)
    assert questions[0] == {
        "question": QUESTION,
        "prompt": prompt,
        "prompt_sha256": hashlib.sha256(prompt.encode()).hexdigest(),
    }


def test_a_true_class_that_is_none_of_the_classes_is_named(
    canned: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = write_tables(tmp_path / "tables")
    table = write_clips(tmp_path, {"a": "hesitant", "b": "unsure"})
    options = ("--data.predict_table", str(table), "--question", QUESTION, "--classes", "hesitant,certain")
    assert main(["predict", *words(root, None, *options), "--out", str(tmp_path / "out")]) == 2
    assert "the clip 'b' has 'unsure', and the classes are hesitant, certain" in capsys.readouterr().err


# --- the extractor ---


@pytest.mark.parametrize(
    ("response", "found"),
    [
        ("Yes.", "hesitant"),
        ("No, he does not hesitate.", "certain"),
        ("She is HESITANT, by no means certain.", "hesitant"),
        ("She is uncertain.", None),
        ("A non-hesitant man.", None),
        ("No idea.", None),
        ("hesitant or certain", None),
        ("", None),
    ],
)
def test_rules_map_what_names_one_class(response: str, found: str | None) -> None:
    further = {"hesitant": ["yes", "hesitate"], "certain": ["no"]}
    extractor = build_part(
        "label_extractors", {"name": "choices", "classes": ["hesitant", "certain"], "words": further}
    )
    assert extractor.extract([response]) == [[] if found is None else [found]]


def test_yes_and_no_are_classes_of_their_own() -> None:
    extractor = build_part("label_extractors", {"name": "choices", "classes": ["yes", "no"]})
    assert extractor.extract(["Yes, she does.", "no", "There is no doubt."]) == [["yes"], ["no"], []]


def test_chinese_classes_and_their_denial() -> None:
    extractor = build_part("label_extractors", {"name": "choices", "classes": ["犹豫", "肯定"]})
    assert extractor.extract(["她很犹豫。", "他不犹豫。"]) == [["犹豫"], []]


def test_a_server_is_asked_what_the_rules_leave_open(tmp_path: Path) -> None:
    def behaviour(prompt: Any, earlier: int) -> str:
        return '["certain"]' if "by all means" in prompt else "[]"

    with serving(behaviour) as server:
        asks = {"name": "openai", "model": "m", "base_url": server.base_url, "cache_dir": str(tmp_path)}
        choice = {"name": "choices", "classes": ["hesitant", "certain"], "asks": asks}
        extractor = build_part("label_extractors", choice)
        found = extractor.extract(["She is hesitant.", "She would do it by all means.", "It is Tuesday."])
    assert found == [["hesitant"], ["certain"], []]
    assert len(server.prompts) == 2
    assert "hesitant, certain" in server.prompts[0]
    assert "openai m at" in extractor.identity()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"classes": ["one"]}, "two or more different classes"),
        ({"classes": ["one", "One"]}, "two or more different classes"),
        ({"classes": ["one", "two"], "words": {"three": ["3"]}}, "`words` has words for three"),
        ({"classes": ["one", "two"], "words": {"one": ["two"]}}, "Give each word to one class"),
        ({"classes": ["one", "two"], "asks": {"name": "rules"}}, "name causal-lm or openai"),
    ],
)
def test_wrong_classes_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        build_part("label_extractors", {"name": "choices", **options})


# --- the scores ---


def test_scores_by_hand() -> None:
    scores = class_scores("q", ["a", "a", "b", "b"], ["a", "b", "b", None], ["a", "b", "c"])
    assert scores.class_f1 == pytest.approx({"a": 200 / 3, "b": 50.0, "c": 0.0})
    assert scores.scores == pytest.approx(
        {"accuracy": 50.0, "macro_f1": (200 / 3 + 50) / 3, "weighted_f1": (200 / 3 + 50) / 2}
    )
    assert (scores.unmapped, scores.confusion.counts[1]) == (1, (0.0, 1.0, 0.0, 1.0))
    with pytest.raises(DataError, match="there is also 'd'"):
        class_scores("q", ["d"], ["a"], ["a", "b"])


def test_scores_are_those_of_scikit_learn_and_intervals_those_of_resampled_clips() -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    draws, classes = np.random.default_rng(3), ["a", "b", "c"]
    truths = draws.choice(classes, 80, p=[0.6, 0.3, 0.1])
    answers = np.where(draws.random(80) < 0.6, truths, draws.choice([*classes, "none"], 80))
    said = [None if answer == "none" else str(answer) for answer in answers]
    scores = class_scores("q", truths.tolist(), said, classes)

    def expected(chosen: Any) -> list[float]:
        true, given = truths[chosen], answers[chosen]
        f1 = [
            metrics.f1_score(true, given, labels=classes, average=kind, zero_division=0)
            for kind in ("macro", "weighted")
        ]
        return [100 * metrics.accuracy_score(true, given), *(100 * value for value in f1)]

    assert list(scores.scores.values()) == pytest.approx(expected(np.arange(80)))
    resampled = np.array([expected(draws.integers(80, size=80)) for _ in range(600)])
    for name, values in zip(FIGURES, resampled.T, strict=True):
        assert scores.intervals[name] == pytest.approx(np.quantile(values, [0.025, 0.975]), abs=2.5)
    assert class_scores("q", ["a"], ["a"], classes).intervals["accuracy"] is None
