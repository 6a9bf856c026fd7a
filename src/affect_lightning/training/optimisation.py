"""Optimiser, learning rate and random state of a training step: functions of the step, so that a resumed run continues exactly.

The learning rate rises linearly, then falls with a cosine or stays constant. The paper names no schedule, and the
authors' released code trains at a constant rate, though its configuration names both (docs/released.md). The random
state is a function of seed, epoch, batch and rank (ours). So dropout draws the same after a validation, a restart or a
skipped batch, and a checkpoint needs no random state. `affectgpt_module.py` asks in each step.
"""

from __future__ import annotations

import hashlib
import math
import random
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.distributed.tensor import DTensor

from affect_lightning.errors import ConfigurationError
from affect_lightning.training.late_reading import is_late


def build_optimizer(groups: list[dict[str, Any]], learning_rate: float, precision: str) -> torch.optim.AdamW:
    """AdamW; on a GPU the fused one, which can leave out a step by itself (`leave_out_step`).

    Sharded weights, and fp16 with loss scaling, which asks whether an optimiser unscales by itself, keep the usual one.
    A checkpoint of either continues with the other: the kind is the device's and not the checkpoint's.

    Args:
        groups: Parameters with their rates and decays, on their device.
        learning_rate: Of groups without one.
        precision: The Trainer's.
    """
    weights = [weight for group in groups for weight in group["params"]]
    fused = precision != "16-mixed" and all(
        is_late(weight.device) and not isinstance(weight, DTensor) for weight in weights
    )
    optimizer = torch.optim.AdamW(groups, lr=learning_rate, fused=True if fused else None)
    optimizer.register_load_state_dict_pre_hook(_keep_kind)
    if fused:
        # It only says that a loss scaler would leave unscaling to it. There is none, and Lightning would refuse to clip.
        optimizer._step_supports_amp_scaling = False  # type: ignore[attr-defined]
    return optimizer


def _keep_kind(optimizer: torch.optim.Optimizer, state: dict[str, Any]) -> dict[str, Any]:
    """The state to load, with the implementation that the optimiser has."""
    kinds = ("fused", "foreach", "capturable")
    own = optimizer.param_groups
    return {
        **state,
        "param_groups": [
            {**group, **{name: own[number][name] for name in kinds if name in own[number]}}
            if number < len(own)
            else group
            for number, group in enumerate(state["param_groups"])
        ],
    }


def leave_out_step(optimizer: torch.optim.Optimizer, skip: Tensor) -> None:
    """Let the coming step change neither weights nor moments if `skip` is 1.

    The fused kernels are told on the device, in the way of loss scalers. Others get no gradients, which asks the device.

    Args:
        optimizer: Whose step comes.
        skip: 0 or 1, a scalar on the device.
    """
    inner: Any = getattr(optimizer, "optimizer", optimizer)  # Lightning's wrapper has it
    if all(group.get("fused") for group in inner.param_groups):
        inner.found_inf = skip
    elif bool(skip):
        inner.zero_grad(set_to_none=True)  # without a gradient the optimiser leaves weights and moments alone


def learning_rate_factor(step: int, *, warmup_steps: int, warmup_factor: float, total_steps: int | None) -> float:
    """Share of the full learning rate at a step.

    Args:
        step: Optimiser steps done.
        warmup_steps: Steps of the linear rise.
        warmup_factor: Share at step 0 of the rise.
        total_steps: Step at which the cosine reaches 0; None keeps the full rate.

    >>> [round(learning_rate_factor(s, warmup_steps=2, warmup_factor=0.0, total_steps=6), 2) for s in (0, 1, 2, 4, 6)]
    [0.0, 0.5, 1.0, 0.5, 0.0]
    """
    if step < warmup_steps:
        return warmup_factor + (1.0 - warmup_factor) * step / warmup_steps
    if total_steps is None:
        return 1.0
    progress = min(1.0, (step - warmup_steps) / max(1, total_steps - warmup_steps))
    return 0.5 * (1.0 + math.cos(math.pi * progress))


def schedule_length(
    total_steps: int | None,
    max_steps: int,
    max_epochs: int | None,
    batches_an_epoch: int | float | None,
    accumulated: int,
) -> int:
    """Length of the schedule in optimiser steps, from the configuration alone.

    The trainer's own estimate is not used: asking for it makes the data loader before its state is restored.

    Args:
        total_steps: The model's option; it counts first.
        max_steps: The trainer's; -1 means none.
        max_epochs: The trainer's.
        batches_an_epoch: The trainer's `limit_train_batches`; counts when it is a whole number.
        accumulated: Batches an optimiser step.

    Raises:
        ConfigurationError: None of them gives a length.
    """
    if total_steps is not None:
        return total_steps
    if max_steps > 0:
        return max_steps
    if max_epochs is not None and max_epochs > 0 and isinstance(batches_an_epoch, int):
        return max_epochs * math.ceil(batches_an_epoch / accumulated)
    raise ConfigurationError(
        "The cosine schedule needs the length of the training. Set model.total_steps or trainer.max_steps, or "
        "trainer.max_epochs together with a whole number of trainer.limit_train_batches (the paper: 60 and 5000)."
    )


def step_seed(seed: int, epoch: int, batch: int, rank: int) -> int:
    """A 64-bit seed; steps, epochs and ranks that are neighbours get unrelated ones.

    >>> step_seed(0, 0, 1, 0) == step_seed(0, 0, 1, 0), step_seed(0, 0, 1, 0) == step_seed(0, 1, 0, 0)
    (True, False)
    """
    digest = hashlib.blake2b(f"{seed}-{epoch}-{batch}-{rank}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1  # torch takes signed 64 bits


def seed_step(seed: int, epoch: int, batch: int, rank: int) -> None:
    """Set torch's generators on all devices, numpy's and Python's, for one training step.

    Args:
        seed: Of the run.
        epoch: Counted from 0.
        batch: Within the epoch, from 0.
        rank: This process.
    """
    value = step_seed(seed, epoch, batch, rank)
    torch.manual_seed(value)
    np.random.seed(value % 2**32)  # third parties' parts draw from the global one
    random.seed(value)
