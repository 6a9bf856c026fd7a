"""May what is asked leave this machine? Clips show people, and texts about them are personal data too.

Every plugin that asks a server says here what it sends. A server on a loopback address is asked at once. For any other one
the user must have agreed: by an option of the plugin, or at the terminal. `chat_server.py` checks it before each question.
"""

from __future__ import annotations

import ipaddress
import sys
from dataclasses import dataclass
from urllib.parse import urlsplit

from affect_lightning.errors import ConfigurationError

_agreed: set[tuple[str, str]] = set()  # what was agreed to at the terminal, so that it is asked once


@dataclass(frozen=True)
class Leaving:
    """What is sent to a server, and whether it may leave this machine.

    Attributes:
        allowed: Whether an option says that it may.
        option: Its name.
        what: The things that are sent.
        shows: What of people is in them.
    """

    allowed: bool
    option: str
    what: str
    shows: str


def clips(allowed: bool = False) -> Leaving:
    """Pictures and sound."""
    return Leaving(allowed, "clips_may_leave", "clips", "Pictures and voices of people")


def texts(allowed: bool = False) -> Leaving:
    """Subtitles, descriptions and responses."""
    return Leaving(allowed, "texts_may_leave", "texts", "Words of people, and descriptions of them,")


def check_leaving(base_url: str, leaving: Leaving) -> None:
    """Ask at the terminal whether things may be sent to a server on another machine, unless that was said before.

    Raises:
        ConfigurationError: They may not, or there is no terminal to ask at.
    """
    asked = (base_url, leaving.option)
    if leaving.allowed or asked in _agreed or not leaves_this_machine(base_url):
        return
    note = (
        f"{leaving.shows} would leave this machine: check the licence of the set and the consent of the people first."
    )
    if _has_terminal():
        print(f"These {leaving.what} are to be sent to {base_url}. {note}", file=sys.stderr)
        print("Type yes to send them: ", end="", file=sys.stderr, flush=True)
        if sys.stdin.readline().strip().lower() == "yes":
            _agreed.add(asked)
            return
    raise ConfigurationError(
        f"Set {leaving.option}: true if you may send these {leaving.what} to {base_url}. {note} A server on this machine "
        f"(127.0.0.1) needs no such word."
    )


def _has_terminal() -> bool:
    return sys.stdin is not None and sys.stdin.isatty() and sys.stderr.isatty()


def leaves_this_machine(base_url: str) -> bool:
    """Whether what is sent to that address leaves this machine: it does unless the address is a loopback one.

    >>> leaves_this_machine("http://localhost:8000/v1"), leaves_this_machine("http://[::1]/v1")
    (False, False)
    >>> leaves_this_machine("https://api.openai.com/v1"), leaves_this_machine("http://192.168.0.7:8000/v1")
    (True, True)
    """
    host = urlsplit(base_url).hostname or ""
    if host == "localhost":
        return False
    try:
        return not ipaddress.ip_address(host).is_loopback
    except ValueError:  # a name, which may stand for any machine
        return True
