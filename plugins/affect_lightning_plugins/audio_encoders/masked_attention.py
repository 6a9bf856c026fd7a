"""Attention of speech models with a mask that nobody looks into (ours).

transformers leaves a mask out where every frame is real, because torch attends faster without one. To know it, it asks the
device, and the processor waits. Here the processor knows all lengths, and gives a mask only where they differ.
`speech_models.py` uses it.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor

MASKED_ATTENTION = "affect_masked_sdpa"  # letters and underscores only: transformers reads others as a repository


def use_masks_as_given(model: Any) -> bool:
    """Let a model that attends by torch's `scaled_dot_product_attention` take masks without looking into them.

    Args:
        model: A transformers model whose frames see each other in both directions.

    Returns:
        Whether it does so now; a model with another attention is left as it is.
    """
    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.integrations.sdpa_attention import sdpa_attention_forward

    if model.config._attn_implementation != "sdpa":
        return False
    AttentionInterface.register(MASKED_ATTENTION, sdpa_attention_forward)
    AttentionMaskInterface.register(MASKED_ATTENTION, _mask_as_given)
    model.set_attn_implementation(MASKED_ATTENTION)
    return bool(model.config._attn_implementation == MASKED_ATTENTION)


def _mask_as_given(*arguments: Any, **options: Any) -> Tensor | None:
    """The mask of `sdpa`, None only where none was given."""
    from transformers.masking_utils import sdpa_mask

    if options.get("attention_mask") is None:
        return None
    return sdpa_mask(*arguments, **{**options, "allow_is_bidirectional_skip": False})
