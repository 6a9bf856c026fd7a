"""Reading a packed set from S3-compatible storage: the same clips, each shard once, a cache that keeps its limit."""

from __future__ import annotations

import json
import multiprocessing
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from affect_lightning.data.clip_sources import ClipSources
from affect_lightning.data.dataset import ReadingOptions
from affect_lightning.errors import ConfigurationError, DataError
from affect_lightning.packed_sets.packed_clips import PackedClips, open_packed_set
from affect_lightning.packed_sets.packed_source import PackedSource
from affect_lightning.packed_sets.packing import pack_clips
from streaming_cases import (
    contents,
    make_loader,
    open_first_clip,
    storage_server,
    tiny_records,
    write_records,
)

pytest.importorskip("litdata", reason="litdata is not installed: pip install 'affect-lightning[streaming]'")
# Of litdata's own doing, in each of its classes: unclosed at exit.
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")

TEXT = ReadingOptions(frozenset())


@pytest.fixture(scope="module")
def buckets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("storage")
    pack_clips(write_records(tmp_path_factory.mktemp("clips"), 9), root / "bucket" / "sets" / "one", shard_bytes=40_000)
    pack_clips(tiny_records(400), root / "bucket" / "sets" / "tiny", shard_bytes=2000)
    return root


@pytest.fixture
def storage(buckets: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Counter[str], set[str]]]:
    with storage_server(buckets) as (address, requests, broken):
        monkeypatch.setenv("AWS_ENDPOINT_URL", address)
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "nobody")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "nothing")
        monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        yield requests, broken


def opened(cache: Path, name: str = "one", cache_bytes: int = 10**9) -> PackedClips:
    return open_packed_set(f"s3://bucket/sets/{name}", cache_folder=cache, cache_bytes=cache_bytes)


def shard_requests(requests: Counter[str]) -> Counter[str]:
    return Counter({name: count for name, count in requests.items() if name.startswith("chunk-")})


def test_storage_gives_the_batches_of_the_folder(
    buckets: Path, storage: tuple[Counter[str], set[str]], tmp_path: Path
) -> None:
    requests, _ = storage
    local = open_packed_set(str(buckets / "bucket" / "sets" / "one"), cache_folder=tmp_path)
    expected = [contents(batch) for batch in make_loader(local)]
    assert [contents(batch) for batch in make_loader(opened(tmp_path))] == expected
    assert set(shard_requests(requests).values()) == {1}
    assert [contents(batch) for batch in make_loader(opened(tmp_path))] == expected  # out of the cache
    assert set(shard_requests(requests).values()) == {1}


def test_workers_fetch_each_shard_once(storage: tuple[Counter[str], set[str]], tmp_path: Path) -> None:
    requests, _ = storage
    clips = opened(tmp_path, "tiny")
    names = [name for batch in make_loader(clips, 2, TEXT, worker_start="spawn", batch_size=5) for name in batch.names]
    assert sorted(names) == [f"clip{index:06}" for index in range(400)]
    assert len(clips.manifest.shards) > 20
    assert shard_requests(requests) == {f"chunk-0-{shard}.bin": 1 for shard in range(len(clips.manifest.shards))}


def test_resume_in_the_middle_of_an_epoch(storage: tuple[Counter[str], set[str]], tmp_path: Path) -> None:
    whole = [batch.names for batch in make_loader(opened(tmp_path / "a", "tiny"), 0, TEXT)]
    first = make_loader(opened(tmp_path / "b", "tiny"), 0, TEXT)
    given = iter(first)
    before = [next(given).names for _ in range(77)]
    state = json.loads(json.dumps(first.state_dict()))
    second = make_loader(opened(tmp_path / "c", "tiny"), 0, TEXT)
    second.load_state_dict(state)
    after = [batch.names for batch in second]
    assert before + after[: len(whole) - 77] == whole


def test_the_cache_keeps_its_limit(storage: tuple[Counter[str], set[str]], tmp_path: Path) -> None:
    requests, _ = storage
    largest = max(shard.size for shard in opened(tmp_path, "tiny").manifest.shards)
    limit = 5 * largest
    source = PackedSource("s3://bucket/sets/tiny", tmp_path, limit, window=3)
    clips, _ = source.training_clips(ClipSources())
    loader = make_loader(clips, 0, TEXT, window=3)
    most = 0
    for _ in range(2):
        for _ in loader:
            most = max(most, sum(path.stat().st_size for path in clips.store.folder.glob("chunk-*")))
    assert 3 * largest < most <= limit
    # An epoch fetches each shard once; what is left of the first serves the second.
    counts = shard_requests(requests)
    assert max(counts.values()) == 2
    assert sum(counts.values()) >= 2 * len(counts) - 5


def test_ranks_fetch_their_share(storage: tuple[Counter[str], set[str]], tmp_path: Path) -> None:
    requests, _ = storage
    for rank in range(2):  # two machines
        list(make_loader(opened(tmp_path / str(rank), "tiny"), 0, TEXT, rank=rank, world_size=2))
    counts = shard_requests(requests)
    assert sum(counts.values()) <= len(counts) + 1  # the shard at the border goes to both


def test_faults_of_the_storage_are_told(
    buckets: Path, storage: tuple[Counter[str], set[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, broken = storage
    with pytest.raises(
        DataError, match=r"s3://bucket/sets/none/manifest.json cannot be fetched: .*404.*AWS_ENDPOINT_URL"
    ):
        opened(tmp_path, "none")
    clips = opened(tmp_path, "tiny")
    broken.add("chunk-0-0.bin")
    with pytest.raises(DataError, match=r"chunk-0-0.bin cannot be fetched: .*503"):
        clips.open(0)
    assert not list(clips.store.folder.glob("chunk-0-0*.part"))
    broken.clear()
    assert clips.open(0)[0].name == "clip000000"
    shard = buckets / "bucket" / "sets" / "tiny" / "chunk-0-1.bin"
    whole = shard.read_bytes()
    shard.write_bytes(whole[:-1] + b"x")
    with pytest.raises(DataError, match=r"chunk-0-1.bin of s3://bucket/sets/tiny is damaged: its size or SHA-256"):
        clips.open(clips.manifest.shards[0].clips)
    shard.write_bytes(whole)
    assert clips.open(clips.manifest.shards[0].clips)[0].name.startswith("clip")
    with pytest.raises(ConfigurationError, match="expected a folder or an address that begins with s3://"):
        open_packed_set("ftp://bucket/set", cache_folder=tmp_path)


def test_a_cache_that_is_too_small_is_told(storage: tuple[Counter[str], set[str]], tmp_path: Path) -> None:
    source = PackedSource("s3://bucket/sets/tiny", tmp_path, "40KB", window=16)

    def make_plan(source: PackedSource, ranks: int = 1) -> None:
        clips, _ = source.training_clips(ClipSources())
        options: dict[str, Any] = {"batch_size": 2, "seed": 0, "rank": 0, "world_size": 1, "balance": "natural"}
        source.plan(clips, shuffle=True, ranks_here=ranks, **options)

    with pytest.raises(
        ConfigurationError, match=r"18 shards of s3://bucket/sets/tiny need .* lower data.shuffle_window"
    ):
        make_plan(replace(source, cache_size="20KB"))
    make_plan(source)
    with pytest.raises(ConfigurationError, match="36 shards of"):
        make_plan(source, ranks=2)
    with pytest.raises(ConfigurationError, match="packed_cache_size must be a size such as 64MB or 20GB; got 'much'"):
        PackedSource("x", tmp_path, "much")


def test_processes_share_the_cache(storage: tuple[Counter[str], set[str]], tmp_path: Path) -> None:
    requests, _ = storage
    context = multiprocessing.get_context("forkserver")
    environment = {name: value for name, value in os.environ.items() if name.startswith("AWS_")}
    processes = [
        context.Process(target=open_first_clip, args=("s3://bucket/sets/tiny", tmp_path, environment)) for _ in range(4)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * 4
    assert shard_requests(requests) == {"chunk-0-0.bin": 1}
