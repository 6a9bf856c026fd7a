"""Which test sets there are, and what people call them: MER-UniBench's, those of installed packages, and those in folders.

A third party's set is a `BenchmarkSet` behind an entry point of the group `affect_lightning.benchmark_sets`, named by the
set's key. Or it is a folder with a `benchmark_set.yaml`, which has the attributes of `BenchmarkSet` except key and folder:
both are the folder's name. Either is read, tested and scored like the nine sets, and never enters their mean (`Suite`).
A name such as `CMU-MOSI`, `cmu-mosi` or `OV-MERD+` means a set if it has the letters and digits of the set's key, title,
folder or one of its aliases, in any case; `+` is read as `plus`. Reports show the titles of the table.
"""

from __future__ import annotations

import contextlib
import difflib
import importlib
import logging
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields
from functools import lru_cache
from operator import attrgetter
from pathlib import Path
from typing import Any

from affect_lightning.corpora.file_texts import read_text
from affect_lightning.corpora.sets import MER_UNIBENCH, TRAINING_SETS, BenchmarkSet, TrainingSet
from affect_lightning.errors import DataError
from affect_lightning.plugin_loading.listing import PluginListing, list_entries, nearest_hint

_SHORTEST = 3  # letters that a name must share with the beginning of another to be near it; our choice
_ALIKE = (
    0.6  # similarity from which on a name is near; our choice: 0.5 would take `mine`, a set of one's own, for `cmumosi`
)

Sets = Mapping[str, BenchmarkSet] | Mapping[str, BenchmarkSet | TrainingSet]


def keys_of(name: str, sets: Sets) -> list[str]:
    """The keys of the sets that a name can mean: one for a clear name, which an exact key always is."""
    if name in sets:
        return [name]
    wanted = _plain(name)
    return [key for key, item in sets.items() if wanted and wanted in _spellings(item)]


def canonical_key(name: str, sets: Sets) -> str:
    """The key of the set that a name means; the name itself where it means none, as that of a set of your own.

    Raises:
        DataError: It can mean several sets, which are named.
    """
    found = keys_of(name, sets)
    if len(found) > 1:
        raise DataError(f"The name {name!r} can mean the sets {' and '.join(found)}. Give one of these keys.")
    return found[0] if found else name


def near_hint(name: str, sets: Sets) -> str:
    """` Did you mean 'mer2023' or 'mer2024'?` for a name near to known ones, with the space before it; else nothing."""
    wanted = _plain(name)
    spellings = {spelling: key for key, item in sets.items() for spelling in _spellings(item)}
    near = [key for spelling, key in spellings.items() if _begin_alike(wanted, spelling)]
    near += [spellings[found] for found in difflib.get_close_matches(wanted, spellings, n=1, cutoff=_ALIKE)]
    named = " or ".join(repr(key) for key in dict.fromkeys(near))
    return f" Did you mean {named}?" if named else ""


def _plain(name: str) -> str:
    return "".join(sign for sign in name.lower().replace("+", "plus") if sign.isalnum())


def _spellings(item: BenchmarkSet | TrainingSet) -> Iterator[str]:
    names: Iterable[str] = (item.key, item.title, item.folder, *item.aliases)
    return (plain for name in names if (plain := _plain(name)))


def _begin_alike(first: str, second: str) -> bool:
    shorter, longer = sorted((first, second), key=len)
    return len(shorter) >= _SHORTEST and longer.startswith(shorter)


GROUP = "benchmark_sets"
DESCRIPTION_FILE = "benchmark_set.yaml"
_OF_THE_FOLDER = ("key", "folder")

_log = logging.getLogger(__name__)


def known_sets(*roots: Path | None) -> dict[str, BenchmarkSet]:
    """Every test set by key: MER-UniBench in the paper's order, installed sets, sets described below the roots.

    An installed set that cannot be used is left out and logged; asked for by name, it is an error.

    Args:
        roots: Folders that contain sets' folders, or are one; whatever is no folder is left out.

    Raises:
        DataError: A `benchmark_set.yaml` cannot be read, or its folder is named like another set.
    """
    installed = _installed(tuple(list_entries(GROUP)))
    sets = {**MER_UNIBENCH.sets, **{key: item for key, item in installed.items() if isinstance(item, BenchmarkSet)}}
    for root in dict.fromkeys(Path(os.path.abspath(root)) for root in roots if root is not None and root.is_dir()):
        for path in sorted([root / DESCRIPTION_FILE, *root.glob(f"*/{DESCRIPTION_FILE}")]):
            if path.is_file():
                item = read_description(path)
                if sets.setdefault(item.key, item) != item or item.key in TRAINING_SETS:
                    raise DataError(f"{path} describes the set {item.key}, which exists already. Rename its folder.")
    return sets


def find_benchmark_set(key: str, *roots: Path | None) -> BenchmarkSet:
    """The set of that key or name.

    Args:
        key: Of the set, or a name that means it (`known_sets.py`).
        roots: See `known_sets`.

    Raises:
        DataError: There is none, with the near ones named; the name can mean several; or it is an installed set that
            cannot be used.
    """
    sets = known_sets(*roots)
    fault = _installed(tuple(list_entries(GROUP))).get(key) if key not in sets else None
    if isinstance(fault, str):
        raise DataError(fault)
    found = sets.get(canonical_key(key, sets))
    if found is None:
        raise DataError(unknown_set(key, sets))
    return found


def unknown_set(key: str, sets: Mapping[str, BenchmarkSet]) -> str:
    """The sentence about a name that no set has."""
    return f"There is no benchmark set {key!r}.{near_hint(key, sets)} The sets are {', '.join(sets)}."


def unknown_hint(key: str, sets: Mapping[str, BenchmarkSet]) -> str:
    """The same with a space before it; nothing for a known name."""
    return "" if key in sets else f" {unknown_set(key, sets)}"


def title_of(key: str, sets: Mapping[str, BenchmarkSet]) -> str:
    """A set's name in tables; the key of a set that nobody knows."""
    item = sets.get(key) or TRAINING_SETS.get(key)
    return item.title if item is not None else key


@lru_cache(maxsize=1)
def _installed(listings: tuple[PluginListing, ...]) -> dict[str, BenchmarkSet | str]:
    """Installed sets by key, or what is wrong with them."""
    found: dict[str, BenchmarkSet | str] = {}
    for listing in listings:
        owner = f"The benchmark set {listing.name!r} of {listing.distribution} {listing.version}"
        taken = listing.name in MER_UNIBENCH.sets or listing.name in TRAINING_SETS
        if taken or listing.name in found:
            found[listing.name] = f"{owner} has the name of another set. Uninstall it, or rename its entry point."
        else:
            try:
                found[listing.name] = _load(listing)
            except (Exception, SystemExit) as error:  # a broken package must not break the scoring of another set
                found[listing.name] = (
                    f"{owner} cannot be used: {str(error).rstrip('.')}. Fix or uninstall {listing.distribution}."
                )
        if isinstance(found[listing.name], str):
            _log.warning("%s", found[listing.name])
    return found


def _load(listing: PluginListing) -> BenchmarkSet:
    module, _, attribute = listing.target.partition(":")
    with contextlib.redirect_stdout(sys.stderr):  # what a package prints is no part of our output
        item = attrgetter(attribute)(importlib.import_module(module))
    if not isinstance(item, BenchmarkSet) or item.key != listing.name:
        raise DataError(f"{listing.target} must be a BenchmarkSet with the key {listing.name!r}; found {item!r}.")
    return item


def read_description(path: Path) -> BenchmarkSet:
    """The set that a `benchmark_set.yaml` describes; its key is the folder's name.

    Raises:
        DataError: The file is unreadable or no YAML mapping, or an attribute is unknown, missing or impossible.
    """
    import yaml

    try:
        content: Any = yaml.safe_load(read_text(path))
    except yaml.YAMLError as error:
        raise DataError(f"{path} cannot be read as YAML: {error}. Fix the file.") from error
    if not isinstance(content, dict):
        raise DataError(f"{path} must be a mapping such as `metric: f_s`; found {type(content).__name__}.")
    known = [item.name for item in fields(BenchmarkSet) if item.name not in _OF_THE_FOLDER]
    for name in content:
        if name not in known:
            hint = nearest_hint(str(name), known)
            raise DataError(f"{path} has the unknown entry {name!r}.{hint} Known are {', '.join(known)}.")
    folder = path.parent.name  # of a link the link's name, by which the folder is found
    values: dict[str, Any] = {"title": folder, "key": folder, "folder": folder}
    values |= {name: tuple(value) if isinstance(value, list) else value for name, value in content.items()}
    try:
        return BenchmarkSet(**values)
    except TypeError as error:
        raise DataError(f"{path} needs the entry `metric`: hit_rate, waf or f_s.") from error
    except DataError as error:
        raise DataError(f"{path}: {error}") from error
