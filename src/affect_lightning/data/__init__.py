"""Data: clips in, batches out (paper, Section 2 and Appendix B).

The way of a clip: `corpora` lists it, `decoding.py` opens it, `speaker.py` chooses the speaker's face and `faces.py`
crops it (boxes kept by `box_cache.py`), `questions.py` asks, `dataset.py` and `collation.py` make samples and batches
in worker processes, `loading.py` hands them out in an order that resumes exactly, `quarantine.py` counts what cannot
be read, `module.py` is the LightningDataModule, and `mer_caption_plus.py` the same under the paper's name. Importing
this package imports none of them.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from affect_lightning.data.decoding import DecodedClip, decode_clip
    from affect_lightning.data.faces import FaceCropper, FacePolicy
    from affect_lightning.data.loading import ClipLoader
    from affect_lightning.data.mer_caption_plus import MERCaptionPlusDataModule
    from affect_lightning.data.module import ClipDataModule
    from affect_lightning.data.ordering import BatchPlan
    from affect_lightning.data.quarantine import BadClip, Quarantine, UnreadableClipError
    from affect_lightning.data.speaker import choose_speaker

_HOMES = {
    "BadClip": "quarantine",
    "BatchPlan": "ordering",
    "ClipDataModule": "module",
    "ClipLoader": "loading",
    "DecodedClip": "decoding",
    "FaceCropper": "faces",
    "FacePolicy": "faces",
    "MERCaptionPlusDataModule": "mer_caption_plus",
    "Quarantine": "quarantine",
    "UnreadableClipError": "quarantine",
    "choose_speaker": "speaker",
    "decode_clip": "decoding",
}

__all__ = [
    "BadClip",
    "BatchPlan",
    "ClipDataModule",
    "ClipLoader",
    "DecodedClip",
    "FaceCropper",
    "FacePolicy",
    "MERCaptionPlusDataModule",
    "Quarantine",
    "UnreadableClipError",
    "choose_speaker",
    "decode_clip",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
