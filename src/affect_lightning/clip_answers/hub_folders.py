"""Finds an exported folder: here, or by its name on a Hugging Face hub, at a revision that may be pinned (ours).

Only the files of an exported folder are fetched: JSON and safetensors, nothing that could run. huggingface_hub keeps them in
its cache and asks the endpoint that `HF_ENDPOINT` names. `affect_lightning.model.exported_folder` has the format.
"""

from __future__ import annotations

import re
from pathlib import Path

from affect_lightning.errors import CheckpointError
from affect_lightning.model.exported_folder import EXPORTED_FILES

_HUB_NAME = re.compile(r"[\w][\w.-]*/[\w][\w.-]*")


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
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(name, revision=revision, allow_patterns=list(EXPORTED_FILES)))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        reason = " ".join(str(error).split())
        at = f" at the revision {revision}" if revision is not None else ""
        raise CheckpointError(
            f"Correct the name, or download the model first: there is no folder {name}, and the hub does not give a model of "
            f"that name{at} ({reason})."
        ) from error
