"""Checkpoints: what is in a file of a training, read, and turned into what others read (ours).

`plain_reading.py` reads a checkpoint as plain data and never executes anything in it; `exporting.py` makes an exported folder of
it. The room is on top of `model`, which knows nothing of it: a network brings its weights and takes them, and
`AffectGPT.from_pretrained` reads the exported folder, whose format is `model/exported_folder.py`. Checkpoints of other
programs are to be imported here, into the same folder. Neighbour: `training` writes the checkpoints.
"""

from affect_lightning.checkpoints.exporting import export_checkpoint
from affect_lightning.checkpoints.plain_reading import read_checkpoint

__all__ = ["export_checkpoint", "read_checkpoint"]
