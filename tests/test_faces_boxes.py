"""The cache of face boxes: detected once, shared by processes, safe against kills, foreign content and full disks."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import random
import shutil
import signal
import stat
import time
import warnings
from pathlib import Path

import numpy as np
import pytest

from affect_lightning.contracts import FaceBox
from affect_lightning.data import box_cache
from affect_lightning.data.box_cache import BoxCache, GrowingFiles, folder_beside, rounded
from affect_lightning.data.faces import FaceCropper
from affect_lightning.data.quarantine import UnreadableClipError
from face_cases import ScriptedDetector, box
from patience import LONGEST

LANDMARKS = ((1.0, 2.5), (3.0, 1 / 3), (5.0, 6.0), (7.0, 8.0), (9.0, 10.0))
BOXES = [[FaceBox(10.123, 10, 30, 30, 0.95, LANDMARKS), box(50, 40, 10)], []]
FRAMES, MASK = np.zeros((2, 60, 80, 3), np.uint8), np.ones(2, bool)


def clip(folder: Path, content: bytes = b"one", name: str = "a.mp4") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(content)
    return folder / name


def key(number: int) -> bytes:
    return random.Random(number).randbytes(16)


def only_file(folder: Path) -> Path:
    (path,) = folder.glob("*.boxes")
    return path


def test_boxes_are_detected_once(tmp_path: Path) -> None:
    source, detector = clip(tmp_path), ScriptedDetector(BOXES)
    first = FaceCropper(detector, 28, BoxCache(tmp_path / "boxes")).crop(FRAMES, MASK, source)
    second = FaceCropper(detector, 28, BoxCache(tmp_path / "boxes")).crop(FRAMES, MASK, source)
    assert detector.calls == 1
    assert (first.pictures == second.pictures).all()
    assert second.frames_without_face == 1
    cache = BoxCache(tmp_path / "boxes")
    kept = cache.read(source, cache.key(source, 2, "scripted"), 2)
    assert kept == rounded(BOXES)
    assert kept is not None
    assert kept[0][0] == FaceBox(10.12, 10.0, 30.0, 30.0, 0.95, (LANDMARKS[0], (3.0, 0.33), *LANDMARKS[2:]))


def test_a_cold_and_a_warm_cache_give_the_same_crops(tmp_path: Path) -> None:
    source, picture = clip(tmp_path), np.random.default_rng(0).integers(0, 255, (2, 60, 80, 3), np.uint8)
    odd = [[FaceBox(10.4999, 12.00499, 31.3333, 35.7777, 0.9)]] * 2
    cache = BoxCache(tmp_path / "boxes")
    crops = [FaceCropper(ScriptedDetector(odd), 28, use).crop(picture, MASK, source) for use in (None, cache, cache)]
    assert all((crop.pictures == crops[0].pictures).all() for crop in crops)


def test_keys_are_made_of_content_sampling_and_detector(tmp_path: Path) -> None:
    cache, source = BoxCache(tmp_path / "boxes"), clip(tmp_path, bytes(200_000))
    known = cache.key(source, 8, "scripted")
    os.utime(source, ns=(1, 1))
    copy = Path(shutil.copy(source, tmp_path / "copied under another name.mp4"))
    assert cache.key(source, 8, "scripted") == known == cache.key(copy, 8, "scripted")
    others = [cache.key(source, 4, "scripted"), cache.key(source, 8, "another")]
    for content in (bytes(200_001), b"x" + bytes(199_999), bytes(199_999) + b"x"):
        others.append(cache.key(clip(tmp_path, content), 8, "scripted"))
    assert len({known, *others}) == 6


def test_boxes_stand_beside_an_official_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AFFECT_LIGHTNING_CACHE", str(tmp_path / "user"))
    assert folder_beside(Path("set/subvideo-tgt/a.mp4")) == Path("set/face_boxes")
    detector = ScriptedDetector(BOXES)
    official, own = clip(tmp_path / "set" / "video", b"official"), clip(tmp_path / "mine", b"own")
    for source in (official, own, official, own):
        FaceCropper(detector, 28, BoxCache()).crop(FRAMES, MASK, source)
    assert detector.calls == 2
    kept = sorted(str(path.parent.relative_to(tmp_path)) for path in tmp_path.rglob("*.boxes"))
    assert kept == ["set/face_boxes", "user/face_boxes"]


def test_data_that_cannot_be_written_use_the_users_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AFFECT_LIGHTNING_CACHE", str(tmp_path / "user"))
    source, detector = clip(tmp_path / "set" / "video"), ScriptedDetector(BOXES)
    (tmp_path / "set" / "face_boxes").write_text("a file where the folder should be", encoding="utf-8")
    for _ in range(2):
        FaceCropper(detector, 28, BoxCache()).crop(FRAMES, MASK, source)
    assert detector.calls == 1
    assert len(list((tmp_path / "user").rglob("*.boxes"))) == 1


def test_no_folder_at_all_is_warned_of_once(tmp_path: Path) -> None:
    source, detector = clip(tmp_path), ScriptedDetector([[]])
    (tmp_path / "boxes").write_text("a file where the folder should be", encoding="utf-8")
    cropper = FaceCropper(detector, 28, BoxCache(tmp_path / "boxes"))
    with pytest.warns(UserWarning, match="Set cache_folder to a folder"):
        cropper.crop(FRAMES[:1], MASK[:1], source)
    cropper.crop(FRAMES[:1], MASK[:1], source)
    assert detector.calls == 2


def test_a_clip_that_vanished(tmp_path: Path) -> None:
    with pytest.raises(UnreadableClipError, match="No such file.*the file changed after it was decoded"):
        FaceCropper(ScriptedDetector([]), 28, BoxCache(tmp_path)).crop(FRAMES, MASK, tmp_path / "none.mp4")


@pytest.mark.parametrize("damage", ["", "[[", "[]", "[[[1, 2]], []]", "[[null], []]", "7", "[[], [], []]"])
def test_foreign_content_is_detected_again(tmp_path: Path, damage: str) -> None:
    source, detector = clip(tmp_path), ScriptedDetector(BOXES)
    cache = BoxCache(tmp_path / "boxes")
    GrowingFiles(tmp_path / "boxes").append(cache.key(source, 2, "scripted"), damage)
    os.utime(only_file(tmp_path / "boxes"), (1, 1))  # long ago: a system's clock of files ticks in milliseconds
    for _ in range(2):
        FaceCropper(detector, 28, BoxCache(tmp_path / "boxes")).crop(FRAMES, MASK, source)
    assert detector.calls == 1  # the newer, whole line wins


def test_a_torn_last_line_is_ignored(tmp_path: Path) -> None:
    files = GrowingFiles(tmp_path)
    for number in range(3):
        files.append(key(number), f"text {number}")
    path = only_file(tmp_path)
    whole = path.read_bytes()
    lines = whole.splitlines(keepends=True)
    for cut in range(len(whole) - len(lines[-1]), len(whole)):
        path.write_bytes(whole[:cut])
        assert [GrowingFiles(tmp_path).find(key(number)) for number in range(3)] == ["text 0", "text 1", None]
    fresh = GrowingFiles(tmp_path)
    fresh.append(key(2), "again")
    assert fresh.find(key(2)) == GrowingFiles(tmp_path).find(key(2)) == "again"
    assert len(list(tmp_path.glob("*.boxes"))) == 2


def test_a_flipped_bit_is_noticed(tmp_path: Path) -> None:
    GrowingFiles(tmp_path).append(key(0), "text")
    path = only_file(tmp_path)
    whole = path.read_bytes()
    for position in range(len(whole)):
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 1]) + whole[position + 1 :])
        assert GrowingFiles(tmp_path).find(key(0)) is None
    path.write_bytes(os.urandom(500) + b"\n" + whole)
    assert GrowingFiles(tmp_path).find(key(0)) == "text"


def test_what_another_process_adds_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(box_cache, "_LOOK_AGAIN_SECONDS", 0.0)
    reader, writer = GrowingFiles(tmp_path), GrowingFiles(tmp_path)
    assert reader.find(key(0)) is None
    for number in range(5):
        writer.append(key(number), str(number))
        assert reader.find(key(number)) == str(number)
    only_file(tmp_path).unlink()
    assert reader.find(key(0)) is None
    again = pickle.loads(pickle.dumps(writer))
    again.append(key(9), "nine")
    assert reader.find(key(9)) == "nine"


def test_a_folder_is_not_looked_through_at_every_miss(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(box_cache.time, "monotonic", lambda: now)
    reader, writer = GrowingFiles(tmp_path), GrowingFiles(tmp_path)
    assert reader.find(key(0)) is None
    writer.append(key(0), "text")
    monkeypatch.setattr(os, "scandir", None)
    assert writer.find(key(0)) == "text"  # its own it knows at once
    assert reader.find(key(0)) is None
    monkeypatch.undo()
    monkeypatch.setattr(box_cache.time, "monotonic", lambda: now + 1.0)
    assert reader.find(key(0)) == "text"


def test_the_index_keeps_the_newest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(box_cache, "_MERGE_AT", 7)
    writer, reader = GrowingFiles(tmp_path), GrowingFiles(tmp_path)
    order = random.Random(0)
    newest = {}
    for turn in range(100):
        number = order.randrange(20)
        newest[number] = f"turn {turn}"
        writer.append(key(number), newest[number])
    assert {number: reader.find(key(number)) for number in newest} == newest
    assert reader.find(key(99)) is None


def test_a_torn_write_spoils_itself_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files, write = GrowingFiles(tmp_path), os.write
    files.append(key(0), "before")
    with monkeypatch.context() as full_disk:
        full_disk.setattr(os, "write", lambda descriptor, text: write(descriptor, text[:20]))
        with pytest.raises(OSError, match="No space left"):
            files.append(key(1), "torn")
        full_disk.setattr(os, "ftruncate", lambda descriptor, size: None)  # nor can what was written be taken back
        with pytest.raises(OSError, match="No space left"):
            files.append(key(1), "torn")
    files.append(key(2), "after")
    assert [GrowingFiles(tmp_path).find(key(number)) for number in range(3)] == ["before", None, "after"]


def write_for_ever(folder: Path, first: int, ready: object) -> None:
    files = GrowingFiles(folder)
    number = first
    while True:
        files.append(key(number), f"text of {number} " * 20)
        number += 1
        if number - first >= 2:
            ready.set()  # type: ignore[attr-defined]


def test_killed_writers_lose_nothing_that_was_whole(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 warns of fork beside threads
        writers = []
        for first in (0, 1_000_000, 2_000_000):
            ready = context.Event()
            process = context.Process(target=write_for_ever, args=(tmp_path, first, ready))
            process.start()
            writers.append((first, process, ready))
    for _, process, ready in writers:
        assert ready.wait(LONGEST)
        time.sleep(0.01)
        assert process.pid is not None
        os.kill(process.pid, signal.SIGKILL)
        process.join()
    reader = GrowingFiles(tmp_path)
    for first, _, _ in writers:
        count = 0
        while reader.find(key(first + count)) == f"text of {first + count} " * 20:
            count += 1
        assert count > 0
        assert reader.find(key(first + count + 1)) is None
    assert sum(path.read_bytes().count(b"\n") for path in tmp_path.glob("*.boxes")) > 3


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_the_right_to_write(tmp_path: Path) -> None:
    folder = tmp_path / "boxes"
    folder.mkdir()
    folder.chmod(stat.S_IRUSR | stat.S_IXUSR)
    with pytest.raises(OSError, match="denied"):
        GrowingFiles(folder).append(key(0), "text")
