"""`affect-lightning annotate --config FILE` and `annotate describe`: stages one after the other, and the first one alone.

Paper: Section 2. `affect_lightning.annotation.catalogue` builds the stages, `annotation.pipeline` runs them; this module
reads the configuration, and `annotate_running.py` shows progress and tells what came out.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from affect_lightning.command_line.annotate_running import (
    add_clips,
    add_running,
    pipeline_of,
    print_forecast,
    print_outcomes,
    run_alone,
    run_pipeline,
)
from affect_lightning.command_line.annotate_stages import default_of
from affect_lightning.command_line.annotate_trained_crowd import encode_clips
from affect_lightning.command_line.command_parser import CommandParser
from affect_lightning.command_line.experiments_command import find_experiment
from affect_lightning.command_line.plugin_arguments import plugin_help, take_plugin_words
from affect_lightning.errors import ConfigurationError

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
    from affect_lightning.annotation.chunked_tables import ClipSource
    from affect_lightning.unibench.result_folders import check_writable

    listed = stages_of(content.get("stages"))
    stages, endings = build_listed(listed, {"encode": encode_clips})
    looks = any(stage_entry(name).needs_files for name, _ in listed)
    source = ClipSource(Path(content["clips"]), looks_beside=looks)
    pipeline = pipeline_of(source, stages, Path(content["out"]), endings)
    if options.dry_run:
        print_forecast(pipeline, options.json)
        return 0
    check_writable(pipeline.out)
    print_outcomes(pipeline.out, run_pipeline(pipeline, options), options.json)
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
