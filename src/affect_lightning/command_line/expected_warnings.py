"""Warnings of libraries that the user of the program can do nothing about: the one list, with the reason for each.

Every command that reaches a library that warns so calls `silence_expected_warnings` first. Warnings that name a remedy,
and all of our own, stay. `tests/test_readme_commands.py` runs the README's commands and lets no other warning pass.
"""

from __future__ import annotations

import os
import warnings

# Patterns of the beginning of a message, as `warnings.filterwarnings` takes them.
EXPECTED_WARNINGS = (
    "LightningCLI's args parameter",  # the words come from the command line, by way of program.py
    r"Found \d+ module\(s\) in eval mode",  # the frozen encoders, on purpose
    r"FSDP2-wrapped module .* returned a view",  # no part behind it changes its input in place
    r"`isinstance\(treespec, LeafSpec\)` is deprecated",  # inside Lightning 2.6 with torch 2.15
    r"Checkpoint directory .* exists and is not empty",  # normal when a run continues
    "The dirpath has changed from",  # a run that continues in a new folder, on purpose
    r"The '\w+_dataloader' does not have many workers",  # `data.workers` is the user's choice
    r"Precision .* is not supported by the model summary",  # mixed precision keeps 32-bit weights, as it then assumes
    r".*copying from a non-meta parameter",  # `summary`: parts that read a file of theirs copy it into nothing, as meant
)


def silence_expected_warnings() -> None:
    """Silence what tells the user of the program nothing."""
    # Lightning 2.6 still calls what jsonargparse 4.53 deprecates; its user can do nothing about it.
    os.environ.setdefault("JSONARGPARSE_DEPRECATION_WARNINGS", "off")
    for message in EXPECTED_WARNINGS:
        warnings.filterwarnings("ignore", message=message)
