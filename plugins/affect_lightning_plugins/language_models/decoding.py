"""Batched decoding of responses from prompt embeddings, greedy or sampled (paper, Section 3.1, Eq. 2).

An own loop and not `generate` of transformers, for two reasons: nothing that a model's `generation_config.json` says
(repetition penalty, temperature) slips into a score, and a sampled response depends on its clip and the seed only,
not on the clips beside it. Used by `adapted.py`. Legend: B clips, L prompt tokens, E embedding width, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from affect_lightning.errors import ConfigurationError, ContractError


@dataclass(frozen=True)
class DecodingOptions:
    """How a response is chosen.

    Attributes:
        max_new_tokens: Longest response in tokens.
        temperature: 0 means greedy decoding.
        top_p: Nucleus share when sampling, in (0, 1].
        seed: Of the sampling; None draws one.
    """

    max_new_tokens: int
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int | None = None

    def __post_init__(self) -> None:
        if self.max_new_tokens < 1 or self.temperature < 0 or not 0 < self.top_p <= 1:
            raise ConfigurationError(
                f"Decoding needs max_new_tokens >= 1, temperature >= 0 and 0 < top_p <= 1; got "
                f"{self.max_new_tokens}, {self.temperature} and {self.top_p}."
            )


@torch.no_grad()
def decode_responses(
    model: Any, inputs_embeds: Tensor, attention_mask: Tensor, end_ids: Collection[int], options: DecodingOptions
) -> list[list[int]]:
    """Decode a batch.

    Args:
        model: A transformers causal language model.
        inputs_embeds: [B, L, E], padding on the left.
        attention_mask: [B, L], 0 for padding.
        end_ids: Tokens after which a response ends.
        options: See `DecodingOptions`.

    Returns:
        Token ids of each response, without the end token.

    Raises:
        ContractError: A row is padded on the right, where its response would start.
    """
    if not bool(attention_mask[:, -1].bool().all()):
        raise ContractError("Prompts must be padded on the left for decoding; got a row that ends with padding.")
    choose = _Chooser(options, len(inputs_embeds))
    mask = attention_mask.long()
    positions = (mask.cumsum(dim=1) - 1).clamp(min=0)
    step: dict[str, Any] = {"inputs_embeds": inputs_embeds}
    cache = None
    ended = torch.zeros(len(mask), dtype=torch.bool)
    responses: list[list[int]] = [[] for _ in range(len(mask))]
    for _ in range(options.max_new_tokens):
        output = model(
            **step,
            attention_mask=mask,
            position_ids=positions,
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=1,
        )
        cache = output.past_key_values
        chosen = choose(output.logits[:, -1].float())
        for row, token in enumerate(chosen.tolist()):
            if not ended[row] and token in end_ids:
                ended[row] = True
            elif not ended[row]:
                responses[row].append(token)
        if bool(ended.all()):
            break
        step = {"input_ids": chosen.unsqueeze(1)}
        mask = torch.cat([mask, mask.new_ones(len(mask), 1)], dim=1)
        positions = positions[:, -1:] + 1
    return responses


class _Chooser:
    """Picks the next token of every row; each row draws from a generator of its own with the same seed."""

    def __init__(self, options: DecodingOptions, rows: int) -> None:
        self.options = options
        self.generators: list[torch.Generator] = []
        if options.temperature > 0:
            seed = torch.seed() if options.seed is None else options.seed
            self.generators = [torch.Generator().manual_seed(seed) for _ in range(rows)]

    def __call__(self, logits: Tensor) -> Tensor:
        """Tokens [B] from logits [B, V]."""
        if not self.generators:
            return logits.argmax(dim=-1)
        shares = torch.softmax(logits / self.options.temperature, dim=-1).cpu()
        ordered, tokens = shares.sort(dim=-1, descending=True, stable=True)
        ordered[ordered.cumsum(dim=-1) - ordered >= self.options.top_p] = 0.0
        drawn = [
            torch.multinomial(row, 1, generator=generator)
            for row, generator in zip(ordered, self.generators, strict=True)
        ]
        return tokens.gather(1, torch.stack(drawn)).squeeze(1).to(logits.device)
