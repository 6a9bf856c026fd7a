"""From a checkpoint to an exported folder, which `AffectGPT.from_pretrained` reads (ours).

Neighbours: `plain_reading.py` reads the checkpoint, `affect_lightning.model.exported_folder` has the folder's format.
"""

from __future__ import annotations

from pathlib import Path

from affect_lightning.checkpoints.compatibility import network_state
from affect_lightning.checkpoints.plain_reading import read_checkpoint
from affect_lightning.errors import CheckpointError
from affect_lightning.model import AffectGPT, ModelConfiguration

_OPTIONS = tuple(ModelConfiguration.__dataclass_fields__)


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
    options = {name: stored["hyper_parameters"][name] for name in _OPTIONS if name in stored["hyper_parameters"]}
    try:
        configuration = ModelConfiguration.resolve(**options)
    except TypeError as error:
        raise CheckpointError(f"The hyperparameters in {checkpoint} are not those of this version: {error}.") from error
    network = AffectGPT.from_configuration(configuration)
    network.load_trainable_state(network_state(stored["state_dict"]), "the checkpoint")
    network.save_pretrained(folder)
    return Path(folder)
