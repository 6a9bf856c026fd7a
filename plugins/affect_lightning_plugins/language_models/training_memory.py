"""The loss in bounded memory: cross-entropy of the supervised positions in pieces (Eq. 2).

The [R, V] logits of a whole batch are never held at once. Qwen2.5 has 152,064 words: the logits of 2,000 supervised
tokens and their gradient would take 2.4 GB. `transformers_model.py` picks the positions, `packed_attention.py` has
attention without padding.
Legend: R supervised positions, E embedding width, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from affect_lightning.contracts import IGNORED_LABEL

# Most logits of one piece in 32 bits, our choice. On a GPU 1 GB, which is 1,765 positions of Qwen2.5: fewer, larger
# products. Elsewhere 128 MB, which is 220 positions of Qwen2.5 or 682 of SmolLM2.
LOGITS_AT_ONCE = {"cuda": 2**28}
LOGITS_AT_ONCE_ELSEWHERE = 2**25


def response_loss(hidden: Tensor, targets: Tensor, head: Callable[[Tensor], Tensor], words: int) -> Tensor:
    """Mean cross-entropy in 32 bits.

    A batch that needs more than one piece computes each piece's logits again in the backward pass, which costs one
    more call of the head on these positions only.

    Args:
        hidden: Last hidden states [R, E].
        targets: The next token of each position, [R]; -100 where nothing is learnt.
        head: From hidden states [., E] to logits [., V].
        words: V.

    Returns:
        A scalar, the mean over the positions that learn something; at least one must.
    """
    rows = _rows_at_once(hidden, words)
    if len(hidden) <= rows:
        return nn.functional.cross_entropy(head(hidden).float(), targets)
    sums = [
        checkpoint(_summed_loss, states, wanted, head, use_reentrant=False)
        for states, wanted in zip(hidden.split(rows), targets.split(rows), strict=True)
    ]
    return torch.stack(sums).sum() / (targets != IGNORED_LABEL).sum()


def token_scores(
    hidden: Tensor, targets: Tensor, head: Callable[[Tensor], Tensor], words: int, temperature: float
) -> tuple[Tensor, Tensor]:
    """Log-probability of each token and the entropy of what it was drawn from, in 32 bits and in pieces as the loss.

    Args:
        hidden: Last hidden states [R, E].
        targets: The next token of each position, [R].
        head: From hidden states [., E] to logits [., V].
        words: V.
        temperature: Divides the logits.

    Returns:
        Two tensors [R]: log-probabilities with gradient, entropies without, in nats.
    """
    rows = _rows_at_once(hidden, words)
    if len(hidden) <= rows:
        return _scored(hidden, targets, head, temperature)
    pieces = [
        checkpoint(_scored, states, wanted, head, temperature, use_reentrant=False)
        for states, wanted in zip(hidden.split(rows), targets.split(rows), strict=True)
    ]
    log_probabilities, entropies = zip(*pieces, strict=True)
    return torch.cat(log_probabilities), torch.cat(entropies)


def _scored(
    hidden: Tensor, targets: Tensor, head: Callable[[Tensor], Tensor], temperature: float
) -> tuple[Tensor, Tensor]:
    every = torch.log_softmax(head(hidden).float() / temperature, dim=-1)
    with torch.no_grad():
        entropies = -(every.exp() * every).sum(dim=-1)
    return every.gather(1, targets.unsqueeze(1)).squeeze(1), entropies


def _rows_at_once(hidden: Tensor, words: int) -> int:
    return max(1, LOGITS_AT_ONCE.get(hidden.device.type, LOGITS_AT_ONCE_ELSEWHERE) // words)


def _summed_loss(hidden: Tensor, targets: Tensor, head: Callable[[Tensor], Tensor]) -> Tensor:
    return nn.functional.cross_entropy(head(hidden).float(), targets, reduction="sum")
