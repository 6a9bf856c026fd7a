"""A folder in object storage (`s3://`, `gs://` and what else fsspec knows), worked on through a copy on the local disk.

Objects cannot be appended to, locked or mapped into memory. So all work is done in the copy: `fetch` brings it up to
date, `send` uploads what is new in it. Each object is written whole, and one that others speak of comes first: features
before their journal, journals before the files that say what is finished. fsspec does the transfer; the extra `cloud`
has its parts for S3 and Google Cloud Storage, with their own ways to give keys and addresses. Nothing is locked in the
storage itself.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

from affect_lightning.errors import AffectLightningError, ConfigurationError, DataError
from affect_lightning.storage.whole_files import file_lock, whole_path, write_whole

_KNOWN, _LOCK = ".objects.json", ".objects.lock"
_LARGE = ".bin"  # files that only grow, and of which others speak
_ORDER = (_LARGE, ".jsonl", ".json")  # the order of sending, by ending
_FLEETING = {"atime", "nlink"}  # facts about an object that change without it


def is_address(place: str) -> bool:
    """Whether a place is in object storage, not a folder.

    >>> is_address("s3://bucket/features"), is_address("/data/features")
    (True, False)
    """
    return "://" in place


class ObjectFolder:
    """A folder in object storage and its local copy. Pickles; connects at its first use.

    Args:
        address: Such as `s3://bucket/features`.
        local: The copy, made when it is needed; it must be this folder's alone.
    """

    def __init__(self, address: str, local: Path) -> None:
        self.address, self.local = address.rstrip("/"), local

    def fetch(self, *patterns: str) -> None:
        """Bring files of the copy up to date; what is new in the copy, and was not sent yet, stays.

        Args:
            patterns: Of the wanted names below the address, such as `*/cache.json`.

        Raises:
            DataError: The storage cannot be read, or the copy not be written.
            ConfigurationError: The kind of storage is unknown, or its library is missing.
        """
        with self._connected() as (system, root), self._known() as known:
            objects = self._objects(system, root)
            wanted = [name for name in objects if any(fnmatchcase(name, pattern) for pattern in patterns)]
            for name in sorted(wanted, key=_rank, reverse=True):  # a journal before the features that it speaks of
                path = self.local / name
                if name in known and known[name][0] == objects[name] and path.is_file():
                    continue
                with whole_path(path, durable=False) as place:
                    system.get_file(f"{root}/{name}", str(place))
                known[name] = [objects[name], *_stamp(path)]
            for name in [name for name in known if name not in objects]:  # deleted there
                del known[name]
                with suppress(FileNotFoundError):
                    (self.local / name).unlink()

    def send(self) -> None:
        """Upload every file of the copy that is not in the storage as it is here.

        Raises:
            DataError: The storage cannot be written; each object is as it was or whole.
            ConfigurationError: The kind of storage is unknown, or its library is missing.
        """
        with self._connected() as (system, root), self._known() as known:
            fresh = [
                name
                for path in self.local.rglob("*")
                if path.is_file() and _is_sent(name := path.relative_to(self.local).as_posix())
                if name not in known or known[name][1:] != _stamp(path)
            ]
            # Small files as they are now: what they say of the large ones, which may be growing, is true of these later.
            small = {
                name: ((self.local / name).read_bytes(), _stamp(self.local / name))
                for name in fresh
                if not name.endswith(_LARGE)
            }
            for name in sorted(fresh, key=_rank):
                if name in small:
                    content, stamp = small[name]
                    _put(system, f"{root}/{name}", content)
                else:
                    stamp = _stamp(self.local / name)
                    _put(system, f"{root}/{name}", self.local / name)
                known[name] = ["", *stamp]
            objects = self._objects(system, root) if fresh else {}
            for name in fresh:
                known[name][0] = objects.get(name, "")

    def remove(self, prefix: str) -> None:
        """Delete what is below a name, in the storage and here.

        Raises:
            DataError: The storage cannot be written.
        """
        with self._connected() as (system, root), self._known() as known:
            for name in self._objects(system, root):
                if name.startswith(f"{prefix}/"):
                    system.rm_file(f"{root}/{name}")
                    known.pop(name, None)
            shutil.rmtree(self.local / prefix, ignore_errors=True)

    @staticmethod
    def _objects(system: Any, root: str) -> dict[str, str]:
        """A mark of each object's content, by its name below the address."""
        system.invalidate_cache()
        found = system.find(root, detail=True)
        base = root.rstrip("/") + "/"
        return {name.split(base, 1)[1]: _mark(about) for name, about in found.items() if base in name}

    @contextmanager
    def _known(self) -> Iterator[dict[str, Any]]:
        """What is known of each object: its mark, and size and time of change of the file that is its copy."""
        self.local.mkdir(parents=True, exist_ok=True)
        path = self.local / _KNOWN
        with file_lock(self.local / _LOCK):
            known: dict[str, Any] = {}
            with suppress(OSError, ValueError):
                known = json.loads(path.read_text(encoding="utf-8"))
            try:
                yield known
            finally:
                write_whole(path, json.dumps(known, indent=0), durable=False)

    @contextmanager
    def _connected(self) -> Iterator[tuple[Any, str]]:
        """Fsspec's file system and the path of the folder in it; whatever fails becomes a sentence."""
        remedy = "Run `pip install 'affect-lightning[cloud]'`"
        try:
            import fsspec

            system, root = fsspec.url_to_fs(self.address)
        except ImportError as error:
            raise ConfigurationError(f"{remedy}: {self.address} needs a library that is missing ({error}).") from error
        except ValueError as error:
            raise ConfigurationError(
                f"Give an address that fsspec knows, such as s3://bucket/features: {self.address} is none ({error})."
            ) from error
        try:
            yield system, root.rstrip("/")
        except AffectLightningError:
            raise
        except Exception as error:  # each kind of storage has errors of its own, without a common class
            raise DataError(
                f"Check the address, the keys and the space on both sides, then run the command again, which continues: "
                f"{self.address} and its copy {self.local} cannot be brought together ({type(error).__name__}: {error})."
            ) from error


def _put(system: Any, target: str, content: bytes | Path) -> None:
    """Write an object; readers see the former one or all of it. Storage does that by itself, a disk does not."""
    protocols = (system.protocol,) if isinstance(system.protocol, str) else system.protocol
    if "file" in protocols:
        write_whole(Path(target), content if isinstance(content, bytes) else partial(_copy, content))
    elif isinstance(content, bytes):
        system.pipe_file(target, content)
    else:
        system.put_file(str(content), target)


def _copy(source: Path, target: BinaryIO) -> None:
    with source.open("rb") as stream:
        shutil.copyfileobj(stream, target)


def _mark(about: Mapping[str, Any]) -> str:
    kept = sorted((str(key), str(value)) for key, value in about.items() if key not in _FLEETING)
    return hashlib.sha256(repr(kept).encode()).hexdigest()[:16]


def _rank(name: str) -> tuple[int, str]:
    return next((place for place, ending in enumerate(_ORDER) if name.endswith(ending)), len(_ORDER)), name


def _is_sent(name: str) -> bool:
    return not name.endswith(".lock") and not any(part.startswith(".") for part in name.split("/"))


def _stamp(path: Path) -> list[int]:
    status = os.stat(path)
    return [status.st_size, status.st_mtime_ns]
