"""Speaker detectors: sound features, Light-ASD's network and its published file, mouth against loudness."""

from __future__ import annotations

import importlib.util
import math
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from affect_lightning.contracts import FaceWithSound
from affect_lightning.errors import ConfigurationError
from affect_lightning.testing.speaker_checks import drawn_face
from affect_lightning_plugins.speaker_detectors import cepstral, light_asd, mouth_motion, sync, trained_inputs
from affect_lightning_plugins.speaker_detectors.light_asd import LightASDDetector
from affect_lightning_plugins.speaker_detectors.light_asd_network import LightASD
from affect_lightning_plugins.speaker_detectors.speech_probability import FRAME, SpeechProbability

REFERENCE = Path(os.environ.get("AFFECT_REFERENCE_DIR") or Path(__file__).parents[2] / "shared" / "reference")
PUBLISHED = REFERENCE / "light_asd" / light_asd.PUBLISHED


class PlainRates:
    """What `drawn_face` asks of a detector."""

    frame_rate, sample_rate = 25.0, 16_000


def talking_face(seconds: float = 3.0) -> FaceWithSound:
    """A drawn face whose mouth follows its sound."""
    return drawn_face(PlainRates(), seconds=seconds)


def still_face(clip: FaceWithSound) -> FaceWithSound:
    """The same sound, and a picture that changes by noise alone."""
    noise = np.random.default_rng(1).normal(0, 2, (*clip.crops.shape[:3], 1))
    return replace(clip, crops=np.clip(clip.crops[:1].astype(float) + noise, 0, 255).astype(np.uint8))


# --- cepstral coefficients ---


def slow_coefficients(sound: np.ndarray) -> np.ndarray:
    """The HTK recipe with loops and written-out transforms, for 16 kHz."""
    emphasised = [sound[0] * 32768.0]
    emphasised += [32768.0 * (sound[index] - 0.97 * sound[index - 1]) for index in range(1, len(sound))]
    count = 1 if len(sound) <= 400 else 1 + math.ceil((len(sound) - 400) / 160)
    emphasised += [0.0] * ((count - 1) * 160 + 400 - len(emphasised))
    to_hertz = [700 * (10 ** (2595 * math.log10(1 + 8000 / 700) * step / 27 / 2595) - 1) for step in range(28)]
    bins = [math.floor(513 * hertz / 16000) for hertz in to_hertz]
    wave = np.exp(-2j * np.pi * np.outer(np.arange(257), np.arange(400)) / 512)
    rows = []
    for frame in range(count):
        power = np.abs(wave @ np.array(emphasised[frame * 160 : frame * 160 + 400])) ** 2 / 512
        bands = []
        for band in range(26):
            total = 0.0
            for place in range(bins[band], bins[band + 1]):
                total += power[place] * (place - bins[band]) / (bins[band + 1] - bins[band])
            for place in range(bins[band + 1], bins[band + 2]):
                total += power[place] * (bins[band + 2] - place) / (bins[band + 2] - bins[band + 1])
            bands.append(math.log(total or np.finfo(float).eps))
        row = [math.log(power.sum() or np.finfo(float).eps)]
        for order in range(1, 13):
            cosine = sum(value * math.cos(math.pi * order * (2 * band + 1) / 52) for band, value in enumerate(bands))
            row.append(math.sqrt(2 / 26) * cosine * (1 + 11 * math.sin(math.pi * order / 22)))
        rows.append(row)
    return np.array(rows)


@pytest.mark.parametrize("samples", [1, 399, 400, 401, 1999])
def test_coefficients_are_those_of_the_recipe(samples: int) -> None:
    sound = np.random.default_rng(samples).uniform(-0.5, 0.5, samples)
    found, expected = cepstral.coefficients(sound), slow_coefficients(sound)
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-4)


def test_silence_has_finite_coefficients() -> None:
    assert np.isfinite(cepstral.coefficients(np.zeros(1600))).all()


# --- Light-ASD ---


@pytest.fixture(scope="module")
def random_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("light") / "random.model"
    torch.manual_seed(0)
    torch.save(LightASD().state_dict(), path)
    return path


def test_the_network_has_a_million_weights_as_the_paper_says() -> None:
    """Table 1 of the paper: 1.0 million."""
    assert sum(weight.numel() for weight in LightASD().parameters()) == 1_021_636


def test_a_picture_is_judged_by_sound_and_pictures_around_it(random_file: Path) -> None:
    network = LightASD().eval()
    network.load_state_dict(torch.load(random_file, weights_only=True))
    pictures, sound = torch.rand(1, 10, 112, 112) * 255, torch.randn(1, 40, 13)
    with torch.inference_mode():
        scores = network(pictures, sound)
        other_sound = network(pictures, sound + (torch.arange(40) >= 36)[None, :, None])
        other_pictures = network(torch.where(torch.arange(10)[None, :, None, None] > 8, 0.0, pictures), sound)
    assert scores.shape == (1, 10, 2)
    assert not torch.allclose(scores, other_sound)
    assert not torch.allclose(scores, other_pictures)


def test_the_crop_is_the_middle_of_the_released_one() -> None:
    """The released demonstration: half the width of 2.8 half faces, around a place 0.4 half faces below the middle."""
    half_face = 224 / 1.4 / 2
    left, top = 112 - 0.7 * half_face, 112 + 0.4 * half_face - 0.7 * half_face
    assert (round(left), round(top), round(1.4 * half_face)) == (
        trained_inputs.LEFT,
        trained_inputs.TOP,
        trained_inputs.SIDE,
    )


def test_weights_that_lack_a_tensor_are_refused(random_file: Path, tmp_path: Path) -> None:
    stored = torch.load(random_file, weights_only=True)
    del stored["lossV.FC.bias"]
    stored["extra"] = torch.zeros(1)
    torch.save(stored, tmp_path / "less.model")
    detector = LightASDDetector(weights=str(tmp_path / "less.model"))
    with pytest.raises(
        ConfigurationError, match=r"do not fill Light-ASD exactly\. 1 missing: lossV\.FC\.bias; 1 surplus: extra"
    ):
        detector.score(talking_face(1.0))


def test_weights_with_code_inside_are_not_run(tmp_path: Path) -> None:
    class Harmful:
        def __reduce__(self) -> tuple[Any, ...]:
            return (os.mkdir, (str(tmp_path / "harmed"),))

    torch.save({"weight": Harmful()}, tmp_path / "harmful.model")
    with pytest.raises(ConfigurationError, match="cannot be read as plain tensors"):
        LightASDDetector(weights=str(tmp_path / "harmful.model")).score(talking_face(1.0))
    assert not (tmp_path / "harmed").exists()


def test_weights_that_are_not_there_are_told_at_once() -> None:
    with pytest.raises(
        ConfigurationError, match=r"Give the file finetuning_TalkSet\.model .* there is no file nowhere"
    ):
        LightASDDetector(weights="nowhere")
    with pytest.raises(
        ConfigurationError, match=r"no file is given\. It is in the folder `weight` of .* Junhua-Liao/Light-ASD"
    ):
        LightASDDetector()


def test_too_few_pictures_have_no_score(random_file: Path) -> None:
    clip = talking_face(1.0)
    detector = LightASDDetector(weights=str(random_file))
    assert detector.score(replace(clip, crops=clip.crops[:4])).reason == trained_inputs.TOO_SHORT
    assert detector.score(replace(clip, waveform=clip.waveform[:0])).reason == trained_inputs.TOO_SHORT


@pytest.mark.skipif(not PUBLISHED.is_file(), reason=f"no published Light-ASD weights at {PUBLISHED}")
def test_the_published_weights_fill_the_network_and_tell_a_moving_mouth_from_a_still_one() -> None:
    """Every tensor is taken. The threshold is between a drawn mouth that moves with the sound and one that does not."""
    detector = LightASDDetector(weights=str(PUBLISHED))
    moving = detector.score(talking_face()).value
    still = detector.score(still_face(talking_face())).value
    assert moving is not None
    assert still is not None
    assert still < detector.threshold < moving


# --- sync ---

needs_silero = pytest.mark.skipif(importlib.util.find_spec("silero_vad") is None, reason="silero-vad is not installed")


def test_loudness_is_predicted_at_the_lag_where_the_mouth_fits() -> None:
    random = np.random.default_rng(0)
    loudness = sync.quick_changes(np.convolve(random.normal(size=104), np.ones(5) / 5, "valid"), 25.0)
    mouth = np.stack([0.5 * loudness, random.normal(size=100) * 0.1, *random.normal(size=(2, 100)) * 0.02], axis=1)
    late = np.roll(loudness, 3)
    fits = sync.lagged_fit(mouth, late, 5)
    assert int(np.argmax(fits)) == 5 + 3
    assert fits.max() > 0.9
    unrelated = sync.quick_changes(np.convolve(random.normal(size=104), np.ones(5) / 5, "valid"), 25.0)
    assert sync.lagged_fit(mouth, unrelated, 5).max() < 0.6


def test_a_constant_mouth_or_sound_has_no_correlation() -> None:
    assert np.array_equal(sync.lagged_fit(np.zeros((50, 4)), np.random.default_rng(0).normal(size=50), 2), np.zeros(5))
    assert np.array_equal(sync.lagged_fit(np.random.default_rng(0).normal(size=(50, 4)), np.zeros(50), 2), np.zeros(5))


def test_quick_changes_are_those_of_a_plain_window() -> None:
    values = np.random.default_rng(3).normal(size=60)
    padded = np.concatenate([values[:1], values, values[-1:]])
    smooth = np.array([(padded[i] + 2 * padded[i + 1] + padded[i + 2]) / 4 for i in range(60)])
    around = np.concatenate([np.full(12, smooth[0]), smooth, np.full(12, smooth[-1])])
    slow = np.array([around[i : i + 25].mean() for i in range(60)])
    expected = smooth - slow - (smooth - slow).mean()
    np.testing.assert_allclose(sync.quick_changes(values, 25.0), expected, atol=1e-12)
    np.testing.assert_allclose(sync.quick_changes(values[:, None], 25.0)[:, 0], expected, atol=1e-12)


def test_a_moving_head_is_held_still() -> None:
    clip = talking_face(1.0)
    moved = np.stack([np.roll(crop, (index % 7, -(index % 5)), (0, 1)) for index, crop in enumerate(clip.crops)])
    held = mouth_motion.held_still(moved)
    eyes = held[:, 40:56, 30:80]
    before = np.stack([crop[80:112:2, 60:160:2, 0] for crop in moved]).astype(float)
    assert eyes.std(axis=0).mean() < 0.5 * before.std(axis=0).mean()


def test_one_flat_grey_is_no_error() -> None:
    flat = np.full((30, 224, 224, 3), 110, np.uint8)
    found = mouth_motion.measure_mouth(flat, 4, 25.0)
    assert np.array_equal(found.components, np.zeros((30, 4)))
    assert found.liveliness == 0.0


def test_a_still_mouth_is_less_lively_than_a_talking_one_in_any_light() -> None:
    clip = talking_face(2.0)
    dark = replace(clip, crops=(clip.crops * 0.5).astype(np.uint8))
    talking, darker, still = (
        mouth_motion.measure_mouth(one.crops, 4, 25.0).liveliness for one in (clip, dark, still_face(clip))
    )
    assert darker == pytest.approx(talking, rel=0.1)
    assert talking > sync.LIVELY > still


def test_options_out_of_range_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="threshold must be from -1 to 1; got 2"):
        sync.SyncDetector(threshold=2.0)
    with pytest.raises(ConfigurationError, match=r"most_lag must be from 0 to 0\.5 seconds; got 3"):
        sync.SyncDetector(most_lag=3.0)


def test_a_missing_package_is_told_with_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    from affect_lightning_plugins.speaker_detectors import speech_probability

    found = speech_probability.importlib.util.find_spec
    absent = lambda name: None if name == "silero_vad" else found(name)  # noqa: E731
    monkeypatch.setattr(speech_probability.importlib.util, "find_spec", absent)
    with pytest.raises(
        ConfigurationError, match=r"package silero-vad\. Run .*pip install --no-deps silero-vad==6\.2\.3"
    ):
        sync.SyncDetector()


@needs_silero
def test_speech_is_told_from_silence_and_noise() -> None:
    speech = REFERENCE / "real_clips" / "two_speakers.wav"
    if not speech.is_file():
        pytest.skip(f"no real speech at {speech}")
    from affect_lightning.data.decoding import decode_clip

    sound = decode_clip(None, speech, frame_count=None, sample_rate=16_000).waveform
    assert sound is not None
    listen = SpeechProbability()
    heard = listen(sound)
    assert len(heard) == -(-len(sound) // FRAME)
    assert (heard > 0.5).mean() > 0.6
    noise = np.random.default_rng(0).normal(0, 0.05, 32_000).astype(np.float32)
    assert (listen(noise) > 0.5).mean() < 0.1
    assert len(listen(sound[:0])) == 0


@needs_silero
def test_sync_tells_own_sound_from_other_sound_and_a_still_mouth(monkeypatch: pytest.MonkeyPatch) -> None:
    """Loudness and mouth alone: every moment counts as speech, because tones are none."""
    detector = sync.SyncDetector()
    monkeypatch.setattr(detector, "_speech", lambda sound: np.ones(-(-len(sound) // FRAME)))
    clip, other = talking_face(), drawn_face(PlainRates(), seconds=3.0, seed=1)
    own = detector.score(clip).value
    assert own is not None
    assert own >= detector.threshold
    for changed in (replace(clip, waveform=other.waveform), still_face(clip)):
        value = detector.score(changed).value
        assert value is not None
        assert value < detector.threshold


@needs_silero
def test_sync_says_why_it_cannot_tell() -> None:
    detector, clip = sync.SyncDetector(), talking_face(2.0)
    for changed, reason in (
        (replace(clip, crops=clip.crops[:1]), sync.TOO_SHORT),
        (replace(clip, waveform=clip.waveform[:8000]), sync.TOO_SHORT),
        (replace(clip, start=1.5), sync.TOO_SHORT),
        (replace(clip, waveform=np.zeros_like(clip.waveform)), sync.NO_SPEECH),
    ):
        assert (detector.score(changed).value, detector.score(changed).reason) == (None, reason)


def test_loudness_belongs_to_the_moment_of_each_picture() -> None:
    clip = talking_face(2.0)
    waveform = np.zeros(32_000, np.float32)
    waveform[16_000 : 16_000 + 640] = 0.25
    for start, picture in ((0.0, 25), (0.2, 20)):
        heard = sync.speech_loudness(replace(clip, waveform=waveform, start=start), np.ones(63), 40)
        assert np.flatnonzero(heard).tolist() == [picture]
        assert heard[picture] == pytest.approx(0.5)
