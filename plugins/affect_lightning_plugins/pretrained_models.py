"""Where the weights of a pretrained encoder come from; they are loaded completely or not at all.

Paper, Section 3.1: the encoders are taken as published and stay frozen, so a result names its weights: a folder, or a
hub name at a pinned commit. Code from either is never run. The same architecture can be built without weights: random
ones on request, and none where torch's default device is `meta`, as `affect-lightning summary` counts. The shared
modules of `video_encoders` and `audio_encoders` call this. Language models also have tokenizers and adapters, and their
own `language_models/model_files.py`.
"""

from __future__ import annotations

import json
import logging
import pickle
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import torch

from affect_lightning.errors import ConfigurationError
from affect_lightning.weights import WeightDifferences, builds_without_weights
from affect_lightning_plugins import transformers_versions

Weights = Literal["pretrained", "random"]
_HUB_NAME = re.compile(r"[\w.-]+(/[\w.-]+)?")
_REMEDY = "The files are incomplete or belong to another model: download them again, or choose the encoder that fits."
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Release:
    """A published model that a plugin names by default.

    Attributes:
        name: On the hub.
        revision: Its commit there; empty where none is known for sure, so that the user must give one.
        configuration: Values of the library's configuration class that give the published architecture.
    """

    name: str
    revision: str = ""
    configuration: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class ModelSource:
    """One model of the library transformers: which, at which revision, with which weights.

    Attributes:
        model: Folder with config.json and weights, or hub name.
        revision: Commit, tag or branch on the hub; None: the release's commit.
        weights: `pretrained`, or `random` for the architecture alone.
        seed: Of random weights; they are in no checkpoint, so the same seed must give the same ones.
        release: What is known about the plugin's default model.

    Raises:
        ConfigurationError: `model` is neither a folder nor a hub name, or the revision does not go with it.
    """

    model: str
    revision: str | None = None
    weights: Weights = "pretrained"
    seed: int = 0
    release: Release | None = None

    def __post_init__(self) -> None:
        refuse_revision_of_folder(self.model, self.revision)
        if self.folder is not None:
            return
        if not _HUB_NAME.fullmatch(self.model):
            raise ConfigurationError(
                f"The model folder {self.model!r} does not exist. Give an existing folder with config.json and "
                f"weights, or a hub name such as 'openai/clip-vit-large-patch14'."
            )
        if self.reads_weights and self._hub_revision is None:
            raise ConfigurationError(
                f"The hub name {self.model!r} needs a pinned revision. Otherwise its weights could change under a result. "
                f"Give `revision: COMMIT` (the model's page shows it under 'Files and versions', 'History'; "
                f"`main` follows the newest), or a local folder as `model`."
            )

    @property
    def folder(self) -> Path | None:
        """The local folder; None for a hub name."""
        path = Path(self.model).expanduser()
        return path if path.is_dir() else None

    @property
    def reads_weights(self) -> bool:
        """False where the architecture is enough: random weights, or the meta device."""
        return self.weights == "pretrained" and not builds_without_weights()

    @property
    def _released(self) -> bool:
        return self.folder is None and self.release is not None and self.release.name == self.model

    @property
    def _hub_revision(self) -> str | None:
        pinned = self.release.revision if self._released and self.release else None
        return self.revision or pinned or None

    @property
    def _place(self) -> str:
        return str(self.folder) if self.folder is not None else self.model

    @property
    def published_configuration(self) -> dict[str, Any] | None:
        """The release's configuration where it is this model and no file is read; else None."""
        if self.reads_weights or not self._released or self.release is None or not self.release.configuration:
            return None
        return dict(self.release.configuration)

    def file(self, name: str) -> Path | None:
        """A file of the model; None where there is none, or where a published architecture needs no file.

        Raises:
            ConfigurationError: The hub cannot be reached.
        """
        if self.folder is not None:
            path = self.folder / name
            return path if path.is_file() else None
        if self.published_configuration is not None:
            return None
        from transformers.utils import cached_file

        try:
            found = cached_file(
                self.model, name, revision=self._hub_revision, _raise_exceptions_for_missing_entries=False
            )
        except (OSError, ValueError) as error:
            raise ConfigurationError(_unreadable(self.model, error)) from error
        return Path(found) if found else None

    def settings(self, name: str) -> dict[str, Any] | None:
        """A JSON file of the model, such as `preprocessor_config.json`; None where there is none.

        Raises:
            ConfigurationError: The file cannot be read.
        """
        path = self.file(name)
        if path is None:
            return None
        try:
            read = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise ConfigurationError(f"{path} cannot be read as JSON: {error}. Fix or replace the file.") from error
        if not isinstance(read, dict):
            raise ConfigurationError(f"{path} holds {type(read).__name__}; expected an object. Replace the file.")
        return read

    def configuration(self, configuration_class: Any, model_types: Sequence[str]) -> Any:
        """The model's configuration object.

        Args:
            configuration_class: Of transformers.
            model_types: Accepted `model_type` of config.json; a part of a larger model counts by the larger one's.

        Raises:
            ConfigurationError: There is no configuration, or it is of another type.
        """
        published = self.published_configuration
        if published is not None:
            return configuration_class(**published)
        if self.folder is not None and not (self.folder / "config.json").is_file():
            raise ConfigurationError(
                f"The model folder {self.folder} has no config.json. Give the folder that `save_pretrained` wrote, or "
                f"the folder with the downloaded files of the hub."
            )
        found = self.read(transformers_versions.configuration_class().get_config_dict)[0].get("model_type")
        if model_types and found not in model_types:
            raise ConfigurationError(
                f"{self._place} holds a model of the type {found!r}; this encoder takes {', '.join(model_types)}. The "
                f"encoders hf-image and hf-audio take other models of transformers."
            )
        return self.read(configuration_class.from_pretrained)

    def read(self, reader: Any, **options: Any) -> Any:
        """Call a reader of transformers, such as a class's `from_pretrained`, with this source.

        Raises:
            ConfigurationError: The reader fails.
        """
        from huggingface_hub.errors import StrictDataclassError
        from safetensors import SafetensorError

        if self.folder is None:
            options["revision"] = self._hub_revision
        unreadable = (OSError, ValueError, KeyError, RuntimeError, EOFError, pickle.UnpicklingError)
        try:
            with _without_loading_report():
                return reader(self._place, **options)
        except (*unreadable, SafetensorError, StrictDataclassError) as error:
            raise ConfigurationError(_unreadable(self._place, error)) from error

    def network(
        self,
        model_class: Any,
        configuration: Any,
        *,
        surplus: Sequence[str] = (),
        dispensable: Sequence[str] = (),
        renaming: Mapping[str, str] | None = None,
    ) -> Any:
        """Build the model and fill it, or raise.

        Args:
            model_class: Of transformers.
            configuration: From `configuration`.
            surplus: Regular expressions for stored weights that this part of a larger model does not have, such as a
                text tower's. All others are an error.
            dispensable: Regular expressions for weights that are never read in evaluation and may be missing.
            renaming: Regular expressions of stored names and what to put for them.

        Returns:
            The model in eval mode, its parameters without gradient.

        Raises:
            ConfigurationError: Weights cannot be read, are missing, unexpected or of another shape; the message lists
                them.
        """
        if self.reads_weights:
            model = self._filled(model_class, configuration, surplus, dispensable, renaming)
        else:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(self.seed)
                model = model_class(configuration)
            if builds_without_weights():
                model.to("meta")  # some classes make small tensors on the processor
        _LOG.info("%s: %s", model_class.__name__, self.description(model.config))
        return model.eval().requires_grad_(False)

    def _filled(
        self,
        model_class: Any,
        configuration: Any,
        surplus: Sequence[str],
        dispensable: Sequence[str],
        renaming: Mapping[str, str] | None,
    ) -> Any:
        model, report = self.read(
            model_class.from_pretrained,
            config=configuration,
            trust_remote_code=False,
            dtype=torch.float32,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # so that they are listed below, with all others
            **({"key_mapping": dict(renaming)} if renaming else {}),
        )
        found = transformers_versions.loading_differences(report)
        found = replace(
            found, missing=names_without(found.missing, dispensable), surplus=names_without(found.surplus, surplus)
        )
        self.refuse(found, model_class.__name__)
        return model

    def refuse(self, differences: WeightDifferences, network: str) -> None:
        """Raise a ConfigurationError if weights of this source do not fill a network exactly."""
        differences.refuse(self._place, network, _REMEDY, ConfigurationError)

    def description(self, configuration: Any = None) -> str:
        """What was built, for logs and reports: place and revision, or that nothing was learnt.

        Args:
            configuration: Of the loaded model; the hub's cache writes the commit into it.
        """
        if not self.reads_weights:
            return f"{self.model}, architecture only ({'meta device' if builds_without_weights() else f'seed {self.seed}'})"
        if self.folder is not None:
            return str(self.folder)
        return f"{self.model} at {getattr(configuration, '_commit_hash', None) or self._hub_revision}"


def refuse_revision_of_folder(model: str, revision: str | None) -> None:
    """Refuse a revision that would have no effect.

    Args:
        model: Folder or hub name.
        revision: Of a hub name.

    Raises:
        ConfigurationError: There is a revision, and the model is a folder.
    """
    if revision is not None and Path(model).expanduser().is_dir():
        raise ConfigurationError(
            f"Remove `revision: {revision}`: it chooses a version of a hub name, but {model!r} is a folder."
        )


@contextmanager
def _without_loading_report() -> Iterator[None]:
    """Keep transformers from printing a table of surplus weights: those that count are an error here."""
    logger = logging.getLogger("transformers.modeling_utils")
    logger.addFilter(_is_no_report)
    try:
        yield
    finally:
        logger.removeFilter(_is_no_report)


def _is_no_report(record: logging.LogRecord) -> bool:
    return "LOAD REPORT" not in record.getMessage()


def names_without(names: Sequence[str], patterns: Sequence[str]) -> tuple[str, ...]:
    """The names in which none of the regular expressions is found."""
    return tuple(name for name in names if not any(re.search(pattern, name) for pattern in patterns))


def _unreadable(place: str, error: Exception) -> str:
    reason = " ".join(str(error).split())[:300].rstrip(".")
    return (
        f"The model {place!r} cannot be read: {type(error).__name__}: {reason}. Give a folder with config.json and "
        f"weights, or a hub name and network access; models with Python code of their own are not supported."
    )
