"""AffectGPTModule: what a checkpoint holds, reloading, export, the schedule, and losses that are no number."""

from __future__ import annotations

import inspect
import json
import warnings
from pathlib import Path

import pytest
import torch
from lightning.fabric.utilities.warnings import PossibleUserWarning
from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import Callback, ModelCheckpoint
from torch.utils.data import DataLoader

from affect_lightning.checkpoints import export_affectgpt, export_checkpoint, read_checkpoint
from affect_lightning.errors import AffectLightningError, CheckpointError, ConfigurationError, PluginError
from affect_lightning.model import AffectGPT
from affect_lightning.training import AffectGPTModule
from affect_lightning.training.optimisation import learning_rate_factor, schedule_length
from model_cases import TINY_PARTS, pick, random_batch

TRAINING = {
    "learning_rate": 1e-2,
    "warmup_steps": 1,
    "warmup_start": 1e-3,
    "feature_norm": "standard",
    "total_steps": 20,
}
# Lightning below 2.6 asks no such question and reads plain values anyway.
ASKED = inspect.signature(AffectGPTModule.load_from_checkpoint).parameters
PLAIN = {"weights_only": True} if "weights_only" in ASKED else {}


class Batches(torch.utils.data.Dataset):
    def __len__(self):
        return 3

    def __getitem__(self, index):
        return random_batch(2, seed=index)


def loader():
    return DataLoader(Batches(), batch_size=None)


def trainer(folder, **options):
    settings = {"max_steps": 3, "logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    return Trainer(accelerator="cpu", default_root_dir=folder, **{**settings, **options})


def quietly(call, *arguments, **options):
    """Lightning advises more loader workers and warns of a validation loop that is missing; neither matters here."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=PossibleUserWarning)
        warnings.filterwarnings("ignore", message=r"Checkpoint directory .* exists and is not empty")
        # Lightning 2.6 asks torch 2.15 for tree leaves in the old way.
        warnings.filterwarnings("ignore", message=r".*isinstance\(treespec, LeafSpec\).*", category=FutureWarning)
        return call(*arguments, **options)


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    """A module after three steps, and its checkpoint."""
    folder = tmp_path_factory.mktemp("fit")
    module = AffectGPTModule(**TINY_PARTS, **TRAINING, max_new_tokens=8)
    saver = ModelCheckpoint(dirpath=folder, filename="last", every_n_train_steps=3)
    run = trainer(folder, callbacks=[saver], gradient_clip_val=1.0)
    quietly(run.fit, module, loader())
    assert {"train/loss", "train/learning_rate", "train/gradient_norm"} <= set(run.logged_metrics)
    return module, folder / "last.ckpt"


def responses(network):
    return network.generate(random_batch(), max_new_tokens=10)


def test_checkpoint_holds_trained_weights_and_plain_values_only(fitted):
    module, path = fitted
    stored = torch.load(path, weights_only=True)
    wanted = {f"network.{name}" for name, p in module.network.named_parameters() if p.requires_grad}
    statistics = {name for name in stored["state_dict"] if name.startswith("network.feature_scaling.")}
    assert set(stored["state_dict"]) == wanted | statistics
    assert len(statistics) == 6
    assert not any("encoder" in name or "base_layer" in name for name in stored["state_dict"])
    assert json.loads(json.dumps(stored["hyper_parameters"])) == stored["hyper_parameters"]
    assert stored["hyper_parameters"]["pre_fusion"] == {"name": "attention"}
    assert stored["hyper_parameters"]["language_model"]["lora_rank"] == 4


def test_reload_gives_identical_responses(fitted):
    module, path = fitted
    torch.manual_seed(99)
    again = quietly(AffectGPTModule.load_from_checkpoint, path, map_location="cpu", **PLAIN)
    assert responses(again.network) == responses(module.network)
    assert dict(again.hparams) == dict(module.hparams)


def test_resume_goes_on_from_the_checkpoint(fitted, tmp_path):
    module, path = fitted
    again = AffectGPTModule(**TINY_PARTS, **TRAINING)
    saver = ModelCheckpoint(dirpath=path.parent, filename="last", every_n_train_steps=3)  # the one in the checkpoint
    quietly(trainer(tmp_path, max_steps=4, callbacks=[saver]).fit, again, loader(), ckpt_path=path)
    assert again.global_step == 4
    assert not torch.equal(again.network.projectors["face"].weight, module.network.projectors["face"].weight)


def test_export_and_from_pretrained_give_identical_responses(fitted, tmp_path):
    module, path = fitted
    folder = export_checkpoint(path, tmp_path / "exported")
    assert sorted(entry.name for entry in folder.iterdir()) == ["adapter", "config.json", "projectors.safetensors"]
    assert (folder / "adapter" / "adapter_config.json").is_file()
    assert not [entry for entry in folder.rglob("*") if entry.suffix in {".bin", ".pt", ".ckpt", ".pkl"}]
    network = AffectGPT.from_pretrained(folder)
    assert not network.training
    assert responses(network) == responses(module.network)
    state = network.trainable_state()
    assert all(torch.equal(value, state[name]) for name, value in module.network.trainable_state().items())
    assert [entry.name for entry in tmp_path.iterdir()] == ["exported"]
    with pytest.raises(CheckpointError, match="not an empty folder"):
        export_checkpoint(path, folder)


def test_export_without_adapter(tmp_path):
    parts = {**TINY_PARTS, "language_model": {"name": "tiny-lm", "lora_rank": 0}}
    module = AffectGPTModule(**parts)
    module.configure_model()
    module.network.save_pretrained(tmp_path / "bare")
    assert not (tmp_path / "bare" / "adapter").exists()
    assert responses(AffectGPT.from_pretrained(tmp_path / "bare")) == responses(module.network)


def test_foreign_and_damaged_exports_are_refused(fitted, tmp_path):
    module, _ = fitted
    folder = tmp_path / "exported"
    module.network.save_pretrained(folder)
    with pytest.raises(CheckpointError, match="not an exported folder"):
        AffectGPT.from_pretrained(tmp_path)
    description = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    (folder / "config.json").write_text(json.dumps({**description, "format_version": 99}), encoding="utf-8")
    with pytest.raises(CheckpointError, match="version 99; expected 'affect-lightning' version 1"):
        AffectGPT.from_pretrained(folder)
    description["configuration"]["inputs"] = ["audio", "text"]
    (folder / "config.json").write_text(json.dumps(description), encoding="utf-8")
    with pytest.raises(CheckpointError, match=r"surplus: .*branches\.face"):
        AffectGPT.from_pretrained(folder)
    (folder / "projectors.safetensors").write_bytes(b"damaged")
    with pytest.raises(
        CheckpointError, match=r"Copy or export .*projectors.safetensors again: it is damaged .* 7 bytes"
    ):
        AffectGPT.from_pretrained(folder)


def test_a_broken_adapter_in_an_export_is_named_with_the_remedy(fitted, tmp_path):
    module, _ = fitted
    module.network.save_pretrained(tmp_path / "whole")
    weights = "adapter/adapter_model.safetensors"
    content = (tmp_path / "whole" / weights).read_bytes()
    for broken, message in (
        (content[:-100], f"it is cut. It has {len(content) - 100:,} bytes, and its beginning names {len(content):,}"),
        (content[:20], "it is cut. It has 20 bytes"),
        (b"\x10" + bytes(200), "it is damaged or of another kind. It has 201 bytes"),
        (b"", "is empty. Copy or download it again"),
        (b"version https://git-lfs.github.com/spec/v1\n", "is a Git LFS pointer"),
    ):
        (tmp_path / "whole" / weights).write_bytes(broken)
        for read in (AffectGPT.from_pretrained, lambda folder: export_affectgpt(folder, tmp_path / "out.pth")):
            with pytest.raises(CheckpointError, match=message):
                read(tmp_path / "whole")
    (tmp_path / "whole" / weights).unlink()
    with pytest.raises(CheckpointError, match="There is no adapter in"):
        AffectGPT.from_pretrained(tmp_path / "whole")


def test_checkpoint_of_another_configuration_is_refused_with_its_keys(fitted):
    _, path = fitted
    with pytest.raises(CheckpointError, match=r"missing: branches\.frame"):
        quietly(AffectGPTModule.load_from_checkpoint, path, inputs=["frame", "audio"], **PLAIN)
    parts = {**TINY_PARTS, "language_model": {"name": "tiny-lm", "lora_rank": 2}}
    with pytest.raises(CheckpointError, match=r"of another shape: .*lora_A"):
        quietly(AffectGPTModule.load_from_checkpoint, path, **PLAIN, **parts)


class Evil:
    def __reduce__(self):
        return (Path.write_text, (Path("owned"), "yes"))


def test_pickled_objects_are_never_read(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"state_dict": {}, "hyper_parameters": Evil()}, "evil.ckpt")
    with pytest.raises(CheckpointError, match="never pickled objects"):
        export_checkpoint("evil.ckpt", "out")
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["evil.ckpt"]
    torch.save({"weights": torch.zeros(1)}, "other.ckpt")
    with pytest.raises(CheckpointError, match="expected the entries state_dict and hyper_parameters"):
        read_checkpoint("other.ckpt")
    torch.save({"model": {"weight": torch.zeros(1)}}, "theirs.pth")
    with pytest.raises(CheckpointError, match="run `affect-lightning import theirs.pth FOLDER`"):
        read_checkpoint("theirs.pth")
    with pytest.raises(CheckpointError, match="no checkpoint missing"):
        read_checkpoint("missing.ckpt")


def test_choices_are_checked_before_anything_is_built(monkeypatch):
    def explode(configuration):
        raise AssertionError("built")

    monkeypatch.setattr(AffectGPT, "from_configuration", explode)
    with pytest.raises(PluginError, match="Did you mean 'qformer'"):
        AffectGPTModule(**{**TINY_PARTS, "pre_fusion": "qforme"})
    with pytest.raises(PluginError, match="no option 'rank'"):
        AffectGPTModule(**{**TINY_PARTS, "language_model": {"name": "tiny-lm", "rank": 3}})
    with pytest.raises(ConfigurationError, match="learning_rate > 0"):
        AffectGPTModule(**TINY_PARTS, learning_rate=0.0)
    module = AffectGPTModule(**TINY_PARTS)
    assert module.encoded_streams == ("audio", "face")
    with pytest.raises(ConfigurationError, match="not built yet"):
        _ = module.built_network


def test_same_seed_same_start_whatever_the_random_state():
    starts = []
    for seed, state in ((0, 1), (0, 2), (1, 1)):
        torch.manual_seed(state)
        module = AffectGPTModule(**TINY_PARTS, seed=seed)
        module.configure_model()
        network = module.network
        module.configure_model()
        assert module.network is network
        starts.append(network.projectors["audio"].weight)
    assert torch.equal(starts[0], starts[1])
    assert not torch.equal(starts[0], starts[2])


class Poison(Callback):
    def __init__(self, where):
        self.where = where

    def on_train_batch_start(self, trainer, module, batch, index):
        weight = module.network.projectors["audio"].weight
        if index == 1 and self.where == "loss":
            weight.data.fill_(float("nan"))

    def on_after_backward(self, trainer, module):
        if trainer.global_step == 1 and self.where == "gradient norm":
            module.network.projectors["audio"].weight.grad.fill_(float("inf"))


@pytest.mark.parametrize("where", ["loss", "gradient norm"])
def test_what_is_not_finite_stops_the_run_naming_step_and_clips(where, tmp_path):
    module = AffectGPTModule(**TINY_PARTS)
    run = trainer(tmp_path, callbacks=[Poison(where)], enable_checkpointing=False)
    with pytest.raises(AffectLightningError, match=rf"The {where} is (nan|inf) at step 1, clips clip0, clip1"):
        quietly(run.fit, module, loader())


def test_test_and_predict_give_rows_with_truth(fitted, tmp_path):
    module, _ = fitted
    rows = quietly(trainer(tmp_path).predict, module, loader())
    assert len(rows) == 3
    assert rows[0][1].name == "clip1"
    assert rows[0][0].truth_labels == ("happy",)
    assert rows[0][0].valid is True

    class Collect(Callback):
        def __init__(self):
            self.rows = []

        def on_test_batch_end(self, trainer, module, outputs, *unused):
            self.rows.extend(outputs)

    collect = Collect()
    quietly(trainer(tmp_path, callbacks=[collect]).test, module, loader(), verbose=False)
    assert [row.response for row in collect.rows] == [row.response for part in rows for row in part]


def test_validation_logs_the_loss(fitted, tmp_path):
    module, _ = fitted
    (metrics,) = quietly(trainer(tmp_path).validate, module, loader(), verbose=False)
    module.eval()
    with torch.no_grad():
        losses = [float(module.network(random_batch(2, seed=index))) for index in range(3)]
    assert metrics["val/loss"] == pytest.approx(sum(losses) / 3, rel=1e-4)


def test_optimiser_groups():
    module = AffectGPTModule(**TINY_PARTS, learning_rate=1e-4, projector_learning_rate=1e-3, total_steps=10)
    module.configure_model()
    groups = {(g["lr"], g["weight_decay"]): g["params"] for g in module._parameter_groups()}
    assert set(groups) == {(1e-4, 0.05), (1e-3, 0.05), (1e-3, 0.0)}
    trained = sum(p.requires_grad for p in module.parameters())
    assert sum(map(len, groups.values())) == trained
    assert all(p.ndim == 1 for p in groups[1e-3, 0.0])
    nothing = AffectGPTModule(
        **{**TINY_PARTS, "inputs": ["text"], "language_model": {"name": "tiny-lm", "lora_rank": 0}}
    )
    nothing.configure_model()
    with pytest.raises(ConfigurationError, match="so nothing would train"):
        nothing._parameter_groups()


def test_schedule_by_hand():
    factors = [learning_rate_factor(s, warmup_steps=4, warmup_factor=0.1, total_steps=12) for s in (0, 2, 4, 8, 12, 99)]
    assert factors == pytest.approx([0.1, 0.55, 1.0, 0.5, 0.0, 0.0], abs=1e-12)
    assert learning_rate_factor(0, warmup_steps=0, warmup_factor=0.1, total_steps=5) == 1.0


def test_schedule_length_comes_from_the_configuration():
    assert schedule_length(7, max_steps=9, max_epochs=2, batches_an_epoch=5, accumulated=1) == 7
    assert schedule_length(None, max_steps=9, max_epochs=2, batches_an_epoch=5, accumulated=1) == 9
    assert schedule_length(None, max_steps=-1, max_epochs=60, batches_an_epoch=5000, accumulated=1) == 300_000
    assert schedule_length(None, max_steps=-1, max_epochs=2, batches_an_epoch=5, accumulated=2) == 6
    with pytest.raises(ConfigurationError, match=r"Set model\.total_steps or trainer\.max_steps"):
        schedule_length(None, max_steps=-1, max_epochs=2, batches_an_epoch=1.0, accumulated=1)


def test_training_learns_and_one_clip_can_be_picked(fitted):
    module, _ = fitted
    batch = random_batch(2, seed=0)
    fresh = AffectGPTModule(**TINY_PARTS, **TRAINING)
    fresh.configure_model()
    with torch.no_grad():
        assert module.network.eval()(batch) < fresh.network.eval()(batch)
        assert module.network(pick(batch, [1])).isfinite()
