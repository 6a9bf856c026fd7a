"""What a language model must provide (paper, Eq. 1 and 2).

Legend: B clips, Q questions a clip, P tokens of a shared beginning, L text tokens, E embedding width.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn


class LanguageModel(nn.Module, ABC):
    """A causal language model that reads embeddings, with adapters that train and a base that is frozen.

    Attributes:
        tokenizer: A Hugging Face tokenizer with padding and end tokens.
        embedding_width: E.
    """

    tokenizer: Any
    embedding_width: int

    @abstractmethod
    def render_prompt(self, user_text: str) -> str:
        """The text of one user turn with the chat template around it, up to where the response starts.

        `user_text` may hold placeholder characters (`affect_lightning.prompting`); the template must leave them where
        they are. The model splits the result at them, tokenises the pieces with `text_ids` and puts feature tokens
        where the placeholders were, so no word is added to the vocabulary.
        """

    @abstractmethod
    def text_ids(self, text: str) -> list[int]:
        """Token ids of a piece of text, special tokens recognised, none added."""

    @abstractmethod
    def response_ids(self, response: str) -> list[int]:
        """Token ids of a response with the end token after it."""

    @abstractmethod
    def embed(self, ids: Tensor) -> Tensor:
        """Embeddings [..., E] of token ids [...]."""

    @abstractmethod
    def loss(self, inputs_embeds: Tensor, attention_mask: Tensor, labels: Tensor) -> Tensor:
        """Mean cross-entropy of each clip over its supervised positions (Eq. 2).

        Args:
            inputs_embeds: [B, L, E].
            attention_mask: [B, L], 1 for real tokens.
            labels: [B, L] token ids; -100 where nothing is learnt. Position l is predicted from positions before l.

        Returns:
            The mean over all supervised positions of the batch, a scalar: what the Hugging Face loss gives.
        """

    @abstractmethod
    def generate(
        self,
        inputs_embeds: Tensor,
        attention_mask: Tensor,
        *,
        max_new_tokens: int,
        temperature: float = 0.0,
        top_p: float = 1.0,
        seed: int | None = None,
    ) -> list[str]:
        """Responses to left-padded prompts.

        Args:
            inputs_embeds: [B, L, E], padding on the left.
            attention_mask: [B, L], 0 for padding.
            max_new_tokens: Longest response in tokens.
            temperature: 0 means greedy decoding.
            top_p: Nucleus share when sampling.
            seed: Of the sampling.

        Returns:
            B texts without special tokens.
        """

    def generate_from_prefix(
        self,
        prefix_embeds: Tensor,
        prefix_mask: Tensor,
        inputs_embeds: Tensor,
        attention_mask: Tensor,
        **options: Any,
    ) -> list[str]:
        """Responses to several prompts that begin alike, such as several questions on one clip.

        A model that keeps keys and values may read each beginning once; this one joins the prompts and calls
        `generate`, which gives the same texts.

        Args:
            prefix_embeds: [B, P, E], the beginnings, padding on the left.
            prefix_mask: [B, P], 0 for padding.
            inputs_embeds: [B * Q, L, E], the Q ends of the first beginning, then those of the second; padding on the
                left.
            attention_mask: [B * Q, L], 0 for padding.
            **options: Of `generate`.

        Returns:
            B * Q texts without special tokens.
        """
        times = len(inputs_embeds) // len(prefix_embeds)
        embeddings = torch.cat([prefix_embeds.repeat_interleave(times, dim=0), inputs_embeds], dim=1)
        mask = torch.cat([prefix_mask.repeat_interleave(times, dim=0), attention_mask], dim=1)
        order = mask.long().argsort(dim=1, stable=True)  # padding to the left, the rest as it was
        joined = embeddings.gather(1, order.unsqueeze(-1).expand_as(embeddings))
        return self.generate(joined, mask.gather(1, order), **options)

    def computed_positions(self, lengths: Sequence[int]) -> int:
        """Positions that `loss` computes for clips of these lengths, padding included; for the throughput meter.

        Args:
            lengths: Real tokens of each clip, B of them.
        """
        return len(lengths) * max(lengths, default=0)

    @abstractmethod
    def shardable_blocks(self) -> Sequence[nn.Module]:
        """The transformer blocks, in order: the units that FSDP shards and checkpoints."""

    @abstractmethod
    def save_adapter(self, folder: str) -> None:
        """Write the adapter as a peft folder (`adapter_config.json`, safetensors); nothing when there is none."""

    @abstractmethod
    def load_adapter(self, folder: str) -> None:
        """Read what `save_adapter` wrote into the adapter in place. Missing or surplus keys are an error."""
