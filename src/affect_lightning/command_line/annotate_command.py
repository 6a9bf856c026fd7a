"""`affect-lightning annotate`: the stages that filter descriptions, one by one, and the study that compares them.

Paper: Section 2 and Appendices E to G. Each stage has its options in `affect_lightning.annotation`; `annotate_stages.py` and
`annotate_review.py` take them from the command line.
"""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Sequence
from dataclasses import dataclass

from affect_lightning.command_line.command_parser import CommandParser


@dataclass(frozen=True)
class Step:
    """One word after `annotate`.

    Attributes:
        summary: One line for `annotate --help`.
        module: In `affect_lightning.command_line`.
        function: Of the module; it takes the words after the step's name.
    """

    summary: str
    module: str
    function: str


STEPS = {
    "length": Step("Drop descriptions in the tails of the lengths; draw the lengths.", "annotate_stages", "run_length"),
    "crowd": Step("Let saved outputs vote on emotion or sentiment.", "annotate_crowd", "run_crowd"),
    "agree": Step("Drop descriptions that disagree with the crowd.", "annotate_stages", "run_agree"),
    "export": Step("Write the clips that stay as a data set with a datasheet.", "annotate_export", "run"),
    "review": Step(
        "Compare descriptions blindly in the browser, or read verdicts from a file.", "annotate_review", "run"
    ),
}


def run(arguments: Sequence[str]) -> int:
    """Filter descriptions of clips as MER-Caption does, and compare descriptions as people prefer them."""
    width = max(map(len, STEPS))
    parser = CommandParser(
        prog="affect-lightning annotate",
        usage="affect-lightning annotate STEP ...",
        description=run.__doc__,
        epilog="steps:\n"
        + "\n".join(f"  {name:<{width}}  {step.summary}" for name, step in STEPS.items())
        + "\n\n`affect-lightning annotate STEP --help` explains a step.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("step", metavar="STEP", choices=list(STEPS), help="see below")
    words = list(arguments)
    step = STEPS[parser.parse_args(words[:1]).step]
    module = importlib.import_module(f"affect_lightning.command_line.{step.module}")
    return int(getattr(module, step.function)(words[1:]))
