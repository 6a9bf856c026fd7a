"""RewardWatch: the sampled responses themselves in TensorBoard, the held-out F_S, and a warning of reward hacking (ours).

A Lightning callback next to `affectgpt_module.py`, which logs the objective's measures. Only objectives that reward sampled
responses have anything to watch. Reward hacking: the responses change so that the reward rises and the metric does not. Long
lists of labels are its usual form (docs/reinforcement.md), so labels a response are compared with the F_S of the clips that
validation holds out, both since the first validation of the run.
"""

from __future__ import annotations

import logging
import math
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import TensorBoardLogger

from affect_lightning.contracts import Objective, SampledResponse
from affect_lightning.errors import ConfigurationError
from affect_lightning.metrics import set_f_score, taxonomy_by_name
from affect_lightning.model.processes import gather_objects

_log = logging.getLogger(__name__)


class RewardWatch(Callback):
    """Shows sampled responses with their rewards, and warns of reward hacking.

    `val/f_s` is F_S of the held-out clips, from the averages of precision and recall over all of them, in [0, 1];
    `val/labels_a_response` belongs to the same responses, which are greedy.
    """

    def __init__(self, every: int = 50, *, shown: int = 8, growth: float = 0.2, taxonomy: str | None = None) -> None:
        """Keep the options.

        Args:
            every: Steps between two texts in TensorBoard (50, our choice); 0 writes none.
            shown: Responses in each text (8, our choice).
            growth: Labels a response may grow by this share before the held-out F_S must have risen too (0.2, our choice).
            taxonomy: Of the held-out F_S, by name or folder; None for the default.

        Raises:
            ConfigurationError: An option is out of range.
        """
        if every < 0 or shown < 1 or growth <= 0:
            raise ConfigurationError(
                f"reward_watch.every must be 0 or more, reward_watch.shown 1 or more and reward_watch.growth above 0; got "
                f"{every}, {shown} and {growth}."
            )
        self.every, self.shown, self.growth, self.taxonomy = every, shown, growth, taxonomy
        self.first: tuple[float, float] | None = None  # labels a response and F_S of the first validation
        self.warned = False
        self._held_out: list[tuple[tuple[str, ...], tuple[str, ...]]] = []  # labels found and true

    def state_dict(self) -> dict[str, Any]:
        """What the first validation found, so that a resumed run compares with the same."""
        return {"first": self.first, "warned": self.warned}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on with the checkpoint's."""
        first = state_dict["first"]
        self.first, self.warned = None if first is None else (first[0], first[1]), state_dict["warned"]

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Write some responses of the step into TensorBoard."""
        samples = _samples_of(pl_module)
        if not samples or not self.every or trainer.global_step % self.every:
            return
        for logger in trainer.loggers:
            if isinstance(logger, TensorBoardLogger):
                logger.experiment.add_text("train/sampled", as_table(samples[: self.shown]), trainer.global_step)

    def on_validation_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin with no clip."""
        self._held_out = []

    def on_validation_batch_end(self, trainer: Trainer, pl_module: LightningModule, *rest: Any, **named: Any) -> None:
        """Keep the labels of the batch."""
        self._held_out += [(one.labels, one.record.labels) for one in _samples_of(pl_module)]

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Log the held-out F_S, and compare it and the labels with those of the first validation."""
        if not _rewards_samples(pl_module):
            return
        pairs = [pair for own in gather_objects(self._held_out) for pair in own]
        if not pairs or trainer.sanity_checking:
            return
        found, true = [list(pair[0]) for pair in pairs], [list(pair[1]) for pair in pairs]
        score = set_f_score(found, true, taxonomy_by_name(self.taxonomy)).f
        labels = sum(map(len, found)) / len(found)
        for name, value in (("val/f_s", score), ("val/labels_a_response", labels)):
            pl_module.log(name, torch.tensor(value), prog_bar=name == "val/f_s", batch_size=1, rank_zero_only=True)
        self._compare(labels, score)

    def _compare(self, labels: float, score: float) -> None:
        if math.isnan(score):
            return
        if self.first is None:
            self.first = labels, score
            return
        grown = labels > (1.0 + self.growth) * self.first[0]
        if grown and score <= self.first[1] and not self.warned:
            self.warned = True
            _log.warning(
                "Reward hacking: held-out responses have %.2f labels, %.2f at the first validation, but their F_S is %.4f, "
                "not above %.4f. Add the reward `length`, raise kl_weight, or stop (docs/reinforcement.md).",
                labels,
                self.first[0],
                score,
                self.first[1],
            )


def as_table(samples: list[SampledResponse]) -> str:
    """Responses with their rewards as a Markdown table."""
    if not samples:
        return ""
    names = list(samples[0].rewards)
    head = ["clip", "truth", "response", "reward", *names]
    rows = [
        [
            one.record.name,
            ", ".join(one.record.labels),
            one.response,
            f"{one.reward:.3f}",
            *(f"{one.rewards[name]:.3f}" for name in names),
        ]
        for one in samples
    ]
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(map(_cell, line))} |" for line in lines)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")


def _objective_of(module: LightningModule) -> Objective | None:
    found = getattr(module, "objective", None)
    return found if isinstance(found, Objective) else None


def _samples_of(module: LightningModule) -> list[SampledResponse]:
    objective = _objective_of(module)
    return [] if objective is None else list(objective.samples())


def _rewards_samples(module: LightningModule) -> bool:
    objective = _objective_of(module)
    return objective is not None and objective.rewards_samples
