"""Where this package keeps what it has fetched or computed, even if the user's home folder is read-only.

`command_line/program.py` gives libraries a writable place, too.
"""

from __future__ import annotations

import logging
import os
import tempfile
from functools import lru_cache
from pathlib import Path

from affect_lightning.errors import ConfigurationError

CACHE_VARIABLE = "AFFECT_LIGHTNING_CACHE"
_NAME = "affect-lightning"
_log = logging.getLogger(__name__)
# Where libraries keep files that they can make again, and where in the home they do so by themselves.
_LIBRARIES = {
    "MPLCONFIGDIR": ".config/matplotlib",
    "TRITON_CACHE_DIR": ".triton",
    "HF_HOME": ".cache/huggingface",
}


def user_cache_folder(*names: str) -> Path:
    """A folder of this package's cache.

    Args:
        names: Folders in it.

    Returns:
        In the folder that `AFFECT_LIGHTNING_CACHE` names; else in `affect-lightning` in `XDG_CACHE_HOME`, which must be
        an absolute path to count (XDG Base Directory Specification), or in `~/.cache`; where that cannot be written, in
        a folder of the user in the system's temporary folder.

    Raises:
        ConfigurationError: Only the temporary folder can be written, and the folder there is another user's.
    """
    named = os.environ.get(CACHE_VARIABLE)
    if named:
        return Path(named).expanduser().joinpath(*names)
    base = Path(os.environ.get("XDG_CACHE_HOME", ""))
    usual = (base if base.is_absolute() else _home() / ".cache") / _NAME
    return (usual if _can_be_made(usual) else _temporary(usual)).joinpath(*names)


def keep_libraries_out_of_a_home_that_cannot_be_written() -> None:
    """Let matplotlib, Triton and huggingface_hub keep their files next to ours where the home takes none.

    What the user has set stays, and so does a folder that is there: it may hold models to read.
    """
    for variable, usual in _LIBRARIES.items():
        folder = _home() / usual
        if variable not in os.environ and not folder.exists() and not _can_be_made(folder):
            os.environ[variable] = str(user_cache_folder("libraries", variable.lower()))


def _home() -> Path:
    try:
        return Path.home()
    except RuntimeError:  # neither HOME nor an entry for the user
        return Path("/nonexistent")


def _can_be_made(folder: Path) -> bool:
    """Whether a folder, or the first of its parents that exists, may be written."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    # As root every access is granted, but nothing is ever kept in the system's own file systems.
    inside = [place for place in ("/proc", "/sys", "/dev") if folder.is_relative_to(place)]
    return folder.is_dir() and os.access(folder, os.W_OK | os.X_OK) and not inside


@lru_cache(maxsize=1)
def _temporary(usual: Path) -> Path:
    """The user's own folder in the temporary one; told once."""
    user = os.getuid() if hasattr(os, "getuid") else "user"
    folder = Path(tempfile.gettempdir()) / f"{_NAME}-{user}"
    remedy = f"Set {CACHE_VARIABLE} to a folder that you may write"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        owner = folder.lstat().st_uid
    except OSError as error:
        raise ConfigurationError(f"{remedy}; neither {usual} nor {folder} can be written: {error.strerror}.") from error
    if hasattr(os, "getuid") and (owner != os.getuid() or folder.is_symlink()):
        raise ConfigurationError(f"{remedy}; {usual} cannot be written, and {folder} belongs to another user.")
    _log.warning(
        "%s: %s cannot be written, so files are kept in %s. The system may delete them there.", remedy, usual, folder
    )
    return folder
