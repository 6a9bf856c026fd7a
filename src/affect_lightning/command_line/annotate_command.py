"""`affect-lightning annotate`: the stages that describe and filter, one by one or by a configuration, and the study.

Paper: Section 2 and Appendices E to G. Each stage has its options in `affect_lightning.annotation`; `annotate_stages.py`,
`annotate_pipeline.py` and `annotate_review.py` take them from the command line.
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
    "describe": Step(
        "Describe what is heard and seen in clips, and merge it with what is said.", "annotate_pipeline", "run_describe"
    ),
    "speaker": Step("Drop clips that do not show the person who is heard.", "annotate_speaker", "run_speaker"),
    "length": Step("Drop descriptions in the tails of the lengths; draw the lengths.", "annotate_stages", "run_length"),
    "crowd": Step("Let saved outputs vote on emotion or sentiment.", "annotate_crowd", "run_crowd"),
    "agree": Step("Drop descriptions that disagree with the crowd.", "annotate_stages", "run_agree"),
    "export": Step("Write the clips that stay as a data set with a datasheet.", "annotate_export", "run"),
    "review": Step(
        "Compare descriptions blindly in the browser, or read verdicts from a file.", "annotate_review", "run"
    ),
}


def run(arguments: Sequence[str]) -> int:
    """Describe clips and filter the descriptions as MER-Caption does, and compare descriptions as people prefer them."""
    from affect_lightning.command_line.annotate_pipeline import PIPELINE_HELP, run_config

    if arguments and arguments[0].startswith("-") and arguments[0] not in ("-h", "--help"):
        return run_config(arguments)
    width = max(map(len, STEPS))
    parser = CommandParser(
        prog="affect-lightning annotate",
        usage="affect-lightning annotate STEP ...\n       affect-lightning annotate --config FILE ...",
        description=run.__doc__,
        epilog="steps:\n"
        + "\n".join(f"  {name:<{width}}  {step.summary}" for name, step in STEPS.items())
        + "\n\n`affect-lightning annotate STEP --help` explains a step.\n\nseveral steps, one after the other:\n"
        "  --config FILE runs those that the file lists; `affect-lightning annotate --config FILE --help` has more options.\n\n"
        + PIPELINE_HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("step", metavar="STEP", choices=list(STEPS), help="see below")
    words = list(arguments)
    step = STEPS[parser.parse_args(words[:1]).step]
    module = importlib.import_module(f"affect_lightning.command_line.{step.module}")
    return int(getattr(module, step.function)(words[1:]))
