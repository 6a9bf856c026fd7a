"""How well the filters of `affect-lightning annotate` find the faults that the sandbox plants: docs/annotation.md.

    affect-lightning sandbox --out sandbox-raw --clips 1 --test-clips 60 --raw-clips 300
    affect-lightning annotate --config annotate_planted
    python benchmarks/annotate_faults.py runs/annotate_planted --truth sandbox-raw/raw_faults.csv [--json]

TABLE is a table of clips, or a folder of which the last table counts. Each filter is measured on the clips that reach it:
precision is the share of its dropped clips that have the fault it looks for, recall the share of these faults that it drops.
Intervals are Wilson's, 95%. A drop of a clip with another fault counts as wrong, and is told beside.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from affect_lightning.annotation.rater_statistics import wilson_interval
from affect_lightning.annotation.tables import KEPT, ClipTable, read_clip_table
from affect_lightning.command_line.printing import print_json
from affect_lightning.command_line.terminal import format_table
from affect_lightning.errors import AffectLightningError, DataError

LOOKED_FOR = {
    "speaker": ("unseen_voice",),
    "length": ("short_description", "long_description"),
    "agree": ("wrong_description",),
}
"""Kinds of faults by the filter that should find them."""


@dataclass(frozen=True)
class FilterMeasure:
    """What one filter finds of the clips that reach it.

    Attributes:
        stage: Name of the filter.
        reached: Clips that no earlier filter dropped.
        planted: Of these, clips with the fault that it looks for.
        found: Of these, clips that it drops.
        dropped: All clips that it drops.
        missed: Names of the planted ones that it keeps.
        wrongly: Other clips that it drops, by their own fault; an empty name for clips without any.
    """

    stage: str
    reached: int
    planted: int
    found: int
    dropped: int
    missed: tuple[str, ...]
    wrongly: Mapping[str, int]

    @property
    def precision(self) -> float | None:
        """Share of the dropped clips that have the fault; None without any."""
        return self.found / self.dropped if self.dropped else None

    @property
    def recall(self) -> float | None:
        """Share of the planted faults that are found; None without any."""
        return self.found / self.planted if self.planted else None

    def plain(self) -> dict[str, Any]:
        """For JSON."""
        return {
            **vars(self),
            "precision": self.precision,
            "precision_interval": wilson_interval(self.found, self.dropped),
            "recall": self.recall,
            "recall_interval": wilson_interval(self.found, self.planted),
        }


def measure(table: ClipTable, faults: Mapping[str, str]) -> list[FilterMeasure]:
    """Measure every filter of a table, in the order of its columns.

    Args:
        table: Of clips, with columns `kept.STAGE`.
        faults: Kind by name, empty where nothing was planted.

    Raises:
        DataError: A clip is not in the truth, or the table has no column of a filter that looks for a planted fault.
    """
    unknown = [name for name in table.names if name not in faults]
    if unknown:
        raise DataError(
            f"The truth lacks {len(unknown)} clips of the table, such as {unknown[0]}: they are of two corpora."
        )
    reached = set(table.names)
    measures = []
    for column in [name for name in table.columns if name.startswith(KEPT)]:
        stage = column.removeprefix(KEPT)
        kept = dict(zip(table.names, table.column(column), strict=True))
        dropped = {name for name in reached if kept[name] is False}
        if stage in LOOKED_FOR:
            measures.append(_measured(stage, reached, dropped, faults))
        reached -= dropped
    if not measures:
        raise DataError(
            f"The table has no filter that looks for a planted fault: it needs {', '.join(KEPT + name for name in LOOKED_FOR)}."
        )
    return measures


def _measured(stage: str, reached: set[str], dropped: set[str], faults: Mapping[str, str]) -> FilterMeasure:
    planted = {name for name in reached if faults[name] in LOOKED_FOR[stage]}
    return FilterMeasure(
        stage=stage,
        reached=len(reached),
        planted=len(planted),
        found=len(planted & dropped),
        dropped=len(dropped),
        missed=tuple(sorted(planted - dropped)),
        wrongly=dict(Counter(faults[name] for name in dropped - planted)),
    )


def read_faults(path: Path) -> dict[str, str]:
    """Kind of the planted fault by the clip's name.

    Raises:
        DataError: The file is not the sandbox's.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return {row["name"]: row["fault"] for row in csv.DictReader(file)}
    except (OSError, KeyError) as error:
        raise DataError(
            f"{path} must be the raw_faults.csv of a sandbox corpus, with name and fault: {error}."
        ) from error


def last_table(place: Path) -> Path:
    """The table itself, or the last one of a folder by its name.

    Raises:
        DataError: The folder has none.
    """
    if not place.is_dir():
        return place
    tables = sorted(place.glob("*.parquet"))
    if not tables:
        raise DataError(
            f"{place} has no table of clips (*.parquet). Run `affect-lightning annotate --config FILE` first."
        )
    return tables[-1]


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", type=Path, help="table of clips with the filters' columns, or a folder of tables")
    parser.add_argument("--truth", type=Path, required=True, help="raw_faults.csv of the sandbox corpus")
    parser.add_argument("--json", action="store_true", help="print one JSON object to standard output")
    options = parser.parse_args(arguments)
    try:
        measures = measure(read_clip_table(last_table(options.table)), read_faults(options.truth))
    except AffectLightningError as error:
        print(error, file=sys.stderr)
        return 2
    if options.json:
        print_json({item.stage: item.plain() for item in measures})
        return 0
    rows = [
        [
            item.stage,
            *(str(count) for count in (item.reached, item.planted, item.dropped, item.found)),
            _share(item.found, item.dropped),
            _share(item.found, item.planted),
            ", ".join(f"{count} {kind or 'sound'}" for kind, count in item.wrongly.items()) or "-",
        ]
        for item in measures
    ]
    heads = ("filter", "clips", "planted", "dropped", "found", "precision", "recall", "wrongly dropped")
    print(format_table(heads, rows, right=(1, 2, 3, 4, 5, 6)))
    return 0


def _share(part: int, whole: int) -> str:
    interval = wilson_interval(part, whole)
    return "-" if interval is None else f"{part / whole:.3f} [{interval[0]:.3f}, {interval[1]:.3f}]"


if __name__ == "__main__":
    sys.exit(main())
