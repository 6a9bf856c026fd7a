"""Which cached clips are those of the data: touched and moved files pass, changed ones are refused."""

from __future__ import annotations

import gc
import logging
import os
import shutil
import tracemalloc
from dataclasses import replace
from pathlib import Path

import pytest

from affect_lightning.contracts import ClipRecord
from affect_lightning.data.dataset import ReadingOptions
from affect_lightning.errors import ConfigurationError, DataError
from affect_lightning.feature_cache import cached_features as matching_module
from affect_lightning.feature_cache import journal_index
from affect_lightning.feature_cache.cached_features import match_clips
from affect_lightning.feature_cache.identity import (
    CacheManifest,
    differences,
    file_facts,
    file_state,
    stream_identity,
    used_files,
)
from affect_lightning.feature_cache.shards import BadClipEntry, ShardWriter, only_command, take_lock
from affect_lightning.feature_cache.source import FeatureOptions, FeatureSource
from affect_lightning.plugin_loading import EncoderChoices
from feature_cache_cases import made_clip, make_manifest, record_of

STREAMS = ("audio", "face")
HEARD_BY = EncoderChoices(audio_encoder="tiny-audio")


def cache_of(folder: Path, records: list[ClipRecord], manifest: CacheManifest | None = None) -> Path:
    """A cache with random features for real files."""
    manifest = manifest or make_manifest({"audio": 3, "face": 2})
    manifest.write(folder)
    with ShardWriter(folder) as writer:
        for index, record in enumerate(records):
            entry, content, _ = made_clip(manifest, index)
            files = {role: file_state(path) for role, path in used_files(record, STREAMS).items()}
            writer.commit([(replace(entry, name=record.name, corpus=record.corpus, files=files), content)])
    return folder


@pytest.fixture
def records(tmp_path: Path) -> list[ClipRecord]:
    return [record_of(tmp_path / "set", name) for name in ("one", "two", "三")]


@pytest.fixture
def cache(tmp_path: Path, records: list[ClipRecord]) -> Path:
    return cache_of(tmp_path / "cache", records)


def moved(record: ClipRecord, folder: Path) -> ClipRecord:
    assert record.video is not None
    assert record.audio is not None
    return replace(record, video=folder / record.video.name, audio=folder / record.audio.name)


def later(path: Path) -> None:
    status = path.stat()
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + 1_000_000_000))


@pytest.mark.parametrize("indexed", [False, True])
def test_a_large_cache_takes_no_more_memory_than_a_small_one(tmp_path: Path, indexed: bool) -> None:
    """A crowd votes on ten thousand clips after the other; a cache of a million may not come into memory each time."""
    manifest, peaks = make_manifest({"audio": 3, "face": 2}), []
    for count in (200, 2000):
        folder = tmp_path / str(count)
        manifest.write(folder)
        with ShardWriter(folder) as writer:
            for start in range(0, count, 100):
                writer.commit([made_clip(manifest, index)[:2] for index in range(start, start + 100)])
        wanted = [ClipRecord(f"sample_{index:08d}", "made") for index in range(0, 200, 20)]
        index = journal_index.JournalIndex(folder) if indexed else None
        match_clips(folder, wanted, STREAMS, index=index)  # what is made once
        gc.collect()
        tracemalloc.start()
        found = match_clips(folder, wanted, STREAMS, index=index).found
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert [item.entry.name for item in found if item is not None] == [record.name for record in wanted]
    assert peaks[1] < 2 * peaks[0], f"a tenfold cache took {peaks[1] / peaks[0]:.1f} times the memory"


def test_unchanged_clips_are_found_in_any_order(cache: Path, records: list[ClipRecord]) -> None:
    result = match_clips(cache, records[::-1], STREAMS)
    assert [item.entry.name for item in result.found if item] == ["三", "two", "one"]
    assert (result.missing, result.changed, result.unchecked) == ([], {}, [])


def test_a_touched_file_passes_and_is_read_once(
    cache: Path, records: list[ClipRecord], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert records[1].video is not None
    later(records[1].video)
    hashed: list[Path] = []
    monkeypatch.setattr(matching_module, "file_state", lambda path: hashed.append(path) or file_state(path))
    assert match_clips(cache, records, STREAMS).missing == []
    assert match_clips(cache, records, STREAMS).missing == []
    assert hashed == [records[1].video]


def test_a_changed_file_is_refused(cache: Path, records: list[ClipRecord]) -> None:
    assert records[0].video is not None
    assert records[1].audio is not None
    status = records[0].video.stat()
    records[0].video.write_bytes(b"PICTURES of one")  # as long as before
    os.utime(records[0].video, ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    records[1].audio.write_bytes(b"more sound of two")
    result = match_clips(cache, records, STREAMS)
    assert result.missing == [0, 1]
    assert "has changed since it was cached" in result.changed[0]
    assert result.changed[1] == "its audio file has 17 bytes, 12 when it was cached"
    # The audio of the first is as it was: a run that only hears may go on with it.
    hearing = match_clips(cache, [replace(record, video=None) for record in records], ("audio",))
    assert hearing.missing == [1]


def test_a_moved_set_passes(cache: Path, records: list[ClipRecord], tmp_path: Path) -> None:
    (tmp_path / "set").rename(tmp_path / "elsewhere")
    assert match_clips(cache, [moved(item, tmp_path / "elsewhere") for item in records], STREAMS).missing == []
    shutil.copytree(tmp_path / "elsewhere", tmp_path / "copied", copy_function=shutil.copyfile)  # new times
    result = match_clips(cache, [moved(item, tmp_path / "copied") for item in records], STREAMS)
    assert (result.missing, result.unchecked) == ([], [])


def test_one_name_with_two_contents_has_two_entries(cache: Path, records: list[ClipRecord], tmp_path: Path) -> None:
    other = record_of(tmp_path / "other", "one")
    assert other.video is not None
    other.video.write_bytes(b"the one of another seed")
    assert match_clips(cache, [other], STREAMS).missing == [0]
    cache_of(cache, [other])
    both = match_clips(cache, [records[0], other], STREAMS).found
    assert [item.entry.files["video"].size for item in both if item and item.entry.files["video"]] == [15, 23]


def test_media_that_are_gone_are_told_of(cache: Path, records: list[ClipRecord], tmp_path: Path) -> None:
    away = [moved(item, tmp_path / "nowhere") for item in records]
    assert match_clips(cache, away, STREAMS).unchecked == [0, 1, 2]


def test_a_clip_that_was_bad_stays_bad_until_its_file_is_there(tmp_path: Path, records: list[ClipRecord]) -> None:
    gone = moved(records[0], tmp_path / "gone")
    manifest = make_manifest({"audio": 3, "face": 2})
    manifest.write(tmp_path / "bad")
    entry, _, _ = made_clip(manifest, 0)
    files = {"video": None, "audio": None}
    bad = replace(entry, name="one", files=files, tokens=(), bad=BadClipEntry("video", "video", "it does not exist."))
    with ShardWriter(tmp_path / "bad") as writer:
        writer.commit([(bad, b"")])
    result = match_clips(tmp_path / "bad", [gone], STREAMS)
    assert (result.missing, result.unchecked) == ([], [])
    assert "can be read now" in match_clips(tmp_path / "bad", records[:1], STREAMS).changed[0]


def test_which_files_are_read() -> None:
    clip = ClipRecord("a", "b", video=Path("v"), audio=Path("s"), face=Path("f"))
    assert used_files(clip, STREAMS) == {"audio": Path("s"), "face": Path("f")}
    assert used_files(replace(clip, face=None), ("face",)) == {"video": Path("v")}
    assert used_files(replace(clip, audio=None), ("audio",)) == {"video": Path("v")}
    assert used_files(clip, ("frame",)) == {"video": Path("v")}


# --- identities ---


def test_only_what_reaches_an_encoder_counts() -> None:
    plain = {"frame_count": 8, "crop_size": 224, "sample_rate": 16_000, "subtitle_language": "english"}

    def changed(stream: str, detector: str = "none", **reading: object) -> list[str]:
        encoder = "tiny-audio" if stream == "audio" else "tiny-video"
        return differences(
            stream_identity(stream, encoder, plain, "none"), stream_identity(stream, encoder, plain | reading, detector)
        )

    assert changed("audio", crop_size=112, subtitle_language="chinese") == []
    assert changed("audio", sample_rate=8000) == ["reading.sample_rate: cached 16000, wanted 8000"]
    assert changed("face", sample_rate=8000) == []
    assert changed("face", crop_size=112) == ["reading.crop_size: cached 224, wanted 112"]
    assert any(
        "face_detector.name: cached 'none', wanted 'centerface'" in item for item in changed("face", "centerface")
    )
    assert changed("frame", "centerface") == []
    # An option that is not known here is taken to reach every encoder.
    assert changed("audio", new_rule=1) == ["reading.new_rule: cached None, wanted 1"]


def test_plugins_differ_by_their_options() -> None:
    before = stream_identity("face", {"name": "tiny-video", "width": 24}, {}, None)
    after = stream_identity("face", {"name": "tiny-video", "width": 32}, {}, None)
    assert differences(before, after) == ["encoder.width: cached 24, wanted 32"]
    assert before.facts["encoder.distribution"].startswith("affect-lightning ")


def test_weights_files_are_compared_by_content(tmp_path: Path) -> None:
    for name, content in (("a.pt", b"weights"), ("b.pt", b"weights"), ("c.pt", b"WEIGHTS")):
        (tmp_path / name).write_bytes(content)

    def identity(path: Path) -> object:
        return stream_identity("face", {"name": "efficientnet-lite0", "weights": str(path)}, {}, None)

    cached = identity(tmp_path / "a.pt")
    assert differences(cached, identity(tmp_path / "b.pt")) == []  # type: ignore[arg-type]
    (found,) = differences(cached, identity(tmp_path / "c.pt"))  # type: ignore[arg-type]
    assert found.startswith("encoder.weights: the content of")
    (tmp_path / "a.pt").unlink()  # only the features were brought to this machine
    assert differences(cached, identity(tmp_path / "a.pt")) == []  # type: ignore[arg-type]


def test_a_folder_of_weights_has_one_identity(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text("{}", encoding="utf-8")
    before = file_facts(tmp_path / "model")
    assert file_facts(tmp_path / "model", [before]) is before
    (tmp_path / "model" / "weights.bin").write_bytes(b"1")
    assert file_facts(tmp_path / "model", [before])["digest"] != before["digest"]


# --- what a run says ---


def source_of(folder: Path, **options: object) -> FeatureSource:
    plain = {"mode": "cached", "folder": folder, "precision": "bf16", "encoders": HEARD_BY}
    return FeatureSource(FeatureOptions(**{**plain, **options}))  # type: ignore[arg-type]


HEARING = ReadingOptions(streams=frozenset({"audio"}))


def heard_cache(folder: Path, records: list[ClipRecord], **reading: object) -> Path:
    from affect_lightning.feature_cache.source import wanted_identities

    options = FeatureOptions("cached", folder, "bf16", HEARD_BY)
    (identity,) = wanted_identities(options, replace(HEARING, **reading), "none").values()  # type: ignore[arg-type]
    manifest = CacheManifest({"audio": replace(identity, width=16)}, "bf16", "fp32")
    place = folder / manifest.folder_name()
    manifest.write(place)
    with ShardWriter(place) as writer:
        for index, record in enumerate(records):
            entry, content, _ = made_clip(manifest, index, (8,))
            files = {"audio": file_state(record.audio)} if record.audio else {}
            writer.commit([(replace(entry, name=record.name, corpus=record.corpus, files=files), content)])
    return place


def test_a_run_finds_its_cache_among_others(tmp_path: Path, records: list[ClipRecord]) -> None:
    heard_cache(tmp_path / "features", [], sample_rate=8000)
    place = heard_cache(tmp_path / "features", records)
    for folder in (tmp_path / "features", place):
        source = source_of(folder)
        source.prepare({"train": records}, HEARING, "none", "32-true")
        assert source.widths == {"audio": 16}
        assert len(source.reader("train")) == 3


def test_a_run_without_a_cache_says_how_to_make_one(tmp_path: Path, records: list[ClipRecord]) -> None:
    with pytest.raises(DataError, match=r"There is no feature cache in .*Run `affect-lightning cache`"):
        source_of(tmp_path / "nothing").prepare({"train": records}, HEARING, "none")


def test_a_foreign_cache_is_refused_with_what_differs(tmp_path: Path, records: list[ClipRecord]) -> None:
    heard_cache(tmp_path, records, sample_rate=8000)
    with pytest.raises(DataError, match=r"differs: audio reading\.sample_rate: cached 8000, wanted 16000\. Run"):
        source_of(tmp_path).prepare({"train": records}, HEARING, "none")
    with pytest.raises(DataError, match=r"precision: cached bf16, wanted fp32"):
        source_of(tmp_path, precision="fp32").prepare({"train": records}, HEARING, "none")
    with pytest.raises(DataError, match=r"it has no stream frame"):
        source_of(tmp_path, encoders=replace(HEARD_BY, video_encoder="tiny-video")).prepare(
            {"train": records}, ReadingOptions(streams=frozenset({"audio", "frame"})), "none"
        )


def test_missing_and_changed_clips_are_named(tmp_path: Path, records: list[ClipRecord]) -> None:
    heard_cache(tmp_path / "features", records[:2])
    assert records[1].audio is not None
    records[1].audio.write_bytes(b"another sound")
    with pytest.raises(
        DataError, match=r"1 of 3 test clips are not in it \(三\) and 1 have changed.*two: its audio file"
    ) as found:
        source_of(tmp_path / "features").prepare({"test": records}, HEARING, "none")
    assert "affect-lightning cache --split test" in str(found.value)


def test_missing_media_and_other_arithmetic_are_warned_of(
    tmp_path: Path, records: list[ClipRecord], caplog: pytest.LogCaptureFixture
) -> None:
    heard_cache(tmp_path / "features", records)
    with caplog.at_level(logging.WARNING):
        source_of(tmp_path / "features").prepare(
            {"train": [moved(item, tmp_path / "gone") for item in records]}, HEARING, "none", "bf16-mixed"
        )
    assert "3 of 3 train clips are missing" in caplog.text
    assert "computed in fp32 arithmetic; live encoders would compute in bf16" in caplog.text


def test_a_data_module_without_encoders_is_refused(tmp_path: Path, records: list[ClipRecord]) -> None:
    with pytest.raises(
        ConfigurationError, match="Give it the model's video_encoder, audio_encoder and stream_encoders"
    ):
        source_of(tmp_path, encoders=EncoderChoices()).prepare({"train": records}, HEARING, "none")


def test_wrong_words_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"data\.features must be one of live, cached; got 'frozen'"):
        FeatureOptions("frozen", tmp_path, "bf16")  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match=r"data\.feature_precision must be one of bf16, fp32; got 'fp8'"):
        FeatureOptions("live", tmp_path, "fp8")  # type: ignore[arg-type]


def test_only_one_command_writes(tmp_path: Path) -> None:
    refused = pytest.raises(DataError, match="Another `affect-lightning cache` is writing")
    with only_command(tmp_path), ShardWriter(tmp_path, rank=1):
        with refused, only_command(tmp_path, wait_seconds=0.1):
            pass
        with refused:
            take_lock(tmp_path, "writing-001.lock", wait_seconds=0.1)
    # A process that a killed command has left keeps the next one out.
    with ShardWriter(tmp_path, rank=1), refused, only_command(tmp_path, wait_seconds=0.1):
        pass
    with only_command(tmp_path, wait_seconds=0.1), ShardWriter(tmp_path, rank=1):
        pass
