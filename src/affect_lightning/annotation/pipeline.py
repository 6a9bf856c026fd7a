"""Stages one after the other, from raw clips to the last filter: one Parquet table a stage, in parts if need be.

    OUT/00_clips.parquet            the clips as they were given
    OUT/01_describe.parquet         after the first stage: all columns so far, with the record of each stage
    OUT/03_export/                  what an ending has written
    OUT/.02.work/                   a stage at work: a piece for each ten thousand clips, and what it keeps of the open ones
    OUT/parts/2-of-3/...            the same for a part (docs/many_machines.md)

Paper: Section 2 and Appendices E to G. A table that is there with the same record is taken as it is, one with another
record is never replaced. Nothing is held in memory but a piece, unless a stage needs all clips at once.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from affect_lightning.annotation.chunked_tables import (
    ROWS,
    ClipSource,
    chunks_of_file,
    count_kept,
    count_rows,
    records_of_file,
    write_pieces,
)
from affect_lightning.annotation.clip_pieces import ClipPieces
from affect_lightning.annotation.stages import Ending, Stage, StageWork
from affect_lightning.annotation.tables import ClipTable, StageRecord, arrow_for, now
from affect_lightning.errors import ConfigurationError, DataError
from affect_lightning.storage import FinishedPart, LineLog, Part, WorkInParts, file_lock, write_whole
from affect_lightning.unibench.report.provenance import package_versions

CLIPS = "clips"
_LOCK, _PARTS, TIMES, _REQUEST, _COLUMNS = "writing.lock", "parts", "times.jsonl", "request", "columns.json"


@dataclass(frozen=True)
class StageOutcome:
    """What came of a stage.

    Attributes:
        stage: Its name.
        path: Of its table.
        clips: Rows.
        kept: Clips that have passed every filter so far.
        seconds: That it took now; 0 where its table was there already.
        was_there: Whether its table was there already.
    """

    stage: str
    path: Path
    clips: int
    kept: int
    seconds: float = 0.0
    was_there: bool = False


class Pipeline:
    """Stages in their order, in a folder of their own."""

    def __init__(
        self,
        source: ClipSource,
        stages: Sequence[Stage[Any]],
        out: Path,
        endings: Sequence[Ending[Any]] = (),
        tell: Callable[[str, int, int], None] | None = None,
        finished: Callable[[StageOutcome], None] | None = None,
    ) -> None:
        """Name the work; nothing is done yet.

        Args:
            source: The clips.
            stages: In their order.
            out: Folder of this pipeline alone.
            endings: What follows the last stage.
            tell: Told of progress; see `StageWork`.
            finished: Told of each stage at its end.

        Raises:
            ConfigurationError: There is no stage.
        """
        if not stages:
            raise ConfigurationError("Name at least one stage.")
        self.source, self.stages, self.endings, self.out = source, list(stages), list(endings), out
        self._tell, self._finished = tell or StageWork().tell, finished or _nobody
        self._requests = [_digest([CLIPS, source.digest])]
        self._items: list[Stage[Any] | Ending[Any]] = [*self.stages, *self.endings]
        for stage in self._items:
            asked = [self._requests[-1], stage.name, stage.recorded_options(), dict(stage.parts())]
            self._requests.append(_digest(asked))

    @property
    def _names(self) -> list[str]:
        return [f"{number:02}_{name}.parquet" for number, name in enumerate([CLIPS, *(s.name for s in self.stages)])]

    @property
    def divisible(self) -> int:
        """How many stages, from the first one on, work on each clip by itself."""
        scopes = [stage.scope == "clip" for stage in self.stages]
        return scopes.index(False) if False in scopes else len(scopes)

    @property
    def _work(self) -> WorkInParts:
        asked: dict[str, Any] = {CLIPS: self.source.digest}
        for number, stage in enumerate(self.stages[: self.divisible], start=1):
            asked[f"{number:02} {stage.name}"] = {"options": stage.recorded_options(), **stage.parts()}
        return WorkInParts(self.out / _PARTS, asked)

    def run(self) -> list[StageOutcome]:
        """Do what is not done yet.

        Raises:
            ConfigurationError: A table of other stages or options is there, or another process works here.
            PartError: Parts wait for a merge.
            AffectLightningError: A stage cannot go on; what is done is kept.
        """
        with self._alone():
            self._work.check_none_waits()
            self._check(range(1, len(self.stages) + 1), self.out)
            return self._run_all()

    def run_part(self, part: Part) -> list[StageOutcome]:
        """Do one part of the stages that work on each clip by itself, up to the first that does not.

        Raises:
            ConfigurationError: The first stage needs all clips at once, or there are fewer clips than parts.
            PartError: The part is at work elsewhere, or was begun with other options.
        """
        self._check_divisible("--part")
        with self._work.begun(part) as folder:
            self._check(range(1, self.divisible + 1), folder)
            total = self.source.count()
            first, end = (total * number // part.count for number in (part.number - 1, part.number))
            if first == end:
                raise ConfigurationError(f"Use {total} parts or fewer: there are {total} clips, and this is {part}.")
            done = [self._clips(folder, first, end)]
            done += [self._stage(number, folder) for number in range(1, self.divisible + 1)]
            self._work.finish(part, {"clips": end - first})
        return done

    def merge(self) -> list[StageOutcome]:
        """Join the parts, and do the stages that need all clips at once and those after them.

        Raises:
            ConfigurationError: The first stage needs all clips at once, so there is nothing to join.
            PartError: A part is missing, unfinished, or of other options.
        """
        self._check_divisible("--merge")
        with self._alone():
            self._check(range(self.divisible + 1, len(self.stages) + 1), self.out)
            if self._work.known or not self.is_there(self.out, self.divisible):
                parts = self._work.finished()
                for number in range(self.divisible + 1):
                    self._join(number, parts)
                self._work.remove()
            return self._run_all()

    def _check_divisible(self, option: str) -> None:
        if not self.divisible:
            raise ConfigurationError(
                f"Leave {option} out: the stage {self.stages[0].name} looks at all clips at once, so it cannot be divided."
            )

    def _check(self, numbers: range, folder: Path) -> None:
        """Ask the stages whose work is open whether they may begin, before the first of them works for hours."""
        for number in numbers:
            if not self.is_there(folder, number):
                self.stages[number - 1].check()

    def _run_all(self) -> list[StageOutcome]:
        done = [self._clips(self.out), *(self._stage(number, self.out) for number in range(1, len(self.stages) + 1))]
        return [*done, *(self._ending(number, done[-1]) for number in range(len(self.endings)))]

    def _ending(self, place: int, last: StageOutcome) -> StageOutcome:
        """The folder of an ending."""
        ending, number, begun = self.endings[place], len(self.stages) + 1 + place, time.monotonic()
        folder = self.out / f"{number:02}_{ending.name}"
        was_there, work = folder.exists(), self.work_folder(self.out, number)
        if was_there and not (work / _REQUEST).is_file():
            raise ConfigurationError(f"Move {folder} away: it is there, and no pipeline has written it.")
        self._begin_work(work, number)
        if not was_there:
            ending.work = StageWork(tell=self._tell)
            ending.write(ClipPieces.of_file(last.path), self.out, folder)
        seconds = 0.0 if was_there else time.monotonic() - begun
        outcome = StageOutcome(ending.name, folder, last.clips, last.kept, seconds, was_there)
        self._finished(outcome)
        return outcome

    def _clips(self, folder: Path, first: int = 0, end: int | None = None) -> StageOutcome:
        """The table of the clips, or of some of them."""
        begun = time.monotonic()
        path = folder / self._names[0]
        if self.is_there(folder, 0):
            return self._told(CLIPS, path, 0.0, was_there=True)
        work = self.work_folder(folder, 0)
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir(parents=True, exist_ok=True)
        pieces = self.source.write(work, first, end)
        if not pieces:
            raise DataError(f"Give a table with at least one clip: {self.source.path} has none.")
        record = StageRecord(
            stage=CLIPS,
            parts={CLIPS: self.source.described},
            clips=sum(map(count_rows, pieces)),
            time=now(),
            version=package_versions()["affect-lightning"],
            request=self._requests[0],
        )
        write_pieces(path, pieces, [*self.source.records, record])
        shutil.rmtree(work, ignore_errors=True)
        return self._told(CLIPS, path, time.monotonic() - begun)

    def _stage(self, number: int, folder: Path) -> StageOutcome:
        stage, path, begun = self.stages[number - 1], folder / self._names[number], time.monotonic()
        source, work = folder / self._names[number - 1], self.work_folder(folder, number)
        if self.is_there(folder, number):
            shutil.rmtree(work, ignore_errors=True)  # of a run that was killed behind its last step
            return self._told(stage.name, path, 0.0, was_there=True)
        self._begin_work(work, number)
        pieces = list(self._pieces(stage, source, work, LineLog(folder / TIMES)))
        before = records_of_file(source)
        made = json.loads((work / _COLUMNS).read_text(encoding="utf-8"))
        record = stage.record(made, count_rows(source), self._requests[number])
        write_pieces(path, pieces, [*before, record])
        shutil.rmtree(work, ignore_errors=True)
        return self._told(stage.name, path, time.monotonic() - begun)

    def _pieces(self, stage: Stage[Any], source: Path, work: Path, times: LineLog) -> Iterator[Path]:
        """The pieces of the stage's table; those that are there are not made again."""
        from pyarrow import parquet

        rows = None if stage.scope == "table" else ROWS
        total = count_rows(source)
        count = 1 if rows is None else -(-total // rows)
        if stage.scope == "distribution" and not all(piece_of(work, number).is_file() for number in range(count)):
            stage.prepare(lambda: chunks_of_file(source))
        for number, chunk in enumerate(chunks_of_file(source, rows)):
            piece, begun = piece_of(work, number), time.monotonic()
            if not piece.is_file():
                folder = chunk_folder(work, number)
                folder.mkdir(parents=True, exist_ok=True)
                stage.work = StageWork(folder, self._tell)
                columns = stage.columns_of(chunk)
                data = chunk.with_values(columns).data
                _write(work / _COLUMNS, json.dumps(list(columns)))
                _write(piece, partial(parquet.write_table, data))
                times.add({"stage": stage.name, "clips": len(chunk), "seconds": round(time.monotonic() - begun, 3)})
                self._tell(stage.name, len(chunk), total)
            yield piece

    def _begin_work(self, work: Path, number: int) -> None:
        """Refuse what was begun under other options."""
        request = work / _REQUEST
        if request.is_file() and request.read_text(encoding="utf-8") != self._requests[number]:
            raise ConfigurationError(
                f"Choose another folder as `out`, or delete {work} and what was made there: a stage {self._name_of(number)} of "
                f"other clips, stages or options was begun."
            )
        _write(request, self._requests[number])

    def _name_of(self, number: int) -> str:
        return CLIPS if not number else self._items[number - 1].name

    def chunks_before(self, number: int) -> Iterator[ClipTable]:
        """What a stage works on: the table before it, or the bare clips as long as that is not there."""
        path = self.out / self._names[number - 1]
        return chunks_of_file(path, ROWS) if self.is_there(self.out, number - 1) else self.source.chunks()

    def is_there(self, folder: Path, number: int) -> bool:
        """Whether a table is there that follows from these clips and options.

        Raises:
            ConfigurationError: It follows from others.
        """
        path = folder / self._names[number]
        if not path.is_file():
            return False
        records = records_of_file(path)
        if records and records[-1].request == self._requests[number]:
            return True
        name = self._name_of(number)
        raise ConfigurationError(
            f"Choose another folder as `out`, or move {path} away: the table is there, but of other clips or options "
            f"({self._difference(records, number)}). No table is overwritten. The stage is {name}."
        )

    def _difference(self, records: Sequence[StageRecord], number: int) -> str:
        """What was different when the table was made, in the first stage where something was."""
        if not records or not records[-1].request:
            return "it has no record of a pipeline"
        own = [record for record in records if record.request][-number - 1 :]
        if own and own[0].request != self._requests[0]:
            return "the clips differ"
        for record, stage in zip(own[1:], self.stages, strict=False):
            before = {"stage": record.stage, **record.options, **record.parts}
            here = {"stage": stage.name, **stage.recorded_options(), **stage.parts()}
            for key in {**before, **here}:
                if before.get(key) != here.get(key):
                    return f"{key} of {record.stage} was {before.get(key)!r:.80} and is {here.get(key)!r:.80}"
        return "a stage before it differs"

    def _join(self, number: int, parts: Sequence[FinishedPart]) -> None:
        """The table of a stage out of those of the parts, which are in the order of the clips."""
        if self.is_there(self.out, number):
            return
        tables = [part.folder / self._names[number] for part in parts]
        of_parts = [records_of_file(table) for table in tables]
        clips = sum(map(count_rows, tables))
        given = len(self.source.records)  # of the table that the clips came from: the parts have not made these
        made = [
            replace(record, clips=clips, time=max(records[place].time for records in of_parts))
            for place, record in enumerate(of_parts[0])
        ]
        records = [*of_parts[0][:given], *made[given:]]
        write_pieces(self.out / self._names[number], tables, records)

    def _told(self, name: str, path: Path, seconds: float, *, was_there: bool = False) -> StageOutcome:
        outcome = StageOutcome(name, path, count_rows(path), count_kept(path), seconds, was_there)
        self._finished(outcome)
        return outcome

    @staticmethod
    def work_folder(folder: Path, number: int) -> Path:
        """Where a stage keeps what is half done."""
        return folder / f".{number:02}.work"

    @contextmanager
    def _alone(self) -> Iterator[None]:
        arrow_for("A table of clips")
        try:
            self.out.mkdir(parents=True, exist_ok=True)
            lock = file_lock(self.out / _LOCK, 0).acquire()
        except TimeoutError:
            raise ConfigurationError(f"Wait for its end: another process works in {self.out}.") from None
        except OSError as error:
            raise DataError(
                f"{self.out} cannot be written: {error.strerror or error}. Choose another folder."
            ) from error
        with lock:
            yield


def _nobody(outcome: StageOutcome) -> None:
    """Nobody is told."""


def _digest(values: Any) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def piece_of(work: Path, number: int) -> Path:
    """The table of some thousand clips of a stage at work."""
    return work / f"{number:06}.parquet"


def chunk_folder(work: Path, number: int) -> Path:
    """Where a stage keeps what it has of clips whose piece is not finished."""
    return work / f"{number:06}"


def _write(path: Path, content: Any) -> None:
    try:
        write_whole(path, content)
    except OSError as error:
        raise DataError(
            f"{path} could not be written: {error.strerror or error}. Free space, then run the command again: what is done "
            f"is kept."
        ) from error


def forget_bare_clips(folder: Path) -> None:
    """Delete the folder of a pipeline in which nobody works, if it has nothing of a stage: no part, table, piece or answer."""
    tables = [path for path in folder.glob("*.parquet") if not path.name.startswith("00_")]
    half_done = (path for work in folder.glob(".*.work") for path in work.rglob("*") if path.is_file())
    if not folder.is_dir() or (folder / _PARTS).exists() or tables or any(path.name != _REQUEST for path in half_done):
        return
    with suppress(TimeoutError, OSError), file_lock(folder / _LOCK, 0).acquire():
        shutil.rmtree(folder, ignore_errors=True)
