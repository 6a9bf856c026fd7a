"""The runs of a table: one training and one test for each row and seed, done where they are missing, in other processes.

    OUT/BASE/ROW/seedN/                  a run like any other: checkpoints, events, test/<result>/
    OUT/BASE/ROW/seedN/table_run.json    what it was asked for, how far it is, and how long it took
    OUT/BASE/ROW/seedN/table_run.log     what fit and test printed

Runs of equal rows are shared between tables. A killed training goes on from its last checkpoint. `processes.py` does them.
"""

from __future__ import annotations

import json
import shlex
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from affect_lightning.errors import ConfigurationError, DataError
from affect_lightning.storage import write_whole
from affect_lightning.unibench.paper_tables.catalogue import PaperRow, PaperTable
from affect_lightning.unibench.result_folders import REPORT_FILE, results_of

State = Literal["missing", "begun", "trained", "done"]
LOG = "table_run.log"
_MARK = "table_run.json"
_LOGGER = "--trainer.logger.init_args"


@dataclass(frozen=True)
class Run:
    """One training and test.

    Attributes:
        row: Of the table.
        seed: Of the training.
        folder: Of the run.
        base: Configurations that the row changes, names or paths, each laid over those before.
        extra: Options of the user, behind those of the row.
    """

    row: PaperRow
    seed: int
    folder: Path
    base: tuple[str, ...]
    extra: tuple[str, ...] = ()

    @property
    def words(self) -> list[str]:
        """Options that fit and test share."""
        return [
            *(word for name in self.base for word in ("--config", name)),
            *(*(self.row.words or ()), "--seed_everything", str(self.seed), *self.extra),
            *(f"{_LOGGER}.save_dir", str(self.folder.parent.parent), f"{_LOGGER}.name", self.folder.parent.name),
            *(f"{_LOGGER}.version", self.folder.name),
        ]

    @property
    def title(self) -> str:
        """For messages."""
        return f"{self.row.title or 'base'}, seed {self.seed}"

    def record(self) -> dict[str, Any]:
        """What the run's mark says; empty where there is none.

        Raises:
            DataError: It cannot be read.
            ConfigurationError: The run was asked for something else.
        """
        path = self.folder / _MARK
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
            asked = [str(word) for word in record["asked"]]
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DataError(
                f"Delete {self.folder} and run the table again: {path} cannot be read ({error})."
            ) from error
        if asked != self._asked:
            raise ConfigurationError(
                f"Choose another --out, or delete {self.folder}: that run had the options `{shlex.join(asked)}`, and now they "
                f"are `{shlex.join(self._asked)}`."
            )
        return dict(record)

    @property
    def state(self) -> State:
        """How far the run is; see `record` for errors."""
        record = self.record()
        if self.result is not None:
            return "done"
        return "trained" if record.get("trained") else "begun" if record else "missing"

    @property
    def result(self) -> Path | None:
        """Folder of the test's report; None where there is none."""
        name = self.record().get("result")
        found = self.folder / name if name else None
        return found if found is not None and (found / REPORT_FILE).is_file() else None

    @property
    def seconds(self) -> float:
        """What training and test took, over all tries that ended well."""
        return float(sum(self.record().get("seconds", {}).values()))

    @property
    def _asked(self) -> list[str]:
        return [*self.base, *(self.row.words or ()), *self.extra]

    @property
    def log(self) -> Path:
        """What fit and test print."""
        return self.folder / LOG

    def missing_step(self) -> str:
        """Fit or test, whichever is next; empty if both are done."""
        return {"done": "", "trained": "test"}.get(self.state, "fit")

    def begin(self, name: str) -> list[str]:
        """Make the run's folder ready for training or test; returns the words of the command.

        Args:
            name: fit or test.

        Raises:
            ConfigurationError: See `record`.
            OSError: The system refuses.
        """
        last = self.folder / "checkpoints" / "last.ckpt"
        if name == "test":
            return ["test", *self.words, "--ckpt_path", str(last)]
        continues = last.exists()
        if not continues and self.state == "begun" and (self.folder / "config.yaml").exists():
            shutil.rmtree(self.folder)  # killed before its first checkpoint
        self.note()
        return ["fit", *self.words, *(["--ckpt_path", "last"] if continues else [])]

    def note_step(self, name: str, seconds: float) -> None:
        """Keep that training or test ended well.

        Args:
            name: fit or test.
            seconds: What it took.
        """
        times = {**self.record().get("seconds", {}), name: seconds}
        if name == "fit":
            self.note(trained=True, seconds=times)
        elif found := results_of(self.folder):
            self.note(result=str(found[-1].relative_to(self.folder)), seconds=times)

    def note(self, **values: Any) -> None:
        """Add to the run's mark; raises OSError if the system refuses."""
        self.folder.mkdir(parents=True, exist_ok=True)
        record = {"asked": self._asked, "seed": self.seed, **self.record(), **values}
        write_whole(self.folder / _MARK, json.dumps(record, indent=1) + "\n")


def place_of_base(out: Path, base: Sequence[str]) -> Path:
    """Folder of the runs and tables of a base, the last configuration of several."""
    return out / Path(base[-1]).stem


def runs_of(
    table: PaperTable, *, out: Path, base: Sequence[str], seeds: Sequence[int], extra: Sequence[str] = ()
) -> dict[str, list[Run]]:
    """The runs of each row by its title, a run for each seed; rows that need data of the user have none."""
    place = place_of_base(out, base)
    return {
        row.title: [Run(row, seed, place / row.key / f"seed{seed}", tuple(base), tuple(extra)) for seed in seeds]
        if row.words is not None
        else []
        for row in table.rows
    }


def unique_runs(runs: Sequence[Run]) -> list[Run]:
    """Each run once, by its folder."""
    return list({run.folder: run for run in runs}.values())


def mean_seconds(runs: Sequence[Run]) -> float | None:
    """What a run takes, by those that are done; None where none is."""
    done = [run.seconds for run in runs if run.state == "done" and run.seconds > 0]
    return sum(done) / len(done) if done else None


def expected_seconds(runs: Sequence[Run]) -> float | None:
    """What the runs that are missing will take one after another; None where none is done."""
    mean = mean_seconds(runs)
    return None if mean is None else mean * sum(run.state != "done" for run in runs)
