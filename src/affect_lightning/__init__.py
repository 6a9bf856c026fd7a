"""affect_lightning: AffectGPT, MER-Caption and MER-UniBench (ICML 2025) in PyTorch Lightning.

Importing the package imports nothing heavy; `docs/architecture.md` is the map of its folders.
"""

import os

# torchmetrics, and so Lightning, imports onnxruntime where that is installed. onnxruntime starts its telemetry when it is
# imported: it asks for a host's address and writes an identity of the device into the home. A choice of the user's stays.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

__version__ = "0.1.0"
