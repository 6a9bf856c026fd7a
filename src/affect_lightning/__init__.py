"""affect_lightning: AffectGPT, MER-Caption and MER-UniBench (ICML 2025) in PyTorch Lightning.

Importing the package imports nothing heavy; `docs/architecture.md` is the map of its folders.
"""

__version__ = "0.1.0"
