"""From what other programs trained to an exported folder, which everything of this package reads.

The network is built without its frozen weights, so neither a language model of 7B nor a GPU is needed.
`affectgpt_layout.py` has the authors' files and names, `adapter_folders.py` reads those of peft.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from affect_lightning.checkpoints.adapter_folders import adapter_weights, check_adapter, is_adapter_folder
from affect_lightning.checkpoints.affectgpt_layout import check_formulas, our_weights, read_affectgpt, showing
from affect_lightning.errors import CheckpointError
from affect_lightning.model import AffectGPT, ModelConfiguration


@dataclass(frozen=True)
class ImportedWeights:
    """What was imported.

    Attributes:
        tensors: How many fill the network.
        configuration: Of the network: face or frame as the checkpoint was trained.
        epoch: Of the training; None where nothing tells.
    """

    tensors: int
    configuration: ModelConfiguration
    epoch: int | None


def import_weights(
    source: str | Path,
    folder: str | Path,
    configuration: ModelConfiguration,
    options: Mapping[str, Mapping[str, Any]] | None = None,
) -> ImportedWeights:
    """Write an exported folder of a checkpoint of AffectGPT's released code, or of an adapter folder of peft.

    Args:
        source: The checkpoint's file, or the adapter's folder.
        folder: To be made; must not exist or be empty.
        configuration: Of the network to fill. A checkpoint says whether it was trained on faces or whole frames; that
            counts.
        options: What else changes a response, for the folder to keep; see `ExportedFolder`.

    Raises:
        CheckpointError: The source cannot be read, does not fill the network exactly, or means something else in it; or
            the folder is not empty.
    """
    if is_adapter_folder(source):
        return _import_adapter(source, folder, configuration, options)
    stored = read_affectgpt(source)
    if stored.visual is not None:
        configuration = showing(configuration, stored.visual)
    check_formulas(configuration)
    network = _filled(
        configuration, lambda wanted: our_weights(stored.weights, wanted, configuration, str(source)), str(source)
    )
    network.save_pretrained(folder, options)
    return ImportedWeights(len(network.trainable_state()), configuration, stored.epoch)


def _import_adapter(
    source: str | Path,
    folder: str | Path,
    configuration: ModelConfiguration,
    options: Mapping[str, Mapping[str, Any]] | None,
) -> ImportedWeights:
    if configuration.encoded_streams:
        raise CheckpointError(
            f"Import the adapter in {source} into a network that sees text only (`--config text_only`, or --model.inputs "
            f"'[text]'): an adapter has no weights for {', '.join(configuration.encoded_streams)}."
        )
    check_adapter(source, configuration.language_model)
    network = _filled(configuration, lambda wanted: adapter_weights(source), str(source))
    network.save_pretrained(folder, options)
    return ImportedWeights(len(network.trainable_state()), configuration, None)


def _filled(
    configuration: ModelConfiguration, weights: Callable[[Mapping[str, Tensor]], Mapping[str, Tensor]], source: str
) -> AffectGPT:
    """A network whose frozen weights are not there and whose trained ones are these."""
    with torch.device("meta"):
        network = AffectGPT.from_configuration(configuration)
    network.load_trainable_state(weights(network.trainable_state()), source, assign=True)
    return network
