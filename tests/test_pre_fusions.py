"""Pre-fusions: Equation 7 by hand, masks, positions, widths, and what is refused."""

from __future__ import annotations

import pytest
import torch

from affect_lightning.contracts import FeatureSequence
from affect_lightning.errors import AffectLightningError, ConfigurationError, ContractError, PluginError
from affect_lightning.plugin_loading import build_part, resolve_choice
from affect_lightning_plugins.pre_fusions.published import sinusoidal_encoding

WIDTHS = {"audio": 6, "face": 10}
FUSING = [
    "attention",
    {"name": "qformer", "num_queries": 3, "dropout": 0.0},
    {"name": "gated", "dropout": 0.0},
    {"name": "bilinear", "rank": 5},
]


def sequence(tokens: torch.Tensor, mask: torch.Tensor | None = None) -> FeatureSequence:
    return FeatureSequence(tokens, torch.ones(tokens.shape[:2], dtype=torch.bool) if mask is None else mask)


def random_streams(clips: int = 3, seed: int = 0) -> dict[str, FeatureSequence]:
    generator = torch.Generator().manual_seed(seed)
    return {
        name: sequence(torch.randn(clips, count, WIDTHS[name], generator=generator))
        for name, count in (("audio", 4), ("face", 5))
    }


def padded(stream: FeatureSequence, extra: int, filler: float) -> FeatureSequence:
    tokens = torch.nn.functional.pad(stream.tokens, (0, 0, 0, extra), value=filler)
    return FeatureSequence(tokens, torch.nn.functional.pad(stream.mask, (0, extra), value=False))


def test_equation_7_by_hand():
    fusion = build_part("pre_fusions", "attention", stream_widths={"audio": 2, "face": 2})
    with torch.no_grad():
        fusion.weighing.weight.copy_(torch.tensor([[1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, -1.0]]))
    audio = sequence(torch.tensor([[[1.0, 4.0], [3.0, 0.0]]]))  # mean (2, 2)
    face = sequence(torch.tensor([[[1.0, 5.0]]]))
    # flatten = (2, 2, 1, 5); W * flatten = (2, 2 - 5) = (2, -3); 2 * (2, 2) - 3 * (1, 5) = (1, -11)
    fused = fusion({"audio": audio, "face": face})
    assert torch.equal(fused.tokens, torch.tensor([[[1.0, -11.0]]]))
    assert fused.mask.all()


def test_attention_weights_have_the_paper_s_shape_and_no_bias():
    fusion = build_part("pre_fusions", "attention", stream_widths={"audio": 1024, "face": 768})
    assert fusion.weighing.weight.shape == (2, 2 * 1024)
    assert fusion.weighing.bias is None
    assert [name for name, _ in fusion.alignment.named_parameters()] == [
        "projections.face.weight",
        "projections.face.bias",
    ]


@pytest.mark.parametrize("choice", FUSING)
@pytest.mark.parametrize("stream", ["audio", "face"])
def test_padding_changes_nothing(choice, stream):
    torch.manual_seed(0)
    fusion = build_part("pre_fusions", choice, stream_widths=WIDTHS).eval()
    streams = random_streams()
    wanted = fusion(streams).tokens
    for filler in (0.0, 1e4, float("nan")):
        got = fusion({**streams, stream: padded(streams[stream], 3, filler)}).tokens
        torch.testing.assert_close(got, wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("choice", FUSING)
def test_a_masked_nan_reaches_no_gradient(choice):
    fusion = build_part("pre_fusions", choice, stream_widths=WIDTHS)
    streams = random_streams()
    fusion({**streams, "face": padded(streams["face"], 2, float("nan"))}).tokens.square().sum().backward()
    assert all(parameter.grad is not None for parameter in fusion.parameters())
    assert all(parameter.grad.isfinite().all() for parameter in fusion.parameters())


@pytest.mark.parametrize("choice", FUSING)
def test_a_clip_alone_equals_the_clip_in_a_batch_and_empty_streams_are_finite(choice):
    torch.manual_seed(0)
    fusion = build_part("pre_fusions", choice, stream_widths=WIDTHS).eval()
    streams = random_streams()
    mask = streams["audio"].mask.clone()
    mask[1] = False
    streams["audio"] = FeatureSequence(streams["audio"].tokens, mask)
    streams["face"] = FeatureSequence(
        streams["face"].tokens, streams["face"].mask & torch.tensor([[1], [0], [1]]).bool()
    )
    together = fusion(streams).tokens
    assert together.isfinite().all()
    for clip in range(3):
        alone = {name: FeatureSequence(s.tokens[[clip]], s.mask[[clip]]) for name, s in streams.items()}
        torch.testing.assert_close(fusion(alone).tokens, together[[clip]], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("count", [1, 2, 4])
@pytest.mark.parametrize("choice", FUSING)
def test_any_number_of_streams(choice, count):
    widths = {f"stream{index}": 4 + index for index in range(count)}
    fusion = build_part("pre_fusions", choice, stream_widths=widths)
    fused = fusion({name: sequence(torch.randn(2, 3, width)) for name, width in widths.items()})
    assert fused.tokens.shape == (2, fusion.output_tokens, fusion.output_width)
    assert fusion.output_width == max(widths.values())


def test_qformer_sees_the_order_of_tokens():
    torch.manual_seed(0)
    fusion = build_part("pre_fusions", FUSING[1], stream_widths=WIDTHS).eval()
    streams = random_streams()
    turned = {**streams, "face": sequence(streams["face"].tokens.flip(1))}
    assert not torch.allclose(fusion(streams).tokens, fusion(turned).tokens, atol=1e-4)
    attention = build_part("pre_fusions", "attention", stream_widths=WIDTHS)
    torch.testing.assert_close(attention(streams).tokens, attention(turned).tokens)


def test_positions_count_real_tokens_only():
    mask = torch.tensor([[True, True, False, True], [False, True, True, True]])
    encoding = sinusoidal_encoding(mask, 5)
    whole = sinusoidal_encoding(torch.ones(1, 3, dtype=torch.bool), 5)[0]
    assert encoding.shape == (2, 4, 5)
    assert torch.equal(encoding[0, [0, 1, 3]], whole)
    assert torch.equal(encoding[1, 1:], whole)
    torch.testing.assert_close(whole[1, 0], torch.tensor(1.0).sin())


def test_qformer_has_bert_layers():
    fusion = build_part("pre_fusions", "qformer", stream_widths={"audio": 1024, "face": 768})
    assert len(fusion.layers) == 2
    assert fusion.layers[0].self_attn.num_heads == 16
    assert fusion.layers[0].linear1.out_features == 4096
    small = build_part("pre_fusions", {"name": "qformer", "hidden_width": 96}, stream_widths=WIDTHS)
    assert small.output_width == 96
    assert set(dict(small.alignment.projections["audio"].named_parameters())) == {"weight", "bias"}


def test_none_gives_no_tokens():
    fusion = build_part("pre_fusions", "none", stream_widths=WIDTHS)
    assert fusion(random_streams()).tokens.shape == (3, 0, 0)
    assert (fusion.output_tokens, fusion.output_width) == (0, 0)


@pytest.mark.parametrize("choice", FUSING)
def test_wrong_streams_are_refused(choice):
    fusion = build_part("pre_fusions", choice, stream_widths=WIDTHS)
    streams = random_streams()
    with pytest.raises(ContractError, match=r"built for streams of widths .*'face': 10.*received .*'audio': 6"):
        fusion({"audio": streams["audio"]})
    with pytest.raises(ContractError, match="received"):
        fusion({**streams, "face": sequence(torch.randn(3, 2, 9))})


@pytest.mark.parametrize(
    ("choice", "error", "text"),
    [
        ({"name": "qformer", "num_queries": 0}, ConfigurationError, "num_queries >= 1"),
        ({"name": "qformer", "num_heads": 3}, ConfigurationError, "must divide the width 10"),
        ({"name": "qformer", "num_query": 3}, PluginError, "Did you mean 'num_queries'"),
        ({"name": "qformer", "num_queries": "many"}, PluginError, "expects int, got 'many'"),
    ],
)
def test_wrong_options_are_refused(choice, error, text):
    with pytest.raises(error, match=text):
        build_part("pre_fusions", choice, stream_widths=WIDTHS)
    with pytest.raises(AffectLightningError):
        build_part("pre_fusions", choice, stream_widths=WIDTHS)


def test_no_streams_are_refused():
    with pytest.raises(ConfigurationError, match="at least one stream"):
        build_part("pre_fusions", "attention", stream_widths={})


def test_options_are_resolved_to_plain_values():
    resolved = resolve_choice("pre_fusions", {"name": "qformer", "num_queries": 4})
    assert resolved == {
        "name": "qformer",
        "num_queries": 4,
        "num_layers": 2,
        "hidden_width": None,
        "num_heads": None,
        "feed_forward_width": None,
        "dropout": 0.1,
    }
