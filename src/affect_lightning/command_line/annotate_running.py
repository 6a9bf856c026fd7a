"""One stage alone, or several by a configuration: the run, its bar, its parts, and what it tells at the end.

Paper: Section 2. A stage alone is a pipeline of one stage over a table, so it is divided, goes on after a kill and is told in
advance as in a configuration (`affect_lightning.annotation.pipeline`). The `annotate_*` commands stand on this module.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from affect_lightning.command_line.part_options import add_part_options
from affect_lightning.command_line.plugin_arguments import ChoiceOverride
from affect_lightning.command_line.printing import print_json
from affect_lightning.command_line.terminal import format_table
from affect_lightning.errors import AffectLightningError, ConfigurationError

if TYPE_CHECKING:
    from affect_lightning.annotation.chunked_tables import ClipSource
    from affect_lightning.annotation.forecast import StageForecast
    from affect_lightning.annotation.pipeline import Pipeline, StageOutcome
    from affect_lightning.annotation.stages import Ending, Stage


def run_alone(
    name: str, values: Mapping[str, Any], overrides: Mapping[str, ChoiceOverride], options: argparse.Namespace
) -> int:
    """Run one stage that looks at the clips' files, from a table or a folder of clips to a table.

    Args:
        name: Of the stage.
        values: Its options.
        overrides: What the command line says of its plugins, by their names in the catalogue.
        options: With `clips`, `out` and those of `add_running`.
    """
    from affect_lightning.annotation.catalogue import STAGES, build_stage
    from affect_lightning.annotation.chunked_tables import ClipSource
    from affect_lightning.annotation.tables import check_new_table

    check_new_table(options.out)
    slots = STAGES[name].plugins
    choices = {part: override.over(slots[part].default) for part, override in overrides.items()}
    parts = {part: "none" if choice["name"] == "none" else choice for part, choice in choices.items()}
    stage = build_stage(name, {**values, **parts})
    with finished_table(stage, ClipSource(options.clips, looks_beside=True), options) as done:
        if done is None:
            return 0
    print_outcomes(options.out, [replace(done, path=options.out)], options.json)
    return 0


@contextmanager
def finished_table(stage: Stage[Any], source: ClipSource, options: argparse.Namespace) -> Iterator[StageOutcome | None]:
    """Run one stage over a table, or go on with what a killed run has left; at the end its table becomes `--out`.

    Args:
        stage: The stage.
        source: The table.
        options: With `out`, a new table or None, and those of `add_running`.

    Yields:
        What came out, with the finished table, which can be read as long as the context lasts; None after a dry run and
        after a part, which are told here.

    Raises:
        ConfigurationError: Parts have no `--out`; or what is half done belongs to other clips or options.
        AffectLightningError: See `Pipeline.run`.
    """
    if options.out is None and (options.part is not None or options.merge):
        raise ConfigurationError("Add --out FILE.parquet: the parts are kept beside it until --merge joins them.")
    with _place_of_work(options.out) as place:
        pipeline = pipeline_of(source, [stage], place)
        if options.dry_run:
            print_forecast(pipeline, options.json)
            yield None
            return
        done = run_pipeline(pipeline, options, keeps=options.out is not None)[-1]
        if options.part is not None:
            print_outcomes(options.out, [done], options.json)
            yield None
            return
        yield done
        if options.out is not None:
            _take_out(pipeline, done.path, options.out)


@contextmanager
def _place_of_work(out: Path | None) -> Iterator[Path]:
    """The folder beside a table in which it is made, or one that goes with the command where no table is wanted."""
    if out is None:
        with TemporaryDirectory(prefix="affect-lightning-") as temporary:
            yield Path(temporary) / "work"
        return
    from affect_lightning.annotation.pipeline import forget_bare_clips

    place = out.with_name(f".{out.stem}.work")
    try:
        yield place
    except AffectLightningError:
        forget_bare_clips(place)  # the next try may have other clips and options
        raise


def _take_out(pipeline: Pipeline, table: Path, out: Path) -> None:
    """Bring the finished table to its place, and delete what was half done."""
    from affect_lightning.storage import whole_path

    with whole_path(out, temporary=table):
        pass
    shutil.rmtree(pipeline.out, ignore_errors=True)
    print(f"Table: {out}", file=sys.stderr)


def pipeline_of(
    source: ClipSource, stages: Sequence[Stage[Any]], out: Path, endings: Sequence[Ending[Any]] = ()
) -> Pipeline:
    """Stages with a bar; see `Pipeline` for the arguments."""
    from affect_lightning.annotation.pipeline import Pipeline

    bar = ProgressBar()
    return Pipeline(source, stages, out, endings, bar.tell, bar.finished)


def run_pipeline(pipeline: Pipeline, options: argparse.Namespace, *, keeps: bool = True) -> list[StageOutcome]:
    """Run all stages, or the part or the merge that the options of `add_running` ask for.

    Args:
        pipeline: See `pipeline_of`.
        options: Of the command line.
        keeps: Whether the same command goes on with what an interrupted one has left.
    """
    from affect_lightning.command_line.terminal import silence_expected_warnings

    silence_expected_warnings()
    try:
        if options.part is not None:
            return pipeline.run_part(options.part)
        return pipeline.merge() if options.merge else pipeline.run()
    except KeyboardInterrupt:
        if keeps:
            print(f"What is done is kept in {pipeline.out}. The same command goes on from there.", file=sys.stderr)
        raise


class ProgressBar:
    """One bar at a time, for whatever is being done."""

    def __init__(self) -> None:
        self._what: tuple[str, int] | None = None
        self._close: Callable[[], Any] = lambda: None
        self._add: Callable[[int], Any] = lambda count: None

    def tell(self, what: str, more: int, total: int) -> None:
        """Move the bar; another one if something else is being done."""
        if (what, total) != self._what:
            from tqdm import tqdm

            self._close()
            bar = tqdm(total=total, desc=what, unit="clip", disable=None, leave=False)
            self._what, self._add, self._close = (what, total), bar.update, bar.close
        self._add(more)

    def close(self) -> None:
        """Take the bar away."""
        self._close()
        self._what, self._close = None, lambda: None

    def finished(self, outcome: StageOutcome) -> None:
        """Say on standard error what a stage did, and in what time."""
        self.close()
        time = "was there already" if outcome.was_there else f"{outcome.seconds:.1f} s"
        print(f"{outcome.stage}: {outcome.clips:,} clips, {outcome.kept:,} stay, {time}", file=sys.stderr)


def print_forecast(pipeline: Pipeline, as_json: bool) -> None:
    """Print what is still to be done of each stage; nothing is asked."""
    from affect_lightning.annotation.forecast import forecast

    told = forecast(pipeline)
    if as_json:
        print_json({"stages": [_plain_forecast(one) for one in told]})
        return
    rows = []
    for one in told:
        requests = ", ".join(f"{count:,} {what}" for what, count in one.cost.requests.items() if count) or "none"
        rows.append(
            (one.stage, f"{one.clips:,}", requests, _about(one.cost.tokens(), "{:,}"), _about(one.seconds, "{:,.0f}"))
        )
    titles = ("stage", "clips", "requests", "answer tokens, about", "seconds, about")
    print(format_table(titles, rows, right=(1, 3, 4)))
    print(
        "\nTokens and seconds are as the answers and clips so far; `unknown` where there are none yet. Nothing was asked."
    )


def _about(value: float | None, form: str) -> str:
    return "unknown" if value is None else form.format(value)


def _plain_forecast(one: StageForecast) -> dict[str, Any]:
    return {
        "stage": one.stage, "clips": one.clips, "requests": dict(one.cost.requests), "answer_tokens": one.cost.tokens(),
        "seconds": one.seconds,
    }  # fmt: skip


def print_outcomes(place: Path, done: Sequence[StageOutcome], as_json: bool) -> None:
    """Print what came of stages, whose tables are in `place`."""
    if as_json:
        stages = [
            {
                "stage": one.stage, "table": str(one.path), "clips": one.clips, "kept": one.kept,
                "seconds": round(one.seconds, 2), "was_there": one.was_there,
            }
            for one in done
        ]  # fmt: skip
        print_json({"out": str(place), "stages": stages})
        return
    rows: list[Sequence[str]] = [
        (one.stage, f"{one.clips:,}", f"{one.kept:,}", f"{one.seconds:.1f}", str(one.path)) for one in done
    ]
    print(format_table(("stage", "clips", "stay", "seconds", "table"), rows, right=(1, 2, 3)))


def add_clips(parser: argparse.ArgumentParser, columns: str) -> None:
    """Add `--clips` and `--out` of a stage that looks at the clips' files.

    Args:
        parser: Of the stage.
        columns: Of the table, for the help.
    """
    parser.add_argument(
        "--clips", type=Path, required=True, metavar="TABLE|FOLDER", help=f"table with {columns}; or a folder of clips"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="FILE.parquet", help="new table")


def add_running(parser: argparse.ArgumentParser) -> None:
    """Add `--dry-run`, `--part`, `--merge` and `--json`."""
    add_dry_run(parser, "tell clips, requests, tokens and seconds of each stage; ask nothing")
    add_part_options(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON object to standard output")


def add_dry_run(parser: argparse.ArgumentParser, text: str) -> None:
    """Add `--dry-run` with its help."""
    parser.add_argument("--dry-run", action="store_true", help=text)
