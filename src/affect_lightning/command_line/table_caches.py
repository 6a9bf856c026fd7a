"""The feature caches that the runs of a table read: as few as serve all of them, each filled once (ours).

Rows differ in fusion, inputs, adapter and seed, mostly not in what the frozen encoders see. So one cache with all streams
serves Tables 5, 6 and 8, and Figure 10 needs one for each number of frames. `feature_cache/` decides what serves what;
`affect-lightning cache` fills, just before the first run that reads. Only runs with `data.features: cached` ask for any.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from affect_lightning.command_line.cache_command import SPLITS
from affect_lightning.command_line.cache_filling import ConfigurationReader
from affect_lightning.command_line.plugin_arguments import PLUGIN_OPTIONS, take_plugin_words
from affect_lightning.command_line.terminal import silence_expected_warnings
from affect_lightning.feature_cache.identity import StreamIdentity, differences
from affect_lightning.feature_cache.source import wanted_identities
from affect_lightning.plugin_loading import find_plugin, split_choice
from affect_lightning.unibench.paper_tables.runs import Run

_WAIT_SECONDS = "86400"  # our choice: another part of the table may be filling the same cache


@dataclass(frozen=True)
class RowNeeds:
    """What the runs of a row need before they start.

    Attributes:
        run: One of them; the others differ in their seed only.
        modules: Of the parts that they build.
        streams: What their features must be, by stream; empty where they read no cache.
    """

    run: Run
    modules: frozenset[str]
    streams: Mapping[str, StreamIdentity]

    def serves(self, other: RowNeeds) -> bool:
        """Whether a cache for this row has all that another one needs."""
        return all(
            name in self.streams and not differences(self.streams[name], identity)
            for name, identity in other.streams.items()
        )


def needs_of(runs: Sequence[Run]) -> list[RowNeeds]:
    """Read the configuration of each row.

    Args:
        runs: Of any rows and seeds.

    Raises:
        AffectLightningError: An option is wrong.
    """
    silence_expected_warnings()
    return [_read(run) for run in {(run.base, run.row.key, run.extra): run for run in reversed(runs)}.values()]


def _read(run: Run) -> RowNeeds:
    words, overrides, _ = take_plugin_words(run.words)
    program = ConfigurationReader(["fit", *words], overrides)
    section, data = program.config["fit"], program.datamodule
    choices = [(group, section.get(option)) for option, group in PLUGIN_OPTIONS.items()]
    modules = {_module_of(group, choice) for group, choice in choices if choice is not None}
    cached = data.feature_options.mode == "cached"
    streams = wanted_identities(data.feature_options, data.options, data.face_detector) if cached else {}
    return RowNeeds(run, frozenset(modules), streams)


def _module_of(group: str, choice: Any) -> str:
    return find_plugin(group, split_choice(choice)[0]).target.partition(":")[0]


def fewest_caches(needs: Sequence[RowNeeds]) -> list[RowNeeds]:
    """The rows whose caches serve all rows, those with the most streams first."""
    chosen: list[RowNeeds] = []
    for row in sorted(needs, key=lambda row: -len(row.streams)):
        if row.streams and not any(other.serves(row) for other in chosen):
            chosen.append(row)
    return chosen


class CacheToFill:
    """One call of `affect-lightning cache`, as a `Task`.

    Args:
        row: That it serves, with others.
        place: Folder of its log.
    """

    def __init__(self, row: RowNeeds, place: Path) -> None:
        self.row = row
        self.title = f"features for {row.run.row.title or 'base'}"
        self.log = place / f"{row.run.row.key}.log"
        self.seconds = 0.0
        self._is_full = False

    def missing_step(self) -> str:
        """See `Task`."""
        return "" if self._is_full else "cache"

    def begin(self, name: str) -> list[str]:
        """See `Task`."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        return [name, "--split", *SPLITS, "--wait", _WAIT_SECONDS, *self.row.run.words]

    def note_step(self, name: str, seconds: float) -> None:
        """See `Task`."""
        self._is_full, self.seconds = True, seconds


@dataclass(frozen=True)
class CachesOfRuns:
    """The caches that some runs read.

    Attributes:
        caches: To fill.
        by_row: The cache of each row that reads one, by the row's key.
    """

    caches: tuple[CacheToFill, ...]
    by_row: Mapping[str, CacheToFill]

    @classmethod
    def plan(cls, needs: Sequence[RowNeeds], place: Path) -> CachesOfRuns:
        """The fewest caches that serve.

        Args:
            needs: Of the rows.
            place: Folder for the logs.
        """
        caches = tuple(CacheToFill(row, place) for row in fewest_caches(needs))
        readers = [row for row in needs if row.streams]
        return cls(
            caches, {row.run.row.key: next(cache for cache in caches if cache.row.serves(row)) for row in readers}
        )

    def before(self, task: CacheToFill | Run) -> CacheToFill | None:
        """The cache that a run reads; None for a cache, and for a run that reads none."""
        return self.by_row.get(task.row.key) if isinstance(task, Run) else None

    def with_runs(self, runs: Sequence[Run]) -> list[CacheToFill | Run]:
        """Caches and runs in the order of work: each cache before the first run that reads it."""
        tasks = dict[int, CacheToFill | Run]()
        for run in runs:
            cache = self.before(run)
            for task in (cache, run):
                if task is not None:
                    tasks.setdefault(id(task), task)
        return list(tasks.values())
