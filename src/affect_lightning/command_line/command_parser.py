"""The parser of commands with options of their own: argparse's, with the nearest name for a misspelt option.

argparse looks for required options first, so that `--datset meld` would be a missing `--dataset`. `option_names.py` does
the same for the options of `fit`, which argparse does not know. Standard library only.
"""

from __future__ import annotations

import argparse
import difflib
import re
from collections.abc import Iterable, Sequence
from itertools import takewhile
from typing import Any, NoReturn

from affect_lightning.errors import ConfigurationError

_CHOICES = re.compile(r"invalid choice: '(?P<given>[^']*)' \(choose from (?P<choices>.*)\)$", re.DOTALL)
_CHOICE = re.compile(r"[^\s,']+")


class CommandParser(argparse.ArgumentParser):
    """Refuses an unknown option with the nearest one, before anything else is looked at.

    Attributes:
        leaves_others: Whether unknown words are left to the caller, as the commands do that take the options of `fit`.
    """

    def __init__(self, *args: Any, leaves_others: bool = False, **kwargs: Any) -> None:
        """Take what argparse takes.

        Args:
            args: Of argparse.
            leaves_others: See the class.
            kwargs: Of argparse.
        """
        super().__init__(*args, **kwargs)
        self.leaves_others = leaves_others

    @property
    def names(self) -> tuple[str, ...]:
        """The long options, without their dashes."""
        return tuple(option[2:] for option in self._option_string_actions if option.startswith("--"))

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parse as argparse does, after a look at the names.

        Raises:
            ConfigurationError: An option is misspelt.
        """
        if args is not None and not self.leaves_others:
            own = args if self._subparsers is None else takewhile(lambda word: word.startswith("-"), args)
            self._refuse_unknown(list(own))
        return super().parse_known_args(args, namespace)

    def error(self, message: str) -> NoReturn:
        """Raise argparse's message in one paragraph, with the nearest name for a wrong choice, and without pages of usage."""
        found = _CHOICES.search(message)
        if found is None:
            end = "" if message.endswith((".", "?", "!")) else "."
            raise ConfigurationError(f"{message}{end} `{self.prog} --help` lists the options.")
        choices = _CHOICE.findall(found["choices"])
        near = difflib.get_close_matches(found["given"], choices, n=1, cutoff=0.5)
        hint = f" Did you mean `{near[0]}`?" if near else ""
        raise ConfigurationError(f"{message[: found.end('given') + 1]}.{hint} Choose from {', '.join(choices)}.")

    def _refuse_unknown(self, words: Sequence[str]) -> None:
        for word in words:
            if word == "--":
                return
            name = word[2:].partition("=")[0]
            if not word.startswith("--") or " " in name or any(known.startswith(name) for known in self.names):
                continue  # argparse takes the beginning of a name, and says which ones it may be
            raise ConfigurationError(
                f"There is no option --{name}.{option_hint(name, self.names)} `{self.prog} --help` lists the options."
            )


def option_hint(name: str, known: Iterable[str], whole: str = "%s") -> str:
    """` Did you mean `--dataset`?` for a name near to a known one, with the space before it; else nothing.

    Args:
        name: What was written.
        known: Right names.
        whole: The option with `%s` in the name's place.

    >>> option_hint("framse", ["frames"], "data.%s"), option_hint("zzz", ["frames"])
    (' Did you mean `--data.frames`?', '')
    """
    near = difflib.get_close_matches(name, sorted(known), n=1, cutoff=0.5)
    return f" Did you mean `--{whole.replace('%s', near[0])}`?" if near else ""
