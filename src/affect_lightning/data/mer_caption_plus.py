"""MERCaptionPlusDataModule: the paper's training data under its own name (Section 2 and Section 5).

`ClipDataModule` in `module.py` does everything; this fixes what the paper trains on, and takes the folder first.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from affect_lightning.data.module import ClipDataModule


class MERCaptionPlusDataModule(ClipDataModule):
    """MER-Caption+ as released, alone or mixed with OV-MERD and MER2026's human-labelled clips.

    Example:
        `MERCaptionPlusDataModule("data", train_sets=("mer-caption-plus", "ovmerd"), set_weights={"ovmerd": 3})`

    Args:
        train_root: Folder that contains `mer-caption-plus/` (and `ovmerd/`, ...), or that folder itself.
        train_sets: Sets of the mix (paper, Section 5: MER-Caption+ alone).
        options: Of `ClipDataModule`. Its defaults are the paper's where the paper has a value: 8 frames of 224 pixels,
            16 kHz, batches of 3, both questions drawn at random.

    Raises:
        ConfigurationError: An option is out of range.
    """

    def __init__(
        self, train_root: Path | str, *, train_sets: Sequence[str] = ("mer-caption-plus",), **options: Any
    ) -> None:
        super().__init__(train_root=train_root, train_sets=train_sets, **options)
