"""Checkpoints: what a training stored is read and exported for others; what others trained is imported (ours).

`reading.py` reads files as plain data and never executes anything in them. `exporting.py` makes an exported folder or a
file in the authors' layout, `importing.py` an exported folder from theirs. This folder is on top of `model`, which
knows nothing of it: a network gives its weights and takes them, and `AffectGPT.from_pretrained` reads the exported
folder, whose format is `model/exported_folder.py`. `training` writes the checkpoints.
"""

from affect_lightning.checkpoints.exporting import export_affectgpt, export_checkpoint
from affect_lightning.checkpoints.importing import ImportedWeights, import_weights
from affect_lightning.checkpoints.reading import StartingWeights, read_checkpoint, read_starting_weights

__all__ = [
    "ImportedWeights",
    "StartingWeights",
    "export_affectgpt",
    "export_checkpoint",
    "import_weights",
    "read_checkpoint",
    "read_starting_weights",
]


def __dir__() -> list[str]:
    return sorted(__all__)
