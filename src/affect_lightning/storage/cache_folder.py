"""Where this package keeps what it downloads or computes once: one folder of the user's."""

from __future__ import annotations

import os
from pathlib import Path

CACHE_VARIABLE = "AFFECT_LIGHTNING_CACHE"


def user_cache_folder(*names: str) -> Path:
    """The folder that `AFFECT_LIGHTNING_CACHE` names, or one in it by name, such as `face_boxes`. Nothing is made.

    Without the variable it is `affect-lightning` in `XDG_CACHE_HOME`, which counts if it is an absolute path (XDG Base
    Directory Specification), else in `~/.cache`.
    """
    named = os.environ.get(CACHE_VARIABLE)
    if named:
        return Path(named).expanduser().joinpath(*names)
    base = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return (base if base.is_absolute() else Path.home() / ".cache").joinpath("affect-lightning", *names)
