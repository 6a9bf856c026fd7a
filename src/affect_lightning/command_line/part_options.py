"""`--part I/N` and `--merge`, the same for every command whose work several machines may divide (docs/many_machines.md).

`storage/parts.py` keeps the parts; the commands say what a part does and how the parts are joined.
"""

from __future__ import annotations

import argparse

from affect_lightning.storage import Part


def add_part_options(parser: argparse.ArgumentParser) -> None:
    """Add the options, `part` (a `Part` or None) and `merge`; only one of them can be given."""
    group = parser.add_mutually_exclusive_group()
    group.add_argument(
        "--part",
        type=Part.parse,
        metavar="I/N",
        help="do the I-th of N parts, as on one of N machines, such as 2/8 (docs/many_machines.md)",
    )
    group.add_argument("--merge", action="store_true", help="join the N finished parts into one result")
    # Taken out of the words before a command sees them (`executors.py`); here for the help.
    group.add_argument(
        "--executor",
        metavar="NAME",
        help="do all parts and the merge: local, slurm or ray, with --executor.parts N (docs/many_machines.md)",
    )
