"""Batched decoding of responses from prompt embeddings, greedy or sampled (paper, Section 3.1, Eq. 2).

The loop is ours, and not `generate` of transformers, for two reasons. A model's `generation_config.json` (repetition
penalty, temperature) cannot change a score. And a sampled response depends only on its clip and the seed, not on the
other clips of the batch. `transformers_model.py` calls it, `growing_cache.py` keeps the keys and values.
Legend: B clips, L prompt tokens, P tokens read before, E embedding width, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from affect_lightning.errors import ConfigurationError, ContractError, DataError
from affect_lightning_plugins.transformers_versions import cache_argument, kept_cache


@dataclass(frozen=True)
class DecodingOptions:
    """How a response is chosen.

    Attributes:
        max_new_tokens: Longest response in tokens.
        temperature: 0 means greedy decoding.
        top_p: Nucleus share when sampling, in (0, 1].
        seed: Of the sampling; None draws one.
        repetition_penalty: Divides positive logits of tokens that were there before, and multiplies negative ones (Keskar
            et al., 2019, CTRL); 1 changes nothing.
    """

    max_new_tokens: int
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int | None = None
    repetition_penalty: float = 1.0

    def __post_init__(self) -> None:
        if self.max_new_tokens < 1 or self.temperature < 0 or not 0 < self.top_p <= 1:
            raise ConfigurationError(
                f"Decoding needs max_new_tokens >= 1, temperature >= 0 and 0 < top_p <= 1; got "
                f"{self.max_new_tokens}, {self.temperature} and {self.top_p}."
            )
        if self.repetition_penalty <= 0:
            raise ConfigurationError(f"repetition_penalty must be above 0; got {self.repetition_penalty}.")


@torch.no_grad()
def decode_responses(
    model: Any,
    inputs_embeds: Tensor,
    attention_mask: Tensor,
    end_ids: Collection[int],
    options: DecodingOptions,
    cache: Any = None,
    prompt_ids: Sequence[Sequence[int]] | None = None,
) -> list[list[int]]:
    """Decode a batch.

    Args:
        model: A transformers causal language model.
        inputs_embeds: [B, L, E], padding on the left.
        attention_mask: [B, L], 0 for padding; [B, P + L] with a cache.
        end_ids: Tokens after which a response ends.
        options: See `DecodingOptions`.
        cache: Keys and values of P tokens that the model has read already, as `read_prefix` gives them; it is used up.
        prompt_ids: Token ids of the B prompts, which the repetition penalty counts with those of the response; None counts
            the response alone.

    Returns:
        Token ids of each response, without the end token.

    Raises:
        ContractError: A row is padded on the right, where its response would start.
        DataError: A prompt leaves no room in the model's context. Where it leaves less than `max_new_tokens`, the response
            ends with the context, whatever the other prompts of the batch are.
    """
    from affect_lightning_plugins.language_models.growing_cache import make_room

    if not bool(attention_mask[:, -1].bool().all()):
        raise ContractError("Prompts must be padded on the left for decoding; got a row that ends with padding.")
    mask = attention_mask.long()
    padded = not bool(mask.all())
    rooms = rooms_for_responses(model, mask.sum(dim=1).tolist(), options.max_new_tokens)
    positions = (mask.cumsum(dim=1) - 1).clamp(min=0)[:, -inputs_embeds.shape[1] :]
    step: dict[str, Any] = {"inputs_embeds": inputs_embeds}
    rows = _Rows(options, rooms, end_ids, prompt_ids)
    longest, context = max(rooms), context_length(model)
    for _ in range(longest):
        output = model(
            **step,
            attention_mask=mask if padded else None,
            position_ids=positions,
            **cache_argument(model, cache),
            use_cache=True,
            logits_to_keep=1,
        )
        cache = kept_cache(output)
        if "inputs_embeds" in step:
            make_room(cache, longest - 1)
        chosen = rows.choose(output.logits[:, -1].float())
        kept = rows.still_open(chosen)
        if kept is None:
            break
        if len(kept) < len(chosen):
            kept = kept.to(mask.device)
            cache.batch_select_indices(kept)
            chosen, mask, positions = chosen[kept], mask[kept], positions[kept]
        step = {"input_ids": chosen.unsqueeze(1)}
        mask = torch.cat([mask, mask.new_ones(len(mask), 1)], dim=1)
        positions = positions[:, -1:] + 1
        if context is not None:  # a row that has ended with the context may stay for a while
            positions = positions.clamp(max=context - 1)
    return rows.responses


def context_length(model: Any) -> int | None:
    """Tokens that a transformers model takes in all, prompt and response; None where its configuration does not say."""
    return getattr(model.config.get_text_config(), "max_position_embeddings", None) or None


def rooms_for_responses(model: Any, prompts: Sequence[int], wanted: int) -> list[int]:
    """Tokens that each response may have: those asked for, or those that the context leaves beside its prompt.

    Args:
        model: A transformers causal language model.
        prompts: Tokens of each prompt.
        wanted: Tokens asked for.

    Raises:
        DataError: A prompt leaves no room.
    """
    context = context_length(model)
    if context is None:
        return [wanted] * len(prompts)
    if max(prompts) >= context:
        raise DataError(
            f"Shorten the subtitle or the question, or show fewer streams: a prompt has {max(prompts)} tokens, and the "
            f"language model takes {context} in all."
        )
    return [min(wanted, context - prompt) for prompt in prompts]


@torch.no_grad()
def read_prefix(model: Any, inputs_embeds: Tensor, attention_mask: Tensor, times: int) -> Any:
    """Keys and values of prompts' beginnings, for `times` continuations of each.

    Args:
        model: A transformers causal language model.
        inputs_embeds: [B, P, E], padding on the left.
        attention_mask: [B, P], 0 for padding.
        times: Q, how many prompts begin alike.

    Returns:
        A transformers cache of B * Q rows, those of one beginning one after the other.

    Raises:
        DataError: A beginning leaves no room in the model's context.
    """
    mask = attention_mask.long()
    rooms_for_responses(model, mask.sum(dim=1).tolist(), 1)
    positions = (mask.cumsum(dim=1) - 1).clamp(min=0)
    read = model.base_model(inputs_embeds=inputs_embeds, attention_mask=mask, position_ids=positions, use_cache=True)
    cache = kept_cache(read)
    cache.batch_repeat_interleave(times)
    return cache


class _Rows:
    """The responses so far, and which rows of the running batch are whose.

    Rows that have ended leave the batch once half of it has: the long responses of a few clips then cost what a few
    clips cost, and the cache is not copied for every single one. Sampling draws from a generator for each response
    with the same seed, so that no clip depends on the clips next to it.
    """

    def __init__(
        self,
        options: DecodingOptions,
        rooms: Sequence[int],
        end_ids: Collection[int],
        prompt_ids: Sequence[Sequence[int]] | None = None,
    ) -> None:
        count = len(rooms)
        self.options = options
        self.end_ids = end_ids
        self._rooms = rooms  # longest response of each row, in tokens
        self._prompt_ids = [()] * count if prompt_ids is None else prompt_ids
        self.responses: list[list[int]] = [[] for _ in range(count)]
        self._running = list(range(count))  # the response of each row
        self._ended = [False] * count
        self._generators: list[torch.Generator] = []
        if options.temperature > 0:
            seed = torch.seed() if options.seed is None else options.seed
            self._generators = [torch.Generator().manual_seed(seed) for _ in range(count)]

    def choose(self, logits: Tensor) -> Tensor:
        """The next token [B] of every row from its logits [B, V]."""
        if self.options.repetition_penalty != 1.0:
            logits = self._without_repetition(logits)
        if not self._generators:
            return logits.argmax(dim=-1)
        shares = torch.softmax(logits / self.options.temperature, dim=-1).cpu()
        ordered, tokens = shares.sort(dim=-1, descending=True, stable=True)
        ordered[ordered.cumsum(dim=-1) - ordered >= self.options.top_p] = 0.0
        drawn = [
            torch.multinomial(row, 1, generator=self._generators[response])
            for row, response in zip(ordered, self._running, strict=True)
        ]
        return tokens.gather(1, torch.stack(drawn)).squeeze(1).to(logits.device)

    def _without_repetition(self, logits: Tensor) -> Tensor:
        """Logits [B, V] in which the tokens of prompt and response so far count for less."""
        changed, penalty = logits.clone(), self.options.repetition_penalty
        for row, response in enumerate(self._running):
            there = torch.tensor(sorted({*self._prompt_ids[response], *self.responses[response]}), dtype=torch.long)
            there = there.to(logits.device)
            values = logits[row, there]
            changed[row, there] = torch.where(values > 0, values / penalty, values * penalty)
        return changed

    def still_open(self, chosen: Tensor) -> Tensor | None:
        """Write down the tokens [B]; positions of the rows to continue with, or None when all responses have ended."""
        for response, token in zip(self._running, chosen.tolist(), strict=True):
            if not self._ended[response] and token in self.end_ids:
                self._ended[response] = True
            elif not self._ended[response]:
                self.responses[response].append(token)
                self._ended[response] = len(self.responses[response]) == self._rooms[response]
        kept = [row for row, response in enumerate(self._running) if not self._ended[response]]
        if not kept:
            return None
        if 2 * len(kept) > len(self._running):
            kept = list(range(len(self._running)))
        self._running = [self._running[row] for row in kept]
        return torch.tensor(kept)
