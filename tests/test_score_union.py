"""`affect-lightning score --union`: the words that several outputs name together, as in Table 10."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from affect_lightning.command_line.program import main
from affect_lightning.corpora.truths import read_truths
from affect_lightning.metrics import set_f_score, taxonomy_by_name
from affect_lightning.prompting.cleaning import clean_response
from affect_lightning.unibench.scoring.prediction_files import read_answers
from test_score_command import score_json

# Computed once with the authors' metric over the union of the saved labels; percent.
ALONE = {
    ("SALMONN", "subtitle"): 42.81,
    ("Chat-UniVi", "subtitle"): 52.53,
    ("SALMONN", "nosubtitle"): 46.04,
    ("Chat-UniVi", "nosubtitle"): 42.26,
    ("SALMONN", "nosubtitle-addsub"): 54.18,
    ("Chat-UniVi", "nosubtitle-addsub"): 57.16,
}
TOGETHER = {"subtitle": 58.72, "nosubtitle": 53.34, "nosubtitle-addsub": 61.51}


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def described(reference: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., dict[str, Any]]:
    """Scores describers of the reference data, united where several are named."""

    def score(variant: str, *models: str) -> dict[str, Any]:
        first, *others = [
            reference / "describers" / model / f"output-reason-7b-{variant}-eng-openset.npz" for model in models
        ]
        unions = [word for path in others for word in ("--union", path)]
        words = ("--dataset", "ovmerd", "--labels", reference / "ovmerd", "--predictions", first, *unions)
        return score_json(capsys, *words, "--taxonomy", reference / "emotion_wheel")

    return score


def test_table_10_comes_out_of_the_real_outputs(described: Callable[..., dict[str, Any]]) -> None:
    score = described("subtitle", "SALMONN", "Chat-UniVi")
    assert score["score"] == pytest.approx(58.72, abs=0.01)
    assert score["secondary"]["Precision_S"] == pytest.approx(49.68, abs=0.01)
    assert score["secondary"]["Recall_S"] == pytest.approx(71.80, abs=0.01)
    assert score["clips"] == 332
    salmonn, univi = score["union"]
    assert salmonn["output"].startswith("SALMONN/")
    assert (salmonn["without_a_label"], univi["without_a_label"], score["without_a_label"]) == (72, 4, 1)
    assert score["extractor"] == "union of 2 outputs: given labels"


def test_most_outputs_without_a_label_repeat_the_question(reference: Path) -> None:
    """What docs/annotation.md says of SALMONN's 72 outputs without a label, and of the precision of the others."""
    file = reference / "describers" / "SALMONN" / "output-reason-7b-subtitle-eng"
    labels = read_answers([file.with_name(f"{file.name}-openset.npz")], "ovmerd")
    responses = read_answers([file.with_name(f"{file.name}.npz")], "ovmerd")
    without = [str(responses[name].response) for name, answer in labels.items() if not answer.labels]
    assert len(without) == 72
    assert sum("expert in the field of emotions, please focus" in text for text in without) == 48
    assert sum(clean_response(text, "").refused for text in without) == 1
    truths = read_truths(reference / "ovmerd" / "check-openset.csv", "ovmerd", None, {})
    names = [name for name, answer in labels.items() if answer.labels]
    taxonomy = taxonomy_by_name(str(reference / "emotion_wheel"))
    score = set_f_score([labels[name].labels for name in names], [truths[name].labels for name in names], taxonomy)
    assert (100 * score.precision, 100 * score.recall) == (
        pytest.approx(50.08, abs=0.01),
        pytest.approx(59.54, abs=0.01),
    )


@pytest.mark.parametrize("variant", TOGETHER)
def test_each_alone_and_both_together(described: Callable[..., dict[str, Any]], variant: str) -> None:
    for model in ("SALMONN", "Chat-UniVi"):
        alone = described(variant, model)
        assert alone["score"] == pytest.approx(ALONE[model, variant], abs=0.01)
        assert "union" not in alone
    both = described(variant, "SALMONN", "Chat-UniVi")
    assert both["score"] == pytest.approx(TOGETHER[variant], abs=0.01)


def test_the_documented_table_has_these_figures(repository: Path) -> None:
    page = (repository / "docs" / "annotation.md").read_text(encoding="utf-8")
    for figure in (*ALONE.values(), *TOGETHER.values(), 58.43, 51.62, 67.31):
        assert f"{figure:.2f}" in page


def written(folder: Path, name: str, rows: list[dict[str, Any]]) -> Path:
    path = folder / f"{name}.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture
def truths(tmp_path: Path) -> Path:
    rows = [{"name": name, "openset": words} for name, words in (("a", ["happy", "angry"]), ("b", ["sad"]))]
    return written(tmp_path, "truths", rows)


def test_labels_and_responses_are_united_by_hand(
    tmp_path: Path, truths: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Clip a: both words between the two, one each. Clip b: only the refusal of one and a wrong word of the other."""
    sound = written(
        tmp_path, "sound", [{"name": "a", "labels": ["Happy"]}, {"name": "b", "labels": ["surprised", "happy"]}]
    )
    seen = [
        {"name": "a", "response": "She is angry and happy."},
        {"name": "b", "response": "I cannot determine the emotion."},
    ]
    words = ("--dataset", "mine", "--labels", truths, "--predictions", sound, "--taxonomy", "builtin")
    score = score_json(capsys, *words, "--union", written(tmp_path, "sight", seen), "--out", tmp_path / "report")
    assert score["secondary"]["Precision_S"] == pytest.approx(50.0)
    assert score["secondary"]["Recall_S"] == pytest.approx(50.0)
    assert (score["refused"], score["without_a_label"]) == (1, 0)
    assert [one["output"] for one in score["union"]] == ["sound", "sight"]
    assert score["union"][1]["refused"] == 1
    assert "given labels" in score["extractor"]
    assert "rules" in score["extractor"]
    (row,) = json.loads((tmp_path / "report" / "report.json").read_text(encoding="utf-8"))["rows"]
    assert row["name"] == "sound + sight"
    assert row["provenance"]["checkpoint"] == "saved output sound.jsonl united with sight.jsonl"
    # The word that both name counts once.
    outcomes = (tmp_path / "report" / "outcomes.jsonl").read_text(encoding="utf-8")
    assert '["Happy", "angry"]' in outcomes


def test_a_clip_is_missing_only_where_every_output_lacks_it(
    tmp_path: Path, truths: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one = written(tmp_path, "one", [{"name": "a", "labels": ["happy"]}])
    other = written(tmp_path, "other", [{"name": "b", "labels": ["sad"]}])
    words = ("--dataset", "mine", "--labels", truths, "--predictions", one, "--union", other, "--taxonomy", "builtin")
    score = score_json(capsys, *words, "--allow-missing")
    assert "missing" not in score
    assert score["secondary"]["Precision_S"] == pytest.approx(100.0)
    assert main(["score", *map(str, words)]) == 2
    assert "1 of 2 clips of mine have no prediction: b" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda words, tmp: [*words, "--union", words[words.index("--predictions") + 1]], "Name each output once"),
        (lambda words, tmp: ["--suite", tmp, "--union", tmp], "leave out --dataset, --predictions, --union"),
        (lambda words, tmp: [*words, "--union", tmp / "none.csv"], "There is no file"),
        (lambda words, tmp: [*words, "--union", tmp], "Name one file with --union"),
    ],
)
def test_what_cannot_be_united_is_refused(
    tmp_path: Path, truths: Path, capsys: pytest.CaptureFixture[str], change: Any, message: str
) -> None:
    one = written(tmp_path, "one", [{"name": "a", "labels": ["happy"]}, {"name": "b", "labels": ["sad"]}])
    words = ["--dataset", "mine", "--labels", truths, "--predictions", one, "--taxonomy", "builtin"]
    assert main(["score", *map(str, change(words, tmp_path))]) == 2
    assert message in capsys.readouterr().err


def test_sentiments_vote_instead(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    truths = written(tmp_path, "truths", [{"name": "a", "val": 0.5}])
    files = [written(tmp_path, name, [{"name": "a", "sentiment": "positive"}]) for name in ("one", "two")]
    words = ("--dataset", "mine", "--labels", truths, "--predictions", files[0], "--union", files[1])
    assert main(["score", *map(str, words)]) == 2
    assert "use `affect-lightning annotate crowd`" in capsys.readouterr().err
