"""Data: clips in, batches out (paper, Section 2 and Appendix B).

The way of a clip: `corpora` reads the sets and `clip_sources.py` lists it, `decoding.py` opens it, `speaker.py` chooses the
speaker's face and `faces.py` crops it (boxes kept by `box_cache.py`), `dataset.py` makes a sample of it with a question, in
the threads or processes of `reading_workers.py`, `loading.py` hands out batches in the order of `ordering.py`, which resumes
exactly, `quarantine.py` counts what cannot be read, and `clip_data_module.py` is the LightningDataModule, which brings in
`feature_cache` and `packed_sets` as well (`paper_data_module.py`: the paper's data). Importing this package imports none of them.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from affect_lightning.data.clip_data_module import ClipDataModule
    from affect_lightning.data.paper_data_module import MERCaptionPlusDataModule

_MODULES = {"ClipDataModule": "clip_data_module", "MERCaptionPlusDataModule": "paper_data_module"}
__all__ = ["ClipDataModule", "MERCaptionPlusDataModule"]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
