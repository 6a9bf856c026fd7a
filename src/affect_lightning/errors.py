"""Errors that a user can fix.

Each has a message of one paragraph that says what was received, what was expected and what to do. The command line
prints that paragraph and exits with code 2; a traceback is for our own bugs. The module imports the standard library
only, so that every other module may use it.
"""

from __future__ import annotations

import re

_CONTROL_CHARACTERS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def visible(text: str) -> str:
    r"""A text from a file as it may reach a terminal: control characters, and marks that turn the line, as escapes.

    >>> print(visible("clip\x1b[2J"))
    clip\x1b[2J
    """
    return _CONTROL_CHARACTERS.sub(lambda found: found.group().encode("unicode_escape").decode("ascii"), text)


class AffectLightningError(Exception):
    """Base of every error of this package that the user can fix. Exit code 2 on the command line."""


class ConfigurationError(AffectLightningError):
    """An option, a configuration file or a combination of options is wrong."""


class DataError(AffectLightningError):
    """A folder, file, column or clip is missing, empty or unreadable."""


class CheckpointError(AffectLightningError):
    """A checkpoint or exported folder is missing, foreign or does not fit the configuration."""


class ContractError(AffectLightningError):
    """A part returned something else than its contract promises."""


class PluginError(AffectLightningError):
    """A plugin is unknown, offered twice, cannot be imported or does not fulfil its contract."""
