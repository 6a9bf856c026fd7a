"""The pretrained audio encoders against transformers called directly. Loading: test_pretrained_loading.py."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from affect_lightning.contracts import AudioEncoder
from affect_lightning.errors import ConfigurationError, ContractError
from affect_lightning.plugin_loading import build_part
from encoder_cases import WIDTH, saved_model, some_sound

RATE, WINDOW = 16_000, 4_000
RAW = {  # kind of model: plugin, and the model's body within what was saved
    "hubert": ("hubert-large", lambda model: model),
    "hubert-ctc": ("chinese-hubert-large", lambda model: model.hubert),
    "wavlm": ("wavlm-large", lambda model: model),
    "data2vec": ("data2vec-audio-base", lambda model: model),
    "wav2vec2": ("wav2vec2", lambda model: model),
    "wav2vec2-pretraining": ("wav2vec2", lambda model: model.wav2vec2),
    "wav2vec2-layer": ("wav2vec2", lambda model: model),
    "unispeech": ("hf-audio", lambda model: model),
}
ALL = {**{kind: plugin for kind, (plugin, _) in RAW.items()}, "whisper": "whisper"}
STARTS = [(20_000 - WINDOW) * step // 7 for step in range(8)]  # of 8 windows in a clip of 20,000 samples


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tuple[Any, Path]]:
    """Saved tiny models by kind, each made once."""
    made: dict[str, tuple[Any, Path]] = {}
    root = tmp_path_factory.mktemp("models")

    def get(kind: str) -> tuple[Any, Path]:
        if kind not in made:
            made[kind] = saved_model(kind, root / kind), root / kind
        return made[kind]

    return get


@pytest.fixture(autouse=True)
def _no_gradients() -> object:
    with torch.no_grad():
        yield


def built(models: Any, kind: str, **options: Any) -> AudioEncoder:
    window = {} if options.get("span") == "clip" else {"window_seconds": WINDOW / RATE}
    return build_part("audio_encoders", {"name": ALL[kind], "model": str(models(kind)[1]), **window, **options})


def last_layers(output: Any, layers: int = 4) -> Tensor:
    """The mean of the last layers as transformers gave them in the paper's time: the last one normalised."""
    return torch.stack([*output.hidden_states[-layers:-1], output.last_hidden_state]).mean(dim=0)


def heard_directly(kind: str, model: Any, sound: Tensor, layers: int = 4) -> Tensor:
    """Frames [F, D] of one sound from the library's feature extractor and model."""
    from transformers import Wav2Vec2FeatureExtractor

    extractor = Wav2Vec2FeatureExtractor(do_normalize=True)
    values = extractor(sound.numpy(), sampling_rate=RATE, return_tensors="pt").input_values
    return last_layers(RAW[kind][1](model)(values, output_hidden_states=True), layers)[0]


def whisper_directly(model: Any, sound: Tensor) -> Tensor:
    """Frames [F, D] of one sound of at most a second, the length that the tiny Whisper hears at once."""
    from transformers import WhisperFeatureExtractor

    extractor = WhisperFeatureExtractor(feature_size=20, chunk_length=1)
    values = extractor(sound.numpy(), sampling_rate=RATE, return_tensors="pt").input_features
    return last_layers(model.get_encoder()(values, output_hidden_states=True))[0]


@pytest.mark.parametrize("kind", RAW)
def test_library_called_directly_gives_the_same_numbers(models: Any, kind: str) -> None:
    model, _ = models(kind)
    sound = some_sound(1, 20_000)
    windows = [heard_directly(kind, model, sound[0, start : start + WINDOW]) for start in STARTS]
    lengths = torch.tensor([20_000])
    encoder = built(models, kind)
    found = encoder(sound, lengths)
    assert encoder.feature_width == found.width == WIDTH
    assert encoder.sample_rate == RATE
    expected = torch.stack([window.mean(dim=0) for window in windows])
    torch.testing.assert_close(found.tokens[0], expected, rtol=1e-4, atol=1e-4)
    assert expected.std(dim=0).min() > 1e-3, "equal windows would prove nothing"
    frames = built(models, kind, features="frames")(sound, lengths)
    torch.testing.assert_close(frames.tokens[0], torch.cat(windows), rtol=1e-4, atol=1e-4)
    assert frames.mask.all()


@pytest.mark.parametrize("kind", ["hubert", "data2vec", "wav2vec2"])
def test_whole_clips_and_other_layers(models: Any, kind: str) -> None:
    model, _ = models(kind)
    sound, lengths = some_sound(2, 9_000), torch.tensor([9_000, 6_500])
    expected = [heard_directly(kind, model, one[:length], layers=2) for one, length in zip(sound, lengths, strict=True)]
    whole = built(models, kind, span="clip", last_layers=2)(sound, lengths)
    assert whole.tokens.shape == (2, 1, WIDTH)
    for found, frames in zip(whole.tokens, expected, strict=True):
        torch.testing.assert_close(found[0], frames.mean(dim=0), rtol=1e-4, atol=1e-4)
    frames = built(models, kind, span="clip", last_layers=2, features="frames")(sound, lengths)
    for found, mask, one in zip(frames.tokens, frames.mask, expected, strict=True):
        assert int(mask.sum()) == len(one)
        torch.testing.assert_close(found[mask], one, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kind", RAW)
def test_a_clip_shorter_than_a_window_is_heard_as_it_is(models: Any, kind: str) -> None:
    """No silence behind it is encoded, whatever stands beside it in the batch."""
    model, _ = models(kind)
    sound, lengths = some_sound(2, 20_000), torch.tensor([20_000, 2_345])
    expected = heard_directly(kind, model, sound[1, :2_345]).mean(dim=0)
    found = built(models, kind)(sound, lengths).tokens[1]
    torch.testing.assert_close(found, expected.expand(8, -1), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("short_clips", ["padded", "as_they_are"])
@pytest.mark.parametrize("kind", ["hubert", "wavlm", "wav2vec2-layer"])
def test_one_mean_and_variance_over_all_windows_of_the_batch(models: Any, kind: str, short_clips: str) -> None:
    """A short clip counts as often as it has windows, though it is encoded once."""
    model, _ = models(kind)
    sound, lengths = some_sound(2, 20_000) + 0.1, torch.tensor([20_000, 2_345])
    short = sound[1, :2_345]
    if short_clips == "padded":
        short = torch.nn.functional.pad(short, (0, WINDOW - len(short)))
    windows = [*(sound[0, start : start + WINDOW] for start in STARTS), *[short] * 8]
    every = torch.cat(windows).double()
    mean, deviation = every.mean(), (every.var(unbiased=False) + 1e-7).sqrt()
    expected = []
    for window in (*windows[:8], short):
        scaled = ((window - mean) / deviation).float()[None]
        expected.append(last_layers(RAW[kind][1](model)(scaled, output_hidden_states=True))[0].mean(dim=0))
    found = built(models, kind, normalise="batch", short_clips=short_clips)(sound, lengths).tokens
    torch.testing.assert_close(found[0], torch.stack(expected[:8]), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(found[1], expected[8].expand(8, -1), rtol=1e-4, atol=1e-4)
    apart = built(models, kind, short_clips=short_clips)(sound, lengths).tokens
    assert (apart - found).abs().max() > 1e-2, "windows normalised alone would pass too"


@pytest.mark.parametrize("features", ["pooled", "frames"])
@pytest.mark.parametrize("kind", ["hubert", "data2vec", "whisper"])
def test_a_padded_short_clip_is_one_with_silence_behind_it(models: Any, kind: str, features: str) -> None:
    sound, lengths = some_sound(2, 5_000), torch.tensor([5_000, 2_345])
    lengthened = sound.masked_fill(torch.arange(5_000) >= lengths[:, None], 0.0)
    window = WINDOW // 320 * 320 if kind == "whisper" else WINDOW  # Whisper's windows are cut out of frames of 20 ms
    expected = built(models, kind, features=features)(lengthened, torch.tensor([5_000, window]))
    found = built(models, kind, features=features, short_clips="padded")(sound, lengths)
    assert torch.equal(found.mask, expected.mask)
    torch.testing.assert_close(found.tokens, expected.tokens, rtol=1e-4, atol=1e-5)
    as_it_is = built(models, kind, features=features)(sound, lengths)
    assert (as_it_is.tokens[1] - found.tokens[1]).abs().max() > 1e-2
    assert not built(models, kind, short_clips="padded")(sound, torch.tensor([5_000, 0])).mask[1].any()


def test_whisper_called_directly_gives_the_same_numbers(models: Any) -> None:
    model, _ = models("whisper")
    sound, lengths = some_sound(1, 20_000), torch.tensor([20_000])
    frames = torch.cat([whisper_directly(model, sound[0, :16_000]), whisper_directly(model, sound[0, 16_000:])])
    frames = frames[: -(-20_000 // 320)]  # 20 ms each; the last one is begun only
    size = WINDOW // 320
    starts = [(len(frames) - size) * step // 7 for step in range(8)]
    expected = torch.stack([frames[start : start + size].mean(dim=0) for start in starts])
    torch.testing.assert_close(built(models, "whisper")(sound, lengths).tokens[0], expected, rtol=1e-3, atol=1e-3)
    whole = built(models, "whisper", span="clip", features="frames")(sound, lengths)
    torch.testing.assert_close(whole.tokens[0], frames, rtol=1e-3, atol=1e-3)
    assert expected.std(dim=0).min() > 1e-3


@pytest.mark.parametrize("options", [{}, {"span": "clip", "features": "frames"}])
@pytest.mark.parametrize("kind", ["hubert", "wavlm", "data2vec", "wav2vec2", "whisper"])
def test_padding_and_the_rest_of_the_batch_change_nothing(models: Any, kind: str, options: dict[str, Any]) -> None:
    encoder = built(models, kind, **options)
    sound, lengths = some_sound(4, 20_000), torch.tensor([20_000, 9_000, 3_000, 0])
    found = encoder(sound, lengths)
    assert not found.mask[3].any()
    assert not found.tokens[~found.mask].any()
    assert found.tokens.isfinite().all()
    other = sound.masked_fill(torch.arange(20_000) >= lengths[:, None], 0.7)
    torch.testing.assert_close(encoder(other, lengths).tokens, found.tokens, rtol=0, atol=0)
    torch.testing.assert_close(
        encoder(sound.flip(0), lengths.flip(0)).tokens.flip(0), found.tokens, rtol=1e-4, atol=1e-5
    )
    for clip in range(3):
        alone = encoder(sound[[clip], : lengths[clip]], lengths[[clip]])
        torch.testing.assert_close(
            alone.tokens[alone.mask], found.tokens[[clip]][found.mask[[clip]]], rtol=1e-4, atol=1e-5
        )


@pytest.mark.parametrize("samples", [0, 1, 100, 5_000])
@pytest.mark.parametrize("kind", ["hubert", "wav2vec2", "whisper"])
def test_hardly_any_sound(models: Any, kind: str, samples: int) -> None:
    encoder = built(models, kind)
    found = encoder(some_sound(1, 5_000), torch.tensor([samples]))
    assert found.tokens.shape == (1, 8, WIDTH)
    assert found.tokens.isfinite().all()
    assert bool(found.mask.all()) == bool(found.mask.any()) == (samples > 0)
    if not samples:
        assert encoder(torch.zeros(2, 0), torch.tensor([0, 0])).tokens.shape == (2, 8, WIDTH)


@pytest.mark.parametrize("kind", ["hubert", "wav2vec2"])
def test_one_call_for_all_windows_of_the_batch(models: Any, kind: str) -> None:
    seen: list[tuple[int, ...]] = []
    sound, lengths = some_sound(3, 20_000), torch.tensor([20_000, 16_000, 12_000])
    for bound, calls in ((128, [(24, WINDOW)]), (16, [(16, WINDOW), (8, WINDOW)])):
        encoder = built(models, kind, pieces_at_once=bound)
        encoder.network.feature_extractor.register_forward_hook(
            lambda _, inputs, __: seen.append(tuple(inputs[0].shape))
        )
        encoder(sound, lengths)
        assert seen == calls
        seen.clear()


def test_a_short_clip_is_encoded_once(models: Any) -> None:
    seen: list[int] = []
    encoder = built(models, "hubert")
    encoder.network.feature_extractor.register_forward_hook(lambda _, inputs, __: seen.append(len(inputs[0])))
    encoder(some_sound(2, 20_000), torch.tensor([20_000, 3_000]))
    assert seen == [9]


@pytest.mark.parametrize("kind", ["hubert", "wavlm", "data2vec", "whisper"])
def test_sixteen_bits(models: Any, kind: str) -> None:
    encoder = built(models, kind)
    sound, lengths = some_sound(2, 20_000), torch.tensor([20_000, 3_000])
    exact = encoder(sound, lengths).tokens
    with torch.autocast("cpu", torch.bfloat16):
        mixed = encoder(sound, lengths).tokens
    halved = encoder.to(torch.bfloat16)(sound, lengths).tokens
    assert halved.dtype == torch.bfloat16
    for found in (mixed.float(), halved.float()):
        assert (found - exact).norm() < 0.1 * exact.norm()


def test_preprocessing_comes_from_the_models_file(models: Any, tmp_path: Path) -> None:
    """WavLM-Base, for one, was published with do_normalize: false."""
    saved_model("wavlm", tmp_path, {"do_normalize": False, "sampling_rate": RATE})
    sound = some_sound(1, WINDOW)
    model, _ = models("wavlm")
    expected = last_layers(model(sound, output_hidden_states=True))[0].mean(dim=0)
    choice = {"name": "wavlm-large", "model": str(tmp_path), "window_seconds": WINDOW / RATE, "windows": 1}
    found = build_part("audio_encoders", choice)(sound, torch.tensor([WINDOW])).tokens[0, 0]
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
    with pytest.raises(
        ConfigurationError, match="Leave `normalise` out: .* was trained on sound that is not normalised"
    ):
        build_part("audio_encoders", {**choice, "normalise": "batch"})
    saved_model("wavlm", tmp_path, {"sampling_rate": 8_000})
    with pytest.raises(ConfigurationError, match="hears 8000 Hz; this encoder needs a model of 16000 Hz"):
        build_part("audio_encoders", choice)


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        ("hubert", {"windows": 0}, "windows and pieces_at_once must be at least 1 .* got 0"),
        ("hubert", {"pieces_at_once": 0}, "must be at least 1"),
        ("hubert", {"window_seconds": 0.02}, "window_seconds 0.02 is too short. Raise it: one frame of .* needs"),
        ("hubert", {"last_layers": 6}, r"last_layers must be from 1 to 5.* got 6"),
        ("whisper", {"last_layers": 0}, r"last_layers must be from 1 to 5.* got 0"),
        (
            "hubert",
            {"short_clips": "padded", "span": "clip"},
            "leave out short_clips padded: `span: clip` cuts no windows",
        ),
        ("hubert", {"windows": 4, "window_seconds": 1.0, "span": "clip"}, "leave out windows 4, window_seconds 1.0: "),
        ("whisper", {"normalise": "batch"}, "Leave `normalise` out: Whisper hears a spectrogram"),
        ("whisper", {"name": "hf-audio"}, "hf-audio takes models of transformers .* that read samples"),
        ("hubert", {"name": "wavlm-large"}, "holds a model of the type 'hubert'; this encoder takes wavlm"),
    ],
)
def test_options_that_do_not_fit(models: Any, kind: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        built(models, kind, **options)


@pytest.mark.parametrize("kind", ["hubert", "whisper"])
def test_other_types_and_shapes_are_refused(models: Any, kind: str) -> None:
    with pytest.raises(ContractError, match=r"floating point waveform \[B, S\]"):
        built(models, kind)(torch.zeros(1, 2, 3_000), torch.tensor([3_000]))
