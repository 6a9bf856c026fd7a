"""What a file is that is not what its name promises: a web page, a pointer of Git LFS, an archive, nothing at all.

A download that went wrong leaves such files. A message that says so saves the search for a fault elsewhere. Readers of
tables, `.npz` files and media ask here once a file cannot be read; nothing of it is unpacked. Standard library only.
"""

from __future__ import annotations

from pathlib import Path

_HEAD_BYTES = 512
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
