"""What the system refuses to write ends in one sentence, leaves nothing cut, and costs nothing that was whole."""

from __future__ import annotations

import resource
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from affect_lightning.command_line.program import main
from run_cases import contents, words, write_tables


@contextmanager
def files_up_to(size: int) -> Iterator[None]:
    """No file can grow beyond so many bytes, as on a disk that is nearly full."""
    before, writes = resource.getrlimit(resource.RLIMIT_FSIZE), sys.dont_write_bytecode
    sys.dont_write_bytecode = True  # Python would leave a cut file where it keeps a module that is imported now
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        sys.dont_write_bytecode = writes


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tables(tmp_path_factory.mktemp("tables"))


@pytest.fixture(scope="module")
def finished(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("finished")
    assert main(["fit", *words(root, out)]) == 0
    return out / "tiny" / "version_0"


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished, tmp_path / "runs" / "tiny" / "version_0"))


def one_sentence(capsys: pytest.CaptureFixture[str]) -> str:
    err = capsys.readouterr().err
    assert "Traceback" not in err
    assert "Exception in thread" not in err
    (line,) = [line for line in err.splitlines() if line.startswith("affect-lightning: error:")]
    return line


def test_no_room_for_the_configuration(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with files_up_to(1000):
        assert main(["fit", *words(root, tmp_path)]) == 2
    assert f"{tmp_path / 'tiny' / 'version_0' / 'config.yaml'} could not be written: File too large" in one_sentence(
        capsys
    )
    left = {path.name.split(".")[0] for path in tmp_path.rglob("*") if path.is_file()}
    assert left <= {"events", "training"}  # records of events are read up to the last whole one


def test_no_room_for_the_configuration_of_a_test(run: Path, root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = contents(run)
    tested = ("--ckpt_path", str(run / "checkpoints" / "last.ckpt"), "--data.test_sets", "[mine.csv]")
    with files_up_to(1000):
        assert main(["test", *words(root, None, *tested)]) == 2
    assert f"{run / 'test'} could not be written: File too large" in one_sentence(capsys)
    assert not list(run.rglob("test.yaml*"))
    assert {name: value for name, value in contents(run).items() if not name.startswith("test/")} == before


def test_no_room_for_the_curves(run: Path, root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The writer's thread prints no traceback between the lines, and the last checkpoint is as it was."""
    before = contents(run)["checkpoints/last.ckpt"]
    more = ("--ckpt_path", "last", "--trainer.max_steps", "400", "--resume.every_n_steps", "null")
    more = (*more, "--checkpoint.save_top_k", "0")
    with files_up_to(16_000):
        assert main(["fit", *words(root, run.parent.parent, *more)]) == 2
    assert "could not be written (File too large)" in one_sentence(capsys)
    assert contents(run)["checkpoints/last.ckpt"] == before
    assert not list(run.rglob("*.partial"))


def test_no_room_for_an_export(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with files_up_to(2000):
        assert main(["export", str(run / "checkpoints" / "last.ckpt"), str(tmp_path / "exported")]) == 2
    assert "cannot be written" in one_sentence(capsys)
    assert not (tmp_path / "exported").exists()
    assert not list(tmp_path.rglob("*.partial"))


@pytest.mark.parametrize("command", ["fit", "test"])
def test_a_place_that_is_a_file(
    command: str, run: Path, root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "taken").write_text("", encoding="utf-8")
    more = () if command == "fit" else ("--ckpt_path", str(run / "checkpoints" / "last.ckpt"))
    options = (*more, "--data.test_sets", "[mine.csv]")
    assert main([command, *words(root, tmp_path / "taken", *options)]) == 2
    assert "could not be written" in one_sentence(capsys)
