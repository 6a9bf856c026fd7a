"""`affect-lightning pack`: a training set as shards, for training from a folder or from storage (docs/streaming.md).

Takes the configuration and the options of `fit`; those about the training clips count. It continues where an earlier
call was stopped. Several machines can divide the work (`part_options.py`). `packed_sets/packing.py` does it.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from affect_lightning.command_line.command_parser import CommandParser
from affect_lightning.command_line.early_checks import check_named_files
from affect_lightning.command_line.option_names import check_option_names
from affect_lightning.command_line.part_options import add_part_options
from affect_lightning.command_line.printing import print_json
from affect_lightning.errors import ConfigurationError

NAMED = 10  # how many unreadable files are named (our choice: fits a screen)


def run(arguments: Sequence[str]) -> int:
    """Write the training clips of a configuration as a packed set, for `data.packed`. Takes the options of `fit` too."""
    parser = CommandParser(
        prog="affect-lightning pack",
        usage="affect-lightning pack --config EXPERIMENT --out DIR [options below] [options of fit]",
        description=run.__doc__,
        allow_abbrev=False,
        leaves_others=True,
    )
    parser.add_argument(
        "--out", type=Path, required=True, help="folder of the packed set; an unfinished set is completed"
    )
    parser.add_argument("--shard-size", help="largest size of a shard (default: 64MiB, litdata's)")
    parser.add_argument(
        "--range",
        type=int,
        dest="range_clips",
        metavar="CLIPS",
        help="clips that a part takes at a time; no shard goes past their end (default: 2048)",
    )
    parser.add_argument(
        "--payload",
        choices=["media", "features"],
        default="media",
        help="what to pack: the files of each clip (default), or its features from `affect-lightning cache`",
    )
    add_part_options(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON object to standard output at the end")
    check_option_names(arguments, parser.names, command="pack")
    check_named_files(["pack", *arguments])
    own, words = parser.parse_known_args(list(arguments))

    started = time.monotonic()
    with contextlib.redirect_stdout(sys.stderr):
        packing = _packing(configured_data(words), own)
        manifest = None if own.part else packing.merge() if own.merge else packing.whole()
        clips = packing.part(own.part) if own.part else packing.request["clips"]
    result: dict[str, Any] = {"command": "pack", "folder": str(own.out), "clips": clips}
    if manifest is None:
        result["part"] = str(own.part)
    else:
        result |= {
            "payload": manifest.payload,
            "shards": len(manifest.shards),
            "bytes": sum(shard.size for shard in manifest.shards),
            "unreadable": [dict(entry) for entry in manifest.unreadable],
        }
    result["seconds"] = round(time.monotonic() - started, 3)
    print_json(result) if own.json else print(_in_words(result), flush=True)
    return 0


def _packing(data: Any, own: argparse.Namespace) -> Any:
    """What is to be packed: the training clips, those of the validation split included."""
    try:
        import litdata  # noqa: F401
    except ImportError as error:
        raise ConfigurationError("Run `pip install 'affect-lightning[streaming]'`: packing needs litdata.") from error
    from affect_lightning.feature_cache.source import FeatureSource
    from affect_lightning.packed_sets.layout import features_payload
    from affect_lightning.packed_sets.packed_source import parse_size, selection_of
    from affect_lightning.packed_sets.packing import MEDIA, RANGE_CLIPS, SHARD_BYTES, Packing

    size = parse_size(SHARD_BYTES if own.shard_size is None else own.shard_size, "--shard-size")
    length = RANGE_CLIPS if own.range_clips is None else own.range_clips
    clips, _ = replace(data.sources, validation_share=0.0).training_clips()
    payload = MEDIA
    if own.payload == "features":
        source = FeatureSource(data.feature_options)
        source.prepare({"train": clips}, data.options, data.face_detector)
        if source.manifest is None or not source.widths:
            raise ConfigurationError(
                "Add a stream with an encoder to the inputs, or pack media: the inputs "
                f"{sorted(data.options.streams)} have no features."
            )
        payload = features_payload(source.reader("train"), source.manifest)
    return Packing(clips, own.out, payload, size, length, selection_of(data.sources), show_progress=True)


def configured_data(words: Sequence[str]) -> Any:
    """The data module that `fit` would have with these words."""
    from affect_lightning.command_line.cache_filling import ConfigurationReader
    from affect_lightning.command_line.plugin_arguments import plugin_help, take_plugin_words
    from affect_lightning.command_line.terminal import silence_expected_warnings

    silence_expected_warnings()
    rest, overrides, asked = take_plugin_words(["fit", *words])
    if asked is not None:
        print(plugin_help(asked))
        raise SystemExit(0)
    return ConfigurationReader(rest, overrides).datamodule


def _in_words(result: dict[str, Any]) -> str:
    if "part" in result:
        return f"Part {result['part']} is packed: {result['clips']} clips. When all are, run the command with --merge."
    unreadable = result["unreadable"]
    lines = [
        f"Packed: {result['folder']}",
        f"Clips:  {result['clips']} in {result['shards']} shards, {result['bytes'] / 1e6:.1f} MB",
        f"Files that could not be read: {len(unreadable)}",
        *(f"  {item['name']} ({item['corpus']}, {item['stage']}): {item['reason']}" for item in unreadable[:NAMED]),
    ]
    return "\n".join([*lines, f"Train from it with `fit --data.packed {result['folder']}` and the same options."])
