"""How long commands that only look keep one waiting, beside an `import torch` of the same run.

    python benchmarks/waiting.py [--repeats 5] [--only fit-help plugins ...] [--json]

Each command runs as a user runs it, in a process of its own, with one thread. `import torch` and the commands take turns, so
that a busy machine slows all of them. The table has the median over the repeats of the processor's seconds and of the clock's,
each as a share of that of `import torch`, and the limit that the project has set itself. `fit-help-first` has an empty
cache each time; `fit-help` has the help of the first time. `doctor` sees new clips each time, two of two seconds. Files of
bytecode are used and written, as in an installation. Everything is written to a temporary folder and removed.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

CLIPS = 2
# Shares of an `import torch` that the project has set itself as limits.
LIMITS = {
    "fit-help-first": 1.0,
    "fit-help": 1.0,
    "doctor": 1.5,
    "summary": 2.5,
    "plugins": 0.3,
    "score": 1.2,
    "serve-help": None,
}


@dataclass(frozen=True)
class Waited:
    """One run.

    Attributes:
        processor: Seconds of the processor.
        clock: Seconds of the clock.
    """

    processor: float
    clock: float


def run(words: Sequence[str], folder: Path, cache: Path) -> Waited:
    """Run Python with these words and wait."""
    environment = {
        **{name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"},
        "OMP_NUM_THREADS": "1",
        "AFFECT_LIGHTNING_CACHE": str(cache),
        "COLUMNS": "100",
    }
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run([sys.executable, *words], cwd=folder, env=environment, capture_output=True, check=False)
    clock, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode not in (0, 1):  # doctor says 1 where it has found something
        raise SystemExit(f"{' '.join(words)} failed:\n{done.stderr.decode(errors='replace')}")
    return Waited(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, clock)


def prepare(folder: Path) -> None:
    """A training set for `doctor`; truths and responses for `score`."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
    from clip_making import write_training_set

    write_training_set(folder / "data", [f"clip{number}" for number in range(CLIPS)])
    for name, column in (("labels.csv", "labels"), ("responses.csv", "response")):
        with (folder / name).open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([("name", column), *((f"clip{number}", "happy") for number in range(20))])


def commands(folder: Path) -> dict[str, Callable[[int], Waited]]:
    """How to run each, by name; the number of the repeat chooses a new cache where one must be empty."""
    program = ("-m", "affect_lightning")
    score = ("score", "--dataset", "mine", "--labels", "labels.csv", "--predictions", "responses.csv")

    def told(*words: str, is_new: bool = False) -> Callable[[int], Waited]:
        return lambda number: run((*program, *words), folder, folder / (f"new{number}" if is_new else "cache"))

    return {
        "fit-help-first": told("fit", "--help", is_new=True),
        "fit-help": told("fit", "--help"),
        "doctor": lambda number: run(
            (*program, "doctor", "--data", "data", "--workers", "1", "--cache", f"checks{number}"),
            folder,
            folder / "cache",
        ),
        "summary": told("summary", "--config", "affectgpt"),
        "plugins": told("plugins", "qformer"),
        "score": told(*score, "--taxonomy", "builtin", "--json"),
        "serve-help": told("serve", "--help"),
    }


def measure(folder: Path, repeats: int, only: Sequence[str]) -> dict[str, list[Waited]]:
    """All runs, in turns; the first round only warms the files up and is left out."""
    known = {name: how for name, how in commands(folder).items() if not only or name in only}
    found: dict[str, list[Waited]] = {name: [] for name in ("import torch", *known)}
    for number in range(repeats + 1):
        turn = {"import torch": run(("-c", "import torch"), folder, folder / "cache")}
        turn |= {name: how(number) for name, how in known.items()}
        if number:
            for name, waited in turn.items():
                found[name].append(waited)
    return found


def rows_of(found: dict[str, list[Waited]]) -> list[dict[str, object]]:
    """Medians, and shares of `import torch`."""
    middle = {
        name: (statistics.median(one.processor for one in all_), statistics.median(one.clock for one in all_))
        for name, all_ in found.items()
    }
    torch = middle["import torch"]
    return [
        {
            "command": name,
            "processor_seconds": round(processor, 2),
            "clock_seconds": round(clock, 2),
            "processor_share": round(processor / torch[0], 2),
            "clock_share": round(clock / torch[1], 2),
            "limit": LIMITS.get(name),
        }
        for name, (processor, clock) in middle.items()
    ]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--only", nargs="+", choices=list(LIMITS), default=[])
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        prepare(folder)
        rows = rows_of(measure(folder, options.repeats, options.only))
    if options.json:
        print(json.dumps(rows))
        return
    print("| command | processor, s | clock, s | processor, share | clock, share | limit |")
    print("| --- | --- | --- | --- | --- | --- |")
    for row in rows:
        print("| " + " | ".join("-" if value is None else str(value) for value in row.values()) + " |")


if __name__ == "__main__":
    main()
