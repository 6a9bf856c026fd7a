"""A cache that several machines fill: each encodes its share of the batches into shards of its own; a merge joins them.

    FOLDER/parts/2-of-8/shard-RRR-NNNN.*    what part 2 of 8 encoded (`shards.py` has the format)

Batches are a function of the list of clips, and a part takes whole batches. The merge writes them in their order, so the
result has the bytes that one process would have written. `storage/parts.py` keeps the parts, and
`command_line/cache_filling.py` encodes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from zlib import crc32

from affect_lightning.contracts import ClipRecord
from affect_lightning.errors import DataError
from affect_lightning.feature_cache.cached_features import Matching, PlacedEntry
from affect_lightning.feature_cache.identity import CacheManifest, digest_of
from affect_lightning.feature_cache.shards import CacheEntry, ShardWriter
from affect_lightning.storage import PartError, WorkInParts

PARTS = "parts"  # folder in that of a cache
NAMED = 5  # clips that a message names (our choice)
Matcher = Callable[[Path, Sequence[ClipRecord]], Matching]
ClipKey = tuple[str, str, str, str, str]


def work_in_parts(folder: Path, records: Sequence[ClipRecord], batch_size: int) -> WorkInParts:
    """The parts of a cache; encoders and reading need not be compared, because the cache's folder is named after them.

    Args:
        folder: Of the cache.
        records: All clips.
        batch_size: Clips of a batch.
    """
    listed = digest_of(f"{record.corpus}\0{record.name}\n".encode("utf-8", "surrogateescape") for record in records)
    request = {"--batch-size": batch_size, "number of clips": len(records), "hash of their names": listed}
    return WorkInParts(folder / PARTS, request)


def waiting_clips(
    batches: Sequence[list[ClipRecord]], matchings: Sequence[Matching]
) -> tuple[list[CacheEntry], list[list[ClipRecord]]]:
    """Entries of the clips that are in one of several folders, and the batches without these clips.

    Args:
        batches: Of the part.
        matchings: What the folders have for the clips of these batches, in their order.
    """
    found, waiting, position = [], [], 0
    for batch in batches:
        rest = []
        for record in batch:
            placed = next((item for matching in matchings if (item := matching.found[position]) is not None), None)
            position += 1
            if placed is None:
                rest.append(record)
            else:
                found.append(placed.entry)
        if rest:
            waiting.append(rest)
    return found, waiting


def join_parts(
    folder: Path,
    manifest: CacheManifest,
    parts: WorkInParts,
    batches: Sequence[list[ClipRecord]],
    match: Matcher,
) -> Iterator[list[CacheEntry]]:
    """Write what finished parts encoded into the cache, batch by batch; what is there already is left out.

    Args:
        folder: Of the cache.
        manifest: Of the cache.
        parts: Of the cache.
        batches: Of all clips.
        match: Finds entries of clips in a folder.

    Yields:
        The new entries of each batch, once they are on the disk.

    Raises:
        PartError: A part is missing, unfinished or of other clips, or a clip has changed since.
        DataError: A shard is damaged, or the folder cannot be written.
    """
    there = {
        _key(record)
        for record, item in zip(_flat(batches), match(folder, _flat(batches)).found, strict=True)
        if item is not None
    }
    if len(there) == len({_key(record) for record in _flat(batches)}):
        return
    placed: dict[ClipKey, PlacedEntry] = {}
    problems = []
    for done in parts.finished():
        wanted = [record for record in _flat(done.part.of(batches)) if _key(record) not in there]
        matching = match(done.folder, wanted)
        placed |= {_key(wanted[index]): item for index, item in enumerate(matching.found) if item is not None}
        if matching.missing:
            names = ", ".join(wanted[position].name for position in matching.missing[:NAMED])
            problems.append(f"{done.part} ({len(matching.missing)} clips, such as {names})")
    if problems:
        raise PartError(
            f"Run these parts again, then merge again: clips of theirs have changed since, or are missing. {'; '.join(problems)}."
        )
    with ShardWriter(folder) as writer:
        for batch in batches:
            fresh = [record for record in batch if _key(record) not in there]
            if fresh:
                entries = [_with_features(placed[_key(record)], manifest) for record in fresh]
                writer.commit(entries)
                yield [entry for entry, _ in entries]


def _flat(batches: Sequence[list[ClipRecord]]) -> list[ClipRecord]:
    return [record for batch in batches for record in batch]


def _key(record: ClipRecord) -> ClipKey:
    """What tells two listed clips apart; two sets may have a clip of one name."""
    return (record.corpus, record.name, str(record.video), str(record.audio), str(record.face))


def _with_features(item: PlacedEntry, manifest: CacheManifest) -> tuple[CacheEntry, bytes]:
    """An entry without its place, and its features as they were stored."""
    entry = item.entry
    if entry.bad is not None:
        return entry, b""
    length = sum(count * size for count, size in zip(entry.tokens, manifest.token_bytes.values(), strict=True))
    try:
        with item.data.open("rb") as stream:
            stream.seek(entry.offset)
            content = stream.read(length)
    except OSError as error:
        raise DataError(f"The shard {item.data} cannot be read: {error.strerror}. Run its part again.") from error
    if len(content) != length or crc32(content) != entry.checksum:
        raise DataError(f"Delete {item.data.parent} and run its part again: the features of {entry.name} are damaged.")
    return replace(entry, offset=0), content
