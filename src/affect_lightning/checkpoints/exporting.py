"""From trained weights to what others read: an exported folder, or a file in the layout of AffectGPT's released code.

`reading.py` reads the checkpoint, `affect_lightning.model.exported_folder` has the folder's format,
`affectgpt_layout.py` the authors' files and names.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from affect_lightning.checkpoints.adapter_folders import adapter_weights
from affect_lightning.checkpoints.affectgpt_layout import shown_visual, their_weights, write_affectgpt
from affect_lightning.checkpoints.compatibility import network_state, stored_options
from affect_lightning.checkpoints.reading import read_checkpoint
from affect_lightning.errors import CheckpointError
from affect_lightning.model import AffectGPT, ModelConfiguration
from affect_lightning.model.exported_folder import read_exported
from affect_lightning.model.options import ModuleOptions


def export_checkpoint(checkpoint: str | Path, folder: str | Path) -> Path:
    """Write a checkpoint's trained weights as a folder that `AffectGPT.from_pretrained` reads.

    Args:
        checkpoint: A `.ckpt` file of this package.
        folder: To be made; must not exist or be empty.

    Returns:
        The folder.

    Raises:
        CheckpointError: The checkpoint cannot be used, or the folder is not empty.
    """
    stored = read_checkpoint(checkpoint)
    network = AffectGPT.from_configuration(_configuration(stored, checkpoint))
    network.load_trainable_state(network_state(stored["state_dict"]), "the checkpoint")
    network.save_pretrained(folder, stored_options(stored))
    return Path(folder)


def export_affectgpt(source: str | Path, file: str | Path) -> Path:
    """Write trained weights in the layout of AffectGPT's released code, which loads them for inference.

    Args:
        source: A `.ckpt` file of this package, or an exported folder.
        file: To be made; must not exist.

    Returns:
        The file.

    Raises:
        CheckpointError: The source cannot be read, the file cannot be written, or the network computes what their code
            does not.
    """
    configuration, state = _trained(source)
    write_affectgpt(file, their_weights(state, configuration, str(source)), shown_visual(configuration))
    return Path(file)


def _trained(source: str | Path) -> tuple[ModelConfiguration, dict[str, Tensor]]:
    """The configuration of a checkpoint or an exported folder, and what trained by the network's names."""
    if Path(source).is_dir():
        folder = read_exported(source)
        adapter = {} if folder.adapter is None else adapter_weights(folder.adapter)
        return folder.configuration, {**adapter, **folder.weights}
    stored = read_checkpoint(source)
    return _configuration(stored, source), network_state(stored["state_dict"])


def _configuration(stored: Mapping[str, Any], source: str | Path) -> ModelConfiguration:
    values = {name: value for name, value in stored["hyper_parameters"].items() if not name.startswith("_")}
    try:
        return ModelConfiguration.of(ModuleOptions(**values))
    except TypeError as error:
        raise CheckpointError(f"The hyperparameters in {source} are not those of this version: {error}.") from error
