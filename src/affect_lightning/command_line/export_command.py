"""`affect-lightning export`: trained weights become files that peft, safetensors or the authors' code read."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from affect_lightning.command_line.command_parser import CommandParser
from affect_lightning.command_line.early_checks import check_checkpoint


def run(arguments: Sequence[str]) -> int:
    """Write a checkpoint's trained weights for others: a folder for peft and safetensors, or a file in the authors' layout."""
    parser = CommandParser(prog="affect-lightning export", description=run.__doc__)
    parser.add_argument(
        "checkpoint", type=Path, help="checkpoint that `fit` wrote; with `--format affectgpt` an exported folder too"
    )
    parser.add_argument(
        "out", type=Path, help="folder to write, which must not exist yet or be empty; or the new .pth file"
    )
    parser.add_argument(
        "--format",
        choices=("folder", "affectgpt"),
        default="folder",
        help="folder: a peft adapter, projectors.safetensors and config.json; affectgpt: one file that AffectGPT's released "
        "code loads (default: folder)",
    )
    options = parser.parse_args(arguments)
    check_checkpoint(options.checkpoint)

    from affect_lightning.checkpoints import export_affectgpt, export_checkpoint

    if options.format == "affectgpt":
        export_affectgpt(options.checkpoint, options.out)
        print(f"Exported to {options.out}; the authors' code loads it, and so does `affect-lightning import`.")
        return 0
    export_checkpoint(options.checkpoint, options.out)
    print(f"Exported to {options.out}; read it with AffectGPT.from_pretrained({str(options.out)!r}).")
    return 0
