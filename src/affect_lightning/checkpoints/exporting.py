"""From a checkpoint to an exported folder, which `AffectGPT.from_pretrained` reads (ours).

Neighbours: `plain_reading.py` reads the checkpoint, `affect_lightning.model.exported_folder` has the folder's format.
"""

from __future__ import annotations

from pathlib import Path

from affect_lightning.checkpoints.plain_reading import read_checkpoint


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
    from affect_lightning.model.module import AffectGPTModule  # Lightning: only where it is needed

    module = AffectGPTModule.from_checkpoint_values(read_checkpoint(checkpoint), str(checkpoint))
    module.built_network.save_pretrained(folder)
    return Path(folder)
