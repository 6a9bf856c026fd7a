"""`affect-lightning cache`: what the frozen encoders give for every clip, kept for `data.features: cached`.

Takes the configuration and the options of `fit`. It resumes: clips that are in the cache are not encoded again. Here are
the options and the words; `cache_filling.py` does the work and is imported when the options are right. `feature_cache/`
is the cache, and `part_options.py` has the options for several machines; docs/feature_cache.md explains it.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Sequence
from typing import Any

from affect_lightning.command_line.command_parser import CommandParser
from affect_lightning.command_line.early_checks import check_named_files
from affect_lightning.command_line.option_names import check_option_names
from affect_lightning.command_line.part_options import add_part_options
from affect_lightning.command_line.plugin_arguments import plugin_help, take_plugin_words
from affect_lightning.command_line.printing import print_json
from affect_lightning.errors import ConfigurationError

SPLITS = ("train", "validation", "test")


def run(arguments: Sequence[str]) -> int:
    """Encode clips once for `data.features: cached`. Takes the options of `fit` too (`fit --help` shows them)."""
    parser = CommandParser(
        prog="affect-lightning cache",
        usage="affect-lightning cache --config EXPERIMENT [options below] [options of fit]",
        description=run.__doc__,
        allow_abbrev=False,
        leaves_others=True,
    )
    parser.add_argument("--split", nargs="+", choices=SPLITS, default=["train", "validation"], help="splits to encode")
    parser.add_argument(
        "--devices", type=int, default=1, help="number of processes, each on a device of its own (default: 1)"
    )
    parser.add_argument(
        "--batch-size", type=int, default=32, help="clips in one call of the encoders (default: 32, our choice)"
    )
    parser.add_argument(
        "--wait",
        type=float,
        metavar="SECONDS",
        help="how long to wait for another command that fills the same cache (default: a minute)",
    )
    add_part_options(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON object to standard output at the end")
    check_option_names(arguments, parser.names, command="cache")
    check_named_files(["cache", *arguments])
    own, words = parser.parse_known_args(list(arguments))
    words, overrides, asked = take_plugin_words(words)
    if asked is not None:
        print(plugin_help(asked))
        return 0
    if own.batch_size < 1:
        raise ConfigurationError(f"--batch-size must be at least 1; got {own.batch_size}.")

    from affect_lightning.command_line.cache_filling import fill_cache

    with contextlib.redirect_stdout(sys.stderr):
        result = fill_cache(
            words,
            overrides,
            own.split,
            devices=own.devices,
            batch_size=own.batch_size,
            wait_seconds=own.wait,
            part=own.part,
            joins=own.merge,
        )
    print_json(result) if own.json else print(_in_words(result), flush=True)
    return 0


def _in_words(result: dict[str, Any]) -> str:
    streams = ", ".join(f"{name} (width {width})" for name, width in result["streams"].items())
    lines = [
        f"Cache:   {result['folder']}",
        f"Streams: {streams}, stored in {result['precision']}, computed in {result['arithmetic']}",
        f"Clips:   {result['clips']} ({result['encoded']} encoded now, {result['already_there']} already there, "
        f"{result['changed']} had changed, {len(result['quarantined'])} cannot be read)",
        f"Frames:  {result['frames']}, {result['frames_without_face']} without a face",
        f"Size:    {result['bytes'] / 1e6:.1f} MB",
    ]
    lines += [
        f"  cannot be read: {item['name']} ({item['corpus']}, {item['stage']}): {item['reason']}"
        for item in result["quarantined"][:10]
    ]
    if "part" in result:
        last = f"Part {result['part']} is done. When all are, run the command with --merge."
    else:
        last = "Train from it with `fit --data.features cached` and the same options."
    return "\n".join([*lines, last])
