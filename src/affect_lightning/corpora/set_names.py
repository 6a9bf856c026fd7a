"""Set names as people write them: `CMU-MOSI`, `cmu-mosi`, `OV-MERD+` and `MER-SEMI` mean the sets of the table.

A name is that of a set if it has the letters and digits of the set's key, title, folder or one of its aliases, in any
case; `+` is read as `plus`. Reports keep the titles of the table. `known_sets.py` says which sets there are. Standard
library only.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping

from affect_lightning.corpora.sets import BenchmarkSet, TrainingSet
from affect_lightning.errors import DataError

_SHORTEST = 3  # letters that a name must share with the beginning of another to be near it; our choice
_ALIKE = 0.5  # similarity from which on a name is near; our choice, as for plugin names

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
