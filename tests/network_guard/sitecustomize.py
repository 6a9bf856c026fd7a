"""Python imports this at its start: no process of a test resolves a name or connects to another machine in silence.

`conftest.py` puts this folder on the path of every process that a test starts, and installs the guard in its own. What
is tried is refused, as on a machine without a network, and written down; the test that did it then fails, unless it
is marked `reaches_out`. Native code is out of its sight: `test_privacy.py` looks at that with strace.
"""

from __future__ import annotations

import os
import sys
from typing import Any

LOG_VARIABLE = "AFFECT_NETWORK_LOG"
_NAMES = {"socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr"}
_ADDRESSES = {"socket.connect", "socket.sendto", "socket.sendmsg"}
_HERE = {"", "localhost", "0.0.0.0", "::", "::1", "None"}


def _is_here(host: Any) -> bool:
    text = host.decode("ascii", "replace") if isinstance(host, bytes) else str(host)
    return text in _HERE or text.startswith("127.") or text == os.uname().nodename


def _aim(event: str, words: tuple[Any, ...]) -> str | None:
    """The machine that an event is aimed at; None for this one."""
    if event in _NAMES:
        return None if _is_here(words[0]) else str(words[0])
    if event in _ADDRESSES:
        address = words[1]  # a text for Unix sockets, None for a socket that is connected
        if isinstance(address, tuple) and not _is_here(address[0]):
            return str(address[0])
    return None


def _refuse(event: str, words: tuple[Any, ...]) -> None:
    if not event.startswith("socket."):
        return
    aim = _aim(event, words)
    if aim is None:
        return
    with open(os.environ[LOG_VARIABLE], "a", encoding="utf-8") as log:
        log.write(f"{event} {aim}\n")
    import socket

    raise socket.gaierror(socket.EAI_NONAME, f"the tests' network guard refuses {aim}")


if LOG_VARIABLE in os.environ:
    sys.addaudithook(_refuse)
