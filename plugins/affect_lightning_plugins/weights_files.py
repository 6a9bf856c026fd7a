"""Files of weights that users give: tensors by name, read without running anything in them (ours).

Plugins of several groups read such files; each compares the names with those of its own network.
"""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from affect_lightning.errors import ConfigurationError


def read_weights(path: Path) -> dict[str, Tensor]:
    """Read a file of tensors without executing anything in it.

    Args:
        path: `.safetensors`, or a file of `torch.save` that holds tensors, by name or under `state_dict` or `model`.

    Returns:
        Tensors by name, on the CPU.

    Raises:
        ConfigurationError: The file is missing, unreadable, or holds something else than named tensors.
    """
    if not path.is_file():
        raise ConfigurationError(f"The weights file {path} does not exist. Give the path of an existing file.")
    try:
        if path.suffix == ".safetensors":
            from safetensors import SafetensorError
            from safetensors.torch import load_file

            try:
                return load_file(path)
            except SafetensorError as error:
                raise ConfigurationError(f"The weights file {path} is not a safetensors file: {error}.") from error
        found = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        raise ConfigurationError(
            f"The weights file {path} cannot be read as plain tensors: {' '.join(str(error).split())[:300]}. Give a "
            f".safetensors file, or a file of torch.save that holds a state_dict only."
        ) from error
    if isinstance(found, Mapping):
        found = next((found[key] for key in ("state_dict", "model") if isinstance(found.get(key), Mapping)), found)
    if not isinstance(found, Mapping) or not found or not all(isinstance(value, Tensor) for value in found.values()):
        raise ConfigurationError(
            f"The weights file {path} holds {type(found).__name__} where tensors by name are expected. Save "
            f"`model.state_dict()` into it."
        )
    return dict(found)
