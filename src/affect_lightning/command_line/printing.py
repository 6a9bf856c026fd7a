"""What reaches standard output: one JSON object where `--json` asks for it, and text that any terminal takes.

With `--json`, everything else that is printed, by us, by a library, by a plugin or by a process that was started, goes to
standard error. `program.py` sets this up; the commands print their object with `print_json`.
"""

from __future__ import annotations

import codecs
import contextlib
import io
import json
import os
import sys
from collections.abc import Iterator
from typing import Any, TextIO

_result: list[TextIO] = []  # where the object goes, while everything else is turned away


def print_any_text() -> None:
    """Let names and responses in any language be printed, also where the locale is C and Python's UTF-8 mode is off.

    An ASCII stream becomes UTF-8, as Python itself makes it in the C locale (PEP 540); another encoding writes what it
    lacks as escapes, and so does UTF-8 with halves of characters, as in file names in another encoding.
    """
    for stream in (sys.stdout, sys.stderr):
        if not isinstance(stream, io.TextIOWrapper):
            continue
        if codecs.lookup(stream.encoding).name == "ascii":
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")
        elif stream.errors in ("strict", "surrogateescape"):
            stream.reconfigure(errors="backslashreplace")


def print_json(content: Any) -> None:
    """Print the one object of `--json`; where the stream is not UTF-8, other characters than ASCII are escaped."""
    stream = _result[-1] if _result else sys.stdout
    is_utf_8 = codecs.lookup(getattr(stream, "encoding", None) or "utf-8").name == "utf-8"
    text = json.dumps(content, ensure_ascii=not is_utf_8, allow_nan=False)
    if is_utf_8 and not text.isascii():  # half a character is no UTF-8, but JSON has a word for it
        text = "".join(f"\\u{ord(sign):04x}" if "\ud800" <= sign <= "\udfff" else sign for sign in text)
    print(text, file=stream, flush=True)


@contextlib.contextmanager
def only_the_object(is_wanted: bool) -> Iterator[None]:
    """Send whatever is printed inside to standard error, but for `print_json`.

    Args:
        is_wanted: Whether `--json` was given; else nothing happens.
    """
    if not is_wanted:
        yield
        return
    stream, kept = sys.stdout, None
    if _is_descriptor(stream, 1):  # native code and processes that are started write there, too
        stream.flush()
        kept = os.dup(1)
        os.dup2(2, 1)
        stream = os.fdopen(kept, "w", encoding=stream.encoding, errors=stream.errors)
    _result.append(stream)
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    finally:
        _result.pop()
        if kept is not None:
            stream.flush()
            os.dup2(kept, 1)
            stream.close()


def _is_descriptor(stream: Any, number: int) -> bool:
    try:
        return isinstance(stream, io.TextIOWrapper) and stream.fileno() == number
    except (OSError, ValueError):
        return False


def give_up_output() -> None:
    """After the reader of a pipe has left: let Python's last flush go nowhere instead of into an error."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
