"""A module for tests of data order: it learns nothing and remembers which clips it was shown."""

from __future__ import annotations

import torch
from lightning.pytorch import LightningModule
from torch import Tensor, nn

from affect_lightning.contracts import ClipBatch


class NameRecorder(LightningModule):
    """Learns nothing; remembers which clips it saw."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(1, 1)
        self.seen: list[tuple[str, ...]] = []

    def training_step(self, batch: ClipBatch, batch_index: int) -> Tensor:
        self.seen.append((*batch.names, *batch.responses))
        return self.layer(torch.ones(1, 1)).sum()

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)
