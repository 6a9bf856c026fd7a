"""Tiny random models of each family's real class, saved as users have them, for the tests of language models."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from affect_lightning_plugins.language_models.tiny import byte_tokenizer

# Plugin, transformers' name of the family, its class, and what its configuration needs beside the sizes.
FAMILIES: dict[str, tuple[str, str, dict[str, Any]]] = {
    "qwen2.5": ("qwen2", "Qwen2ForCausalLM", {"tie_word_embeddings": False}),
    "qwen3": ("qwen3", "Qwen3ForCausalLM", {"head_dim": 8, "tie_word_embeddings": True}),
    "llama3": ("llama", "LlamaForCausalLM", {"rope_theta": 500000.0, "tie_word_embeddings": False}),
    "vicuna": ("llama", "LlamaForCausalLM", {"num_key_value_heads": 4, "tie_word_embeddings": False}),
    "smollm2": ("llama", "LlamaForCausalLM", {"tie_word_embeddings": True}),
    "causal-lm": ("mistral", "MistralForCausalLM", {"tie_word_embeddings": False}),
}


def save_tiny(family: str, folder: Path, width: int = 32) -> Path:
    """Write a tiny random model of a family and its tokenizer into a folder.

    Args:
        family: A key of `FAMILIES`.
        folder: To be made.
        width: E.
    """
    from transformers import AutoConfig, AutoModelForCausalLM

    model_type, _, more = FAMILIES[family]
    tokenizer = byte_tokenizer()
    if family == "vicuna":
        tokenizer.chat_template = None  # the published tokenizer brings none either
    values = {
        "vocab_size": len(tokenizer),
        "hidden_size": width,
        "intermediate_size": 2 * width,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 512,
        "initializer_range": 0.2,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    config = AutoConfig.for_model(model_type, **{**values, **more})
    torch.manual_seed(0)
    AutoModelForCausalLM.from_config(config, dtype=torch.float32).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
