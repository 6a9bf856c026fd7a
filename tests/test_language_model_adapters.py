"""Adapters: LoRA and its kin, and every other method of peft by its configuration, against peft itself."""

from __future__ import annotations

import importlib.util
import json
import warnings
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import torch
from packaging.version import Version
from peft import PEFT_TYPE_TO_CONFIG_MAPPING

from affect_lightning.errors import ConfigurationError
from affect_lightning.model import AffectGPT, ModelConfiguration
from affect_lightning.plugin_loading import build_part
from affect_lightning.training.device_execution import recompute_activations
from affect_lightning_plugins.language_models import model_files
from affect_lightning_plugins.language_models.adapters import REFUSED_METHODS
from model_cases import TINY_PARTS, perturb, random_batch
from test_language_models import SENTENCES, answered, prompts

TWO = ["q_proj", "v_proj"]
# Every method of peft that is not refused, with what its configuration needs on a model of width 32.
METHODS: dict[str, dict[str, Any]] = {
    "ADAMSS": {"target_modules": TWO},
    "BEFT": {"target_modules": TWO},
    "BONE": {"target_modules": TWO, "r": 8},
    "BOFT": {"target_modules": TWO},
    "C3A": {"target_modules": TWO, "block_size": 8},
    "DEFT": {"target_modules": TWO},
    "DELORA": {"target_modules": TWO},
    "FOURIERFT": {"target_modules": ["q_proj"], "n_frequency": 10},
    "FROD": {"target_modules": TWO},
    "GLORA": {"target_modules": TWO},
    "GRALORA": {"target_modules": TWO},
    "HIRA": {"target_modules": TWO},
    "HRA": {"target_modules": TWO},
    "IA3": {"target_modules": ["k_proj", "v_proj", "down_proj"], "feedforward_modules": ["down_proj"]},
    "LN_TUNING": {"target_modules": ["input_layernorm"]},
    "LOHA": {"target_modules": TWO},
    "LOKR": {"target_modules": TWO},
    "LORA": {"r": 3, "target_modules": TWO},
    "MISS": {"target_modules": TWO, "r": 8},
    "OFT": {"target_modules": TWO},
    "OSF": {"target_modules": TWO},
    "PEANUT": {"target_modules": TWO},
    "PROMPT_TUNING": {"num_virtual_tokens": 3},
    "PSOFT": {"target_modules": TWO, "r": 8},
    "PVERA": {"target_modules": TWO},
    "P_TUNING": {"num_virtual_tokens": 3, "encoder_hidden_size": 16},
    "RANDLORA": {"target_modules": TWO},
    "ROAD": {"target_modules": TWO, "group_size": 8},
    "SHIRA": {"target_modules": TWO, "r": 4},
    "SUPERTUNING": {"target_modules": TWO},
    "TINYLORA": {"target_modules": TWO},
    "TRAINABLE_TOKENS": {"token_indices": [1, 2]},
    "UNILORA": {"target_modules": TWO},
    "VBLORA": {"target_modules": ["q_proj"], "vector_length": 8, "num_vectors": 16},
    "VERA": {"target_modules": TWO, "r": 8},
    "WAVEFT": {"target_modules": TWO, "n_frequency": 20},
}
OFFERED = {kind.value for kind in PEFT_TYPE_TO_CONFIG_MAPPING}  # by the installed peft: each version adds methods
KINDS: dict[str, Any] = {
    "lora": "lora",
    "rslora": "rslora",
    "dora": "dora",
    **{name: {"peft_type": name, **options} for name, options in METHODS.items() if name in OFFERED},
}


@pytest.fixture(autouse=True)
def peft_s_own_warnings() -> Iterator[None]:
    """Some of peft's rarer methods warn of their own defaults, which is not what is tested here."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="peft")
        warnings.filterwarnings("ignore", module="torch")
        yield


def tiny(adapter: Any, **options: Any) -> Any:
    torch.manual_seed(0)
    return build_part("language_models", {"name": "tiny-lm", "adapter": adapter, "lora_dropout": 0.0, **options})


def loss_of(part: Any) -> torch.Tensor:
    ids, mask, labels = answered(part)
    return part.loss(part.embed(ids), mask, labels)


def trained(part: Any) -> int:
    return sum(parameter.numel() for parameter in part.parameters() if parameter.requires_grad)


def test_every_method_of_peft_is_tried_or_refused() -> None:
    known = {*METHODS, *REFUSED_METHODS, "ADAPTION_PROMPT"}  # the last: for Llama, tested by itself
    assert known >= OFFERED
    if Version(version("peft")) >= Version("0.21"):
        assert known - OFFERED == {"BONE"}  # peft 0.18 renamed it to MISS


@pytest.mark.parametrize("kind", KINDS)
def test_parameters_loss_gradient_and_round_trip_are_those_of_peft(kind: str, tmp_path: Path) -> None:
    part = tiny(KINDS[kind])
    assert trained(part) == part.network.get_nb_trainable_parameters()[0] > 0
    perturb(part)
    part.eval()
    ids, mask, labels = answered(part)
    ours = loss_of(part)
    theirs = part.network(inputs_embeds=part.embed(ids), attention_mask=mask, labels=labels).loss
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)
    loss_of(part.train()).backward()
    for name, parameter in part.named_parameters():
        assert (parameter.grad is not None) == parameter.requires_grad, name

    part.eval().save_adapter(str(tmp_path / "adapter"))
    fresh = tiny(KINDS[kind]).eval()
    assert not torch.allclose(loss_of(fresh), ours, rtol=1e-5)
    fresh.load_adapter(str(tmp_path / "adapter"))
    torch.testing.assert_close(loss_of(fresh), ours)


@pytest.mark.parametrize("kind", ["lora", "dora", "IA3", "P_TUNING", "PROMPT_TUNING"])
def test_greedy_responses_are_those_of_peft_one_clip_at_a_time(kind: str) -> None:
    part = tiny(KINDS[kind])
    perturb(part)
    part.eval()
    ids, mask = prompts(part, SENTENCES, "left")
    together = part.generate(part.embed(ids), mask, max_new_tokens=8)
    for text, response in zip(SENTENCES, together, strict=True):
        row, ones = prompts(part, [text], "left")
        embeddings = part.embed(row)
        found: list[int] = []
        for _ in range(8):  # peft's own forward, the whole row again for each token
            chosen = int(part.network(inputs_embeds=embeddings, attention_mask=ones).logits[0, -1].argmax())
            if chosen in part.end_ids:
                break
            found.append(chosen)
            embeddings = torch.cat([embeddings, part.embed(torch.tensor([[chosen]]))], dim=1)
            ones = torch.ones(embeddings.shape[:2], dtype=torch.long)
        assert part.tokenizer.decode(found, skip_special_tokens=True).strip() == response


@pytest.mark.parametrize("kind", ["rslora", "dora", "IA3", "PROMPT_TUNING"])
def test_an_export_reads_back_with_its_adapter(kind: str, tmp_path: Path) -> None:
    choice = {"name": "tiny-lm", "adapter": KINDS[kind], "lora_dropout": 0.0}
    network = AffectGPT.from_configuration(ModelConfiguration.resolve(**{**TINY_PARTS, "language_model": choice}))
    perturb(network)
    network.save_pretrained(tmp_path / "exported")
    read = AffectGPT.from_pretrained(tmp_path / "exported")
    batch = random_batch()
    torch.testing.assert_close(read(batch), network.eval()(batch))


def test_rslora_and_dora_are_what_they_are_called() -> None:
    rank, alpha = 4, 8
    scalings = {
        kind: next(
            part.scaling["default"]
            for part in tiny(kind, lora_rank=rank, lora_alpha=alpha).network.modules()
            if hasattr(part, "lora_A")
        )
        for kind in ("lora", "rslora")
    }
    assert scalings == {"lora": alpha / rank, "rslora": alpha / rank**0.5}
    dora, lora = tiny("dora", lora_rank=rank), tiny("lora", lora_rank=rank)
    outputs = sum(
        layer.base_layer.out_features for layer in dora.network.modules() if hasattr(layer, "lora_magnitude_vector")
    )
    assert trained(dora) - trained(lora) == outputs  # a magnitude for each output feature


@pytest.mark.parametrize("suffix", ["json", "yaml"])
def test_a_configuration_may_stand_in_a_file(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"adapter.{suffix}"
    path.write_text(json.dumps(KINDS["IA3"]), encoding="utf-8")  # JSON is YAML too
    assert trained(tiny(str(path))) == trained(tiny(KINDS["IA3"]))


def test_adaption_prompt_on_llama() -> None:
    part = tiny({"peft_type": "ADAPTION_PROMPT", "adapter_len": 4, "adapter_layers": 2}, architecture="llama")
    perturb(part)
    part.eval()
    ids, mask, labels = answered(part)
    theirs = part.network(inputs_embeds=part.embed(ids), attention_mask=mask, labels=labels).loss
    torch.testing.assert_close(loss_of(part), theirs, rtol=1e-4, atol=1e-5)


def test_rank_zero_is_no_adapter_whatever_the_kind() -> None:
    for kind in ("dora", KINDS["IA3"]):
        part = tiny(kind, lora_rank=0)
        assert not trained(part)
        assert type(part.network).__name__ == "Qwen2ForCausalLM"


@pytest.mark.parametrize("method", sorted(OFFERED & REFUSED_METHODS.keys()))
def test_methods_that_would_be_wrong_in_silence_are_refused(method: str) -> None:
    with pytest.raises(ConfigurationError, match=f"{method} is not supported: it "):
        tiny({"peft_type": method})


@pytest.mark.parametrize(
    ("adapter", "text"),
    [
        ("lorra", r"no adapter 'lorra'. Choose one of lora, rslora, dora, qlora"),
        ({"r": 4}, r"with peft_type, one of .*IA3.*got \{'r': 4\}"),
        ({"peft_type": "NEW"}, "with peft_type, one of"),
        ({"peft_type": "LORA", "rank": 4}, "does not fit peft's LORA: .*'rank'"),
        ({"peft_type": "LORA", "target_modules": ["query"]}, "peft cannot put the adapter LORA on Qwen2ForCausalLM"),
        ("nowhere/adapter.json", "nowhere/adapter.json cannot be read"),
    ],
)
def test_wrong_adapters_are_refused(adapter: Any, text: str) -> None:
    with pytest.raises(ConfigurationError, match=text):
        tiny(adapter)


def test_an_adapter_file_must_be_a_mapping(tmp_path: Path) -> None:
    (tmp_path / "list.yaml").write_text("- 1\n", encoding="utf-8")
    with pytest.raises(ConfigurationError, match=r"must be a mapping with peft_type; got \[1\]"):
        tiny(str(tmp_path / "list.yaml"))


def test_qlora_is_refused_where_no_base_of_four_bits_is_loaded() -> None:
    for name in ("tiny-lm", "smollm2-135m"):
        with (
            torch.device("meta"),
            pytest.raises(ConfigurationError, match="Choose the adapter `lora`, or a language model"),
        ):
            build_part("language_models", {"name": name, "adapter": "qlora"})
    with pytest.raises(ConfigurationError, match="`qlora` needs a base in four bits, and TinyLM has none"):
        tiny("qlora")
    assert not trained(tiny("qlora", lora_rank=0)), "without an adapter its kind says nothing"


def test_qlora_says_what_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    assert model_files.four_bit_options("lora", "bfloat16") == {}
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigurationError, match=r"pip install 'affect-lightning\[qlora\]'"):
        model_files.four_bit_options("qlora", "bfloat16")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ConfigurationError, match="needs a CUDA device"):
        model_files.four_bit_options("qlora", "bfloat16")


def test_lora_keeps_half_precision_under_autocast_and_only_there():
    """peft would make the input of each of seven layers a block 32 bits wide, dropout included."""
    part = build_part("language_models", {"name": "tiny-lm", "lora_dropout": 0.5}).train()
    layer = part.shardable_blocks()[0].mlp.up_proj
    seen = []
    layer.lora_dropout["default"].register_forward_hook(lambda _module, inputs, _output: seen.append(inputs[0].dtype))
    values = torch.randn(2, 3, part.embedding_width)
    with torch.autocast("cpu", torch.bfloat16):
        assert layer(values.bfloat16()).dtype == torch.bfloat16
    layer(values)
    part.causal_model.to(torch.bfloat16)  # a base in half precision with masters of 32 bits, outside autocast
    for weight in (layer.lora_A["default"].weight, layer.lora_B["default"].weight):
        weight.data = weight.data.float()
    layer(values.bfloat16())
    assert seen == [torch.bfloat16, torch.float32, torch.float32]


def test_a_recomputed_block_meets_the_same_types_again():
    """Its second forward runs in the backward pass, where the autocast of the first is restored."""
    part = build_part("language_models", {"name": "tiny-lm", "lora_dropout": 0.0}).train()
    recompute_activations(part.shardable_blocks())
    embeddings = torch.randn(2, 5, part.embedding_width, requires_grad=True)
    labels = torch.full((2, 5), 4)
    with torch.autocast("cpu", torch.bfloat16):
        loss = part.loss(embeddings, torch.ones(2, 5, dtype=torch.long), labels)
    loss.backward()
    assert embeddings.grad is not None
    assert embeddings.grad.isfinite().all()


def test_dora_keeps_the_types_of_peft():
    part = build_part("language_models", {"name": "tiny-lm", "adapter": "dora"})
    layer = part.shardable_blocks()[0].mlp.up_proj
    with torch.autocast("cpu", torch.bfloat16):
        kept = layer._cast_input_dtype(torch.zeros(2, dtype=torch.bfloat16), torch.float32)
    assert kept.dtype == torch.float32
