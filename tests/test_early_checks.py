"""What is missing or taken is told before torch and Lightning are imported."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from affect_lightning.command_line import early_checks
from affect_lightning.command_line.early_checks import check_named_files, has_a_run
from affect_lightning.errors import ConfigurationError

_VERSION = "--trainer.logger.init_args.version"
MISTAKES: dict[str, tuple[list[str], str]] = {
    "fit": (["--config", "sandbx"], "no experiment of that name. Did you mean 'sandbox'?"),
    "test": (["--config", "sandbox", "--ckpt_path", "gone.ckpt"], "There is no checkpoint 'gone.ckpt'."),
    "predict": (["--ckpt_path=gone.ckpt"], "There is no checkpoint 'gone.ckpt'."),
    "validate": (["--init_from", "gone"], "--init_from is where `fit` starts a new training"),
    "cache": (["--config", "gone.yaml"], "There is no file 'gone.yaml' and no experiment of that name."),
    "pack": (["--config", "gone.yaml", "--out", "x"], "There is no file 'gone.yaml'"),
    "summary": (["--config", "gone.yaml"], "There is no file 'gone.yaml'"),
    "import": (["gone.pth", "x"], "There is no checkpoint gone.pth."),
    "export": (["gone.ckpt", "x"], "There is no checkpoint gone.ckpt."),
    "serve": (["nowhere"], "There is no folder nowhere. Give a folder of `affect-lightning export`, or OWNER/NAME"),
    "playground": (["nowhere"], "There is no folder nowhere. Give a folder of `affect-lightning export`, a checkpoint"),
    "doctor": (["--data", "nowhere"], "There is no folder nowhere. Give the folder that holds the sets"),
    "answer": (
        ["--describer", "signal", "--out", "x", "--data", "sandbox-data"],
        "There is no folder sandbox-data. Give the folder that holds the sets, or the folder of one set. `affect-lightning "
        "sandbox --out sandbox-data` makes it.",
    ),
}
_ALL = """
import contextlib, io, json, sys
from affect_lightning.command_line.program import main
found = {}
for command, words in json.loads(sys.argv[1]):
    said = io.StringIO()
    with contextlib.redirect_stderr(said):
        code = main([command, *words])
    found[command] = [code, said.getvalue(), sorted({"torch", "lightning"} & sys.modules.keys())]
print(json.dumps(found))
"""


def test_every_command_tells_of_a_missing_file_before_torch_is_imported(tmp_path: Path) -> None:
    asked = json.dumps([(command, words) for command, (words, _) in MISTAKES.items()])
    done = subprocess.run(
        [sys.executable, "-c", _ALL, asked], capture_output=True, encoding="utf-8", check=True, cwd=tmp_path
    )
    for command, (code, said, heavy) in json.loads(done.stdout).items():
        assert (code, heavy) == (2, []), (command, code, heavy, said)
        assert MISTAKES[command][1] in said, (command, said)
    assert not list(tmp_path.iterdir()), "and nothing is written"


def test_a_run_that_is_there_is_not_begun_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run = Path("runs/mine/version_3")
    run.mkdir(parents=True)
    Path("mine.yaml").write_text(
        "trainer: {logger: {class_path: X, init_args: {save_dir: runs, name: mine}}}\n", "utf-8"
    )
    words = ["fit", "--config", "mine.yaml", _VERSION, "3"]
    check_named_files(words)
    (run / "config.yaml").write_text("{}", "utf-8")
    with pytest.raises(
        ConfigurationError, match="version, or continue there with --ckpt_path last: runs/mine/version_3 has a"
    ):
        check_named_files(words)
    named = ["--trainer.logger.init_args.save_dir=runs", "--trainer.logger.init_args.name=mine", f"{_VERSION}=3"]
    with pytest.raises(ConfigurationError, match="runs/mine/version_3 has a run already"):
        check_named_files(["fit", *named])
    for others in (
        [*words, "--ckpt_path", "last"],
        [*words, "--help"],
        ["fit", "--config", "mine.yaml", _VERSION, "4"],
        ["fit", "--config", "mine.yaml"],
        ["fit", "--config", "mine.yaml", _VERSION, "three"],
        [*words, "--trainer.logger.init_args.name", "other"],
    ):
        check_named_files(others)


def test_the_names_of_a_run_are_those_of_the_training() -> None:
    from affect_lightning.training.checkpoint_files import FOLDER

    assert early_checks._CHECKPOINTS == FOLDER


def test_checkpoints_alone_are_a_run(tmp_path: Path) -> None:
    assert not has_a_run(tmp_path)
    (tmp_path / "checkpoints").mkdir()
    assert not has_a_run(tmp_path)
    (tmp_path / "checkpoints" / "last.ckpt").write_bytes(b"")
    assert has_a_run(tmp_path)
