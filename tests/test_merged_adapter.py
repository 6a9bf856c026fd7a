"""The adapter merged while responses are made: the same responses, and a base that is bit for bit what it was."""

from __future__ import annotations

import copy
import logging
from pathlib import Path
from typing import Any

import pytest
import torch
from peft.tuners.lora import Linear as LoraLinear
from torch import Tensor, distributed
from transformers import AutoConfig, AutoModelForCausalLM

from affect_lightning.checkpoints.compatibility import check_fits
from affect_lightning.errors import CheckpointError
from affect_lightning.model import AffectGPT, ModelConfiguration
from affect_lightning.plugin_loading import build_part
from affect_lightning.training.device_execution import shard_network
from affect_lightning_plugins.language_models import merged_adapter, transformers_model
from affect_lightning_plugins.language_models.merged_adapter import MergedAdapter, rounded_at_random
from affect_lightning_plugins.language_models.tiny import byte_tokenizer
from model_cases import TINY_PARTS, perturb, random_batch
from test_growing_cache import SIZES
from test_language_model_adapters import KINDS, loss_of, peft_s_own_warnings, tiny
from test_language_models import SENTENCES, prompts

__all__ = ["peft_s_own_warnings"]  # a fixture
# What does not change the weights of linear layers, and peft therefore cannot merge into them.
BESIDE = {
    "LN_TUNING": "the adapter is on a Qwen2RMSNorm in float32",
    "TRAINABLE_TOKENS": "the adapter is on a Embedding in float32",
    "PROMPT_TUNING": "there is no adapter on the layers",
    "P_TUNING": "there is no adapter on the layers",
}


def part_of(kind: Any = "lora", **options: Any) -> Any:
    """A model whose adapter does something, in eval mode."""
    part = tiny(kind, **options)
    perturb(part)
    return part.eval()


def weights(part: Any) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in part.network.state_dict().items()}


def logits(part: Any) -> Tensor:
    ids, mask = prompts(part, SENTENCES, "left")
    with torch.no_grad():
        return part.causal_model(inputs_embeds=part.embed(ids), attention_mask=mask).logits


def responses(part: Any, **options: Any) -> list[str]:
    ids, mask = prompts(part, SENTENCES, "left")
    return part.generate(part.embed(ids), mask, max_new_tokens=12, **options)


def is_merged(part: Any) -> bool:
    return any(isinstance(layer, LoraLinear) and layer.merged for layer in part.network.modules())


@pytest.mark.parametrize("kind", KINDS)
def test_merged_gives_the_same_and_leaves_every_weight_as_it_was(kind: str) -> None:
    part = part_of(KINDS[kind])
    before, beside = weights(part), logits(part)
    with part.merged.in_place(part.network):
        merged = logits(part)
        changed = [name for name, value in part.network.state_dict().items() if not torch.equal(value, before[name])]
    assert part.merged.reason == BESIDE.get(kind, "")
    assert bool(changed) == (kind not in BESIDE)
    torch.testing.assert_close(merged, beside, rtol=1e-4, atol=1e-4)
    after = weights(part)
    assert after.keys() == before.keys()
    assert all(torch.equal(after[name], before[name]) for name in before)
    assert torch.equal(logits(part), beside)


@pytest.mark.parametrize("kind", ["lora", "dora", "IA3", "PROMPT_TUNING"])
@pytest.mark.parametrize("options", [{}, {"temperature": 1.0, "top_p": 0.9, "seed": 1}])
def test_responses_are_those_of_the_adapter_beside_the_weights(kind: str, options: dict[str, Any]) -> None:
    part = part_of(KINDS[kind])
    merged = responses(part, **options)
    assert part.merged.reason == BESIDE.get(kind, "")
    part.merged.wanted = False
    assert responses(part, **options) == merged
    assert part.merged.reason == "merge_adapter is false"


def test_a_response_is_made_with_merged_weights_and_training_goes_on_from_the_old_ones() -> None:
    part, twin = part_of(), part_of()
    seen: list[bool] = []
    part.causal_model.base_model.layers[0].register_forward_pre_hook(lambda *_: seen.append(is_merged(part)))
    for network in (part, twin):
        optimizer = torch.optim.SGD([p for p in network.parameters() if p.requires_grad], lr=0.5)
        for _ in range(3):
            if network is part:
                seen.clear()
                responses(network.eval())
                assert set(seen) == {True}
            optimizer.zero_grad()
            loss_of(network.train()).backward()
            optimizer.step()
    mine, others = weights(part), weights(twin)
    assert all(torch.equal(mine[name], others[name]) for name in mine)
    assert responses(part.eval()) == responses(twin.eval())


def test_the_sums_are_kept_until_something_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    part, made = part_of(), []
    real = merged_adapter._merge
    monkeypatch.setattr(merged_adapter, "_merge", lambda *arguments: made.append(1) or real(*arguments))
    layers = sum(isinstance(layer, LoraLinear) for layer in part.network.modules())
    with torch.inference_mode():  # as Lightning tests
        first = responses(part)
    assert responses(part) == first
    assert len(made) == layers == 14
    weight = next(weight for name, weight in part.named_parameters() if "lora_B" in name)
    weight.data.mul_(50.0)  # without a trace in the version of the parameter
    assert responses(part) != first
    assert len(made) == 2 * layers
    part.train().eval()
    assert not part.merged._layers
    responses(part)
    assert len(made) == 3 * layers
    part.double()
    assert not part.merged._layers
    assert not copy.deepcopy(part).merged._layers


def test_autocast_rounds_no_sum() -> None:
    part, other = part_of(), part_of()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        responses(part)
    assert part.merged.reason == "autocast would round the sum to the nearest number, and lose a small adapter"
    for each in (part, other):
        for layer in each.network.modules():
            if isinstance(layer, LoraLinear):
                layer.base_layer.bfloat16()
    with other.merged.in_place(other.network):
        assert is_merged(other)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        responses(part)
    assert part.merged.reason == ""  # these it leaves as they are
    for mine, wanted in zip(part.merged._layers, other.merged._layers, strict=True):
        assert torch.equal(mine.weights["weight"], wanted.weights["weight"])


def test_weights_come_back_after_an_error() -> None:
    part = part_of()
    before = weights(part)
    seen: list[bool] = []

    def fail(*arguments: Any) -> None:
        seen.append(is_merged(part))
        raise KeyError

    part.causal_model.lm_head.register_forward_pre_hook(fail)
    with pytest.raises(KeyError):
        responses(part)
    assert seen == [True]
    assert not is_merged(part)
    assert all(torch.equal(value, before[name]) for name, value in weights(part).items())


def stays_beside(part: Any, reason: str, caplog: pytest.LogCaptureFixture) -> None:
    """The adapter is not merged for that reason, which is said once, and the responses are the same."""
    before = weights(part)
    with caplog.at_level(logging.INFO):
        found = responses(part)
        assert responses(part) == found
    assert reason in part.merged.reason
    said = [record.message for record in caplog.records if "stays beside the weights" in record.message]
    assert len(said) == 1
    assert reason in said[0]
    part.merged = MergedAdapter(False)
    assert responses(part) == found
    assert all(torch.equal(value, before[name]) for name, value in weights(part).items())


def test_a_device_that_is_nearly_full_gets_no_copy(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(merged_adapter, "free_memory", lambda device: 50_000)
    # Two layers of q, k, v, o and gate, up, down: 32 x (32 + 16 + 16 + 32 + 3 x 64) numbers of four bytes each.
    stays_beside(part_of(), "a copy of the adapted weights has 0.0 GB, and 0.0 GB are free on cpu", caplog)
    monkeypatch.setattr(merged_adapter, "free_memory", lambda device: 2 * 2 * 4 * 32 * 288)
    part = part_of()
    responses(part)
    assert part.merged.reason == ""


def test_free_memory_of_a_cpu_is_known_on_linux() -> None:
    free = merged_adapter.free_memory(torch.device("cpu"))
    assert free is None or 2**20 < free < 2**50


def test_other_number_types_stay_beside() -> None:
    part = part_of()
    for layer in part.network.modules():
        if isinstance(layer, LoraLinear):
            layer.base_layer.half()
    with part.merged.in_place(part.network):
        assert not is_merged(part)
    assert part.merged.reason == "the adapter is on a Linear in float16"


def test_sharded_weights_stay_beside_and_get_no_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transformers_model, "_FIXED_ROOMS_ON", "cpu")
    choice = {"name": "tiny-lm", "lora_dropout": 0.0}
    configuration = ModelConfiguration.resolve(**{**TINY_PARTS, "language_model": choice})
    network, whole = (AffectGPT.from_configuration(configuration) for _ in range(2))
    for each in (network, whole):
        perturb(each)
    whole.load_trainable_state(network.trainable_state(), "the other one")
    batch = random_batch()
    wanted = whole.eval().generate(batch, max_new_tokens=6)
    assert whole.language_model.merged.reason == ""
    distributed.init_process_group("gloo", init_method=f"file://{tmp_path}/store", rank=0, world_size=1)
    try:
        shard_network(network, distributed.init_device_mesh("cpu", (1,)))
        assert network.eval().generate(batch, max_new_tokens=6) == wanted
        assert network.language_model.merged.reason == "the weights are sharded over processes"
        assert not network.language_model.rooms._rooms
    finally:
        distributed.destroy_process_group()


def test_a_weight_of_two_places_stays_beside(caplog: pytest.LogCaptureFixture) -> None:
    part = part_of(lora_target_modules=["lm_head", "q_proj"])  # the head is the embedding
    stays_beside(part, "an adapted weight is used in two places", caplog)


def test_what_peft_refuses_or_does_wrong_stays_beside(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    real = LoraLinear.merge

    def refuse(layer: Any, *arguments: Any, **options: Any) -> None:
        real(layer, *arguments, **options)  # half done
        raise NotImplementedError("not with these options")

    def twice(layer: Any, *arguments: Any, **options: Any) -> None:
        real(layer, *arguments, **options)
        layer.base_layer.weight.data += layer.get_delta_weight("default")

    monkeypatch.setattr(LoraLinear, "merge", refuse)
    stays_beside(part_of(), "peft cannot merge it (not with these options)", caplog)
    caplog.clear()
    monkeypatch.setattr(LoraLinear, "merge", twice)
    stays_beside(part_of(), "merged, a layer gives something else", caplog)


def test_rounding_at_random_loses_nothing_of_a_small_adapter() -> None:
    generator = torch.Generator().manual_seed(0)
    base = (0.02 * torch.randn(512, 512, generator=generator)).bfloat16()
    small = 1e-5 * torch.randn(512, 512, generator=generator)
    exact = base.float() + small

    def kept(rounded: Tensor) -> float:
        """Share of the adapter that is still there."""
        return float(((rounded.float() - base.float()) * small).sum() / small.square().sum())

    assert kept(exact.bfloat16()) < 0.35, "the nearest number is mostly the old one"
    assert 0.9 < kept(rounded_at_random(exact, 0)) < 1.1
    assert torch.equal(rounded_at_random(exact, 0), rounded_at_random(exact, 0))
    assert not torch.equal(rounded_at_random(exact, 0), rounded_at_random(exact, 1))
    assert torch.equal(rounded_at_random(base.float(), 0), base)
    error = (rounded_at_random(exact, 0).float() - exact).abs() / exact.abs().clamp(min=1e-6)
    assert float(error.max()) <= 2**-7  # one step between two numbers


def test_a_base_in_bfloat16_is_merged_within_its_own_precision() -> None:
    part = part_of(hidden_width=64)
    part.causal_model.to(torch.bfloat16)
    for name, weight in part.named_parameters():
        if "lora_" in name:
            weight.data = weight.data.float()
    before, beside = weights(part), logits(part).float()
    with part.merged.in_place(part.network):
        assert is_merged(part)
        merged = logits(part).float()
    assert float((merged - beside).norm() / beside.norm()) < 0.05
    assert all(torch.equal(value, before[name]) for name, value in weights(part).items())
    assert torch.equal(logits(part).float(), beside)


def test_a_gpu_decodes_in_rooms_and_both_options_are_heard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transformers_model, "_FIXED_ROOMS_ON", "cpu")
    config = AutoConfig.for_model("llama", **{**SIZES, "vocab_size": 259, "eos_token_id": 2})
    AutoModelForCausalLM.from_config(config).save_pretrained(tmp_path)
    byte_tokenizer().save_pretrained(tmp_path)
    choice = {"name": "causal-lm", "model": str(tmp_path), "dtype": "float32", "lora_dropout": 0.0}
    part, plain = (
        build_part("language_models", choice),
        build_part("language_models", {**choice, "merge_adapter": False, "cuda_graphs": False}),
    )
    found = [responses(each.eval()) for each in (part, plain)]
    assert found[0] == found[1]
    assert (part.rooms.graphs, part.merged.reason) == (True, "")
    assert (plain.rooms.graphs, plain.merged.reason) == (False, "merge_adapter is false")
    assert part.rooms._rooms
    part.train()
    assert not part.rooms._rooms


def test_a_checkpoint_may_be_tested_with_other_values_of_both_options() -> None:
    stored: dict[str, Any] = {"language_model": {"name": "qwen2.5", "size": "0.5B"}, "inputs": ["text"]}
    other = {**stored["language_model"], "merge_adapter": False, "cuda_graphs": False}
    check_fits(stored, {**stored, "language_model": other}, "last.ckpt", purpose="use")
    with pytest.raises(CheckpointError, match=r"merge_adapter"):
        check_fits(stored, {**stored, "language_model": other}, "last.ckpt", purpose="go on")
