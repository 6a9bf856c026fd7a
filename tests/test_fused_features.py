"""Pre-fusion of projected streams H (Section 3.2) against the equations, and what it must not change."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from affect_lightning.contracts import FeatureSequence
from affect_lightning.errors import ConfigurationError
from affect_lightning.model import AffectGPT, ModelConfiguration
from model_cases import TINY_PARTS, perturb, random_batch


def build(**options: Any) -> AffectGPT:
    parts = {**TINY_PARTS, "fused_features": "projected", **options}
    torch.manual_seed(0)
    network = AffectGPT.from_configuration(ModelConfiguration.resolve(**parts))
    perturb(network)
    return network.eval()


def test_attention_on_h_by_the_equations() -> None:
    network = build()
    features = network.encode(random_batch())
    pooled = []  # Eq. 5 with H = G(Z) in place of Z
    for name in ("audio", "face"):
        hidden = network.projectors[name](features[name].tokens)
        weights = features[name].mask.unsqueeze(-1).float()
        pooled.append((hidden * weights).sum(dim=1) / weights.sum(dim=1))
    stacked = torch.stack(pooled, dim=1)  # Eq. 6
    weighted = stacked.flatten(1) @ network.pre_fusion.weighing.weight.T
    wanted = (stacked.transpose(1, 2) @ weighted.unsqueeze(-1)).transpose(1, 2)  # Eq. 7
    torch.testing.assert_close(network.project(features)["multi"], wanted, rtol=1e-4, atol=1e-5)


def test_h_needs_no_projector_of_its_own_and_z_has_one() -> None:
    projected, encoded = build(), build(fused_features="encoded")
    assert not list(projected.projectors["multi"].parameters())
    assert list(encoded.projectors["multi"].parameters())
    assert projected.pre_fusion.output_width == projected.language_model.embedding_width
    assert set(projected.project(projected.encode(random_batch()))) == {"multi", "audio", "face"}


@pytest.mark.parametrize("fusion", ["attention", {"name": "qformer", "num_queries": 2}, "gated", "bilinear"])
def test_padding_never_changes_h(fusion: Any) -> None:
    network = build(pre_fusion=fusion)
    features = network.encode(random_batch())
    wanted = network.project(features)["multi"]
    padded = {
        name: FeatureSequence(
            torch.nn.functional.pad(stream.tokens, (0, 0, 0, 2), value=5.0),
            torch.nn.functional.pad(stream.mask, (0, 2), value=False),
        )
        for name, stream in features.items()
    }
    torch.testing.assert_close(network.project(padded)["multi"], wanted, rtol=1e-4, atol=1e-5)


def test_fused_streams_that_are_not_shown_get_a_projector() -> None:
    network = build(inputs=["multi", "text"], fused_streams=["audio", "face", "frame"])
    assert set(network.projectors) == {"multi", "audio", "face", "frame"}
    assert set(network.project(network.encode(random_batch()))) == {"multi"}
    network.train()
    network(random_batch()).backward()
    assert all(network.projectors[name].weight.grad.abs().sum() > 0 for name in ("audio", "face", "frame"))


def test_round_trip(tmp_path: Path) -> None:
    network = build()
    network.save_pretrained(tmp_path / "exported")
    batch = random_batch()
    torch.testing.assert_close(AffectGPT.from_pretrained(tmp_path / "exported")(batch), network(batch))
    values = network.configuration.as_dict()
    assert values.pop("fused_features") == "projected"
    with pytest.raises(ConfigurationError, match="missing: fused_features"):
        ModelConfiguration.from_dict(values)


def test_a_branch_of_another_width_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="Leave hidden_width out of branch_compression"):
        build(branch_compression={"name": "qformer", "hidden_width": 8}, branch_tokens=2)
    with pytest.raises(ConfigurationError, match=r"`encoded` \(Z\) or `projected` \(H"):
        build(fused_features="H")
