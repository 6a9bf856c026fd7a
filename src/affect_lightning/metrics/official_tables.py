"""The authors' released taxonomy, read from the folder they published.

Two releases exist (PAPER.md): 2025, as `format.csv`, `synonym.xlsx` and `wheel1.xlsx` to `wheel5.xlsx`, which the
paper's numbers need; and 2026, as one `.npz` file. Nothing of them is part of this package: the user supplies the
folder. `taxonomy.py` calls this module.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from affect_lightning.errors import DataError
from affect_lightning.metrics.spreadsheet import read_spreadsheet
from affect_lightning.metrics.wheels import Wheel
from affect_lightning.safe_npz import read_npz

WHEEL_COUNT = 5
NPZ_NAME = "wheel_mapping_2026.npz"
RELEASES = ("2025", "2026")

TaxonomyTables = tuple[dict[str, tuple[str, ...]], dict[str, tuple[str, ...]], tuple[Wheel, ...]]


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
    wheels = tuple(_read_wheel(folder / f"wheel{number}.xlsx") for number in range(1, WHEEL_COUNT + 1))
    return _read_forms(folder / "format.csv"), _read_synonyms(folder / "synonym.xlsx"), wheels


def _read_forms(path: Path) -> dict[str, tuple[str, ...]]:
    bases: dict[str, list[str]] = {}
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            missing = {"name", "format"} - set(reader.fieldnames or ())
            if missing:
                raise DataError(f"{path}, row 1: expected the columns name and format, got {reader.fieldnames}.")
            for row in reader:
                if not row["name"] or row["format"] is None:
                    raise DataError(f"{path}, row {reader.line_num}: the column name or format is empty: {row}.")
                for form in row["format"].split(","):
                    bases.setdefault(form.strip().lower(), []).append(row["name"].strip().lower())
    except FileNotFoundError as error:
        raise DataError(f"{path} does not exist; expected the word forms of the official taxonomy.") from error
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} cannot be read as CSV: {error}. Copy the file again.") from error
    bases.pop("", None)  # a trailing comma in the table is no word form
    return {form: tuple(dict.fromkeys(names)) for form, names in bases.items()}


def _read_synonyms(path: Path) -> dict[str, tuple[str, ...]]:
    wheel_words: dict[str, set[str]] = {}
    rows = read_spreadsheet(path)
    header = rows[0] if rows else []
    if len(header) < 2 or len(header) % 2 or not header[0].startswith("word"):
        raise DataError(f"{path}, row 1: expected pairs of columns word and synonym, got {header}.")
    for row in rows[1:]:
        cells = [cell.strip().lower() for cell in [*row, *[""] * (len(header) - len(row))]]
        for word, synonyms in zip(cells[::2], cells[1::2], strict=True):
            if word:
                for synonym in (word, *synonyms.split(",")):
                    wheel_words.setdefault(synonym.strip(), set()).add(word)
    return {word: tuple(sorted(words)) for word, words in wheel_words.items()}


def _read_wheel(path: Path) -> Wheel:
    rows = read_spreadsheet(path)
    if not rows or [cell.strip() for cell in rows[0][:3]] != ["level1", "level2", "level3"]:
        raise DataError(f"{path}, row 1: expected the columns level1, level2 and level3, got {rows[:1]}.")
    filled: list[tuple[str, str, str]] = []
    above = ["", "", ""]
    for number, row in enumerate(rows[1:], start=2):
        cells = [cell.strip() for cell in [*row[:3], *[""] * (3 - len(row))]]
        if not any(cells):
            continue
        above = [cell or before for cell, before in zip(cells, above, strict=True)]
        if not cells[2] or not all(above):
            column = "level3" if not cells[2] else ("level1" if not above[0] else "level2")
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
    return Wheel(inner=dict(levels["level1"]), middle=dict(levels["level2"]))


def _word_lists(content: Mapping[str, Any], member: str, path: Path) -> dict[str, tuple[str, ...]]:
    table = content.get(member)
    if not isinstance(table, dict):
        raise DataError(f"{path}: expected a member {member} with a dict, got {_brief(table)}.")
    for word, words in table.items():
        if type(word) is not str or not isinstance(words, Sequence) or not all(type(item) is str for item in words):
            raise DataError(f"{path}, member {member}, key {word!r}: expected a list of words, got {_brief(words)}.")
    return {word: tuple(dict.fromkeys(words)) for word, words in table.items()}


def _brief(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
