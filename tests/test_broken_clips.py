"""Broken files of every kind: quarantine or a clear error, the other clips are read, no worker hangs or dies."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from affect_lightning.data import decoding
from affect_lightning.data.clip_data_module import ClipDataModule
from affect_lightning.data.decoding import decode_clip
from affect_lightning.data.quarantine import UnreadableClipError
from broken_clips import KINDS, write_broken_set
from clip_making import write_clip


@pytest.fixture(scope="module")
def broken_set(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_broken_set(tmp_path_factory.mktemp("broken"))


def test_there_are_enough() -> None:
    assert len({kind.name for kind in KINDS}) == len(KINDS)
    assert sum(kind.outcome == "bad" for kind in KINDS) >= 40


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("workers", [0, 2])
def test_every_broken_file_ends_in_quarantine(broken_set: Path, tmp_path: Path, workers: int) -> None:
    module = ClipDataModule(
        train_root=broken_set,
        inputs=["audio", "face", "frame"],
        face_detector="none",
        frames=8,
        crop_size=32,
        batch_size=2,
        workers=workers,
        worker_start="forkserver",
        validation_share=0.0,
        max_bad_share=1.0,
        quarantine_file=tmp_path / "quarantine.jsonl",
    )
    module.setup("fit")
    read = {name for batch in module.train_dataloader() for name in batch.names}
    module.teardown("fit")
    bad = {clip["name"]: clip for clip in module.quarantined()}
    assert not read & bad.keys()
    assert read | bad.keys() == {kind.name for kind in KINDS}
    wrong = [
        (kind.name, kind.outcome, bad.get(kind.name))
        for kind in KINDS
        if (kind.outcome == "bad" and kind.name not in bad) or (kind.outcome == "reads" and kind.name in bad)
    ]
    assert not wrong
    for kind in KINDS:
        if kind.name in bad and kind.outcome == "bad":
            clip = bad[kind.name]
            assert clip["stage"] == kind.replaced, clip
            assert re.search(kind.reason, clip["reason"]), clip
            assert Path(clip["path"]).stem == kind.name
            assert "\n" not in clip["reason"]
    assert not list(broken_set.rglob("*.ran"))  # the pickle was never executed


@pytest.mark.parametrize(
    ("bound", "value", "message"),
    [
        ("MAX_CLIP_PIXELS", 64 * 48 * 10, "50 frames of 64x48 are more than the 30720 pixels"),
        ("MAX_SECONDS", 1.5, "frames announce 2 seconds; expected 0 to 1.5"),
        ("MAX_PACKETS", 20, "or 20 packets; cut it into clips"),
    ],
)
def test_bounds_on_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bound: str, value: float, message: str
) -> None:
    path = write_clip(tmp_path / "a.mp4")
    decode_clip(path, None, frame_count=8, sample_rate=None)
    monkeypatch.setattr(decoding, bound, value)
    with pytest.raises(UnreadableClipError, match=message):
        decode_clip(path, None, frame_count=8, sample_rate=None)
