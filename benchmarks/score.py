"""Seconds and memory of `affect-lightning score` for many rows of one's own, and how both grow with the number of rows.

    python benchmarks/score.py [--kinds short long] [--short 100000 300000 1000000] [--long 10000 30000 100000] [--json]

Two kinds of rows. `short`: a csv with one to three emotion words for each clip. `long`: JSON lines with a description of
about 100 words for each clip, all of them different, out of which the default extractor takes the labels. The truth is a csv
with one or two words. The command runs as a user runs it, report included, in a process of its own: its seconds by the clock
and of the processor, and its peak memory, as the system counts them. The exponent is the slope of the processor's seconds
over the rows, both as logarithms; what a score of 100 rows takes is subtracted before, because starting takes as long for
every size. Files are written to a temporary folder (150 MB for the largest ones) and removed.
"""

from __future__ import annotations

import argparse
import csv
import json
import math
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

FEW = 100  # rows of the run that shows what starting takes
WORDS = (
    "happy", "joyful", "calm", "relaxed", "sad", "grieving", "lonely", "angry", "irritated", "furious", "surprised",
    "amazed", "afraid", "anxious", "worried", "disgusted", "ashamed", "proud", "hopeful", "bored", "confused", "curious",
    "frustrated", "disappointed", "grateful", "tense",
)  # fmt: skip
PEOPLE = ("man", "woman", "speaker", "young man", "young woman", "person", "character", "narrator", "host", "guest")
PLACES = (
    "kitchen",
    "living room",
    "office",
    "street",
    "garden",
    "car",
    "hospital",
    "restaurant",
    "classroom",
    "studio",
)
CLOTHES = ("a dark suit", "a white shirt", "a red coat", "a uniform", "a blue sweater", "glasses", "a scarf", "a hat")
BROWS = ("furrowed", "raised", "slightly knitted", "relaxed", "drawn together", "level")
EYES = ("wide open", "narrowed", "fixed on the other side", "turned down", "moving quickly", "half closed")
MOUTHS = ("pressed together", "slightly open", "turned down at the corners", "trembling", "moving as if in a hurry")
VOICES = ("low", "high", "hoarse", "steady", "trembling", "loud", "soft", "flat", "broken", "quick")
SPEEDS = ("fast", "slow", "even", "halting", "hurried", "measured")
THINGS = ("the letter", "the meeting", "the old house", "the phone call", "the exam", "the journey", "the child")
ENDS = ("at last", "in the end", "after all", "this time", "once more", "for the first time")


@dataclass(frozen=True)
class Run:
    """One run of the command.

    Attributes:
        rows: Clips.
        seconds: By the clock.
        processor_seconds: Of the process, user and system.
        peak_mb: Largest resident memory.
    """

    rows: int
    seconds: float
    processor_seconds: float
    peak_mb: float


def short_rows(rows: int, draw: random.Random) -> Iterator[str]:
    """Lines of a csv with one to three words for each clip."""
    yield "name,labels"
    for number in range(rows):
        yield f'clip{number:07d},"{", ".join(draw.sample(WORDS, draw.randint(1, 3)))}"'


def long_rows(rows: int, draw: random.Random) -> Iterator[str]:
    """JSON lines with a description of about 100 words for each clip."""
    for number in range(rows):
        yield json.dumps({"name": f"clip{number:07d}", "response": description(draw)})


def description(draw: random.Random) -> str:
    """Cues of picture, voice and words, and what follows from them, as the descriptions of MER-Caption tell it."""
    one = draw.choice
    first, second, other = draw.sample(WORDS, 3)
    denied = f"There is no sign of being {other}. " if draw.random() < 0.3 else ""
    return (
        f"In the video, a {one(PEOPLE)} in {one(CLOTHES)} is in a {one(PLACES)} and talks about {one(THINGS)}. "
        f"The eyebrows are {one(BROWS)}, the eyes are {one(EYES)} and the lips are {one(MOUTHS)}, which suggests that this "
        f"{one(PEOPLE)} may be {other} or {second}. In the audio, the voice is {one(VOICES)} and {one(VOICES)}, the pace is "
        f"{one(SPEEDS)}, and the tone sounds {first} {one(ENDS)}. {denied}"
        f'The subtitle says: "I have thought about {one(THINGS)} and {one(THINGS)} {one(ENDS)}, number {draw.randrange(10**6)}." '
        f"Based on these clues about {one(THINGS)}, we can infer that the {one(PEOPLE)} feels {first} and {second} {one(ENDS)}."
    )


KINDS: dict[str, tuple[str, Callable[[int, random.Random], Iterator[str]]]] = {
    "short": ("predictions.csv", short_rows),
    "long": ("predictions.jsonl", long_rows),
}


def write_files(folder: Path, kind: str, rows: int) -> tuple[Path, Path]:
    """The predictions and the truths of so many clips."""
    name, lines = KINDS[kind]
    predictions, labels = folder / name, folder / "labels.csv"
    with predictions.open("w", encoding="utf-8") as file:
        file.writelines(f"{line}\n" for line in lines(rows, random.Random(f"{kind} {rows}")))
    draw = random.Random(f"truths {rows}")
    with labels.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(("name", "openset"))
        for number in range(rows):
            table.writerow((f"clip{number:07d}", f"{draw.sample(WORDS, draw.randint(1, 2))}"))
    return predictions, labels


def measure(kind: str, rows: int, folder: Path) -> Run:
    """One run over files of so many rows."""
    predictions, labels = write_files(folder, kind, rows)
    command = [
        sys.executable,
        "-m",
        "affect_lightning",
        "score",
        "--dataset",
        "mine",
        "--taxonomy",
        "builtin",
        "--json",
    ]
    files = ["--labels", str(labels), "--predictions", str(predictions), "--out", str(folder / f"{kind}-{rows}")]
    started = time.monotonic()
    process = subprocess.Popen(
        [*command, *files], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, encoding="utf-8"
    )
    assert process.stderr is not None
    said = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.monotonic() - started
    if status != 0:
        raise SystemExit(f"`affect-lightning score` failed: {said}")
    return Run(rows, round(seconds, 2), round(usage.ru_utime + usage.ru_stime, 2), round(usage.ru_maxrss / 1024, 1))


def exponent(runs: Sequence[Run], start: Run) -> float:
    """Slope of log(processor seconds beyond those of the start) over log(rows), by least squares."""
    points = [(math.log(run.rows), math.log(run.processor_seconds - start.processor_seconds)) for run in runs]
    middle, height = (sum(values) / len(points) for values in zip(*points, strict=True))
    return sum((x - middle) * (y - height) for x, y in points) / sum((x - middle) ** 2 for x, _ in points)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kinds", nargs="+", choices=list(KINDS), default=list(KINDS))
    parser.add_argument("--short", nargs="+", type=int, default=[100_000, 300_000, 1_000_000], metavar="ROWS")
    parser.add_argument("--long", nargs="+", type=int, default=[10_000, 30_000, 100_000], metavar="ROWS")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args(arguments)
    results = {}
    for kind in options.kinds:
        with tempfile.TemporaryDirectory() as folder:
            start = measure(kind, FEW, Path(folder))
            runs = [measure(kind, rows, Path(folder)) for rows in getattr(options, kind)]
        grown = exponent(runs, start) if len(runs) > 1 else math.nan
        results[kind] = {"start": asdict(start), "runs": [asdict(run) for run in runs], "exponent": grown}
        if not options.json:
            print(f"{kind} rows; exponent {grown:.2f}\n{'rows':>10} {'seconds':>8} {'processor':>10} {'peak MB':>8}")
            for run in (start, *runs):
                print(f"{run.rows:>10,} {run.seconds:>8.1f} {run.processor_seconds:>10.1f} {run.peak_mb:>8.0f}")
    if options.json:
        print(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
