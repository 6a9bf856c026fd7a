"""A small random model of the real Hugging Face classes, with a tokenizer made in memory: for tests, not in the paper.

`transformers_model.py` does the work. `hub_models.py` has the real models.
"""

from __future__ import annotations

from typing import Any, Literal

import torch

from affect_lightning.weights import default_device, drawing_on_the_processor
from affect_lightning_plugins.language_models.adapters import AdapterOptions
from affect_lightning_plugins.language_models.transformers_model import AdaptedCausalLM

_SPECIAL_TOKENS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
_TEMPLATE = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


class TinyLM(AdaptedCausalLM):
    """Random tiny Qwen2 or Llama with a byte tokenizer, for tests: it has learnt nothing."""

    receives_weights = True

    def __init__(
        self,
        *,
        architecture: Literal["qwen2", "llama"] = "qwen2",
        hidden_width: int = 32,
        num_layers: int = 2,
        num_heads: int = 4,
        seed: int = 0,
        lora_rank: int = 4,
        lora_alpha: float = 8,
        system_prompt: str | None = None,
        **lora: Any,
    ) -> None:
        """Build the model.

        Args:
            architecture: Which real class is configured small.
            hidden_width: E; all sizes here are ours, to be fast in tests.
            num_layers: Transformer blocks.
            num_heads: Attention heads; half as many for keys and values.
            seed: Seed of the random weights; the base is in no checkpoint, so the same seed must give the same base.
            lora_rank: 0 means no adapter.
            lora_alpha: Twice the rank, as in the paper's setting.
            system_prompt: Text of a system turn; None means no such turn.
            lora: See `AdapterOptions`.

        Raises:
            ConfigurationError: A LoRA option is out of range.
        """
        tokenizer = byte_tokenizer()
        super().__init__(
            _random_model(architecture, tokenizer, width=hidden_width, layers=num_layers, heads=num_heads, seed=seed),
            tokenizer,
            AdapterOptions(lora_rank=lora_rank, lora_alpha=lora_alpha, **lora),
            system_prompt=system_prompt,
        )


def _random_model(architecture: str, tokenizer: Any, *, width: int, layers: int, heads: int, seed: int) -> Any:
    """The real class with random weights; the caller's random state is left as it was."""
    from transformers import AutoConfig, AutoModelForCausalLM

    config = AutoConfig.for_model(
        architecture,
        vocab_size=len(tokenizer),
        hidden_size=width,
        intermediate_size=2 * width,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=max(1, heads // 2),
        max_position_embeddings=2048,
        # Ten times the usual: with the usual 0.02 all prompts would get nearly the same response.
        initializer_range=0.2,
        tie_word_embeddings=True,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    with torch.random.fork_rng(devices=[]), drawing_on_the_processor():
        torch.manual_seed(seed)
        model = AutoModelForCausalLM.from_config(config, dtype=torch.float32, attn_implementation="sdpa")
    return model.to(default_device())


def byte_tokenizer() -> Any:
    """A lossless tokenizer of one token a byte and three special tokens, made in memory."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: index for index, token in enumerate([*_SPECIAL_TOKENS, *alphabet])}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(list(_SPECIAL_TOKENS))
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<|im_start|>",
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        chat_template=_TEMPLATE,
    )
