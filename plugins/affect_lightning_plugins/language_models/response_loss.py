"""Cross-entropy of the supervised positions, in pieces, so that no [R, V] logits of a whole batch exist.

Paper: Eq. 2. Qwen2.5 has 152,064 words: the logits of 2,000 supervised tokens and their gradient would take 2.4 GB.
Used by `transformers_model.py`, which picks the positions. Legend: R supervised positions, E embedding width, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

# Most logits of one piece: 128 MB in 32 bits, which is 220 positions of Qwen2.5 or 682 of SmolLM2 (our choice).
LOGITS_AT_ONCE = 2**25


def response_loss(hidden: Tensor, targets: Tensor, head: Callable[[Tensor], Tensor], words: int) -> Tensor:
    """Mean cross-entropy in 32 bits.

    A batch that needs more than one piece computes each piece's logits again in the backward pass, which costs one
    more call of the head on these positions only.

    Args:
        hidden: Last hidden states [R, E].
        targets: The next token of each position, [R].
        head: From hidden states [., E] to logits [., V].
        words: V.

    Returns:
        A scalar.
    """
    rows = max(1, LOGITS_AT_ONCE // words)
    if len(hidden) <= rows:
        return nn.functional.cross_entropy(head(hidden).float(), targets)
    sums = [
        checkpoint(_summed_loss, states, wanted, head, use_reentrant=False)
        for states, wanted in zip(hidden.split(rows), targets.split(rows), strict=True)
    ]
    return torch.stack(sums).sum() / len(hidden)


def _summed_loss(hidden: Tensor, targets: Tensor, head: Callable[[Tensor], Tensor]) -> Tensor:
    return nn.functional.cross_entropy(head(hidden).float(), targets, reduction="sum")
