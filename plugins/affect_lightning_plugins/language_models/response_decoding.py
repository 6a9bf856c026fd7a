"""Batched decoding of responses from prompt embeddings, greedy or sampled (paper, Section 3.1, Eq. 2).

The loop is ours, and not `generate` of transformers, for two reasons. A model's `generation_config.json` (repetition
penalty, temperature) cannot change a score. And a sampled response depends only on its clip and the seed, not on the
other clips of the batch. `transformers_model.py` calls it, `token_choice.py` chooses; keys and values are in
`growing_cache.py`, or on a GPU in `fixed_room.py`.
Legend: B clips, L prompt tokens, P tokens read before, E embedding width, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from affect_lightning.errors import ConfigurationError, ContractError, DataError
from affect_lightning_plugins.language_models.token_choice import TokenChoice
from affect_lightning_plugins.transformers_versions import cache_argument, context_length, kept_cache

if TYPE_CHECKING:
    from affect_lightning_plugins.language_models.fixed_room import FixedRoom

# Tokens between two looks at which responses have ended. On a GPU a look waits until all that was asked of it is done, so
# up to 7 tokens too many cost less (our choice); they are cut off.
END_TEST_EVERY = {"cuda": 8}


@dataclass(frozen=True)
class DecodingOptions:
    """How a response is chosen.

    Attributes:
        max_new_tokens: Longest response in tokens.
        temperature: 0 means greedy decoding.
        top_p: Nucleus share when sampling, in (0, 1].
        seed: Of the sampling, for all rows or one for each; None draws one for each.
        repetition_penalty: Divides positive logits of tokens that were there before, and multiplies negative ones (Keskar
            et al., 2019, CTRL); 1 changes nothing.
    """

    max_new_tokens: int
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int | Sequence[int] | None = None
    repetition_penalty: float = 1.0

    def __post_init__(self) -> None:
        if self.max_new_tokens < 1 or self.temperature < 0 or not 0 < self.top_p <= 1:
            raise ConfigurationError(
                f"Decoding needs max_new_tokens >= 1, temperature >= 0 and 0 < top_p <= 1; got "
                f"{self.max_new_tokens}, {self.temperature} and {self.top_p}."
            )
        if self.repetition_penalty <= 0:
            raise ConfigurationError(f"repetition_penalty must be above 0; got {self.repetition_penalty}.")

    def seeds(self, rows: int) -> list[int | None]:
        """The seed of each of so many rows; None where one is to be drawn.

        Raises:
            ContractError: There are seeds for another number of rows.
        """
        if self.seed is None or isinstance(self.seed, int):
            return [self.seed] * rows
        if len(self.seed) != rows:
            raise ContractError(f"Give one seed, or one for each of the {rows} rows; got {len(self.seed)}.")
        return list(self.seed)


@torch.no_grad()
def decode_responses(
    model: Any,
    inputs_embeds: Tensor,
    attention_mask: Tensor,
    end_ids: Collection[int],
    options: DecodingOptions,
    cache: Any = None,
    prompt_ids: Sequence[Sequence[int]] | None = None,
    fixed_room: FixedRoom | None = None,
    tell: Callable[[Sequence[Sequence[int]], Sequence[int]], None] | None = None,
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
        fixed_room: Where keys and values are put if the model's layers allow it; None lets them grow.
        tell: Is given the B responses so far, and the tokens that each may have, whenever they are looked at.

    Returns:
        Token ids of each response, without the end token.

    Raises:
        ContractError: A row is padded on the right, where its response would start.
        DataError: A prompt leaves no room in the model's context. Where it leaves less than `max_new_tokens`, the response
            ends with the context, whatever the other prompts of the batch are.
    """
    from affect_lightning_plugins.language_models.growing_cache import GrowingSteps

    if not bool(attention_mask[:, -1].bool().all()):
        raise ContractError("Prompts must be padded on the left for decoding; got a row that ends with padding.")
    mask = attention_mask.long()
    positions = (mask.cumsum(dim=1) - 1).clamp(min=0)[:, -inputs_embeds.shape[1] :]
    rooms = rooms_for_responses(model, mask.sum(dim=1).tolist(), options.max_new_tokens)
    longest = max(rooms)
    output = model(
        inputs_embeds=inputs_embeds,
        attention_mask=None if bool(mask.all()) else mask,
        position_ids=positions,
        **cache_argument(model, cache),
        use_cache=True,
        logits_to_keep=1,
    )
    read = kept_cache(output), mask, positions[:, -1:] + 1
    in_room = None if fixed_room is None else fixed_room.begin(model, *read)
    steps = GrowingSteps(model, *read, longest - 1) if in_room is None else in_room
    rows = _Rows(rooms, end_ids, END_TEST_EVERY.get(inputs_embeds.device.type, 1))
    choice = _choice(options, len(mask), prompt_ids)
    logits = output.logits[:, -1]
    for left in range(longest - 1, -1, -1):
        chosen = choice.choose(logits)
        rows.write(chosen)
        if left == 0 or rows.full:
            kept = rows.still_open(steps.row_counts)
            if tell is not None:
                tell(rows.responses, rooms)
            if not kept:
                break
            if len(kept) < len(chosen):
                steps.keep(kept)
                choice.keep(kept)
                chosen = chosen[kept]
        if left:
            logits = steps.advance(chosen)
    return rows.responses


def _choice(options: DecodingOptions, rows: int, prompt_ids: Sequence[Sequence[int]] | None) -> TokenChoice:
    return TokenChoice(
        rows,
        temperature=options.temperature,
        top_p=options.top_p,
        seed=options.seeds(rows),
        repetition_penalty=options.repetition_penalty,
        prompt_ids=prompt_ids,
    )


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
    clips cost, and the cache is not copied for every single one. Until then they go on, and what they write is ignored.
    """

    def __init__(self, rooms: Sequence[int], end_ids: Collection[int], look_every: int) -> None:
        count = len(rooms)
        self._rooms = rooms  # longest response of each row, in tokens
        self.end_ids = end_ids
        self.responses: list[list[int]] = [[] for _ in range(count)]
        self._look_every = look_every
        self._running = list(range(count))  # the response of each row
        self._ended = [False] * count
        self._unread: list[Tensor] = []  # tokens [B] since the last look

    @property
    def full(self) -> bool:
        """Whether it is time to look at the tokens."""
        return len(self._unread) >= self._look_every

    def write(self, chosen: Tensor) -> None:
        """Take the next tokens [B], wherever they are."""
        self._unread.append(chosen)

    def still_open(self, row_counts: Callable[[int], int]) -> list[int]:
        """Look at the tokens.

        Args:
            row_counts: From the number of rows that are open to the number that is to run on.

        Returns:
            Places of the rows to continue with: none when all responses have ended.
        """
        written = torch.stack(self._unread, dim=1).tolist()
        self._unread = []
        for response, tokens in zip(self._running, written, strict=True):
            self._take(response, tokens)
        still = [row for row, response in enumerate(self._running) if not self._ended[response]]
        if 2 * len(still) > len(self._running):
            return list(range(len(self._running)))
        ended = [row for row, response in enumerate(self._running) if self._ended[response]]
        kept = sorted(still + ended[: row_counts(len(still)) - len(still)]) if still else []
        self._running = [self._running[row] for row in kept]
        return kept

    def _take(self, response: int, tokens: Sequence[int]) -> None:
        for token in tokens:
            self._ended[response] = self._ended[response] or token in self.end_ids
            if not self._ended[response]:
                self.responses[response].append(token)
                self._ended[response] = len(self.responses[response]) == self._rooms[response]
