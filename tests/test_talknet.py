"""Speaker detector `talknet`: the published names and shapes, the network against a second one, and the user's file.

The published weights are at no place that a test may ask. So the network is compared with what its authors' program says of
it: every name and shape, the number of weights, and each step, written again from plain functions (`plain_talknet.py`).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from affect_lightning.contracts import FaceWithSound
from affect_lightning.errors import ConfigurationError
from affect_lightning.plugin_loading import build_part
from affect_lightning.testing.speaker_checks import drawn_face
from affect_lightning_plugins.speaker_detectors import talknet, trained_inputs
from affect_lightning_plugins.speaker_detectors.talknet import TalkNetDetector
from affect_lightning_plugins.speaker_detectors.talknet_network import TalkNet
from plain_talknet import PlainTalkNet, published_shapes


class PlainRates:
    """What `drawn_face` asks of a detector."""

    frame_rate, sample_rate = 25.0, 16_000


def talking_face(seconds: float) -> FaceWithSound:
    """A drawn face whose mouth follows its sound."""
    return drawn_face(PlainRates(), seconds=seconds)


@pytest.fixture(scope="module")
def stored() -> dict[str, Tensor]:
    """Random weights under the published names; normalisations are far from doing nothing."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        weights = dict(TalkNet().state_dict())
        for name, weight in weights.items():
            if name.endswith("running_var"):
                weights[name] = 0.5 + torch.rand_like(weight)
            elif name.endswith(("running_mean", "beta", "bias")):
                weights[name] = 0.3 * torch.randn_like(weight)
    return weights


@pytest.fixture(scope="module")
def random_file(stored: dict[str, Tensor], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("talknet") / "random.model"
    torch.save(stored, path)
    return path


@pytest.fixture(scope="module")
def network(stored: dict[str, Tensor]) -> TalkNet:
    filled = TalkNet()
    filled.load_state_dict(stored)
    return filled.eval()


# --- the network ---


def test_names_and_shapes_are_the_published_ones() -> None:
    assert {name: tuple(weight.shape) for name, weight in TalkNet().state_dict().items()} == published_shapes()


def test_there_are_as_many_weights_as_the_authors_say() -> None:
    """Their page of questions says 15.01M without the classifiers, and their program counts in units of 2 to the 20th."""
    assert round(sum(weight.numel() for weight in TalkNet().model.parameters()) / 2**20, 2) == 15.01


def drawn_input(pictures: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    draw = torch.Generator().manual_seed(seed)
    return (
        torch.rand(1, pictures, 112, 112, generator=draw) * 255,
        torch.randn(1, 4 * pictures, 13, generator=draw) * 5,
    )


def test_the_network_computes_what_the_published_program_does(network: TalkNet, stored: dict[str, Tensor]) -> None:
    pictures, sound = drawn_input(6)
    with torch.inference_mode():
        found = network(pictures, sound)
        expected = PlainTalkNet(stored)(pictures[0], sound[0])
    assert found.shape == (1, 6, 2)
    assert expected.std() > 0.01  # else any two networks would agree
    torch.testing.assert_close(found[0], expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("pictures", [1, 2, 5, 7])
def test_four_steps_of_sound_are_one_picture(network: TalkNet, pictures: int) -> None:
    with torch.inference_mode():
        heard = network.model.audioEncoder(drawn_input(pictures)[1])
    assert heard.shape == (1, pictures, 128)


def test_clips_of_a_batch_do_not_meet(network: TalkNet) -> None:
    """The convolution over time of the published program runs over the clips of a batch; here each is alone."""
    first, second = drawn_input(3), drawn_input(3, seed=1)
    with torch.inference_mode():
        together = network(torch.cat([first[0], second[0]]), torch.cat([first[1], second[1]]))
        alone = torch.cat([network(*first), network(*second)])
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-4)


# --- the detector ---


@pytest.fixture(scope="module")
def detector(random_file: Path) -> TalkNetDetector:
    return TalkNetDetector(weights=str(random_file), pieces=[1])


def test_sound_and_pictures_of_a_piece_change_its_scores_and_no_others(detector: TalkNetDetector) -> None:
    clip = talking_face(1.6)
    before = detector.picture_scores(clip)
    assert len(before) == 39  # the last of the 40 pictures lacks a whole fourth step
    sound, crops = clip.waveform.copy(), clip.crops.copy()
    sound[round(1.2 * 16_000) :] *= 0.1
    crops[30:, 140:170] = 0
    for changed in (replace(clip, waveform=sound), replace(clip, crops=crops)):
        after = detector.picture_scores(changed)
        np.testing.assert_array_equal(after[:25], before[:25])
        assert (np.abs(after[25:] - before[25:]) > 1e-4).all()


def test_sound_begins_with_the_first_picture(detector: TalkNetDetector) -> None:
    clip = talking_face(1.0)
    late = replace(clip, start=0.4, waveform=np.concatenate([np.full(6400, 0.5, np.float32), clip.waveform]))
    np.testing.assert_array_equal(detector.picture_scores(late), detector.picture_scores(clip))


def test_the_scores_of_several_lengths_are_averaged(random_file: Path) -> None:
    clip = talking_face(1.2)

    def scores(*pieces: int) -> np.ndarray:
        return TalkNetDetector(weights=str(random_file), pieces=pieces).picture_scores(clip)

    short, whole = scores(1), scores(2)
    assert not np.allclose(short, whole, atol=1e-3)
    # 2 and 3 seconds are both the whole clip, and each counts.
    np.testing.assert_allclose(scores(1, 2, 3), (short + 2 * whole) / 3, atol=1e-4)


def test_a_score_is_the_same_again_and_nothing_is_dropped_at_random(
    random_file: Path, detector: TalkNetDetector
) -> None:
    clip = talking_face(0.4)
    first = detector.score(clip)
    assert first.value is not None
    assert not any(module.training for module in detector._published.network.modules())
    assert detector.score(clip) == first
    assert TalkNetDetector(weights=str(random_file), pieces=[1]).score(clip) == first


def test_too_few_pictures_have_no_score(detector: TalkNetDetector) -> None:
    clip = talking_face(1.0)
    assert detector.score(replace(clip, crops=clip.crops[:4])).reason == trained_inputs.TOO_SHORT
    assert detector.score(replace(clip, waveform=clip.waveform[:0])).reason == trained_inputs.TOO_SHORT


def test_the_identity_has_what_decides_a_score(random_file: Path, stored: dict[str, Tensor], tmp_path: Path) -> None:
    other = tmp_path / "other.model"
    torch.save({**stored, "lossA.FC.bias": torch.ones(2)}, other)
    told = {
        TalkNetDetector(weights=str(file), pieces=pieces).identity()
        for file, pieces in ((random_file, (1,)), (random_file, (1, 2)), (other, (1,)))
    }
    assert len(told) == 3
    assert all(line.startswith("talknet 1 pieces=1") for line in told)


@pytest.mark.parametrize("pieces", [[], [0], [21], [1, -2]])
def test_lengths_out_of_range_are_refused(random_file: Path, pieces: list[int]) -> None:
    with pytest.raises(ConfigurationError, match=r"talknet: pieces must be lengths from 1 to 20 seconds.*; got \["):
        TalkNetDetector(weights=str(random_file), pieces=pieces)


# --- the user's file ---


def faulty_files(stored: dict[str, Tensor]) -> Iterator[tuple[Any, str]]:
    less = {name: weight for name, weight in stored.items() if name != "lossA.FC.bias"}
    yield (
        less,
        r"do not fill TalkNet exactly\. 1 missing: lossA\.FC\.bias\. Give the published pretrain_TalkSet\.model\.",
    )
    narrow = {**stored, "lossAV.FC.weight": torch.zeros(2, 128)}
    yield narrow, r"1 of another shape: lossAV\.FC\.weight is \[2, 128\], not \[2, 256\]"
    yield {**stored, "GRU": torch.zeros(1)}, "1 surplus: GRU"
    yield {"epoch": 3}, "tensors by name are expected"
    yield [1, 2], "holds list where tensors by name are expected"


def test_files_of_other_things_are_refused(stored: dict[str, Tensor], tmp_path: Path) -> None:
    clip = talking_face(0.4)
    for number, (content, message) in enumerate(faulty_files(stored)):
        path = tmp_path / f"{number}.model"
        torch.save(content, path)
        with pytest.raises(ConfigurationError, match=message):
            TalkNetDetector(weights=str(path)).score(clip)
    (tmp_path / "page.model").write_text("<html>Google Drive: too many requests</html>", encoding="utf-8")
    with pytest.raises(ConfigurationError, match=r"page\.model cannot be read as plain tensors"):
        TalkNetDetector(weights=str(tmp_path / "page.model")).score(clip)


def test_weights_with_code_inside_are_not_run(tmp_path: Path) -> None:
    class Harmful:
        def __reduce__(self) -> tuple[Any, ...]:
            return (os.mkdir, (str(tmp_path / "harmed"),))

    torch.save({"weight": Harmful()}, tmp_path / "harmful.model")
    with pytest.raises(ConfigurationError, match="cannot be read as plain tensors"):
        TalkNetDetector(weights=str(tmp_path / "harmful.model")).score(talking_face(0.4))
    assert not (tmp_path / "harmed").exists()


def test_the_file_of_light_asd_is_told_apart(tmp_path: Path) -> None:
    from affect_lightning_plugins.speaker_detectors.light_asd_network import LightASD

    torch.save(LightASD().state_dict(), tmp_path / "light.model")
    with pytest.raises(
        ConfigurationError, match=r"light\.model do not fill TalkNet exactly\. \d+ missing: .* surplus: "
    ):
        TalkNetDetector(weights=str(tmp_path / "light.model")).score(talking_face(0.4))


def test_a_missing_file_is_told_at_once_with_its_place() -> None:
    place = (
        r"`weights` \(`--detector\.weights FILE`\): {found}\. It is in the Google Drive folder .* TaoRuijie/TalkNet-ASD"
    )
    with pytest.raises(ConfigurationError, match=place.format(found="no file is given")):
        TalkNetDetector()
    with pytest.raises(ConfigurationError, match=place.format(found="there is no file nowhere")):
        TalkNetDetector(weights="nowhere")


def test_the_plugin_is_found_by_its_name(random_file: Path) -> None:
    part = build_part("speaker_detectors", {"name": "talknet", "weights": str(random_file), "pieces": [2, 4]})
    assert part.identity().startswith("talknet 1 pieces=2,4 ")
    assert talknet.PUBLISHED in (TalkNetDetector.__init__.__doc__ or "")
