"""Bytes of the paper's setting, on the meta device, and of a real small checkpoint."""

from __future__ import annotations

import io
from typing import Any

import pytest
import torch

from affect_lightning.model import AffectGPT
from affect_lightning.model.configuration import ModelConfiguration
from affect_lightning.plugin_loading import build_part
from affect_lightning.training import AffectGPTModule
from model_cases import TINY_PARTS, random_batch
from training_sizes import GIGABYTE, ModelSizes, checkpoint_bytes, device_bytes, exported_bytes


@pytest.fixture(scope="module")
def paper_network() -> AffectGPT:
    """Qwen2.5-7B, CLIP ViT-L/14 and HuBERT-Large by their sizes, without weights."""
    from transformers import AutoConfig, AutoModelForCausalLM

    from affect_lightning_plugins.language_models.adapters import AdapterOptions
    from affect_lightning_plugins.language_models.tiny import byte_tokenizer
    from affect_lightning_plugins.language_models.transformers_model import AdaptedCausalLM

    config: Any = AutoConfig.for_model(
        "qwen2",
        vocab_size=152_064,
        hidden_size=3584,
        intermediate_size=18_944,
        num_hidden_layers=28,
        num_attention_heads=28,
        num_key_value_heads=4,
        tie_word_embeddings=False,
    )
    configuration = ModelConfiguration.resolve(
        video_encoder="tiny-video",
        audio_encoder="tiny-audio",
        pre_fusion="attention",
        language_model="tiny-lm",
        inputs=["multi", "audio", "face", "text"],
    )
    widths = {"audio": 1024, "face": 768}
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
        language_model = AdaptedCausalLM(model, byte_tokenizer(), AdapterOptions())
        fusion = build_part("pre_fusions", "attention", stream_widths=widths)
        return AffectGPT(configuration, language_model=language_model, pre_fusion=fusion, feature_widths=widths)


def trained(network: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad)


def test_exported_weights_and_checkpoints_of_the_papers_setting_are_small(paper_network: AffectGPT) -> None:
    assert trained(paper_network.language_model) == 40_370_176  # paper, Table 8: rank 16
    count = trained(paper_network)
    assert 45_000_000 < count < 60_000_000
    assert exported_bytes(count) < 250_000_000
    assert checkpoint_bytes(count) < 800_000_000
    held = sum(value.numel() * value.element_size() for value in paper_network.trainable_state().values())
    assert held == pytest.approx(exported_bytes(count), rel=0.02)  # adapters in 32 bits beside the bf16 base


def test_a_real_checkpoint_has_the_bytes_foretold() -> None:
    language_model = {"name": "tiny-lm", "hidden_width": 128, "lora_rank": 16, "lora_dropout": 0.0}
    module = AffectGPTModule(**{**TINY_PARTS, "language_model": language_model}, total_steps=3)
    module.configure_model()
    network = module.built_network
    optimizer = torch.optim.AdamW(module._parameter_groups())
    network(random_batch()).backward()
    optimizer.step()
    stored = io.BytesIO()
    torch.save({"state_dict": module.state_dict(), "optimizer_states": [optimizer.state_dict()]}, stored)
    size = len(stored.getvalue())
    tensors = 4 * len(network.trainable_state())
    foretold = checkpoint_bytes(trained(network))
    assert foretold <= size <= foretold + 700 * tensors + 20_000  # names, and each tensor's place in the file
    assert size < 2 * foretold  # so that the bound above says something


def paper_sizes(network: AffectGPT) -> ModelSizes:
    blocks = sum(p.numel() for block in network.language_model.shardable_blocks() for p in block.parameters())
    whole = sum(p.numel() for p in network.language_model.parameters())
    adapter = trained(network.language_model)
    return ModelSizes(
        blocks=blocks - adapter,
        embeddings=whole - blocks,
        encoders=304_000_000 + 316_000_000,  # CLIP ViT-L/14 (vision) and HuBERT-Large, about
        trained=trained(network),
        layers=28,
        width=3584,
        inner_width=18_944,
        key_width=512,
    )


def test_the_tables_in_the_documentation(paper_network: AffectGPT, repository: Any) -> None:
    text = (repository / "docs" / "training.md").read_text(encoding="utf-8")
    sizes = paper_sizes(paper_network)
    tokens = 200 * 3  # authors' batch of 3; about 200 tokens a clip
    for label, options in {
        "1 x A100": {},
        "4 x A100, `ddp`": {"processes": 4},
        "4 x A100, `fsdp`": {"processes": 4, "sharded": True},
        "8 x 8 A100, `fsdp`": {"processes": 8, "sharded": True},  # every machine has the whole network
    }.items():
        found = device_bytes(sizes, tokens=tokens, **options)
        cells = [*found.values(), sum(found.values())]
        row = f"| {label} | " + " | ".join(f"{cell / GIGABYTE:.1f}" for cell in cells) + " |"
        assert row in text, row
    count = sizes.trained
    assert f"{count:,}" in text
    assert f"{exported_bytes(count) / 1e6:.0f} MB" in text
    assert f"{checkpoint_bytes(count) / 1e6:.0f} MB" in text
