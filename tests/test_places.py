"""A place that no result can be written to is told before anything is computed for it, and what a signal leaves is kept.

Read-only folders, full disks, files in the place of a folder, and results that are there. `test_runs_full_disk.py` has the disk
that fills up in the middle.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from affect_lightning import storage
from affect_lightning.command_line.program import main
from affect_lightning.errors import ConfigurationError
from affect_lightning.model import AffectGPT
from affect_lightning.storage import try_place, whole_files
from run_cases import contents, words, write_tables
from test_runs_full_disk import files_up_to

Place = tuple[Path, str]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tables(tmp_path_factory.mktemp("tables"))


@pytest.fixture(scope="module")
def finished(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("finished")
    assert main(["fit", *words(root, out)]) == 0
    return out / "tiny" / "version_0"


@pytest.fixture(params=["a file", "below a file", "read-only", "full"])
def place(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    """A folder that cannot be written to, and what the system says of it."""
    (tmp_path / "taken").write_text("kept", encoding="utf-8")
    if request.param == "full":
        with files_up_to(1000):
            yield tmp_path / "new" / "out", "File too large"
    elif request.param == "read-only":

        def refuse(path: Path, content: object) -> None:
            raise OSError(errno.EACCES, os.strerror(errno.EACCES), str(path))  # root may write everywhere

        monkeypatch.setattr(whole_files, "_write", refuse)
        yield tmp_path / "new" / "out", "Permission denied"
    else:
        yield tmp_path / "taken" / ("" if request.param == "a file" else "out"), "Not a directory"
    assert (tmp_path / "taken").read_text(encoding="utf-8") == "kept"
    assert not (tmp_path / "new").exists(), "what was made to try the place is gone"


def told(capsys: pytest.CaptureFixture[str], place: Place) -> None:
    err = capsys.readouterr().err
    assert "Traceback" not in err
    (line,) = [line for line in err.splitlines() if line.startswith("affect-lightning: error:")]
    assert f"{place[0]} could not be written: {place[1]}" in line
    assert "Free space or choose another folder" in line


def never(*_: object, **__: object) -> None:
    raise AssertionError("nothing is computed for such a place")


def test_score(place: Place, root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    from affect_lightning.unibench.scoring.suite_scoring import SavedOutputScorer

    monkeypatch.setattr(SavedOutputScorer, "score", never)
    files = ("--labels", str(root / "mine.csv"), "--predictions", str(root / "mine.csv"))
    assert main(["score", "--dataset", "mine", *files, "--out", str(place[0])]) == 2
    told(capsys, place)


@pytest.mark.parametrize("command", ["test", "predict"])
@pytest.mark.parametrize("part", [False, True])
def test_test_and_predict(
    command: str,
    part: bool,
    place: Place,
    finished: Path,
    root: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if command == "predict" and part:
        pytest.skip("predict is not divided")
    monkeypatch.setattr(AffectGPT, "generate", never)
    before = contents(finished)
    asked = (
        ("--data.test_sets", "[mine.csv]") if command == "test" else ("--data.predict_table", str(root / "mine.csv"))
    )
    more = ("--benchmark.part", "1/2") if part else ()
    checkpoint = str(finished / "checkpoints" / "last.ckpt")
    out = ("--ckpt_path", checkpoint, *asked, "--benchmark.out", str(place[0]), *more)
    assert main([command, *words(root, None, *out)]) == 2
    err = capsys.readouterr().err
    assert place[1] in err
    assert "could not be written" in err
    assert contents(finished) == before


def test_table(place: Place, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    from affect_lightning.unibench.paper_tables import processes

    monkeypatch.setattr(processes, "work_off", never)
    assert main(["table", "table5", "--out", str(place[0])]) == 2
    told(capsys, place)


def test_answer(place: Place, root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    from affect_lightning.command_line import answer_command

    monkeypatch.setattr(answer_command, "_data", never)
    asked = ("--describer", "openai", "--describer.model", "m", "--describer.base_url", "http://127.0.0.1:9")
    assert main(["answer", "--data", str(root), "--sets", "meld", "--out", str(place[0]), *asked]) == 2
    told(capsys, place)


def test_the_tables_and_data_sets_of_annotate(place: Place) -> None:
    from affect_lightning.annotation.exporting.writing import check_new_folder
    from affect_lightning.annotation.tables import check_new_table
    from affect_lightning.unibench.scoring.predictions import WritingError

    with pytest.raises(WritingError, match="could not be written"):
        check_new_table(place[0] / "table.parquet")
    with pytest.raises((WritingError, ConfigurationError), match="could not be written|is there, and nothing"):
        check_new_folder(place[0] / "data" if not place[0].is_file() else place[0])


def test_a_place_that_can_be_written_to_is_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    for folder in (tmp_path / "there", tmp_path / "a" / "b" / "c"):
        try_place(folder)
    assert [path.name for path in tmp_path.rglob("*")] == ["there"]
    assert "try_place" in dir(storage)


@pytest.mark.parametrize(("number", "name"), [(signal.SIGINT, "Ctrl-C"), (signal.SIGTERM, "SIGTERM")])
def test_a_signal_in_predict_stops_within_a_response_and_keeps_those_before(
    number: int,
    name: str,
    finished: Path,
    root: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run = Path(shutil.copytree(finished, tmp_path / "runs" / "tiny" / "version_0"))
    generate, ends = AffectGPT.generate, []

    def interrupted(self: AffectGPT, batch: object, **options: object) -> list[str]:
        if ends:
            os.kill(os.getpid(), number)
        ends.append(len(ends))
        return generate(self, batch, **options)  # type: ignore[arg-type]

    asked = ("--ckpt_path", str(run / "checkpoints" / "last.ckpt"), "--data.predict_table", str(root / "mine.csv"))
    with monkeypatch.context() as patched:
        patched.setattr(AffectGPT, "generate", interrupted)
        assert main(["predict", *words(root, None, *asked)]) == 128 + number
    assert ends == [0]  # the second call did not get behind its first line
    (folder,) = (run / "predict").iterdir()
    kept = (folder / "responses.jsonl").read_text(encoding="utf-8").splitlines()
    assert len(kept) == 2
    assert all(json.loads(line)["response"] is not None for line in kept)
    assert not (folder / "predictions").exists()
    err = capsys.readouterr().err
    assert f"affect-lightning: {name}. Stopped." in err
    assert "Traceback" not in err
    before = contents(folder)
    assert main(["predict", *words(root, None, *asked)]) == 0
    assert contents(folder) == before, "the next prediction has a folder of its own"
    (done,) = [path for path in (run / "predict").iterdir() if path != folder]
    (predictions,) = (done / "predictions").iterdir()
    whole = [json.loads(line) for line in predictions.read_text(encoding="utf-8").splitlines()]
    first = {json.loads(line)["name"]: json.loads(line)["response"] for line in kept}
    assert first.items() <= {row["name"]: row["response"] for row in whole}.items()
