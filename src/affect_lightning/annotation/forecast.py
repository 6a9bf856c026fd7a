"""What a pipeline has still to do, told without doing it: clips, questions to models, about how many tokens and seconds.

Ours, for users who pay for what they ask. The figures are measured on what is done; before that they are not known.
`pipeline.py` does the work; `stages.py` has what a stage says of its cost.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from affect_lightning.annotation.pipeline import TIMES, Pipeline, chunk_folder, piece_of
from affect_lightning.annotation.stages import Stage, StageCost, StageWork
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
        cost, clips = _open_cost(pipeline, stage, pipeline.work_folder(pipeline.out, number), total)
        pace = paces.get(stage.name)
        seconds = cost.seconds() if cost.requests else None if pace is None else pace * clips
        told.append(StageForecast(stage.name, clips, cost, seconds))
    return told


def _open_cost(pipeline: Pipeline, stage: Stage[Any], work: Path, total: int) -> tuple[StageCost, int]:
    """Questions that are open, and clips whose piece is not there."""
    requests: dict[str, int] = {}
    measured: dict[str, tuple[int, int, float]] = {}
    clips = total
    for number, chunk in enumerate(pipeline.source.chunks()):
        folder = chunk_folder(work, number)
        stage.work = StageWork(folder if folder.is_dir() else None)
        cost = stage.cost(chunk)
        is_done = piece_of(work, number).is_file()
        clips -= len(chunk) if is_done else 0
        for what, count in cost.requests.items():
            requests[what] = requests.get(what, 0) + (0 if is_done else count)
        for what, found in cost.measured.items():
            before = measured.get(what, (0, 0, 0.0))
            measured[what] = before[0] + found[0], before[1] + found[1], before[2] + found[2]
    return StageCost(requests, measured), clips


def _paces(path: Path) -> dict[str, float]:
    """Seconds a clip of each stage, as far as it has worked."""
    found: dict[str, tuple[int, float]] = {}
    for row in LineLog(path).new_records():
        clips, seconds = found.get(row["stage"], (0, 0.0))
        found[row["stage"]] = clips + row["clips"], seconds + row["seconds"]
    return {name: seconds / clips for name, (clips, seconds) in found.items() if clips}
