"""Is the code right and fast on this GPU? One command; each step's result is written before the next begins.

    python benchmarks/gpu_check.py [--out FOLDER] [--budget SECONDS] [--only STEP ...]
    python benchmarks/gpu_check.py --tiny      # every step at tiny size on the processor, in about a minute

It needs this package, torch, transformers, peft, Lightning and jsonargparse; no network, no weights, no media library:
weights are random, clips are tensors. The equalities come first, with small networks; then speed and memory with
Qwen2.5-7B, CLIP ViT-L/14 and HuBERT-Large. A step that fails is told, and the next one runs. A step that does not fit into
the rest of the budget is skipped, and the table says so.

FOLDER gets `gpu_check.jsonl` and `gpu_check.md`, the table, both after each step. A step that hangs is ended 15 s after the
budget; the table then has the steps before. Exit code 0: no step failed; 1: one did, or hung; 2: a wrong option.
"""

from __future__ import annotations

import argparse
import faulthandler
import gc
import json
import os
import platform
import signal
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, TextIO

STARTED = time.perf_counter()  # imports count: they are part of the nine minutes
os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # for the step `resume`; read when CUDA starts

import torch  # noqa: E402
from gpu_steps import Machine, SkippedStepError, Step  # noqa: E402

BUDGET = 520.0  # seconds: under nine minutes with the start of Python
GRACE = 15.0  # seconds after the budget in which a step may still end by itself
# A driver or a compiler may hang in them, and a hang cannot be skipped: they come when the rest is on the disk.
MAY_HANG = ("sharded", "speed: cached, batch 16, compiled", "speed: cached, batch 16, liger")


def all_steps() -> list[Step]:
    """In the order in which they run."""
    from gpu_equality import STEPS as EQUALITIES
    from gpu_speed import STEPS as SPEED

    steps = [*EQUALITIES, *SPEED]
    return [*(step for step in steps if step.name not in MAY_HANG), *(step for step in steps if step.name in MAY_HANG)]


def check(
    steps: Sequence[Step],
    machine: Machine,
    journal: TextIO,
    budget: float,
    note: Callable[[Sequence[dict[str, Any]]], None] = lambda rows: None,
) -> list[dict[str, Any]]:
    """Run the steps; each leaves a line in the journal, whatever becomes of it.

    Args:
        steps: In their order.
        machine: That they run on.
        journal: File that is open for writing.
        budget: Seconds in all, from the start of the process.
        note: Called with the results so far after each step.
    """
    rows: list[dict[str, Any]] = []
    for step in steps:
        began = time.perf_counter()
        left = budget - (began - STARTED)
        if not machine.tiny and step.seconds > left:
            told = f"it needs about {step.seconds} s, and {max(left, 0):.0f} s of the budget are left"
            row = {"step": step.name, "status": "skipped", "told": told, "figures": {}}
        else:
            row = {"step": step.name, **attempt(step, machine)}
        row["seconds"] = round(time.perf_counter() - began, 1)
        rows.append(row)
        journal.write(json.dumps(row) + "\n")
        journal.flush()
        os.fsync(journal.fileno())
        note(rows)
        print(f"{row['status']:7} {row['seconds']:6.1f} s  {step.name}: {row['told']}", flush=True)
    return rows


def attempt(step: Step, machine: Machine) -> dict[str, Any]:
    """One step, guarded."""
    try:
        outcome = step.run(machine)
        row = {"status": "passed" if outcome.passed else "failed", "told": outcome.told, "figures": outcome.figures}
    except SkippedStepError as reason:
        row = {"status": "skipped", "told": str(reason), "figures": {}}
    except Exception as error:
        place = traceback.extract_tb(error.__traceback__)[-1]
        reason = " ".join(str(error).split())[:300]
        told = f"{type(error).__name__} in {Path(place.filename).name}, line {place.lineno}: {reason}"
        row = {"status": "failed", "told": told, "figures": {}}
        traceback.print_exc()
        machine.held.clear()  # what failed may have left a network half changed
    clean(machine, row)
    return row


def clean(machine: Machine, row: dict[str, Any]) -> None:
    """Free what a step left. After an illegal access CUDA refuses everything, this too; then the row says so."""
    try:
        torch.use_deterministic_algorithms(False)
        gc.collect()
        if machine.device.type == "cuda":
            torch.cuda.set_sync_debug_mode("default")
            torch.cuda.synchronize()
            torch.cuda.empty_cache()
    except RuntimeError as error:
        row["status"] = "failed"
        row["told"] += f"; the GPU answers no more ({' '.join(str(error).split())[:120]})"
        machine.held.clear()


def table(rows: Sequence[dict[str, Any]], machine: Machine) -> str:
    """What docs/training.md takes."""
    import lightning
    import peft
    import transformers

    parts = {"torch": torch, "transformers": transformers, "peft": peft, "Lightning": lightning}
    versions = ", ".join(f"{title} {module.__version__}" for title, module in parts.items())
    size = ", tiny sizes: no figure here says anything about speed" if machine.tiny else ""
    lines = [
        f"{datetime.now(timezone.utc):%d %B %Y}, {machine.name}, Python {platform.python_version()}, {versions}{size}.",
        "",
    ]
    lines += ["| step | result | seconds | what was found |", "| --- | --- | --- | --- |"]
    lines += [f"| {row['step']} | {row['status']} | {row['seconds']:.1f} | {row['told']} |" for row in rows]
    return "\n".join(lines) + "\n"


def options_of(words: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=None, help="folder for the results (default: gpu-check-TIME)")
    parser.add_argument(
        "--budget", type=float, default=BUDGET, help="seconds in all; steps that do not fit are skipped"
    )
    parser.add_argument("--only", nargs="+", default=None, metavar="STEP", help="run these steps only")
    parser.add_argument("--tiny", action="store_true", help="every step at tiny size on the processor")
    options = parser.parse_args(words)
    if not options.tiny and not torch.cuda.is_available():
        parser.error("torch sees no CUDA device. Add --tiny to run every step at tiny size on the processor.")
    names = [step.name for step in all_steps()]
    unknown = sorted(set(options.only or ()) - set(names))
    if unknown:
        parser.error(f"--only names {', '.join(unknown)}; the steps are {', '.join(names)}.")
    if options.out is not None and (options.out / "gpu_check.jsonl").exists():
        parser.error(f"{options.out} holds a result already. Choose another folder for --out.")
    return options


def main(words: Sequence[str] | None = None) -> int:
    """Run the check."""
    options = options_of(words)
    out = options.out or Path(f"gpu-check-{datetime.now():%Y-%m-%d-%H-%M-%S}")
    out.mkdir(parents=True, exist_ok=True)
    machine = Machine.of(tiny=options.tiny)
    steps = [step for step in all_steps() if options.only is None or step.name in options.only]
    rows: list[dict[str, Any]] = []

    def note(done: Sequence[dict[str, Any]]) -> None:
        rows[:] = done
        (out / "gpu_check.md").write_text(table(done, machine), encoding="utf-8")

    signal.signal(signal.SIGTERM, lambda *others: sys.exit("stopped by SIGTERM; what was done is in the table"))
    if (
        machine.is_gpu
    ):  # what hangs in a driver hears no signal: the end comes from another thread, and says where it hung
        faulthandler.dump_traceback_later(options.budget + GRACE - (time.perf_counter() - STARTED), exit=True)
    try:
        with (out / "gpu_check.jsonl").open("x", encoding="utf-8") as journal:
            check(steps, machine, journal, options.budget, note)
    finally:
        faulthandler.cancel_dump_traceback_later()
    counts = {status: sum(row["status"] == status for row in rows) for status in ("passed", "failed", "skipped")}
    told = ", ".join(f"{count} {status}" for status, count in counts.items())
    print(f"{told}; {time.perf_counter() - STARTED:.0f} s. The table is in {out / 'gpu_check.md'}.")
    return 1 if counts["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
