"""NonFiniteGuard: losses and gradients that are no finite number stop the run, or are skipped and counted (ours).

The authors' fp16 run gave NaN at learning rates of 2e-5 and 3e-5 and could not continue. Here the run stops with the step,
the clips and the last good checkpoint, before a weight has changed; `skip` continues without the step, up to a limit.
All processes decide alike. Neighbour: `module.py` asks before each optimiser step.
"""

from __future__ import annotations

import logging
from typing import Any, Literal

import torch
from torch import Tensor

from affect_lightning.errors import AffectLightningError, ConfigurationError
from affect_lightning.model.processes import gather_objects, sum_over_processes

OnNonFinite = Literal["stop", "skip"]
MAX_SKIPPED_STEPS = 10  # our choice: one broken clip met in each of ten epochs, not a run that diverges
_log = logging.getLogger(__name__)


class NonFiniteError(AffectLightningError):
    """A loss or a gradient is NaN or infinite, and the run may not continue."""


class NonFiniteGuard:
    """Judges the step that is about to be taken.

    Attributes:
        skipped: Optimiser steps left out so far, over all runs that were resumed.
    """

    def __init__(self, on_nonfinite: str = "stop", max_skipped_steps: int = MAX_SKIPPED_STEPS) -> None:
        """Keep the options.

        Raises:
            ConfigurationError: An option is out of range.
        """
        if on_nonfinite not in ("stop", "skip") or max_skipped_steps < 0:
            raise ConfigurationError(
                f"on_nonfinite must be stop or skip, and max_skipped_steps must be 0 or more; got {on_nonfinite!r} and "
                f"{max_skipped_steps}."
            )
        self.on_nonfinite, self.max_skipped_steps = on_nonfinite, max_skipped_steps
        self.skipped = 0
        self._names: list[str] = []
        self._losses: list[Tensor] = []

    def note(self, names: list[str], loss: Tensor) -> None:
        """Remember a batch that goes into the coming optimiser step."""
        self._names += names
        self._losses.append(loss.detach())

    def is_fit(self, norm: Tensor, *, check_norm: bool, step: int, last_checkpoint: str) -> bool:
        """Whether the step may be taken. Collective; forgets the noted batches.

        Args:
            norm: Of the gradient, over all processes' shards.
            check_norm: False where infinite gradients are usual (fp16 with loss scaling skips them itself).
            step: Optimiser steps done.
            last_checkpoint: For the message; empty if there is none.

        Returns:
            False if the step is to be skipped; it is counted already.

        Raises:
            NonFiniteError: The policy is `stop`, or the limit of `skip` is passed.
        """
        names, losses = self._names, self._losses
        self._names, self._losses = [], []
        bad_loss = ~torch.stack([torch.isfinite(loss).all() for loss in losses or [norm.new_zeros(())]]).all()
        bad_norm = ~torch.isfinite(norm) if check_norm else torch.zeros_like(bad_loss)
        bad = sum_over_processes(torch.stack([bad_loss, bad_norm.to(bad_loss.device)]).float())
        if not bool(bad.any()):
            return True
        value = next((float(loss) for loss in losses if not bool(torch.isfinite(loss).all())), float(norm))
        found = gather_objects((bool(bad_loss), value, names))
        culprits = [entry for entry in found if entry[0]] or found
        what = "loss" if bool(bad[0]) else "gradient norm"
        clips = ", ".join(name for _, _, batch in culprits for name in batch)
        told = f"The {what} is {culprits[0][1]} at step {step}, clips {clips}."
        if self.on_nonfinite == "skip" and self.skipped < self.max_skipped_steps:
            self.skipped += 1
            _log.warning("%s The step is skipped (%d of at most %d).", told, self.skipped, self.max_skipped_steps)
            return False
        raise NonFiniteError(f"{told} {self._advice(last_checkpoint)}")

    def _advice(self, last_checkpoint: str) -> str:
        spent = f" {self.skipped} steps were skipped, which is the limit of max_skipped_steps." if self.skipped else ""
        kept = f"the last good checkpoint is {last_checkpoint}" if last_checkpoint else "no checkpoint exists yet"
        return (
            f"Training stops before a weight changes;{spent} {kept}. Check these clips, lower model.learning_rate, "
            "set trainer.gradient_clip_val, or skip such steps with model.on_nonfinite=skip."
        )


def last_checkpoint_of(trainer: Any) -> str:
    """Path of the newest checkpoint that this run wrote or went on from; empty if there is none."""
    for callback in trainer.checkpoint_callbacks:
        path = getattr(callback, "last_model_path", "") or getattr(callback, "best_model_path", "")
        if path:
            return str(path)
    return str(trainer.ckpt_path or "")
