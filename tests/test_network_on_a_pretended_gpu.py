"""The whole network computes a loss on a GPU that is only pretended: no question, no copy that waits, no two devices."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from affect_lightning.contracts import ClipBatch, FeatureSequence, StreamInput
from affect_lightning.model import AffectGPT
from affect_lightning.model.configuration import ModelConfiguration
from model_cases import TINY_PARTS, random_batch
from pretended_gpu import PretendedGpu, devices_of, pinned_as_it_is

WIDTHS = {"audio": 12, "face": 10}
PROMPT_TUNING = {"name": "tiny-lm", "adapter": {"peft_type": "PROMPT_TUNING", "num_virtual_tokens": 3}}


def with_features(batch: ClipBatch) -> ClipBatch:
    mask = torch.ones(len(batch), 3, dtype=torch.bool)
    features = {name: FeatureSequence(torch.randn(len(batch), 3, width), mask) for name, width in WIDTHS.items()}
    return replace(batch, streams={}, features=features)


def arrived(batch: ClipBatch, gpu: PretendedGpu) -> ClipBatch:
    """The batch as `to` would leave it: the masks on the processor stay known."""
    there = batch.with_each(gpu.tensor)
    for name, stream in batch.streams.items():
        moved = StreamInput(gpu.tensor(stream.values), gpu.tensor(stream.mask), stream.sample_rate)
        moved._know(stream.known_mask)
        there.streams[name] = moved
    return there


@pytest.mark.parametrize("fusion", ["attention", "qformer"])
@pytest.mark.parametrize("way", ["cached", "live", "prompt tuning"])
def test_a_loss_asks_nothing(way: str, fusion: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("get_rng_state", "set_rng_state"):  # of a driver; it is kept by the processor
        monkeypatch.setattr(torch.cuda, name, lambda *others: torch.zeros(0))
    options: dict[str, Any] = {**TINY_PARTS, "pre_fusion": fusion, "feature_norm": "standard", "stream_dropout": 0.2}
    if way == "prompt tuning":
        options["language_model"] = PROMPT_TUNING
    network = AffectGPT.from_configuration(ModelConfiguration.resolve(**options), None if way == "live" else WIDTHS)
    network.train()
    batch = random_batch() if way == "live" else with_features(random_batch())
    maker = network.prompt_maker()
    assert maker is not None
    batch = replace(batch, prompts=maker(batch))
    expected: Tensor = network(batch)  # the first batch of a part is looked at
    gpu = PretendedGpu()
    with pinned_as_it_is():
        gpu.put(network)
        there = arrived(batch, gpu)
        gpu.run(lambda: network(there))  # peft's ids of learned tokens are sent once
        loss, copies = gpu.run(lambda: network(there))
    assert devices_of(loss) == {"cuda"}
    assert (loss.shape, loss.dtype) == (expected.shape, expected.dtype)
    assert set(copies) <= {"cpu to cuda"}, "a copy that is waited for"
