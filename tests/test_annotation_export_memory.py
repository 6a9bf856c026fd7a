"""An export of many clips: its peak hardly grows with them, and pieces of the table leave no trace in what is written."""

from __future__ import annotations

import gc
import tracemalloc
from pathlib import Path

import pytest

from affect_lightning.annotation import chunked_tables, clip_pieces
from affect_lightning.annotation.clip_pieces import ClipPieces
from affect_lightning.annotation.exporting import layouts
from affect_lightning.annotation.exporting.ending import ExportEnding, ExportOptions
from affect_lightning.annotation.tables import ClipTable, write_clip_table
from affect_lightning.metrics import Taxonomy

FORMATS = ("mercaptionplus", "datasets", "jsonl", "sharegpt", "merr")


def table_of(path: Path, count: int) -> Path:
    """Clips with texts of some 250 bytes; every ninth does not stay, and every seventh has nothing to learn."""
    numbers = range(count)
    blank = [number % 7 == 3 for number in numbers]
    table = ClipTable.of_columns(
        {
            "name": [f"clip{number:06}" for number in numbers],
            "description": [
                "" if none else f"Clip {number}: {'she frowns and looks down ' * (1 + number % 5)}"
                for number, none in zip(numbers, blank, strict=True)
            ],
            "labels": [
                [] if none else [("sad", "happy")[number % 2]] for number, none in zip(numbers, blank, strict=True)
            ],
            "subtitle": [f"This is sentence {number}." for number in numbers],
            "audio_cues": [f"a low voice {number}" for number in numbers],
            "kept.length": [number % 9 != 0 for number in numbers],
        }
    )
    write_clip_table(path, table)
    return path


def export(table: Path, out: Path, layout: str) -> None:
    ending = ExportEnding(ExportOptions(format=layout), Taxonomy.builtin())
    ending.write(ClipPieces.of_file(table), table.parent, out)


def peak_of(table: Path, out: Path, layout: str) -> int:
    """Most bytes of Python objects at once, beyond those that are there before."""
    gc.collect()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        export(table, out, layout)
        return tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()


@pytest.fixture
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pieces of 100 clips, so that a thousand are many."""
    for module in (chunked_tables, clip_pieces, layouts):
        monkeypatch.setattr(module, "ROWS", 100)
    monkeypatch.setattr(chunked_tables.chunks_of_file, "__defaults__", (100,))


@pytest.mark.usefixtures("small_pieces")
@pytest.mark.parametrize("layout", FORMATS)
def test_many_more_clips_need_hardly_more_memory(tmp_path: Path, layout: str) -> None:
    """A clip has 250 bytes of texts, which were objects of 1,700 bytes when all clips were in memory.

    Buffers and caches come and go between two runs: some 120,000 bytes, which are 70 a clip here.
    """
    few, many = 600, 2400
    tables = {count: table_of(tmp_path / f"{count}.parquet", count) for count in (few, many)}
    export(tables[few], tmp_path / "first", layout)  # what is imported and remembered at the first time
    peaks = {count: peak_of(table, tmp_path / f"out{count}", layout) for count, table in tables.items()}
    assert (peaks[many] - peaks[few]) / (many - few) < 200, f"bytes a clip; {peaks}"


@pytest.mark.parametrize("layout", FORMATS)
def test_small_pieces_write_the_same(
    tmp_path: Path, layout: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "0")
    table = table_of(tmp_path / "clips.parquet", 350)
    export(table, tmp_path / "one", layout)
    request.getfixturevalue("small_pieces")
    export(table, tmp_path / "many", layout)
    one, many = (
        {path.relative_to(folder): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}
        for folder in (tmp_path / "one", tmp_path / "many")
    )
    assert one.keys() == many.keys()
    parquet = {path for path in one if path.suffix == ".parquet"}
    assert {path for path in one if one[path] != many[path]} == parquet, "row groups are as long as pieces"
    for path in parquet:
        from pyarrow import parquet as reading

        assert reading.read_table(tmp_path / "one" / path).equals(reading.read_table(tmp_path / "many" / path))
