"""What `--ckpt_path last`, `--init_from`, exported folders and `trainer.strategy: fsdp` mean, before a Trainer exists.

`trainer_commands.py` calls this with the parsed configuration. docs/training.md tells the user of it.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from jsonargparse import Namespace

from affect_lightning.checkpoints import StartingWeights, read_starting_weights
from affect_lightning.errors import ConfigurationError
from affect_lightning.training import FullyShardedStrategy
from affect_lightning.training.checkpoint_files import FOLDER, checkpoint_folders, last_checkpoint
from affect_lightning.training.resume_checkpoint import slurm_job


def choose_strategy(section: Namespace) -> None:
    """Put our FSDP in the place of the name `fsdp`, by which Lightning means one that refuses adapters' clipping."""
    if section.trainer.strategy == "fsdp":
        name = f"{FullyShardedStrategy.__module__}.{FullyShardedStrategy.__qualname__}"
        section.trainer.strategy = Namespace(class_path=name)


def find_last_checkpoint(section: Namespace, command: str) -> bool:
    """Put a path in the place of `--ckpt_path last`; a SLURM job that runs again continues without being told to.

    Returns:
        Whether the command was to go on where the last one stopped.

    Raises:
        ConfigurationError: There is nothing to test; a training without a checkpoint starts at its beginning.
    """
    wanted = section.get("ckpt_path")
    job = slurm_job() if command == "fit" and section.resume.auto_requeue else None
    runs_again = job is not None and int(os.environ.get("SLURM_RESTART_COUNT", "0")) > 0
    if wanted != "last" and not (wanted is None and runs_again):
        return False
    found = last_checkpoint(_folders(section), job if wanted is None else None)
    section.ckpt_path = None if found is None else str(found)
    if found is None and command != "fit":
        raise ConfigurationError(
            "Train with `fit` first, or name a checkpoint: `--ckpt_path last` finds none, because nothing was trained there "
            "yet."
        )
    where = f"continues from {found}" if found else "starts from the beginning, because there is no checkpoint yet"
    print(f"affect-lightning: {command} {where}.", file=sys.stderr, flush=True)
    return True


def take_starting_weights(section: Namespace, command: str) -> StartingWeights | None:
    """Read the weights that the command begins with; None if it begins with its own or with a checkpoint of a Trainer.

    Args:
        section: The command's configuration; an exported folder is taken out of its `ckpt_path`, which Lightning would
            read as a checkpoint.
        command: Its name.

    Raises:
        CheckpointError: They cannot be read.
        ConfigurationError: A training cannot go on from an exported folder.
    """
    checkpoint = section.get("ckpt_path")
    is_folder = bool(checkpoint) and Path(checkpoint).is_dir()
    if command != "fit":
        if not is_folder:
            return None
        section.ckpt_path = None
        return read_starting_weights(checkpoint)
    if is_folder:
        raise ConfigurationError(
            f"Start a new training with --init_from {checkpoint}: it is a folder of weights, without the optimiser's state "
            f"that --ckpt_path needs to go on."
        )
    source = section.get("init_from")
    if source is None:
        return None
    if checkpoint:
        said = f"goes on from {checkpoint}; init_from {source} counts for the first start only"
    else:
        said = f"starts from the weights of {source}, with a new optimiser and schedule"
    print(f"affect-lightning: fit {said}.", file=sys.stderr, flush=True)
    return None if checkpoint else read_starting_weights(source)


def _folders(section: Namespace) -> list[Path]:
    """Where the run that the configuration names may have checkpoints."""
    if section.resume.dirpath is not None:
        return [Path(section.resume.dirpath)]
    values = getattr(section.trainer.logger, "init_args", None)
    if values is None or not values.get("save_dir"):
        return [Path(section.trainer.default_root_dir or ".") / FOLDER]
    return checkpoint_folders(Path(values.save_dir) / str(values.get("name") or ""), values.get("version"))
