"""No run is lost: what fit, test and predict write, and what they leave alone (docs/training.md, "A run is never lost")."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from affect_lightning.command_line.program import main
from affect_lightning.command_line.run_folders import check_trained
from affect_lightning.command_line.trainer_commands import read_configuration
from affect_lightning.errors import ConfigurationError
from affect_lightning.model import AffectGPT
from affect_lightning.storage import file_lock
from affect_lightning.unibench.result_folders import results_of
from run_cases import contents, words, write_tables


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tables(tmp_path_factory.mktemp("tables"))


@pytest.fixture(scope="module")
def finished(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a finished run, which tests copy."""
    out = tmp_path_factory.mktemp("finished")
    assert main(["fit", *words(root, out)]) == 0
    return out / "tiny" / "version_0"


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished, tmp_path / "runs" / "tiny" / "version_0"))


def last(run: Path) -> Path:
    return run / "checkpoints" / "last.ckpt"


def step_of(run: Path) -> int:
    return int(torch.load(last(run), weights_only=True)["global_step"])


def error_of(capsys: pytest.CaptureFixture[str]) -> str:
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("affect-lightning: error:")]
    assert len(lines) == 1
    return lines[0]


# --- fit (`--ckpt_path PATH`, explicit versions) ---


@pytest.mark.parametrize("place", ["the same experiment", "another save_dir", "another version"])
def test_a_path_continues_in_a_new_folder(
    place: str, run: Path, root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before, out = contents(run), run.parent.parent
    more = ("--ckpt_path", str(last(run)), "--trainer.max_steps", "3")
    if place == "another save_dir":
        out = tmp_path / "new"
    if place == "another version":
        more = (*more, "--trainer.logger.init_args.version", "mine")
    assert main(["fit", *words(root, out, *more)]) == 0
    new = {"another save_dir": "version_0", "another version": "mine"}.get(place, "version_1")
    assert step_of(out / "tiny" / new) == 3
    assert (out / "tiny" / new / "config.yaml").is_file()
    assert contents(run) == before
    assert f"fit goes on from step 2 of {last(run)} in a new folder" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--trainer.logger.init_args.version", "version_0"), "continue there with --ckpt_path last"),
        (("--trainer.max_steps", "2"), "Raise --trainer.max_steps above 2"),
        (("--model.language_model.lora_rank", "2"), "model.language_model.lora_rank: 4 there, 2 here"),
        (("--model.learning_rate", "0.5"), "model.learning_rate"),
        (("--data.train_sets", "[none.csv]"), "The table none.csv is missing"),
        (("--resume.dirpath", "CHECKPOINTS"), "Choose another --resume.dirpath"),
    ],
)
def test_a_path_writes_nothing_before_its_checks_pass(
    more: tuple[str, ...], message: str, run: Path, root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = contents(tmp_path)
    more = tuple(str(run / "checkpoints") if word == "CHECKPOINTS" else word for word in more)
    options = ("--trainer.max_steps", "3", "--ckpt_path", str(last(run)), *more)
    assert main(["fit", *words(root, run.parent.parent, *options)]) == 2
    assert message in error_of(capsys)
    assert contents(tmp_path) == before
    assert [path.name for path in run.parent.iterdir()] == ["version_0"]


def test_last_goes_on_in_its_folder_and_keeps_the_earlier_configuration(run: Path, root: Path) -> None:
    earlier, before = (run / "config.yaml").read_text(encoding="utf-8"), contents(run)
    more = ("--ckpt_path", "last", "--trainer.max_steps", "3")
    assert main(["fit", *words(root, run.parent.parent, *more)]) == 0
    assert step_of(run) == 3
    assert [path.name for path in run.parent.iterdir()] == ["version_0"]
    assert (run / "config-v1.yaml").read_text(encoding="utf-8") == earlier
    assert "max_steps: 3" in (run / "config.yaml").read_text(encoding="utf-8")
    changed = {name for name, value in before.items() if contents(run).get(name) != value}
    assert changed == {"config.yaml", "checkpoints/last.ckpt"}


def test_last_of_a_run_that_has_all_its_steps_is_an_error(
    run: Path, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = contents(run)
    assert main(["fit", *words(root, run.parent.parent, "--ckpt_path", "last")]) == 2
    assert "is of step 2, and max_steps is 2, so nothing would be trained" in error_of(capsys)
    assert contents(run) == before


def test_a_version_that_has_a_run_is_refused(run: Path, root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = contents(run)
    assert main(["fit", *words(root, run.parent.parent, "--trainer.logger.init_args.version", "0")]) == 2
    assert f"{run} has a run already" in error_of(capsys)
    assert contents(run) == before


def test_commands_that_only_read_a_configuration_do_not_mind_the_run(run: Path, root: Path) -> None:
    before = contents(run)
    options = words(root, run.parent.parent, "--trainer.logger.init_args.version", "0", "--ckpt_path", str(last(run)))
    assert read_configuration(options).trainer.max_steps == 2
    assert contents(run) == before


def test_a_folder_in_which_another_process_trains_is_refused(
    run: Path, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = contents(run)
    with file_lock(run / "training.lock"):
        more = ("--ckpt_path", "last", "--trainer.max_steps", "3")
        assert main(["fit", *words(root, run.parent.parent, *more)]) == 2
    assert f"another process trains in {run}" in error_of(capsys)
    assert contents(run) == before


@pytest.mark.parametrize("option", ["limit_train_batches", "max_steps", "max_epochs"])
def test_a_run_that_would_train_nothing_is_refused(
    option: str, root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["fit", *words(root, tmp_path / "runs", f"--trainer.{option}", "0")]) == 2
    assert f"Set --trainer.{option} above 0" in error_of(capsys)
    assert not (tmp_path / "runs").exists()


def test_a_training_that_ended_without_a_step_is_no_success() -> None:
    trainer = SimpleNamespace(max_steps=9, max_epochs=1, limit_train_batches=1.0, fast_dev_run=0)
    with pytest.raises(ConfigurationError, match="ended without a single step"):
        check_trained(trainer, 0)  # type: ignore[arg-type]
    check_trained(trainer, 1)  # type: ignore[arg-type]


# --- test ---


def test_two_tests_have_two_folders_and_the_run_is_as_it_was(
    run: Path, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    before = contents(run)
    tested = ("--ckpt_path", str(last(run)), "--data.test_sets", "[mine.csv]")
    assert main(["test", *words(root, None, *tested)]) == 0
    said = capsys.readouterr().out.splitlines()[-1]
    (first,) = results_of(run)
    assert said == f"Report: {first / 'report.html'}"
    assert re.fullmatch(r"mine-last-\d{8}-\d{6}", first.name)
    assert {"test.yaml", "report.json", "report.html", "predictions", "outcomes.jsonl"} <= {
        path.name for path in first.iterdir()
    }
    assert not (first / "responses.jsonl").exists()
    found = contents(first)
    assert main(["test", *words(root, None, *tested)]) == 0
    assert results_of(run)[0] == first
    assert len(results_of(run)) == 2
    assert contents(first) == found
    assert {name: value for name, value in contents(run).items() if not name.startswith("test/")} == before

    capsys.readouterr()
    assert main(["report", str(run), str(first), "--names", "new", "old", "--json"]) == 0
    told = capsys.readouterr()
    assert f"its newest test is {results_of(run)[1]}" in told.err
    assert [row["name"] for row in json.loads(told.out)["rows"]] == ["new", "old"]


def test_out_takes_a_new_folder_only(run: Path, root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ("--ckpt_path", str(last(run)), "--data.test_sets", "[mine.csv]", "--out", str(tmp_path / "mine"))
    assert main(["test", *words(root, None, *options)]) == 0
    before = contents(tmp_path)
    assert "mine/report.json" in before
    for command in (["test", *words(root, None, *options)], ["report", str(run), "--out", str(tmp_path / "mine")]):
        capsys.readouterr()
        assert main(command) == 2
        assert f"{tmp_path / 'mine'} has one already (report.json, predictions)" in error_of(capsys)
        assert contents(tmp_path) == before


def test_score_writes_each_report_into_a_folder_of_its_own(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "said.csv").write_text(
        "name,response\n" + "".join(f"b{number},She is happy.\n" for number in range(6)), encoding="utf-8"
    )
    scored = ["score", "--dataset", "mine", "--labels", str(root / "mine.csv"), "--predictions", "said.csv"]
    assert main([*scored, "--taxonomy", "builtin"]) == 0
    (first,) = (tmp_path / "runs" / "score").iterdir()
    before = contents(first)
    assert first.name.startswith("mine-said-")
    assert main([*scored, "--taxonomy", "builtin"]) == 0
    assert len(list((tmp_path / "runs" / "score").iterdir())) == 2
    assert contents(first) == before
    assert main([*scored, "--out", str(first)]) == 2
    assert contents(first) == before


# --- signals ---


@pytest.mark.parametrize(("number", "name"), [(signal.SIGINT, "Ctrl-C"), (signal.SIGTERM, "SIGTERM")])
def test_a_signal_in_fit_saves_the_step_and_stops(
    number: int, name: str, root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    planted = ("--trainer.callbacks+=run_cases.SignalAtStep", "--trainer.callbacks.step=1")
    more = (*planted, f"--trainer.callbacks.number={int(number)}", "--trainer.max_steps", "9")
    handlers = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    assert main(["fit", *words(root, tmp_path, *more)]) == 128 + number
    assert f"{name}. Stopped after step 2, which is in" in capsys.readouterr().err
    assert step_of(tmp_path / "tiny" / "version_0") == 2
    assert handlers == (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM))


@pytest.mark.parametrize(("number", "name"), [(signal.SIGINT, "Ctrl-C"), (signal.SIGTERM, "SIGTERM")])
def test_a_signal_in_test_stops_within_a_response_and_keeps_those_before(
    number: int,
    name: str,
    run: Path,
    root: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    generate, ends = AffectGPT.generate, []

    def interrupted(self: AffectGPT, batch: object, **options: object) -> list[str]:
        if ends:
            os.kill(os.getpid(), number)
        ends.append(len(ends))
        return generate(self, batch, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(AffectGPT, "generate", interrupted)
    tested = ("--ckpt_path", str(last(run)), "--data.test_sets", "[mine.csv]")
    assert main(["test", *words(root, None, *tested)]) == 128 + number
    assert ends == [0]  # the second call did not get behind its first line
    (folder,) = (run / "test").iterdir()
    kept = (folder / "responses.jsonl").read_text(encoding="utf-8").splitlines()
    assert len(kept) == 2
    assert all(json.loads(line)["response"] is not None for line in kept)
    assert not (folder / "predictions").exists()
    told = capsys.readouterr().err
    assert f"affect-lightning: {name}. Stopped." in told
    assert "Traceback" not in told
