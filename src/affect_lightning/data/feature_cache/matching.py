"""Finds the entry of every clip and refuses those whose files have changed: once, when a run or `cache` starts.

Several entries of one name may stand in a cache, of one corpus generated twice, say, or of a clip before and after a
change; the one whose files are the clip's files counts. Neighbours: `clip_files.py` looks at files, `source.py` turns
what is missing into an error, `affect-lightning cache` into work.
"""

from __future__ import annotations

import warnings
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from affect_lightning.contracts import ClipRecord, StreamReader
from affect_lightning.data.feature_cache.clip_files import FileState, file_stamp, file_state, is_readable, used_files
from affect_lightning.data.feature_cache.reading import PlacedEntry
from affect_lightning.data.feature_cache.shards import read_journals
from affect_lightning.storage import LineLog

CHECKED = "checked.jsonl"
_THREADS = 8  # our choice: looking at files waits for the disk or the network, not for the processor


@dataclass
class Matching:
    """What the cache has for a list of clips.

    Attributes:
        found: The entry of each clip; None where there is none.
        changed: What changed, by position, for clips that have entries of other content only.
        unchecked: Positions of clips whose files are not there, so that nothing could be compared.
    """

    found: list[PlacedEntry | None]
    changed: dict[int, str] = field(default_factory=dict)
    unchecked: list[int] = field(default_factory=list)

    @property
    def missing(self) -> list[int]:
        """Positions of clips without an entry, changed ones included."""
        return [position for position, entry in enumerate(self.found) if entry is None]


def match_clips(
    folder: Path,
    records: Sequence[ClipRecord],
    streams: Collection[str],
    readers: Mapping[str, StreamReader] | None = None,
) -> Matching:
    """Match clips with the entries of a cache.

    A file with the size and time of change of the entry is taken as unchanged; with another time its content is hashed
    and compared, and what was found is kept beside the shards, so that it is read once.

    Args:
        folder: Of the cache.
        records: The clips.
        streams: Streams that are wanted; files of others are not looked at.
        readers: Of the streams of plugins.

    Raises:
        DataError: The cache is damaged.
    """
    wanted = {(record.corpus, record.name) for record in records}
    candidates: dict[tuple[str, str], list[PlacedEntry]] = {}
    for journal in read_journals(folder):
        for entry in journal.entries:
            if (entry.corpus, entry.name) in wanted:
                candidates.setdefault((entry.corpus, entry.name), []).append(PlacedEntry(entry, journal.data))
    checker = _FileChecker(folder)
    matching = Matching([None] * len(records))

    def look(position: int) -> None:
        record = records[position]
        entries = candidates.get((record.corpus, record.name), [])
        files = used_files(record, streams, readers)
        reasons = []
        for item in reversed(entries):  # the newest first
            reason, checked = checker.compare(files, item.entry.files)
            if reason is None:
                matching.found[position] = item
                if not checked:
                    matching.unchecked.append(position)
                return
            reasons.append(reason)
        if reasons:
            matching.changed[position] = reasons[0]

    with ThreadPoolExecutor(_THREADS) as pool:
        list(pool.map(look, range(len(records))))
    matching.unchecked.sort()
    checker.keep()
    return matching


class _FileChecker:
    """Compares files with recorded states; remembers the hashes that it had to make."""

    def __init__(self, folder: Path) -> None:
        self._log = LineLog(folder / CHECKED, shared=True)
        self._known = set(_read_checked(self._log))
        self._new: list[FileState] = []

    def compare(self, files: Mapping[str, Path], states: Mapping[str, FileState | None]) -> tuple[str | None, bool]:
        """Why the files are not those of an entry (None: they are), and whether any of them could be looked at."""
        checked = not files
        for role, path in files.items():
            stamp = file_stamp(path)
            if role not in states:
                if stamp is None:
                    continue
                return f"its features were made without its {role} file", True
            state = states[role]
            if state is None:
                if is_readable(path):
                    return f"its {role} file could not be read then and can be now", True
                checked = True
            elif stamp is not None:
                checked = True
                if (reason := self._difference(role, path, stamp, state)) is not None:
                    return reason, True
        return None, checked

    def _difference(self, role: str, path: Path, stamp: tuple[int, int], state: FileState) -> str | None:
        size, changed = stamp
        if size != state.size:
            return f"its {role} file has {size} bytes, {state.size} when it was cached"
        if changed == state.mtime_ns or FileState(size, changed, state.digest) in self._known:
            return None
        now = file_state(path)
        if now is None or now.digest != state.digest:
            return f"its {role} file has another content than when it was cached"
        self._new.append(now)
        return None

    def keep(self) -> None:
        """Write down what was hashed. Without the right to write it is hashed again the next time, and said so."""
        if not self._new:
            return
        try:
            self._log.add(*self._new)
        except OSError as error:
            warnings.warn(
                f"{len(self._new)} media files have another time of change than when they were cached and were read to "
                f"compare them. {self._log.path} cannot be written ({error.strerror}), so every start reads them again.",
                stacklevel=2,
            )


def _read_checked(log: LineLog) -> list[FileState]:
    """What is known; a line that cannot be read, or is foreign, means that its file is hashed again."""
    try:
        records = list(log.new_records())
    except OSError:
        return []
    kinds = [int, int, str]
    return [FileState(*record) for record in records if isinstance(record, list) and list(map(type, record)) == kinds]
