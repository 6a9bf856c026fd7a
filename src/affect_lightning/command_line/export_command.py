"""`affect-lightning export`: a checkpoint becomes files that peft and safetensors read."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path


def run(arguments: Sequence[str]) -> int:
    """Write a peft adapter folder, projectors.safetensors and config.json from a checkpoint's trained weights."""
    parser = argparse.ArgumentParser(prog="affect-lightning export", description=run.__doc__)
    parser.add_argument("checkpoint", type=Path, help="checkpoint that `fit` wrote")
    parser.add_argument("folder", type=Path, help="folder to write; it must not exist yet or be empty")
    options = parser.parse_args(arguments)

    from affect_lightning.checkpoints import export_checkpoint

    export_checkpoint(options.checkpoint, options.folder)
    print(f"Exported to {options.folder}; read it with AffectGPT.from_pretrained({str(options.folder)!r}).")
    return 0
