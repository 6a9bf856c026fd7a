"""The authors' released taxonomy, read from the folder they published, and kept parsed in the user's cache.

Two releases exist: 2025, as `format.csv`, `synonym.xlsx` and `wheel1.xlsx` to `wheel5.xlsx`, which the paper's numbers
need; and 2026, as one `.npz` file. This package has no part of them: the user supplies the folder. Reading the
spreadsheets takes tenths of a second, so the result is kept as an `.npz` file without pickles, named by the hash of the
sources. Changed sources are read again, and loading takes milliseconds. `taxonomy.py` reads with this module,
`taxonomy_choice.py` loads what is kept.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from affect_lightning.errors import ConfigurationError, DataError
from affect_lightning.metrics.wheels import Wheel
from affect_lightning.safe_npz import read_npz
from affect_lightning.spreadsheet import read_spreadsheet
from affect_lightning.storage import user_cache_folder, write_whole

WHEEL_COUNT = 5
FORMS_NAME, SYNONYMS_NAME = "format.csv", "synonym.xlsx"
NPZ_NAME = "wheel_mapping_2026.npz"
RELEASES = ("2025", "2026")
_LEVEL_COLUMNS = ("level1", "level2", "level3")

TaxonomyTables = tuple[dict[str, tuple[str, ...]], dict[str, tuple[str, ...]], tuple[Wheel, ...]]
_READING = 1  # raise it when official_tables.py reads something differently, so that older results are not used
_log = logging.getLogger(__name__)


def release_of(path: Path) -> str:
    """Which release a folder or file holds: 2026 for an `.npz` file or a folder with only that, else 2025."""
    if path.suffix == ".npz":
        return "2026"
    older = any(file.exists() for file in source_files(path, "2025"))
    return "2026" if (path / NPZ_NAME).is_file() and not older else "2025"


def source_files(path: Path, release: str) -> list[Path]:
    """The files of a release.

    Args:
        path: Folder of the release; of 2026 also the `.npz` file itself.
        release: `2025` or `2026`.

    Raises:
        ConfigurationError: Another release is asked for.
    """
    if release == "2025":
        wheels = [path / f"wheel{number}.xlsx" for number in range(1, WHEEL_COUNT + 1)]
        return [path / FORMS_NAME, path / SYNONYMS_NAME, *wheels]
    if release == "2026":
        return [path if path.suffix == ".npz" else path / NPZ_NAME]
    raise ConfigurationError(f"There is no official taxonomy release {release!r}. Choose one of {', '.join(RELEASES)}.")


def read_release(path: Path, release: str) -> TaxonomyTables:
    """Read a release; see `source_files` for the arguments and `read_release_2025` for what is returned and raised."""
    files = source_files(path, release)
    return read_release_2025(path) if release == "2025" else read_release_2026(files[0])


def read_release_2025(folder: Path) -> TaxonomyTables:
    """Read the 2025 release.

    Args:
        folder: With `format.csv`, `synonym.xlsx` and the five wheels.

    Returns:
        Word form to its base words, base word to its wheel words (sorted), and the wheels.

    Raises:
        DataError: A file is missing or is not as published; the message names file, row and column.
    """
    if not folder.is_dir():
        raise DataError(
            f"The official taxonomy folder {folder} does not exist; expected a folder with format.csv, synonym.xlsx "
            f"and wheel1.xlsx to wheel{WHEEL_COUNT}.xlsx."
        )
    forms, synonyms, *wheels = source_files(folder, "2025")
    return _read_forms(forms), _read_synonyms(synonyms), tuple(_read_wheel(wheel) for wheel in wheels)


def _read_forms(path: Path) -> dict[str, tuple[str, ...]]:
    bases: dict[str, list[str]] = {}
    for number, (name, forms) in _csv_rows(path, ("name", "format")):
        if not name:
            raise DataError(f"{path}, row {number}, column name: the cell is empty; expected an emotion word.")
        for form in forms.split(","):
            bases.setdefault(form.strip().lower(), []).append(name.lower())
    bases.pop("", None)  # a word without forms, or a trailing comma, is no word form
    return {form: tuple(dict.fromkeys(names)) for form, names in bases.items()}


def _csv_rows(path: Path, columns: tuple[str, str]) -> Iterator[tuple[int, list[str]]]:
    """Line number and stripped cells of each row below the header, which must be `columns`."""
    reader = csv.reader(io.StringIO(_utf8_text(path), newline=""), strict=True)
    try:
        header = [cell.strip() for cell in next(reader, [])]
        if tuple(header) != columns:
            raise DataError(f"{path}, row 1: expected the columns {' and '.join(columns)}, got {header}.")
        for cells in reader:
            if cells and len(cells) != len(columns):
                column = f"column {len(columns) + 1}" if cells[len(columns) :] else f"column {columns[len(cells)]}"
                raise DataError(
                    f"{path}, row {reader.line_num}, {column}: the row has {len(cells)} cells, expected {len(columns)} "
                    f"({', '.join(columns)}). Put quotes around a cell with commas."
                )
            if cells:
                yield reader.line_num, [cell.strip() for cell in cells]
    except csv.Error as error:
        raise DataError(
            f"{path}, row {reader.line_num}: cannot be read as CSV: {error}. Copy the file again."
        ) from error


def _utf8_text(path: Path) -> str:
    try:
        content = path.read_bytes()
        return content.decode("utf-8-sig")
    except FileNotFoundError as error:
        raise DataError(f"{path} does not exist; expected the word forms of the official taxonomy.") from error
    except UnicodeDecodeError as error:
        row = content.count(b"\n", 0, error.start) + 1
        place = error.start - content.rfind(b"\n", 0, error.start)
        raise DataError(
            f"{path}, row {row}, byte {place} of the row: {content[error.start : error.start + 1]!r} is not UTF-8. "
            "Copy the file again, or save it as UTF-8."
        ) from error
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}.") from error


def _read_synonyms(path: Path) -> dict[str, tuple[str, ...]]:
    wheel_words: dict[str, set[str]] = {}
    rows = read_spreadsheet(path)
    header = [cell.strip() for cell in rows[0]] if rows else []
    if len(header) < 2 or len(header) % 2 or not header[0].startswith("word"):
        raise DataError(f"{path}, row 1: expected pairs of columns word and synonym, got {header}.")
    for number, row in enumerate(rows[1:], start=2):
        cells = [cell.strip().lower() for cell in [*row, *[""] * (len(header) - len(row))]]
        if any(cells[len(header) :]):
            raise DataError(
                f"{path}, row {number}, column {len(header) + 1}: the cell has no heading. Copy the file again."
            )
        for place in range(0, len(header), 2):
            word, synonyms = cells[place : place + 2]
            if bool(word) != bool(synonyms):
                empty = header[place + 1 if word else place]
                raise DataError(
                    f"{path}, row {number}, column {empty}: the cell is empty next to {(word or synonyms)!r}; expected "
                    "a word and its synonyms."
                )
            for synonym in (word, *synonyms.split(",")) if word else ():
                wheel_words.setdefault(synonym.strip(), set()).add(word)
    wheel_words.pop("", None)
    return {word: tuple(sorted(words)) for word, words in wheel_words.items()}


def _read_wheel(path: Path) -> Wheel:
    rows = read_spreadsheet(path)
    header = [cell.strip() for cell in rows[0]] if rows else []
    if header[:3] != list(_LEVEL_COLUMNS):
        raise DataError(f"{path}, row 1: expected the columns {', '.join(_LEVEL_COLUMNS)}, got {header}.")
    filled: list[tuple[str, str, str]] = []
    above = ["", "", ""]
    for number, row in enumerate(rows[1:], start=2):
        cells = [cell.strip() for cell in [*row[:3], *[""] * (3 - len(row))]]
        if not any(cells):
            continue
        above = [cell or before for cell, before in zip(cells, above, strict=True)]
        if not cells[2] or not all(above):
            column = "level3" if not cells[2] else _LEVEL_COLUMNS[above.index("")]
            raise DataError(f"{path}, row {number}, column {column}: the cell is empty; expected an emotion word.")
        filled.append((above[0], above[1], above[2]))
    return Wheel.from_rows(filled)


def read_release_2026(path: Path) -> TaxonomyTables:
    """Read the 2026 release without executing its pickles.

    Args:
        path: The `.npz` file.

    Returns:
        As `read_release_2025`.

    Raises:
        DataError: The file is missing, broken, not as published, or wants to execute something.
    """
    content = read_npz(path)
    forms = _word_lists(content, "format_mapping", path)
    synonyms = {base: tuple(sorted(words)) for base, words in _word_lists(content, "raw_mapping", path).items()}
    maps = content.get("wheel_map_whole")
    if not isinstance(maps, dict) or sorted(maps) != [f"wheel{number}" for number in range(1, WHEEL_COUNT + 1)]:
        raise DataError(f"{path}, member wheel_map_whole: expected wheel1 to wheel{WHEEL_COUNT}, got {_brief(maps)}.")
    wheels = tuple(_wheel_from_maps(maps[name], f"{path}, {name}") for name in sorted(maps))
    return forms, synonyms, wheels


def _wheel_from_maps(levels: Any, where: str) -> Wheel:
    if not isinstance(levels, Mapping) or not {"level1", "level2"} <= set(levels):
        raise DataError(f"{where}: expected the maps level1 and level2, got {_brief(levels)}.")
    for level in ("level1", "level2"):
        words = levels[level]
        if not isinstance(words, Mapping) or not all(type(text) is str for pair in words.items() for text in pair):
            raise DataError(f"{where}, {level}: expected words to sector names, got {_brief(words)}.")
    different = sorted(set(levels["level1"]) ^ set(levels["level2"]))
    if different:
        raise DataError(f"{where}: the word {different[0]!r} is on one of the levels only; expected both.")
    return Wheel(inner=dict(levels["level1"]), middle=dict(levels["level2"]))


def _word_lists(content: Mapping[str, Any], member: str, path: Path) -> dict[str, tuple[str, ...]]:
    table = content.get(member)
    if not isinstance(table, dict):
        raise DataError(f"{path}: expected a member {member} with a dict, got {_brief(table)}.")
    for word, words in table.items():
        if type(word) is not str or not isinstance(words, list | tuple) or not all(type(item) is str for item in words):
            raise DataError(f"{path}, member {member}, key {word!r}: expected a list of words, got {_brief(words)}.")
    return {word: tuple(dict.fromkeys(words)) for word, words in table.items()}


def _brief(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


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
        _log.info("The parsed taxonomy cannot be kept in the cache: %s", error)
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
