"""Bytes into text and JSON for tables of any origin: encodings, bounds, halves of characters, what a file really is.

Files come from Excel, from Windows, from servers and from models. UTF-8 and UTF-16 are read, and Windows-1252 where
nothing else can be meant (MELD's own tables are written so). Whatever can expand has a bound. Neighbour:
`annotation_tables.py` makes rows.
"""

from __future__ import annotations

import codecs
import json
import logging
import re
from collections.abc import Iterator
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

from affect_lightning.errors import DataError
from affect_lightning.file_kinds import kind_of

MAX_FILE_BYTES = 2**31  # our choice: a million responses of 2,000 characters
MAX_CELL = 2**24  # characters of a cell or a line, our choice: a hundred times the longest response seen

_HEAD_BYTES = 512
_PIECE_BYTES = 2**20

_log = logging.getLogger(__name__)
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")
_UTF_32 = (b"\xff\xfe\0\0", b"\0\0\xfe\xff")
_HIGH_BYTES = re.compile(rb"[\x80-\xff]+")
# Alone between ASCII: quotes, dashes, dots and western letters. Not the letters that torn UTF-8 leaves behind.
_WINDOWS_LETTER = re.compile(rb"[\x80\x82-\x8c\x8e\x91-\x9c\x9e-\xbf\xc0\xc1\xc4-\xfe]")
_WINDOWS_SIGNS = re.compile(rb"[\x85\x91-\x97\xa0]+")
_HALF_EMPTY = re.compile(rb"(?:[^\0]\0){6}|(?:\0[^\0]){6}")
_SURROGATE = re.compile("[\ud800-\udfff]")
_ESCAPED_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


def read_text(path: Path) -> str:
    """The text of a file in UTF-8 or UTF-16 without a byte order mark, or in Windows-1252; raises as `encoding_of` does."""
    with path.open(encoding=encoding_of(path), newline="") as file:
        return file.read()


def text_lines(path: Path, newline: str = "") -> Iterator[str]:
    r"""The lines of the same text, one at a time, with their ends.

    Args:
        path: The file.
        newline: What ends a line, as `open` takes it; `\r`, `\n` and `\r\n` if empty.

    Raises:
        DataError: See `encoding_of`; or a line has more than MAX_CELL characters.
    """
    with path.open(encoding=encoding_of(path), newline=newline) as file:
        for number, line in enumerate(iter(partial(file.readline, MAX_CELL + 2), ""), start=1):
            if len(line) > MAX_CELL and len(line.rstrip("\r\n")) > MAX_CELL:
                raise DataError(
                    f"{path}, line {number} has more than {MAX_CELL:,} characters, which is the most that is read. Split or "
                    f"shorten it."
                )
            yield line


def encoding_of(path: Path) -> str:
    """The encoding in which a whole file can be read, as `open` takes it.

    The file is looked through in pieces, once as long as it does not change.

    Raises:
        DataError: The file is missing, unreadable, damaged, too large, something else than text or in another encoding;
            the message names the line.
    """
    try:
        found = path.stat()
        if found.st_size > MAX_FILE_BYTES:
            raise DataError(f"{path} is larger than {MAX_FILE_BYTES >> 20:,} MiB. Split the file.")
        return _encoding(path, found.st_size, found.st_mtime_ns)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}. Restore the file.") from error


@lru_cache(maxsize=64)
def _encoding(path: Path, size: int, changed: int) -> str:
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    what = kind_of(head)
    if what is not None:
        raise DataError(f"{path} is {what}.")
    if head.startswith(_UTF_32) or (len(head) > 7 and (head[:3] == b"\0\0\0" or head[1:4] == b"\0\0\0")):
        raise DataError(f"Save {path} as UTF-8: it is UTF-32, which is not read.")
    codec, name = ("utf-16", "UTF-16") if head.startswith(_UTF_16) else ("utf-8-sig", "UTF-8")
    if _decodes(path, codec):
        return codec
    content = path.read_bytes()
    if codec != "utf-16" and b"\0" in content:
        if _HALF_EMPTY.match(head):
            raise DataError(f"Save {path} as UTF-8: it looks like UTF-16 without a byte order mark, which is not read.")
        line = content[: content.index(b"\0")].count(b"\n") + 1
        raise DataError(
            f"{path}, line {line} holds a NUL byte: the file is damaged, or it is not UTF-8 text. Restore the file."
        )
    if codec == "utf-16" or not _is_windows(content):
        _refuse_encoding(path, content, codec, name)
    _log.warning("%s is not UTF-8; it is read as Windows-1252 (cp1252). Save it as UTF-8 to be sure.", path)
    return "cp1252"


def _decodes(path: Path, codec: str) -> bool:
    """Whether all bytes are text in this encoding."""
    decoder = codecs.getincrementaldecoder(codec)()
    try:
        with path.open("rb") as file:
            for piece in iter(partial(file.read, _PIECE_BYTES), b""):
                if codec != "utf-16" and b"\0" in piece:
                    return False
                decoder.decode(piece)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True


def _refuse_encoding(path: Path, content: bytes, codec: str, name: str) -> None:
    try:
        content.decode(codec)
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise DataError(
            f"{path}, line {line} cannot be read as {name} ({error.reason} at byte {error.start}). Save the file as UTF-8."
        ) from error


def _is_windows(content: bytes) -> bool:
    """Whether every byte beyond ASCII is a western letter or sign by itself; Asian encodings have runs of two and more."""
    return all(
        _WINDOWS_LETTER.fullmatch(found.group()) or _WINDOWS_SIGNS.fullmatch(found.group())
        for found in _HIGH_BYTES.finditer(content)
    )


def parse_json(text: str, where: str) -> Any:
    """The content of a JSON text; half a character, as a cut emoji leaves it, becomes a replacement character.

    Args:
        text: Of a file or of a line.
        where: File and line, for messages.

    Raises:
        DataError: It is no JSON, is longer than MAX_CELL allows, nests too deeply, or has a key twice in one object.
    """
    if len(text) > MAX_CELL and "\n" not in text[:MAX_CELL]:
        raise DataError(f"{where} has {len(text):,} characters; at most {MAX_CELL:,} are read. Split or shorten it.")
    try:
        content = json.loads(text, object_pairs_hook=_object)
    except _TwiceError as error:
        raise DataError(f"{where} has the key {str(error)!r} twice in one object. Keep one of the two.") from error
    except RecursionError as error:
        raise DataError(f"{where} nests too deeply for JSON data. Fix or remove it.") from error
    except json.JSONDecodeError as error:
        raise DataError(f"{where} is not JSON: {error}. Fix or remove the line.") from error
    except ValueError as error:  # Python reads no whole number beyond 4,300 digits
        raise DataError(f"{where} has a number with too many digits. Fix or remove it.") from error
    return _whole(content) if _ESCAPED_SURROGATE.search(text) else content


class _TwiceError(Exception):
    """A key that stands twice in an object; Python would take the last one without a word."""


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) < len(pairs):
        keys = [key for key, _ in pairs]
        raise _TwiceError(next(key for key in keys if keys.count(key) > 1))
    return content


def _whole(value: Any) -> Any:
    """The same value without lone surrogates, which no file or terminal takes."""
    if isinstance(value, str):
        return whole_text(value)
    if isinstance(value, list):
        return [_whole(item) for item in value]
    if isinstance(value, dict):
        return {_whole(key): _whole(item) for key, item in value.items()}
    return value


def whole_text(text: str) -> str:
    """A text in which each half of a character is a replacement character.

    >>> whole_text(chr(0xD83D) + " hi") == chr(0xFFFD) + " hi"
    True
    """
    return _SURROGATE.sub("\N{REPLACEMENT CHARACTER}", text)
