"""The help of the trainer commands, from the package or from the user's cache, because making it loads Lightning.

The package brings what the text is made of, for the locked versions (`shipped_help.py`). With other versions, plugins or
sources the first `fit --help` makes the text and every later one reads it from the cache. The key has all that the text
depends on: our sources, the versions of the libraries, the installed plugins and the width of the terminal. `program.py`
asks here.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import shutil
import sys
from collections.abc import Callable, Sequence

from affect_lightning.command_line.shipped_help import SOURCES, library_versions, plugin_names, shipped_help
from affect_lightning.errors import AffectLightningError
from affect_lightning.storage import user_cache_folder, write_whole


def asks_for_help_alone(words: Sequence[str]) -> bool:
    """Whether a command line is the command and `--help`, and nothing else that could change the text."""
    return len(words) == 2 and words[1] in ("--help", "-h")


def print_kept_help(words: Sequence[str], make: Callable[[], int]) -> int:
    """Print the help, from the package or the cache if it is there; else make it and keep it.

    Args:
        words: The command and `--help`.
        make: Runs the command, which prints the help and leaves by SystemExit.

    Returns:
        The exit code.
    """
    shipped = shipped_help(words[0])
    if shipped is not None:
        sys.stdout.write(shipped)
        return 0
    try:
        path = user_cache_folder("help") / f"{words[0]}-{_digest()}.txt"
        kept = path.read_text(encoding="utf-8") if path.is_file() else ""
    except (OSError, ValueError, AffectLightningError):  # a cache that cannot be read is no reason to give no help
        path, kept = None, ""
    if kept:
        sys.stdout.write(kept)
        return 0
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        try:
            code = make()
        except SystemExit as stop:
            code = stop.code if isinstance(stop.code, int) else 0
    sys.stdout.write(printed.getvalue())
    if path is not None and code == 0 and printed.getvalue():
        with contextlib.suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(path, printed.getvalue())
    return code


def _digest() -> str:
    """Hash of what the text depends on."""
    sources = sorted((str(path), path.stat().st_mtime_ns, path.stat().st_size) for path in SOURCES.rglob("*.py"))
    width = shutil.get_terminal_size().columns, os.environ.get("COLUMNS")
    known = repr((sys.version_info[:3], sources, library_versions(), plugin_names(), width))
    return hashlib.sha256(known.encode()).hexdigest()[:20]
