"""Pre-fusions and branches against libraries and hand-worked cases, and their number types."""

from __future__ import annotations

import math

import pytest
import torch

from affect_lightning.contracts import FeatureSequence
from affect_lightning.errors import ConfigurationError
from affect_lightning.plugin_loading import build_part
from affect_lightning_plugins.pre_fusions.published import sinusoidal_encoding

WIDTHS = {"audio": 8, "face": 12}
CHOICES = [
    "attention",
    {"name": "qformer", "num_queries": 3, "dropout": 0.0},
    {"name": "gated", "dropout": 0.0},
    {"name": "bilinear", "rank": 6},
    "attention-released",
]
BRANCHES = [
    ("mean", 1),
    ("attention", 1),
    ("attention", 3),
    ("attention-released", 1),
    ("attention-released", 2),
    ({"name": "qformer", "dropout": 0.0}, 4),
]


def sequence(tokens: torch.Tensor, real: int | None = None) -> FeatureSequence:
    mask = torch.ones(tokens.shape[:2], dtype=torch.bool)
    mask[:, real:] = real is None
    return FeatureSequence(tokens, mask)


def streams(dtype: torch.dtype = torch.float32) -> dict[str, FeatureSequence]:
    generator = torch.Generator().manual_seed(3)
    return {
        name: sequence(torch.randn(2, count, WIDTHS[name], generator=generator).to(dtype), count - 1)
        for name, count in (("audio", 4), ("face", 6))
    }


def test_qformer_equals_the_one_of_transformers():
    from transformers import Blip2QFormerConfig, Blip2QFormerModel

    torch.manual_seed(0)
    width = 16
    options = {"name": "qformer", "num_queries": 5, "dropout": 0.0, "num_heads": 4, "feed_forward_width": 40}
    ours = build_part("pre_fusions", options, stream_widths={"audio": width, "face": width}).eval()
    theirs = Blip2QFormerModel(
        Blip2QFormerConfig(
            hidden_size=width,
            num_hidden_layers=2,
            num_attention_heads=4,
            intermediate_size=40,
            encoder_hidden_size=width,
            cross_attention_frequency=1,
            layer_norm_eps=1e-5,
        )
    ).eval()
    with torch.no_grad():
        # Theirs normalises the queries first; with normalised queries that changes nothing.
        normal = torch.nn.functional.layer_norm(torch.randn(5, width), (width,), eps=1e-12)
        ours.queries.copy_(normal)
        theirs.layernorm.eps = 1e-12
        for mine, other in zip(ours.layers, theirs.encoder.layer, strict=True):
            copy_attention(mine.self_attn, other.attention)
            copy_attention(mine.multihead_attn, other.crossattention)
            copy(mine.norm1, other.attention.output.LayerNorm)
            copy(mine.norm2, other.crossattention.output.LayerNorm)
            copy(mine.linear1, other.intermediate_query.dense)
            copy(mine.linear2, other.output_query.dense)
            copy(mine.norm3, other.output_query.LayerNorm)
    audio, face = sequence(torch.randn(2, 3, width), 2), sequence(torch.randn(2, 4, width), 3)
    tokens, mask = torch.cat([audio.tokens, face.tokens], dim=1), torch.cat([audio.mask, face.mask], dim=1)
    memory = tokens * mask.unsqueeze(-1) + sinusoidal_encoding(mask, width)
    wanted = theirs(
        query_embeds=ours.queries.expand(2, -1, -1), encoder_hidden_states=memory, encoder_attention_mask=mask.long()
    ).last_hidden_state
    torch.testing.assert_close(ours({"audio": audio, "face": face}).tokens, wanted, rtol=1e-5, atol=1e-5)


def copy(source: torch.nn.Module, target: torch.nn.Module) -> None:
    torch.nn.init.uniform_(source.bias)
    target.load_state_dict(source.state_dict())


def copy_attention(source: torch.nn.MultiheadAttention, target: torch.nn.Module) -> None:
    torch.nn.init.uniform_(source.in_proj_bias)
    parts = zip(
        source.in_proj_weight.chunk(3),
        source.in_proj_bias.chunk(3),
        (target.attention.query, target.attention.key, target.attention.value),
        strict=True,
    )
    for weight, bias, layer in parts:
        layer.weight.copy_(weight)
        layer.bias.copy_(bias)
    copy(source.out_proj, target.output.dense)


def test_gated_by_hand():
    fusion = build_part("pre_fusions", {"name": "gated", "dropout": 0.0}, stream_widths={"audio": 1, "face": 1})
    with torch.no_grad():
        for parameter in fusion.parameters():
            parameter.zero_()
        for name in ("audio", "face"):
            fusion.reading[name].in_proj_weight[2] = 1.0  # values as they are; equal attention to all tokens
            fusion.reading[name].out_proj.weight.fill_(1.0)
        fusion.reading_gates["audio"].fill_(math.atanh(0.5))
        fusion.reading_gates["face"].fill_(math.atanh(0.25))
        fusion.gating.bias.copy_(torch.tensor([0.0, math.log(3.0)]))  # gates 0.5 and 0.75
    audio, face = torch.tensor([[[2.0]]]), torch.tensor([[[1.0], [3.0]]])
    # audio reads the mean 2: 2 + 0.5 * 2 = 3; face reads 2: 1.5 and 3.5, mean 2.5; 0.5 * 3 + 0.75 * 2.5 = 3.375
    fused = fusion({"audio": sequence(audio), "face": sequence(face)})
    torch.testing.assert_close(fused.tokens, torch.tensor([[[3.375]]]))


def test_gated_reads_by_torch_s_attention():
    torch.manual_seed(1)
    fusion = build_part("pre_fusions", {"name": "gated", "dropout": 0.0, "num_heads": 3}, stream_widths=WIDTHS).eval()
    given = streams()
    aligned = fusion.alignment(given)
    pooled = []
    for own, other, name in ((aligned[0], aligned[1], "audio"), (aligned[1], aligned[0], "face")):
        queries, memory = own.tokens[own.mask].view(2, -1, 12), other.tokens[other.mask].view(2, -1, 12)
        read = fusion.reading[name](queries, memory, memory)[0]
        pooled.append((queries + fusion.reading_gates[name].tanh() * read).mean(dim=1))
    both = torch.cat(pooled, dim=1)
    gates = torch.sigmoid(both @ fusion.gating.weight.T + fusion.gating.bias)
    wanted = (gates * both).view(2, 2, 12).sum(dim=1, keepdim=True)
    torch.testing.assert_close(fusion(given).tokens, wanted, rtol=1e-5, atol=1e-6)


def test_bilinear_equals_the_full_tensor_of_torch_s_bilinear():
    torch.manual_seed(2)
    fusion = build_part("pre_fusions", {"name": "bilinear", "rank": 6}, stream_widths=WIDTHS)
    given = streams()
    with torch.no_grad():
        factors = [torch.cat([f.weight, f.bias.unsqueeze(1)], dim=1) for f in fusion.factors.values()]
        tensor = torch.einsum("or,ra,rb->oab", fusion.combining.weight, *factors)  # [12, 8 + 1, 12 + 1]
    sides = [torch.nn.functional.pad(s.masked_mean(), (0, 1), value=1.0) for s in given.values()]
    wanted = torch.nn.functional.bilinear(*sides, tensor).unsqueeze(1)
    torch.testing.assert_close(fusion(given).tokens, wanted, rtol=1e-4, atol=1e-5)


def test_bilinear_of_three_streams_multiplies_all_and_the_order_does_not_count():
    widths = {"audio": 1, "face": 1, "frame": 1}
    fusion = build_part("pre_fusions", {"name": "bilinear", "rank": 1}, stream_widths=widths)
    with torch.no_grad():
        for factor, bias in zip(fusion.factors.values(), (0.0, 1.0, -1.0), strict=True):
            factor.weight.fill_(2.0)
            factor.bias.fill_(bias)
        fusion.combining.weight.fill_(0.5)
    given = {name: sequence(torch.tensor([[[value]]])) for name, value in zip(widths, (1.0, 2.0, 3.0), strict=True)}
    # (2 * 1) (2 * 2 + 1) (2 * 3 - 1) / 2 = 2 * 5 * 5 / 2
    assert fusion(given).tokens.item() == 25.0
    assert fusion(dict(reversed(given.items()))).tokens.item() == 25.0


@pytest.mark.parametrize("choice", CHOICES)
def test_fusions_keep_bfloat16_and_agree_with_float32(choice):
    torch.manual_seed(0)
    fusion = build_part("pre_fusions", choice, stream_widths=WIDTHS).eval()
    wanted = fusion(streams()).tokens
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed = fusion(streams()).tokens
    torch.testing.assert_close(mixed.float(), wanted, rtol=0.05, atol=0.05)
    half = fusion.to(torch.bfloat16)(streams(torch.bfloat16)).tokens
    assert half.dtype == torch.bfloat16
    torch.testing.assert_close(half.float(), wanted, rtol=0.1, atol=0.1)


@pytest.mark.parametrize(("choice", "tokens"), BRANCHES)
def test_branches_keep_bfloat16_and_padding_changes_nothing(choice, tokens):
    torch.manual_seed(0)
    branch = build_part("branch_compressions", choice, stream_width=12, tokens=tokens).eval()
    for parameter in branch.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    stream = streams()["face"]
    wanted = branch(stream)
    assert wanted.shape == (2, tokens, branch.output_width)
    short = FeatureSequence(stream.tokens[:, :5], stream.mask[:, :5])
    longer = FeatureSequence(
        torch.nn.functional.pad(stream.tokens, (0, 0, 0, 3), value=float("nan")),
        torch.nn.functional.pad(stream.mask, (0, 3), value=False),
    )
    for other in (short, longer):
        torch.testing.assert_close(branch(other), wanted, rtol=1e-5, atol=1e-6)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        torch.testing.assert_close(branch(stream).float(), wanted, rtol=0.1, atol=0.1)
    half = branch.to(torch.bfloat16)(streams(torch.bfloat16)["face"])
    assert half.dtype == torch.bfloat16
    torch.testing.assert_close(half.float(), wanted, rtol=0.1, atol=0.1)


def test_attention_branch_equals_torch_s_attention():
    torch.manual_seed(0)
    branch = build_part("branch_compressions", "attention", stream_width=12, tokens=3)
    stream = streams()["face"]
    queries = branch.scoring.weight.expand(2, -1, -1)
    wanted = torch.nn.functional.scaled_dot_product_attention(
        queries, stream.tokens, stream.tokens, attn_mask=stream.mask.unsqueeze(1), scale=1.0
    )
    torch.testing.assert_close(branch(stream), wanted, rtol=1e-5, atol=1e-6)


def test_attention_branch_by_hand():
    branch = build_part("branch_compressions", "attention", stream_width=2, tokens=1)
    tokens = torch.tensor([[[1.0, 0.0], [3.0, 8.0], [9.0, 9.0]]])
    torch.testing.assert_close(branch(sequence(tokens, 2)), torch.tensor([[[2.0, 4.0]]]))  # starts as the mean
    with torch.no_grad():
        branch.scoring.weight.copy_(torch.tensor([[math.log(3.0) / 2, 0.0]]))  # the second weighs three times as much
    torch.testing.assert_close(branch(sequence(tokens, 2)), torch.tensor([[[2.5, 6.0]]]))


def test_released_branch_by_hand():
    """Scores 2 and -1, without softmax: 2 * (1, 5) - (-2, 3). Padding adds nothing."""
    branch = build_part("branch_compressions", "attention-released", stream_width=2, tokens=1)
    with torch.no_grad():
        branch.scoring.weight.copy_(torch.tensor([[1.0, 0.0]]))
        branch.scoring.bias.fill_(1.0)
    tokens = torch.tensor([[[1.0, 5.0], [-2.0, 3.0], [9.0, 9.0]]])
    torch.testing.assert_close(branch(sequence(tokens, 2)), torch.tensor([[[4.0, 7.0]]]))


def test_released_fusion_by_hand():
    """Averages 2 and 3, projected to 5 and 7; mixed to 2 * 5 + 7 + 1 = 18; weights 18 and -36 + 4."""
    fusion = build_part("pre_fusions", "attention-released", stream_widths={"face": 1, "audio": 1})
    values = {
        "projections.face.weight": [[2.0]],
        "projections.face.bias": [1.0],
        "projections.audio.weight": [[2.0]],
        "projections.audio.bias": [1.0],
        "mixing.weight": [[2.0, 1.0]],
        "mixing.bias": [1.0],
        "weighing.weight": [[1.0], [-2.0]],
        "weighing.bias": [0.0, 4.0],
    }
    fusion.load_state_dict({name: torch.tensor(value) for name, value in values.items()})
    given = {"face": sequence(torch.tensor([[[1.0], [3.0]]])), "audio": sequence(torch.tensor([[[3.0], [8.0]]]), 1)}
    assert fusion(given).tokens.item() == 18.0 * 5.0 - 32.0 * 7.0


def test_released_fusion_folds_into_one_layer_with_a_bias():
    torch.manual_seed(0)
    fusion = build_part("pre_fusions", "attention-released", stream_widths=WIDTHS)
    pooled = torch.randn(2, 2, 12)
    weight = fusion.weighing.weight @ fusion.mixing.weight
    bias = fusion.weighing.weight @ fusion.mixing.bias + fusion.weighing.bias
    torch.testing.assert_close(fusion.weights(pooled), pooled.flatten(1) @ weight.T + bias)


@pytest.mark.parametrize(
    ("choice", "text"),
    [
        ({"name": "gated", "dropout": 1.0}, "0 <= dropout < 1"),
        ({"name": "gated", "num_heads": 5}, "must divide the width 12 of the gated pre-fusion"),
        ({"name": "bilinear", "rank": 0}, "rank >= 1"),
    ],
)
def test_wrong_options_are_refused(choice, text):
    with pytest.raises(ConfigurationError, match=text):
        build_part("pre_fusions", choice, stream_widths=WIDTHS)


def test_gated_of_streams_without_tokens_is_finite():
    fusion = build_part("pre_fusions", {"name": "gated", "dropout": 0.0}, stream_widths=WIDTHS)
    nothing = sequence(torch.zeros(2, 0, 8))
    for other in (sequence(torch.randn(2, 3, 12)), sequence(torch.zeros(2, 0, 12))):
        assert fusion({"audio": nothing, "face": other}).tokens.isfinite().all()
