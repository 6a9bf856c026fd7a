"""Whole files, run folders, what fits and what does not, the non-finite policy, the randomness of a step."""

from __future__ import annotations

import errno
import os
import random
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from affect_lightning.checkpoints.compatibility import check_fits
from affect_lightning.command_line.program import main
from affect_lightning.contracts import AudioEncoder, FeatureSequence
from affect_lightning.data.loading import ClipLoader
from affect_lightning.data.ordering import BatchPlan
from affect_lightning.errors import CheckpointError, ConfigurationError
from affect_lightning.model.affectgpt import AffectGPT
from affect_lightning.model.encoding import encode_stream
from affect_lightning.model.feature_conditioning import StandardScaling
from affect_lightning.training import (
    AffectGPTModule,
    CheckpointWriteError,
    LossSpikeLog,
    ResumeCheckpoint,
    WholeFileCheckpoints,
)
from affect_lightning.training.checkpoint_files import checkpoint_folders, last_checkpoint, note_job
from affect_lightning.training.device_execution import shard_network, whole_tensor
from affect_lightning.training.loss_anomalies import NonFiniteError, NonFiniteGuard
from affect_lightning.training.optimisation import seed_step
from affect_lightning.training.resume_checkpoint import keep_earlier, slurm_job
from model_cases import TINY_PARTS, perturb, random_batch
from step_recorder import recorded
from training_runs import Run, checkpoint, words, write_corpus

GOOD = {"state_dict": {"weight": torch.ones(3)}, "hyper_parameters": {"a": 1}}


@pytest.mark.parametrize("where", ["fsync", "replace"])
def test_what_the_system_refuses_leaves_the_file_before(
    where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, files = tmp_path / "checkpoints" / "last.ckpt", WholeFileCheckpoints()
    files.save_checkpoint(GOOD, path)

    def refuse(*unused: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, where, refuse)
    with pytest.raises(CheckpointWriteError, match=f"{path} could not be written: No space left .* is unchanged"):
        files.save_checkpoint({**GOOD, "state_dict": {}}, path)
    monkeypatch.undo()
    assert torch.equal(files.load_checkpoint(path)["state_dict"]["weight"], torch.ones(3))
    assert [file.name for file in path.parent.iterdir()] == ["last.ckpt"]
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(CheckpointError, match="it is cut"):
        files.load_checkpoint(path)


def test_what_an_earlier_run_left_is_kept(tmp_path: Path) -> None:
    target = tmp_path / "last.ckpt"
    for content in ("first", "second"):
        target.write_text(content, encoding="utf-8")
        keep_earlier(target)
    assert {path.name: path.read_text(encoding="utf-8") for path in tmp_path.iterdir()} == {
        "last-v1.ckpt": "first",
        "last-v2.ckpt": "second",
    }


def test_last_is_the_newest_of_the_experiment_or_of_the_job(tmp_path: Path) -> None:
    assert last_checkpoint(checkpoint_folders(tmp_path)) is None
    for number, time in enumerate((100, 300, 200)):
        folder = tmp_path / f"version_{number}" / "checkpoints"
        folder.mkdir(parents=True)
        (folder / "last.ckpt").touch()
        os.utime(folder / "last.ckpt", (time, time))
    note_job(tmp_path / "version_2" / "checkpoints", "77")
    assert last_checkpoint(checkpoint_folders(tmp_path)) == tmp_path / "version_1" / "checkpoints" / "last.ckpt"
    assert last_checkpoint(checkpoint_folders(tmp_path, 0)) == tmp_path / "version_0" / "checkpoints" / "last.ckpt"
    ours = last_checkpoint(checkpoint_folders(tmp_path), "77")
    assert ours == tmp_path / "version_2" / "checkpoints" / "last.ckpt"
    assert last_checkpoint(checkpoint_folders(tmp_path), "78") is None


def test_the_slurm_job_is_named_as_scontrol_takes_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SLURM_JOB_ID", "SLURM_ARRAY_JOB_ID", "SLURM_ARRAY_TASK_ID", "SLURM_JOB_NAME"):
        monkeypatch.delenv(name, raising=False)
    assert slurm_job() is None
    monkeypatch.setenv("SLURM_JOB_ID", "12")
    assert slurm_job() == "12"
    monkeypatch.setenv("SLURM_ARRAY_JOB_ID", "11")
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "3")
    assert slurm_job() == "11_3"
    monkeypatch.setenv("SLURM_JOB_NAME", "interactive")
    assert slurm_job() is None


def hyperparameters(**options: Any) -> dict[str, Any]:
    return dict(AffectGPTModule(**{**TINY_PARTS, **options}).hparams)


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"pre_fusion": "qformer"}, "model.pre_fusion: attention there, qformer here"),
        (
            {"language_model": {"name": "tiny-lm", "lora_rank": 8, "lora_dropout": 0.0}},
            "model.language_model.lora_rank: 4 there, 8 here",
        ),
        ({"inputs": ["audio", "text"]}, r"model.inputs: \['multi', .*\] there, \['audio', 'text'\] here"),
        ({"learning_rate": 0.5, "seed": 3}, "model.learning_rate: 1e-05 there, 0.5 here; model.seed: 0 there, 3 here"),
    ],
)
def test_a_checkpoint_of_another_configuration_is_refused(changed: dict[str, Any], told: str) -> None:
    with pytest.raises(CheckpointError, match=rf"The checkpoint x.ckpt does not fit the configuration: {told}"):
        check_fits(hyperparameters(), hyperparameters(**changed), "x.ckpt", purpose="go on")


def test_what_makes_no_difference_is_accepted() -> None:
    check_fits(hyperparameters(), hyperparameters(max_new_tokens=3), "x.ckpt", purpose="go on")
    check_fits(hyperparameters(), hyperparameters(learning_rate=0.5), "x.ckpt", purpose="use")
    older = hyperparameters()
    del older["language_model"]["seed"]  # an option that the plugin did not have then, now at its default
    check_fits(older, hyperparameters(), "x.ckpt", purpose="go on")


def test_one_bad_step_more_than_the_limit_stops() -> None:
    guard = NonFiniteGuard("skip", 1)
    trainer = SimpleNamespace(checkpoint_callbacks=[], ckpt_path="runs/x/last.ckpt")
    state: dict[str, Any] = {"check_norm": True, "step": 7, "trainer": trainer}
    for number, norm in enumerate((1.0, float("inf"), 2.0)):
        guard.note([f"clip{number}"], torch.tensor(1.0))
        assert float(guard.judge(torch.tensor(norm), **state)) == (number == 1)
    guard.note(["clip8"], torch.tensor(float("nan")))
    guard.note(["clip9"], torch.tensor(2.0))
    with pytest.raises(NonFiniteError, match=r"The loss is nan at step 7, clips clip8, clip9\. .*runs/x/last\.ckpt\."):
        guard.judge(torch.tensor(float("nan")), **state)
    free = NonFiniteGuard()
    free.note(["a"], torch.tensor(1.0))
    assert not free.judge(torch.tensor(float("inf")), check_norm=False, step=1, trainer=trainer)
    with pytest.raises(ConfigurationError, match="on_nonfinite must be stop or skip"):
        NonFiniteGuard("ignore")


def test_a_broken_clip_leaves_the_statistics_alone() -> None:
    tokens = torch.randn(4, 3, 5)
    broken = torch.cat([tokens, torch.full((1, 3, 5), float("nan"))])
    clean, met = StandardScaling(5), StandardScaling(5)
    clean(FeatureSequence(tokens, torch.ones(4, 3, dtype=torch.bool)))
    met(FeatureSequence(broken, torch.ones(5, 3, dtype=torch.bool)))
    uncounted = StandardScaling(5)
    uncounted(
        FeatureSequence(torch.cat([tokens, tokens]), torch.ones(8, 3, dtype=torch.bool)),
        torch.tensor([True] * 4 + [False] * 4),
    )
    for name, value in clean.state_dict().items():
        assert torch.equal(value, met.state_dict()[name])
        assert torch.equal(value, uncounted.state_dict()[name])


def test_what_a_frozen_encoder_draws_moves_no_dropout() -> None:
    class Drawing(AudioEncoder):
        feature_width, sample_rate = 2, 16_000

        def forward(self, waveform: torch.Tensor, lengths: torch.Tensor) -> FeatureSequence:
            tokens = torch.rand(len(waveform), 3, 2)
            return FeatureSequence(tokens, torch.ones(len(waveform), 3, dtype=torch.bool))

    torch.manual_seed(3)
    wanted = torch.rand(4)
    torch.manual_seed(3)
    assert encode_stream(random_batch(), "audio", Drawing()).tokens.unique().numel() > 1
    assert torch.equal(torch.rand(4), wanted)


def test_a_steps_draws_depend_on_nothing_before() -> None:
    def draw(*place: int) -> list[float]:
        seed_step(*place)
        return [float(torch.rand(())), float(np.random.rand()), random.random()]

    first = draw(0, 2, 5, 1)
    torch.rand(7), np.random.rand(3), random.random()
    assert draw(0, 2, 5, 1) == first
    others = [draw(1, 2, 5, 1), draw(0, 5, 2, 1), draw(0, 2, 6, 1), draw(0, 2, 5, 0)]
    assert all(mine != theirs for other in others for mine, theirs in zip(first, other, strict=True))


@pytest.mark.filterwarnings("error")
def test_another_number_of_processes_goes_on_with_the_next_clips() -> None:
    def loader(batch_size: int, rank: int, world_size: int) -> ClipLoader:
        made = object.__new__(ClipLoader)
        made.plan = BatchPlan(11, batch_size, True, 3, rank, world_size)
        return made

    state = {"epoch": 1, "batches": 2, "plan": loader(2, 0, 2).plan.state_options()}
    one = loader(4, 0, 1)
    one.load_state_dict(state)
    assert (one.epoch, one._given_out) == (1, 2)
    shares = [loader(2, rank, 2).plan.batches(1)[2] for rank in range(2)]
    wanted = {key.clip for share in shares for key in share if key.valid}
    assert {key.clip for key in one.plan.batches(1)[2]} == wanted
    with pytest.warns(UserWarning, match="world_size 2 -> 1.*starts again"):
        loader(2, 0, 1).load_state_dict(state)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: ResumeCheckpoint(every_n_steps=0), "resume.every_n_steps must be above 0"),
        (lambda: ResumeCheckpoint(every_minutes=-1), "resume.every_minutes must be above 0"),
        (lambda: LossSpikeLog(1.0), "spikes.factor must be above 1"),
        (lambda: LossSpikeLog(window=3), "1 <= spikes.warmup <= spikes.window"),
    ],
)
def test_options_out_of_range(build: Any, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        build()


@pytest.mark.filterwarnings("ignore:FSDP2-wrapped module")  # nothing is changed in place behind a trained part
def test_shards_of_a_half_precision_base_have_masters_in_32_bits(tmp_path: Path) -> None:
    import torch.distributed as dist
    from torch.distributed.device_mesh import init_device_mesh

    def prepared() -> AffectGPT:
        made = AffectGPTModule(**TINY_PARTS, feature_norm="standard")
        made.configure_model()
        network = made.built_network
        for parameter in network.language_model.parameters():
            if not parameter.requires_grad:
                parameter.data = parameter.data.bfloat16()
        perturb(network)
        return network

    plain, sharded = prepared(), prepared()
    batch = random_batch()
    features = plain.encode(batch)
    dist.init_process_group("gloo", init_method=f"file://{tmp_path}/store", rank=0, world_size=1)
    try:
        shard_network(sharded, init_device_mesh("cpu", (1,)), "bf16-mixed")
        with torch.autocast("cpu", torch.bfloat16):
            losses = [network(batch, features) for network in (plain, sharded)]
        for loss in losses:
            loss.backward()
        assert float(losses[1].detach()) == pytest.approx(float(losses[0].detach()), rel=2e-2)
        wanted = {name: value.grad for name, value in plain.named_parameters() if value.requires_grad}
        found = {name: value for name, value in sharded.named_parameters() if value.requires_grad}
        assert found.keys() == wanted.keys()
        scale = max(float(gradient.norm()) for gradient in wanted.values())
        for name, parameter in found.items():
            gradient, other = whole_tensor(parameter.grad), wanted[name]
            assert parameter.dtype == gradient.dtype == torch.float32, name
            # bf16 has 8 bits; some gradients are 0 but for rounding, since a softmax does not see a common shift.
            assert float((gradient - other).norm()) < 0.1 * float(other.norm()) + 0.01 * scale, name
    finally:
        dist.destroy_process_group()


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_corpus(tmp_path_factory.mktemp("parts") / "corpus")


@pytest.mark.timeout(1800)
def test_a_run_of_gathered_gradients_validation_and_epochs_goes_on_from_every_step(clips: Path, tmp_path: Path) -> None:
    """Two batches a step, validation within the epoch and at its end, and a restart after every step."""
    options = ("--trainer.accumulate_grad_batches", "2", "--trainer.val_check_interval", "2")
    options += ("--data.validation_share", "0.2", "--trainer.limit_val_batches", "1")
    options += ("--resume.every_n_steps", "1", "--model.total_steps", "7")
    run = Run(words(clips, tmp_path / "whole", *options, "--trainer.max_steps", "7"), tmp_path / "log")
    assert run.end() == 0, run.text()
    wanted = recorded(tmp_path / "whole")
    assert wanted[-1]["step"] == 7
    assert wanted[-1]["epoch"] >= 2
    parts = tmp_path / "parts"
    for end in range(1, 8):
        more = ("--trainer.max_steps", str(end), "--ckpt_path", "last")
        run = Run(words(clips, parts, *options, *more), tmp_path / f"log{end}")
        assert run.end() == 0, run.text()
    assert recorded(parts) == wanted


@pytest.mark.timeout(1800)
def test_another_configuration_and_no_checkpoint_end_with_code_two(clips: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert Run(words(clips, out, "--trainer.max_steps", "1", "--ckpt_path", "last"), tmp_path / "log").end() == 0
    assert "starts from the beginning, because there is no checkpoint yet" in (tmp_path / "log").read_text(
        encoding="utf-8"
    )
    assert checkpoint(out).is_file()
    other = words(clips, out, "--ckpt_path", "last", "--model.pre_fusion", "qformer", "--model.weight_decay", "0.1")
    run = Run(other, tmp_path / "log2")
    assert run.end() == 2
    assert "model.pre_fusion: attention there, qformer here" in run.text()
    assert "model.weight_decay: 0.05 there, 0.1 here" in run.text()
    assert main(["test", *words(clips, tmp_path / "none", "--ckpt_path", "last")[1:]]) == 2
