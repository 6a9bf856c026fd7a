"""`affect-lightning annotate speaker`: drop clips that do not show the person who is heard (paper, Section 2).

`annotation.speaker` is the stage, `annotate_running.py` runs it. The options are fields of its group, with their defaults.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from affect_lightning.command_line.annotate_running import add_clips, add_running, run_alone
from affect_lightning.command_line.annotate_stages import default_of
from affect_lightning.command_line.command_parser import CommandParser
from affect_lightning.command_line.plugin_arguments import plugin_help, take_plugin_words

_PARTS = {"detector": "speaker_detectors", "faces": "face_detectors"}
_EPILOG = """`sync` compares the mouth with the loudness of the speech and needs no weights of yours. `light-asd` and `talknet`
are trained networks, whose published files you give with --detector.weights FILE.

Each part is a plugin: --detector.help NAME shows its options, --detector.OPTION VALUE sets one.
A killed run goes on with the same command; no clip is measured twice."""


def run_speaker(arguments: Sequence[str]) -> int:
    """Drop clips that do not show the person who is heard."""
    rest, overrides, asked = take_plugin_words(arguments, _PARTS)
    if asked is not None:
        print(plugin_help(asked, _PARTS))
        return 0
    options = _parser().parse_args(rest)
    given = ("threshold", "drops_undecided", "max_bad_share")
    return run_alone("speaker", {name: getattr(options, name) for name in given}, overrides, options)


def _parser() -> argparse.ArgumentParser:
    from affect_lightning.annotation.speaker import SpeakerOptions

    parser = CommandParser(
        prog="affect-lightning annotate speaker",
        description=run_speaker.__doc__,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_clips(parser, "name and media (or video and audio)")
    parser.add_argument("--detector", metavar="NAME", help="plugin that gives the scores, by default sync")
    parser.add_argument("--faces", metavar="NAME", help="plugin that finds the faces, by default centerface")
    parser.add_argument(
        "--threshold", type=float, metavar="SCORE", help="least score of a clip that stays (the detector's own)"
    )
    parser.add_argument(
        "--drop-undecided", dest="drops_undecided", action="store_true",
        help="drop clips too of which the detector cannot tell, such as those without speech",
    )  # fmt: skip
    parser.add_argument(
        "--max-bad-share", type=float, default=default_of(SpeakerOptions, "max_bad_share"), metavar="SHARE",
        help="share of the clips that may be unreadable before the run stops (%(default)s)",
    )  # fmt: skip
    add_running(parser)
    return parser
