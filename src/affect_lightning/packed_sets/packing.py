"""Writes a packed set, shard by shard; killed at any moment, it continues where it stopped.

litdata writes a shard under `.packing`. When it is complete, it is moved to its final name and then noted in the
journal. So a shard without a line is written again, and a clip is in exactly one shard that has a line. The manifest
comes last. `layout.py` makes the items and has the format. The command is `affect-lightning pack`.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from affect_lightning.contracts import ClipRecord
from affect_lightning.data.clip_sources import stable_share
from affect_lightning.errors import ConfigurationError
from affect_lightning.packed_sets.layout import (
    CLIP_ROW,
    CLIPS,
    FORMAT,
    HAS_RELEASED_FACE,
    LITDATA_INDEX,
    MANIFEST,
    MEDIA,
    STAGING,
    UNREADABLE,
    Manifest,
    PackError,
    Parts,
    Payload,
    Problems,
    Shard,
    checksum,
    file_sha256,
    names_hash,
    shard_name,
)
from affect_lightning.storage import Content, DamagedLineError, LineLog, file_lock, whole_path, write_whole_files

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
        raise ConfigurationError("There are no clips to pack. Check the options that select training clips.")
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
            f"folder; then run the same command to continue."
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
    staging = folder / STAGING
    if folder.is_dir() and not staging.is_dir() and any(folder.iterdir()):
        raise PackError(f"The folder {folder} is not empty and holds no packed set. Choose another folder.")
    staging.mkdir(parents=True, exist_ok=True)
    try:
        held = file_lock(staging / "lock", wait_seconds=0).acquire()
    except TimeoutError as error:
        raise PackError(f"Another process is packing into {folder}. Wait for it, or choose another folder.") from error
    with held:
        yield staging
    if (folder / MANIFEST).is_file():
        shutil.rmtree(staging)


class _Packer:
    """One run of the packing."""

    def __init__(
        self, clips: Sequence[ClipRecord], folder: Path, staging: Path, payload: Payload, request: dict[str, Any]
    ) -> None:
        self.clips, self.folder, self.staging, self.payload, self.request = clips, folder, staging, payload, request
        self.corpora = list(dict.fromkeys(clip.corpus for clip in clips))
        self.journal = PackJournal(staging / "journal.jsonl", request)

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
        number = len(self.journal.shards)
        unfinished = self._litdata_file([parts for _, parts, _ in held], number)
        with whole_path(self.folder / shard_name(number), temporary=unfinished):
            shard = Shard(len(held), unfinished.stat().st_size, file_sha256(unfinished))
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
        self._write(
            {
                CLIPS: lambda stream: np.save(stream, rows),
                LITDATA_INDEX: self._litdata_index(shards),
                **self.payload.beside,
            }
        )
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
        self._write({MANIFEST: manifest.to_json()})
        return manifest

    def _write(self, contents: Mapping[str, Content]) -> None:
        """Write whole files; what a kill leaves of them is under the staging folder."""
        write_whole_files({self.folder / name: content for name, content in contents.items()}, staging=self.staging)

    def _litdata_index(self, shards: Sequence[Shard]) -> str:
        """What litdata writes when it merges the indices of its workers."""
        config = json.loads((self.staging / LITDATA_INDEX).read_text(encoding="utf-8"))["config"]
        chunks = [
            {"chunk_bytes": shard.size, "chunk_size": shard.clips, "dim": None, "filename": shard_name(number)}
            for number, shard in enumerate(shards)
        ]
        config["chunk_bytes"] = self.request["shard_bytes"]
        return json.dumps({"chunks": chunks, "config": config, "updated_at": "0"}, sort_keys=True)


@dataclass(frozen=True)
class PackedShard:
    """A shard that is complete.

    Attributes:
        shard: Its file.
        rows: Of its clips, `CLIP_ROW`.
        unreadable: See `Manifest.unreadable`.
    """

    shard: Shard
    rows: np.ndarray
    unreadable: list[dict[str, str]] = field(default_factory=list)


class PackJournal:
    """The complete shards of one request, in a log of the staging folder.

    Args:
        file: The journal, made when it is missing.
        request: What is packed, and how; another one cannot be continued.

    Raises:
        PackError: The journal is of another request, or a shard that it names is missing or of another size.
    """

    def __init__(self, file: Path, request: dict[str, Any]) -> None:
        self.folder = file.parent.parent
        self.shards: list[PackedShard] = []
        self._log = LineLog(file, checksums=True, durable=True)
        try:
            lines = self._log.records()
        except DamagedLineError as error:
            raise PackError(f"{error} Delete the folder {self.folder} and pack again.") from error
        if not lines:
            self._log.add({"request": request})
            return
        self._check_request(lines[0].get("request"), request)
        for line in lines[1:]:
            self.shards.append(self._checked(line))

    @property
    def clips(self) -> int:
        """Clips in the complete shards."""
        return sum(shard.shard.clips for shard in self.shards)

    def add(self, packed: PackedShard) -> None:
        """Note that a shard is complete; on return the note is on the disk."""
        self._log.add(
            {
                "clips": packed.shard.clips,
                "size": packed.shard.size,
                "sha256": packed.shard.sha256,
                "rows": base64.b64encode(packed.rows.tobytes()).decode("ascii"),
                "unreadable": packed.unreadable,
            }
        )
        self.shards.append(packed)

    def _check_request(self, before: dict[str, Any] | None, now: dict[str, Any]) -> None:
        now = json.loads(json.dumps(now))
        if before == now:
            return
        changed = [
            f"{key} {(before or {}).get(key)!r} -> {now.get(key)!r}"
            for key in {**(before or {}), **now}
            if (before or {}).get(key) != now.get(key)
        ]
        raise PackError(
            f"{self.folder} holds an unfinished pack of something else ({'; '.join(changed)}). Give the same "
            f"options to finish it, choose another folder, or delete this one."
        )

    def _checked(self, line: dict[str, Any]) -> PackedShard:
        path = self.folder / shard_name(len(self.shards))
        found = path.stat().st_size if path.is_file() else None
        if found != line["size"]:
            raise PackError(
                f"The shard {path} should have {line['size']} bytes and {'is missing' if found is None else f'has {found}'}."
                f" Delete the folder {path.parent} and pack again."
            )
        rows = np.frombuffer(base64.b64decode(line["rows"]), CLIP_ROW)
        return PackedShard(Shard(line["clips"], line["size"], line["sha256"]), rows, line["unreadable"])
