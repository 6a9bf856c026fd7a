"""Training on sampled responses in real runs: killed and resumed bit for bit, two processes (DDP, FSDP) equal one, cached too."""

from __future__ import annotations

import json
import os
import random
import time
from pathlib import Path

import pytest
import torch

from affect_lightning.checkpoints import read_checkpoint
from step_recorder import recorded
from training_runs import Run, checkpoint, ranks, words, write_corpus

pytestmark = pytest.mark.timeout(3600)
KILLS = int(os.environ.get("AFFECT_REINFORCEMENT_KILLS", "2"))  # 5 for the figure in docs/reinforcement.md
STEPS = 4 + 4 * KILLS
# A random model writes no emotion words: the number of words tells its responses apart.
OBJECTIVE = {
    "name": "group-relative",
    "rewards": [{"name": "length", "most_labels": None, "most_words": 1}, "wheel-f-score"],
    "group_size": 3,
    "max_new_tokens": 12,
    "kl_weight": 0.1,
    "updates": 2,
    "response_weight": 0.5,
}
CHOSEN = ("--model.objective", json.dumps(OBJECTIVE))
PLAIN = ("--model.language_model", "tiny-lm", "--model.language_model.lora_dropout", "0.0")


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_corpus(tmp_path_factory.mktemp("sampled") / "corpus", clips=11)


def test_a_killed_run_goes_on_bit_for_bit(clips: Path, tmp_path: Path) -> None:
    options = (*CHOSEN, "--trainer.max_steps", str(STEPS), "--data.batch_size", "3")
    whole, killed, draw = tmp_path / "whole", tmp_path / "killed", random.Random(0)
    run = Run(words(clips, whole, *options), tmp_path / "whole.log")
    assert run.end() == 0, run.text()
    killed.mkdir()
    (killed / "halt").write_text(str(STEPS - 1), encoding="utf-8")  # so that every kill meets the program at work
    for kill in range(KILLS):
        run = Run(words(clips, killed, *options, "--ckpt_path", "last"), tmp_path / f"{kill}.log")
        reached = max((row["step"] for row in recorded(killed)), default=0)
        run.wait_for_step(killed, min(reached + draw.randint(1, 4), STEPS - 1))
        time.sleep(draw.uniform(0.0, 0.2))
        assert run.process.is_alive(), run.text()
        run.kill()
    (killed / "halt").unlink()
    run = Run(words(clips, killed, *options, "--ckpt_path", "last"), tmp_path / "end.log")
    assert run.end() == 0, run.text()
    wanted = {row["step"]: row for row in recorded(whole)}
    assert [row for row in recorded(killed) if row != wanted[row["step"]]] == []
    ends = [torch.load(checkpoint(out), weights_only=True) for out in (whole, killed)]
    for kind in ("state_dict", "start_weights"):
        assert ends[0][kind].keys() == ends[1][kind].keys()
        assert all(torch.equal(value, ends[1][kind][name]) for name, value in ends[0][kind].items())
    assert any(
        not torch.equal(value, ends[0]["state_dict"][f"network.{name}"])
        for name, value in ends[0]["start_weights"].items()
    )


@pytest.fixture(scope="module")
def one(clips: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("alone")
    run = Run(words(clips, out, *PLAIN, *CHOSEN, "--data.batch_size", "4", "--trainer.max_steps", "4"), out / "log")
    assert run.end() == 0, run.text()
    return out


@pytest.mark.parametrize("strategy", ["ddp", "fsdp"])
def test_two_processes_are_one(strategy: str, clips: Path, one: Path, tmp_path: Path) -> None:
    two = ("--trainer.devices", "2", "--trainer.num_nodes", "1", "--trainer.strategy", strategy)
    command = words(clips, tmp_path, *PLAIN, *CHOSEN, *two, "--data.batch_size", "2", "--trainer.max_steps", "4")
    runs = [Run(command, tmp_path / f"{rank}.log", names) for rank, names in enumerate(ranks(2, 1))]
    assert [run.end() for run in runs] == [0, 0], runs[0].text() + runs[1].text()
    for found, wanted in zip(recorded(tmp_path), recorded(one), strict=True):
        assert found["mean_loss"] == pytest.approx(wanted["mean_loss"], rel=1e-4, abs=1e-5)
        assert found["norm"] == pytest.approx(wanted["norm"], rel=2e-3)
    ends = [read_checkpoint(checkpoint(out)) for out in (tmp_path, one)]
    assert ends[0]["start_weights"].keys() == ends[1]["start_weights"].keys()
    for name, value in ends[1]["start_weights"].items():
        torch.testing.assert_close(ends[0]["start_weights"][name], value, rtol=0, atol=0)
    for name, value in ends[1]["state_dict"].items():
        torch.testing.assert_close(ends[0]["state_dict"][name], value, rtol=5e-4, atol=5e-5)
