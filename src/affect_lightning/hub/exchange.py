"""Exported folders to a Hugging Face hub and back, with a model card (ours).

Only the files of an export are sent: weights as safetensors, descriptions as JSON, the card. Anything else in the folder is
refused by name, because clips and annotations of the corpora stand under agreements that forbid passing them on. What
comes back is checked as every exported folder is, and no other file is fetched.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from affect_lightning.errors import CheckpointError
from affect_lightning.hub.fetching import fetched_export, hub_errors
from affect_lightning.hub.model_card import CardFacts, is_local, model_card
from affect_lightning.model.exported_folder import EXPORTED_FILES, exported_configuration, read_exported
from affect_lightning.storage import whole_path
from affect_lightning.unibench.report.content import Report

CARD = "README.md"
_CARDS = (CARD, "adapter/README.md")  # peft writes the second one; it says nothing, so it is not sent


@dataclass(frozen=True)
class Pushed:
    """What was sent.

    Attributes:
        address: Of the model on the hub.
        commit: Of this state.
        files: Names.
    """

    address: str
    commit: str
    files: tuple[str, ...]


def files_to_push(folder: Path) -> list[str]:
    """The files of an export that are sent.

    Raises:
        CheckpointError: It is no exported folder, or holds something else as well, or a path of this machine.
    """
    exported_configuration(folder)
    there = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    others = [name for name in there if name not in EXPORTED_FILES and name not in _CARDS]
    if others:
        shown = ", ".join(others[:5]) + (f" and {len(others) - 5} more" if len(others) > 5 else "")
        raise CheckpointError(
            f"Move everything else out of {folder}: only an export is pushed, and this folder has {shown}. Clips, annotations "
            f"and responses of the corpora stand under agreements that forbid passing them on."
        )
    for name in there:
        if name.endswith(".json"):
            _check_paths(folder / name)
    return [name for name in there if name in EXPORTED_FILES]


def _check_paths(path: Path) -> None:
    content = json.loads(path.read_text(encoding="utf-8"))
    found = [f"{key} ({value})" for key, value in _texts(content) if is_local(value)]
    if found:
        raise CheckpointError(
            f"Export again with names of the hub in the place of paths, or edit {path}: others cannot use paths of this "
            f"machine, and they would become public. Found: {'; '.join(found)}."
        )


def _texts(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        yield name, value
    elif isinstance(value, Mapping):
        for key, one in value.items():
            yield from _texts(one, f"{name}.{key}" if name else str(key))
    elif isinstance(value, list):
        for one in value:
            yield from _texts(one, name)


def card_of(folder: Path, repository: str, facts: CardFacts, report: Report | None) -> str:
    """The card of an exported folder; see `model_card` for the arguments and `files_to_push` for errors."""
    configuration, options = exported_configuration(folder)
    return model_card(repository, configuration, options, facts, report)


def push_export(
    folder: Path, repository: str, card: str, *, public: bool = False, revision: str | None = None
) -> Pushed:
    """Send an export with its card; the repository is made if it is missing.

    Args:
        folder: The exported folder.
        repository: `user/name`.
        card: From `card_of`.
        public: Whether a new repository can be seen by everybody.
        revision: Branch; the main one by default.

    Raises:
        CheckpointError: See `files_to_push`.
        ConfigurationError: The hub refuses, or cannot be reached.
    """
    from huggingface_hub import CommitOperationAdd, HfApi

    names = files_to_push(folder)
    with hub_errors(repository):
        api = HfApi(library_name="affect-lightning")
        api.create_repo(repository, private=not public, exist_ok=True)
        operations = [CommitOperationAdd(name, str(folder / name)) for name in names]
        operations.append(CommitOperationAdd(CARD, card.encode("utf-8")))
        done = api.create_commit(
            repository, operations, commit_message="Weights and card of affect-lightning", revision=revision
        )
    return Pushed(f"{api.endpoint}/{repository}", str(done.oid), (*names, CARD))


def pull_export(repository: str, folder: Path, *, revision: str | None = None) -> str:
    """Fetch an export into a new folder, which appears whole or not at all.

    Args:
        repository: `user/name`.
        folder: Must not exist or be empty.
        revision: Branch, tag or commit; the main branch by default.

    Returns:
        The commit.

    Raises:
        CheckpointError: The folder is taken, or the repository holds no export.
        ConfigurationError: The hub refuses, or cannot be reached.
    """
    from huggingface_hub import HfApi

    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise CheckpointError(f"Choose another folder: {folder} exists and is not empty.")
    with TemporaryDirectory(prefix="affect-lightning-pull-") as temporary:
        with hub_errors(repository):
            commit = str(HfApi(library_name="affect-lightning").model_info(repository, revision=revision).sha)
            found = fetched_export(repository, commit, CARD, into=Path(temporary) / "model")
        try:
            read_exported(found)
        except CheckpointError as error:
            raise CheckpointError(
                f"Choose another model: {repository} holds no export of affect-lightning. {error}"
            ) from error
        try:
            with whole_path(folder) as place:
                place.mkdir()
                for name in (*EXPORTED_FILES, CARD):
                    if (found / name).is_file():
                        (place / name).parent.mkdir(exist_ok=True)
                        shutil.copyfile(found / name, place / name)
        except OSError as error:
            raise CheckpointError(
                f"Free space, or choose another folder: {folder} cannot be written ({error})."
            ) from error
    return commit
