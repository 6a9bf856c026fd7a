"""`affect-lightning annotate crowd`: saved outputs, or a table of votes, as a crowd (`affect_lightning.annotation.crowd`).

Paper: Section 2, "model-based crowd-sourcing". With labels, each voter and the crowd are scored as the metric scores them.
`annotate_trained_crowd.py` has members that are trained on human labels.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from affect_lightning.command_line.annotate_running import finished_table
from affect_lightning.command_line.annotate_stages import (
    add_extractor,
    add_outputs,
    add_taxonomy,
    check_outputs,
    default_of,
    options_of,
    take_extractor,
)
from affect_lightning.command_line.annotate_trained_crowd import add_trained_options, run_trained
from affect_lightning.command_line.command_parser import CommandParser
from affect_lightning.command_line.printing import print_json
from affect_lightning.command_line.terminal import format_table
from affect_lightning.errors import ConfigurationError

if TYPE_CHECKING:
    from affect_lightning.annotation.members import Classes
    from affect_lightning.annotation.tables import ClipTable
    from affect_lightning.contracts import LabelExtractor
    from affect_lightning.metrics import Taxonomy


def run_crowd(arguments: Sequence[str]) -> int:
    """Let saved outputs, the columns of a table, or members trained on human labels vote on each clip."""
    from affect_lightning.annotation.chunked_tables import ClipSource
    from affect_lightning.annotation.crowd import CrowdOptions, CrowdStage
    from affect_lightning.annotation.members import Classes, voters_of
    from affect_lightning.annotation.tables import read_clip_table
    from affect_lightning.metrics import taxonomy_by_name

    rest, extractor = take_extractor(arguments)
    if extractor is None:
        return 0
    options = _parser().parse_args(rest)
    if options.train or options.crowd is not None:
        return run_trained(options)
    options.over = options.over or default_of(CrowdOptions, "over")
    _check(options)
    check_outputs(options.out, options.figure)
    taxonomy = taxonomy_by_name(options.taxonomy)
    classes = Classes.named(options.over, taxonomy)
    stage = CrowdStage(options_of(CrowdOptions, options), classes, taxonomy)
    with (
        _votes(options, classes, extractor, taxonomy) as votes,
        finished_table(stage, ClipSource(votes), options) as done,
    ):
        if done is None:
            return 0
        table = read_clip_table(done.path)
        labels = table.column(classes.column)
        content: dict[str, Any] = {
            "clips": len(table),
            "over": options.over,
            "method": options.method,
            "voters": voters_of(table),
            "classes": {name: labels.count(name) for name in classes.names if name in labels},
            "without_a_vote": labels.count(None),
        }
        if options.labels is not None:
            content.update(_scores(options, table, classes, taxonomy))
    print_json(content) if options.json else print(_text(content))
    return 0


def _check(options: argparse.Namespace) -> None:
    if (options.table is None) == (not options.member):
        raise ConfigurationError(
            "Give a table with columns votes.NAME, or --dataset SET and --member FILE for each voter, not both."
        )
    if (options.member or options.labels) and not options.dataset:
        raise ConfigurationError("Add --dataset SET: --member and --labels are read as files of a set.")
    if options.member and options.dry_run:
        raise ConfigurationError(
            "Leave --dry-run out: with --member, the label extractor reads the outputs before there is a table of clips."
        )
    if options.figure is not None and options.labels is None:
        raise ConfigurationError("Add --labels DIR: the figure shows the accuracy by the share of the votes.")


@contextmanager
def _votes(
    options: argparse.Namespace, classes: Classes, extractor: LabelExtractor, taxonomy: Taxonomy
) -> Iterator[Path]:
    """The table of the votes: the user's, or one of the saved outputs that goes with the command."""
    from affect_lightning.annotation.members import member_votes
    from affect_lightning.annotation.tables import write_clip_table
    from affect_lightning.corpora import known_sets
    from affect_lightning.corpora.known_sets import canonical_key
    from affect_lightning.unibench.scoring.suites import find_checkpoints
    from affect_lightning.unibench.scoring.unions import names_of_outputs

    sets = known_sets(options.labels)
    key = canonical_key(options.dataset or "", sets)
    options.dataset = key or None
    if options.table is not None:
        yield options.table
        return
    outputs: dict[str, tuple[Path, ...]] = {}
    for label, path in zip(names_of_outputs(options.member, "--member names"), options.member, strict=True):
        found = find_checkpoints(path, key, sets)
        alone = len(found) == 1
        outputs.update({label if alone else name: paths for name, paths in found.items()})
    with TemporaryDirectory(prefix="affect-lightning-votes-") as temporary:
        path = Path(temporary) / f"votes_of_{key}.parquet"
        write_clip_table(path, member_votes(key, outputs, classes, extractor, taxonomy))
        yield path


def _scores(options: argparse.Namespace, table: ClipTable, classes: Classes, taxonomy: Taxonomy) -> dict[str, Any]:
    """Scores of the crowd and of each voter on the clips that have a truth, and the accuracy by share."""
    from affect_lightning.annotation.crowd import accuracy_by_share, rights_of, score_votes
    from affect_lightning.annotation.figures import draw_shares
    from affect_lightning.annotation.members import ballots_of, voters_of
    from affect_lightning.corpora import known_sets
    from affect_lightning.corpora.truths import find_label_file, read_truths
    from affect_lightning.errors import DataError

    sets = known_sets(options.labels)
    file = find_label_file((options.labels,), options.dataset, sets)
    truths = read_truths(file, options.dataset, sets.get(options.dataset), {})
    places = [place for place, name in enumerate(table.names) if name in truths]
    if not places:
        raise DataError(
            f"None of the {len(table)} clips is among the {len(truths)} of {file}. Check the names on both sides."
        )
    true = [truths[table.names[place]] for place in places]
    ballots = ballots_of(table)
    verdicts, shares = table.column(classes.column), table.column(f"{classes.column}_share")
    said = [[verdicts[place]] if verdicts[place] is not None else [] for place in places]
    voters = {
        voter: score_votes([ballots[place][voter] for place in places], true, classes, taxonomy)
        for voter in voters_of(table)
    }
    crowd = score_votes(said, true, classes, taxonomy)
    points = accuracy_by_share(rights_of(said, true, classes, taxonomy), [shares[place] for place in places])
    if options.figure is not None:
        draw_shares(options.figure, {options.dataset: points})
        print(f"Figure: {options.figure}", file=sys.stderr)
    return {
        "crowd": vars(crowd),
        "members": {voter: vars(score) for voter, score in voters.items()},
        "by_share": [{"share": share, "accuracy": accuracy, "clips": clips} for share, accuracy, clips in points],
    }


def _text(content: dict[str, Any]) -> str:
    rows = [
        ("clips", f"{content['clips']:,}"),
        ("classes", ", ".join(f"{name} {count:,}" for name, count in content["classes"].items())),
        ("without a vote", str(content["without_a_vote"])),
    ]
    parts = [format_table((f"crowd, {content['method']}", ""), rows)]
    if "crowd" in content:
        scores = [*content["members"].items(), ("the crowd", content["crowd"])]
        lines = [
            [name, *(_figure(score[key]) for key in ("waf", "accuracy")), str(score["clips"])] for name, score in scores
        ]
        parts.append(format_table(("voter", "WAF", "accuracy", "clips"), lines, right=(1, 2, 3)))
        shares = [(f"{row['share']:.1f}", _figure(row["accuracy"]), str(row["clips"])) for row in content["by_share"]]
        parts.append(format_table(("least share of the votes", "accuracy", "clips"), shares, right=(1, 2)))
    return "\n\n".join(parts)


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _parser() -> argparse.ArgumentParser:
    from affect_lightning.annotation.crowd import CrowdOptions
    from affect_lightning.annotation.trained_crowd.stage import TrainedCrowdOptions
    from affect_lightning.annotation.votes import METHODS

    trained_over = default_of(TrainedCrowdOptions, "over")

    def default(name: str) -> Any:
        return default_of(CrowdOptions, name)

    parser = CommandParser(prog="affect-lightning annotate crowd", description=run_crowd.__doc__)
    parser.add_argument(
        "table",
        type=Path,
        nargs="?",
        help="table of clips, with a column votes.NAME for each voter unless members are trained",
    )
    parser.add_argument("--dataset", metavar="SET", help="set of the members' files, and of --labels")
    parser.add_argument(
        "--member", type=Path, action="append", default=[], metavar="FILE",
        help="saved output of one voter, the most trusted first, or a folder of them; repeatable",
    )  # fmt: skip
    parser.add_argument(
        "--over",
        help=f"sentiment, wheel1 to wheel5, or classes such as happy,sad ({default('over')}; {trained_over} with --train)",
    )
    parser.add_argument("--method", choices=METHODS, default=default("method"), help="(%(default)s)")
    parser.add_argument(
        "--iterations", type=int, default=default("iterations"), help="of dawid-skene and mace (%(default)s)"
    )
    parser.add_argument(
        "--seed", type=int, default=default("seed"), help="of mace, and of the folds of --train (%(default)s)"
    )
    parser.add_argument(
        "--min-share",
        type=float,
        default=default("min_share"),
        help="clips with a smaller share do not stay (%(default)s)",
    )
    parser.add_argument("--labels", type=Path, metavar="DIR", help="truths: score each voter and the crowd")
    parser.add_argument("--figure", type=Path, help="accuracy by share of the votes: .svg, .png or .pdf")
    add_trained_options(parser)
    add_taxonomy(parser)
    add_extractor(parser)
    add_outputs(parser)
    return parser
