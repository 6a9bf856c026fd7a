"""AffectGPT: what must not change a response, what is frozen, what is built, and what is refused."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from affect_lightning.contracts import FeatureSequence, LanguageModel, StreamInput
from affect_lightning.errors import ConfigurationError, ContractError, DataError
from affect_lightning.model import AffectGPT, ModelConfiguration
from affect_lightning.model.branches import embedding_size
from affect_lightning.model.feature_conditioning import StandardScaling
from affect_lightning.model.prompt_assembly import assemble_prompts
from affect_lightning.model.prompt_tokens import prompt_ids
from affect_lightning.plugin_loading import build_part
from affect_lightning.prompting import placeholder
from affect_lightning_plugins.language_models.transformers_model import AdaptedCausalLM
from model_cases import TINY_PARTS, perturb, pick, random_batch, with_streams, without_streams


def build(**options) -> AffectGPT:
    network = AffectGPT.from_configuration(ModelConfiguration.resolve(**{**TINY_PARTS, **options}))
    perturb(network)
    return network


@pytest.fixture(scope="module")
def network():
    return build()


def test_batch_size_and_order_never_change_a_response(network):
    batch = random_batch()
    together = network.generate(batch, max_new_tokens=10)
    assert len(set(together)) > 1
    assert network.generate(pick(batch, [3, 1, 0, 2]), max_new_tokens=10) == [together[i] for i in (3, 1, 0, 2)]
    assert [network.generate(pick(batch, [i]), max_new_tokens=10)[0] for i in range(4)] == together
    assert network.generate(pick(batch, [2, 0]), max_new_tokens=10) == [together[2], together[0]]


def test_several_questions_read_a_clip_once_and_get_the_responses_of_single_ones(network, monkeypatch):
    batch = random_batch()
    questions = ["Which emotions does the person feel?", "How?", "Which emotions does the person hide, and why?"]
    wanted = [
        network.generate(dataclasses.replace(batch, questions=[question] * 4), max_new_tokens=10)
        for question in questions
    ]
    assert len({text for texts in wanted for text in texts}) > 4
    read = []
    blocks = network.language_model.shardable_blocks()
    hook = blocks[0].register_forward_pre_hook(lambda _block, inputs: read.append(tuple(inputs[0].shape[:2])))
    assert network.answer(batch, questions, max_new_tokens=10) == [list(texts) for texts in zip(*wanted, strict=True)]
    hook.remove()
    (clips, beginning), (prompts, end) = read[:2]
    assert (clips, prompts) == (4, 12)
    assert end < beginning
    # A language model that keeps nothing gives the same texts.
    monkeypatch.setattr(AdaptedCausalLM, "generate_from_prefix", LanguageModel.generate_from_prefix)
    assert network.answer(batch, questions, max_new_tokens=10) == [list(texts) for texts in zip(*wanted, strict=True)]
    assert network.answer(batch, questions[:1] * 2, max_new_tokens=10) == [[text, text] for text in wanted[0]]
    assert network.answer(batch, questions[:1], max_new_tokens=10) == [[text] for text in wanted[0]]


def test_frame_and_sound_padding_never_change_a_response(network):
    batch = random_batch()
    wanted = network.generate(batch, max_new_tokens=10)
    face, sound, pad = batch.streams["face"], batch.streams["audio"], torch.nn.functional.pad
    padded = with_streams(
        without_streams(batch, "frame"),
        face=StreamInput(
            torch.cat([face.values, torch.full_like(face.values[:, :2], 255)], dim=1), pad(face.mask, (0, 2))
        ),
        audio=StreamInput(pad(sound.values, (0, 4000), value=0.7), pad(sound.mask, (0, 4000)), 16_000),
    )
    assert network.generate(padded, max_new_tokens=10) == wanted
    torch.testing.assert_close(network.eval()(padded), network(batch), rtol=1e-4, atol=1e-5)


def test_every_shown_stream_counts(network):
    batch = random_batch()
    network.eval()
    before = network(batch)
    for name in ("face", "audio"):
        stream = batch.streams[name]
        changed = with_streams(batch, **{name: dataclasses.replace(stream, values=stream.values.flip(0))})
        assert not torch.allclose(network(changed), before, rtol=1e-5)
    assert not torch.allclose(network(dataclasses.replace(batch, subtitles=batch.subtitles[::-1])), before, rtol=1e-5)
    torch.testing.assert_close(network(without_streams(batch, "frame")), before)


def test_loss_equals_a_plain_hugging_face_call_on_the_same_embeddings(network):
    batch = random_batch()
    network.eval()
    prompts = network.assemble(batch, network.encode(batch), learn=True)
    plain = network.language_model.network(
        inputs_embeds=prompts.inputs_embeds, attention_mask=prompts.attention_mask, labels=prompts.labels
    ).loss
    torch.testing.assert_close(network(batch), plain, rtol=1e-5, atol=1e-6)


def test_only_responses_are_learnt(network):
    batch = random_batch()
    prompts = network.assemble(batch, network.encode(batch), learn=True)
    tokenizer = network.language_model.tokenizer
    for row, response in zip(prompts.labels, batch.responses, strict=True):
        assert tokenizer.decode(row[row != -100]) == f"{response}<|im_end|>"


def test_encoders_are_frozen_and_the_rest_learns(network):
    network.train()
    assert not network.encoders["video_encoder"].training
    assert not network.encoders["audio_encoder"].training
    assert not any(module.training for module in network.encoders["video_encoder"].modules())
    assert network.language_model.training
    network.zero_grad()
    network(random_batch()).backward()
    for name, parameter in network.named_parameters():
        if name.startswith("encoders.") or "base_layer" in name or "embed_tokens" in name:
            assert not parameter.requires_grad
            assert parameter.grad is None
        elif parameter.requires_grad:
            assert parameter.grad is not None, name
            assert parameter.grad.isfinite().all()
    assert network.projectors["face"].weight.grad.abs().sum() > 0


def test_face_and_frame_share_the_video_encoder():
    network = build(inputs=["face", "frame"])
    calls = []
    network.encoders["video_encoder"].register_forward_hook(lambda module, arguments, output: calls.append(1))
    network(random_batch())
    assert len(calls) == 2
    assert set(network.projectors) == {"face", "frame"}
    assert set(network.encoders) == {"video_encoder"}


@pytest.mark.parametrize(
    ("inputs", "fusion", "streams", "shown"),
    [
        (["text"], "attention", (), set()),
        (["audio"], "attention", ("audio",), {"audio"}),
        (["face", "text"], "qformer", ("face",), {"face"}),
        (["frame", "text"], "none", ("frame",), {"frame"}),
        (["multi", "text"], "attention", ("audio", "face"), {"multi"}),
        (["multi", "audio", "text"], "none", ("audio",), {"audio"}),
        (["multi", "audio", "face", "text"], "none", ("audio", "face"), {"audio", "face"}),
        (
            ["multi", "audio", "face", "frame", "text"],
            {"name": "qformer", "num_queries": 3},
            ("audio", "face", "frame"),
            {"multi", "audio", "face", "frame"},
        ),
    ],
)
def test_inputs_decide_what_is_built_and_shown(inputs, fusion, streams, shown):
    configuration = ModelConfiguration.resolve(**{**TINY_PARTS, "inputs": inputs, "pre_fusion": fusion})
    assert configuration.encoded_streams == streams
    network = build(inputs=inputs, pre_fusion=fusion)
    wanted = {"audio_encoder" if name == "audio" else "video_encoder" for name in streams}
    assert set(network.encoders) == wanted
    assert set(network.projectors) == shown
    batch = random_batch()
    if "audio" not in streams:
        batch = without_streams(batch, "audio")
    assert network(batch).isfinite()
    assert len(network.generate(batch, max_new_tokens=3)) == 4


@pytest.mark.parametrize("branch", ["mean", "attention", {"name": "qformer", "num_layers": 1}])
@pytest.mark.parametrize("norm", ["none", "layer", "standard"])
def test_branches_and_scalings_step(branch, norm):
    network = build(branch_compression=branch, branch_tokens=1 if branch == "mean" else 2, feature_norm=norm)
    batch = random_batch()
    network(batch).backward()
    tokens = network.project(network.encode(batch))
    assert {name: token.shape[1] for name, token in tokens.items()} == {
        "multi": 1,
        "audio": network.configuration.branch_tokens,
        "face": network.configuration.branch_tokens,
    }
    assert network.generate(pick(batch, [1]), max_new_tokens=4) == network.generate(batch, max_new_tokens=4)[1:2]


def test_projected_tokens_can_start_as_large_as_word_embeddings():
    options = {**TINY_PARTS, "feature_norm": "layer", "projector_init_scale": 2.0}
    network = AffectGPT.from_configuration(ModelConfiguration.resolve(**options))
    with torch.no_grad():
        tokens = network.project(network.encode(random_batch()))
    size = embedding_size(network.language_model)
    assert float(tokens["audio"].square().mean().sqrt()) == pytest.approx(2 * size, rel=0.5)


def test_attention_branch_starts_as_the_mean_and_ignores_padding():
    tokens, mask = torch.randn(2, 5, 4), torch.tensor([[True] * 5, [True] * 2 + [False] * 3])
    stream = FeatureSequence(tokens.masked_fill(~mask.unsqueeze(-1), float("nan")), mask)
    attention, mean = (
        build_part("branch_compressions", name, stream_width=4, tokens=1) for name in ("attention", "mean")
    )
    torch.testing.assert_close(attention(stream), mean(stream))
    several = build_part("branch_compressions", "attention", stream_width=4, tokens=3)
    short = FeatureSequence(tokens[1:, :2], mask[1:, :2])
    torch.testing.assert_close(several(stream)[1:], several(short))
    nothing = FeatureSequence(tokens, torch.zeros_like(mask))
    assert torch.equal(several(nothing), torch.zeros(2, 3, 4))


def test_standard_scaling_keeps_exact_statistics_of_real_tokens():
    torch.manual_seed(0)
    scaling = StandardScaling(3)
    tokens = torch.randn(6, 4, 3) * torch.tensor([1.0, 5.0, 0.2]) + 7
    mask = torch.rand(6, 4) > 0.3
    assert torch.equal(scaling.eval()(FeatureSequence(tokens, mask)).tokens, tokens)  # nothing seen yet
    scaling.train()
    for part in (slice(0, 2), slice(2, 5), slice(5, 6)):
        scaling(FeatureSequence(tokens[part], mask[part]))
    scaled = scaling.eval()(FeatureSequence(tokens, mask)).tokens[mask]
    torch.testing.assert_close(scaled.mean(dim=0), torch.zeros(3), atol=1e-4, rtol=0)
    torch.testing.assert_close(scaled.std(dim=0, correction=0), torch.ones(3), atol=1e-3, rtol=0)


def test_rank_0_and_encoded_features_given():
    network = build(language_model={"name": "tiny-lm", "lora_rank": 0})
    batch = random_batch()
    features = network.encode(batch)
    bare = without_streams(batch)
    network.eval()
    torch.testing.assert_close(network(bare, features), network(batch))
    assert network.generate(bare, features=features, max_new_tokens=5) == network.generate(batch, max_new_tokens=5)


def test_generation_leaves_the_mode_as_it_was(network):
    network.train()
    network.generate(random_batch(1), max_new_tokens=2)
    assert network.training
    assert network.language_model.training
    network.eval()
    network.generate(random_batch(1), max_new_tokens=2)
    assert not network.training


def test_template_that_drops_placeholders_is_refused_naming_the_clip(network, monkeypatch):
    monkeypatch.setattr(network.language_model.tokenizer, "chat_template", "{{ messages[0]['content'][:5] }}")
    with pytest.raises(ContractError, match=r"Clip 'clip0' has 0 placeholders for 1 feature tokens .* 'multi'"):
        network(random_batch())


def test_subtitle_with_a_reserved_character_is_refused_naming_the_clip(network):
    batch = random_batch()
    batch.subtitles[2] = f"odd {placeholder(2)}"
    with pytest.raises(ContractError, match=r"Clip 'clip2' has 2 placeholders for 1 feature tokens .* 'face'"):
        network(batch)


def test_empty_response_is_refused_naming_the_clip(network):
    batch = random_batch()
    batch.responses[1] = " "
    with pytest.raises(DataError, match="Clip 'clip1' has an empty response"):
        network(batch)
    assert len(network.generate(batch, max_new_tokens=2)) == 4


def test_missing_stream_and_wrong_rate_are_refused(network):
    with pytest.raises(ContractError, match=r"needs the stream 'face' .* the batch has none"):
        network(without_streams(random_batch(), "face"))
    slow = dataclasses.replace(random_batch().streams["audio"], sample_rate=8000)
    with pytest.raises(ContractError, match=r"hears 16000 Hz; the stream 'audio' has 8000 Hz"):
        network(with_streams(random_batch(), audio=slow))


def test_encoder_that_breaks_its_promise_is_refused(network, monkeypatch):
    narrow = FeatureSequence(torch.zeros(4, 8, 5), torch.ones(4, 8, dtype=torch.bool))
    monkeypatch.setattr(network.encoders["audio_encoder"], "forward", lambda waveform, lengths: narrow)
    with pytest.raises(ContractError, match=r"audio encoder 'tiny-audio' .* tokens \[4, N, 16\]; got .* \[4, 8, 5\]"):
        network(random_batch())


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"inputs": ["sound"]}, "the streams of the prompt"),
        ({"fused_streams": ["audio", "text"]}, "the streams of the pre-fusion"),
        ({"fused_streams": []}, "the streams of the pre-fusion"),
        ({"feature_norm": "batch"}, "one of none, layer, standard"),
        ({"projector_init_scale": 0.0}, "must be positive"),
        (
            {"branch_compression": "mean", "branch_tokens": 2},
            "at least 1 and at most 1 for the compression 'mean'; got 2",
        ),
        ({"branch_compression": "attention", "branch_tokens": 0}, "`branch_tokens` must be at least 1; got 0"),
        ({"prompt_form": "letter"}, "`prompt_form` is one of chat, plain; got 'letter'"),
    ],
)
def test_wrong_configurations_are_refused(options, text):
    with pytest.raises(ConfigurationError, match=text):
        ModelConfiguration.resolve(**{**TINY_PARTS, **options})


def test_configuration_round_trip():
    configuration = ModelConfiguration.resolve(**{**TINY_PARTS, "branch_compression": {"name": "qformer"}})
    assert ModelConfiguration.from_dict(configuration.as_dict()) == configuration
    values = configuration.as_dict()
    with pytest.raises(ConfigurationError, match=r"missing: inputs, unknown: shown"):
        ModelConfiguration.from_dict({"shown": values.pop("inputs"), **values})


def test_prompt_is_the_rendered_text_with_sentinels():
    model = build_part("language_models", "tiny-lm")
    ids = prompt_ids(model, model.render_prompt(f"a{placeholder(1) * 2}b"))
    start = model.text_ids("<|im_start|>user\na")
    assert ids[: len(start) + 3] == [*start, -2, -2, model.text_ids("b")[0]]
    embeddings = torch.randn(1, 2, model.embedding_width)
    prompts = assemble_prompts(
        model,
        inputs=["multi", "audio"],
        names=["x"],
        subtitles=[""],
        questions=["Why?"],
        features={"audio": embeddings},
        padding="left",
    )
    ids = prompt_ids(model, model.render_prompt(f"Clip: {placeholder(1) * 2}\nWhy?"))
    places = [index for index, sentinel in enumerate(ids) if sentinel < 0]
    assert torch.equal(prompts.inputs_embeds[0, places], embeddings[0])
