"""Plugins of a foreign distribution that break their contracts: each is refused with its distribution and its contract."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from affect_lightning.command_line.program import main
from affect_lightning.data.faces import FaceCropper
from affect_lightning.data.media_files import MediaFile
from affect_lightning.errors import AffectLightningError, ContractError, PluginError
from affect_lightning.model import checked_calls
from affect_lightning.plugin_loading import build_part, list_plugins, load_plugin_class
from affect_lightning.training import AffectGPTModule
from affect_lightning.unibench.scoring.predictions import Prediction
from affect_lightning.unibench.scoring.set_answers import DeferredExtractor, answers_of
from model_cases import TINY_PARTS, random_batch

CONTRACT = r"affect_lightning\.contracts\."
OWNER = r"of bad-parts 0\.7"


@pytest.fixture(scope="module", autouse=True)
def _installed(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[None]:
    """The distribution tests/bad_parts, built and installed by pip into a folder of its own."""
    folder = tmp_path_factory.mktemp("bad_parts")
    shutil.copytree(
        Path(__file__).parent / "bad_parts", folder / "source", ignore=shutil.ignore_patterns("*.egg-info", "build")
    )
    words = ["-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--disable-pip-version-check"]
    done = subprocess.run(
        [sys.executable, *words, "--target", str(folder / "site"), str(folder / "source")],
        capture_output=True, text=True, check=False,encoding="utf-8")  # fmt: skip
    assert done.returncode == 0, done.stderr
    sys.path.append(str(folder / "site"))
    sys.path_importer_cache.clear()
    yield
    sys.path.remove(str(folder / "site"))
    sys.path_importer_cache.clear()
    for name in [name for name in sys.modules if name.split(".")[0] == "bad_parts"]:
        del sys.modules[name]


def network(**parts: Any) -> Any:
    module = AffectGPTModule(**{**TINY_PARTS, "pre_fusion": "qformer", **parts})
    module.configure_model()
    return module.built_network


def test_a_name_of_ours_is_not_taken_over() -> None:
    expected = (
        rf"pre-fusion 'attention' is offered by (affect-lightning .* and bad-parts 0\.7|bad-parts 0\.7 .* and affect-l)"
        rf".*{CONTRACT}PreFusion.*Uninstall one"
    )
    with pytest.raises(PluginError, match=expected):
        AffectGPTModule(**TINY_PARTS)
    assert network(pre_fusion="none")(random_batch()).isfinite()
    assert {listing.distribution for listing in list_plugins("pre_fusions") if listing.name == "attention"} == {
        "affect-lightning",
        "bad-parts",
    }


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("raises-on-import", r"cannot be imported .* RuntimeError: the driver is too old.*" + CONTRACT + "PreFusion"),
        ("without-forward", CONTRACT + r"PreFusion also needs forward, which WithoutForward lacks"),
        (
            "other-signature",
            CONTRACT
            + r"PreFusion calls forward\(self, streams.*OtherSignature with forward\(self, audio, face\) cannot",
        ),
    ],
)
def test_a_class_that_does_not_fit_is_refused_when_it_is_chosen(name: str, message: str) -> None:
    with pytest.raises(PluginError, match=rf"pre-fusion '{name}' {OWNER} .*{message}"):
        load_plugin_class("pre_fusions", name)


def test_a_part_without_its_attributes_is_refused_when_it_is_built() -> None:
    expected = rf"'without-width' {OWNER} .*{CONTRACT}PreFusion also needs the attributes output_width, output_tokens"
    with pytest.raises(PluginError, match=expected):
        build_part("pre_fusions", "without-width", stream_widths={"audio": 3})


@pytest.mark.parametrize(
    ("option", "name", "contract", "message"),
    [
        ("pre_fusion", "narrow", "PreFusion", r"expected .* tokens \[4, 1, 8\]; got .* tokens \[4, 1, 5\]"),
        ("pre_fusion", "many-tokens", "PreFusion", r"expected .* tokens \[4, 1, 8\]; got .* tokens \[4, 3, 8\]"),
        ("pre_fusion", "flat", "PreFusion", r"tokens must be floating point \[B, N, D\]; got .* \[4, 8\]"),
        ("pre_fusion", "plain-tensor", "PreFusion", r"expected a FeatureSequence .*; got a tensor float32 \[4, 1, 8\]"),
        ("pre_fusion", "not-a-number", "PreFusion", r"expected finite fused tokens; got 32 of 32 that are NaN"),
        ("video_encoder", "narrow-eyes", "VideoEncoder", r"expected .* tokens \[4, N, 8\]; got .* tokens \[4, 3, 3\]"),
        ("video_encoder", "blind-eyes", "VideoEncoder", r"mask must be bool \[4, 3\] .*; got torch.bool \[4, 1\]"),
        (
            "audio_encoder",
            "first-clip-only",
            "AudioEncoder",
            r"expected .* tokens \[4, N, 2\]; got .* tokens \[1, 4, 2\]",
        ),
        (
            "audio_encoder",
            "ears-not-a-number",
            "AudioEncoder",
            r"expected finite features .*; got 32 of 32 that are NaN",
        ),
        (
            "language_model",
            "wide-embeddings",
            "LanguageModel",
            r"expected floating point embeddings \[4, .*, 32\]; got",
        ),
        ("language_model", "loss-per-clip", "LanguageModel", r"expected a loss that is one .* number.*; got .* \[4\]"),
        (
            "language_model",
            "loss-not-a-number",
            "LanguageModel",
            r"expected a finite loss for finite embeddings; got nan",
        ),
    ],
)
def test_what_a_part_gives_is_refused_at_the_first_batch(option: str, name: str, contract: str, message: str) -> None:
    built = network(**{option: name})
    with pytest.raises(ContractError, match=rf"'{name}' {OWNER} \(contract {CONTRACT}{contract}\): .*{message}"):
        built(random_batch())


def test_too_few_responses_are_refused() -> None:
    built = network(language_model="one-response")
    with pytest.raises(
        ContractError, match=rf"{OWNER} .*LanguageModel\): expected a list of 4 responses; got a list of 1"
    ):
        built.generate(random_batch(), max_new_tokens=2)
    with pytest.raises(
        ContractError, match=rf"{OWNER} .*LanguageModel\): expected a list of 8 responses; got a list of 1"
    ):
        built.answer(random_batch(), ["Why?", "How?"], max_new_tokens=2)


def test_boxes_of_another_kind_are_refused(tmp_path: Path) -> None:
    cropper = FaceCropper(build_part("face_detectors", "tuples"))
    frames = np.zeros((2, 30, 30, 3), dtype=np.uint8)
    source: MediaFile = tmp_path / "clip.mp4"
    with pytest.raises(
        ContractError, match=rf"{OWNER} .*FaceDetector\): expected a list of 2 lists of FaceBox; got .* tuple"
    ):
        cropper.crop(frames, np.ones(2, dtype=bool), source)


@pytest.mark.parametrize("deferred", [False, True])
@pytest.mark.parametrize(
    ("name", "message"),
    [("too-few", "expected a list of 2 lists of emotion words.*; got a list of 1"), ("own-sentiments", "with 'good'")],
)
def test_labels_and_sentiments_of_another_kind_are_refused(name: str, message: str, deferred: bool) -> None:
    extractor = build_part("label_extractors", name)
    used = DeferredExtractor(lambda: extractor) if deferred else extractor
    group = [Prediction(word, "sims", "", word, (), 0.4) for word in ("happy", "glad")]  # equal ones are asked once
    with pytest.raises(ContractError, match=rf"{OWNER} \(contract {CONTRACT}LabelExtractor\): .*{message}"):
        answers_of("sims", group, used, by_sentiment=True)


def test_the_command_line_says_so_in_one_paragraph(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plugins", "raises-on-import"]) == 2
    message = capsys.readouterr().err
    assert "bad-parts 0.7" in message
    assert "affect_lightning.contracts.PreFusion" in message
    assert message.count("\n") == 1


def test_values_are_looked_at_in_the_first_batch_only(monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[str] = []
    monkeypatch.setattr(checked_calls, "check_finite", lambda values, what: looked.append(what))
    built = network()
    for _ in range(3):
        built(random_batch())
    assert sorted(looked) == ["features of real steps"] * 2 + ["fused tokens"] + ["tokens of a branch"] * 2


def test_a_part_built_by_hand_is_named_by_its_class() -> None:
    built = network()
    built.pre_fusion = load_plugin_class("pre_fusions", "narrow")({"audio": 3})
    with pytest.raises(
        AffectLightningError, match=r"pre-fusion NarrowFusion of the module bad_parts\.fusions \(contract"
    ):
        built.project(built.encode(random_batch()))


def test_masked_tokens_of_an_encoder_may_hold_anything() -> None:
    built = network()
    encoder = built.encoders["audio_encoder"]
    forward = encoder.forward

    def with_nan(waveform: torch.Tensor, lengths: torch.Tensor) -> Any:
        found = forward(waveform, lengths)
        found.mask[1, -1] = False
        found.tokens[1, -1] = float("nan")
        return found

    encoder.forward = with_nan
    assert built(random_batch()).isfinite()
