"""What was found, one line a clip, so that an interrupted inspection goes on where it stopped.

A line is written at once and whole; a kill can cut off the last one at most, which is then left out and its clip checked
again. A clip is known by the path, size and time of change of its files: a changed clip is checked anew. Neighbours:
`clip_check.py` makes the entries, `media.py` asks here first.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType

from affect_lightning.contracts import ClipRecord
from affect_lightning.data.inspection.clip_check import CHECK_VERSION, ClipCheck
from affect_lightning.errors import DataError

UNFINISHED = ".unfinished"


def clip_key(record: ClipRecord, settings: str) -> str:
    """Under what a clip's check is kept.

    Args:
        record: The clip.
        settings: Everything else that a verdict depends on: what is read, and how.
    """
    parts = [str(CHECK_VERSION), settings, record.corpus, record.name]
    parts += [str(bool(part)) for part in (record.labels, record.description, record.sentiment is not None)]
    for path in (record.video, record.audio, record.face):
        try:
            status = path.stat() if path is not None else None
        except OSError:
            status = None
        parts += [str(path), f"{status.st_size} {status.st_mtime_ns}" if status is not None else "-"]
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogateescape")).hexdigest()[:32]


class Journal:
    """Checks by key, kept in a JSONL file. A context manager: the file is open inside.

    Args:
        path: The file; its folder is made.

    Raises:
        DataError: On entering: the file cannot be read or written.
    """

    def __init__(self, path: Path):
        self.path = path
        self.known: dict[str, ClipCheck] = {}
        self._descriptor: int | None = None

    def __enter__(self) -> Journal:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            lines = self.path.read_bytes().split(b"\n") if self.path.is_file() else [b""]
            found = [entry for line in lines[:-1] if (entry := _entry(line)) is not None]
            self.known = dict(found)
            if lines[-1] or len(self.known) != len(lines) - 1:  # cut off, damaged or double lines
                self._rewrite(self.known.items())
            self._descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        except OSError as error:
            raise self._refused(error) from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def add(self, key: str, check: ClipCheck) -> None:
        """Keep a check.

        Raises:
            DataError: The file cannot be written.
        """
        self.known[key] = check
        assert self._descriptor is not None
        content = _line(key, check)
        try:
            if os.write(self._descriptor, content) != len(content):
                raise OSError(28, "No space left on device")
        except OSError as error:
            raise self._refused(error) from error

    def _rewrite(self, entries: Iterable[tuple[str, ClipCheck]]) -> None:
        unfinished = self.path.with_name(self.path.name + UNFINISHED)
        unfinished.write_bytes(b"".join(_line(key, check) for key, check in entries))
        os.replace(unfinished, self.path)

    def _refused(self, error: OSError) -> DataError:
        return DataError(
            f"The journal {self.path} cannot be used: {error.strerror}. Free some space, or choose another folder with "
            f"--cache."
        )


def _line(key: str, check: ClipCheck) -> bytes:
    return (json.dumps({"key": key, "check": check.plain()}, ensure_ascii=False) + "\n").encode(
        "utf-8", "surrogateescape"
    )


def _entry(line: bytes) -> tuple[str, ClipCheck] | None:
    try:
        content = json.loads(line)
        return str(content["key"]), ClipCheck.from_plain(content["check"])
    except (ValueError, TypeError, KeyError):
        return None
