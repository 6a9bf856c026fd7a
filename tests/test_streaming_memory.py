"""What a process holds does not grow with the number of clips but by a small index; and none outlives its parent."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from patience import LONGEST

pytest.importorskip("litdata", reason="litdata is not installed: pip install 'affect-lightning[streaming]'")
pytestmark = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads /proc, which only Linux has")

# 500 MB at a million (issue: "Streaming"), in proportion
ALLOWED_BYTES_A_CLIP = 500


def test_memory_grows_by_a_small_index_only(repository: Path) -> None:
    many = int(os.environ.get("AFFECT_MANY_CLIPS", "200000"))
    command = [sys.executable, str(repository / "benchmarks" / "streaming.py"), "memory", "--workers", "1"]
    done = subprocess.run(
        [*command, "--clips", "1000", str(many)], capture_output=True, text=True, check=False, encoding="utf-8"
    )
    assert done.returncode == 0, done.stderr
    small, large = (json.loads(line) for line in done.stdout.splitlines())
    assert (small["clips"], large["clips"]) == (1000, many)
    assert small["worker"] > 0
    for process in ("main", "worker"):
        assert large[process] - small[process] < ALLOWED_BYTES_A_CLIP * many


# Batches too long for a pipe: without a watch of its own, a worker that hands such a one over waits for ever.
PROGRAM = """
import multiprocessing, sys, time
sys.path.insert(0, {tests!r})
from dataclasses import replace
from streaming_cases import make_loader, tiny_records
from affect_lightning.data.dataset import ReadingOptions
if __name__ == "__main__":
    records = [replace(record, description="x" * 400_000) for record in tiny_records(400)]
    for batch in make_loader(records, 2, ReadingOptions(frozenset()), worker_start="spawn", batch_size=4):
        print([process.pid for process in multiprocessing.active_children()], flush=True)
        time.sleep(600)
"""


def test_workers_end_with_a_killed_parent(tmp_path: Path, repository: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM.format(tests=str(repository / "tests")), encoding="utf-8")
    with subprocess.Popen(
        [sys.executable, str(program)], stdout=subprocess.PIPE, text=True, encoding="utf-8"
    ) as process:
        assert process.stdout is not None
        workers = json.loads(process.stdout.readline())
        assert len(workers) == 2
        time.sleep(1)  # the next batches wait to be taken
        process.send_signal(signal.SIGKILL)
    until = time.monotonic() + LONGEST
    while time.monotonic() < until and any(is_running(worker) for worker in workers):
        time.sleep(0.2)
    assert not [worker for worker in workers if is_running(worker)]


def is_running(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
