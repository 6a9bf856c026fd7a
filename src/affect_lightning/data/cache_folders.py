"""Where this package keeps what it has computed: face boxes, encoded features, shards out of storage.

Not in the paper. Neighbours: `box_cache.py`, `feature_cache/` and `streaming/` keep their files there.
"""

from __future__ import annotations

import os
from pathlib import Path


def user_cache_folder(name: str) -> Path:
    """`NAME` in `AFFECT_LIGHTNING_CACHE`, else in `affect-lightning` of the user's cache folder.

    That one is `XDG_CACHE_HOME`, else `~/.cache`.
    """
    named = os.environ.get("AFFECT_LIGHTNING_CACHE")
    if named:
        return Path(named).expanduser() / name
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "affect-lightning" / name
