"""What `--ckpt_path last` and `trainer.strategy: fsdp` mean, before a Trainer exists.

`trainer_commands.py` calls both with the parsed configuration. docs/training.md tells the user of them.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from jsonargparse import Namespace

from affect_lightning.errors import ConfigurationError
from affect_lightning.training import FullyShardedStrategy
from affect_lightning.training.checkpoint_files import FOLDER, checkpoint_folders, last_checkpoint
from affect_lightning.training.resume_checkpoint import slurm_job


def choose_strategy(section: Namespace) -> None:
    """Put our FSDP in the place of the name `fsdp`, by which Lightning means one that refuses adapters' clipping."""
    if section.trainer.strategy == "fsdp":
        name = f"{FullyShardedStrategy.__module__}.{FullyShardedStrategy.__qualname__}"
        section.trainer.strategy = Namespace(class_path=name)


def find_last_checkpoint(section: Namespace, command: str) -> None:
    """Put a path in the place of `--ckpt_path last`; a SLURM job that runs again goes on without being told to.

    Raises:
        ConfigurationError: There is nothing to test; a training without a checkpoint starts at its beginning.
    """
    wanted = section.get("ckpt_path")
    job = slurm_job() if command == "fit" and section.resume.auto_requeue else None
    runs_again = job is not None and int(os.environ.get("SLURM_RESTART_COUNT", "0")) > 0
    if wanted != "last" and not (wanted is None and runs_again):
        return
    found = last_checkpoint(_folders(section), job if wanted is None else None)
    section.ckpt_path = None if found is None else str(found)
    if found is None and command != "fit":
        raise ConfigurationError(
            "There is no checkpoint to take as `--ckpt_path last`: nothing was trained there yet. Train with `fit`, or "
            "name a checkpoint."
        )
    where = f"goes on from {found}" if found else "starts at the beginning: there is no checkpoint yet"
    print(f"affect-lightning: {command} {where}.", file=sys.stderr, flush=True)


def _folders(section: Namespace) -> list[Path]:
    """Where the run that the configuration names may have checkpoints."""
    if section.resume.dirpath is not None:
        return [Path(section.resume.dirpath)]
    values = getattr(section.trainer.logger, "init_args", None)
    if values is None or not values.get("save_dir"):
        return [Path(section.trainer.default_root_dir or ".") / FOLDER]
    return checkpoint_folders(Path(values.save_dir) / str(values.get("name") or ""), values.get("version"))
