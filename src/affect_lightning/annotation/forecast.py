"""What a pipeline has still to do, told without doing it: clips, questions to models, about how many tokens and seconds.

Ours, for users who pay for what they ask. The figures are measured on what is done; before that they are not known.
`pipeline.py` does the work; `stages.py` has what a stage says of its cost.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from affect_lightning.annotation.pipeline import TIMES, Pipeline, chunk_folder, piece_of
from affect_lightning.annotation.stages import Stage, StageCost, StageWork
from affect_lightning.annotation.tables import ClipTable
from affect_lightning.storage import LineLog


@dataclass(frozen=True)
class StageForecast:
    """What a stage would still do.

    Attributes:
        stage: Its name.
        clips: Still to be worked on.
        cost: Questions to models.
        seconds: How long it will take at the pace of what is done; None if nothing is.
    """

    stage: str
    clips: int
    cost: StageCost
    seconds: float | None


def forecast(pipeline: Pipeline) -> list[StageForecast]:
    """What is still to be done of each stage, of the whole and not of a part; no model is asked.

    Raises:
        ConfigurationError: A table of other clips or options is there.
    """
    total = pipeline.source.count()
    paces = _paces(pipeline.out / TIMES)
    told = []
    for number, stage in enumerate(pipeline.stages, start=1):
        if pipeline.is_there(pipeline.out, number):
            told.append(StageForecast(stage.name, 0, StageCost({}, {}), 0.0))
            continue
        before = pipeline.chunks_before(number)
        cost, clips = _open_cost(before, stage, pipeline.work_folder(pipeline.out, number), total)
        pace = paces.get(stage.name)
        seconds = cost.seconds() if cost.requests else None
        if seconds is None and pace is not None:
            seconds = pace * clips
        told.append(StageForecast(stage.name, clips, cost, seconds))
    return told


def _open_cost(chunks: Iterator[ClipTable], stage: Stage[Any], work: Path, total: int) -> tuple[StageCost, int]:
    """Questions that are open, and clips whose piece is not there."""
    requests: dict[str, int] = {}
    measured: dict[str, tuple[int, int, float | None]] = {}
    clips = total
    for number, chunk in enumerate(chunks):
        folder = chunk_folder(work, number)
        stage.work = StageWork(folder if folder.is_dir() else None)
        cost = stage.cost(chunk)
        is_done = piece_of(work, number).is_file()
        clips -= len(chunk) if is_done else 0
        for what, count in cost.requests.items():
            requests[what] = requests.get(what, 0) + (0 if is_done else count)
        for what, found in cost.measured.items():
            before = measured.get(what, (0, 0, 0.0))
            seconds = None if before[2] is None or found[2] is None else before[2] + found[2]
            measured[what] = before[0] + found[0], before[1] + found[1], seconds
    return StageCost(requests, measured), clips


def _paces(path: Path) -> dict[str, float]:
    """Seconds a clip of each stage, as far as it has worked."""
    found: dict[str, tuple[int, float]] = {}
    for row in LineLog(path).new_records():
        clips, seconds = found.get(row["stage"], (0, 0.0))
        found[row["stage"]] = clips + row["clips"], seconds + row["seconds"]
    return {name: seconds / clips for name, (clips, seconds) in found.items() if clips}
