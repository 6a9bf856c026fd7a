"""Files and folders of a command line that are not there, or are taken: told before anything heavy is imported.

The commands find these mistakes by themselves as well, but only after torch and Lightning are loaded, which takes many seconds.
What only the whole configuration tells is left to them. `program.py` asks for the trainer commands, the other commands for
themselves. Standard library, yaml and the list of the experiments only.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from affect_lightning.command_line.experiments_command import find_experiment, with_experiment_files
from affect_lightning.errors import CheckpointError, ConfigurationError, DataError

_LOGGER = "trainer.logger.init_args"
_CHECKPOINTS = "checkpoints"  # `training/checkpoint_files.py` has it too, and needs torch
_CONFIGURATION = "config.yaml"
_HELP = ("--help", "-h", "--print_config")


def check_named_files(words: Sequence[str]) -> None:
    """Refuse a configuration, weights or a run's folder that cannot be meant.

    Args:
        words: The command line, the command first.

    Raises:
        ConfigurationError: A `--config` is no experiment and no file, a checkpoint is missing, or `fit` would begin in the
            folder of another run.
    """
    if any(word.partition("=")[0] in _HELP for word in words):
        return
    with_experiment_files(words)
    if mistake := mistaken_weights(words):
        raise ConfigurationError(mistake)
    run = _explicit_run(words) if words[0] == "fit" else None
    if run is not None and has_a_run(run):
        raise ConfigurationError(used_run(run))


def check_checkpoint(path: Path) -> None:
    """Refuse a checkpoint, or a folder of weights, that is not there; raises CheckpointError."""
    if not path.exists():
        raise CheckpointError(f"There is no checkpoint {path}.")


def check_data_folder(path: Path) -> None:
    """Refuse a folder of sets that is not there; raises DataError."""
    if not path.is_dir():
        from affect_lightning.corpora.sets import made_by

        raise DataError(
            f"There is no folder {path}. Give the folder that holds the sets, or the folder of one set.{made_by(path)}"
        )


def mistaken_weights(words: Sequence[str]) -> str | None:
    """What is wrong with the weights that the command line names, before the rest is looked at."""
    for key, value in _options(words):
        if key == "init_from" and words[0] != "fit":
            return f"Give the weights to `{words[0]}` as --ckpt_path: --init_from is where `fit` starts a new training."
        if key in ("ckpt_path", "init_from"):
            named = ("best", "last", "hpc", "registry") if key == "ckpt_path" else ()
            if value not in ("", "null", *named) and not Path(value).exists():
                return f"There is no checkpoint {value!r}. `fit` writes checkpoints to runs/<experiment>/<version>/checkpoints."
    return None


def has_a_run(folder: Path) -> bool:
    """Whether a training has left something in a folder."""
    return (folder / _CONFIGURATION).exists() or any((folder / _CHECKPOINTS).glob("*.ckpt"))


def used_run(folder: Path) -> str:
    """What to tell of a folder that has a run already."""
    return (
        f"Choose another --{_LOGGER}.version, or continue there with --ckpt_path last: {folder} has a run already, and a new one "
        f"would replace its files."
    )


def _options(words: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Every long option with its value, which may be empty."""
    for position, word in enumerate(words):
        if word.startswith("--"):
            key, sign, value = word[2:].partition("=")
            yield key, value if sign else (words[position + 1] if position + 1 < len(words) else "")


def _explicit_run(words: Sequence[str]) -> Path | None:
    """Folder of the run if the command line names its version; None where it does not, or where the run goes on."""
    given = dict(_options(words))
    version = given.get(f"{_LOGGER}.version")
    if version in (None, "", "null") or given.get("ckpt_path") == "last" or "trainer.fast_dev_run" in given:
        return None
    if any(key in given for key in ("trainer", "trainer.logger", "trainer.logger.init_args")):
        return None
    places = {key: given.get(f"{_LOGGER}.{key}") for key in ("save_dir", "name")}
    for config in [value for key, value in _options(words) if key == "config"]:
        configured = _logger_of(config)
        places = {
            key: places[key] if f"{_LOGGER}.{key}" in given else configured.get(key, places[key]) for key in places
        }
    if not places["save_dir"] or places["name"] is None:
        return None
    return (
        Path(str(places["save_dir"])) / str(places["name"]) / (f"version_{version}" if version.isdecimal() else version)
    )


def _logger_of(config: str) -> dict[str, Any]:
    """What an experiment says of its logger's place."""
    import yaml

    try:
        content = yaml.safe_load(find_experiment(config).read_text(encoding="utf-8"))
        values = content["trainer"]["logger"]["init_args"]
    except (ConfigurationError, OSError, ValueError, KeyError, TypeError, yaml.YAMLError):
        return {}
    return dict(values) if isinstance(values, dict) else {}
