"""Stream dropout: how often, never all streams of a clip, only in training."""

from __future__ import annotations

import pytest
import torch

from affect_lightning.contracts import FeatureSequence
from affect_lightning.errors import ConfigurationError
from affect_lightning.model import AffectGPT, ModelConfiguration
from affect_lightning.model.feature_conditioning import drop_streams
from model_cases import TINY_PARTS, random_batch


def ones(clips: int, names: tuple[str, ...]) -> dict[str, FeatureSequence]:
    mask = torch.ones(clips, 2, dtype=torch.bool)
    return {name: FeatureSequence(torch.ones(clips, 2, 3), mask) for name in names}


def test_streams_are_hidden_whole_and_as_often_as_asked():
    torch.manual_seed(0)
    dropped = drop_streams(ones(4000, ("audio", "face")), 0.2)
    shown = torch.stack([stream.tokens.flatten(1) for stream in dropped.values()])  # [streams, clips, 6]
    assert torch.equal(shown.amin(dim=-1), shown.amax(dim=-1))  # a stream is shown whole or not at all
    assert bool((shown.amax(dim=-1).sum(dim=0) >= 1).all())
    # Independent draws of 0.2, without the 0.04 in which both would be hidden.
    hidden = 1.0 - shown[..., 0].mean(dim=-1)
    torch.testing.assert_close(hidden, torch.full((2,), 0.2 - 0.04), atol=0.02, rtol=0.0)
    assert all(bool(stream.mask.all()) for stream in dropped.values())


def test_a_single_stream_is_never_hidden():
    torch.manual_seed(0)
    assert bool((drop_streams(ones(200, ("face",)), 0.9)["face"].tokens == 1).all())


def test_only_training_hides_streams():
    parts = {**TINY_PARTS, "stream_dropout": 0.5}
    network = AffectGPT.from_configuration(ModelConfiguration.resolve(**parts))
    batch = random_batch()
    losses = {float(network.train()(batch).detach()) for _ in range(8)}
    assert len(losses) > 1
    assert len({float(network.eval()(batch).detach()) for _ in range(3)}) == 1
    without = AffectGPT.from_configuration(ModelConfiguration.resolve(**TINY_PARTS))
    assert len({float(without.train()(batch).detach()) for _ in range(3)}) == 1


@pytest.mark.parametrize("share", [-0.1, 1.0])
def test_a_share_out_of_range_is_refused(share):
    with pytest.raises(ConfigurationError, match="stream_dropout"):
        ModelConfiguration.resolve(**{**TINY_PARTS, "stream_dropout": share})
