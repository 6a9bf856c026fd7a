"""`affect-lightning annotate --config FILE` and `annotate describe`: stages one after the other, and the first one alone.

Paper: Section 2. `affect_lightning.annotation.catalogue` builds the stages, `annotation.pipeline` runs them; this module
reads the configuration, shows progress and time, and tells what came out.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from affect_lightning.command_line.annotate_stages import default_of
from affect_lightning.command_line.annotate_trained_crowd import encode_clips
from affect_lightning.command_line.command_parser import CommandParser
from affect_lightning.command_line.experiments_command import find_experiment
from affect_lightning.command_line.part_options import add_part_options
from affect_lightning.command_line.plugin_arguments import ChoiceOverride, plugin_help, take_plugin_words
from affect_lightning.command_line.printing import print_json
from affect_lightning.command_line.terminal import format_table
from affect_lightning.errors import ConfigurationError

if TYPE_CHECKING:
    from affect_lightning.annotation.forecast import StageForecast
    from affect_lightning.annotation.pipeline import Pipeline, StageOutcome
    from affect_lightning.annotation.stages import Ending, Stage

_KEYS = ("clips", "out", "stages")
_PARTS = {
    "audio": "cue_describers",
    "visual": "cue_describers",
    "merger": "clue_mergers",
    "transcriber": "transcribers",
}
PIPELINE_HELP = """A configuration:
  clips: raw/clips.csv          # a table with name and media, or a folder of clips
  out: runs/annotated
  stages:
    - describe: {audio: signal, visual: signal, merger: template}
    - length
    - agree: {rule: E}
    - export: {format: mercaptionplus}

Each stage writes OUT/NN_STAGE.parquet. The same command goes on after a kill, and asks no model twice.
A stage that needs all clips at once (length, a crowd that learns) is done by --merge, and so are those after it."""
_DESCRIBE_EPILOG = """By default no model is needed and nothing is downloaded: `signal` measures the voice and the face,
`template` puts the cues and the subtitle one after the other. For --audio none, the other describer is asked about both.

Each part is a plugin: --audio.help NAME shows its options, --audio.OPTION VALUE sets one.
A killed run goes on with the same command; answers that are there are not asked again."""


def run_config(arguments: Sequence[str]) -> int:
    """Run the stages of a configuration, from raw clips to the last filter."""
    options = _config_parser().parse_args(arguments)
    content = _read(options)
    from affect_lightning.annotation.catalogue import build_listed, stage_entry, stages_of
    from affect_lightning.unibench.result_folders import check_writable

    listed = stages_of(content.get("stages"))
    stages, endings = build_listed(listed, {"encode": encode_clips})
    looks = any(stage_entry(name).needs_files for name, _ in listed)
    pipeline = _pipeline(Path(content["clips"]), stages, Path(content["out"]), endings, looks_beside=looks)
    if options.dry_run:
        return _print_forecast(pipeline, options.json)
    check_writable(pipeline.out)
    done = _run(pipeline, options)
    _print_outcomes(pipeline.out, done, options.json)
    return 0


def run_describe(arguments: Sequence[str]) -> int:
    """Describe what is heard and seen in clips, and merge it with what is said."""
    rest, overrides, asked = take_plugin_words(arguments, _PARTS)
    if asked is not None:
        print(plugin_help(asked, _PARTS))
        return 0
    options = _describe_parser().parse_args(rest)
    given = ("audio_question", "visual_question", "both_question", "batch_size", "workers", "max_bad_share")
    return run_alone("describe", {name: getattr(options, name) for name in given}, overrides, options)


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
    from affect_lightning.annotation.tables import check_new_table

    check_new_table(options.out)
    slots = STAGES[name].plugins
    choices = {part: override.over(slots[part].default) for part, override in overrides.items()}
    parts = {part: "none" if choice["name"] == "none" else choice for part, choice in choices.items()}
    stage = build_stage(name, {**values, **parts})
    place = options.out.with_name(f".{options.out.stem}.work")
    pipeline = _pipeline(options.clips, [stage], place, looks_beside=True)
    if options.dry_run:
        return _print_forecast(pipeline, options.json)
    done = _run(pipeline, options)
    if options.part is None:
        done[-1] = _taken_out(pipeline, done[-1], options.out)
    _print_outcomes(options.out, done[-1:], options.json)
    return 0


def _taken_out(pipeline: Pipeline, outcome: StageOutcome, out: Path) -> StageOutcome:
    """Bring the finished table to its place, and delete what was half done."""
    import shutil
    from dataclasses import replace

    from affect_lightning.storage import whole_path

    with whole_path(out, temporary=outcome.path):
        pass
    shutil.rmtree(pipeline.out, ignore_errors=True)
    return replace(outcome, path=out)


def _pipeline(
    clips: Path, stages: Sequence[Stage[Any]], out: Path, endings: Sequence[Ending[Any]] = (), *, looks_beside: bool
) -> Pipeline:
    from affect_lightning.annotation.chunked_tables import ClipSource
    from affect_lightning.annotation.pipeline import Pipeline

    bar = _Bar()
    source = ClipSource(clips, looks_beside=looks_beside)
    return Pipeline(source, stages, out, endings, bar.tell, bar.finished)


def _run(pipeline: Pipeline, options: argparse.Namespace) -> list[StageOutcome]:
    from affect_lightning.command_line.terminal import silence_expected_warnings

    silence_expected_warnings()
    try:
        if options.part is not None:
            return pipeline.run_part(options.part)
        return pipeline.merge() if options.merge else pipeline.run()
    except KeyboardInterrupt:
        print(f"What is done is kept in {pipeline.out}. The same command goes on from there.", file=sys.stderr)
        raise


class _Bar:
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

    def finished(self, outcome: StageOutcome) -> None:
        """Say on standard error what a stage did, and in what time."""
        self._close()
        self._what, self._close = None, lambda: None
        time = "was there already" if outcome.was_there else f"{outcome.seconds:.1f} s"
        print(f"{outcome.stage}: {outcome.clips:,} clips, {outcome.kept:,} stay, {time}", file=sys.stderr)


def _read(options: argparse.Namespace) -> dict[str, Any]:
    from affect_lightning.plugin_loading.listing import nearest_hint

    if options.config is None:
        raise ConfigurationError("Name the configuration with --config FILE; `annotate --help` shows one.")
    content: dict[str, Any] = yaml.safe_load(find_experiment(str(options.config)).read_text(encoding="utf-8"))
    for key in content:
        if key not in _KEYS:
            raise ConfigurationError(
                f"{options.config} has an unknown key {key!r}.{nearest_hint(str(key), _KEYS)} Its keys are {', '.join(_KEYS)}."
            )
    for key in ("clips", "out"):
        given = getattr(options, key)
        value = content.get(key) if given is None else str(given)
        if not isinstance(value, str) or not value:
            raise ConfigurationError(
                f"Set `{key}` in {options.config} to a path, or give --{key}; got {content.get(key)!r}."
            )
        content[key] = value
    return content


def _print_forecast(pipeline: Pipeline, as_json: bool) -> int:
    from affect_lightning.annotation.forecast import forecast

    told = forecast(pipeline)
    if as_json:
        print_json({"stages": [_plain_forecast(one) for one in told]})
        return 0
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
    return 0


def _about(value: float | None, form: str) -> str:
    return "unknown" if value is None else form.format(value)


def _plain_forecast(one: StageForecast) -> dict[str, Any]:
    return {
        "stage": one.stage, "clips": one.clips, "requests": dict(one.cost.requests), "answer_tokens": one.cost.tokens(),
        "seconds": one.seconds,
    }  # fmt: skip


def _print_outcomes(place: Path, done: Sequence[StageOutcome], as_json: bool) -> None:
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


def _config_parser() -> argparse.ArgumentParser:
    parser = CommandParser(
        elsewhere="An option of one step stands behind the step's name: `affect-lightning annotate STEP --help`.",
        prog="affect-lightning annotate",
        usage="affect-lightning annotate --config FILE [--part I/N | --merge] [--dry-run]",
        description=run_config.__doc__,
        epilog=PIPELINE_HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--config", "-c", metavar="FILE", help="YAML file, or the name of an experiment")
    parser.add_argument("--clips", type=Path, metavar="PATH", help="instead of the configuration's")
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="instead of the configuration's")
    add_running(parser)
    return parser


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
    parser.add_argument(
        "--dry-run", action="store_true", help="tell clips, requests, tokens and seconds of each stage; ask nothing"
    )
    add_part_options(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON object to standard output")


def _describe_parser() -> argparse.ArgumentParser:
    from affect_lightning.annotation.descriptions import DescribeOptions

    def default(name: str) -> Any:
        return default_of(DescribeOptions, name)

    parser = CommandParser(
        prog="affect-lightning annotate describe",
        description=run_describe.__doc__,
        epilog=_DESCRIBE_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_clips(parser, "name, media (or video and audio) and subtitle")
    texts: Mapping[str, str] = {
        "audio": "plugin that describes the sound, by default signal; none for no such part",
        "visual": "plugin that describes the pictures, by default signal; with --audio none, the sound too",
        "merger": "plugin that merges both with the subtitle, by default template",
        "transcriber": "plugin that hears the subtitles that are missing, by default none",
    }
    for name, text in texts.items():
        parser.add_argument(f"--{name}", metavar="NAME", help=text)
    for name in ("audio", "visual", "both"):
        parser.add_argument(
            f"--{name}-question", dest=f"{name}_question", metavar="TEXT", default=default(f"{name}_question"),
            help="what is asked (%(default)s)",
        )  # fmt: skip
    parser.add_argument(
        "--batch-size", type=int, default=default("batch_size"), help="clips read and asked together (%(default)s)"
    )
    parser.add_argument(
        "--workers", type=int, default=default("workers"), help="processes that read clips (0: read in this one)"
    )
    parser.add_argument(
        "--max-bad-share", type=float, default=default("max_bad_share"), metavar="SHARE",
        help="share of the clips that may stay without a description before the run stops (%(default)s)",
    )  # fmt: skip
    add_running(parser)
    return parser
