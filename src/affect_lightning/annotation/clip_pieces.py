"""A table of clips that is gone through several times without ever being in memory.

Paper: Section 2; a million clips become a data set. `chunked_tables.py` reads a table once, and `exporting` goes through it
again for each file that it writes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from affect_lightning.annotation.chunked_tables import ROWS, chunks_of_file, open_parquet
from affect_lightning.annotation.tables import (
    NAME,
    ClipTable,
    StageRecord,
    arrow_for,
    check_names,
    read_clip_table,
    records_in,
)
from affect_lightning.errors import DataError


class ClipPieces:
    """A table of clips that is read some thousand clips at a time, again each time somebody goes through it.

    Attributes:
        columns: Names of its columns.
        records: Of the stages that made them.
    """

    def __init__(
        self,
        read: Callable[[], Iterator[ClipTable]],
        columns: Sequence[str],
        records: Sequence[StageRecord],
        clips: int,
    ) -> None:
        """Name what is read; nothing is read yet.

        Args:
            read: Gives the clips, some thousand at a time.
            columns: See the class.
            records: See the class.
            clips: Number of clips.
        """
        self.columns, self.records = list(columns), tuple(records)
        self._read, self._clips = read, clips

    @classmethod
    def of_table(cls, table: ClipTable) -> ClipPieces:
        """The pieces of a table that is in memory."""

        def read() -> Iterator[ClipTable]:
            for start in range(0, len(table), ROWS):
                yield ClipTable(table.data.slice(start, ROWS), table.records)

        return cls(read, table.columns, table.records, len(table))

    @classmethod
    def of_file(cls, path: Path) -> ClipPieces:
        """The pieces of a Parquet table, of which only the names are looked at now; another kind is read whole.

        Raises:
            DataError: The file is missing, damaged or of another kind; a row has no name, or another's.
            ConfigurationError: pyarrow is not installed.
        """
        if path.suffix.lower() != ".parquet":
            return cls.of_table(read_clip_table(path))
        with open_parquet(path) as file:
            columns, clips = list(file.schema_arrow.names), int(file.metadata.num_rows)
            records = records_in(path, file.schema_arrow)
            if NAME not in columns:
                raise DataError(f"{path} needs a column `name` with the clips' names; it has {', '.join(columns)}.")
            with _readable(path):
                check_names(file.read(columns=[NAME]).column(NAME))

        def read() -> Iterator[ClipTable]:
            with _readable(path):
                yield from chunks_of_file(path)

        return cls(read, columns, records, clips)

    def __iter__(self) -> Iterator[ClipTable]:
        """The clips, some thousand at a time."""
        return self._read()

    def __len__(self) -> int:
        """Number of clips."""
        return self._clips


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Say of an error of pyarrow that the Parquet file is damaged.

    Raises:
        DataError: There was one.
    """
    arrow = arrow_for(f"Reading {path}")
    try:
        yield
    except (arrow.ArrowException, OSError) as error:
        raise DataError(f"{path} is not a valid parquet file: {error}. Write it again.") from error
