"""Short trainings by Lightning for the steps of `gpu_check.py`: resumed to the bit, and how often a step waits."""

from __future__ import annotations

import logging
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from gpu_steps import Machine, compared_clips, weights_of, with_features
from lightning.pytorch import Callback, LightningModule, Trainer
from random_networks import tokenised
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from affect_lightning.contracts import ClipBatch
from affect_lightning.training import AffectGPTModule

_WARM_UP = 2  # steps before waits are counted
# Calls whose answer depends on values: on a GPU the processor waits for it.
_ASKS = ("_local_scalar_dense", "nonzero", "masked_select", "equal", "is_nonzero", "unique_dim", "_unique2")


@dataclass
class Training:
    """What a training left.

    Attributes:
        start: Trained weights before the first step.
        weights: After the last.
        losses: One a step, to the last bit.
        waits: Of each counted step.
    """

    start: dict[str, Tensor] = field(default_factory=dict)
    weights: dict[str, Tensor] = field(default_factory=dict)
    losses: list[str] = field(default_factory=list)
    waits: list[int] = field(default_factory=list)


class _Counted(TorchDispatchMode):
    """Counts calls that a GPU would have to answer, on the processor."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        picks = name in ("index", "index_put_", "index_put", "_index_put_impl_") and any(
            isinstance(one, Tensor) and one.dtype in (torch.bool, torch.uint8) for one in args[1] or ()
        )
        self.count += name in _ASKS or picks
        return func(*args, **(kwargs or {}))


class _Watch(Callback):
    """Notes start, losses and waits."""

    def __init__(self, found: Training, machine: Machine, batches: list[ClipBatch], counts: bool) -> None:
        self.found, self.machine, self.batches, self.counts = found, machine, batches, counts
        self._mode: _Counted | None = None
        self._warned: Any = None

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Make the batches what the project's loader would hand over: tokenised, and pinned for a GPU."""
        made = [tokenised(pl_module, batch) for batch in self.batches]
        self.batches[:] = [batch.pin_memory() for batch in made] if self.machine.is_gpu else made

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Keep the start."""
        self.found.start = weights_of(pl_module)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """From the end of one step to the end of the next, the arrival of the batch included."""
        if not self.counts:
            self.found.losses.append(float(outputs["loss"]).hex())
            return
        self._end()
        if _WARM_UP <= batch_idx + 1 < self.machine.epoch:
            self._begin()

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Keep the end."""
        self._end()
        self.found.weights = weights_of(pl_module)

    def _begin(self) -> None:
        if self.machine.is_gpu:
            self._warned = warnings.catch_warnings(record=True)
            self._seen = self._warned.__enter__()
            warnings.simplefilter("always")
            torch.cuda.set_sync_debug_mode("warn")
        else:
            self._mode = _Counted()
            self._mode.__enter__()

    def _end(self) -> None:
        if self._warned is not None:
            torch.cuda.set_sync_debug_mode("default")
            self._warned.__exit__(None, None, None)
            self.found.waits.append(sum("synchroniz" in str(warning.message) for warning in self._seen))
            self._warned = None
        if self._mode is not None:
            self._mode.__exit__(None, None, None)
            self.found.waits.append(self._mode.count)
            self._mode = None


def train(
    machine: Machine,
    *,
    epochs: int,
    precision: Any = "32-true",
    deterministic: bool = False,
    save: Path | None = None,
    resume: Path | None = None,
    count_waits: bool = False,
    cached: bool = False,
) -> Training:
    """Train the small network, with dropout.

    Args:
        machine: With the device.
        epochs: In all, those of the checkpoint included.
        precision: Of the Trainer.
        deterministic: Whether kernels must give the same bits each time.
        save: File for a checkpoint at the end.
        resume: Checkpoint to go on from.
        count_waits: Count waits instead of noting losses, which waits.
        cached: Whether batches bring features.
    """
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    found = Training()
    language_model = {**machine.compared["language_model"], "lora_dropout": 0.05}
    options = {
        **machine.compared,
        "language_model": language_model,
        "learning_rate": 1e-3,
        "total_steps": 2 * machine.epoch,
    }
    module = AffectGPTModule(**options)
    batches = [compared_clips((20, 30 + number, 60), seed=number) for number in range(machine.epoch)]
    if cached:
        batches = [with_features(batch, number) for number, batch in enumerate(batches)]
    trainer = Trainer(
        accelerator="gpu" if machine.is_gpu else "cpu",
        devices=1,
        max_epochs=epochs,
        precision=precision,
        deterministic=deterministic,
        gradient_clip_val=1.0,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[_Watch(found, machine, batches, count_waits)],
    )
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*(num_workers|val_dataloader|LeafSpec|isinstance|in eval mode).*")
        loader: Any = torch.utils.data.DataLoader(batches, batch_size=None)  # type: ignore[arg-type]
        trainer.fit(module, loader, ckpt_path=None if resume is None else str(resume))
    if save is not None:
        trainer.save_checkpoint(save)
    return found
