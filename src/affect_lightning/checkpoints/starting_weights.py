"""Trained weights to begin with, out of a checkpoint or of an exported folder (ours).

What `fit --init_from` trains further and what `test` reads of a folder. Only the weights are taken: optimiser, schedule
and counters stay behind. Neighbours: `plain_reading.py` reads the checkpoint, `affect_lightning.model.exported_folder`
the folder; `AffectGPTModule.start_from` takes what is made here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from affect_lightning.checkpoints.compatibility import network_state
from affect_lightning.checkpoints.plain_reading import read_checkpoint
from affect_lightning.model.affectgpt import AffectGPT
from affect_lightning.model.exported_folder import read_exported


@dataclass(frozen=True)
class StartingWeights:
    """Weights with what they were trained as.

    Attributes:
        source: Their path.
        configuration: Options of the model, as `ModelConfiguration` has them; a checkpoint brings more.
        fill: Puts them into a network; a `CheckpointError` if they are not exactly those of it.
    """

    source: str
    configuration: Mapping[str, Any]
    fill: Callable[[AffectGPT], None]


def read_starting_weights(path: str | Path) -> StartingWeights:
    """Read a checkpoint of this package or a folder that `export` or `import` wrote.

    Raises:
        CheckpointError: There is neither, or it is foreign or damaged.
    """
    source = str(path)
    if Path(path).is_dir():
        stored = read_exported(path)
        return StartingWeights(source, stored.configuration.as_dict(), lambda network: network.load_exported(stored))
    checkpoint = read_checkpoint(path)
    state = network_state(checkpoint["state_dict"])
    return StartingWeights(
        source, checkpoint["hyper_parameters"], lambda network: network.load_trainable_state(state, source)
    )
