"""Objectives: named outputs into terms with items, one sum over processes, and an outside objective in training."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from lightning.pytorch import Trainer
from torch.utils.data import DataLoader

from affect_lightning.checkpoints.compatibility import check_fits
from affect_lightning.contracts import LossTerm
from affect_lightning.errors import CheckpointError, ContractError, PluginError
from affect_lightning.model import processes
from affect_lightning.plugin_loading import build_part
from affect_lightning.training import AffectGPTModule
from affect_lightning.training.affectgpt_module import over_processes, weighted_sum
from installed_parts import distribution
from model_cases import TINY_PARTS, perturb, pick, random_batch

SOURCE = '''
import torch

from affect_lightning.contracts import LossTerm, Objective


class Twofold(Objective):
    """The response loss and the size of the face's tokens."""

    def __init__(self, pull: float = 0.5) -> None:
        self.pull = pull

    def terms(self, network, batch):
        outputs = network.outputs(batch)
        sizes = outputs.projected["face"].square().mean(dim=(1, 2))[batch.valid]
        size = LossTerm(sizes.sum() / max(1, len(sizes)), torch.tensor(len(sizes)), self.pull)
        return {"response": network.response_loss(outputs, batch.valid), "size": size}


class Nameless(Objective):
    """Gives a number without a name."""

    def terms(self, network, batch):
        return network.outputs(batch).inputs_embeds.mean()
'''


@pytest.fixture(scope="module", autouse=True)
def _installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    folder = tmp_path_factory.mktemp("outside")
    (folder / "outside_aims.py").write_text(SOURCE, encoding="utf-8")
    points = {"objectives": {"twofold": "outside_aims:Twofold", "nameless": "outside_aims:Nameless"}}
    with distribution(folder, "outside-aims", points):
        yield


def made(**options: Any) -> AffectGPTModule:
    built = AffectGPTModule(**{**TINY_PARTS, "warmup_steps": 0, **options})
    built.configure_model()
    perturb(built.built_network)
    return built


def test_the_network_names_its_outputs_and_the_response_objective_is_its_loss() -> None:
    network, batch = made().built_network.eval(), random_batch()
    outputs = network.outputs(batch)
    assert set(outputs.features) == {"audio", "face"}
    assert set(outputs.projected) == {"multi", "audio", "face"}
    assert outputs.inputs_embeds.shape[:2] == outputs.labels.shape == outputs.attention_mask.shape
    ((name, term),) = network.terms(build_part("objectives", "response"), batch).items()
    assert name == "response"
    assert torch.equal(term.mean, network(batch))
    assert int(term.items) == int((outputs.labels != -100).sum())
    assert torch.equal(network.outputs(batch, outputs.features).inputs_embeds, outputs.inputs_embeds)


@pytest.mark.parametrize("counts", [([3, 5], [1, 2]), ([0, 4], [2, 0]), ([0.25, 1.0], [0.5, 0.0]), ([0, 0], [0, 7])])
def test_means_over_processes_are_means_over_all_items(monkeypatch: pytest.MonkeyPatch, counts: Any) -> None:
    """Two processes, two terms of unlike counts: the average of what each makes small is the mean of all items."""
    both = torch.tensor(counts, dtype=torch.float32)
    means = torch.tensor([[2.0, -1.0], [5.0, 3.0]])
    monkeypatch.setattr(processes, "process_count", lambda: 2)
    monkeypatch.setattr(processes, "sum_over_processes", lambda values: both.sum(dim=0))
    shared = [
        over_processes(
            {"a": LossTerm(means[rank, 0], both[rank, 0]), "b": LossTerm(means[rank, 1], both[rank, 1], 0.5)}
        )
        for rank in range(2)
    ]
    averaged = sum(weighted_sum(terms) for terms in shared) / 2
    wanted = (means * both).sum(dim=0) / both.sum(dim=0).clamp(min=1e-9)
    torch.testing.assert_close(averaged, wanted[0] + 0.5 * wanted[1])


def test_two_halves_of_a_batch_give_its_gradient(monkeypatch: pytest.MonkeyPatch) -> None:
    built, batch = made(objective="twofold"), random_batch()
    network = built.built_network.eval()
    batch.valid[3] = False
    whole = network.terms(built.objective, batch)
    weighted_sum(whole).backward()
    wanted = {name: value.grad.clone() for name, value in network.named_parameters() if value.grad is not None}
    network.zero_grad()
    halves = [network.terms(built.objective, pick(batch, clips)) for clips in ([0], [1, 2, 3])]
    total = torch.stack([torch.stack([term.items for term in half.values()]) for half in halves]).float().sum(dim=0)
    monkeypatch.setattr(processes, "process_count", lambda: 2)
    monkeypatch.setattr(processes, "sum_over_processes", lambda values: total)
    for half in halves:
        (weighted_sum(over_processes(half)) / 2).backward()  # as DDP averages gradients
    for name, value in network.named_parameters():
        if name in wanted:
            torch.testing.assert_close(value.grad, wanted[name], rtol=1e-3, atol=1e-6)


@pytest.mark.filterwarnings(
    "ignore:.*LeafSpec:FutureWarning",
    "ignore:.*does not have many workers",
    r"ignore:Found \d+ module\(s\) in eval mode",
)
def test_an_outside_objective_trains_validates_and_is_kept(tmp_path: Path) -> None:
    built = AffectGPTModule(**TINY_PARTS, warmup_steps=0, objective={"name": "twofold", "pull": 0.25})
    assert built.hparams["objective"] == {"name": "twofold", "pull": 0.25}
    options: Any = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    trainer = Trainer(
        accelerator="cpu", devices=1, max_steps=2, enable_model_summary=False, default_root_dir=tmp_path, **options
    )
    loader: Any = DataLoader([random_batch(2), random_batch(2, seed=1)], batch_size=None)
    trainer.fit(built, loader, loader)
    found = {name: float(value) for name, value in trainer.callback_metrics.items()}
    assert found["train/loss"] == pytest.approx(found["train/response"] + 0.25 * found["train/size"], rel=1e-5)
    assert {"val/loss", "val/response", "val/size"} <= found.keys()
    stored = {"hyper_parameters": dict(built.hparams), "state_dict": built.state_dict()}
    assert AffectGPTModule.from_checkpoint_values(stored, "here").objective.pull == 0.25  # type: ignore[attr-defined]
    with pytest.raises(CheckpointError, match=r"model\.objective: twofold there, response here"):
        check_fits(built.hparams, made().hparams, "here", purpose="go on")
    check_fits(built.hparams, made().hparams, "here", purpose="use")


def test_wrong_objectives_are_refused_by_name() -> None:
    with pytest.raises(PluginError, match=r"no objective plugin 'reponse'. Did you mean 'response'"):
        AffectGPTModule(**TINY_PARTS, objective="reponse")
    built = made(objective="nameless")
    message = (
        r"objective 'nameless' of outside-aims 1.0 \(contract .*Objective\): expected a mapping of names to LossTerm"
    )
    with pytest.raises(ContractError, match=message):
        built.built_network.terms(built.objective, random_batch())


def test_one_term_is_logged_once(monkeypatch: pytest.MonkeyPatch) -> None:
    built = made()
    logged: dict[str, Any] = {}
    monkeypatch.setattr(built, "log", lambda name, value, **options: logged.update({name: options["batch_size"]}))
    built._trainer = SimpleNamespace(world_size=1, optimizers=[])  # type: ignore[assignment]
    built.validation_step(random_batch(), 0)
    (term,) = built.built_network.terms(built.objective, random_batch()).values()
    assert logged == {"val/loss": int(term.items)}
