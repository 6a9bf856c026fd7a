"""Finds an exported folder: here, or by its name on a Hugging Face hub, at a revision that may be pinned (ours).

`affect_lightning.hub.fetching` fetches it, `affect_lightning.model.exported_folder` has the format.
"""

from __future__ import annotations

import re
from pathlib import Path

from affect_lightning.errors import CheckpointError, ConfigurationError

_HUB_NAME = re.compile(r"[\w][\w.-]*/[\w][\w.-]*")


def check_place(name: str, what: str = "a folder of `affect-lightning export`") -> None:
    """Say that a folder is missing before a network is loaded, which takes seconds.

    Args:
        name: A folder or file, or OWNER/NAME of a model on the hub, which is not asked.
        what: Is expected there, for the message.

    Raises:
        CheckpointError: There is nothing of that name here, and a hub has no such names.
    """
    if not Path(name).expanduser().exists() and not _HUB_NAME.fullmatch(name):
        raise CheckpointError(
            f"There is no folder {name}. Give {what}, or OWNER/NAME of a model on a Hugging Face hub."
        )


def exported_place(name: str | Path, revision: str | None = None) -> Path:
    """The folder that a name means; one that is here wins over one on the hub.

    Args:
        name: A folder, or OWNER/NAME of a model on the hub.
        revision: Commit, tag or branch on the hub; None means its main branch.

    Raises:
        CheckpointError: There is no such folder and no such model, or the hub cannot be asked.
    """
    folder = Path(name).expanduser()
    if folder.exists() or isinstance(name, Path) or not _HUB_NAME.fullmatch(name):
        if revision is not None:
            raise CheckpointError(f"Leave revision out: {name} is a folder, and only a model on the hub has revisions.")
        return folder
    from affect_lightning.hub.fetching import fetched_export, hub_errors

    try:
        with hub_errors(name):
            return fetched_export(name, revision)
    except ConfigurationError as error:
        at = f" at the revision {revision}" if revision is not None else ""
        raise CheckpointError(
            f"There is no folder {name}, and the hub does not give this model{at}. {error}"
        ) from error
