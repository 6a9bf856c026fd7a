"""Checkpoints: what stands in a file of a training, read, and turned into what others read (ours).

`plain_reading.py` reads a checkpoint as plain data and never executes anything in it; `exporting.py` makes an exported folder
of it; `starting_weights.py` takes the weights out of either, to begin with. The room is on top of `model`, which knows nothing
of it: a network brings its weights and takes them, and `AffectGPT.from_pretrained` reads the exported folder, whose format is
`model/exported_folder.py`. Neighbour: `training` writes the checkpoints.
"""

from affect_lightning.checkpoints.exporting import export_checkpoint
from affect_lightning.checkpoints.plain_reading import read_checkpoint
from affect_lightning.checkpoints.starting_weights import StartingWeights, read_starting_weights

__all__ = ["StartingWeights", "export_checkpoint", "read_checkpoint", "read_starting_weights"]
