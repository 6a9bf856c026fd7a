"""The audio encoder plugins: shapes, padding, batches, numbers, errors. The video encoders: test_encoders.py."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from affect_lightning.contracts import AudioEncoder
from affect_lightning.errors import ConfigurationError, ContractError
from affect_lightning.plugin_loading import build_part
from affect_lightning_plugins.audio_encoders.prosody import SAMPLE_RATE, mel_filters, yin_pitch
from affect_lightning_plugins.audio_encoders.window_statistics import STATISTICS, masked_moments, masked_quantiles
from affect_lightning_plugins.audio_encoders.windows import window_positions

AUDIO_ENCODERS = {"prosody": ("prosody", 80 + len(STATISTICS)), "tiny-audio": ("tiny-audio", 16)}


@pytest.fixture(scope="module", params=list(AUDIO_ENCODERS))
def audio(request: pytest.FixtureRequest) -> tuple[AudioEncoder, int]:
    choice, width = AUDIO_ENCODERS[request.param]
    return build_part("audio_encoders", choice), width


@pytest.fixture(autouse=True)
def _no_gradients() -> object:
    with torch.no_grad():
        yield


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
