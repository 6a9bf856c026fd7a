"""An exported folder is enough: it brings how clips are read, asked and scored, and `test` and `predict` need no --config."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from affect_lightning.command_line.program import main
from affect_lightning.model.exported_folder import read_exported
from run_cases import words, write_tables

READING = (
    "--data.frames",
    "3",
    "--data.crop_size",
    "32",
    "--data.sample_rate",
    "8000",
    "--data.test_question",
    "describe",
)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tables(tmp_path_factory.mktemp("tables"))


@pytest.fixture(scope="module")
def checkpoint(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs")
    assert main(["fit", *words(root, out, *READING, "--model.max_new_tokens", "3")]) == 0
    return out / "tiny" / "version_0" / "checkpoints" / "last.ckpt"


@pytest.fixture(scope="module")
def exported(checkpoint: Path) -> Path:
    folder = checkpoint.parents[1] / "exported"
    assert main(["export", str(checkpoint), str(folder)]) == 0
    return folder


def responses(folder: Path) -> dict[str, tuple[str, str]]:
    lines = (folder / "predictions" / "mine.jsonl").read_text(encoding="utf-8").splitlines()
    return {row["name"]: (row["question"], row["response"]) for row in map(json.loads, lines)}


def test_the_folder_says_all_that_changes_a_response(exported: Path) -> None:
    options = read_exported(exported).options
    assert options["model"] == {"max_new_tokens": 3, "temperature": 0.0, "top_p": 1.0, "predict_questions": None}
    assert options["data"] == {
        **{"frames": 3, "frame_choice": "middle", "frame_scaling": "area", "face_channels": "rgb", "crop_size": 32},
        **{"sample_rate": 8000, "subtitle_language": "english", "test_question": "describe"},
        **{"frame_without_face": "nearest", "clip_without_face": "whole", "face_detector": {"name": "none"}},
    }
    assert options["benchmark"]["taxonomy"] == "builtin"
    assert options["benchmark"]["label_extractor"]["name"] == "rules"


def test_it_answers_without_a_configuration_as_the_checkpoint_does_with_one(
    exported: Path, checkpoint: Path, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    tested = ("--data.test_sets", "[mine.csv]")
    asked = (*READING, "--model.max_new_tokens", "3", "--out", str(tmp_path / "with"))
    assert main(["test", *words(root, None, *tested, *asked, "--ckpt_path", str(checkpoint))]) == 0
    alone = ("--ckpt_path", str(exported), "--data.benchmark_root", str(root), *tested, "--trainer.accelerator", "cpu")
    assert main(["test", *alone, "--trainer.precision", "32-true"]) == 0
    (found,) = (tmp_path / "runs" / "exported" / "test").iterdir()
    assert found.name.startswith("mine-exported-")
    assert responses(found) == responses(tmp_path / "with")
    assert {question for question, _ in responses(found).values()} != {""}


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--data.frames", "2"), "data.frames: 3 there, 2 here"),
        (("--config", "CONFIG"), "data.crop_size: 32 there, 64 here"),
        (("--config", "CONFIG"), "model.max_new_tokens: 3 there, 6 here"),
    ],
)
def test_a_difference_is_an_error_that_names_it(
    more: tuple[str, ...], message: str, exported: Path, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = words(root, None, "--data.test_sets", "[mine.csv]") if "CONFIG" in more else []
    options = config or ["--data.benchmark_root", str(root), "--data.test_sets", "[mine.csv]", *more]
    assert main(["test", *options, "--ckpt_path", str(exported)]) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert message in error
    assert "Leave these options out, and the folder brings its own" in error


def test_a_folder_that_does_not_say_how_clips_are_read_needs_a_configuration(
    exported: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    description = json.loads((exported / "config.json").read_text(encoding="utf-8"))
    del description["options"]
    (tmp_path / "config.json").write_text(json.dumps(description), encoding="utf-8")
    assert main(["predict", "--ckpt_path", str(tmp_path), "--data.predict_video", "a.mp4"]) == 2
    assert (
        f"Add the configuration of its training, such as --config affectgpt --config affectgpt_released: {tmp_path}"
        in capsys.readouterr().err
    )
