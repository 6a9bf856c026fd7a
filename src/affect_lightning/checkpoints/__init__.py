"""Checkpoints: what a training stored, read, and turned into what others read; and what others trained, the other way (ours).

`plain_reading.py` reads files as plain data and never executes anything in them; `exporting.py` makes an exported folder or a
file in the authors' layout, `importing.py` an exported folder of theirs; `starting_weights.py` takes the weights of a
checkpoint or a folder, to begin with. The room is on top of `model`, which knows nothing of it: a network brings its weights
and takes them, and `AffectGPT.from_pretrained` reads the exported folder, whose format is `model/exported_folder.py`.
Neighbour: `training` writes the checkpoints.
"""

from affect_lightning.checkpoints.exporting import export_affectgpt, export_checkpoint
from affect_lightning.checkpoints.importing import ImportedWeights, import_weights
from affect_lightning.checkpoints.plain_reading import read_checkpoint
from affect_lightning.checkpoints.starting_weights import StartingWeights, read_starting_weights

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
