"""What a training step needs for objectives that reward sampled responses (not in the paper).

Several optimiser steps on a batch, the weights of the start in checkpoints, and the objective's measures in the log.
`affectgpt_module.py` calls; `reward_watch.py` shows the responses themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from lightning.pytorch import LightningModule
from torch import Tensor

from affect_lightning.contracts import LossTerm, Objective
from affect_lightning.errors import CheckpointError, ConfigurationError
from affect_lightning.model.affectgpt import AffectGPT
from affect_lightning.model.processes import sum_over_processes
from affect_lightning.model.start_weights import StartWeights, changing_values
from affect_lightning.training.device_execution import like_parameter, whole_tensor
from affect_lightning.training.late_reading import is_late
from affect_lightning.weights import compare_weights

START_KEY = "start_weights"
"""Entry of a checkpoint: the trained weights as they were when training began, if the objective compares with them."""


def repeat_step(
    objective: Objective, optimizer: Any, closure: Callable[[], Any] | None, accumulated: int
) -> Callable[[], Any] | None:
    """Take all optimiser steps on a batch but the last.

    Args:
        objective: Says how many.
        optimizer: Lightning's.
        closure: Of Lightning: forward and backward pass.
        accumulated: Batches an optimiser step.

    Returns:
        The closure, for the last step.

    Raises:
        ConfigurationError: Several updates, and gradients of several batches in a step.
    """
    if objective.updates > 1 and accumulated > 1:
        raise ConfigurationError(
            f"Set trainer.accumulate_grad_batches to 1, or updates of the objective to 1: {objective.updates} updates on each "
            f"batch cannot be taken while gradients of {accumulated} batches are added up."
        )
    for _ in range(objective.updates - 1):
        optimizer.step(closure=closure)
    return closure


def keep_start(objective: Objective, network: AffectGPT) -> None:
    """Keep the weights that training begins with, unless a checkpoint brought them."""
    if objective.compares_with_start and network.start_weights is None:
        network.start_weights = StartWeights.of(network)


def stored_start(network: AffectGPT | None) -> dict[str, Tensor] | None:
    """The weights of the start as a checkpoint has them, gathered; None if there are none. Collective where sharded."""
    if network is None or network.start_weights is None:
        return None
    return {name: whole_tensor(value).detach().cpu() for name, value in network.start_weights.values.items()}


def restore_start(objective: Objective, network: AffectGPT, checkpoint: Mapping[str, Any]) -> None:
    """Take the weights of the start out of a checkpoint that training goes on from.

    Raises:
        CheckpointError: It has none, or not those of this network.
    """
    if not objective.compares_with_start:
        return
    stored = checkpoint.get(START_KEY)
    if stored is None:
        raise CheckpointError(
            "The checkpoint has no weights of the start to compare with: it is of a training without kl_weight. Set "
            "kl_weight of the objective to 0, or begin a new training with --init_from."
        )
    own = changing_values(network)
    compare_weights(stored, own).refuse("the weights of the start in the checkpoint", "the configured network", "")
    placed = {name: like_parameter(stored[name], value).to(value.device) for name, value in own.items()}
    network.start_weights = StartWeights(placed)


def log_measures(module: LightningModule, measures: Mapping[str, LossTerm], *, split: str, several: bool) -> None:
    """Log what an objective saw: means over the items of all processes, under `train/` or `val/`. Collective.

    Args:
        module: Logs.
        measures: Of the objective.
        split: `train` or `val`.
        several: Whether there are several processes.
    """
    for name, measure in measures.items():
        shown = name == "reward" and not is_late(module.device)
        mean, items = measure.mean.detach(), measure.items.detach()
        if split == "val":
            weight: Any = items.to(module.device)
            module.log(f"val/{name}", mean.to(module.device), batch_size=weight, sync_dist=True, prog_bar=shown)
        elif several:
            both = torch.stack([(mean * items).to(module.device), items.to(module.device)]).float()
            total, count = sum_over_processes(both)
            module.log(f"train/{name}", total / count.clamp(min=1), batch_size=1, prog_bar=shown)
        elif mean.device.type != "cpu" or float(items):  # else nothing was seen, such as clips without a truth
            module.log(f"train/{name}", mean, batch_size=1, prog_bar=shown)
