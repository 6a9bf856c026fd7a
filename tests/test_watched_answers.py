"""What a network shows while it answers: the text so far, the fusion's weights, and answers without a stream."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from affect_lightning import AffectGPT, ClipDataModule
from affect_lightning.contracts import FeatureSequence
from affect_lightning.contracts.generation_watch import current_watch
from affect_lightning.errors import ConfigurationError, ContractError
from affect_lightning.model import ModelConfiguration
from affect_lightning.model.watched_answers import seen_fusion
from affect_lightning.plugin_loading import build_part
from clip_making import tone, write_clip
from test_clip_answers import PARTS


def network_with(fusion: str) -> Any:
    torch.manual_seed(1)
    configuration = ModelConfiguration.resolve(**{**PARTS, "pre_fusion": fusion})
    network: Any = AffectGPT.from_configuration(configuration).eval()
    reading = ClipDataModule(frames=3, crop_size=32, face_detector="none", inputs=PARTS["inputs"]).response_options()
    network.response_options = {"model": {"max_new_tokens": 12}, "data": reading}
    return network


@pytest.fixture(scope="module")
def network() -> Any:
    return network_with("attention")


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("watched") / "one.mp4"
    write_clip(path, range(0, 1200, 40), waveform=tone(1.2, 300))
    return path


def test_the_text_grows_to_the_answer_and_listening_changes_nothing(network: Any, clip: Path) -> None:
    heard: list[str] = []
    listened = network.describe(clip, listener=lambda texts: heard.append(*texts))
    assert listened.text == network.describe(clip).text
    assert heard[-1] == listened.text
    assert len(heard) > 3, "the tiny model writes several tokens"
    assert [len(text) for text in heard] == sorted(len(text) for text in heard)
    assert current_watch() is None


def test_a_listener_that_fails_is_forgotten(network: Any, clip: Path) -> None:
    def fails(texts: Any) -> None:
        raise RuntimeError("the reader has left")

    with pytest.raises(RuntimeError, match="the reader has left"):
        network.describe(clip, listener=fails)
    assert current_watch() is None
    assert not network.pre_fusion._forward_hooks


@pytest.mark.parametrize("stream", ["audio", "face", "frame"])
def test_a_stream_that_is_off_is_one_without_features(network: Any, clip: Path, stream: str) -> None:
    """Compared with the network itself, given features of which none of that stream is real."""
    from affect_lightning.clip_answers.asked_clips import AskedClips, GivenClips

    (batch,) = AskedClips(GivenClips(clip, "Hello!"), network.reading_options(None, None)).batches()
    with torch.no_grad():
        features = dict(network.encode(batch))
        hidden = features[stream]
        features[stream] = FeatureSequence(torch.full_like(hidden.tokens, 7.0), torch.zeros_like(hidden.mask))
        (expected,) = network.generate(batch, max_new_tokens=12, features=features)
    without = network.describe(clip, subtitle="Hello!", without=[stream])
    assert without.text == expected
    assert without.text != network.describe(clip, subtitle="Hello!").text  # else the comparison would say little
    seen = {"audio": without.waveform, "face": without.crops, "frame": without.frames}
    assert [name for name, value in seen.items() if value is None] == [stream]


def test_a_subtitle_that_is_off_is_empty(network: Any, clip: Path) -> None:
    without = network.describe(clip, subtitle="Hello!", without=["text"])
    assert (without.text, without.subtitle) == (network.describe(clip).text, "")
    with pytest.raises(ConfigurationError, match=r"uses: audio, face, frame, text; got pose, multi\.$"):
        network.describe(clip, without=["pose", "multi"])


@pytest.mark.parametrize("fusion", ["attention", "attention-released"])
def test_the_weights_are_those_of_the_fusion(fusion: str) -> None:
    """The fused token is made again from the weights shown and the averages of the streams."""
    torch.manual_seed(2)
    part: Any = build_part("pre_fusions", fusion, stream_widths={"audio": 6, "face": 6})
    mask = torch.tensor([[True, True, False], [True, False, False]])
    streams = {
        name: FeatureSequence(torch.randn(2, 3, 6), mask if name == "audio" else ~torch.zeros_like(mask))
        for name in ("audio", "face")
    }
    with torch.no_grad():
        weights = part.stream_weights(streams)
        fused = part(streams).tokens[:, 0]
        again = torch.zeros_like(fused)
        for name, stream in streams.items():
            tokens = stream.tokens if fusion == "attention" else part.projections[name](stream.tokens)
            again += (weights[name].unsqueeze(-1) * tokens).sum(dim=1)
    torch.testing.assert_close(again, fused)
    assert (weights["audio"][~mask] == 0).all()
    silent = {**streams, "audio": FeatureSequence(streams["audio"].tokens, torch.zeros_like(mask))}
    assert torch.isfinite(part.stream_weights(silent)["audio"]).all()


def test_what_a_clip_was_fused_with_is_told(network: Any, clip: Path) -> None:
    found = network.describe(clip)
    assert sorted(found.fusion_weights) == ["audio", "face"]
    assert all(weights.dtype == np.float32 and weights.ndim == 1 for weights in found.fusion_weights.values())
    assert network_with("qformer").describe(clip).fusion_weights == {}
    assert network_with("none").describe(clip).fusion_weights == {}


def test_the_fusion_of_the_page_shows_its_weights(network: Any, clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = (Path(__file__).resolve().parents[1] / "docs" / "fusions.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"^```python weights_of_streams.py\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    namespace: dict[str, Any] = {}
    exec(block, namespace)
    monkeypatch.setattr(type(network.pre_fusion), "stream_weights", namespace["stream_weights"])
    weights = network.describe(clip).fusion_weights
    assert {name: round(float(values.sum()), 5) for name, values in weights.items()} == {"audio": 1.0, "face": 1.0}


def test_weights_of_a_wrong_shape_are_refused(network: Any, clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kind = type(network.pre_fusion)
    monkeypatch.setattr(kind, "stream_weights", lambda self, streams: {"audio": torch.ones(1)})
    with pytest.raises(ContractError, match="floating point weights by stream"), seen_fusion(network):
        network.describe(clip)
