"""`affect-lightning annotate review`: the blind pairwise study in the browser, and what verdicts say.

Paper: Table 7. `affect_lightning.annotation` has the study (`review_store.py`, `review_server.py`) and the figures
(`preferences.py`).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from affect_lightning.command_line.command_parser import CommandParser
from affect_lightning.command_line.printing import print_json
from affect_lightning.command_line.terminal import format_table
from affect_lightning.errors import ConfigurationError

if TYPE_CHECKING:
    from affect_lightning.annotation.preferences import Judgement
    from affect_lightning.annotation.review_store import ReviewStore

_DESCRIPTION = """Compare two descriptions of each clip without knowing whose they are.

  review --pairs PAIRS.csv --study STUDY.sqlite     begin a study, and serve its page on this machine
  review --study STUDY.sqlite                       go on with it
  review --study STUDY.sqlite --results             what its raters say so far
  review --import VERDICTS.csv                      what the verdicts in a file say"""
_EPILOG = """pairs:     name, model1, a1, model2, a2: the clip, and two sources with their texts
verdicts:  the same with preference (a1, a2, same, or a source's name), and perhaps rater"""


def run(arguments: Sequence[str]) -> int:
    """Serve a study, or tell what verdicts say."""
    options = _parser().parse_args(arguments)
    _check(options)
    from affect_lightning.annotation.preferences import read_judgements, read_pairs
    from affect_lightning.annotation.review_store import ReviewStore

    if options.verdicts is not None:
        return _tell(read_judgements(options.verdicts), options)
    if options.pairs is not None:
        store = ReviewStore.create(options.study, read_pairs(options.pairs), seed=options.seed, repeats=options.repeats)
    else:
        store = ReviewStore(options.study)
    if options.results:
        return _tell(store.judgements(), options)
    return _serve(store, options)


def _check(options: argparse.Namespace) -> None:
    if (options.verdicts is None) == (options.study is None):
        raise ConfigurationError(
            "Give --study FILE.sqlite for the study in the browser, or --import FILE for verdicts, not both."
        )
    if options.verdicts is not None and options.pairs is not None:
        raise ConfigurationError("Leave out --pairs: --import reads pairs and verdicts from one file.")
    tells = options.results or options.verdicts is not None
    if not tells and (options.json or options.export or options.source):
        raise ConfigurationError("Add --results: --json, --export and --source tell what the raters say so far.")
    if options.results and options.pairs is not None:
        raise ConfigurationError("Leave out --pairs, or leave out --results: a new study has no verdicts.")


def _serve(store: ReviewStore, options: argparse.Namespace) -> int:
    from affect_lightning.annotation.review_server import ReviewServer, find_media

    media = find_media(options.media, store.clips()) if options.media is not None else {}
    with ReviewServer(store, port=options.port, media=media) as server:
        print(f"Open {server.address}", flush=True)
        print(f"Only this machine can. Verdicts are kept in {store.path}. Stop with Ctrl-C.", file=sys.stderr)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            print(f"\nStopped. Go on with: affect-lightning annotate review --study {store.path}", file=sys.stderr)
    return 0


def _tell(judgements: Sequence[Judgement], options: argparse.Namespace) -> int:
    from affect_lightning.annotation.preferences import summarise, write_judgements

    content = summarise(judgements, options.source)
    if options.export is not None:
        write_judgements(options.export, judgements)
        print(f"Verdicts: {options.export}", file=sys.stderr)
    if options.json:
        print_json(content)
        return 0
    print(_text(content))
    return 0


def _text(content: dict[str, Any]) -> str:
    rows = [
        ("pairs", str(content["pairs"])),
        ("raters", str(len(content["raters"]) or "not told")),
        (f"wins, losses, ties of {content['source']}", f"{content['wins']}, {content['losses']}, {content['ties']}"),
        ("share of the decided pairs", _share(content["win_share"], content["interval"])),
        ("longer text wins", f"{content['longer_wins']} of {content['decided_lengths']}"),
        ("Krippendorff's alpha", _or_dash(content["alpha"])),
    ]
    repeated = content["swap_consistency"]
    again = _share(repeated["share"], repeated["interval"]) if repeated else "-"
    rows.append(("same verdict with swapped sides", again))
    strengths = [
        (name, f"{found['strength']:.2f} [{found['interval'][0]:.2f}, {found['interval'][1]:.2f}]")
        for name, found in sorted(content["strengths"].items(), key=lambda item: -item[1]["strength"])
    ]
    tables = [format_table(("preferences", ""), rows), format_table(("source", "Bradley-Terry strength"), strengths)]
    return "\n\n".join([*tables, *filter(None, [content["length_warning"]])])


def _share(share: float | None, interval: Sequence[float] | None) -> str:
    return "-" if share is None or interval is None else f"{share:.3f} [{interval[0]:.3f}, {interval[1]:.3f}]"


def _or_dash(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _parser() -> argparse.ArgumentParser:
    parser = CommandParser(
        prog="affect-lightning annotate review",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--import", dest="verdicts", type=Path, metavar="FILE", help="verdicts: csv, jsonl, parquet or xlsx"
    )
    parser.add_argument("--pairs", type=Path, metavar="FILE", help="pairs of a new study")
    parser.add_argument("--study", type=Path, metavar="FILE", help="SQLite file of the study")
    parser.add_argument("--results", action="store_true", help="tell what the raters say so far; serve nothing")
    parser.add_argument("--media", type=Path, metavar="DIR", help="folder with the clips (NAME.mp4, NAME.wav, ...)")
    parser.add_argument("--port", type=int, default=0, help="on this machine (0: any that is free)")
    parser.add_argument("--seed", type=int, default=0, help="of orders and sides (%(default)s)")
    parser.add_argument(
        "--repeats", type=float, default=0.1, help="part of the pairs that come again with swapped sides (%(default)s)"
    )
    parser.add_argument("--source", metavar="NAME", help="whose wins are counted (the source named first)")
    parser.add_argument("--export", type=Path, metavar="FILE.csv", help="write the verdicts")
    parser.add_argument("--json", action="store_true", help="print one JSON object to standard output")
    return parser
