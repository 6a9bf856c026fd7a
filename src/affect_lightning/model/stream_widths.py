"""How wide each stream is on its way: out of its encoder, and into its projector (paper, Section 3.2).

Used by `affectgpt.py` when it composes the parts. Legend: E embedding width of the language model.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import nn

from affect_lightning.contracts import Encoder
from affect_lightning.errors import ConfigurationError, ContractError
from affect_lightning.model.configuration import ModelConfiguration


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
