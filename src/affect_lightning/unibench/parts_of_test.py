"""A test that several machines divide: each keeps the responses of its share, and a merge scores them all.

    OUT/parts/2-of-8/responses.jsonl    the responses of part 2 of 8, a line each, from the first batch on
                     examples.jsonl     pictures of clips that may become examples of the report
                     part.json          weights and quarantined clips (`storage/parts.py`)

A part that was killed answers only what has no response yet. `callback.py` fills a part and writes the report,
`command_line/benchmark_command.py` merges.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from affect_lightning.errors import DataError
from affect_lightning.storage import FinishedPart, LineLog, Part, PartError, WorkInParts
from affect_lightning.unibench.report.content import Curve
from affect_lightning.unibench.result_folders import GROWING_FILE
from affect_lightning.unibench.scoring.predictions import Prediction

PARTS = "parts"  # folder in that of the result
_EXAMPLES = "examples.jsonl"
_NAMED = 5  # clips that a message names (our choice)
ClipKey = tuple[str, str]
Shown = dict[ClipKey, tuple[str, tuple[str, ...]]]  # subtitle and pictures by corpus and name


@dataclass(frozen=True)
class FinishedTest:
    """What a report must know of a test besides its responses.

    Attributes:
        benchmark_root: Folder of the test sets; None without one.
        weights: The checkpoint, or the exported folder that the module was filled from; empty if there was neither.
        rule: How they were chosen.
        curves: Losses of the run that made them.
        quarantined: Clips that could not be read.
        made_on: Device and number type of the arithmetic, such as `NVIDIA H200, bf16-mixed`; of parts, each that occurs.
    """

    benchmark_root: Path | None
    weights: str
    rule: str
    curves: Sequence[Curve] = ()
    quarantined: Sequence[Mapping[str, str]] = ()
    made_on: Sequence[str] = ()


def request_of_test(model: Mapping[str, Any], data: Mapping[str, Any], weights: str, precision: str) -> dict[str, Any]:
    """What all parts of a test, and their merge, must agree on, by names that a user understands.

    Args:
        model: Options of the module.
        data: See `facts_of_test`.
        weights: Path of the checkpoint or exported folder; empty for none.
        precision: Of the Trainer.
    """
    options = {f"model.{name}": value for name, value in model.items()}
    request = {**options, **data, "--ckpt_path": _stamp(weights), "trainer.precision": precision}
    return dict(json.loads(json.dumps(request, default=str, sort_keys=True)))


def _stamp(weights: str) -> str:
    """Name of a checkpoint with size and time of change, which tell a replaced one; machines may see it at other paths."""
    path = Path(weights)
    if not weights or not path.exists():
        return weights
    files = sorted(one for one in path.rglob("*") if one.is_file()) if path.is_dir() else [path]
    states = [os.stat(one) for one in files]
    changed = max((state.st_mtime_ns for state in states), default=0)
    return f"{path.name} ({sum(state.st_size for state in states)} bytes, changed at {changed} ns)"


def work_of_test(out: Path, request: Mapping[str, Any]) -> WorkInParts:
    """The parts of the test whose results go to a folder."""
    return WorkInParts(out / PARTS, request)


def folder_of_part(out: Path, part: Part) -> Path:
    """Where a part keeps everything."""
    return out / PARTS / part.folder_name


class PartOfTest:
    """One part while it is at work.

    Args:
        out: Folder of the result.
        part: Which one.
        request: See `request_of_test`.
        is_first: Whether this is the process that writes, of several.

    Attributes:
        part: Which one.
        folder: With its files.
        earlier: Responses of an earlier try.
        shown: Of an earlier try.
    """

    def __init__(self, out: Path, part: Part, request: Mapping[str, Any], *, is_first: bool) -> None:
        self.part, self._is_first = part, is_first
        self._work, self._held = work_of_test(out, request), ExitStack()
        if is_first:
            self._held.enter_context(self._work.begun(part))
        self.folder = folder_of_part(out, part)
        self._examples = LineLog(self.folder / _EXAMPLES, shared=True)
        self.earlier = _responses(self.folder)
        self.shown = _shown(self.folder)

    @property
    def answered(self) -> frozenset[ClipKey]:
        """Clips that have a response."""
        return frozenset((row.corpus, row.name) for row in self.earlier)

    def show(self, key: ClipKey, subtitle: str, pictures: Sequence[str]) -> None:
        """Keep a clip that may become an example."""
        self._examples.add([*key, subtitle, list(pictures)])

    def finish(
        self, weights: str, rule: str, quarantined: Sequence[Mapping[str, str]], made_on: Sequence[str] = ()
    ) -> None:
        """Note that every clip is answered or in quarantine; see `FinishedTest` for the arguments."""
        facts: dict[str, Any] = {"weights": weights, "rule": rule, "made_on": [*made_on]}
        facts["quarantined"] = [dict(clip) for clip in quarantined]
        self._work.finish(self.part, facts)

    def leave(self) -> None:
        """Let others do this part."""
        self._held.close()


def _responses(folder: Path) -> list[Prediction]:
    """The responses of a part; of two for one clip, of a batch that was answered twice, the first."""
    rows: dict[ClipKey, Prediction] = {}
    for record in LineLog(folder / GROWING_FILE, shared=True).new_records():
        try:
            row = Prediction.from_row(record)
        except (DataError, TypeError):
            continue  # a foreign line; its clip is answered again, or missed by the merge
        rows.setdefault((row.corpus, row.name), row)
    return list(rows.values())


def _shown(folder: Path) -> Shown:
    return {
        (corpus, name): (subtitle, tuple(pictures))
        for corpus, name, subtitle, pictures in LineLog(folder / _EXAMPLES, shared=True).new_records()
    }


class JoinedParts:
    """What finished parts of a test hold together.

    Args:
        parts: In their order.
        clips: Set and name of all clips of the test.

    Attributes:
        predictions: Of all clips that could be read.
        shown: Clips that may become examples.
        quarantined: Clips that could not be read.
        weights: Path of the weights, as the first part had it.
        rule: How they were chosen.
        made_on: Devices and number types of the parts, each once.

    Raises:
        PartError: A clip has neither a response nor a reason why it has none.
    """

    def __init__(self, parts: Sequence[FinishedPart], clips: Sequence[ClipKey]) -> None:
        rows: dict[ClipKey, Prediction] = {}
        self.shown: Shown = {}
        self.quarantined: list[Mapping[str, str]] = []
        for done in parts:
            for row in _responses(done.folder):
                rows.setdefault((row.corpus, row.name), row)
            self.shown |= _shown(done.folder)
            self.quarantined += done.result["quarantined"]
        self.predictions = list(rows.values())
        self.weights, self.rule = str(parts[0].result["weights"]), str(parts[0].result["rule"])
        self.made_on = list(dict.fromkeys(text for done in parts for text in done.result.get("made_on", ())))
        bad = {(clip["corpus"], clip["name"]) for clip in self.quarantined}
        lacking = [name for corpus, name in clips if (corpus, name) not in rows and (corpus, name) not in bad]
        if lacking:
            raise PartError(
                f"Run all parts again, then merge again; they go on where they stopped. {len(lacking)} of {len(clips)} clips "
                f"have no response, such as {', '.join(lacking[:_NAMED])}."
            )
