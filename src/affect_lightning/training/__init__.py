"""What a long run needs around the steps: checkpoints that are never half-written, signals, strategies (ours).

The network and its steps are in `affect_lightning.model`; here are Lightning's callbacks and strategies:
`resume_checkpoint.py` (ResumeCheckpoint), `spike_log.py` (LossSpikeLog), `strategies.py` (FullyShardedStrategy),
`run_folders.py` (where `--ckpt_path last` is). docs/training.md tells how each failure ends.
"""

from __future__ import annotations

from affect_lightning.training.checkpoint_files import CheckpointWriteError, WholeFileCheckpoints
from affect_lightning.training.resume_checkpoint import ResumeCheckpoint
from affect_lightning.training.signals import StoppedBySignal
from affect_lightning.training.spike_log import LossSpikeLog
from affect_lightning.training.strategies import FullyShardedStrategy

__all__ = [
    "CheckpointWriteError",
    "FullyShardedStrategy",
    "LossSpikeLog",
    "ResumeCheckpoint",
    "StoppedBySignal",
    "WholeFileCheckpoints",
]
