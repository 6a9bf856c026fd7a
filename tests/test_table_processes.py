"""How `table` does its runs: copies of one process, shared feature caches, and failures that take nothing with them."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from affect_lightning.command_line import forked_runs
from affect_lightning.command_line.forked_runs import forking_starter
from affect_lightning.command_line.program import main
from affect_lightning.command_line.table_caches import fewest_caches, needs_of
from affect_lightning.unibench.paper_tables.catalogue import paper_table
from affect_lightning.unibench.paper_tables.processes import (
    Starter,
    Working,
    environment_of,
    program_starter,
    work_off,
)
from affect_lightning.unibench.paper_tables.runs import Run, runs_of

TINY = str(Path(__file__).parent / "tiny.yaml")
CACHED = ("--data.features", "cached")


def ended(working: Working) -> int:
    while (code := working.poll()) is None:
        time.sleep(0.05)
    return code


@pytest.fixture(params=["copies", "programs"])
def start(request: pytest.FixtureRequest) -> Starter:
    return forking_starter([]) if request.param == "copies" else program_starter()


def test_a_command_says_all_in_its_log_and_ends_as_the_program_does(
    start: Starter, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    log = tmp_path / "log"
    log.write_text("before\n", encoding="utf-8")
    assert ended(start(["--version"], log, {})) == 0
    assert ended(start(["plugins", "attenshun"], log, {})) == 2
    told = log.read_text(encoding="utf-8")
    assert told.startswith("before\naffect-lightning ")
    assert "affect-lightning: error: " in told
    assert capfd.readouterr() == ("", "")


def test_a_command_has_the_variables_of_now_and_those_of_its_share(
    start: Starter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`plugins check` starts Python with the variables of its own process, and says what a test of it printed."""
    monkeypatch.setenv("AFFECT_LIGHTNING_CACHE", str(tmp_path / "of-now"))
    share = {"AFFECT_LIGHTNING_CACHE": str(tmp_path / "of-its-share")}
    for given, name in (({}, "of-now"), (share, "of-its-share")):
        log = tmp_path / f"{name}.log"
        assert ended(start(["score", "--help"], log, given)) == 0
        assert ended(start(["taxonomy", "show", "happy", "--taxonomy", "official-2025"], log, given)) == 2
        assert str(tmp_path / name) in log.read_text(encoding="utf-8")


def test_a_command_that_is_ended_says_by_which_signal(start: Starter, tmp_path: Path) -> None:
    working = start(["sandbox", "--out", str(tmp_path / "data"), "--clips", "2000"], tmp_path / "log", {})
    working.kill()
    assert ended(working) == -9


class Sleeping:
    """A task whose command would take minutes."""

    title, seconds = "sleep", 0.0

    def __init__(self, log: Path) -> None:
        self.log = log

    def missing_step(self) -> str:
        return "sleep"

    def begin(self, name: str) -> list[str]:
        return [name]

    def note_step(self, name: str, seconds: float) -> None:
        raise AssertionError


def test_no_process_outlives_the_table(tmp_path: Path) -> None:
    begun: list[Working] = []
    sleep = program_starter((sys.executable, "-c", "import time; time.sleep(600)"))

    def start(words: Sequence[str], log: Path, environment: Mapping[str, str]) -> Working:
        begun.append(sleep(words, log, environment))
        return begun[-1]

    def stop_at_the_second(line: str) -> None:
        if begun:
            raise KeyboardInterrupt

    tasks = [Sleeping(tmp_path / "first.log"), Sleeping(tmp_path / "second.log")]
    with pytest.raises(KeyboardInterrupt):
        work_off(tasks, jobs=2, start=start, say=stop_at_the_second)
    assert [one.poll() for one in begun] == [-15]


def test_processes_share_processors_and_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr("os.cpu_count", lambda: 8)
    assert environment_of(0, 1) == {}
    assert environment_of(0, 3) == {"OMP_NUM_THREADS": "2"}
    monkeypatch.setenv("OMP_NUM_THREADS", "5")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,7")
    assert [environment_of(slot, 3)["CUDA_VISIBLE_DEVICES"] for slot in range(3)] == ["3", "7", "3"]


# --- feature caches ---


def of_rows(out: Path, extra: tuple[str, ...] = CACHED) -> list[Run]:
    table6, figure10 = (
        runs_of(paper_table(name), out=out, base=[TINY], seeds=[0, 1], extra=extra) for name in ("table6", "figure10")
    )
    points = ("face, 2", "face, 8", "face, text, 8")
    return [run for row in [*table6.values(), *(figure10[title] for title in points)] for run in row]


def test_one_cache_serves_all_inputs_and_another_number_of_frames_needs_its_own(tmp_path: Path) -> None:
    needs = needs_of(of_rows(tmp_path))
    assert len(needs) == 7 + 3
    without = [row.run.row.title for row in needs if not row.streams]
    assert without == ["text"]
    chosen = fewest_caches(needs)
    assert [sorted(row.streams) for row in chosen] == [["audio", "face", "frame"], ["face"]]
    assert chosen[0].run.row.title == "audio, face, frame, text"
    assert "8" in chosen[1].run.row.labels
    assert any(module.endswith(".tiny_video") for module in chosen[0].modules)
    assert fewest_caches(needs_of(of_rows(tmp_path, ())[:4])) == []


def rows_of_table(name: str, corpus: Path, out: Path, *extra: str) -> list[str]:
    return [
        *("table", name, "--base", TINY, "--out", str(out), "--jobs", "2", "--json", "--"),
        *("--data.train_root", str(corpus), "--data.benchmark_root", str(corpus), "--data.test_sets", "[meld, sims]"),
        *("--data.train_sets", "[mer-caption-plus]", *extra),
    ]


@pytest.mark.slow
def test_a_table_fills_one_cache_and_a_cache_that_fails_stops_its_rows_only(
    corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    features = tmp_path / "features"
    features.write_text("a file in the way of the folder", encoding="utf-8")
    words = rows_of_table("table6", corpus, tmp_path / "out", *CACHED, "--data.feature_folder", str(features))
    assert main(words) == 2
    told = capsys.readouterr()
    made = json.loads(told.out)
    states = {", ".join(row["labels"]): row["state"] for row in made["tables"][0]["rows"]}
    assert [title for title, state in states.items() if state == "done"] == ["text"]
    # The cache, and each row that would have read it.
    assert len(made["failed"]) == 1 + sum(state != "done" for state in states.values())
    log = tmp_path / "out" / "tiny" / "caches" / "table6_audio_face_frame_text.log"
    assert f"cache ended with exit code 2; see {log}" in told.err
    assert "affect-lightning: error:" in log.read_text(encoding="utf-8")
    features.unlink()
    assert main(words) == 0
    made = json.loads(capsys.readouterr().out)
    assert {row["state"] for row in made["tables"][0]["rows"]} == {"done"}
    assert len(list(features.glob("*/cache.json"))) == 1


@pytest.mark.slow
def test_a_second_greedy_run_is_equal_to_the_bit_in_a_copy_or_a_program(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One row of Table 5, from the corpus to the responses."""
    responses = []
    for name in ("copies", "programs"):
        if name == "programs":
            monkeypatch.setattr(forked_runs, "fitting_starter", lambda _: program_starter())
        words = [word for word in rows_of_table("table5", corpus, tmp_path / name) if word != "--json"]
        assert main([*words[:2], "--part", "1/3", *words[2:]]) == 0
        (report,) = (tmp_path / name).rglob("report.json")
        responses.append({path.name: path.read_bytes() for path in (report.parent / "predictions").rglob("*.jsonl")})
        (page,) = (tmp_path / name / "tiny" / "tables").rglob("table5.md")
        assert "Generated corpus, 2 clips a set, not comparable" in page.read_text(encoding="utf-8")
    assert responses[0] == responses[1]
    assert responses[0]
