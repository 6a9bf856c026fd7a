"""What lies in the folder of a packed set, and its manifest.

    manifest.json       written last: a folder without it is no finished set
    cache.json          what the features were made of, where features are packed (`feature_cache/manifest.py`)
    clips.npy           a row a clip (`CLIP_ROW`), read by memory mapping
    index.json          litdata's own index, so that `litdata.StreamingDataset` reads the folder as well
    chunk-0-N.bin       shards in litdata's format
    .packing/           the journal of an unfinished set (`journal.py`)

Neighbours: `packing.py` writes these, `packed_clips.py` and `shard_store.py` read them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from affect_lightning.contracts import ClipRecord
from affect_lightning.errors import DataError

FORMAT = "affect-lightning-pack/1"
MANIFEST, CLIPS, LITDATA_INDEX, STAGING = "manifest.json", "clips.npy", "index.json", ".packing"
# What a process knows of every clip without opening a shard: 15 bytes. `share` is `stable_share(name)`, `crc32` that of
# the clip's parts, `corpus` a position in the manifest's `corpora`.
CLIP_ROW = np.dtype([("share", "<f8"), ("crc32", "<u4"), ("corpus", "<u2"), ("flags", "u1")])
HAS_RELEASED_FACE, UNREADABLE = 1, 2  # bits of `flags`


class PackError(DataError):
    """A packed set is missing, unfinished, damaged, or another one than was asked for."""


def shard_name(shard: int) -> str:
    """File of a shard, named as litdata names it.

    >>> shard_name(12)
    'chunk-0-12.bin'
    """
    return f"chunk-0-{shard}.bin"


def names_hash(clips: Iterable[ClipRecord]) -> str:
    """SHA-256 of the sets and names of clips, in their order."""
    digest = hashlib.sha256()
    for clip in clips:
        digest.update(f"{clip.corpus}\0{clip.name}\n".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


@dataclass(frozen=True)
class Shard:
    """One shard.

    Attributes:
        clips: Clips in it.
        size: Of its file in bytes.
        sha256: Of its file.
    """

    clips: int
    size: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """What a packed set is.

    Attributes:
        payload: `media` (the files' bytes) or `features`.
        clips: Clips in it.
        names_sha256: See `names_hash`.
        index_sha256: Of `clips.npy`.
        corpora: The sets that the clips are of; see `ClipRecord.corpus`.
        shards: In their order.
        unreadable: Clips of which a file could not be read, with path, stage and reason; they are met again, and go to
            quarantine, when the set is read.
        beside: SHA-256 of the small files that the set carries, by name.
        selection: The options by which the clips were chosen.
        made_by: Versions of the software.
        format: Of the folder.
    """

    payload: str
    clips: int
    names_sha256: str
    index_sha256: str
    corpora: tuple[str, ...]
    shards: tuple[Shard, ...]
    unreadable: tuple[Mapping[str, str], ...] = ()
    beside: Mapping[str, str] = field(default_factory=dict)
    selection: Mapping[str, Any] = field(default_factory=dict)
    made_by: Mapping[str, str] = field(default_factory=dict)
    format: str = FORMAT

    def to_json(self) -> str:
        """The manifest as it is written, a shard a line."""
        plain = asdict(self)
        shards = ",\n  ".join(json.dumps([shard.clips, shard.size, shard.sha256]) for shard in self.shards)
        rest = json.dumps({**plain, "shards": []}, indent=1)
        return rest.replace('"shards": []', f'"shards": [\n  {shards}\n ]', 1) + "\n"

    @classmethod
    def from_json(cls, text: str, place: str) -> Manifest:
        """Read a manifest.

        Args:
            text: Its content.
            place: Where it is from, for messages.

        Raises:
            PackError: It is no manifest, of another format, or does not add up.
        """
        try:
            plain = json.loads(text)
            found = plain["format"] if isinstance(plain, dict) else None
            if found != FORMAT:
                raise PackError(
                    f"{place} has the format {found!r}, expected {FORMAT!r}. Pack the set again with this version."
                )
            shards = tuple(Shard(int(clips), int(size), str(digest)) for clips, size, digest in plain.pop("shards"))
            manifest = cls(
                **{**plain, "corpora": tuple(plain["corpora"]), "unreadable": tuple(plain["unreadable"])}, shards=shards
            )
        except (ValueError, KeyError, TypeError) as error:
            raise PackError(
                f"{place} is not the manifest of a packed set ({error}); expected what `affect-lightning pack` writes. Copy "
                f"or pack the set again."
            ) from error
        if sum(shard.clips for shard in shards) != manifest.clips:
            raise PackError(
                f"{place} is damaged: its shards have {sum(shard.clips for shard in shards)} clips, but it declares "
                f"{manifest.clips}. Copy or pack the set again."
            )
        return manifest


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, read in pieces."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while piece := stream.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()
