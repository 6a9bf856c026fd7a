"""Which model it was: the hub's commit, or a hash of the files of a folder. Used by `causal_lm.py`."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from affect_lightning.errors import ConfigurationError

# What a model's behaviour depends on: settings, tokenizer, chat template and weights.
_PATTERNS = ("*.json", "*.jinja", "*.model", "*.txt", "*.safetensors", "*.bin")
_CHUNK = 1 << 22  # bytes read at once


def model_revision(model: str, revision: str | None = None) -> str:
    """The revision of a model as text, for scores and cache names.

    Args:
        model: Folder or hub name.
        revision: Commit, tag or branch on the hub.

    Returns:
        `files-` and a hash of a folder's files, or `commit-` and the hub's commit.

    Raises:
        ConfigurationError: The folder cannot be read, or the hub tells no commit.
    """
    folder = Path(model).expanduser()
    return f"files-{_hash_of(folder)[:16]}" if folder.is_dir() else f"commit-{_hub_commit(model, revision)}"


def _hash_of(folder: Path) -> str:
    digest = hashlib.sha256()
    try:
        for path in sorted({path for pattern in _PATTERNS for path in folder.glob(pattern)}):
            digest.update(f"{path.name}\0{path.stat().st_size}\0".encode())
            with path.open("rb") as file:
                while chunk := file.read(_CHUNK):
                    digest.update(chunk)
    except OSError as error:
        raise ConfigurationError(
            f"The model's folder {folder} cannot be read: {error}. Fix its permissions."
        ) from error
    return digest.hexdigest()


def _hub_commit(model: str, revision: str | None) -> str:
    """The commit is the name of the folder in which the hub's cache has the configuration."""
    from transformers.utils import cached_file

    try:
        path = cached_file(model, "config.json", revision=revision)
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split())[:300].rstrip(".")
        raise ConfigurationError(
            f"The language model {model!r} cannot be read: {reason}. Give a folder with config.json, weights and "
            f"tokenizer, or a hub name with network access."
        ) from error
    commit = re.search(r"/snapshots/([0-9a-f]{40})/", Path(str(path)).as_posix())
    if commit is None:
        raise ConfigurationError(
            f"Download the model {model!r} into a folder and give that folder: the hub gives no commit, so answers of "
            f"different revisions could be mixed."
        )
    return commit[1]
