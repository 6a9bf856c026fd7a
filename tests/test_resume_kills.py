"""SIGKILL at random moments: resumed each time, a run gives the steps of an undisturbed one, bit for bit."""

from __future__ import annotations

import os
import random
import time
from pathlib import Path

import pytest
import torch

from step_recorder import recorded
from training_runs import Run, checkpoint, words, write_corpus

KILLS = int(os.environ.get("AFFECT_RESUME_KILLS", "4"))  # 20 for the figure in docs/training.md
STEPS = max(24, 6 * KILLS)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_corpus(tmp_path_factory.mktemp("kills") / "corpus")


@pytest.mark.timeout(3600)
def test_a_killed_run_goes_on_with_the_very_next_clip(corpus: Path, tmp_path: Path) -> None:
    # 10 clips in batches of 3: epochs of 4 batches, 2 of them a checkpoint; dropout and the draw of questions are on.
    options = ("--trainer.max_steps", str(STEPS), "--data.batch_size", "3")
    whole = tmp_path / "whole"
    assert Run(words(corpus, whole, *options), tmp_path / "whole.log").end() == 0
    wanted = {row["step"]: row for row in recorded(whole)}
    assert sorted(wanted) == list(range(1, STEPS + 1))

    killed, draw = tmp_path / "killed", random.Random(0)
    killed.mkdir()
    (killed / "halt").write_text(str(STEPS - 1), encoding="utf-8")  # so that every kill meets the program at work
    for kill in range(KILLS):
        run = Run(words(corpus, killed, *options, "--ckpt_path", "last"), tmp_path / f"{kill}.log")
        # Some steps further than the last kill, or early while the program still reads, builds and restores.
        reached = max((row["step"] for row in recorded(killed)), default=0)
        if draw.random() < 0.8:
            run.wait_for_step(killed, min(reached + draw.randint(1, 5), STEPS - 1))
        time.sleep(draw.uniform(0.0, 0.3))
        assert run.process.is_alive(), run.text()
        run.kill()
        if checkpoint(killed).exists():  # whole, whatever was being written
            assert torch.load(checkpoint(killed), weights_only=True)["state_dict"]
    (killed / "halt").unlink()
    assert Run(words(corpus, killed, *options, "--ckpt_path", "last"), tmp_path / "end.log").end() == 0

    rows = recorded(killed)
    assert len(rows) >= STEPS
    assert [row for row in rows if row != wanted[row["step"]]] == []  # steps done twice too
    assert {row["step"] for row in rows} == set(wanted)
    ends = [torch.load(checkpoint(out), weights_only=True) for out in (whole, killed)]
    assert all(torch.equal(value, ends[1]["state_dict"][name]) for name, value in ends[0]["state_dict"].items())
    assert len({tuple(row["responses"]) for row in rows}) > 5
