"""Face crops: the right square, what stands in for a face that was not found, released crops."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from affect_lightning.contracts import FaceBox
from affect_lightning.data.faces import FaceCropper, FacePolicy, crop_square, fill_gaps, read_face_file
from affect_lightning.data.quarantine import UnreadableClipError
from affect_lightning.errors import ConfigurationError
from affect_lightning.plugin_loading import build_part
from face_cases import ScriptedDetector, box


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


FRAMES = np.random.default_rng(0).integers(0, 255, (4, 60, 80, 3), np.uint8)
MASK = np.array([True, True, True, False])
FOUND = [[box(40, 30, 20)], [], [box(42, 30, 20)]]


def crops_of(found: list[list[FaceBox]], policy: FacePolicy = FacePolicy()) -> Any:  # noqa: B008
    return FaceCropper(ScriptedDetector(found), crop_size=28, policy=policy).crop(FRAMES, MASK, Path("a.mp4"))


def whole(index: int) -> np.ndarray:
    detector = build_part("face_detectors", "none")
    crops = FaceCropper(detector, crop_size=28).crop(FRAMES, MASK, Path("a.mp4"))
    assert crops.frames_without_face == crops.clips_without_face == 0
    return crops.pictures[index]


@pytest.mark.parametrize("frame_policy", ["nearest", "whole", "drop"])
def test_a_frame_without_the_face(frame_policy: Any) -> None:
    crops = crops_of(FOUND, FacePolicy(frame=frame_policy))
    assert (crops.frames_without_face, crops.clips_without_face) == (1, 0)
    expected = {"nearest": crop_square(FRAMES[1], box(40, 30, 20), 28), "whole": whole(1), "drop": 0 * whole(1)}
    assert (crops.pictures[1] == expected[frame_policy]).all()
    assert crops.mask.tolist() == [True, frame_policy != "drop", True, False]
    for index, centre in ((0, 40), (2, 42)):
        assert (crops.pictures[index] == crop_square(FRAMES[index], box(centre, 30, 20), 28)).all()
    assert not crops.pictures[3].any()


def test_dropped_frames_are_counted_among_the_real_ones() -> None:
    mask = np.array([False, True, True, True])
    detector = ScriptedDetector([[], [box(40, 30, 20)], []])
    crops = FaceCropper(detector, 28, policy=FacePolicy(frame="drop")).crop(FRAMES, mask, Path("a.mp4"))
    assert crops.mask.tolist() == [False, False, True, False]
    assert crops.frames_without_face == 2


@pytest.mark.parametrize("frame_policy", ["nearest", "whole", "drop"])
def test_a_clip_without_a_face_is_used_whole(frame_policy: Any) -> None:
    crops = crops_of([[], [], []], FacePolicy(frame=frame_policy))
    assert (crops.frames_without_face, crops.clips_without_face) == (3, 1)
    assert all((crops.pictures[index] == whole(index)).all() for index in range(3))
    assert (crops.mask == MASK).all()


def test_a_clip_without_a_face_is_dropped() -> None:
    with pytest.raises(
        UnreadableClipError, match=r"a.mp4 .*none of its 3 frames shows a face.*Set it to whole"
    ) as error:
        crops_of([[], [], []], FacePolicy(clip="drop"))
    assert error.value.stage == "face"
    assert crops_of(FOUND, FacePolicy(clip="drop")).frames_without_face == 1
    detector = build_part("face_detectors", "none")  # looks for no face, so it misses none
    assert FaceCropper(detector, 28, policy=FacePolicy(clip="drop")).crop(FRAMES, MASK, Path("a.mp4")).mask.sum() == 3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"frame": "skip"}, "frame_without_face must be one of nearest, whole, drop; got 'skip'"),
        ({"clip": "nearest"}, "clip_without_face must be one of whole, drop; got 'nearest'"),
    ],
)
def test_unknown_policies(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        FacePolicy(**options)


def test_the_identity_names_all_that_the_crops_depend_on() -> None:
    detector = ScriptedDetector([], "scripted")
    croppers = [
        FaceCropper(detector),
        FaceCropper(ScriptedDetector([], "another")),
        FaceCropper(detector, crop_size=112),
        FaceCropper(detector, margin=0.5),
        FaceCropper(detector, policy=FacePolicy(frame="drop")),
        FaceCropper(detector, policy=FacePolicy(clip="drop")),
    ]
    assert len({cropper.identity() for cropper in croppers}) == len(croppers)


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
