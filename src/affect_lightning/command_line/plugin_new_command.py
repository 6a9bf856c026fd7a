"""`affect-lightning plugins new`: a package for a part of one's own, ready to install and to test.

Neighbours: `plugins_command.py` dispatches, `affect_lightning.plugin_templates` writes. No torch is loaded.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from affect_lightning.plugin_templates import KINDS, write_plugin_package


def run(arguments: Sequence[str]) -> int:
    """Write a package with one part, its tests and its entry point; an existing folder is never touched."""
    parser = argparse.ArgumentParser(prog="affect-lightning plugins new", description=run.__doc__)
    parser.add_argument("kind", choices=list(KINDS), help="kind of the part")
    parser.add_argument("name", help="name of the package and of the plugin, such as my-fusion")
    parser.add_argument(
        "--out",
        type=Path,
        default=Path(),
        help="folder in which to make the package's folder (default: the current folder)",
    )
    options = parser.parse_args(arguments)
    folder = write_plugin_package(options.kind, options.name, options.out)
    module = options.name.replace("-", "_")
    print(
        f"Wrote {folder}: pyproject.toml, src/{module}.py, tests/test_contract.py, README.md.\n"
        f"Next: change src/{module}.py into your part, then\n"
        f"  cd {folder}\n"
        f"  python -m pip install --no-deps --no-build-isolation --editable .\n"
        f"  affect-lightning plugins check {options.name}{KINDS[options.kind].check_options}"
    )
    return 0
