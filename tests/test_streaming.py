"""A packed clip is the clip: batches equal bit by bit, order without repeats or gaps, exact resume, counted faults."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from lightning.pytorch import Trainer

from affect_lightning.contracts import ClipRecord, FaceBox, FaceDetector
from affect_lightning.data.box_cache import BoxCache
from affect_lightning.data.clip_data_module import ClipDataModule
from affect_lightning.data.dataset import ClipDataset, ClipSample, FailedSample, ReadingOptions
from affect_lightning.data.faces import FaceCropper
from affect_lightning.data.ordering import SampleKey
from affect_lightning.data.quarantine import BadClip, Quarantine
from affect_lightning.data.questions import QuestionDraw
from affect_lightning.errors import DataError
from affect_lightning.packed_sets.layout import MANIFEST
from affect_lightning.packed_sets.packed_clips import PackedClips, open_packed_set
from affect_lightning.packed_sets.packing import pack_clips
from name_recorder import NameRecorder
from streaming_cases import contents, make_dataset, make_loader, write_records

pytest.importorskip("litdata", reason="litdata is not installed: pip install 'affect-lightning[streaming]'")

SHARD_BYTES = 40_000


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> list[ClipRecord]:
    return write_records(tmp_path_factory.mktemp("clips"))


@pytest.fixture(scope="module")
def packed_folder(records: list[ClipRecord], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("packed") / "set"
    pack_clips(records, folder, shard_bytes=SHARD_BYTES)
    return folder


@pytest.fixture
def packed(packed_folder: Path, tmp_path: Path) -> PackedClips:
    return open_packed_set(str(packed_folder), cache_folder=tmp_path)


def assert_same(packed: object, listed: object) -> None:
    assert type(packed) is type(listed)
    if isinstance(packed, BadClip):
        assert packed == listed
        return
    assert isinstance(packed, ClipSample)
    assert isinstance(listed, ClipSample)
    assert replace(packed, streams={}) == replace(listed, streams={})
    assert packed.streams.keys() == listed.streams.keys()
    for name, stream in listed.streams.items():
        for array in ("values", "mask"):
            value, other = getattr(stream, array), getattr(packed.streams[name], array)
            assert value.dtype == other.dtype
            assert np.array_equal(value, other), f"{name} {array}"


@pytest.mark.parametrize("streams", [{"audio", "face", "frame"}, {"audio"}, {"face"}, set()])
def test_a_packed_clip_gives_the_same_sample(records: list[ClipRecord], packed: PackedClips, streams: set[str]) -> None:
    options = ReadingOptions(frozenset(streams), frame_count=3, crop_size=16)
    listed, opened = make_dataset(records, options), make_dataset(packed, options)
    assert len(listed) == len(opened) == 12
    for key in [SampleKey(clip, epoch) for clip in range(12) for epoch in (0, 1)]:
        assert_same(opened[key], listed[key])
    bad = {clip for clip in range(12) if isinstance(opened[SampleKey(clip)], BadClip)}
    assert bad == ({3, 6} if streams > {"face"} else {3} if "face" in streams else {6} if streams else set())


def test_batches_in_order_are_equal_bit_by_bit(records: list[ClipRecord], packed: PackedClips) -> None:
    listed = [contents(batch) for batch in make_loader(records, shuffle=False)]
    assert [contents(batch) for batch in make_loader(packed, shuffle=False)] == listed


@pytest.mark.reaches_out  # older releases of litdata look for a newer one when a user opens a set with them; we never do
def test_litdata_reads_the_same_bytes(records: list[ClipRecord], packed_folder: Path) -> None:
    import litdata

    read = litdata.StreamingDataset(str(packed_folder))
    assert len(read) == len(records)
    for position, record in enumerate(records):
        annotation, video, audio, face = (bytes(part) for part in read[position])
        assert json.loads(annotation)["annotation"]["name"] == record.name
        for content, path in ((video, record.video), (audio, record.audio), (face, record.face)):
            assert content == (path.read_bytes() if path is not None and path.is_file() else b"")


def test_any_number_of_workers_gives_the_same_batches(packed: PackedClips) -> None:
    loader = make_loader(packed)
    expected = [[contents(batch) for batch in loader] for _ in range(2)]
    assert expected[0] != expected[1]
    met = sorted(record.name for batch in expected[0] for record in batch[0])
    bad = {3, 6}
    assert met == sorted(f"clip {index} 片'" for index in range(12) if index not in bad)
    for workers in (1, 2):
        loader = make_loader(packed, workers)
        assert [[contents(batch) for batch in loader] for _ in range(2)] == expected


def test_resume_gives_the_very_next_clip(packed: PackedClips) -> None:
    whole = make_loader(packed)
    expected = [contents(batch) for _ in range(2) for batch in whole]
    for taken in (1, 4, 8):
        first = make_loader(packed)
        given = (batch for _ in range(2) for batch in first)
        before = [contents(next(given)) for _ in range(taken)]
        second = make_loader(packed)
        second.load_state_dict(json.loads(json.dumps(first.state_dict())))
        after = [contents(batch) for _ in range(2) for batch in second]
        assert (before + after)[: len(expected)] == expected


def test_a_state_of_another_pack_cannot_be_continued(
    packed: PackedClips, records: list[ClipRecord], tmp_path: Path
) -> None:
    pack_clips(records[:11], tmp_path / "other", shard_bytes=SHARD_BYTES)
    other = make_loader(open_packed_set(str(tmp_path / "other"), cache_folder=tmp_path))
    state = {**make_loader(packed).state_dict(), "batches": 2}
    with pytest.warns(UserWarning, match="clip_count 12 -> 11.*packed .* starts again"):
        other.load_state_dict(state)
    wider = make_loader(packed, window=3)
    with pytest.warns(UserWarning, match=r"cannot be continued exactly \(window 2 -> 3\)"):
        wider.load_state_dict(state)


def test_bad_clips_go_to_quarantine(packed: PackedClips, records: list[ClipRecord], tmp_path: Path) -> None:
    files = [tmp_path / "packed.jsonl", tmp_path / "listed.jsonl"]
    for clips, file in zip((packed, records), files, strict=True):
        quarantine = Quarantine(max_bad_share=0.5, file=file)
        loader = make_loader(clips, quarantine=quarantine, shuffle=False)
        assert sum(len(batch) for batch in loader) == 10
        assert len(quarantine.clips) == 2
    assert files[0].read_text(encoding="utf-8") == files[1].read_text(encoding="utf-8")
    with pytest.raises(DataError, match="2 of 12 clips cannot be read"):
        list(make_loader(packed, quarantine=Quarantine(max_bad_share=0.01), shuffle=False))


def test_the_manifest_names_what_could_not_be_read(packed: PackedClips, records: list[ClipRecord]) -> None:
    manifest = packed.manifest
    (entry,) = manifest.unreadable
    assert entry == {
        "name": records[6].name,
        "corpus": "other",
        "path": str(records[6].audio),
        "stage": "audio",
        "reason": "the file does not exist.",
    }
    assert manifest.clips == 12
    assert len(manifest.shards) > 3
    assert manifest.corpora == ("other", "made")
    assert max(shard.size for shard in manifest.shards if shard.clips > 1) < SHARD_BYTES + 1000


# --- damage ---


def copied(folder: Path, target: Path) -> Path:
    target.mkdir()
    for path in folder.iterdir():
        (target / path.name).write_bytes(path.read_bytes())
    return target


def opened(folder: Path) -> PackedClips:
    return open_packed_set(str(folder), cache_folder=folder)


def test_a_damaged_set_is_refused(packed_folder: Path, tmp_path: Path) -> None:
    folder = copied(packed_folder, tmp_path / "set")
    shard = folder / "chunk-0-1.bin"
    whole = shard.read_bytes()
    shard.write_bytes(whole[:-1])
    with pytest.raises(DataError, match=r"is damaged: chunk-0-1.bin has \d+ of \d+ bytes.*pack again"):
        opened(folder)
    shard.unlink()
    with pytest.raises(DataError, match=r"chunk-0-1.bin is missing"):
        opened(folder)
    shard.write_bytes(whole)
    index = folder / "clips.npy"
    rows = index.read_bytes()
    index.write_bytes(rows[:-1] + bytes([rows[-1] ^ 1]))
    with pytest.raises(DataError, match=r"clips.npy does not match the manifest"):
        opened(folder)
    index.write_bytes(rows)
    assert len(opened(folder)) == 12


@pytest.mark.parametrize("position", [2, 30, -1])
def test_a_changed_byte_in_a_shard_is_found(packed_folder: Path, tmp_path: Path, position: int) -> None:
    folder = copied(packed_folder, tmp_path / "set")
    shard = folder / "chunk-0-0.bin"
    content = bytearray(shard.read_bytes())
    content[position] ^= 0x40
    shard.write_bytes(content)
    dataset = make_dataset(opened(folder))
    first = opened(folder).manifest.shards[0].clips
    failed = [item for clip in range(first) if isinstance(item := dataset[SampleKey(clip)], FailedSample)]
    if position == 2:  # the number of items, which is not needed
        assert not failed
        return
    assert failed
    assert all("chunk-0-0.bin" in str(item.error) and "damaged" in str(item.error) for item in failed)
    with pytest.raises(DataError, match=r"The shard chunk-0-0.bin of .* is damaged"):
        list(make_loader(opened(folder), shuffle=False))


def test_what_is_no_packed_set_is_told(packed_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no packed set.*affect-lightning pack"):
        opened(tmp_path / "nothing")
    folder = copied(packed_folder, tmp_path / "set")
    manifest = folder / MANIFEST
    text = manifest.read_text(encoding="utf-8")
    for changed, message in (
        (text.replace("pack/1", "pack/9"), "has the format 'affect-lightning-pack/9'"),
        (text[:-200], "is not the manifest of a packed set"),
        ("[]", "has the format None"),
        (text.replace('"clips": 12', '"clips": 13'), "its shards have 12 clips, but it declares 13"),
        (text.replace('"media"', '"features"'), "has the payload 'features'; 'media' is needed"),
    ):
        manifest.write_text(changed, encoding="utf-8")
        with pytest.raises(DataError, match=message):
            opened(folder)
    manifest.unlink()
    (folder / ".packing").mkdir()
    with pytest.raises(
        DataError, match="is not finished. Run the same `affect-lightning pack` command again to finish it"
    ):
        opened(folder)


def test_a_missing_file_is_not_looked_for_again(records: list[ClipRecord], tmp_path: Path) -> None:
    """What was packed is what is read, whatever becomes of the files."""
    video = tmp_path / "moved.mp4"
    assert records[0].video is not None
    video.write_bytes(records[0].video.read_bytes())
    pack_clips([replace(records[0], video=video)], tmp_path / "set")
    expected: Any = make_dataset([replace(records[0], video=video)])[SampleKey(0)]
    video.unlink()
    assert_same(make_dataset(opened(tmp_path / "set"))[SampleKey(0)], expected)


# --- faces, and the Trainer ---


class CountingDetector(FaceDetector):
    """Finds a face in the middle and counts how often it is asked."""

    calls = 0

    def detect(self, frames: np.ndarray) -> list[list[FaceBox]]:
        CountingDetector.calls += 1
        return [[FaceBox(10.0, 5.0, 40.0, 35.0, 0.9)] for _ in frames]

    def identity(self) -> str:
        return "counting"


def test_boxes_are_shared_with_the_unpacked_clip(
    records: list[ClipRecord], packed: PackedClips, tmp_path: Path
) -> None:
    cropper = FaceCropper(CountingDetector(), 16, BoxCache(tmp_path / "boxes"))
    options = ReadingOptions(frozenset({"face"}), frame_count=3, crop_size=16)
    CountingDetector.calls = 0
    listed: Any = ClipDataset(records, options, QuestionDraw(seed=5), cropper)[SampleKey(0)]
    assert CountingDetector.calls == 1
    streamed: Any = ClipDataset(packed, options, QuestionDraw(seed=5), cropper)[SampleKey(0)]
    assert CountingDetector.calls == 1  # the boxes of the file serve its packed copy
    assert_same(streamed, listed)
    other: Any = ClipDataset(packed, options, QuestionDraw(seed=5), cropper)
    assert isinstance(other[SampleKey(1)], ClipSample)
    assert CountingDetector.calls == 2


def _set_up(data: ClipDataModule) -> ClipDataModule:
    data.setup("fit")
    return data


@pytest.mark.filterwarnings("ignore:.*LeafSpec:FutureWarning")
@pytest.mark.parametrize("stop_after", [4, 8])
def test_the_trainer_resumes_exactly(packed_folder: Path, tmp_path: Path, stop_after: int) -> None:
    """In the middle of the first epoch and of the second, and over the end of both; six steps are an epoch."""

    def fit(steps: int, checkpoint: Path | None = None) -> tuple[Trainer, list[tuple[str, ...]]]:
        trainer = Trainer(
            max_steps=steps,
            limit_val_batches=0,
            accelerator="cpu",
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            use_distributed_sampler=False,
            default_root_dir=tmp_path,
        )
        recorder = NameRecorder()
        data = ClipDataModule(
            packed=str(packed_folder),
            shuffle_window=2,
            inputs=["text"],
            batch_size=2,
            validation_share=0.0,
        )
        loader = _set_up(data).train_dataloader()
        trainer.fit(recorder, loader, ckpt_path=checkpoint)
        return trainer, recorder.seen

    _, whole = fit(16)
    trainer, first = fit(stop_after)
    trainer.save_checkpoint(tmp_path / "middle.ckpt")
    _, rest = fit(16, tmp_path / "middle.ckpt")
    assert len(whole) == 16
    assert first + rest == whole
    for epoch in (whole[:6], whole[6:12]):
        names = [name for seen in epoch for name in seen[:2]]
        assert sorted(names) == sorted(f"clip {index} 片'" for index in range(12))
