"""`affect-lightning import`: what other programs trained becomes an exported folder that the trainer commands read."""

from __future__ import annotations

import contextlib
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from affect_lightning.command_line.command_parser import CommandParser
from affect_lightning.command_line.early_checks import check_checkpoint, check_named_files
from affect_lightning.command_line.option_names import check_option_names

if TYPE_CHECKING:
    pass

_DEFAULT = ("--config", "affectgpt", "--config", "affectgpt_released")


def run(arguments: Sequence[str]) -> int:
    """Turn a checkpoint of AffectGPT's released code, or an adapter folder of peft, into a folder that this package reads."""
    parser = CommandParser(
        prog="affect-lightning import",
        usage="affect-lightning import CHECKPOINT FOLDER [--config EXPERIMENT ...] [--model.OPTION VALUE ...]",
        description=run.__doc__,
        epilog=f"Without --config it is `{' '.join(_DEFAULT)}`. All options of `affect-lightning fit` are taken.",
        allow_abbrev=False,
        leaves_others=True,
    )
    parser.add_argument("checkpoint", type=Path, help="the authors' .pth file, or a folder with adapter_config.json")
    parser.add_argument("folder", type=Path, help="folder to write; it must not exist yet or be empty")
    check_option_names(arguments, parser.names, command="import")
    asks_help = {"--help", "-h"} & set(arguments)
    options = parser.parse_args(["--help"] if asks_help else arguments[:2])  # the others belong to the configuration
    words = list(arguments[2:])
    check_checkpoint(options.checkpoint)
    check_named_files(["import", *words])

    from affect_lightning.checkpoints import import_weights
    from affect_lightning.command_line.exported_options import response_options
    from affect_lightning.command_line.trainer_commands import read_configuration
    from affect_lightning.model import ModelConfiguration
    from affect_lightning.model.options import ModuleOptions

    if not any(word.partition("=")[0] in ("--config", "-c") for word in words):
        words = [*_DEFAULT, *words]
    with contextlib.redirect_stdout(sys.stderr):
        section = read_configuration(words)
        configuration = ModelConfiguration.of(ModuleOptions(**section.model.as_dict()))
        found = import_weights(options.checkpoint, options.folder, configuration, response_options(section))
    epoch = "" if found.epoch is None else f" of epoch {found.epoch}"
    print(
        f"Imported {found.tensors} tensors{epoch} to {options.folder}; the network sees "
        f"{', '.join(found.configuration.inputs)}.\n"
        f"It keeps how clips are read and asked, so a test needs no --config:\n"
        f"affect-lightning test --ckpt_path {shlex.quote(str(options.folder))} --data.benchmark_root DATA"
    )
    return 0
