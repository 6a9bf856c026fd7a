"""Tables of clips that are larger than memory: read and written some thousand clips at a time.

Paper: Section 2 (MER-Caption begins with clips by the ten thousand; a million is no more than that, longer). `tables.py` has
small tables in one piece. A table that is written here has row groups of one size, whatever pieces it was made of, so
equal rows are equal bytes. `pipeline.py` is the caller.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from affect_lightning.annotation.clip_files import AUDIO, FILE_COLUMNS, MEDIA, VIDEO
from affect_lightning.annotation.tables import (
    KEPT,
    NAME,
    ClipTable,
    StageRecord,
    arrow_for,
    check_names,
    read_clip_table,
    records_in,
    with_records,
)
from affect_lightning.contracts import ClipRecord
from affect_lightning.corpora.annotation_tables import RowFile, columns_of, shown
from affect_lightning.corpora.media_folders import AUDIO_SUFFIXES, VIDEO_SUFFIXES, MediaBeside
from affect_lightning.corpora.own_clips import OWN_CORPUS
from affect_lightning.corpora.predicted_clips import distinct_names
from affect_lightning.errors import DataError
from affect_lightning.file_kinds import foreign_kind
from affect_lightning.storage import write_whole

if TYPE_CHECKING:
    import pyarrow

ROWS = 10_000  # clips in a row group, and worked on together; our choice: 10 to 20 MB of texts
_BYTES = 1 << 22  # read at once to hash a file


def open_parquet(path: Path) -> Any:
    """The Parquet file, to read from.

    Raises:
        DataError: It is missing, damaged or of another kind.
        ConfigurationError: pyarrow is not installed.
    """
    arrow = arrow_for(f"Reading {path}")
    if not path.is_file():
        raise DataError(f"There is no file {path}. Give the path of a table of clips.")
    from pyarrow import parquet

    try:
        return parquet.ParquetFile(path)
    except (arrow.ArrowException, OSError) as error:
        what = foreign_kind(path)
        reason = f"It is {what}." if what and "parquet" not in what else f"{error}. Write it again."
        raise DataError(f"{path} is not a valid parquet file: {reason}") from error


def records_of_file(path: Path) -> tuple[StageRecord, ...]:
    """The records of the stages that made a Parquet table."""
    with open_parquet(path) as file:
        return records_in(path, file.schema_arrow)


def columns_in(path: Path) -> list[str]:
    """Names of the columns of a table of any kind, whose rows are not read.

    Raises:
        DataError: It is missing, damaged or of another kind.
    """
    if path.suffix.lower() != ".parquet":
        return list(columns_of(RowFile(path)))
    with open_parquet(path) as file:
        return list(file.schema_arrow.names)


def count_rows(path: Path) -> int:
    """Number of clips of a Parquet table."""
    with open_parquet(path) as file:
        return int(file.metadata.num_rows)


def chunks_of_file(path: Path, rows: int | None = ROWS) -> Iterator[ClipTable]:
    """The clips of a Parquet table, so many at a time; all at once with None."""
    arrow = arrow_for(f"Reading {path}")
    with open_parquet(path) as file:
        records = records_in(path, file.schema_arrow)
        if rows is None:
            yield ClipTable(file.read().replace_schema_metadata(), records)
            return
        for batch in file.iter_batches(batch_size=rows):
            yield ClipTable(arrow.Table.from_batches([batch]).replace_schema_metadata(), records)


def write_pieces(path: Path, pieces: Sequence[Path], records: Sequence[StageRecord]) -> None:
    """Write the rows of Parquet files, one file after the other, as one table.

    Args:
        path: Of the table; what is there is replaced.
        pieces: In their order; a column may be empty in one and have values in another.
        records: Of the stages that made the columns.

    Raises:
        DataError: A column has values of several kinds, or the system refuses.
    """
    arrow = arrow_for("A table of clips")
    schemas = []
    for piece in pieces:
        with open_parquet(piece) as file:
            schemas.append(file.schema_arrow.remove_metadata())
    try:
        schema = arrow.unify_schemas(schemas, promote_options="permissive")
    except (arrow.ArrowInvalid, arrow.ArrowTypeError) as error:
        raise DataError(f"A column of {path.name} must have values of one kind in all clips: {error}") from error
    schema = with_records(schema, records)
    from pyarrow import parquet

    def write(target: BinaryIO) -> None:
        with parquet.ParquetWriter(target, schema) as writer:
            for table in _groups(pieces, schema):
                writer.write_table(table, row_group_size=ROWS)

    try:
        write_whole(path, write)
    except OSError as error:
        raise DataError(
            f"{path} could not be written: {error.strerror or error}. Free space or name another file."
        ) from error


def _groups(pieces: Sequence[Path], schema: pyarrow.Schema) -> Iterator[pyarrow.Table]:
    """The rows in groups of one size; columns are put into one piece each, so that pieces leave no trace."""
    arrow = arrow_for("A table of clips")
    waiting: list[Any] = []
    count = 0
    for piece in pieces:
        for chunk in chunks_of_file(piece):
            table = _in_order(chunk.data, schema)
            while count + len(table) >= ROWS:
                needed = ROWS - count
                yield arrow.concat_tables([*waiting, table.slice(0, needed)]).combine_chunks()
                table, waiting, count = table.slice(needed), [], 0
            if len(table):
                waiting.append(table)
                count += len(table)
    if waiting:
        yield arrow.concat_tables(waiting).combine_chunks()


def _in_order(table: pyarrow.Table, schema: pyarrow.Schema) -> pyarrow.Table:
    arrow = arrow_for("A table of clips")
    columns = [
        table.column(item.name).cast(item.type)
        if item.name in table.column_names
        else arrow.nulls(len(table), item.type)
        for item in schema
    ]
    return arrow.table(columns, schema=schema)


def count_kept(path: Path) -> int:
    """How many clips of a Parquet table have passed every filter."""
    with open_parquet(path) as file:
        columns = [NAME, *(name for name in file.schema_arrow.names if name.startswith(KEPT))]
        arrow = arrow_for("A table of clips")
        chunks = (
            ClipTable(arrow.Table.from_batches([batch]))
            for batch in file.iter_batches(batch_size=ROWS, columns=columns)
        )
        return sum(sum(chunk.kept()) for chunk in chunks)


class ClipSource:
    """Where the clips of a pipeline come from: a folder of media, or a table of any kind.

    Attributes:
        path: Of the folder or table.
        joined: Tables whose other columns are put beside it.
        digest: Of the bytes of the table and the joined ones, or of the names and sizes in the folder.
    """

    def __init__(self, path: Path, *, looks_beside: bool = False, joined: Sequence[Path] = ()) -> None:
        """Look at it.

        Args:
            path: Of the folder or table.
            looks_beside: Whether the files of clips are looked for next to a table that names none.
            joined: Tables with more columns, by the clips' names. They are held in memory.

        Raises:
            DataError: There is no such thing, or a folder has no clip.
        """
        self.joined = [other.expanduser() for other in joined]
        self.path = path.expanduser()
        self._beside = MediaBeside(self.path.parent) if looks_beside and self.path.is_file() else None
        self._files = self._listed() if self.path.is_dir() else []
        if not self._files and not self.path.is_file():
            what = "no video or sound file" if self.path.is_dir() else "nothing"
            raise DataError(f"Give a table of clips, or a folder with video or sound files: there is {what} at {path}.")
        self.digest = self._digest()

    def _listed(self) -> list[Path]:
        known = (*VIDEO_SUFFIXES, *AUDIO_SUFFIXES)
        found = sorted(path for path in self.path.iterdir() if path.suffix.lower() in known)
        seen = {path.stem for path in found if path.suffix.lower() in VIDEO_SUFFIXES}
        return [path for path in found if path.suffix.lower() in VIDEO_SUFFIXES or path.stem not in seen]

    def _digest(self) -> str:
        digest = hashlib.sha256()
        for path in self._files:
            digest.update(f"{path.name}\0{path.stat().st_size}\n".encode())
        own = [] if self._files else [self.path]
        for path in [*own, *self.joined]:
            if not path.is_file():
                raise DataError(f"There is no file {path}. Give the path of a table of clips.")
            with path.open("rb") as stream:
                while chunk := stream.read(_BYTES):
                    digest.update(chunk)
        return digest.hexdigest()

    @property
    def described(self) -> str:
        """The names of the tables with the digest, for a record."""
        names = " with ".join(path.name for path in (self.path, *self.joined))
        return f"{names}, SHA-256 {self.digest[:16]}"

    @property
    def records(self) -> tuple[StageRecord, ...]:
        """The records of the stages that made the tables, each once."""
        tables = [path for path in (self.path, *self.joined) if path.suffix.lower() == ".parquet" and path.is_file()]
        found: list[StageRecord] = []
        for table in tables:
            found += [record for record in records_of_file(table) if record not in found]
        return tuple(found)

    def chunks(self) -> Iterator[ClipTable]:
        """The clips, some thousand at a time; paths of their files are absolute.

        Raises:
            DataError: The table is damaged, a column has values of several kinds, or a joined table has none of the clips.
        """
        others = [read_clip_table(path) for path in self.joined]
        found, first = [0] * len(others), None
        for chunk in self._raw_chunks():
            table = self._placed(chunk)
            first = table.names if first is None else first
            for number, other in enumerate(others):
                table, more = table.joined(other)
                found[number] += more
            yield table
        for path, other, count in zip(self.joined, others, found, strict=True):
            if first and not count:
                raise DataError(
                    f"The two tables have no clip in common: {shown(first)} in {self.path}, {shown(other.names)} in {path}. "
                    f"Check that both write names in the same form."
                )

    def _raw_chunks(self) -> Iterator[ClipTable]:
        if self._files:
            names = distinct_names(self._files)
            for start in range(0, len(names), ROWS):
                files = [str(path.absolute()) for path in self._files[start : start + ROWS]]
                yield ClipTable.of_columns({NAME: names[start : start + ROWS], MEDIA: files})
        elif self.path.suffix.lower() == ".parquet":
            yield from chunks_of_file(self.path)
        else:
            rows = RowFile(self.path)
            columns = columns_of(rows)
            _needs_name(self.path, columns)
            found = iter(rows)
            while some := list(islice(found, ROWS)):
                yield ClipTable.of_columns({column: [row.get(column) for row in some] for column in columns})

    def _placed(self, table: ClipTable) -> ClipTable:
        _needs_name(self.path, table.columns)
        columns: dict[str, Sequence[Any]] = {NAME: [None if name is None else str(name) for name in table.column(NAME)]}
        there = [column for column in FILE_COLUMNS if column in table.columns]
        root = self.path.absolute().parent
        for column in there:
            columns[column] = [str(root / Path(text).expanduser()) if text else None for text in table.texts(column)]
        if not there and self._beside is not None:
            found = [self._beside.completed(ClipRecord(name, OWN_CORPUS)) for name in table.names]
            columns[VIDEO] = [None if clip.video is None else str(clip.video.absolute()) for clip in found]
            columns[AUDIO] = [None if clip.audio is None else str(clip.audio.absolute()) for clip in found]
        return table.with_values(columns)

    def count(self) -> int:
        """Number of clips."""
        if self._files:
            return len(self._files)
        if self.path.suffix.lower() == ".parquet":
            return count_rows(self.path)
        return sum(1 for _ in RowFile(self.path))

    def write(self, folder: Path, first: int = 0, end: int | None = None) -> list[Path]:
        """Write the clips from one row to another as pieces into a folder; their names are checked.

        Raises:
            DataError: A clip has no name, or another's.
        """
        arrow = arrow_for("A table of clips")
        from pyarrow import parquet

        pieces: list[Path] = []
        names: list[Any] = []
        start = 0
        for chunk in self.chunks():
            names.append(chunk.data.column(NAME))
            low, high = max(first - start, 0), len(chunk) if end is None else min(end - start, len(chunk))
            start += len(chunk)
            if high > low:
                piece = folder / f"{len(pieces):06}.parquet"
                data = chunk.data.slice(low, high - low)
                write_whole(piece, partial(parquet.write_table, data), durable=False)
                pieces.append(piece)
        check_names(arrow.chunked_array([part for column in names for part in column.chunks], arrow.string()))
        return pieces


def _needs_name(path: Path, columns: Sequence[str]) -> None:
    if NAME not in columns:
        raise DataError(f"{path} needs a column `name` with the clips' names; its columns are {', '.join(columns)}.")
