"""Three parts side by side, joined, are what one process would have written; what does not fit together is refused.

The commands run in processes of their own, as on three machines that share a disk (docs/many_machines.md).
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest

from affect_lightning.command_line.program import main
from clip_making import write_clip, write_test_set, write_training_set
from training_runs import Run

NAMES = [f"sample_{index:03}" for index in range(11)]
TESTED = [f"test_{index}" for index in range(7)]
TINY = str(Path(__file__).parent / "tiny.yaml")
EXTRA = ("quarantine.jsonl", "examples.jsonl", "checked.jsonl")  # files of a part that may be there as well
FAST = ("--data.crop_size", "16", "--data.frames", "1", "--trainer.precision", "32-true")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eleven training clips, one of which is broken, and MER2024 with seven."""
    root = tmp_path_factory.mktemp("corpus")
    write_training_set(root, NAMES, lambda path: write_clip(path, range(160 * int(path.stem[-3:]), 2000, 200)))
    (root / "mer-caption-plus" / "video" / f"{NAMES[4]}.mp4").write_bytes(b"no clip")
    folder = write_test_set(root, TESTED)
    rows = [f"{name},{'happy' if index % 2 else 'sad'}\n" for index, name in enumerate(TESTED)]
    (folder / "label.csv").write_text("name,discrete\n" + "".join(rows), encoding="utf-8")
    return root


def words(command: str, corpus: Path, out: Path) -> list[str]:
    """A command that several machines divide; what it leaves is below `out`."""
    shared = [
        "--data.train_root",
        str(corpus),
        "--data.cache_folder",
        str(out / "boxes"),
        "--data.max_bad_share",
        "0.5",
    ]
    if command == "doctor":
        options = ("--data", corpus, "--cache", out / "checks", "--workers", 1, "--face-detector", "none")
        return ["doctor", *map(str, options), "--taxonomy", "builtin", "--expected-counts", "any"]
    if command == "cache":
        own = ["--data.feature_folder", str(out / "features"), "--batch-size", "2", "--data.validation_share", "0"]
        return ["cache", "--config", TINY, *shared, *FAST, *own]
    if command == "pack":
        return ["pack", "--config", TINY, *shared, "--out", str(out / "packed"), "--shard-size", "40KB", "--range", "2"]
    own = ["--data.benchmark_root", str(corpus), "--data.expected_counts", "any", "--data.eval_batch_size", "2"]
    own += ["--out", str(out / "result"), "--benchmark.run_name", "tested", "--trainer.enable_progress_bar", "false"]
    return ["test", "--config", TINY, *shared, *FAST, *own, "--model.max_new_tokens", "12"]


def side_by_side(command: Sequence[str], logs: Path, count: int = 3) -> None:
    """Run all parts at once, each in its own process."""
    logs.mkdir(parents=True, exist_ok=True)
    runs = [Run([*command, "--part", f"{part}/{count}"], logs / f"{part}.log") for part in range(1, count + 1)]
    ended = [run.end() for run in runs]
    assert ended == [0] * count, [run.log.read_text(encoding="utf-8")[-2000:] for run in runs]


def files_in(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.endswith(".lock") and path.name != "checked.jsonl"
    }


def cut_short(place: Path) -> None:
    """Leave a part as a kill would: its last line is torn, and it is not finished."""
    (journal,) = [path for path in place.iterdir() if path.suffix == ".jsonl" and path.name not in EXTRA]
    lines = journal.read_bytes().splitlines(keepends=True)
    assert lines
    journal.write_bytes(b"".join(lines[:-1]) + lines[-1][: len(lines[-1]) // 2])
    record = json.loads((place / "part.json").read_text(encoding="utf-8"))
    (place / "part.json").write_text(json.dumps({**record, "finished": False}), encoding="utf-8")


def finish_in_parts(command: Sequence[str], out: Path, capsys: pytest.CaptureFixture[str], code: int = 0) -> str:
    """Three parts at once, of which the first is cut short and goes on; then the merge. Gives what the merge prints."""
    side_by_side(command, out / "logs")
    (place,) = out.rglob("1-of-3")
    cut_short(place)
    capsys.readouterr()
    assert main([*command, "--merge"]) == 2
    assert "1/3 is not finished. What the others did is kept in" in capsys.readouterr().err
    assert main([*command, "--part", "1/3"]) == 0
    capsys.readouterr()
    assert main([*command, "--merge"]) == code
    return capsys.readouterr().out


@pytest.fixture(scope="module")
def single(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What one process leaves of each command."""
    return tmp_path_factory.mktemp("single")


@pytest.mark.parametrize("command", ["cache", "pack"])
def test_parts_become_the_bytes_of_one(
    command: str, corpus: Path, single: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words(command, corpus, single)) == 0
    given = words(command, corpus, tmp_path)
    finish_in_parts(given, tmp_path, capsys)
    place = "features" if command == "cache" else "packed"
    found, wanted = files_in(tmp_path / place), files_in(single / place)
    assert found.keys() == wanted.keys()
    assert [name for name in wanted if found[name] != wanted[name]] == []
    assert sum(map(len, wanted.values())) > 5_000
    assert main([*given, "--merge"]) == 0  # again: nothing is lost, nothing is added
    assert main(given) == 0
    assert files_in(tmp_path / place) == found


def test_the_doctor_finds_in_parts_what_it_finds_at_once(
    corpus: Path, single: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    merged = json.loads(finish_in_parts([*words("doctor", corpus, tmp_path), "--json"], tmp_path, capsys, code=1))
    assert main([*words("doctor", corpus, single), "--json"]) == 1  # the broken clip
    once = json.loads(capsys.readouterr().out)
    assert Path(merged.pop("journal")).read_bytes() == Path(once.pop("journal")).read_bytes()
    assert merged == once
    assert [finding["names"] for finding in once["findings"] if finding["check"] == "unreadable"] == [[NAMES[4]]]


def test_a_test_in_parts_has_the_outcomes_and_the_report_of_one(
    corpus: Path, single: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = words("test", corpus, tmp_path)
    finish_in_parts(given, tmp_path, capsys)
    assert main(words("test", corpus, single)) == 0
    found, wanted = files_in(tmp_path / "result"), files_in(single / "result")
    kept = [name for name in wanted if name.startswith(("report", "outcomes", "predictions"))]
    assert len(kept) == 7
    assert [name for name in kept if found[name] != wanted[name]] == []
    assert b"test_3" in wanted["predictions/mer2024.jsonl"]
    assert not (tmp_path / "result" / "parts").exists()
    assert main([*given, "--merge"]) == 0  # says again where the report is
    assert files_in(tmp_path / "result") == found
    assert main([*given, "--part", "1/3"]) == 2  # and no part is begun over it


def test_a_part_of_a_test_goes_on_behind_the_last_answer(corpus: Path, tmp_path: Path) -> None:
    given = [*words("test", corpus, tmp_path), "--part", "1/2"]
    assert main(given) == 0
    (place,) = tmp_path.rglob("1-of-2")
    answers = (place / "responses.jsonl").read_bytes()
    cut_short(place)
    assert main(given) == 0
    lines = [line for line in (place / "responses.jsonl").read_bytes().splitlines(keepends=True) if line in answers]
    assert b"".join(sorted(set(lines))) == b"".join(sorted(answers.splitlines(keepends=True)))
    assert len(lines) <= len(answers.splitlines()) + 1  # the batch whose line was torn has two clips


@pytest.mark.parametrize("command", ["cache", "pack", "doctor", "test"])
def test_a_merge_names_the_part_that_is_missing_or_of_other_work(
    command: str, corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = words(command, corpus, tmp_path)
    assert main([*given, "--part", "1/2"]) == 0
    assert "Part 1/2 is " in capsys.readouterr().out
    assert main([*given, "--merge"]) == 2
    assert "2/2 is missing. What the others did is kept in" in capsys.readouterr().err
    other = {
        "cache": ["--batch-size", "3"],
        "pack": ["--range", "3"],
        "doctor": ["--timeout", "77"],
        "test": ["--data.eval_batch_size", "3"],
    }[command]
    assert main([*given, *other, "--part", "2/2"]) == 0
    capsys.readouterr()
    assert main([*given, "--merge"]) == 2
    said = capsys.readouterr().err
    assert "2/2 was made with other options or clips (" in said
    assert "there, " in said
    assert main([*given, "--part", "2/2"]) == 2
    assert "Give part 2/2 the options and clips with which it began, or delete" in capsys.readouterr().err
    assert main([*given, "--part", "2/3"]) == 2
    assert "parts of 2" in capsys.readouterr().err
    assert main([*given, "--part", "1/2", "--merge"]) == 2
    if command != "test":
        assert main(given) == 2
        assert "Add --merge to join the parts" in capsys.readouterr().err
    (place,) = tmp_path.rglob("2-of-2")
    shutil.rmtree(place)
    assert main([*given, "--part", "2/2"]) == 0
    assert main([*given, "--merge"]) == (1 if command == "doctor" else 0)


def test_more_parts_than_batches_are_refused_in_a_test(
    corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = words("test", corpus, tmp_path)
    assert main([*given, "--part", "5/5"]) == 2
    assert "Divide the test into at most 4 parts, or lower data.eval_batch_size (2)" in capsys.readouterr().err
    without = [word for word in given if word not in ("--out", str(tmp_path / "result"))]
    assert main([*without, "--part", "1/2"]) == 2
    assert "Add --out DIR, the same for all parts and for --merge" in capsys.readouterr().err
