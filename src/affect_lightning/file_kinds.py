"""What a file is that is not what its name promises: a web page, a pointer of Git LFS, an archive, nothing at all.

A download that went wrong leaves such files. A message that says so saves the search for a fault elsewhere. Readers of
tables, `.npz` files, weights and media ask here once a file cannot be read; nothing of it is unpacked. Standard library
only.
"""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import BinaryIO

_HEAD_BYTES = 512
_HEADER_BYTES = 100_000_000  # the largest header that the safetensors format allows
_POINTER_BYTES = 1024  # a pointer of Git LFS or git-annex is one to three short lines

_BEGINNINGS: tuple[tuple[bytes, str], ...] = (
    (b"version https://git-lfs", "a Git LFS pointer, not the file itself. Run `git lfs pull` in its repository"),
    (b"../.git/annex/objects/", "a git-annex pointer, not the file itself. Run `git annex get` in its repository"),
    (b"/annex/objects/", "a git-annex pointer, not the file itself. Run `git annex get` in its repository"),
    (b"PK\x03\x04", "a zip archive (.zip, .xlsx, .npz). Unpack it, or give it its proper ending"),
    (b"PK\x05\x06", "an empty zip archive. Copy or download the file again"),
    (b"\x1f\x8b", "a gzip archive. Unpack it with `gunzip`"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive. Unpack it"),
    (b"Rar!\x1a\x07", "a rar archive. Unpack it"),
    (b"PAR1", "a parquet file. Give it the ending .parquet"),
    (b"\x93NUMPY", "a NumPy file (.npy). Give the table instead"),
    (b"%PDF", "a PDF document. Give the table instead"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old Excel file (.xls). Save it as .xlsx or .csv"),
    (b"SQLite format 3\0", "an SQLite database. Give the table instead"),
)
_PAGES = (b"<!doctype html", b"<html", b"<head", b"<?xml version")


def kind_of(head: bytes) -> str | None:
    """What the first bytes of a file are, with the remedy; None for anything that is not in the list.

    >>> kind_of(b"<!DOCTYPE html><title>Sign in</title>")
    'a web page, not the file itself. Download it again; the site may want you to log in'
    >>> kind_of(b"name,openset")
    """
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n")
    if text[:32].lower().startswith(_PAGES):
        return "a web page, not the file itself. Download it again; the site may want you to log in"
    return next((what for beginning, what in _BEGINNINGS if text.startswith(beginning)), None)


def foreign_kind(path: Path) -> str | None:
    """The same for a file on the disk, empty files too; None also for a file that cannot be opened."""
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
    except OSError:
        return None
    return kind_of(head) if head else "empty. Copy or download it again"


def pointer_kind(path: Path) -> str | None:
    """What stands in the place of a media file or an archive: a pointer, a web page or nothing; None for anything else."""
    try:
        is_small = path.stat().st_size <= _POINTER_BYTES
    except OSError:
        return None
    found = foreign_kind(path)
    if found is None or not (is_small or found.startswith("a web page")):
        return None
    return found if found.startswith(("a web page", "a Git LFS", "a git-annex", "empty")) else None


def damaged_weights(path: Path) -> str:
    """What is wrong with a file of weights that its library cannot read, in a sentence with the remedy first.

    Args:
        path: A zip file of torch, or a safetensors file.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
            names = _safetensors_size(file, size) if path.suffix == ".safetensors" else None
    except OSError as error:
        return f"Copy or export {path} again: it cannot be opened ({(error.strerror or type(error).__name__).lower()})."
    is_zip = head.startswith(b"PK\x03\x04") and path.suffix != ".safetensors"
    what = None if is_zip else foreign_kind(path)
    if what is not None:
        return f"{path} is {what}."
    if names is not None and size < names:
        return f"Copy or export {path} again: it is cut. It has {size:,} bytes, and its beginning names {names:,}."
    if is_zip and not zipfile.is_zipfile(path):
        return f"Copy or export {path} again: it is cut. It has {size:,} bytes, and its end with the list of contents is missing."
    return f"Copy or export {path} again: it is damaged or of another kind. It has {size:,} bytes."


def _safetensors_size(file: BinaryIO, size: int) -> int | None:
    """Bytes that the header of an open safetensors file names; None if it cannot be read."""
    file.seek(0)
    length = int.from_bytes(file.read(8), "little")
    if length > size - 8:
        return 8 + length if length < _HEADER_BYTES else None
    try:
        entries = json.loads(file.read(length))
        return 8 + length + max(entry["data_offsets"][1] for name, entry in entries.items() if name != "__metadata__")
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError):
        return None
