"""Parsed official tables in the user's cache, so that loading them takes milliseconds.

Reading the spreadsheets takes tenths of a second. The result is kept as an `.npz` file without pickles, named by the
hash of the sources, so that changed sources are read anew. `taxonomy_choice.py` loads through this module;
`official_tables.py` parses.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from affect_lightning.errors import DataError
from affect_lightning.metrics.official_tables import TaxonomyTables, read_release, source_files
from affect_lightning.metrics.wheels import Wheel
from affect_lightning.safe_npz import read_npz
from affect_lightning.storage import user_cache_folder, write_whole

_READING = 1  # raise it when official_tables.py reads something differently, so that older results are not used

_log = logging.getLogger(__name__)


def load_tables(path: Path, release: str) -> TaxonomyTables:
    """The tables of an official release, parsed now or earlier.

    A cache that cannot be read or written is only logged: it saves time and nothing else.

    Args:
        path: As for `read_release`.
        release: `2025` or `2026`.

    Raises:
        DataError: See `read_release`.
    """
    try:
        kept = user_cache_folder("taxonomies", "parsed", f"{_sources_hash(path, release)}.npz")
    except OSError:
        return read_release(path, release)  # it says which file is missing or unreadable
    if kept.is_file():
        try:
            return _unpacked(read_npz(kept))
        except DataError as error:
            _log.warning("The parsed taxonomy in the cache is not used: %s", error)
    tables = read_release(path, release)
    try:
        _write(kept, tables)
    except OSError as error:
        _log.info("The parsed taxonomy is not kept: %s", error)
    return tables


def _sources_hash(path: Path, release: str) -> str:
    digest = hashlib.sha256(f"{_READING} {release}".encode())
    for file in source_files(path, release):
        digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()


def _write(path: Path, tables: TaxonomyTables) -> None:
    forms, synonyms, wheels = tables
    parts = {"forms": forms, "synonyms": synonyms, "wheels": [[dict(one.inner), dict(one.middle)] for one in wheels]}
    arrays = {name: np.frombuffer(json.dumps(part).encode(), np.uint8) for name, part in parts.items()}
    write_whole(path, lambda file: np.savez(file, allow_pickle=False, **arrays))  # type: ignore[arg-type]


def _unpacked(content: Mapping[str, Any]) -> TaxonomyTables:
    try:
        forms, synonyms, wheels = (json.loads(content[name].tobytes()) for name in ("forms", "synonyms", "wheels"))
        return (
            {form: tuple(bases) for form, bases in forms.items()},
            {base: tuple(words) for base, words in synonyms.items()},
            tuple(Wheel(inner=inner, middle=middle) for inner, middle in wheels),
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise DataError(f"its content is broken ({type(error).__name__}: {error})") from error
