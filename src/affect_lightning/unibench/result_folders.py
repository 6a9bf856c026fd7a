"""Folders of results: each test, prediction and scoring has one of its own, and none is written over another (ours).

    runs/<experiment>/<version>/test/<sets>-<weights>-<time>/       what `test` found for weights of that run
    runs/<experiment>/<version>/predict/own-<weights>-<time>/       what `predict` answered
    runs/score/<set>-<name>-<time>/                                 what `score` found

The command line chooses the folder before anything is loaded; `callback.py` and `report` write into it and find it again.
"""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from pathlib import Path

from affect_lightning.errors import ConfigurationError
from affect_lightning.storage import try_place
from affect_lightning.unibench.scoring.predictions import refused_writing

TEST = "test"  # folder, in that of a run, of what its tests found
REPORT_FILE = "report.json"
GROWING_FILE = "responses.jsonl"  # the responses so far, while a test or prediction runs
_RESULTS = (REPORT_FILE, "predictions", GROWING_FILE)
_NAMED_SETS = 3  # more are counted in a folder's name (our choice: the name stays short)
_TIME = re.compile(r"(\d{8}-\d{6})(?:-(\d+))?$")


def result_name(sets: Sequence[str] | None, weights: str) -> str:
    """Name of a folder of results, without the time.

    Args:
        sets: Keys of the sets or paths of tables; None means all.
        weights: Path of the checkpoint or exported folder, or a name; empty for none.

    >>> result_name(None, "runs/a/version_0/checkpoints/last.ckpt"), result_name(["meld", "my/talks.csv"], "")
    ('all-last', 'meld+talks-untrained')
    """
    stems = [Path(name).stem for name in sets or ()]
    shown = "+".join(stems) if len(stems) <= _NAMED_SETS else f"{len(stems)}sets"
    return re.sub(r"[^\w.+=-]+", "_", f"{shown or 'all'}-{Path(weights).stem or 'untrained'}")


def reserve_result_folder(place: Path, name: str, *, makes: bool = True) -> Path:
    """A folder that no other command uses.

    Args:
        place: Folder that it is in.
        name: From `result_name`; the time comes behind it, and a number if that is taken.
        makes: Whether it is made, so that nobody else takes the name; only one of several processes should.

    Raises:
        OSError: The system refuses.
    """
    stamped = place / f"{name}-{time.strftime('%Y%m%d-%H%M%S')}"
    folder, number = stamped, 1
    while True:
        try:
            if makes:
                folder.mkdir(parents=True)
                return folder
            if not folder.exists():
                return folder
        except FileExistsError:
            if place.exists() and not place.is_dir():
                raise
        number += 1
        folder = stamped.with_name(f"{stamped.name}-{number}")


def check_unused(folder: Path) -> None:
    """Refuse a folder that has a result.

    Raises:
        ConfigurationError: It has one; the message names what.
    """
    found = [name for name in _RESULTS if (folder / name).exists()]
    if found:
        raise ConfigurationError(
            f"Choose another folder with --out, or move the result away: {folder} has one already ({', '.join(found)}), and "
            f"no result is written over another."
        )


def check_place(folder: Path) -> None:
    """Refuse a folder that has a result, or that cannot be written to; commands ask before they compute anything.

    Raises:
        ConfigurationError: It has a result.
        WritingError: The system refuses: a full disk, a missing right, or a file in the folder's place.
    """
    check_unused(folder)
    check_writable(folder)


def check_writable(folder: Path) -> None:
    """Refuse a folder that cannot be written to.

    Raises:
        WritingError: See `check_place`.
    """
    try:
        try_place(folder)
    except OSError as error:
        raise refused_writing(error, folder) from error


def results_of(run: Path) -> list[Path]:
    """Folders with a report of the tests of a run, the oldest first."""

    def made(folder: Path) -> tuple[str, int]:
        found = _TIME.search(folder.name)
        return (found[1], int(found[2] or 1)) if found else ("", 0)

    return sorted((path.parent for path in (run / TEST).glob(f"*/{REPORT_FILE}")), key=made)


def newest_result(folder: Path) -> Path:
    """The folder itself if it has a report, else the newest result of the run that it is; itself again without any."""
    if (folder / REPORT_FILE).exists():
        return folder
    return next(reversed(results_of(folder)), folder)


def run_title(folder: Path) -> str:
    """What a row of a report is called: the last two parts of the run's folder, or of the result's own.

    >>> run_title(Path("runs/sandbox/version_0/test/all-last-20261128-120000")), run_title(Path("my/result"))
    ('sandbox/version_0', 'my/result')
    """
    folder = folder.resolve()
    is_of_a_run = folder.parent.name == TEST and _TIME.search(folder.name) is not None
    return "/".join((folder.parents[1] if is_of_a_run else folder).parts[-2:])
