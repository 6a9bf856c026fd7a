"""Shards of cached features: what comes back, what they weigh, and what a kill or damage does to them."""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from affect_lightning.data.quarantine import UnreadableClipError
from affect_lightning.errors import DataError
from affect_lightning.feature_cache.cached_features import CachedFeatures, open_cached_features
from affect_lightning.feature_cache.identity import read_manifest
from affect_lightning.feature_cache.shards import BadClipEntry, CacheEntry, ShardWriter, read_journals
from feature_cache_cases import PAPER_WIDTHS, all_entries, made_clip, make_manifest

SMALL_WIDTHS = {"audio": 3, "face": 2}


def write_batches(
    folder: Path, batches: list[list[int]], rank: int = 0, **options: int
) -> dict[str, dict[str, torch.Tensor]]:
    manifest = make_manifest(SMALL_WIDTHS)
    manifest.write(folder)
    made = {}
    with ShardWriter(folder, rank, **options) as writer:
        for batch in batches:
            clips = [made_clip(manifest, index, (1 + index % 3, 2)) for index in batch]
            made |= {entry.name: values for entry, _, values in clips}
            writer.commit([(entry, content) for entry, content, _ in clips])
    return made


def check_content(features: CachedFeatures, made: dict[str, dict[str, torch.Tensor]]) -> None:
    assert sorted(name for _, name in features.names) == sorted(made)
    for position, (_, name) in enumerate(features.names):
        clip = features.read(position)
        assert clip.frames == 8
        for stream, (tokens, mask) in clip.features.items():
            assert tokens.dtype == torch.float32
            assert torch.equal(tokens, made[name][stream].float())
            assert mask.all()
            assert mask.shape == tokens.shape[:1]


@pytest.mark.parametrize("precision", ["bf16", "fp32"])
def test_what_was_written_is_read_bit_by_bit(precision: str, tmp_path: Path) -> None:
    manifest = make_manifest(PAPER_WIDTHS, precision)
    manifest.write(tmp_path)
    clips = [made_clip(manifest, index, (8 - index, 8)) for index in range(3)]
    with ShardWriter(tmp_path) as writer:
        writer.commit([(entry, content) for entry, content, _ in clips])
    check_content(open_cached_features(tmp_path), {entry.name: values for entry, _, values in clips})
    assert read_manifest(tmp_path) == manifest


def test_a_clip_of_the_papers_encoders_takes_at_most_30_kb(tmp_path: Path) -> None:
    manifest = make_manifest(PAPER_WIDTHS)
    with ShardWriter(tmp_path) as writer:
        for start in range(0, 64, 32):
            clips = [made_clip(manifest, start + index, corpus="mer-caption-plus") for index in range(32)]
            writer.commit([(entry, content) for entry, content, _ in clips])
    size = sum(path.stat().st_size for path in tmp_path.glob("shard-*")) / 64
    assert 2 * 8 * (768 + 1024) < size <= 30_000


def test_masks_and_bad_clips_come_back(tmp_path: Path) -> None:
    manifest = make_manifest(SMALL_WIDTHS)
    manifest.write(tmp_path)
    entry, content, _ = made_clip(manifest, 0, (3, 2))
    masked = replace(entry, masks={"audio": "101"})
    bad = CacheEntry("broken", "made", {"video": None}, bad=BadClipEntry("video", "video", "it is empty."))
    with ShardWriter(tmp_path) as writer:
        writer.commit([(bad, b""), (masked, content)])
    features = open_cached_features(tmp_path)
    assert features.read(1).features["audio"][1].tolist() == [True, False, True]
    assert features.read(1).features["face"][1].tolist() == [True, True]
    with pytest.raises(UnreadableClipError, match=r"stage video\): it is empty"):
        features.read(0)


def test_only_wanted_streams_are_read(tmp_path: Path) -> None:
    made = write_batches(tmp_path, [[0, 1]])
    features = open_cached_features(tmp_path)
    (journal,) = read_journals(tmp_path)
    from affect_lightning.feature_cache.cached_features import PlacedEntry

    placed = [PlacedEntry(entry, journal.data) for entry in journal.entries]
    faces = CachedFeatures(read_manifest(tmp_path), placed, ["face"]).read(1).features
    assert list(faces) == ["face"]
    assert torch.equal(faces["face"][0], made[features.names[1][1]]["face"].float())


def test_a_reader_pickles_to_other_processes(tmp_path: Path) -> None:
    made = write_batches(tmp_path, [[0, 1], [2]])
    features = open_cached_features(tmp_path)
    features.read(0)
    check_content(pickle.loads(pickle.dumps(features)), made)


def test_full_shards_are_followed_by_new_ones(tmp_path: Path) -> None:
    made = write_batches(tmp_path, [[0, 1], [2], [3, 4]], shard_bytes=20)
    assert len(list(tmp_path.glob("*.bin"))) == 4  # three full ones and one that was begun
    made |= write_batches(tmp_path, [[5]], shard_bytes=20)
    check_content(open_cached_features(tmp_path), made)


def test_a_kill_at_any_byte_costs_the_unfinished_batch_only(tmp_path: Path) -> None:
    """All states of the two files that a kill during the second batch can leave: features first, then the journal."""
    write_batches(tmp_path / "whole", [[0, 1]])
    whole = {path.suffix: path.read_bytes() for path in (tmp_path / "whole").glob("shard-*")}
    write_batches(tmp_path / "whole", [[2, 3]])
    full = {path.suffix: path.read_bytes() for path in (tmp_path / "whole").glob("shard-*")}
    wanted = all_entries(tmp_path / "whole")
    states = [(end, len(whole[".jsonl"])) for end in range(len(whole[".bin"]), len(full[".bin"]) + 1)]
    states += [(len(full[".bin"]), end) for end in range(len(whole[".jsonl"]), len(full[".jsonl"]))]
    assert len(states) > 100
    folder = tmp_path / "killed"
    folder.mkdir()
    for data_bytes, journal_bytes in states:
        (folder / "shard-000-0000.bin").write_bytes(full[".bin"][:data_bytes])
        (folder / "shard-000-0000.jsonl").write_bytes(full[".jsonl"][:journal_bytes])
        (journal,) = read_journals(folder)
        assert [entry.name for entry in journal.entries] == ["sample_00000000", "sample_00000001"]
        write_batches(folder, [[2, 3]])
        assert all_entries(folder) == wanted


def test_damage_is_refused(tmp_path: Path) -> None:
    write_batches(tmp_path, [[0, 1], [2]])
    data, journal = tmp_path / "shard-000-0000.bin", tmp_path / "shard-000-0000.jsonl"
    good_data, good_journal = data.read_bytes(), journal.read_bytes()
    data.write_bytes(bytes([good_data[0] ^ 1]) + good_data[1:])
    with pytest.raises(DataError, match=r"byte 0 of .*shard-000-0000\.bin are damaged"):
        open_cached_features(tmp_path).read(0)
    open_cached_features(tmp_path).read(1)
    data.write_bytes(good_data[:-1])
    with pytest.raises(DataError, match=r"bytes; its journal speaks of"):
        open_cached_features(tmp_path)
    data.write_bytes(good_data)
    journal.write_bytes(good_journal.replace(b"sample_00000000", b"sample_00000009"))
    with pytest.raises(DataError, match=r"Line 1 of .* is damaged"):
        open_cached_features(tmp_path)


def test_a_foreign_manifest_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="missing or damaged"):
        read_manifest(tmp_path)
    (tmp_path / "cache.json").write_text('{"format": "something", "format_version": 3}', encoding="utf-8")
    with pytest.raises(DataError, match="'something' version 3; expected 'affect-lightning features' version 1"):
        read_manifest(tmp_path)


def test_a_folder_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(DataError, match=r"cannot be written.*data\.feature_folder"):
        make_manifest(SMALL_WIDTHS).write(tmp_path / "file" / "cache")
