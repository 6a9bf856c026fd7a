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
_NEAR = 0.5  # from this similarity on, a name is taken for a slip; our choice
_CHOICE = re.compile(r"[^\s,']+")


class CommandParser(argparse.ArgumentParser):
    """Refuses an unknown option with the nearest one, before anything else is looked at.

    Attributes:
        leaves_others: Whether unknown words are left to the caller, as the commands do that take the options of `fit`.
        elsewhere: A sentence for an unknown option: where others stand.
    """

    def __init__(self, *args: Any, leaves_others: bool = False, elsewhere: str = "", **kwargs: Any) -> None:
        """Take what argparse takes.

        Args:
            args: Of argparse.
            leaves_others: See the class.
            elsewhere: See the class.
            kwargs: Of argparse.
        """
        super().__init__(*args, **kwargs)
        self.leaves_others = leaves_others
        self.elsewhere = f" {elsewhere}" if elsewhere else ""

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
        near = difflib.get_close_matches(found["given"], choices, n=1, cutoff=_NEAR)
        hint = f" Did you mean `{near[0]}`?" if near else ""
        raise ConfigurationError(f"{message[: found.end('given') + 1]}.{hint} Choose from {', '.join(choices)}.")

    def _refuse_unknown(self, words: Sequence[str]) -> None:
        for word in words:
            if word == "--":
                return
            name = word[2:].partition("=")[0]
            if not word.startswith("--") or " " in name or any(known.startswith(name) for known in self.names):
                continue  # argparse takes the beginning of a name, and says which ones it may be
            hint = self._behind_a_word(name) or option_hint(name, self.names) or self._without_dashes(name)
            raise ConfigurationError(
                f"There is no option --{name}.{hint}{self.elsewhere} `{self.prog} --help` lists the options."
            )

    def _behind_a_word(self, name: str) -> str:
        """A hint at the option of a word such as `fetch`, which stands behind that word."""
        words = {} if self._subparsers is None else self._subparsers._group_actions[0].choices
        for word, parser in dict(words or {}).items():
            near = difflib.get_close_matches(name, parser.names, n=1, cutoff=_NEAR) if name not in self.names else []
            if near and near[0] != "help":
                return f" Did you mean `{self.prog} {word} --{near[0]}`?"
        return ""

    def _without_dashes(self, name: str) -> str:
        """A hint at a word that has no dashes, such as the `out` of `export CHECKPOINT OUT`."""
        places = [str(action.metavar or action.dest) for action in self._get_positional_actions()]
        near = difflib.get_close_matches(name.lower(), [place.lower() for place in places], n=1, cutoff=_NEAR)
        return f" Did you mean `{near[0]}`? It has no dashes: `{self.prog} {' '.join(places)}`." if near else ""


def option_hint(name: str, known: Iterable[str], whole: str = "%s") -> str:
    """` Did you mean `--dataset`?` for a name near to a known one, with the space before it; else nothing.

    Args:
        name: What was written.
        known: Right names.
        whole: The option with `%s` in the name's place.

    >>> option_hint("framse", ["frames"], "data.%s"), option_hint("zzz", ["frames"])
    (' Did you mean `--data.frames`?', '')
    """
    near = difflib.get_close_matches(name, sorted(known), n=1, cutoff=_NEAR)
    return f" Did you mean `--{whole.replace('%s', near[0])}`?" if near else ""
