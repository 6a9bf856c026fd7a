"""`affect-lightning experiments`: which experiments ship with the package, and copies of them to change.

Needs neither torch nor Lightning. Neighbour: `experiment_files.py` finds the files.
"""

from __future__ import annotations

import argparse
import json
import shlex
from collections.abc import Sequence
from pathlib import Path

from affect_lightning.command_line.experiment_files import Experiment, list_experiments
from affect_lightning.command_line.tables import format_table
from affect_lightning.errors import ConfigurationError
from affect_lightning.plugin_loading.listing import nearest_hint
from affect_lightning.storage import write_whole_files


def run(arguments: Sequence[str]) -> int:
    """List the experiments that `--config` takes by name, or copy some of them."""
    parser = argparse.ArgumentParser(prog="affect-lightning experiments", description=run.__doc__)
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output")
    actions = parser.add_subparsers(dest="action", metavar="copy")
    copy = actions.add_parser("copy", help="copy experiments, to change them", description="Copy experiments.")
    copy.add_argument("names", nargs="+", metavar="NAME", help="of an experiment")
    copy.add_argument("--out", type=Path, default=Path(), metavar="FOLDER", help="default: the current folder")
    options = parser.parse_args(arguments)
    experiments = {item.name: item for item in list_experiments()}
    if options.action == "copy":
        print("\n".join(_copy(_named(options.names, experiments), options.out)))
    elif options.json:
        print(json.dumps({"experiments": [_plain(item) for item in experiments.values()]}, ensure_ascii=False))
    else:
        print(_listing(list(experiments.values())))
    return 0


def _plain(item: Experiment) -> dict[str, str | None]:
    return {"name": item.name, "path": str(item.path), "summary": item.summary, "laid_over": item.base}


def _listing(experiments: Sequence[Experiment]) -> str:
    rows = [(item.name, item.base or "", item.summary) for item in experiments]
    return (
        f"{format_table(('name', 'laid over', 'what it is'), rows)}\n\n"
        "Use one with `--config NAME`. What is laid over another one comes second:\n"
        "`affect-lightning fit --config affectgpt --config table5_qformer`."
    )


def _named(names: Sequence[str], experiments: dict[str, Experiment]) -> list[Experiment]:
    for name in names:
        if name not in experiments:
            raise ConfigurationError(
                f"There is no experiment {name!r}.{nearest_hint(name, list(experiments))} "
                "`affect-lightning experiments` lists them."
            )
    return [experiments[name] for name in names]


def _copy(chosen: Sequence[Experiment], folder: Path) -> list[str]:
    """Copy all or, if a file would be overwritten, none; returns what to tell the user."""
    targets = [folder / item.path.name for item in chosen]
    for target in targets:
        if target.exists():
            raise ConfigurationError(f"{target} exists already. Give another folder with --out, or remove the file.")
    try:
        write_whole_files(
            {target: item.path.read_bytes() for item, target in zip(chosen, targets, strict=True)}, durable=False
        )
    except OSError as error:
        raise ConfigurationError(
            f"Experiments cannot be written to {folder}: {error}. Give a folder with --out."
        ) from error
    return [
        f"{target}    affect-lightning fit {f'--config {item.base} ' if item.base else ''}--config {shlex.quote(str(target))}"
        for item, target in zip(chosen, targets, strict=True)
    ]
