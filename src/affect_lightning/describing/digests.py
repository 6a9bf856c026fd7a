"""What is in a file or folder, as a name: answers that depend on it have another identity when it changes."""

from __future__ import annotations

import hashlib
from pathlib import Path

_CHUNK = 1 << 22  # bytes read at once


def digest_of(place: str | Path) -> str:
    """The place by its last name, with the beginning of the SHA-256 of what is in it.

    Args:
        place: A file, or a folder with all below it.

    Raises:
        OSError: It cannot be read.
    """
    root = Path(place)
    digest = hashlib.sha256()
    for path in [root] if root.is_file() else sorted(path for path in root.rglob("*") if path.is_file()):
        digest.update(path.relative_to(root).as_posix().encode() + b"\0")
        with path.open("rb") as stream:
            while chunk := stream.read(_CHUNK):
                digest.update(chunk)
    return f"{root.resolve().name} sha256={digest.hexdigest()[:12]}"
