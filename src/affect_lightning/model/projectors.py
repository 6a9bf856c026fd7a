"""Projectors: one linear layer a stream from feature width to the language model's width (paper, Section 3.1, G).

Neighbours: `branches.py` comes before, `prompt_assembly.py` puts the tokens into the prompt.
Legend: D feature width, E embedding width.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from affect_lightning.contracts import LanguageModel

_SAMPLED_WORDS = 1024


def build_projectors(
    widths: Mapping[str, int], language_model: LanguageModel, init_scale: float | None
) -> dict[str, nn.Linear]:
    """A projector for each width D by name.

    Args:
        widths: D by name.
        language_model: Gives E, and the size of its word embeddings.
        init_scale: Size of projected tokens at the start relative to word embeddings; None keeps torch's initialisation.
    """
    size = init_scale * embedding_size(language_model) if init_scale and widths else None
    return {name: build_projector(width, language_model.embedding_width, size) for name, width in widths.items()}


def build_projector(width: int, embedding_width: int, target_size: float | None) -> nn.Linear:
    """One linear layer.

    Args:
        width: D.
        embedding_width: E.
        target_size: Root mean square that projected tokens have at the start if their features have unit size; None
            keeps torch's initialisation.
    """
    projector = nn.Linear(width, embedding_width)
    if target_size is not None:
        nn.init.normal_(projector.weight, std=target_size / width**0.5)
        nn.init.zeros_(projector.bias)
    return projector


@torch.no_grad()
def embedding_size(language_model: LanguageModel) -> float:
    """Root mean square of the language model's word embeddings, from up to 1024 words spread over the vocabulary.

    1 for a model without weights (on the meta device), which is only counted.
    """
    if next(language_model.parameters()).is_meta:
        return 1.0
    vocabulary = len(language_model.tokenizer)
    ids = torch.arange(0, vocabulary, max(1, vocabulary // _SAMPLED_WORDS))
    device = next(language_model.parameters()).device
    return float(language_model.embed(ids.to(device)).float().square().mean().sqrt())
