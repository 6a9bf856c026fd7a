"""The runs of a table: one training and one test for each row and seed, done where they are missing, in other processes.

    OUT/BASE/ROW/seedN/                  a run like any other: checkpoints, events, test/<result>/
    OUT/BASE/ROW/seedN/table_run.json    what it was asked for, how far it is, and how long it took
    OUT/BASE/ROW/seedN/table_run.log     what fit and test printed

Runs of equal rows are shared between tables. A killed training goes on from its last checkpoint.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from affect_lightning.errors import ConfigurationError, DataError
from affect_lightning.storage import write_whole
from affect_lightning.unibench.paper_tables.catalogue import PaperRow, PaperTable
from affect_lightning.unibench.result_folders import REPORT_FILE, results_of

State = Literal["missing", "begun", "trained", "done"]
LOG = "table_run.log"
PROGRAM = (sys.executable, "-m", "affect_lightning")
_MARK = "table_run.json"
_POLL_SECONDS = 0.2
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


def expected_seconds(runs: Sequence[Run]) -> float | None:
    """What the runs that are missing will take, by the mean of those that are done; None where none is."""
    done = [run.seconds for run in runs if run.state == "done" and run.seconds > 0]
    left = [run for run in runs if run.state != "done"]
    return len(left) * sum(done) / len(done) if done else None


class _Step:
    """Training or test of a run, at work in another process."""

    def __init__(self, run: Run, program: Sequence[str], environment: Mapping[str, str]) -> None:
        self.run, self.state = run, run.state
        words = _words_of_step(run, self.state)
        self.began = time.monotonic()
        run.note()
        self._log = (run.folder / LOG).open("a", encoding="utf-8")
        self._log.write(f"$ affect-lightning {shlex.join(words)}\n")
        self._log.flush()
        command = [*program, *words]
        self.process = subprocess.Popen(command, stdout=self._log, stderr=subprocess.STDOUT, env=dict(environment))

    @property
    def name(self) -> str:
        return "test" if self.state == "trained" else "fit"

    def finish(self) -> int:
        """Note what came of it; returns the exit code."""
        code = self.process.wait()
        self._log.close()
        if code == 0:
            seconds = {**self.run.record().get("seconds", {}), self.name: time.monotonic() - self.began}
            if self.name == "fit":
                self.run.note(trained=True, seconds=seconds)
            elif found := results_of(self.run.folder):
                self.run.note(result=str(found[-1].relative_to(self.run.folder)), seconds=seconds)
        return code

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait()
        self._log.close()


def _words_of_step(run: Run, state: State) -> list[str]:
    last = run.folder / "checkpoints" / "last.ckpt"
    if state == "trained":
        return ["test", *run.words, "--ckpt_path", str(last)]
    if last.exists():
        return ["fit", *run.words, "--ckpt_path", "last"]
    if state == "begun" and (run.folder / "config.yaml").exists():  # killed before its first checkpoint
        shutil.rmtree(run.folder)
    return ["fit", *run.words]


def do_runs(
    runs: Sequence[Run], *, jobs: int, say: Callable[[str], None], program: Sequence[str] = PROGRAM
) -> list[tuple[Run, str]]:
    """Train and test what is missing, some at a time.

    Args:
        runs: Each once.
        jobs: Processes at a time. They share the processor's cores, or have one GPU each of those in CUDA_VISIBLE_DEVICES.
        say: Takes a line for the user.
        program: Words that start affect-lightning.

    Returns:
        The runs that failed, with what failed and where it is told.
    """
    waiting = [run for run in runs if run.state != "done"]
    working: dict[int, _Step] = {}
    failed: list[tuple[Run, str]] = []
    done, total = 0, len(waiting)
    try:
        while waiting or working:
            for slot in range(jobs):
                if waiting and slot not in working:
                    run = waiting.pop(0)
                    working[slot] = _Step(run, program, _environment(slot, jobs))
                    say(f"{run.title}: {working[slot].name}")
            ended = [slot for slot, step in working.items() if step.process.poll() is not None]
            for slot in ended:
                step = working.pop(slot)
                code = step.finish()
                if code != 0 or step.run.state not in ("trained", "done"):
                    failed.append((step.run, f"{step.name} ended with exit code {code}; see {step.run.folder / LOG}"))
                    say(f"{step.run.title}: {failed[-1][1]}")
                elif step.name == "fit":
                    working[slot] = _Step(step.run, program, _environment(slot, jobs))
                    say(f"{step.run.title}: test")
                else:
                    done += 1
                    say(f"{step.run.title}: done in {step.run.seconds / 60:.1f} minutes ({done} of {total})")
            if not ended:
                time.sleep(_POLL_SECONDS)
    finally:
        for step in working.values():
            step.stop()
    return failed


def _environment(slot: int, jobs: int) -> dict[str, str]:
    environment = dict(os.environ)
    if jobs > 1:
        devices = [device for device in environment.get("CUDA_VISIBLE_DEVICES", "").split(",") if device]
        if len(devices) > 1:
            environment["CUDA_VISIBLE_DEVICES"] = devices[slot % len(devices)]
        environment.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // jobs)))
    return environment
