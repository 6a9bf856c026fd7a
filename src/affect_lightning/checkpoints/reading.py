"""Reading what a training stored: checkpoints as plain data, and the weights of a checkpoint or an exported folder (ours).

Nothing in a file is executed. A checkpoint is one file for any number of processes. `fit --init_from` starts from the
weights that are read here, and `test` reads a folder; optimiser, schedule and counters are not taken over.
`training` writes the checkpoints, `affect_lightning.model.exported_folder` has the folder's format, and
`AffectGPTModule.start_from` takes the weights.
"""

from __future__ import annotations

import contextlib
import pickle
import re
import warnings
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from affect_lightning.checkpoints.compatibility import network_state
from affect_lightning.errors import CheckpointError
from affect_lightning.file_kinds import damaged_weights
from affect_lightning.model.affectgpt import AffectGPT
from affect_lightning.model.exported_folder import read_exported
from affect_lightning.pickle_bounds import ExpandingTupleError, check_tuples

# What torch raises on files that are damaged, cut, or something else.
_DAMAGES = (
    zipfile.BadZipFile, pickle.UnpicklingError, RuntimeError, EOFError, OSError, ValueError, KeyError, IndexError, TypeError,
    AttributeError,
)  # fmt: skip
_OLD_FORM = 4  # pickles in a file of torch's older form: a magic number, a version, the machine, and the content


def read_checkpoint(path: str | Path, *, mapped: bool = False) -> dict[str, Any]:
    """Read a Lightning checkpoint of this package as plain data.

    Args:
        path: Of the file.
        mapped: See `read_plain`.

    Raises:
        CheckpointError: No such file, not a checkpoint, pickled objects inside, or another program's.
    """
    checkpoint = read_plain(path, "a checkpoint of this package", mapped=mapped)
    entries = ("state_dict", "hyper_parameters")
    if not isinstance(checkpoint, dict) or not all(isinstance(checkpoint.get(name), Mapping) for name in entries):
        remedy = (
            f" If the authors' code wrote it, run `affect-lightning import {path} FOLDER` and take the folder."
            if isinstance(checkpoint, dict) and "model" in checkpoint
            else ""
        )
        raise CheckpointError(
            f"{path} is not a checkpoint of this package: expected the entries state_dict and hyper_parameters, each a "
            f"mapping.{remedy}"
        )
    strange = [name for name, value in checkpoint["state_dict"].items() if not isinstance(value, Tensor)]
    if strange:
        raise CheckpointError(f"{path} has weights that are no tensors, such as {strange[0]!r:.60}. Copy it again.")
    return checkpoint


def read_plain(path: str | Path, kind: str, *, mapped: bool = False) -> Any:
    """Read tensors and plain values of a file.

    Args:
        path: Of the file.
        kind: What it is to be, for the message.
        mapped: Map the file into memory, so that only those tensors are read that are used.

    Raises:
        CheckpointError: No such file, another kind of file, damaged, or pickled objects inside.
    """
    try:
        _check_tuples(path)
        # A file of the older form, which is no zip, cannot be mapped.
        maps = mapped and zipfile.is_zipfile(path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch warns of forms (sparse, bare pickles) that are refused right after
            return torch.load(str(path), map_location="cpu", weights_only=True, mmap=maps or None)
    except FileNotFoundError as error:
        raise CheckpointError(f"There is no checkpoint {path}.") from error
    except _DAMAGES as error:
        if Path(path).is_dir():
            raise CheckpointError(f"Give the file: {path} is a folder, not {kind}.") from error
        if isinstance(error, pickle.UnpicklingError) and (found := re.search(r"GLOBAL (\S+)", str(error))):
            raise CheckpointError(
                f"{path} is not {kind}: it holds the pickled object {found[1]}. Only tensors and plain values are read from "
                f"a checkpoint, never pickled objects."
            ) from error
        raise CheckpointError(f"{damaged_weights(Path(path))} Expected {kind}.") from error


def _check_tuples(path: str | Path) -> None:
    """Refuse a file whose pickle would be hashed without end. What is no file of torch is left to torch.

    Raises:
        CheckpointError: It has such a tuple.
    """
    with contextlib.suppress(zipfile.BadZipFile, OSError, ValueError, IndexError, KeyError, RuntimeError):
        try:
            if zipfile.is_zipfile(path):
                with zipfile.ZipFile(path) as archive:
                    for name in archive.namelist():
                        if name.endswith("data.pkl"):
                            check_tuples(archive.read(name))
            else:
                with Path(path).open("rb") as file:
                    for _ in range(_OLD_FORM):
                        check_tuples(file)
        except ExpandingTupleError as error:
            raise CheckpointError(f"Take another checkpoint: {path} holds {error}.") from error


@dataclass(frozen=True)
class StartingWeights:
    """Weights with what they were trained as.

    Attributes:
        source: Their path.
        configuration: Options of the model, as `ModelConfiguration` has them; a checkpoint brings more.
        fill: Puts them into a network; a `CheckpointError` if they are not exactly those of it.
    """

    source: str
    configuration: Mapping[str, Any]
    fill: Callable[[AffectGPT], None]


def read_starting_weights(path: str | Path) -> StartingWeights:
    """Read a checkpoint of this package or a folder that `export` or `import` wrote.

    Raises:
        CheckpointError: There is neither, or it is foreign or damaged.
    """
    source = str(path)
    if Path(path).is_dir():
        stored = read_exported(path)
        return StartingWeights(source, stored.configuration.as_dict(), lambda network: network.load_exported(stored))
    checkpoint = read_checkpoint(path)
    state = network_state(checkpoint["state_dict"])
    return StartingWeights(
        source, checkpoint["hyper_parameters"], lambda network: network.load_trainable_state(state, source)
    )
