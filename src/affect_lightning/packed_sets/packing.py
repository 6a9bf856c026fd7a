"""Writes a packed set, shard by shard; killed at any moment, it continues where it stopped.

litdata writes a shard under `.packing`. When it is complete, it is moved to its final name and then noted in the
journal. So a shard without a line is written again, and a clip is in exactly one shard that has a line. The manifest
comes last. `layout.py` makes the items and has the format, `pack_journal.py` the journal. The command is
`affect-lightning pack`.

The list of clips is cut into ranges of equal length, and no shard has clips of two ranges. So a range becomes the same
shards whoever packs it, and several machines can divide the ranges: a part has a journal and shards of its own in
`.packing/parts`, and the merge gives these their final names and copies nothing.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
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
from affect_lightning.packed_sets.pack_journal import JOURNAL, PackedShard, PackJournal
from affect_lightning.storage import Content, FinishedPart, Part, WorkInParts, file_lock, whole_path, write_whole_files

SHARD_BYTES = 64 * 2**20  # litdata's own default: large enough for storage, small enough to hold several of
MAX_SHARD_BYTES = 2**31  # litdata counts a shard's bytes in 32 bits
RANGE_CLIPS = 2048  # our choice: as many clips with cached features (30 KB each) fill one shard
_PARTS = "parts"  # folder in the staging folder
_UNLIMITED = 2**40  # for litdata, whose writer would otherwise close shards by a rule of its own


def pack_clips(
    clips: Sequence[ClipRecord],
    folder: Path,
    *,
    payload: Payload = MEDIA,
    shard_bytes: int = SHARD_BYTES,
    range_clips: int = RANGE_CLIPS,
    selection: Mapping[str, Any] | None = None,
    show_progress: bool = False,
) -> Manifest:
    """Write clips as a packed set, or finish what an earlier call began. See `Packing` for arguments and errors."""
    return Packing(clips, folder, payload, shard_bytes, range_clips, selection or {}, show_progress).whole()


@dataclass(frozen=True)
class Packing:
    """Clips to pack, all at once or in parts.

    Attributes:
        clips: In the order that the set keeps.
        folder: Made if it is missing; must be empty, or hold an unfinished or finished pack of the same clips.
        payload: What of each clip is packed.
        shard_bytes: A shard is closed before it would grow past this.
        range_clips: Clips of a range; a shard is closed where a range ends.
        selection: The options by which the clips were chosen, for the manifest.
        show_progress: Draw a bar with rate and time left on standard error.

    Raises:
        ConfigurationError: A number is out of range, or there are no clips.
    """

    clips: Sequence[ClipRecord]
    folder: Path
    payload: Payload = MEDIA
    shard_bytes: int = SHARD_BYTES
    range_clips: int = RANGE_CLIPS
    selection: Mapping[str, Any] = field(default_factory=dict)
    show_progress: bool = False

    def __post_init__(self) -> None:
        if not self.clips:
            raise ConfigurationError("There are no clips to pack. Check the options that select training clips.")
        if not 1 <= self.shard_bytes <= MAX_SHARD_BYTES:
            raise ConfigurationError(
                f"A shard's size must be 1 byte to {MAX_SHARD_BYTES >> 30} GiB; got {self.shard_bytes} bytes."
            )
        if self.range_clips < 1:
            raise ConfigurationError(f"A range must have at least 1 clip; got {self.range_clips}.")

    @cached_property
    def request(self) -> dict[str, Any]:
        """Everything that decides the shards."""
        request = {
            "format": FORMAT,
            "payload": self.payload.kind,
            "identity": self.payload.identity,
            "clips": len(self.clips),
            "names": names_hash(self.clips),
            "shard_bytes": self.shard_bytes,
            "range_clips": self.range_clips,
            "selection": dict(self.selection),
        }
        return dict(json.loads(json.dumps(request)))

    @property
    def parts(self) -> WorkInParts:
        """The parts that are packed apart."""
        return WorkInParts(self.folder / STAGING / _PARTS, self.request)

    def whole(self) -> Manifest:
        """Pack all clips, or go on.

        Raises:
            PackError: The folder holds something else, is being written by another process, or cannot be written.
            PartError: There are parts, which `merge` joins.
        """
        if finished := self._finished():
            return finished
        self.parts.check_none_waits()
        with _told(self.folder), _staging(self.folder) as staging:
            journal = PackJournal(staging / JOURNAL, self.folder, self.request)
            _Packer(self, journal, staging).write(range(len(self.clips)))
            return self._finish(journal, staging)

    def part(self, part: Part) -> int:
        """Pack a part of the ranges, or go on with it.

        Returns:
            Its clips.

        Raises:
            PackError: The folder holds something else, or cannot be written.
            PartError: The part is at work elsewhere or began with another request.
        """
        mine = part.of(self._ranges)
        if self._finished():
            return sum(map(len, mine))
        _check_folder(self.folder)
        if (self.folder / STAGING / JOURNAL).exists() and not self.parts.known:
            raise PackError(
                f"Run the command without --part to finish {self.folder}, or delete the folder: it was begun without parts."
            )
        with _told(self.folder), self.parts.begun(part) as place:
            journal = PackJournal(place / JOURNAL, place, self.request)
            _Packer(self, journal, place).write([position for one in mine for position in one])
            self.parts.finish(part, {"clips": journal.clips, "shards": len(journal.shards)})
        return journal.clips

    def merge(self) -> Manifest:
        """Join the finished parts: their shards get their final names.

        Raises:
            PackError: The folder holds something else, is being written by another process, or cannot be written.
            PartError: A part is missing, unfinished, or of another request.
        """
        if finished := self._finished():
            return finished
        with _told(self.folder), _staging(self.folder) as staging:
            journal = PackJournal(staging / JOURNAL, self.folder, self.request)
            self._take_over(journal, self.parts.finished(), staging)
            return self._finish(journal, staging)

    def _take_over(self, journal: PackJournal, parts: Sequence[FinishedPart], staging: Path) -> None:
        """Move the parts' shards, range by range; what an earlier merge has moved stays."""
        sources = [PackJournal(one.folder / JOURNAL, one.folder, self.request, is_moving=True) for one in parts]
        waiting = [iter(enumerate(source.shards)) for source in sources]
        number = 0
        for position, one in enumerate(self._ranges):
            source, left = sources[position % len(parts)], len(one)
            while left:
                own, packed = next(waiting[position % len(parts)])
                left -= packed.shard.clips
                if number >= len(journal.shards):
                    _move_shard(source.folder / shard_name(own), self.folder / shard_name(number), packed.shard)
                    journal.add(packed)
                number += 1
        last = parts[(len(self._ranges) - 1) % len(parts)].folder
        shutil.copyfile(last / LITDATA_INDEX, staging / LITDATA_INDEX)

    @property
    def _ranges(self) -> list[range]:
        ends = range(0, len(self.clips), self.range_clips)
        return [range(start, min(start + self.range_clips, len(self.clips))) for start in ends]

    def _finished(self) -> Manifest | None:
        """The manifest of a set that is packed already."""
        path = self.folder / MANIFEST
        if not path.is_file():
            return None
        manifest = Manifest.from_json(path.read_text(encoding="utf-8"), str(path))
        same = (manifest.payload, manifest.names_sha256) == (self.request["payload"], self.request["names"])
        if not same or dict(manifest.selection) != self.request["selection"]:
            raise PackError(
                f"{self.folder} holds another packed set ({manifest.clips} clips, payload {manifest.payload}). Choose another "
                f"folder, or delete this one."
            )
        shutil.rmtree(
            self.folder / STAGING, ignore_errors=True
        )  # a kill between the manifest and the tidying leaves it
        return manifest

    def _finish(self, journal: PackJournal, staging: Path) -> Manifest:
        """Write the indices, and the manifest last; what a kill leaves of them is under the staging folder."""

        def write(contents: Mapping[str, Content]) -> None:
            write_whole_files({self.folder / name: content for name, content in contents.items()}, staging=staging)

        shards = tuple(packed.shard for packed in journal.shards)
        rows = np.concatenate([packed.rows for packed in journal.shards])
        index = _litdata_index(shards, staging, self.shard_bytes)
        write({CLIPS: lambda stream: np.save(stream, rows), LITDATA_INDEX: index, **self.payload.beside})
        manifest = Manifest(
            payload=self.payload.kind,
            clips=len(rows),
            names_sha256=self.request["names"],
            index_sha256=file_sha256(self.folder / CLIPS),
            corpora=tuple(_corpora(self.clips)),
            shards=shards,
            beside={name: file_sha256(self.folder / name) for name in self.payload.beside},
            unreadable=tuple(entry for packed in journal.shards for entry in packed.unreadable),
            selection=self.request["selection"],
            made_by={name: version(name) for name in ("affect-lightning", "litdata")},
        )
        write({MANIFEST: manifest.to_json()})
        return manifest


def _corpora(clips: Sequence[ClipRecord]) -> list[str]:
    return list(dict.fromkeys(clip.corpus for clip in clips))


def _move_shard(source: Path, target: Path, shard: Shard) -> None:
    """Give a part's shard its final name; a merge that was killed behind that finds it there.

    Raises:
        PackError: It is at neither place.
    """
    if source.is_file():
        os.replace(source, target)
    elif not target.is_file() or target.stat().st_size != shard.size or file_sha256(target) != shard.sha256:
        raise PackError(f"Delete {source.parent} and run that part again: its shard {source.name} is missing.")


def _litdata_index(shards: Sequence[Shard], staging: Path, shard_bytes: int) -> str:
    """What litdata writes when it merges the indices of its workers."""
    config = json.loads((staging / LITDATA_INDEX).read_text(encoding="utf-8"))["config"]
    chunks = [
        {"chunk_bytes": shard.size, "chunk_size": shard.clips, "dim": None, "filename": shard_name(number)}
        for number, shard in enumerate(shards)
    ]
    config["chunk_bytes"] = shard_bytes
    return json.dumps({"chunks": chunks, "config": config, "updated_at": "0"}, sort_keys=True)


@contextmanager
def _told(folder: Path) -> Iterator[None]:
    """What the system refuses, in a sentence."""
    try:
        yield
    except OSError as error:
        raise PackError(
            f"The packed set {folder} cannot be written: {error.strerror or error}. Free space or choose another "
            f"folder; then run the same command to continue."
        ) from error


def _check_folder(folder: Path) -> None:
    if folder.is_dir() and not (folder / STAGING).is_dir() and any(folder.iterdir()):
        raise PackError(f"The folder {folder} is not empty and holds no packed set. Choose another folder.")


@contextmanager
def _staging(folder: Path) -> Iterator[Path]:
    """The folder of unfinished files, held by this process alone."""
    _check_folder(folder)
    staging = folder / STAGING
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
    """Packs positions of the clips in one place.

    Args:
        packing: What is packed.
        journal: Of the place; the shards go into its folder.
        staging: Folder for what is not whole yet.
    """

    def __init__(self, packing: Packing, journal: PackJournal, staging: Path) -> None:
        self.packing, self.journal, self.staging = packing, journal, staging
        self._corpora = _corpora(packing.clips)

    def write(self, positions: Sequence[int]) -> None:
        """Pack the clips at these positions, but for those that the journal has."""
        from tqdm import tqdm

        packing, done = self.packing, self.journal.clips
        with tqdm(
            total=len(positions),
            initial=done,
            unit="clip",
            desc="Packing",
            disable=not packing.show_progress,
            file=sys.stderr,
        ) as bar:
            held: list[tuple[ClipRecord, Parts, Problems]] = []
            size = 0
            for position in positions[done:]:
                clip = packing.clips[position]
                parts, problems = packing.payload.parts(position, clip)
                grown = size + sum(map(len, parts))
                if held and (grown > packing.shard_bytes or position % packing.range_clips == 0):
                    self._write_shard(held)
                    held, grown = [], grown - size
                held.append((clip, parts, problems))
                size = grown
                bar.update()
            if held:
                self._write_shard(held)

    def _write_shard(self, held: list[tuple[ClipRecord, Parts, Problems]]) -> None:
        """Write with litdata, move into place, note in the journal; in this order."""
        number = len(self.journal.shards)
        unfinished = self._litdata_file([parts for _, parts, _ in held], number)
        with whole_path(self.journal.folder / shard_name(number), temporary=unfinished):
            shard = Shard(len(held), unfinished.stat().st_size, file_sha256(unfinished))
        rows = np.zeros(len(held), CLIP_ROW)
        unreadable: list[dict[str, str]] = []
        for row, (clip, parts, problems) in zip(rows, held, strict=True):
            row["share"], row["crc32"] = stable_share(clip.name), checksum(parts)
            row["corpus"] = self._corpora.index(clip.corpus)
            row["flags"] = (clip.face is not None) * HAS_RELEASED_FACE + bool(problems) * UNREADABLE
            unreadable += [
                {"name": clip.name, "corpus": clip.corpus, "path": path, "stage": stage, "reason": reason}
                for stage, path, reason in problems
            ]
        self.journal.add(PackedShard(shard, rows, unreadable))

    def _litdata_file(self, items: Sequence[Parts], number: int) -> Path:
        """One shard in litdata's format, under the staging folder; its description is left in `index.json` there."""
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
