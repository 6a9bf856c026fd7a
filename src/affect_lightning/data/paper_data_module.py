"""MERCaptionPlusDataModule: the training data of the paper (Section 5), a ClipDataModule that needs one path."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from affect_lightning.data.clip_data_module import ClipDataModule
from affect_lightning.data.clip_sources import ClipSources


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
        self, train_root: Path | str, *, train_sets: Sequence[str] = ClipSources.train_sets, **options: Any
    ) -> None:
        super().__init__(train_root=train_root, train_sets=train_sets, **options)
