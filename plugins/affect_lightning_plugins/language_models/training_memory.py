"""Training in bounded memory: attention of a packed row clip by clip, and the loss in pieces.

- Attention: the paper trains on one clip a row (Section 3.1); packing is ours. A row of 16 clips under a block-diagonal
  mask costs 16 times the attention of its clips. Here each clip attends only to itself, and no [L, L] mask is computed.
  transformers finds the attention by a name, so no model class is changed.
- Loss (Eq. 2): cross-entropy of the supervised positions without the [R, V] logits of a whole batch. Qwen2.5 has
  152,064 words: the logits of 2,000 supervised tokens and their gradient would take 2.4 GB.

`transformers_model.py` packs the clips of a batch and picks the positions.
Legend: L tokens of the row, H heads, D width of a head, R supervised positions, E embedding width, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

CLIPWISE_ATTENTION = "affect_clipwise_sdpa"  # letters and underscores only: transformers reads others as a repository
# Most logits of one piece: 128 MB in 32 bits, which is 220 positions of Qwen2.5 or 682 of SmolLM2 (our choice).
LOGITS_AT_ONCE = 2**25


def use_clipwise_attention(model: Any) -> bool:
    """Let a model that attends by torch's `scaled_dot_product_attention` do so clip by clip where lengths are passed.

    Args:
        model: A transformers model.

    Returns:
        Whether the model now takes `clip_lengths`; False leaves a model with another attention as it is.
    """
    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.masking_utils import sdpa_mask

    if model.config._attn_implementation != "sdpa":
        return False
    AttentionInterface.register(CLIPWISE_ATTENTION, _attend)
    AttentionMaskInterface.register(CLIPWISE_ATTENTION, sdpa_mask)
    model.set_attn_implementation(CLIPWISE_ATTENTION)
    return model.config._attn_implementation == CLIPWISE_ATTENTION


def _attend(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    clip_lengths: list[int] | None = None,
    **options: Any,
) -> tuple[Tensor, None]:
    """Attention in the form that transformers asks for: [1, H, L, D] in, [1, L, H, D] out.

    A model that loses `clip_lengths` on the way passes its block-diagonal mask, and gets the same result more slowly.
    """
    from transformers.integrations.sdpa_attention import sdpa_attention_forward

    if clip_lengths is None:
        return sdpa_attention_forward(module, query, key, value, attention_mask, **options)
    options["is_causal"] = True
    clips = zip(*(states.split(clip_lengths, dim=2) for states in (query, key, value)), strict=True)
    pieces = [sdpa_attention_forward(module, q, k, v, None, **options)[0] for q, k, v in clips]
    return torch.cat(pieces, dim=1), None


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
