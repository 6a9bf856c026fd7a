"""Broken files of the official taxonomy: each error names the file and, where there is one, the row and the column."""

from __future__ import annotations

import random
import re
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest

from affect_lightning.errors import DataError
from affect_lightning.metrics import Taxonomy
from affect_lightning.spreadsheet import read_spreadsheet


@pytest.fixture
def folder(reference: Path, tmp_path: Path) -> Path:
    """A writable copy of the official folder."""
    copy = tmp_path / "wheels"
    copy.mkdir()
    for path in (reference / "emotion_wheel").iterdir():
        shutil.copyfile(path, copy / path.name)
    return copy


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"word,forms\na,b\n", "row 1: expected the columns name and format"),
        (b"", "row 1: expected the columns name and format"),
        (b"name,format\nsad,sad\nhappy\n", "row 3, column format: the row has 1 cells, expected 2"),
        (b'name,format\nsad,sad,"sadly"\n', "row 2, column 3: the row has 3 cells, expected 2"),
        (b'name,format\n\n"",sad\n', "row 3, column name: the cell is empty"),
        (b'name,format\nsad,"sad\nhappy,happy\n', "row 3: cannot be read as CSV: unexpected end of data"),
        (b"name,format\nsad,sadl\xff\n", r"row 2, byte 9 of the row: b'\\xff' is not UTF-8"),
    ],
)
def test_broken_word_forms(folder: Path, content: bytes, message: str) -> None:
    (folder / "format.csv").write_bytes(content)
    with pytest.raises(DataError, match=f"format.csv, {message}"):
        Taxonomy.from_official(folder)


@pytest.mark.parametrize("name", ["format.csv", "synonym.xlsx", "wheel3.xlsx"])
def test_a_missing_file_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(DataError, match=f"{name} does not exist"):
        Taxonomy.from_official(folder)


@pytest.mark.parametrize(
    ("name", "cells", "message"),
    [
        ("wheel2.xlsx", {"C5": None, "A5": "Sad"}, "row 5, column level3: the cell is empty"),
        ("wheel2.xlsx", {"A2": None}, "row 2, column level1: the cell is empty"),
        ("wheel4.xlsx", {"B2": None}, "row 2, column level2: the cell is empty"),
        ("wheel4.xlsx", {"A1": "inner"}, "row 1: expected the columns level1, level2, level3, got .'inner'"),
        ("synonym.xlsx", {"D7": None}, "row 7, column synonym_run2: the cell is empty next to '"),
        ("synonym.xlsx", {"C9": None}, "row 9, column word_run2: the cell is empty next to '"),
        ("synonym.xlsx", {"R4": "surplus"}, "row 4, column 17: the cell has no heading"),
        ("synonym.xlsx", {"A1": "name"}, "row 1: expected pairs of columns word and synonym, got .'name'"),
    ],
)
def test_broken_spreadsheet_cells(folder: Path, name: str, cells: dict[str, str | None], message: str) -> None:
    import openpyxl

    book = openpyxl.load_workbook(folder / name)
    for cell, value in cells.items():
        book.active[cell] = value
    book.save(folder / name)
    with pytest.raises(DataError, match=f"{name}, {message}"):
        Taxonomy.from_official(folder)


def changed_part(path: Path, part: str, pattern: str, replacement: str) -> None:
    """Replace one text in one part of a spreadsheet."""
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    text = parts[part].decode()
    assert re.search(pattern, text), pattern
    parts[part] = re.sub(pattern, replacement, text, count=1).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, content)


SHEET = "xl/worksheets/sheet1.xml"


@pytest.mark.parametrize(
    ("pattern", "replacement", "message"),
    [
        (r'(<c r="B3"[^>]*t="s"[^>]*>)<v>\d+</v>', r"\1<v>999999</v>", "IndexError"),
        (r'(<c r="B3"[^>]*t="s"[^>]*>)<v>\d+</v>', r"\1<v>x</v>", "ValueError"),
        (r'<row r="3"', '<row r="2000000000"', "it has more than 1,000,000 cells"),
        (r"<sheetData>", "<sheetData>" + '<row><c r="ZZZ1"/></row>' * 60, "it has more than 1,000,000 cells"),
        (r"<sheetData>", "<sheetData><row>", "ParseError"),
    ],
)
def test_broken_spreadsheet_parts(folder: Path, pattern: str, replacement: str, message: str) -> None:
    changed_part(folder / "wheel3.xlsx", SHEET, pattern, replacement)
    with pytest.raises(DataError, match=f"wheel3.xlsx cannot be read as an .xlsx spreadsheet .*{message}"):
        Taxonomy.from_official(folder)


def test_a_spreadsheet_that_unpacks_to_very_much_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bomb.xlsx"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/workbook.xml", b" " * 17_000_000)
    with pytest.raises(DataError, match="bomb.xlsx cannot be read .*unpacks to 17,000,000 bytes"):
        read_spreadsheet(path)


@pytest.mark.parametrize("name", ["wheel1.xlsx", "synonym.xlsx", "wheel_mapping_2026.npz", "format.csv"])
def test_damaged_bytes_give_an_error_that_names_the_file_or_do_no_harm(folder: Path, name: str) -> None:
    path, chance = folder / name, random.Random(name)
    whole = path.read_bytes()
    release = "2026" if path.suffix == ".npz" else "2025"
    refusals = []
    for trial in range(25):
        content = bytearray(whole)
        if trial % 5 == 0:
            content = content[: chance.randrange(len(content))]
        for _ in range(trial % 4):
            if content:
                content[chance.randrange(len(content))] = chance.randrange(256)
        path.write_bytes(bytes(content))
        try:
            Taxonomy.from_official(folder, release)
        except DataError as error:
            refusals.append(str(error))
    assert len(refusals) >= 3
    assert all(name in refusal for refusal in refusals)


@pytest.mark.parametrize(
    ("member", "value", "message"),
    [
        ("format_mapping", {"sad": "sad"}, "member format_mapping, key 'sad': expected a list of words, got 'sad'"),
        ("format_mapping", {"sad": [1]}, "member format_mapping, key 'sad': expected a list of words"),
        ("raw_mapping", {3: ["sad"]}, "member raw_mapping, key 3: expected a list of words"),
        ("raw_mapping", ["sad"], ": expected a member raw_mapping with a dict"),
        ("wheel_map_whole", {"wheel1": {}}, "member wheel_map_whole: expected wheel1 to wheel5"),
        (
            "wheel_map_whole",
            {f"wheel{number}": {"level1": {"sad": "sad"}, "level2": {"sad": 3}} for number in range(1, 6)},
            "wheel1, level2: expected words to sector names",
        ),
        (
            "wheel_map_whole",
            {f"wheel{number}": {"level1": {"sad": "sad"}, "level2": {}} for number in range(1, 6)},
            "wheel1: the word 'sad' is on one of the levels only",
        ),
    ],
)
def test_broken_members_of_the_2026_release(tmp_path: Path, member: str, value: object, message: str) -> None:
    wheel = {"level1": {"sad": "sad"}, "level2": {"sad": "sad"}}
    members: dict[str, object] = {
        "format_mapping": {"sad": ["sad"]},
        "raw_mapping": {"sad": ["sad"]},
        "wheel_map_whole": {f"wheel{number}": wheel for number in range(1, 6)},
    }
    path = tmp_path / "wheel_mapping_2026.npz"
    np.savez(path, **{name: np.array(part, dtype=object) for name, part in members.items()})  # type: ignore[arg-type]
    assert Taxonomy.from_official(tmp_path).sector("sad", 5) == "sad"
    members[member] = value
    np.savez(path, **{name: np.array(part, dtype=object) for name, part in members.items()})  # type: ignore[arg-type]
    with pytest.raises(DataError, match="wheel_mapping_2026.npz") as caught:
        Taxonomy.from_official(tmp_path)
    assert message in str(caught.value)
