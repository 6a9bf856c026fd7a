"""Writes `shipped_help.json`, which `shipped_help.py` prints. Run `make help-text` after options or versions have changed.

The parsers are those of `trainer_commands.py`. What argparse would print of each option is taken before it is wrapped.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import importlib
import inspect
import io
import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from jsonargparse import ArgumentParser
from jsonargparse._actions import filter_non_parsing_actions
from jsonargparse._link_arguments import ActionLink

from affect_lightning.command_line import trainer_commands
from affect_lightning.command_line.program import COMMANDS
from affect_lightning.command_line.shipped_help import SHIPPED, SOURCES, made_with
from affect_lightning.storage import write_whole

PACKAGE = "affect_lightning"
TRAINER_COMMANDS = tuple(name for name, command in COMMANDS.items() if command.trains)
# The classes whose options the commands have; the sources of their bases and of what they name count, too.
_WITH_OPTIONS = (
    trainer_commands.AffectGPTModule,
    trainer_commands.ClipDataModule,
    trainer_commands.BenchmarkCallback,
    trainer_commands.ResumeCheckpoint,
    trainer_commands.LossSpikeLog,
    trainer_commands.RewardWatch,
    trainer_commands.SubtitleCallback,
    trainer_commands.TrainingMonitor,
)
_DEPTH = 2  # a group of options names its defaults, and these stand in files of their own


def help_of_all() -> dict[str, Any]:
    """The content of the file."""
    options: list[dict[str, Any]] = []
    commands = {name: taken_help(name, options) for name in TRAINER_COMMANDS}
    return {"made_with": made_with(sorted(declaring_sources())), "commands": commands, "options": options}


def made_help(command: str) -> str:
    """The text as argparse makes it, for this terminal."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.suppress(SystemExit):
        trainer_commands.ConfigurationCLI([command, "--help"], {})
    return printed.getvalue()


def taken_help(command: str, options: list[dict[str, Any]]) -> dict[str, Any]:
    """What the help of a command is made of; see `shipped_help.printed_help`.

    Args:
        command: Such as `fit`.
        options: Of the commands before; those that are not there yet are added.
    """
    taken: list[dict[str, Any]] = []

    class Parser(trainer_commands.AffectParser):
        is_printed = False

        def format_help(self, *arguments: Any) -> str:
            self.is_printed = True
            return str(super().format_help(*arguments))

        def _get_formatter(self, *arguments: Any, **values: Any) -> Any:
            formatter: Any = super()._get_formatter(*arguments, **values)
            if self.is_printed:  # jsonargparse has set up what its formatter asks for
                taken.append(_taken(self, formatter, options))
            return formatter

    class Taking(trainer_commands.ConfigurationCLI):
        def init_parser(self, **values: Any) -> Any:
            self.parser_class = Parser
            return super().init_parser(**values)

    with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):
        Taking([command, "--help"], {})
    return taken[0]


def _taken(parser: ArgumentParser, formatter: Any, options: list[dict[str, Any]]) -> dict[str, Any]:
    if parser._mutually_exclusive_groups:
        raise NotImplementedError("shipped_help.py prints no options of which one excludes another. Teach it to.")

    def places(actions: Iterable[argparse.Action]) -> list[int]:
        return [_place(_plain(action, formatter), options) for action in actions if action.help != argparse.SUPPRESS]

    groups = [
        {"title": group.title, "description": group.description, "options": places(group._group_actions)}
        for group in parser._action_groups
    ]
    used = [action for action in filter_non_parsing_actions(parser._actions) if not isinstance(action, ActionLink)]
    return {
        "prog": parser.prog,
        "usage": parser.usage,
        "shown_in_usage": places(used),
        "description": parser.description,
        "groups": groups,
        "epilog": parser.epilog,
    }


def _plain(action: argparse.Action, formatter: Any) -> dict[str, Any]:
    """One option as it is shown."""
    kind = "optional" if action.option_strings else "positional"
    metavar = action.metavar
    if metavar is None and action.choices is not None:
        metavar = "{" + ",".join(map(str, action.choices)) + "}"
    elif metavar is None:
        metavar = getattr(formatter, f"_get_default_metavar_for_{kind}")(action)
    return {
        "option_strings": list(action.option_strings),
        "dest": action.dest,
        "nargs": action.nargs,
        "required": bool(action.required),
        "metavar": list(metavar) if isinstance(metavar, tuple) else metavar,
        "help": formatter._expand_help(action),
    }


def _place(option: dict[str, Any], options: list[dict[str, Any]]) -> int:
    if option not in options:
        options.append(option)
    return options.index(option)


def declaring_sources() -> set[str]:
    """Our files in which the options, their defaults and their explanations stand, as paths below the package."""
    modules = {
        trainer_commands.__name__,
        f"{PACKAGE}.command_line.plugin_arguments",
        f"{PACKAGE}.command_line.shipped_help",
    }
    modules |= {base.__module__ for kind in _WITH_OPTIONS for base in kind.__mro__}
    known: set[str] = set()
    waiting = {name for name in modules if _is_ours(name)}
    for depth in range(_DEPTH + 1):
        known |= waiting
        waiting = set() if depth == _DEPTH else {found for name in waiting for found in _named(name)} - known
    return {Path(str(sys.modules[name].__file__)).relative_to(SOURCES).as_posix() for name in known}


def _is_ours(module: str) -> bool:
    return module.partition(".")[0] == PACKAGE


def _named(module: str) -> Iterator[str]:
    """The modules that define the classes, constants and types that a module imports; its functions declare nothing."""
    tree = ast.parse(Path(str(sys.modules[module].__file__)).read_text(encoding="utf-8"))
    for node in tree.body:
        if isinstance(node, ast.ImportFrom) and node.module and _is_ours(node.module):
            for alias in node.names:
                yield from _home(node.module, alias.name)


def _home(module: str, name: str) -> Iterator[str]:
    value = getattr(importlib.import_module(module), name)
    if inspect.isfunction(value) or inspect.ismodule(value):
        return
    if inspect.isclass(value) and _is_ours(value.__module__):
        yield value.__module__
        return
    source = Path(str(sys.modules[module].__file__))
    yield module
    if source.name == "__init__.py":  # it hands on what stands elsewhere
        for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.ImportFrom) or not _is_ours(node.module or ""):
                continue
            if name in [alias.asname or alias.name for alias in node.names]:
                yield from _home(str(node.module), name)


def main() -> None:
    """Write the file."""
    content = json.dumps(help_of_all(), ensure_ascii=False, indent=1)
    write_whole(SHIPPED, content + "\n")
    print(f"Written: {SHIPPED}")


if __name__ == "__main__":
    main()
