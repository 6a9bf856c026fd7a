"""`affect-lightning pull`: an export from a Hugging Face hub into a new folder (`affect_lightning.hub`)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from affect_lightning.command_line.command_parser import CommandParser
from affect_lightning.command_line.printing import print_json


def run(arguments: Sequence[str]) -> int:
    """Fetch an exported folder from a hub; `test` and `predict` take it as --ckpt_path."""
    parser = CommandParser(prog="affect-lightning pull", description=run.__doc__)
    parser.add_argument("repository", metavar="USER/NAME", help="name of the model on the hub")
    parser.add_argument("out", type=Path, help="new folder")
    parser.add_argument("--revision", metavar="COMMIT", help="branch, tag or commit (default: the main branch)")
    parser.add_argument("--json", action="store_true", help="print one JSON object to standard output")
    options = parser.parse_args(arguments)

    from affect_lightning.hub.exchange import pull_export

    commit = pull_export(options.repository, options.out, revision=options.revision)
    if options.json:
        print_json({"folder": str(options.out), "commit": commit})
        return 0
    print(f"{options.repository} (commit {commit}) is in {options.out}. Use it with `--ckpt_path {options.out}`.")
    return 0
