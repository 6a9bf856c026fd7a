"""ClipDataModule: the splits of `clip_splits.py` as a LightningDataModule, for a Trainer and for LightningCLI.

Paper: Section 2, Section 5. The options, the clips and the loaders are those of ClipSplits; nothing is added. Who needs clips
and no Trainer, such as `doctor` and `AffectGPT.describe`, uses ClipSplits.
"""

from __future__ import annotations

from lightning.pytorch import LightningDataModule

from affect_lightning.data.clip_splits import ClipSplits


class ClipDataModule(ClipSplits, LightningDataModule):  # noqa: D101 (below)
    __doc__ = ClipSplits.__doc__  # with the options: older jsonargparse reads them here alone
