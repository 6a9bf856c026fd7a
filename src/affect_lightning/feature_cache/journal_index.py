"""Where a cache's journals speak of each name: some 20 bytes a clip, so that clips can be looked up again and again.

A crowd votes on ten thousand clips after the other. Going through the journals each time would take time that grows with
the square of the clips. An index reads each line once, also when the cache grows, and then only the lines of the clips
that are asked for. `cached_features.py` and `annotation/trained_crowd/clip_features.py` look clips up.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path

import numpy as np

from affect_lightning.errors import DataError
from affect_lightning.feature_cache.shards import CacheEntry, JournalReader, journal_paths

_LINES_AT_ONCE = 4096  # our choice: lines whose places are Python objects for a moment


class JournalIndex:
    """The journals of a cache by name of the clip.

    Args:
        folder: Of the cache.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._clear()

    def _clear(self) -> None:
        self._readers: dict[Path, JournalReader] = {}
        self._hashes = np.empty(0, np.int64)  # of names, in ascending order; two names may share one
        self._journals = np.empty(0, np.int32)  # number of the journal in `_readers`
        self._offsets = np.empty(0, np.int64)  # of the line, in bytes

    def __len__(self) -> int:
        """Entries, of all journals."""
        return len(self._hashes)

    def entries_of(self, names: Collection[str]) -> Iterator[tuple[CacheEntry, Path]]:
        """The entries of names with their files of features, in the order of `shards.entries_of`.

        Args:
            names: Of the clips that are wanted.

        Raises:
            DataError: A journal is damaged, or features are lost; see `shards.read_journal`.
        """
        try:
            self._update()
        except DataError:
            self._clear()  # so that the next look meets the damage again
            raise
        wanted = np.fromiter((hash(name) for name in set(names)), np.int64)
        firsts = np.searchsorted(self._hashes, wanted, "left")
        lasts = np.searchsorted(self._hashes, wanted, "right")
        places = {
            (int(self._journals[row]), int(self._offsets[row]))
            for first, last in zip(firsts, lasts, strict=True)
            for row in range(first, last)
        }
        readers = list(self._readers.items())
        for number, offset in sorted(places, key=lambda place: (readers[place[0]][0], place[1])):
            reader = readers[number][1]
            for entry in reader.entries_at(offset, names):
                yield entry, reader.data

    def _update(self) -> None:
        """Take in what was written since the last look."""
        parts = [(self._hashes, self._journals, self._offsets)]
        for path in journal_paths(self.folder):
            reader = self._readers.setdefault(path, JournalReader(path))
            number = list(self._readers).index(path)
            hashes: list[int] = []
            offsets: list[int] = []
            for offset, names in reader.new_names():
                hashes += map(hash, names)
                offsets += [offset] * len(names)
                if len(hashes) >= _LINES_AT_ONCE:
                    parts.append(_arrays(hashes, number, offsets))
                    hashes, offsets = [], []
            if hashes:
                parts.append(_arrays(hashes, number, offsets))
        if len(parts) > 1:
            merged = [np.concatenate(column) for column in zip(*parts, strict=True)]
            order = np.argsort(merged[0], kind="stable")
            self._hashes, self._journals, self._offsets = (column[order] for column in merged)


def _arrays(hashes: list[int], journal: int, offsets: list[int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return np.array(hashes, np.int64), np.full(len(hashes), journal, np.int32), np.array(offsets, np.int64)
