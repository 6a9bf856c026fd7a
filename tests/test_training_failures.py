"""How a training ends that meets a NaN, a full disk, a signal, a dead worker or a dead rank (docs/training.md)."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from patience import LONGEST
from step_recorder import recorded
from training_runs import TINY, Run, checkpoint, words, write_corpus

pytestmark = pytest.mark.timeout(1800)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_corpus(tmp_path_factory.mktemp("failures") / "corpus", clips=8)


def stored(out: Path) -> dict:
    return torch.load(checkpoint(out), weights_only=True)


def leftovers(out: Path) -> list[Path]:
    return list(checkpoint(out).parent.glob("*.partial"))


@pytest.fixture(scope="module")
def undisturbed(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[int, dict]:
    out = tmp_path_factory.mktemp("undisturbed")
    assert Run(words(corpus, out, "--trainer.max_steps", "9"), out / "log").end() == 0
    return {row["step"]: row for row in recorded(out)}


PLANTED = ("--trainer.callbacks+=step_recorder.PlantedNaN", "--trainer.callbacks.clip=sample_003")


def test_a_nan_stops_with_step_clips_and_last_checkpoint(
    corpus: Path, tmp_path: Path, undisturbed: dict[int, dict]
) -> None:
    first = min(step for step, row in undisturbed.items() if "sample_003" in row["clips"])
    options = ("--trainer.max_steps", "9", "--resume.every_n_steps", "1", *PLANTED)
    run = Run(words(corpus, tmp_path, *options), tmp_path / "log")
    assert run.end() == 2
    message = next(line for line in run.text().splitlines() if line.startswith("affect-lightning: error:"))
    assert f"The loss is nan at step {first - 1}, clips {', '.join(undisturbed[first]['clips'])}." in message
    assert message.count(str(checkpoint(tmp_path))) == (first > 1)
    assert len(recorded(tmp_path)) == first - 1
    if first > 1:
        assert stored(tmp_path)["global_step"] == first - 1
        assert all(value.isfinite().all() for value in stored(tmp_path)["state_dict"].values())


def test_skip_leaves_the_step_out_and_counts_to_its_limit(corpus: Path, tmp_path: Path) -> None:
    options = ("--trainer.max_steps", "40", *PLANTED, "--model.on_nonfinite", "skip", "--model.max_skipped_steps", "2")
    run = Run(words(corpus, tmp_path, *options), tmp_path / "log")
    assert run.end() == 2
    assert "2 steps were skipped, which is the limit of max_skipped_steps" in run.text()
    rows = recorded(tmp_path)
    bad = [row for row in rows if "sample_003" in row["clips"]]
    assert len(bad) == 2
    assert all(float.fromhex(row["loss"]) != float.fromhex(row["loss"]) for row in bad)  # the loss as it was
    good = [row for row in rows if row not in bad]
    assert len(good) > 4
    assert all(0 < float.fromhex(row["loss"]) < 100 for row in good)
    assert all(value.isfinite().all() for value in stored(tmp_path)["state_dict"].values())
    assert stored(tmp_path)["skipped_steps"] <= 2


def test_a_full_disk_leaves_the_checkpoint_before(corpus: Path, tmp_path: Path, undisturbed: dict[int, dict]) -> None:
    full = ("--trainer.callbacks+=step_recorder.FullDisk", "--trainer.callbacks.step=3")
    run = Run(words(corpus, tmp_path, "--trainer.max_steps", "9", *full), tmp_path / "log")
    assert run.end() == 2
    assert f"The checkpoint {checkpoint(tmp_path)} could not be written: File too large" in run.text()
    assert "is unchanged" in run.text()
    assert stored(tmp_path)["global_step"] == 2
    assert leftovers(tmp_path) == []
    again = Run(words(corpus, tmp_path, "--trainer.max_steps", "9", "--ckpt_path", "last"), tmp_path / "log2")
    assert again.end() == 0
    assert [row for row in recorded(tmp_path) if row != undisturbed[row["step"]]] == []
    assert [row["step"] for row in recorded(tmp_path)] == [1, 2, 3, 4, *range(3, 10)]


def test_sigterm_saves_the_step_and_stops(corpus: Path, tmp_path: Path, undisturbed: dict[int, dict]) -> None:
    slow = ("--trainer.max_steps", "100000", "--resume.every_n_steps", "null", "--model.total_steps", "9")
    run = Run(words(corpus, tmp_path, *slow), tmp_path / "log")
    assert run.wait_for_step(tmp_path, 3)
    os.kill(run.pid, signal.SIGTERM)
    assert run.end() == 128 + signal.SIGTERM
    last = recorded(tmp_path)[-1]["step"]
    assert stored(tmp_path)["global_step"] == last
    assert f"SIGTERM. Stopped after step {last}" in run.text()
    assert "Traceback" not in run.text()
    again = Run(words(corpus, tmp_path, *slow, "--trainer.max_steps", str(last + 2), "--ckpt_path", "last"), run.log)
    assert again.end() == 0
    assert [row["step"] for row in recorded(tmp_path)] == list(range(1, last + 3))
    assert [row for row in recorded(tmp_path) if row != undisturbed.get(row["step"], row)] == []


def test_sigusr1_saves_and_goes_on(corpus: Path, tmp_path: Path) -> None:
    run = Run(
        words(corpus, tmp_path, "--trainer.max_steps", "100000", "--resume.every_n_steps", "null"), tmp_path / "log"
    )
    assert run.wait_for_step(tmp_path, 2)
    os.kill(run.pid, signal.SIGUSR1)
    assert run.wait_for(checkpoint(tmp_path).exists)
    saved = stored(tmp_path)["global_step"]
    assert run.wait_for_step(tmp_path, saved + 2)
    run.kill()


def test_slurm_is_asked_to_requeue_and_the_next_run_goes_on(
    corpus: Path, tmp_path: Path, undisturbed: dict[int, dict]
) -> None:
    tools = tmp_path / "bin"
    tools.mkdir()
    (tools / "scontrol").write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/scontrol.log\n', encoding="utf-8")
    (tools / "scontrol").chmod(0o755)
    job = {
        **{"SLURM_JOB_ID": "77", "SLURM_JOB_NAME": "train", "SLURM_NTASKS": "1", "SLURM_PROCID": "0"},
        **{"SLURM_LOCALID": "0", "SLURM_NODEID": "0", "SLURM_NTASKS_PER_NODE": "1", "SLURM_JOB_NUM_NODES": "1"},
        "PATH": f"{tools}:{os.environ['PATH']}",
    }
    free = ("--trainer.logger.init_args.version", "null", "--resume.every_n_steps", "null", "--model.total_steps", "9")
    run = Run(words(corpus, tmp_path, *free, "--trainer.max_steps", "100000"), tmp_path / "log", job)
    assert run.wait_for_step(tmp_path, 2)
    os.kill(run.pid, signal.SIGUSR1)
    assert run.end() == 128 + signal.SIGUSR1
    assert (tmp_path / "scontrol.log").read_text(encoding="utf-8") == "requeue 77\n"
    last = recorded(tmp_path)[-1]["step"]
    again = {**job, "SLURM_RESTART_COUNT": "1"}
    run = Run(words(corpus, tmp_path, *free, "--trainer.max_steps", str(last + 2)), tmp_path / "log2", again)
    assert run.end() == 0
    assert [row["step"] for row in recorded(tmp_path)] == list(range(1, last + 3))
    assert [folder.name for folder in (tmp_path / "tiny").iterdir()] == ["version_0"]
    assert [row for row in recorded(tmp_path) if row != undisturbed.get(row["step"], row)] == []


def children(pid: int) -> list[int]:
    """Processes that a process has started, and theirs."""
    found = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in map(int, task.read_text(encoding="utf-8").split()):
            found += [child, *children(child)]
    return found


def command_of(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_text(encoding="utf-8").replace("\0", " ")


def test_a_killed_data_worker_ends_the_run_in_one_sentence(corpus: Path, tmp_path: Path) -> None:
    run = Run(words(corpus, tmp_path, "--trainer.max_steps", "100000", "--data.workers", "1"), tmp_path / "log")
    assert run.wait_for_step(tmp_path, 3)
    (worker,) = (pid for pid in children(run.pid) if "spawn_main" in command_of(pid))
    os.kill(worker, signal.SIGKILL)
    assert run.end() == 2
    assert "A worker process that reads clips died or hangs" in run.text()
    assert stored(tmp_path)["global_step"] >= 2


def test_a_killed_rank_ends_all_ranks(corpus: Path, tmp_path: Path) -> None:
    two = ("--trainer.devices", "2", "--trainer.strategy", "ddp", "--trainer.max_steps", "100000")
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", "-m"]
    command += ["affect_lightning", *words(corpus, tmp_path, *two)]
    environment = {**os.environ, "PYTHONPATH": str(TINY.parent), "OMP_NUM_THREADS": "1"}
    with (tmp_path / "log").open("w", encoding="utf-8") as log:
        run = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
        end = time.monotonic() + LONGEST
        while not any(row["step"] >= 3 for row in recorded(tmp_path, 1)):
            assert run.poll() is None, (tmp_path / "log").read_text(encoding="utf-8")
            assert time.monotonic() < end
            time.sleep(0.02)
        started = children(run.pid)
        victim = next(pid for pid in started if b"RANK=1\0" in Path(f"/proc/{pid}/environ").read_bytes())
        os.kill(victim, signal.SIGKILL)
        assert run.wait(LONGEST) != 0
    assert not [pid for pid in started if Path(f"/proc/{pid}").exists()]  # nobody waits for the dead
    assert stored(tmp_path)["global_step"] >= 2


def test_loss_spikes_are_named(corpus: Path, tmp_path: Path) -> None:
    options = ("--trainer.max_steps", "12", "--spikes.factor", "1.0001", "--spikes.warmup", "2")
    assert Run(words(corpus, tmp_path, *options), tmp_path / "log").end() == 0
    file = tmp_path / "tiny" / "v0" / "loss_spikes.jsonl"
    lines = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    rows = {row["step"]: row for row in recorded(tmp_path)}
    losses = [float.fromhex(rows[step]["loss"]) for step in sorted(rows)]
    wanted = []
    for index in range(2, len(losses)):
        before = sorted(losses[:index])
        middle = (before[(index - 1) // 2] + before[index // 2]) / 2
        if losses[index] > 1.0001 * middle:
            wanted.append((index + 1, rows[index + 1]["clips"], losses[index], pytest.approx(middle)))
    assert [(line["step"], line["clips"], line["loss"], line["median"]) for line in lines] == wanted
    assert wanted
