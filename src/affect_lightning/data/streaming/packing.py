"""Writes a packed set, shard by shard; killed at any moment, it goes on where it stopped.

A shard is written by litdata under `.packing`, moved to its final name when it is whole, and then noted in the journal;
the manifest comes last. Neighbours: `packed_items.py` makes the items, `journal.py` keeps the account, `layout.py` says
what lies where. The command is `affect-lightning pack`.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from affect_lightning.contracts import ClipRecord
from affect_lightning.data.clip_sources import stable_share
from affect_lightning.data.streaming.journal import Journal, PackedShard
from affect_lightning.data.streaming.layout import (
    CLIP_ROW,
    CLIPS,
    FORMAT,
    HAS_RELEASED_FACE,
    LITDATA_INDEX,
    MANIFEST,
    STAGING,
    UNREADABLE,
    Manifest,
    PackError,
    Shard,
    file_sha256,
    names_hash,
    shard_name,
)
from affect_lightning.data.streaming.packed_items import MEDIA, Parts, Payload, Problems, checksum
from affect_lightning.errors import ConfigurationError

SHARD_BYTES = 64 * 2**20  # litdata's own default: large enough for storage, small enough to hold several of
MAX_SHARD_BYTES = 2**31  # litdata counts a shard's bytes in 32 bits
MAX_SHARD_CLIPS = 8192  # our choice: four times the clips that a shard of cached features (30 KB each) holds
_UNLIMITED = 2**40  # for litdata, whose writer would otherwise close shards by a rule of its own


def pack_clips(
    clips: Sequence[ClipRecord],
    folder: Path,
    *,
    payload: Payload = MEDIA,
    shard_bytes: int = SHARD_BYTES,
    selection: Mapping[str, Any] | None = None,
    show_progress: bool = False,
) -> Manifest:
    """Write clips as a packed set, or finish what an earlier call began.

    Args:
        clips: In the order that the set keeps.
        folder: Made if it is missing; must be empty, or hold an unfinished or finished pack of the same clips.
        payload: What of each clip is packed.
        shard_bytes: A shard is closed before it would grow past this.
        selection: The options by which the clips were chosen, for the manifest.
        show_progress: Draw a bar with rate and time left on standard error.

    Raises:
        PackError: The folder holds something else, is being written by another process, or cannot be written.
        ConfigurationError: `shard_bytes` is out of range, or there are no clips.
    """
    if not clips:
        raise ConfigurationError("There are no clips to pack.")
    if not 1 <= shard_bytes <= MAX_SHARD_BYTES:
        raise ConfigurationError(
            f"A shard's size must be 1 byte to {MAX_SHARD_BYTES >> 30} GiB; got {shard_bytes} bytes."
        )
    request = {
        "format": FORMAT,
        "payload": payload.kind,
        "identity": payload.identity,
        "clips": len(clips),
        "names": names_hash(clips),
        "shard_bytes": shard_bytes,
        "selection": dict(selection or {}),
    }
    if finished := _finished(folder, request):
        return finished
    try:
        with _staging(folder) as staging:
            return _Packer(clips, folder, staging, payload, request).run(show_progress)
    except OSError as error:
        raise PackError(
            f"The packed set {folder} cannot be written: {error.strerror or error}. Free space or choose another "
            f"folder; the same command goes on where this one stopped."
        ) from error


def _finished(folder: Path, request: dict[str, Any]) -> Manifest | None:
    """The manifest of a set that is packed already."""
    path = folder / MANIFEST
    if not path.is_file():
        return None
    manifest = Manifest.from_json(path.read_text(encoding="utf-8"), str(path))
    same = (manifest.payload, manifest.names_sha256) == (request["payload"], request["names"])
    if not same or dict(manifest.selection) != json.loads(json.dumps(request["selection"])):
        raise PackError(
            f"{folder} holds another packed set ({manifest.clips} clips, payload {manifest.payload}). Choose another "
            f"folder, or delete this one."
        )
    shutil.rmtree(folder / STAGING, ignore_errors=True)  # a kill between the manifest and the tidying leaves it
    return manifest


@contextmanager
def _staging(folder: Path) -> Iterator[Path]:
    """The folder of unfinished files, held by this process alone."""
    from filelock import FileLock, Timeout

    staging = folder / STAGING
    if folder.is_dir() and not staging.is_dir() and any(folder.iterdir()):
        raise PackError(f"The folder {folder} is not empty and holds no packed set. Choose another one.")
    staging.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(staging / "lock", timeout=0):
            yield staging
    except Timeout as error:
        raise PackError(f"Another process is packing into {folder}. Wait for it, or choose another folder.") from error
    if (folder / MANIFEST).is_file():
        shutil.rmtree(staging)


class _Packer:
    """One run of the packing."""

    def __init__(
        self, clips: Sequence[ClipRecord], folder: Path, staging: Path, payload: Payload, request: dict[str, Any]
    ) -> None:
        self.clips, self.folder, self.staging, self.payload, self.request = clips, folder, staging, payload, request
        self.corpora = list(dict.fromkeys(clip.corpus for clip in clips))
        self.journal = Journal(staging / "journal.jsonl", request)

    def run(self, show_progress: bool) -> Manifest:
        from tqdm import tqdm

        done = self.journal.clips
        with tqdm(
            total=len(self.clips), initial=done, unit="clip", desc="Packing", disable=not show_progress, file=sys.stderr
        ) as bar:
            held: list[tuple[ClipRecord, Parts, Problems]] = []
            size = 0
            for position in range(done, len(self.clips)):
                clip = self.clips[position]
                parts, problems = self.payload.parts(position, clip)
                grown = size + sum(map(len, parts))
                if held and (grown > self.request["shard_bytes"] or len(held) >= MAX_SHARD_CLIPS):
                    self._write_shard(held)
                    held, grown = [], grown - size
                held.append((clip, parts, problems))
                size = grown
                bar.update()
            if held:
                self._write_shard(held)
        return self._finish()

    def _write_shard(self, held: list[tuple[ClipRecord, Parts, Problems]]) -> None:
        """Write with litdata, move into place, note in the journal; in this order."""
        name = shard_name(len(self.journal.shards))
        unfinished = self._litdata_file([parts for _, parts, _ in held], len(self.journal.shards))
        shard = Shard(len(held), unfinished.stat().st_size, file_sha256(unfinished))
        with unfinished.open("rb") as stream:
            os.fsync(stream.fileno())
        os.replace(unfinished, self.folder / name)
        rows = np.zeros(len(held), CLIP_ROW)
        unreadable: list[dict[str, str]] = []
        for row, (clip, parts, problems) in zip(rows, held, strict=True):
            row["share"], row["crc32"] = stable_share(clip.name), checksum(parts)
            row["corpus"] = self.corpora.index(clip.corpus)
            row["flags"] = (clip.face is not None) * HAS_RELEASED_FACE + bool(problems) * UNREADABLE
            unreadable += [
                {"name": clip.name, "corpus": clip.corpus, "path": path, "stage": stage, "reason": reason}
                for stage, path, reason in problems
            ]
        self.journal.add(PackedShard(shard, rows, unreadable))

    def _litdata_file(self, items: Sequence[Parts], number: int) -> Path:
        """One shard in litdata's format, under the staging folder; its description is left in `0.index.json` there."""
        from litdata.streaming.writer import BinaryWriter

        attempt = self.staging / "shard"
        shutil.rmtree(attempt, ignore_errors=True)
        writer = BinaryWriter(str(attempt), chunk_bytes=_UNLIMITED, chunk_index=number)
        for position, parts in enumerate(items):
            writer.add_item(position, parts)
        (written,) = writer.done()
        (index,) = attempt.glob(f"*.{LITDATA_INDEX}")
        os.replace(index, self.staging / LITDATA_INDEX)
        return Path(written)

    def _finish(self) -> Manifest:
        """Write the indices, and the manifest last."""
        shards = tuple(packed.shard for packed in self.journal.shards)
        rows = np.concatenate([packed.rows for packed in self.journal.shards])
        with self._whole_file(CLIPS) as path, path.open("wb") as stream:
            np.save(stream, rows)
        with self._whole_file(LITDATA_INDEX) as path:
            path.write_text(self._litdata_index(shards), encoding="utf-8")
        for name, content in self.payload.beside.items():
            with self._whole_file(name) as path:
                path.write_bytes(content)
        manifest = Manifest(
            payload=self.payload.kind,
            clips=len(rows),
            names_sha256=self.request["names"],
            index_sha256=file_sha256(self.folder / CLIPS),
            corpora=tuple(self.corpora),
            shards=shards,
            beside={name: file_sha256(self.folder / name) for name in self.payload.beside},
            unreadable=tuple(entry for packed in self.journal.shards for entry in packed.unreadable),
            selection=json.loads(json.dumps(self.request["selection"])),
            made_by={name: version(name) for name in ("affect-lightning", "litdata")},
        )
        with self._whole_file(MANIFEST) as path:
            path.write_text(manifest.to_json(), encoding="utf-8")
        return manifest

    @contextmanager
    def _whole_file(self, name: str) -> Iterator[Path]:
        """A temporary path; what is written there appears under its name, complete."""
        temporary = self.staging / f"{name}.{uuid.uuid4().hex}"
        yield temporary
        with temporary.open("rb") as stream:
            os.fsync(stream.fileno())
        os.replace(temporary, self.folder / name)

    def _litdata_index(self, shards: Sequence[Shard]) -> str:
        """What litdata writes when it merges the indices of its workers."""
        config = json.loads((self.staging / LITDATA_INDEX).read_text(encoding="utf-8"))["config"]
        chunks = [
            {"chunk_bytes": shard.size, "chunk_size": shard.clips, "dim": None, "filename": shard_name(number)}
            for number, shard in enumerate(shards)
        ]
        config["chunk_bytes"] = self.request["shard_bytes"]
        return json.dumps({"chunks": chunks, "config": config, "updated_at": "0"}, sort_keys=True)
