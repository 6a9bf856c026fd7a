"""Files in the authors' layout: read as plain data, and written for their code to load.

A file is what `torch.save` made of {model, optimizer, config, scaler, epoch}. `model` has the weights by their names
(`affectgpt_layout.py`); `config` their options, which say whether faces or whole frames were shown. The optimiser's state is
two thirds of the file: the file is mapped into memory, so that it is never read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from affect_lightning.checkpoints.plain_reading import read_plain
from affect_lightning.errors import CheckpointError
from affect_lightning.storage import write_whole

# Their names of what the prompt shows, by the visual streams; they stand in their options.
_SHOWN = {
    ("face",): "multiface_audio_face_text",
    ("frame",): "multiframe_audio_frame_text",
    ("face", "frame"): "multiface_audio_face_frame_text",
}


@dataclass(frozen=True)
class AffectGPTFile:
    """What is of use in a file of theirs.

    Attributes:
        weights: By their names.
        visual: Which of `face` and `frame` the training showed; None if the file does not say.
        epoch: None if the file does not say.
    """

    weights: Mapping[str, Tensor]
    visual: tuple[str, ...] | None
    epoch: int | None


def read_affectgpt(path: str | Path) -> AffectGPTFile:
    """Read a checkpoint of the authors' code; nothing in it is executed.

    Raises:
        CheckpointError: No such file, damaged, pickled objects inside, or another program's.
    """
    content = read_plain(path, "a checkpoint of AffectGPT's released code", mapped=True)
    if isinstance(content, Mapping) and {"state_dict", "hyper_parameters"} <= content.keys():
        raise CheckpointError(
            f"Use `affect-lightning export {path} FOLDER`: it is a checkpoint of this package, and `import` reads those of "
            f"the authors' code."
        )
    weights = content.get("model") if isinstance(content, Mapping) else None
    if not isinstance(weights, Mapping) or not all(isinstance(value, Tensor) for value in weights.values()):
        found = (
            f"the entries {', '.join(map(str, list(content)[:8]))}"
            if isinstance(content, Mapping)
            else "something else"
        )
        raise CheckpointError(
            f"{path} is not a checkpoint of AffectGPT's released code: expected the entry `model` with tensors by name, got "
            f"{found}."
        )
    epoch = content.get("epoch")
    return AffectGPTFile(weights, _shown_streams(content.get("config")), epoch if isinstance(epoch, int) else None)


def write_affectgpt(path: str | Path, weights: Mapping[str, Tensor], visual: tuple[str, ...]) -> None:
    """Write a file that the authors' code loads for inference: the weights, and the options that this package reads.

    Args:
        path: To be made; must not exist.
        weights: By their names.
        visual: Which of `face` and `frame` the network is shown.

    Raises:
        CheckpointError: It exists or cannot be written.
    """
    if Path(path).exists():
        raise CheckpointError(f"{path} exists. Choose another file to export to.")
    content = {"model": dict(weights), "config": {"datasets": {"mercaptionplus": {"face_or_frame": _SHOWN[visual]}}}}
    try:
        write_whole(Path(path), lambda file: torch.save(content, file))
    except OSError as error:
        raise CheckpointError(f"{path} cannot be written: {error}. Make room, or choose another file.") from error


def _shown_streams(config: Any) -> tuple[str, ...] | None:
    """The visual streams that the options of a file name, if all its training sets name the same."""
    sets = config.get("datasets") if isinstance(config, Mapping) else None
    options = sets.values() if isinstance(sets, Mapping) else ()
    shown = {str(option.get("face_or_frame")) for option in options if isinstance(option, Mapping)}
    return next((streams for streams, name in _SHOWN.items() if shown == {name}), None)
