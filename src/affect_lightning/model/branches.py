"""From feature tokens to the language model's width: branches and projectors (paper, Section 3.1, Section 5 and Table 5).

Each shown stream has a branch, or all picture streams share one. What a branch computes is a plugin of the group
`branch_compressions`. A projector is one linear layer for each branch (G of Section 3.1).
`affectgpt.py` composes the parts, `prompt_assembly.py` puts the projected tokens into the prompt.
Legend: D feature width, E embedding width of the language model.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from affect_lightning.contracts import BranchCompression, Encoder, LanguageModel
from affect_lightning.errors import ConfigurationError, ContractError
from affect_lightning.model.configuration import ModelConfiguration
from affect_lightning.plugin_loading import build_part


def stream_widths(
    configuration: ModelConfiguration, encoders: Mapping[str, Encoder], known: Mapping[str, int] | None
) -> dict[str, int]:
    """Feature width of every encoded stream: as known, else the encoder's.

    Raises:
        ContractError: A stream has neither.
    """
    widths = {}
    for name in configuration.encoded_streams:
        encoder = encoders.get(configuration.encoders.key_of(name))
        if known is not None and name in known:
            widths[name] = known[name]
        elif encoder is not None:
            widths[name] = encoder.feature_width
        else:
            raise ContractError(f"The stream {name!r} needs an encoder or cached features, but has neither.")
    return widths


def projected_widths(
    configuration: ModelConfiguration, widths: Mapping[str, int], branches: Mapping[str, nn.Module]
) -> dict[str, int]:
    """Width that each projector takes, by `ModelConfiguration.branch_key`: of its branch, and of Z where H is fused.

    Raises:
        ConfigurationError: A projector would have to take two widths.
    """
    projected = {key: int(branch.output_width) for key, branch in branches.items()}  # type: ignore[arg-type]
    for name in configuration.fused_streams if configuration.fuses_projected else ():
        key = configuration.branch_key(name)
        if projected.setdefault(key, widths[name]) != widths[name]:
            raise ConfigurationError(
                f"With fused_features `projected` the projector of {name!r} gets features of width {widths[name]} and the "
                f"output of the branch of width {projected[key]}; expected equal widths. Remove hidden_width from "
                f"branch_compression, or fuse `encoded` features."
            )
    return projected


def build_branches(configuration: ModelConfiguration, widths: Mapping[str, int]) -> dict[str, BranchCompression]:
    """Build the branches of the shown streams.

    Args:
        configuration: Names the compression.
        widths: D of every encoded stream.

    Returns:
        Branches by `ModelConfiguration.branch_key`.

    Raises:
        ConfigurationError: Streams of different width are to share a branch.
        PluginError: The compression cannot be built.
    """
    wanted: dict[str, int] = {}
    for name, width in widths.items():
        if name in configuration.inputs and wanted.setdefault(configuration.branch_key(name), width) != width:
            raise ConfigurationError(
                f"Set `shared_pictures: false`, or choose encoders of one width: the stream {name!r} has features of width "
                f"{width} and is to share a branch that takes {wanted[configuration.branch_key(name)]}."
            )
    choice, tokens = configuration.branch_compression, configuration.branch_tokens
    return {
        key: build_part("branch_compressions", choice, stream_width=width, tokens=tokens)
        for key, width in wanted.items()
    }


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
    return float(language_model.embed(ids.to(device)).float().cpu().square().mean().sqrt())  # alike on every device
