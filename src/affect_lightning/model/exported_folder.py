"""Exported folders: what others need of a trained AffectGPT, readable without this package's checkpoints.

    DIR/config.json              configuration (plugins by name, plain options), how clips are read and asked, the version
    DIR/projectors.safetensors   pre-fusion, branches, projectors, feature scaling
    DIR/adapter/                 the language model's adapter as a peft folder; absent at rank 0

Here is the format only, as plain data, so `affectgpt.py` can read and write its own folder and this module imports no
network. Nothing is read with code execution: JSON and safetensors. `affectgpt.py` has `from_pretrained` and
`save_pretrained`; `affect_lightning.checkpoints` turns checkpoints into such folders.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from affect_lightning.errors import CheckpointError
from affect_lightning.file_kinds import damaged_weights
from affect_lightning.model.configuration import ModelConfiguration
from affect_lightning.storage import whole_path

FORMAT = "affect-lightning"
FORMAT_VERSION = 1
WEIGHTS = "projectors.safetensors"
_ADAPTER = "adapter"
_DESCRIPTION = "config.json"
EXPORTED_FILES = (
    _DESCRIPTION,
    WEIGHTS,
    *(f"{_ADAPTER}/{name}" for name in ("adapter_config.json", "adapter_model.safetensors")),  # of peft
)
"""All that an exported folder holds: the files that go to a hub, and those that come back."""


@dataclass(frozen=True)
class ExportedFolder:
    """What a folder holds.

    Attributes:
        folder: Where it is.
        configuration: What the network is built from.
        weights: Of everything that trains outside the language model, by the network's names.
        adapter: The language model's adapter; None without one.
        options: What else changes a response, by the names of the command line's options, in the sections `model`
            (decoding), `data` (reading, question) and `benchmark` (labels); empty if the folder does not know.
    """

    folder: Path
    configuration: ModelConfiguration
    weights: Mapping[str, Tensor]
    adapter: Path | None
    options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


def read_exported(folder: str | Path) -> ExportedFolder:
    """Read an exported folder.

    Raises:
        CheckpointError: A file is missing, foreign or damaged.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    root = Path(folder)
    description = _read_description(root)
    path = root / WEIGHTS
    try:
        weights = load_file(str(path))
    except (OSError, SafetensorError) as error:
        raise CheckpointError(damaged_weights(path)) from error
    configuration = ModelConfiguration.from_dict(description["configuration"])
    adapter = root / _ADAPTER if description["has_adapter"] else None
    return ExportedFolder(root, configuration, weights, adapter, exported_options(root, description))


def exported_configuration(folder: str | Path) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """The configuration and options of an exported folder, without its weights.

    Raises:
        CheckpointError: It is no exported folder, or damaged.
    """
    root = Path(folder)
    description = _read_description(root)
    return description["configuration"], exported_options(root, description)


def exported_options(root: Path, description: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The options of a description; none in a folder that was written before there were any.

    Raises:
        CheckpointError: They have another form.
    """
    options = description.get("options", {})
    if not isinstance(options, dict) or not all(isinstance(section, dict) for section in options.values()):
        raise CheckpointError(
            f"{root / _DESCRIPTION}: `options` must hold sections of options. Export the checkpoint again."
        )
    return options


def write_exported(
    folder: str | Path,
    configuration: ModelConfiguration,
    weights: Mapping[str, Tensor],
    save_adapter: Callable[[str], None] | None,
    options: Mapping[str, Mapping[str, Any]] | None = None,
) -> None:
    """Write an exported folder; it appears complete or not at all.

    Args:
        folder: To be made; must not exist or be empty.
        configuration: What the network was built from.
        weights: Of everything that trains outside the language model.
        save_adapter: Writes the language model's adapter into a folder; None without one.
        options: See `ExportedFolder`.

    Raises:
        CheckpointError: The folder exists and is not empty, or cannot be written.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    target = Path(folder)
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise CheckpointError(f"{target} exists and is not an empty folder. Choose another folder to export to.")
    description = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "configuration": configuration.as_dict(),
        "has_adapter": save_adapter is not None,
        "options": {name: dict(section) for name, section in (options or {}).items()},
    }
    own = {name: value.cpu().contiguous() for name, value in weights.items()}
    try:
        with whole_path(target) as temporary:
            temporary.mkdir()
            save_file(own, str(temporary / WEIGHTS), metadata={"format": "pt"})
            if save_adapter is not None:
                save_adapter(str(temporary / _ADAPTER))
            (temporary / _DESCRIPTION).write_text(json.dumps(description, indent=2) + "\n", encoding="utf-8")
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{target} cannot be written: {error}. Free space, or choose another folder.") from error


def _read_description(root: Path) -> dict[str, Any]:
    path = root / _DESCRIPTION
    try:
        description = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(
            f"{root} is not an exported folder: {path.name} is missing or damaged ({error}). "
            f"`affect-lightning export CHECKPOINT DIR` makes one."
        ) from error
    if not isinstance(description, dict) or not isinstance(description.get("configuration", {}), dict):
        raise CheckpointError(
            f"{path} must be a JSON object whose entry configuration is one, too. Export the checkpoint again."
        )
    found = description.get("format"), description.get("format_version")
    if found != (FORMAT, FORMAT_VERSION) or not {"configuration", "has_adapter"} <= description.keys():
        raise CheckpointError(
            f"{path} has the format {found[0]!r} version {found[1]!r}; expected {FORMAT!r} version {FORMAT_VERSION}. "
            f"Export the checkpoint again with this version of the package."
        )
    return description
