"""Reading a checkpoint of this package as plain data; nothing in it is executed (ours).

A checkpoint is one file whatever the number of processes. Neighbours: `exporting.py`, and `training`, which writes them.
"""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import torch

from affect_lightning.errors import CheckpointError


def read_checkpoint(path: str | Path) -> dict[str, Any]:
    """Read a Lightning checkpoint of this package as plain data.

    Raises:
        CheckpointError: No such file, not a checkpoint, pickled objects inside, or another program's.
    """
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise CheckpointError(f"There is no checkpoint {path}.") from error
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        raise CheckpointError(
            f"{path} is not a checkpoint of this package, or it is damaged: {reason} Only tensors and plain values are "
            f"read from a checkpoint, never pickled objects."
        ) from error
    if not isinstance(checkpoint, dict) or not {"state_dict", "hyper_parameters"} <= checkpoint.keys():
        raise CheckpointError(
            f"{path} is not a checkpoint of this package: expected the entries state_dict and hyper_parameters."
        )
    return checkpoint
