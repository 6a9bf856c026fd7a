"""Whether stored weights are exactly those of a network. Used where checkpoints and exported folders are read."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from affect_lightning.errors import CheckpointError


def check_state(state: Mapping[str, Tensor], wanted: Mapping[str, Tensor], source: str) -> None:
    """Compare names and shapes of stored weights with those of a network.

    Raises:
        CheckpointError: They differ; the message lists missing, surplus and differently shaped weights.
    """
    problems = {
        "missing": sorted(wanted.keys() - state.keys()),
        "surplus": sorted(state.keys() - wanted.keys()),
        "differently shaped": sorted(
            name for name in wanted.keys() & state.keys() if wanted[name].shape != state[name].shape
        ),
    }
    found = [
        f"{kind}: {', '.join(names[:8])}{f' and {len(names) - 8} more' if len(names) > 8 else ''}"
        for kind, names in problems.items()
        if names
    ]
    if found:
        raise CheckpointError(
            f"The weights in {source} do not fit the network that the configuration describes. {'; '.join(found)}. "
            f"Use the configuration that they were trained with (plugins, inputs, lora_rank, branch options)."
        )
