"""Attention of a packed row, clip by clip: no clip's tokens meet another's, and no [L, L] mask is worked through.

Paper: Section 3.1 trains on one clip a row; packing is ours. A row of 16 clips under a block-diagonal mask costs 16 times
the attention of its clips. transformers lets a model's attention be named, so no model class is changed.
Neighbours: `transformers_model.py` packs the clips of a batch and passes their lengths.
Legend: L tokens of the row, H heads, D width of a head.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

NAME = "affect_clipwise_sdpa"  # letters and underscores only: transformers reads others as a repository


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
    AttentionInterface.register(NAME, _attend)
    AttentionMaskInterface.register(NAME, sdpa_mask)
    model.set_attn_implementation(NAME)
    return model.config._attn_implementation == NAME


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
