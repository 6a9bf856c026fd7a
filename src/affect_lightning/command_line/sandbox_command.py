"""`affect-lightning sandbox`: generate the sandbox corpus (docs/sandbox.md says what is in it)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from affect_lightning.command_line.command_parser import CommandParser


def run(arguments: Sequence[str]) -> int:
    """Generate talking-head clips and annotations in the official layouts of MER-Caption+ and the nine test sets."""
    parser = CommandParser(prog="affect-lightning sandbox", description=run.__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder to create")
    parser.add_argument("--clips", type=int, default=600, help="number of training clips (default: 600, our choice)")
    parser.add_argument(
        "--test-clips", type=int, default=20, help="number of clips in each of the nine test sets (default: 20)"
    )
    parser.add_argument("--seed", type=int, default=0, help="seed; the same seed gives the same corpus (default: 0)")
    parser.add_argument("--workers", type=int, default=None, help="number of processes (default: one for each core)")
    parser.add_argument(
        "--faults", type=float, default=0.0, help="share of training clips with a planted fault (default: 0)"
    )
    parser.add_argument(
        "--raw-clips", type=int, default=0, help="number of raw clips for `affect-lightning annotate` (default: 0)"
    )
    parser.add_argument(
        "--raw-faults",
        type=float,
        default=0.3,
        help="share of raw clips with a planted fault: half of these have the voice of an unseen person, a third a wrong "
        "description, a sixth one that is too short or too long (default: 0.3)",
    )
    parser.add_argument(
        "--layout",
        choices=["plain", "released"],
        default="plain",
        help="released: the folders, files and face crops of the authors' code, to the letter (default: plain)",
    )
    options = parser.parse_args(arguments)

    from affect_lightning.sandbox.generation import generate_sandbox

    generate_sandbox(
        options.out,
        clips=options.clips,
        test_clips=options.test_clips,
        seed=options.seed,
        workers=options.workers,
        faults=options.faults,
        layout=options.layout,
        raw_clips=options.raw_clips,
        raw_faults=options.raw_faults,
    )
    return 0
