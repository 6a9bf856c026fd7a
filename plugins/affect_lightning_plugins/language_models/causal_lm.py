"""Any Hugging Face causal language model, from a folder or the hub (paper, Section 5: Qwen2.5; Figure 4: others).

Neighbours: `adapted.py` does the work, `loading.py` reads the weights, `smollm2.py` is the small embedded default.
"""

from __future__ import annotations

from typing import Literal

from affect_lightning_plugins.language_models.adapted import AdaptedCausalLM, default_dtype
from affect_lightning_plugins.language_models.adapters import SEVEN_PROJECTIONS, LoraOptions
from affect_lightning_plugins.language_models.loading import load_causal_model, load_tokenizer


class CausalLM(AdaptedCausalLM):
    """Any Hugging Face causal language model by folder or hub name, frozen, with LoRA (paper: Qwen2.5-7B-Instruct)."""

    def __init__(
        self,
        *,
        model: str,
        revision: str | None = None,
        dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto",
        lora_rank: int = 16,
        lora_alpha: float = 32,
        lora_dropout: float = 0.05,
        lora_target_modules: list[str] | None = None,
        system_prompt: str | None = None,
        chat_template: str | None = None,
        attn_implementation: str = "sdpa",
    ) -> None:
        """Load the model and attach the adapter.

        Args:
            model: Folder or hub name.
            revision: Commit, tag or branch on the hub; pin a commit for a result that you publish.
            dtype: Number type of the frozen base; `auto` is bfloat16 on a GPU that has it, else float32 (our choice).
            lora_rank: 16 (paper, Table 8); 0 means no adapter.
            lora_alpha: 32 (authors' recipe).
            lora_dropout: 0.05 (authors' recipe).
            lora_target_modules: Names of the adapted linear layers; None means the seven projections (authors' recipe).
            system_prompt: Text of the system turn; None leaves it to the chat template.
            chat_template: Jinja text that replaces the tokenizer's chat template; None keeps that.
            attn_implementation: Attention kernel of transformers; `sdpa` comes with torch (our choice).

        Raises:
            ConfigurationError: The model cannot be read or filled completely, or an option is out of range.
        """
        super().__init__(
            load_causal_model(
                model,
                revision=revision,
                dtype=default_dtype() if dtype == "auto" else dtype,
                attn_implementation=attn_implementation,
            ),
            load_tokenizer(model, revision=revision),
            LoraOptions(lora_rank, lora_alpha, lora_dropout, tuple(lora_target_modules or SEVEN_PROJECTIONS)),
            system_prompt=system_prompt,
            chat_template=chat_template,
        )
