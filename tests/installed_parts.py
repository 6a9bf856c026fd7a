"""Distributions made for a test: folders on `sys.path` with metadata and entry points, forgotten afterwards."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def distribution(
    folder: Path, name: str, points: Mapping[str, Mapping[str, str]], version: str = "1.0"
) -> Iterator[None]:
    """Offer plugins.

    Args:
        folder: Put on `sys.path`; may hold the modules.
        name: Of the distribution.
        points: `module:Class` by plugin name, by short group name.
        version: Of the distribution.
    """
    metadata = folder / f"{name.replace('-', '_')}-{version}.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n", encoding="utf-8")
    lines = []
    for group, plugins in points.items():
        lines += [f"[affect_lightning.{group}]", *(f"{plugin} = {target}" for plugin, target in plugins.items())]
    (metadata / "entry_points.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    before = set(sys.modules)
    sys.path.insert(0, str(folder))
    sys.path_importer_cache.clear()
    try:
        yield
    finally:
        sys.path.remove(str(folder))
        for module in set(sys.modules) - before:
            if str(getattr(sys.modules[module], "__file__", None) or "").startswith(str(folder)):
                del sys.modules[module]
