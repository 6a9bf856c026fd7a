"""affect_lightning: AffectGPT, MER-Caption and MER-UniBench (ICML 2025) in PyTorch Lightning.

Importing the package imports nothing heavy: `from affect_lightning import AffectGPT` loads what that name needs, and no more.
docs/python.md shows how to use it in Python; `docs/architecture.md` is the map of its folders.
"""

import importlib
import os
from typing import Any

# torchmetrics, and so Lightning, imports onnxruntime where that is installed. onnxruntime starts its telemetry when it is
# imported: it asks for a host's address and writes an identity of the device into the home. A choice of the user's stays.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

__version__ = "0.1.0"
# Public names by the package that has them.
_HOMES = {
    "AffectGPT": "clip_answers.describing_network",
    "AffectGPTModule": "training",
    "ClipDataModule": "data",
    "MERCaptionPlusDataModule": "data",
}
__all__ = ["AffectGPT", "AffectGPTModule", "ClipDataModule", "MERCaptionPlusDataModule", "__version__"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
