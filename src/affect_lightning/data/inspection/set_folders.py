"""Which sets lie in a folder: training sets by folder or label file, test sets by their folder.

Paper: Appendix C and Table 11. `annotations.py` reads what is found here; `corpora` has the layouts.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from affect_lightning.corpora import TRAINING_SETS, BenchmarkSet, TrainingSet, find_benchmark_set, known_sets
from affect_lightning.corpora.own_tables import is_own_table
from affect_lightning.errors import DataError


@dataclass(frozen=True)
class FoundSet:
    """A set to check.

    Attributes:
        key: Of the set; the path of the file for a table of the user's own.
        role: Whether it is trained or tested on.
        root: What the readers take: the folder above the set's folder, or that folder; the table's own path.
        folder: The set's folder.
        item: Its row in the table of the sets; None for a table of the user's own.
    """

    key: str
    role: Literal["training", "test"]
    root: Path
    folder: Path
    item: BenchmarkSet | TrainingSet | None = None


def find_sets(root: Path) -> list[FoundSet]:
    """Every known set in a folder, or the one that the folder itself is.

    Raises:
        DataError: The folder is missing, or holds none.
    """
    if not root.is_dir():
        raise DataError(f"The folder {root} is missing. Give the folder that holds the sets, or one set's folder.")
    root = root.resolve()
    found: list[FoundSet] = []
    for key, item in TRAINING_SETS.items():
        for folder in (root, root / key):
            if (folder / item.label_file).is_file() or (folder.name == key and folder.is_dir()):
                found.append(FoundSet(key, "training", root, folder, item))
                break
    sets = known_sets(root)
    for key, benchmark in sets.items():
        folder = root if root.name == benchmark.folder else root / benchmark.folder
        if folder.is_dir():
            found.append(FoundSet(key, "test", root, folder, benchmark))
    if not found:
        expected = [*TRAINING_SETS, *(item.folder for item in sets.values())]
        raise DataError(
            f"{root} holds no official set. Expected one or more of the folders {', '.join(expected)}, or one of them "
            f"itself; `affect-lightning sandbox --out DIR` writes such folders."
        )
    return found


def named_sets(keys: tuple[str, ...], role: Literal["training", "test"], root: Path | None) -> list[FoundSet]:
    """The sets that a configuration names, found or not.

    Args:
        keys: Of known sets, or paths of tables.
        role: Of all of them.
        root: `train_root` or `benchmark_root`.

    Raises:
        DataError: A set is named, but `root` is not set.
    """
    sets = []
    for key in keys:
        if is_own_table(key):
            inside = root / key if root is not None else Path(key)
            path = inside if inside.is_file() else Path(key).expanduser()
            sets.append(FoundSet(key, role, path, path.parent))
            continue
        if root is None:
            option = "train_root" if role == "training" else "benchmark_root"
            raise DataError(f"The configuration names the set {key}, but data.{option} is not set. Give it, or --data.")
        item = TRAINING_SETS.get(key) or find_benchmark_set(key, root)
        folder = root if root.name == item.folder or not (root / item.folder).is_dir() else root / item.folder
        sets.append(FoundSet(key, role, root, folder, item))
    return sets
