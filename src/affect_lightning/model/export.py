"""Exported folders: what others need of a trained AffectGPT, readable without this package's checkpoints.

    DIR/config.json              configuration (plugins by name, plain options) and the format's version
    DIR/projectors.safetensors   pre-fusion, branches, projectors, feature scaling
    DIR/adapter/                 the language model's adapter as a peft folder; absent at rank 0

No file is read with code execution: JSON, safetensors, and checkpoints with `weights_only=True`. Neighbours:
`affectgpt.py` has `from_pretrained`, `module.py` writes the checkpoints.
"""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from affect_lightning.errors import CheckpointError
from affect_lightning.model.configuration import ModelConfiguration
from affect_lightning.model.sharded_checkpoints import read_sharded
from affect_lightning.model.stored_weights import check_state
from affect_lightning.storage import whole_path

if TYPE_CHECKING:
    from affect_lightning.model.affectgpt import AffectGPT

FORMAT = "affect-lightning"
FORMAT_VERSION = 1
_LANGUAGE_MODEL = "language_model."


def read_checkpoint(path: str | Path) -> dict[str, Any]:
    """Read a Lightning checkpoint of this package as plain data; one of shards is put together.

    Raises:
        CheckpointError: No such file, not a checkpoint, pickled objects inside, or another program's.
    """
    try:
        checkpoint = _stored(Path(path))
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


def _stored(path: Path) -> Any:
    if path.is_dir():
        return read_sharded(path)
    return torch.load(path, map_location="cpu", weights_only=True)


def export_checkpoint(checkpoint: str | Path, folder: str | Path) -> Path:
    """Write a checkpoint's trained weights as a folder that `AffectGPT.from_pretrained` reads.

    Args:
        checkpoint: A `.ckpt` file of this package, or a folder of shards.
        folder: To be made; must not exist or be empty.

    Returns:
        The folder.

    Raises:
        CheckpointError: The checkpoint cannot be used, or the folder is not empty.
    """
    from affect_lightning.model.module import AffectGPTModule

    stored = read_checkpoint(checkpoint)
    module = AffectGPTModule.from_checkpoint_values(stored, str(checkpoint))
    module.built_network.save_pretrained(folder)
    return Path(folder)


def save_exported(network: AffectGPT, folder: str | Path) -> None:
    """Write a network's trained weights and configuration; the folder appears complete or not at all.

    Raises:
        CheckpointError: The folder exists and is not empty, or cannot be written.
    """
    from safetensors.torch import save_file

    target = Path(folder)
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise CheckpointError(f"{target} exists and is not an empty folder. Choose another folder to export to.")
    state = network.trainable_state()
    own = {name: value.cpu().contiguous() for name, value in state.items() if not name.startswith(_LANGUAGE_MODEL)}
    description = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "configuration": network.configuration.as_dict(),
        "has_adapter": len(own) < len(state),
    }
    try:
        with whole_path(target) as temporary:
            temporary.mkdir()
            save_file(own, str(temporary / "projectors.safetensors"), metadata={"format": "pt"})
            if description["has_adapter"]:
                network.language_model.save_adapter(str(temporary / "adapter"))
            (temporary / "config.json").write_text(json.dumps(description, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise CheckpointError(f"{target} cannot be written: {error}. Make room, or choose another folder.") from error


def load_exported(folder: str | Path) -> AffectGPT:
    """Build the network of an exported folder and fill it; eval mode.

    Raises:
        CheckpointError: A file is missing, foreign or damaged, or the weights do not fit.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    from affect_lightning.model.affectgpt import AffectGPT

    root = Path(folder)
    description = _read_description(root)
    weights = root / "projectors.safetensors"
    try:
        own = load_file(str(weights))
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{weights} is missing or damaged: {error}. Export the checkpoint again.") from error
    network = AffectGPT.from_configuration(ModelConfiguration.from_dict(description["configuration"]))
    wanted = {name: value for name, value in network.trainable_state().items() if not name.startswith(_LANGUAGE_MODEL)}
    check_state(own, wanted, str(weights))
    network.load_state_dict(own, strict=False)
    if description["has_adapter"]:
        network.language_model.load_adapter(str(root / "adapter"))
    return network.eval()


def _read_description(root: Path) -> dict[str, Any]:
    path = root / "config.json"
    try:
        description = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(
            f"{root} is not an exported folder: {path.name} is missing or damaged ({error}). "
            f"`affect-lightning export CHECKPOINT DIR` makes one."
        ) from error
    found = description.get("format"), description.get("format_version")
    if found != (FORMAT, FORMAT_VERSION) or not {"configuration", "has_adapter"} <= description.keys():
        raise CheckpointError(
            f"{path} has the format {found[0]!r} version {found[1]!r}; expected {FORMAT!r} version {FORMAT_VERSION}. "
            f"Export the checkpoint again with this version of the package."
        )
    return description
