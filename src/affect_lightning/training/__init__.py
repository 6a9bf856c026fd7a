"""Training with Lightning: AffectGPTModule with its steps, and what a long run needs around them (ours, but for the recipe).

The network is in `affect_lightning.model` and knows no Lightning. `affectgpt_module.py` is the LightningModule, with
`optimisation.py` (learning rate, random state of a step) and `device_execution.py` (recomputation, compilation, FSDP).
`sampled_training.py` has what objectives with sampled responses need. Callbacks: `resume_checkpoint.py` (ResumeCheckpoint,
signals), `loss_anomalies.py` (LossSpikeLog), `monitoring.py` (TrainingMonitor), `reward_watch.py` (RewardWatch).
`signals.py` has the handlers, and `checkpoint_files.py` writes whole files and finds the checkpoint of
`--ckpt_path last`. docs/training.md says how each failure ends.
"""

from __future__ import annotations

from affect_lightning.training.affectgpt_module import AffectGPTModule
from affect_lightning.training.checkpoint_files import CheckpointWriteError, WholeFileCheckpoints
from affect_lightning.training.device_execution import FullyShardedStrategy
from affect_lightning.training.loss_anomalies import LossSpikeLog
from affect_lightning.training.monitoring import TrainingMonitor
from affect_lightning.training.resume_checkpoint import ResumeCheckpoint
from affect_lightning.training.reward_watch import RewardWatch
from affect_lightning.training.signals import StoppedBySignal

__all__ = [
    "AffectGPTModule",
    "CheckpointWriteError",
    "FullyShardedStrategy",
    "LossSpikeLog",
    "ResumeCheckpoint",
    "RewardWatch",
    "StoppedBySignal",
    "TrainingMonitor",
    "WholeFileCheckpoints",
]


def __dir__() -> list[str]:
    return sorted(__all__)
