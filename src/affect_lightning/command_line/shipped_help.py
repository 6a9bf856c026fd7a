"""The help of the trainer commands as it comes with the package, so that the first `fit --help` is as fast as every later one.

Making the text loads Lightning and every class that has options. So `shipped_help.json` has what the text is made of, and
this prints it for the width of the terminal with the standard library's formatter. It counts only where all that it
depends on is what it was made with: our sources that declare options, the versions, the plugins. Otherwise `kept_help.py`
makes the text. `help_making.py` writes the file (`make help-text`), and a test compares it with the text that is made.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import importlib.metadata
import io
import json
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from affect_lightning.plugin_loading import GROUPS, list_plugins

SOURCES = Path(__file__).resolve().parents[1]
SHIPPED = Path(__file__).with_name("shipped_help.json")
# What reads signatures and docstrings, and whose classes have options.
LIBRARIES = ("docstring-parser", "jsonargparse", "lightning", "torch", "typeshed-client")


def shipped_help(command: str, path: Path = SHIPPED) -> str | None:
    """The help of a command for this terminal.

    Args:
        command: Such as `fit`.
        path: The file.

    Returns:
        The text; None where the file is of other versions, plugins or sources, or cannot be read.
    """
    try:
        shipped = json.loads(path.read_text(encoding="utf-8"))
        known = shipped["made_with"]
        if known != made_with(known["sources"]):
            return None
        return printed_help(shipped["commands"][command], shipped["options"])
    except (OSError, ValueError, KeyError, TypeError):  # a damaged file is no reason to give no help
        return None


def made_with(sources: Iterable[str]) -> dict[str, Any]:
    """What a text depends on beside the terminal, as plain values.

    Args:
        sources: Our files that declare options, as paths below the package.

    Raises:
        OSError: A source is not there.
    """
    hashes = {
        name: hashlib.sha256((SOURCES / name).read_text(encoding="utf-8").encode()).hexdigest()[:16] for name in sources
    }
    return {
        "python": ".".join(map(str, sys.version_info[:2])),
        "versions": library_versions(),
        "plugins": plugin_names(),
        "sources": hashes,
    }


def library_versions() -> dict[str, str]:
    """Versions of the libraries that the text depends on; empty for one that is not installed."""
    found = {}
    for name in LIBRARIES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = ""
    return found


def plugin_names() -> list[str]:
    """All installed plugins, with their groups: the help lists them."""
    return sorted(f"{group} {listing.name}" for group in GROUPS for listing in list_plugins(group))


class _Formatter(argparse.HelpFormatter):
    """The standard library's, for help texts in which nothing is left to fill in."""

    def _expand_help(self, action: argparse.Action) -> str:
        return action.help or ""


class _Shown(argparse.Action):
    """An option that is only shown."""

    def __call__(self, *arguments: Any, **options: Any) -> None:
        """Do nothing."""


def printed_help(command: Mapping[str, Any], options: list[Mapping[str, Any]]) -> str:
    """The help of one command, wrapped for the terminal.

    Args:
        command: Its `prog`, `description`, the positions of the options in its `usage`, and its `groups`.
        options: Of all commands.
    """
    actions = [_Shown(**{**option, "metavar": _metavar(option["metavar"])}) for option in options]
    formatter = _Formatter(prog=command["prog"])
    formatter.add_usage(command["usage"], [actions[position] for position in command["shown_in_usage"]], [])
    formatter.add_text(command["description"])
    for group in command["groups"]:
        formatter.start_section(group["title"])
        formatter.add_text(group["description"])
        formatter.add_arguments([actions[position] for position in group["options"]])
        formatter.end_section()
    formatter.add_text(command["epilog"])
    with contextlib.redirect_stdout(io.StringIO()):  # to no terminal: the text that is made has no colours either
        return formatter.format_help()


def _metavar(found: Any) -> Any:
    return tuple(found) if isinstance(found, list) else found
