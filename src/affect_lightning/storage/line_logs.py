"""Append-only logs: files of lines, of which a kill at any moment costs at most the last line.

A line counts when its end is written. If a kill or a full disk cut a line off, every reader leaves it out, and the next
writer reports it and continues after the last complete line. With checksums, a changed line is noticed too. The plain
form is JSON lines, which people and other programs read. `whole_files.py` is for files that do not grow.
"""

from __future__ import annotations

import errno
import json
import logging
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple
from zlib import crc32

from affect_lightning.storage.whole_files import write_whole

_log = logging.getLogger(__name__)


class DamagedLineError(ValueError):
    """A whole line is not what was written."""


class Line(NamedTuple):
    """A line that was written to its end: its number from 1, its place in bytes, and what it holds.

    The body is None if the line's checksum is wrong.
    """

    number: int
    offset: int
    end: int
    body: bytes | None


class LineLog:
    """Lines in a file: bytes (`append`, `new_lines`, `line_at`), or JSON values (`add`, `records`, `new_records`).

    Nothing is made before the first line is added, and a file that is not there is an empty one.

    Attributes:
        path: Of the file.
        read_to: Bytes that `new_lines` has read.
        damaged: Lines that `new_records` has passed over.
    """

    def __init__(self, path: Path, *, checksums: bool = False, shared: bool = False, durable: bool = False) -> None:
        """Name the file.

        Args:
            path: Of the file.
            checksums: Whether each line begins with the CRC-32 of the rest.
            shared: Whether several processes append at once. Then a torn line stays, as a damaged one, and the next
                begins behind it; a single writer cuts it off.
            durable: Whether a line lasts through a power cut as well, and not only through a kill.
        """
        self.path = path
        self.checksums, self.shared, self.durable = checksums, shared, durable
        self.read_to = self.damaged = 0
        self._lines_read = 0

    def append(self, *bodies: bytes) -> None:
        """Add lines, without their ends, by a single write; a kill after it does not undo it.

        Raises:
            OSError: The system refuses; no part of the lines counts, but some of several may in a shared file.
        """
        payload = b"".join(map(self._packed, bodies))
        self.path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o666)
        try:
            tries = 2  # a short write is tried once more; on a full disk the system then gives the reason
            while tries:
                content = self._behind_torn_line(descriptor) + payload
                size = os.fstat(descriptor).st_size
                if os.write(descriptor, content) < len(content):
                    tries -= 1
                    if not self.shared:
                        os.ftruncate(descriptor, size)
                elif not self.shared or self._begins_a_line(descriptor, content):
                    break
            else:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.path))
            if self.durable:
                os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def new_lines(self) -> Iterator[Line]:
        """The whole lines behind those that this has given already, by whichever process they were added.

        Raises:
            OSError: The file cannot be read.
        """
        for line in self._scan(self.read_to, self._lines_read):
            self.read_to, self._lines_read = line.end, line.number
            yield line

    def new_values(self) -> Iterator[tuple[Line, Any]]:
        """The lines behind those that this has given already, each with its value.

        Raises:
            DamagedLineError: A line is damaged; the message names it.
            OSError: The file cannot be read.
        """
        return ((line, self._record(line)) for line in self.new_lines())

    def value_at(self, offset: int) -> Any:
        """The value of the line at a place.

        Raises:
            DamagedLineError: It is gone or damaged.
            OSError: The file cannot be read.
        """
        line = next(self._scan(offset), None)
        if line is None or line.body is None:
            raise DamagedLineError(f"The line at byte {offset} of {self.path} is gone or damaged.")
        return self._record(line)

    def line_at(self, offset: int) -> bytes | None:
        """What the line at a place holds; None if it is gone or damaged."""
        line = next(self._scan(offset), None)
        return None if line is None else line.body

    def add(self, *records: Any) -> None:
        """Add JSON values by a single write; see `append`."""
        self.append(*map(self._text, records))

    def records(self) -> list[Any]:
        """All values; see `each_record` for errors."""
        return list(self.each_record())

    def each_record(self) -> Iterator[Any]:
        """The values, of which one is in memory at a time.

        Raises:
            DamagedLineError: A line is damaged; the message names it.
            OSError: The file cannot be read.
        """
        return map(self._record, self._scan())

    def new_records(self) -> Iterator[Any]:
        """The values behind those that this has given already; damaged lines are passed over and counted.

        Raises:
            OSError: The file cannot be read.
        """
        for line in self.new_lines():
            if self.shared and line.body == b"":  # a writer took a line that another was still writing for a torn one
                continue
            try:
                record = self._record(line)
            except DamagedLineError:
                self.damaged += 1
            else:
                yield record

    def rewrite(self, records: Iterable[Any]) -> None:
        """Replace all lines by other values in one step; for a single writer.

        Raises:
            OSError: The system refuses; the file is as it was.
        """
        lines = [self._packed(self._text(record)) for record in records]
        write_whole(self.path, b"".join(lines), durable=self.durable)

    def _scan(self, offset: int = 0, number: int = 0) -> Iterator[Line]:
        try:
            stream = self.path.open("rb")
        except FileNotFoundError:
            return
        with stream:
            stream.seek(offset)
            for text in stream:
                if not text.endswith(b"\n"):  # cut off, or being written
                    return
                number, begin, offset = number + 1, offset, offset + len(text)
                yield Line(number, begin, offset, self._unpacked(text[:-1]))

    def _packed(self, body: bytes) -> bytes:
        return (b"%08x %s\n" % (crc32(body), body)) if self.checksums else body + b"\n"

    def _unpacked(self, text: bytes) -> bytes | None:
        if not self.checksums:
            return text
        return text[9:] if text[:9] == b"%08x " % crc32(text[9:]) else None

    def _text(self, record: Any) -> bytes:
        separators = (",", ":") if self.checksums else None
        # Half a surrogate, as file names and language models give it, becomes an escape of JSON.
        return json.dumps(record, ensure_ascii=False, separators=separators).encode("utf-8", "backslashreplace")

    def _record(self, line: Line) -> Any:
        try:
            if line.body is None:
                raise ValueError("its checksum is wrong")
            return json.loads(line.body)
        except ValueError as error:
            raise DamagedLineError(f"Line {line.number} of {self.path} is damaged ({error}).") from error

    @staticmethod
    def _begins_a_line(descriptor: int, content: bytes) -> bool:
        """Whether what was just written stands behind an end of a line.

        It does not if another process was killed inside its line after `_behind_torn_line` had looked.
        """
        begin = os.lseek(descriptor, 0, os.SEEK_CUR) - len(content)
        return begin == 0 or content.startswith(b"\n") or os.pread(descriptor, 1, begin - 1) == b"\n"

    def _behind_torn_line(self, descriptor: int) -> bytes:
        """Bring the end of the file to the begin of a line, or give what has to be written before one."""
        size = os.fstat(descriptor).st_size
        if size == 0 or os.pread(descriptor, 1, size - 1) == b"\n":
            return b""
        _log.warning("The last line of %s was cut off by a kill or a full disk. It is left out.", self.path)
        if self.shared:
            return b"\n"
        os.ftruncate(descriptor, self.path.read_bytes().rfind(b"\n") + 1)
        return b""
