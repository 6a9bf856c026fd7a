"""The next token of every row from its logits, greedy or sampled, on the device that has them (paper, Eq. 2).

A sampled row needs one number a token. A uniform number u in [0, 1), drawn on the CPU from the row's own generator, picks
the first token, by id, whose cumulative share is above u: the inverse of the distribution function. So a response depends on
its prompt and its seed, and not on the batch or on the kind of device, as far as the logits agree. Nothing here waits for a
GPU. `response_decoding.py` calls it.
Legend: B rows, V vocabulary.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence

import torch
from torch import Tensor

from affect_lightning.sending import sent

_NUMBERS_AT_ONCE = 64  # drawn for each row; our choice: most responses need one block
# Likely tokens of a row that the CPU sorts before it sorts all: a nucleus of 0.9 is seldom larger (our choice; of 49,152
# tokens the first take 0.08 ms a row, the others 0.4, all 3).
_LOOKS = (64, 1024)


class TokenChoice:
    """How the rows of a running batch choose, and what that depends on: numbers drawn, and tokens that were there."""

    def __init__(
        self,
        rows: int,
        *,
        temperature: float = 0.0,
        top_p: float = 1.0,
        seed: int | Sequence[int | None] | None = None,
        repetition_penalty: float = 1.0,
        prompt_ids: Sequence[Sequence[int]] | None = None,
    ) -> None:
        """Seed the rows' generators.

        Args:
            rows: B.
            temperature: 0 means greedy.
            top_p: Nucleus share.
            seed: Of every row's generator, or one for each; None draws one.
            repetition_penalty: See `DecodingOptions`.
            prompt_ids: Token ids of the B prompts, which the penalty counts too.
        """
        self._temperature, self._top_p, self._penalty = temperature, top_p, repetition_penalty
        self._prompt_ids = prompt_ids
        self._seen: Tensor | None = None  # [B, V]: tokens that were there
        given = [seed] * rows if seed is None or isinstance(seed, int) else seed
        chosen = [secrets.randbits(63) if one is None else one for one in given]
        self._numbers = _RowNumbers(chosen) if temperature > 0 else None

    def choose(self, logits: Tensor) -> Tensor:
        """The next token [B] of every row from its logits [B, V]."""
        logits = logits.float()
        if self._penalty != 1.0:
            logits = self._without_repetition(logits)
        if self._numbers is None:
            chosen = logits.argmax(dim=-1)
        else:
            shares = torch.softmax(logits / self._temperature, dim=-1)
            chosen = pick(in_nucleus(shares, self._top_p), self._numbers.following(logits.device))
        if self._seen is not None:
            self._seen.scatter_(1, chosen.unsqueeze(1), True)
        return chosen

    def keep(self, rows: Sequence[int]) -> None:
        """Go on with some rows only, given by their places in the batch."""
        if self._numbers is not None:
            self._numbers.keep(rows)
        if self._seen is not None:
            self._seen = self._seen[list(rows)]

    def _without_repetition(self, logits: Tensor) -> Tensor:
        """Logits [B, V] in which the tokens of prompt and response so far count for less."""
        if self._seen is None:
            seen = torch.zeros(logits.shape, dtype=torch.bool)
            for row, ids in enumerate(self._prompt_ids or ()):
                seen[row, list(ids)] = True
            self._seen = seen.to(logits.device)
        less = torch.where(logits > 0, logits / self._penalty, logits * self._penalty)
        return torch.where(self._seen, less, logits)


class _RowNumbers:
    """Uniform numbers for the rows of a batch, each row's from a generator of its own, in blocks."""

    def __init__(self, seeds: Sequence[int]) -> None:
        self._seeds = list(seeds)
        # Rows with the same seed draw the same numbers, so one generator serves them all.
        self._generators = {seed: torch.Generator().manual_seed(seed) for seed in dict.fromkeys(seeds)}
        self._block = torch.empty(len(self._seeds), 0)
        self._used = 0

    def following(self, device: torch.device) -> Tensor:
        """The next number [B, 1] of every row."""
        if self._used == self._block.shape[1]:
            drawn = {seed: torch.rand(_NUMBERS_AT_ONCE, generator=self._generators[seed]) for seed in set(self._seeds)}
            self._block, self._used = sent(torch.stack([drawn[seed] for seed in self._seeds]), device), 0
        self._used += 1
        return self._block[:, self._used - 1 : self._used]

    def keep(self, rows: Sequence[int]) -> None:
        self._seeds = [self._seeds[row] for row in rows]
        self._block = self._block[list(rows)]


def pick(shares: Tensor, numbers: Tensor) -> Tensor:
    """Tokens by the inverse of the distribution function.

    Args:
        shares: [B, V], not negative, with any sum; what is 0 is never picked.
        numbers: [B, 1], uniform in [0, 1).

    Returns:
        [B]

    >>> pick(torch.tensor([[0.2, 0.0, 0.6]]).expand(3, 3), torch.tensor([[0.0], [0.25], [0.9999]])).tolist()
    [0, 2, 2]
    """
    sums = shares.cumsum(dim=-1)
    whole = sums[:, -1:]
    # A number close to 1 may round to the whole sum, behind which there is no token.
    below = torch.minimum(numbers * whole, torch.nextafter(whole, torch.zeros_like(whole)))
    return torch.searchsorted(sums, below, right=True).squeeze(1)


def in_nucleus(shares: Tensor, top_p: float) -> Tensor:
    """Shares [B, V] without what is outside the nucleus: the fewest likely tokens that together have a share of `top_p`.

    Tokens that are as likely as the last one inside are inside too. In 16 bits many are, and which of them came first would
    depend on the device.

    >>> in_nucleus(torch.tensor([[0.25, 0.5, 0.125, 0.125]]), 0.8).tolist()
    [[0.25, 0.5, 0.125, 0.125]]
    >>> in_nucleus(torch.tensor([[0.25, 0.5, 0.125, 0.125]]), 0.7).tolist()
    [[0.25, 0.5, 0.0, 0.0]]
    """
    if top_p >= 1:
        return shares
    return torch.where(shares >= _least_inside(shares, top_p), shares, 0.0)


def _least_inside(shares: Tensor, top_p: float) -> Tensor:
    """Share [B, 1] of the least likely token inside. A GPU sorts all tokens, because to look whether some suffice is to wait."""
    if shares.is_cuda:
        return _least_of(shares.sort(dim=-1, descending=True).values, top_p)
    least = shares.new_empty(len(shares), 1)
    rows = torch.arange(len(shares))
    for count in _LOOKS:
        if count < shares.shape[-1]:
            ordered = (shares if len(rows) == len(shares) else shares[rows]).topk(count).values
            enough = ordered.sum(dim=-1) >= top_p
            least[rows[enough]] = _least_of(ordered[enough], top_p)
            rows = rows[~enough]
    if len(rows):
        least[rows] = _least_of(shares[rows].sort(dim=-1, descending=True).values, top_p)
    return least


def _least_of(ordered: Tensor, top_p: float) -> Tensor:
    before = ordered.cumsum(dim=-1) - ordered
    return ordered.masked_fill(before >= top_p, torch.inf).amin(dim=-1, keepdim=True)
