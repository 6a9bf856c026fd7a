"""Tables of clips: one row a clip, by name, with the record of every stage that made its columns.

Paper: Section 2; each step of MER-Caption gives and takes clips with texts, votes and verdicts. A table is one Parquet
file; the records are in the file's metadata, so that they cannot be lost on the way. Tables of other kinds (csv, jsonl,
xlsx) are read too. pyarrow is imported when a table is made, not before: it comes with the extra `annotate`.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from affect_lightning.corpora.annotation_tables import RowFile, columns_of, shown
from affect_lightning.errors import ConfigurationError, DataError
from affect_lightning.file_kinds import foreign_kind
from affect_lightning.storage import write_whole
from affect_lightning.unibench.result_folders import check_writable

if TYPE_CHECKING:
    import pyarrow

NAME = "name"
KEPT = "kept."  # begins the names of the columns in which a stage says whether a clip stays
_RECORDS = b"affect_lightning.stages"  # key of the file's metadata


@dataclass(frozen=True)
class StageRecord:
    """How columns came about.

    Attributes:
        stage: Name of the stage.
        options: Its options as plain values.
        parts: Identity of each part that it asked, such as the label extractor (with model, revision and prompt hash) and the
            taxonomy.
        columns: The columns that it made.
        clips: Rows of the table.
        time: When, in UTC.
        version: Of affect-lightning.
        request: Digest of everything that the columns follow from, in a pipeline: the clips, and the options and parts of this
            stage and of those before it.
    """

    stage: str
    options: Mapping[str, Any] = field(default_factory=dict)
    parts: Mapping[str, str] = field(default_factory=dict)
    columns: tuple[str, ...] = ()
    clips: int = 0
    time: str = ""
    version: str = ""
    request: str = ""


def now() -> str:
    """The time for a record, in UTC; that of SOURCE_DATE_EPOCH where it is set, so that tables come out the same again."""
    fixed = os.environ.get("SOURCE_DATE_EPOCH", "")
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(int(fixed) if fixed.isdecimal() else None))


@dataclass(frozen=True)
class ClipTable:
    """Clips by name.

    Attributes:
        data: Columns; `name` is one of them, with a different name in each row.
        records: Of the stages that made them, the first stage first.
    """

    data: pyarrow.Table
    records: tuple[StageRecord, ...] = ()

    @classmethod
    def of_columns(cls, columns: Mapping[str, Sequence[Any]], records: Sequence[StageRecord] = ()) -> ClipTable:
        """A table of Python values.

        Args:
            columns: Equally long; `name` must be among them.
            records: Of the stages that made them.

        Raises:
            DataError: A name is missing, empty or there twice; or a column has values of several kinds.
            ConfigurationError: pyarrow is not installed.
        """
        arrow = arrow_for("A table of clips")
        try:
            table = cls(arrow.table({name: list(values) for name, values in columns.items()}), tuple(records))
        except (arrow.ArrowInvalid, arrow.ArrowTypeError) as error:
            raise DataError(
                f"A column of a table of clips must have values of one kind and one for each clip: {error}"
            ) from error
        check_names(table.data.column(NAME))
        return table

    def __len__(self) -> int:
        """Number of clips."""
        return int(self.data.num_rows)

    @property
    def names(self) -> list[str]:
        """Names of the clips, in the order of the rows."""
        return [str(name) for name in self.column(NAME)]

    @property
    def columns(self) -> list[str]:
        """Names of the columns."""
        return list(self.data.column_names)

    def column(self, name: str) -> list[Any]:
        """The values of a column.

        Raises:
            DataError: There is no such column.
        """
        if name not in self.data.column_names:
            raise DataError(
                f"The table has no column {name!r}; its columns are {', '.join(self.columns)}. Name another column, or run "
                f"the stage that makes this one first."
            )
        return list(self.data.column(name).to_pylist())

    def texts(self, name: str) -> list[str]:
        """The values of a column of texts; nothing stands as an empty text.

        Raises:
            DataError: There is no such column, or it holds something else.
        """
        values = self.column(name)
        for clip, value in zip(self.names, values, strict=True):
            if value is not None and not isinstance(value, str):
                raise DataError(f"The column {name!r} must hold texts; the clip {clip} has {value!r:.60}.")
        return [value or "" for value in values]

    def kept(self) -> list[bool]:
        """Whether each clip has passed every filter so far; a filter that could not tell lets it pass."""
        verdicts = [self.column(name) for name in self.columns if name.startswith(KEPT)]
        return [all(verdict is not False for verdict in row) for row in zip(*verdicts, strict=True)] or [True] * len(
            self
        )

    def joined(self, other: ClipTable) -> tuple[ClipTable, int]:
        """The table with the other columns of another one, by the clips' names; nothing stands where that lacks a clip.

        Returns:
            The table, and the number of its clips that the other one has.
        """
        arrow = arrow_for("Joining tables")
        from pyarrow import compute

        names = [table.data.column(NAME).cast(arrow.string()).combine_chunks() for table in (self, other)]
        places = compute.index_in(names[0], value_set=names[1])
        data = self.data
        for name in other.columns:
            if name not in data.column_names:
                data = data.append_column(name, other.data.column(name).take(places))
        return ClipTable(data, self.records), len(places) - places.null_count

    def with_columns(self, columns: Mapping[str, Sequence[Any]], record: StageRecord) -> ClipTable:
        """The table with more columns, or others of the same name, and the record of how they came about."""
        return ClipTable(self.with_values(columns).data, (*self.records, record))

    def with_values(self, columns: Mapping[str, Sequence[Any]]) -> ClipTable:
        """The table with more columns, or others of the same name; the records stay."""
        data = self.data
        arrow = arrow_for("A table of clips")
        for name, values in columns.items():
            array = arrow.array(list(values))
            place = data.column_names.index(name) if name in data.column_names else -1
            data = data.append_column(name, array) if place < 0 else data.set_column(place, name, array)
        return ClipTable(data, self.records)


def read_clip_table(path: Path) -> ClipTable:
    """Read a table of clips: Parquet with its records, or any file of rows with a column `name`.

    Raises:
        DataError: The file is missing, damaged or of another kind; a row has no name, or another's.
        ConfigurationError: pyarrow is not installed.
    """
    if path.suffix.lower() != ".parquet":
        rows = RowFile(path)
        columns = columns_of(rows)
        if NAME not in columns:
            raise DataError(
                f"{path} needs a column `name` with the clips' names; its columns are {', '.join(columns)}."
            )
        return ClipTable.of_columns({column: [row.get(column) for row in rows] for column in columns})
    arrow = arrow_for(f"Reading {path}")
    if not path.is_file():
        raise DataError(f"There is no file {path}. Give the path of a table of clips.")
    from pyarrow import parquet

    try:
        data = parquet.read_table(path)
    except (arrow.ArrowException, OSError) as error:
        what = foreign_kind(path)
        reason = f"It is {what}." if what and "parquet" not in what else f"{error}. Write it again."
        raise DataError(f"{path} is not a valid parquet file: {reason}") from error
    if NAME not in data.column_names:
        raise DataError(f"{path} needs a column `name` with the clips' names; it has {', '.join(data.column_names)}.")
    table = ClipTable(data.replace_schema_metadata(), records_in(path, data.schema))
    check_names(table.data.column(NAME))
    return table


def write_clip_table(path: Path, table: ClipTable) -> None:
    """Write a table as Parquet, whole or not at all, and never over another.

    Raises:
        ConfigurationError: The file is there already, or does not end in `.parquet`.
        DataError: The system refuses.
    """
    check_new_table(path)
    from pyarrow import parquet

    data = table.data.replace_schema_metadata(with_records(table.data.schema, table.records).metadata)
    try:
        write_whole(path, lambda file: parquet.write_table(data, file))
    except OSError as error:
        raise DataError(
            f"{path} could not be written: {error.strerror or error}. Free space or name another file."
        ) from error


def check_new_table(path: Path) -> None:
    """Refuse a name that no table can be written to; commands ask before they begin.

    Raises:
        ConfigurationError: The file is there already, or does not end in `.parquet`.
        WritingError: The system refuses to write there.
    """
    if path.suffix.lower() != ".parquet":
        raise ConfigurationError(f"A table of clips is a Parquet file: name it {path.with_suffix('.parquet')}.")
    if path.exists():
        raise ConfigurationError(
            f"Choose another name, or move the file away: {path} is there, and no table is overwritten."
        )
    check_writable(path.parent)


def with_records(schema: pyarrow.Schema, records: Sequence[StageRecord]) -> pyarrow.Schema:
    """A schema with the records in its metadata, and nothing else there."""
    content = json.dumps([asdict(record) for record in records], ensure_ascii=False).encode()
    return schema.with_metadata({_RECORDS: content})


def records_in(path: Path, schema: pyarrow.Schema) -> tuple[StageRecord, ...]:
    """The records in a schema's metadata.

    Raises:
        DataError: They are damaged; the message names the path.
    """
    content = (schema.metadata or {}).get(_RECORDS)
    try:
        return tuple(
            StageRecord(**{**record, "columns": tuple(record["columns"])}) for record in json.loads(content or b"[]")
        )
    except (ValueError, TypeError, KeyError) as error:
        raise DataError(
            f"The records of the stages in {path} cannot be read: {error}. Write the table again."
        ) from error


def check_names(names: pyarrow.ChunkedArray) -> None:
    """Refuse names that are missing, empty or there twice; a million need little memory.

    Raises:
        DataError: The message names the row, or the clips.
    """
    from pyarrow import compute

    arrow = arrow_for("A table of clips")
    texts = names.cast(arrow.string())
    empty = compute.equal(compute.utf8_length(compute.utf8_trim_whitespace(compute.fill_null(texts, ""))), 0)
    first = compute.index(empty, True).as_py()
    if first >= 0:
        raise DataError(f"Row {first + 1} of the table has no name. Give it the name of its clip, or remove it.")
    if compute.count_distinct(texts).as_py() == len(texts):
        return
    counts = compute.value_counts(texts)
    twice = counts.filter(compute.greater(counts.field("counts"), 1)).field("values").to_pylist()
    raise DataError(f"{len(twice)} clips stand in more than one row: {shown(twice)}. Keep one row for each.")


def arrow_for(what: str) -> Any:
    """pyarrow, or what to install for `what`."""
    try:
        import pyarrow
    except ImportError as error:
        raise ConfigurationError(
            f"{what} needs pyarrow, which is not installed: pip install 'affect-lightning[annotate]'."
        ) from error
    return pyarrow
