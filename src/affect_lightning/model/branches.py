"""The branches of the shown streams: one each, or one for all picture streams (paper, Section 5 and Table 5).

What a branch computes is a plugin of the group `branch_compressions`. Neighbours: `projectors.py` comes next,
`affectgpt.py` calls. Legend: D feature width.
"""

from __future__ import annotations

from collections.abc import Mapping

from affect_lightning.contracts import BranchCompression
from affect_lightning.errors import ConfigurationError
from affect_lightning.model.configuration import ModelConfiguration
from affect_lightning.plugin_loading import build_part


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
