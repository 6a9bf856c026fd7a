"""Exported folders as the configuration of a command: `test --ckpt_path FOLDER` needs no `--config` (ours).

The folder says which parts the network has, how clips are read and asked, and how responses are scored. Where a
configuration file is given as well, it must say the same, because nothing else would tell that responses changed.
Neighbours: `affect_lightning.model.exported_folder` reads the folder, `trainer_commands.py` calls this before it parses.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from jsonargparse import Namespace

from affect_lightning.checkpoints.compatibility import differences
from affect_lightning.command_line.run_folders import is_given
from affect_lightning.errors import CheckpointError, ConfigurationError
from affect_lightning.model.exported_folder import exported_configuration

_LOGGER = "lightning.pytorch.loggers.TensorBoardLogger"
_CHANGED_ON_PURPOSE = ("model", "benchmark")  # sections whose options the command line itself may change


def with_exported_options(words: Sequence[str]) -> list[str]:
    """A command line whose exported folder, if it has one, is its configuration; any other as it is.

    Args:
        words: The command line, the command first.

    Raises:
        CheckpointError: The folder is damaged.
        ConfigurationError: It does not say how clips are read, and no `--config` does.
    """
    folder = _exported_folder(words)
    if folder is None or is_given(words, "config") or any(word in ("--help", "-h") for word in words):
        return list(words)
    configuration, options = exported_configuration(folder)
    if "data" not in options:
        raise ConfigurationError(
            f"Add the configuration of its training, such as --config affectgpt --config affectgpt_released: {folder} does not "
            f"say how clips are read. Folders that an earlier version made do not, nor does `save_pretrained` alone."
        )
    values = {
        "trainer": {
            "precision": None,
            "logger": {"class_path": _LOGGER, "init_args": {"save_dir": "runs", "name": folder.resolve().name}},
        },
        "model": {**configuration, **options.get("model", {})},
        "data": options["data"],
        "benchmark": options.get("benchmark", {}),
    }
    return [words[0], "--config", json.dumps(values), *words[1:]]


def response_options(section: Namespace) -> dict[str, dict[str, Any]]:
    """The options of a command that change a response, in the sections of `ExportedFolder.options`.

    Args:
        section: The command's configuration.
    """
    from affect_lightning.data.clip_splits import RESPONSE_OPTIONS as READING
    from affect_lightning.model.options import GenerationOptions
    from affect_lightning.unibench.callback import RESPONSE_OPTIONS as LABELS

    names = {
        "model": tuple(GenerationOptions.__dataclass_fields__),
        "data": (*READING, "face_detector"),
        "benchmark": LABELS,
    }
    return {part: {name: _plain(section[part][name]) for name in wanted} for part, wanted in names.items()}


def check_exported_options(
    words: Sequence[str], section: Namespace, folder: Path, changed: Collection[str] = ()
) -> None:
    """Compare the options of a command with those of its exported folder.

    Args:
        words: The command line.
        section: The command's configuration.
        folder: The folder.
        changed: Plugin choices that the command line makes, such as `benchmark.label_extractor`.

    Raises:
        CheckpointError: An option differs that the command line does not change on purpose; the message names each.
    """
    found: dict[str, tuple[Any, Any]] = {}
    for name, stored in exported_configuration(folder)[1].items():
        now = {option: _plain(section.get(f"{name}.{option}")) for option in stored}
        for option, pair in differences(stored, now).items():
            given = f"{name}.{option.partition('.')[0]}"
            if name not in _CHANGED_ON_PURPOSE or not (is_given(words, given) or given in changed):
                found[f"{name}.{option}"] = pair
    if found:
        listed = "; ".join(f"{key}: {before} there, {now} here" for key, (before, now) in found.items())
        raise CheckpointError(
            f"Leave these options out, and the folder brings its own: {folder} was exported with others. {listed}."
        )


def _exported_folder(words: Sequence[str]) -> Path | None:
    if not words or words[0] not in ("test", "predict", "validate"):
        return None
    for position, word in enumerate(words):
        key, _, value = word.partition("=")
        if key == "--ckpt_path":
            path = Path(value or (words[position + 1] if position + 1 < len(words) else ""))
            return path if str(path) not in ("", ".") and path.is_dir() else None
    return None


def _plain(value: Any) -> Any:
    value = value.as_dict() if isinstance(value, Namespace) else value
    return dict(value) if isinstance(value, Mapping) else value
