"""ImageBind's audio half on tiny weights: the file, short clips, refusals. Numbers of the authors: test_oracle_encoders.py."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from affect_lightning.errors import ConfigurationError
from affect_lightning.plugin_loading import build_part
from affect_lightning_plugins.audio_encoders.imagebind import ImageBindAudioEncoder, log_filter_banks, mel_filters
from encoder_cases import WIDTH, saved_model, some_sound

TRUNK = "modality_trunks.audio.blocks.0."


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("imagebind")
    saved_model("imagebind", root)
    return root


@pytest.fixture(autouse=True)
def _no_gradients() -> object:
    with torch.no_grad():
        yield


def built(folder: Path, **options: Any) -> ImageBindAudioEncoder:
    return build_part("audio_encoders", {"name": "imagebind", "model": str(folder), **options})


def test_a_window_gives_one_token_of_the_length_of_the_model(folder: Path) -> None:
    encoder = built(folder)
    found = encoder(some_sound(2, 60_000), torch.tensor([60_000, 40_000]))
    assert found.tokens.shape == (2, 8, WIDTH)
    assert encoder.feature_width == WIDTH
    scale = encoder.network.log_scale.exp().expand(2, 8)
    torch.testing.assert_close(found.tokens.norm(dim=-1), scale)
    assert found.tokens.std(dim=1).min() > 1e-4, "equal windows would prove nothing"
    pooled = built(folder, features="pooled", windows=3)(some_sound(1, 60_000), torch.tensor([60_000]))
    assert pooled.tokens.shape == (1, 3, 24)
    projected = torch.nn.functional.normalize(encoder.network.projection(pooled.tokens[:, [0, 2]]), dim=-1)
    torch.testing.assert_close(projected * scale[0, 0], found.tokens[:1, [0, 7]], rtol=1e-4, atol=1e-4)


def test_windows_at_once_and_the_rest_of_the_batch_change_nothing(folder: Path) -> None:
    sound, lengths = some_sound(3, 60_000), torch.tensor([60_000, 20_000, 0])
    found = built(folder)(sound, lengths)
    torch.testing.assert_close(built(folder, pieces_at_once=3)(sound, lengths).tokens, found.tokens)
    alone = built(folder)(sound[[1], :20_000], lengths[[1]])
    torch.testing.assert_close(alone.tokens, found.tokens[[1]])
    assert found.mask.any(dim=1).tolist() == [True, True, False]
    assert built(folder)(torch.zeros(1, 0), torch.tensor([0])).tokens.shape == (1, 8, WIDTH)
    assert built(folder)(sound, torch.tensor([1, 100, 399])).tokens.isfinite().all()


def test_a_short_clip_has_empty_frames_or_silence_behind_it(folder: Path) -> None:
    sound, lengths = some_sound(1, 20_000), torch.tensor([20_000])
    padded = built(folder, short_clips="padded")(sound, lengths)
    lengthened = torch.nn.functional.pad(sound, (0, 12_000))
    torch.testing.assert_close(padded.tokens, built(folder)(lengthened, torch.tensor([32_000])).tokens)
    assert (built(folder)(sound, lengths).tokens - padded.tokens).abs().max() > 1e-3
    mel = built(folder).spectrograms(lengthened, lengths)[0, 0]
    frames = 1 + (20_000 - 400) // 160
    empty = torch.isclose(mel, torch.tensor(4.268 / 9.138), rtol=0, atol=1e-6).all(dim=0)
    assert empty.tolist() == [frame >= frames for frame in range(204)]


@pytest.mark.parametrize("hertz", [200, 1_000, 5_000])
def test_a_tone_is_loudest_in_its_band_and_silence_is_the_least_number(hertz: int) -> None:
    filters = mel_filters(128)
    tone = torch.sin(torch.arange(8_000) * (2 * torch.pi * hertz / 16_000))[None]
    loudest = int(log_filter_banks(tone, filters).mean(dim=1).argmax())
    low, high = (1127 * torch.log1p(torch.tensor(edge / 700)) for edge in (20.0, 8_000.0))
    expected = (1127 * torch.log1p(torch.tensor(hertz / 700)) - low) / ((high - low) / 129) - 1
    assert abs(loudest - float(expected)) < 1.5
    silence = log_filter_banks(torch.zeros(1, 8_000), filters)
    torch.testing.assert_close(silence, torch.full_like(silence, 2.0**-23).log())


class _Harmful:
    def __reduce__(self) -> Any:
        return exec, ("raise SystemExit('a file was executed')",)


def broken(change: Callable[[dict[str, Any]], Any], folder: Path, target: Path) -> Path:
    weights = torch.load(folder / "imagebind_huge.pth", weights_only=True)
    changed = change(weights)
    torch.save(weights if changed is None else changed, target / "imagebind_huge.pth")
    return target


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda weights: weights.pop(TRUNK + "attn.bias_k"), "1 missing: blocks.0.attn.bias_k"),
        (
            lambda weights: weights.update({"modality_trunks.audio.pre_transformer_layer.0.weight": torch.ones(24)}),
            "1 surplus: modality_trunks.audio.pre_transformer_layer.0.weight",
        ),
        (
            lambda weights: weights.update({TRUNK + "norm_1.bias": torch.ones(25)}),
            "1 of another shape: blocks.0.norm_1.bias",
        ),
        (lambda weights: weights.clear(), "do not fill ImageBind's audio half exactly. .* missing"),
        (lambda weights: [1, 2], "holds list, and not a table of tensors"),
        (lambda weights: weights.update({"harm": _Harmful()}), "cannot be read as a file of weights"),
    ],
)
def test_a_file_that_is_not_the_audio_half(change: Any, message: str, folder: Path, tmp_path: Path) -> None:
    def changed(weights: dict[str, Any]) -> Any:
        found = change(weights)
        return found if isinstance(found, list) else None

    with pytest.raises(ConfigurationError, match=message):
        built(broken(changed, folder, tmp_path))


def test_no_file_and_bad_options(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"imagebind_huge.pth.* got None.*CC BY-NC 4.0"):
        ImageBindAudioEncoder()
    with pytest.raises(ConfigurationError, match="which is no such file"):
        built(tmp_path)
    (tmp_path / "imagebind_huge.pth").write_bytes(b"<html>not found</html>")
    with pytest.raises(ConfigurationError, match="Fetch .* again"):
        built(tmp_path)
    with pytest.raises(ConfigurationError, match="windows, num_heads and pieces_at_once must be at least 1; got 0"):
        built(folder, windows=0)
    with pytest.raises(ConfigurationError, match="`num_heads: 5` must divide 24"):
        built(folder, num_heads=5)
