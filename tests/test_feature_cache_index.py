"""An index of a cache's journals: what they say of a name, without reading them again."""

from __future__ import annotations

from pathlib import Path

import pytest

from affect_lightning.errors import DataError
from affect_lightning.feature_cache import journal_index
from affect_lightning.feature_cache.identity import read_manifest
from affect_lightning.feature_cache.shards import JournalReader, ShardWriter, entries_of
from affect_lightning.storage import LineLog
from feature_cache_cases import made_clip, make_manifest


def shards_of_two_processes(folder: Path) -> None:
    """Some names in several lines, shards and processes, as a change or a second corpus leaves them."""
    manifest = make_manifest({"audio": 3, "face": 2})
    manifest.write(folder)
    for rank, start in ((1, 0), (0, 30), (0, 60)):
        with ShardWriter(folder, rank, shard_bytes=300) as writer:
            for first in range(start, start + 50, 10):
                writer.commit([made_clip(manifest, index)[:2] for index in range(first, first + 10)])


def sample(*numbers: int) -> list[str]:
    return [f"sample_{number:08d}" for number in numbers]


@pytest.mark.parametrize("names", [sample(*range(0, 110, 7)), sample(5), sample(400), [], sample(*range(110))])
@pytest.mark.parametrize("alike", [False, True])
def test_an_index_gives_what_the_journals_give(
    tmp_path: Path, names: list[str], alike: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if alike:  # two names of one hash are told apart
        monkeypatch.setattr(journal_index, "hash", lambda name: int(name[-1]), raising=False)
    shards_of_two_processes(tmp_path)
    index = journal_index.JournalIndex(tmp_path)
    assert list(index.entries_of(names)) == list(entries_of(tmp_path, set(names)))
    assert len(index) == 150
    with ShardWriter(tmp_path, 2) as writer:  # the cache grows while it is read
        manifest = read_manifest(tmp_path)
        writer.commit([made_clip(manifest, index)[:2] for index in (5, 7, 400)])
    assert list(index.entries_of(names)) == list(entries_of(tmp_path, set(names)))
    assert len(index) == 153


def test_an_index_reads_each_line_once_and_then_those_that_are_wanted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shards_of_two_processes(tmp_path)
    index = journal_index.JournalIndex(tmp_path)
    assert len(list(index.entries_of(sample(3)))) == 1
    looks: list[int] = []
    of_line = JournalReader.entries_at
    monkeypatch.setattr(
        JournalReader, "entries_at", lambda self, offset, names: looks.append(offset) or of_line(self, offset, names)
    )
    parsed: list[int] = []
    record = LineLog._record
    monkeypatch.setattr(LineLog, "_record", lambda self, line: parsed.append(line.number) or record(self, line))
    assert len(list(index.entries_of(sample(33, 34, 35)))) == 6, "two processes have these names"
    assert (len(looks), len(parsed)) == (2, 2), "a line has ten clips"


@pytest.mark.parametrize("damage", ["changed", "cut", "features"])
def test_an_index_meets_damage_every_time(tmp_path: Path, damage: str) -> None:
    shards_of_two_processes(tmp_path)
    journal = sorted(tmp_path.glob("shard-*.jsonl"))[1]
    index = journal_index.JournalIndex(tmp_path)
    if damage == "cut":  # after the first look
        list(index.entries_of(sample(3)))
        journal.write_bytes(b"")
        names = sample(*range(110))
    else:
        names = sample(3)
        if damage == "changed":
            journal.write_bytes(journal.read_bytes().replace(b"made", b"mode", 1))
        else:
            journal.with_suffix(".bin").write_bytes(b"")
    for _ in range(2):
        with pytest.raises(DataError, match=r"Copy the cache again"):
            list(index.entries_of(names))
