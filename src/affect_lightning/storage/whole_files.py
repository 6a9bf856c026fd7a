"""Files and folders that are complete or absent, and the lock of those who write them.

Content is first written next to its final place, then flushed to disk, and then takes its name in one step. After a
kill, a crash or a full disk the former content is still under the name; an error leaves nothing else behind. After a
kill a hidden `.NAME.….partial` may be left; it can be deleted. The lock is filelock's, which the operating system
releases however a process ends. `line_logs.py` is for files that grow.
"""

from __future__ import annotations

import os
import shutil
import stat
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, TypeAlias

if TYPE_CHECKING:
    from filelock import BaseFileLock

Content: TypeAlias = str | bytes | memoryview | Callable[[BinaryIO], object]
"""What a file holds: text (UTF-8, line ends unchanged), bytes, or a function that writes to the open file."""

_TRIED = 65_536  # bytes that are written to try a place: what a small report takes; our choice
_SHOWN = 40  # characters of a name in that of its partial file: four bytes each stay below the 255 that a name may have


def write_whole(path: Path, content: Content, *, durable: bool = True) -> None:
    """Write a file; see `write_whole_files`."""
    write_whole_files({path: content}, durable=durable)


def write_whole_files(
    contents: Mapping[Path, Content], *, durable: bool = True, staging: Path | None = None
) -> list[Path]:
    """Write files, none of which takes its name before all of them are written. Files that are there keep their rights.

    Args:
        contents: By path; missing folders are made.
        durable: Whether they last through a power cut as well; many small files are faster without.
        staging: Folder on the same disk for what is not whole yet; None means next to each file.

    Returns:
        The paths.

    Raises:
        OSError: The system refuses; `filename` is the path, no file is half written, and a single one is as it was.
    """
    staged: dict[Path, Path] = {}
    path = Path()
    try:
        for path, content in contents.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            staged[path] = _place_beside(path if staging is None else staging / path.name)
            _write(staged[path], content)
            if durable:
                _flush(staged[path])
        for path, temporary in staged.items():
            _take_name(temporary, path, durable)
    except OSError as error:
        raise OSError(error.errno, error.strerror or str(error), str(path)) from error
    finally:
        for temporary in staged.values():
            _remove(temporary)
    return list(staged)


@contextmanager
def whole_path(path: Path, *, temporary: Path | None = None, durable: bool = True) -> Iterator[Path]:
    """A place to make a file or a folder at, which takes the path's name when the block ends without an error.

    Args:
        path: Of the file or folder; folders above it are made. A folder cannot replace one with content.
        temporary: The place, on the same disk, where something may lie already; None means a new one next to the path.
        durable: See `write_whole_files`.

    Raises:
        OSError: The system refuses; what is under the path is as it was.
    """
    place = _place_beside(path) if temporary is None else temporary
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        yield place
        if durable:
            for made in [place, *(place.rglob("*") if place.is_dir() else ())]:
                _flush(made)
        _take_name(place, path, durable)
    finally:
        _remove(place)


def try_place(folder: Path) -> None:
    """Write a small file into a folder and take it away again, and with it each folder that was made for it.

    Commands try the place of their result before they compute it.

    Args:
        folder: Need not be there.

    Raises:
        OSError: The system refuses; `filename` is the folder or what lies above it.
    """
    missing = [place for place in (folder, *folder.parents) if not place.exists()]
    made: list[Path] = []
    try:
        for place in reversed(missing):
            place.mkdir(exist_ok=True)
            made.append(place)
        temporary = _place_beside(folder / "place")
        try:
            _write(temporary, b"\0" * _TRIED)
            _flush(temporary)
        finally:
            _remove(temporary)
    except OSError as error:
        raise OSError(error.errno, error.strerror or str(error), str(folder)) from error
    finally:
        for place in reversed(made):
            with suppress(OSError):  # another command has begun there
                place.rmdir()


def _place_beside(path: Path) -> Path:
    """A hidden path in the same folder that no other process uses."""
    return path.with_name(f".{path.name[:_SHOWN]}.{uuid.uuid4().hex[:12]}.partial")


def _write(path: Path, content: Content) -> None:
    with path.open("wb") as stream:
        if callable(content):
            content(stream)
        else:
            stream.write(content.encode("utf-8") if isinstance(content, str) else content)


def _take_name(temporary: Path, path: Path, durable: bool) -> None:
    with suppress(FileNotFoundError):
        if temporary.is_file() and path.is_file():
            temporary.chmod(stat.S_IMODE(path.stat().st_mode))
    os.replace(temporary, path)
    if durable:
        with suppress(OSError):  # where a folder cannot be flushed, the system does so by itself
            _flush(path.parent)


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _remove(temporary: Path) -> None:
    """Delete what did not take its name, quietly: the error that kept it from that is the one to tell."""
    if temporary.is_dir() and not temporary.is_symlink():
        shutil.rmtree(temporary, ignore_errors=True)
    else:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def file_lock(path: Path, wait_seconds: float = -1) -> BaseFileLock:
    """A lock on a file that stays there: a context, or `acquire` and `release`.

    Args:
        path: Of the file; its folder must exist.
        wait_seconds: For another holder; below 0 means for ever. Then `acquire` raises TimeoutError.
    """
    from filelock import FileLock  # its import loads asyncio

    return FileLock(path, timeout=wait_seconds, thread_local=False)
