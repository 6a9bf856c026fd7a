"""`affect-lightning annotate crowd --train SET` and `--crowd FOLDER`: members that are trained on human labels vote.

Paper: Section 2. The options are fields of `TrainedCrowdOptions` (`affect_lightning.annotation.trained_crowd`), with their
defaults. `annotate_crowd.py` has the options of every crowd.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from affect_lightning.command_line.annotate_running import finished_table
from affect_lightning.command_line.annotate_stages import check_outputs, default_of, options_of
from affect_lightning.command_line.printing import print_json
from affect_lightning.command_line.terminal import format_table
from affect_lightning.errors import ConfigurationError

if TYPE_CHECKING:
    from affect_lightning.annotation.tables import ClipTable
    from affect_lightning.annotation.trained_crowd.saved_crowd import TrainedCrowd
    from affect_lightning.annotation.trained_crowd.stage import TrainedCrowdStage
    from affect_lightning.contracts import ClipRecord

ENCODED_AT_ONCE = 32  # clips in one call of the encoders, as in `cache`


def add_trained_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of trained members."""
    from affect_lightning.annotation.trained_crowd.stage import TrainedCrowdOptions

    def default(name: str) -> Any:
        return default_of(TrainedCrowdOptions, name)

    group = parser.add_argument_group("members that are trained on human labels")

    def add(name: str, **how: Any) -> None:
        group.add_argument(f"--{name.replace('_', '-')}", default=default(name), **how)

    add("train", nargs="+", metavar="SET", help="human-labelled sets that members learn from, such as mer2023 meld")
    add("data", metavar="DIR", help="folder that contains these sets")
    add("split", choices=("train", "test"), help="which part of benchmark sets is learnt (%(default)s)")
    add("features", nargs="+", metavar="FOLDER",
        help="feature caches, or folders of them (affect-lightning/features in the user's cache folder)")  # fmt: skip
    add("encode", nargs="+", metavar="EXPERIMENT",
        help="encode what the first of --features lacks, with the encoders of an experiment such as sandbox")  # fmt: skip
    add(
        "media",
        metavar="FOLDER",
        help="for --encode: folder that paths of the table begin at, or of NAME.mp4 (the table's)",
    )
    add("corpus", metavar="SET", help="set of the table's clips in the caches, where several have their names")
    add("subsets", nargs="+", metavar="A+B", help="modalities of members, such as audio+face (all, and all but one)")
    add("seeds", nargs="+", type=int, metavar="N", help="seeds of the trainings (0 1 2)")
    add(
        "text",
        choices=("none", "hashed"),
        help="hashed: the words of the column `subtitle` are a modality (%(default)s)",
    )
    add("language", choices=("english", "chinese"), help="of the subtitles of the sets (%(default)s)")
    for name, kind in (("folds", int), ("epochs", int), ("patience", int), ("batch_size", int), ("hidden", int),
                       ("dropout", float), ("learning_rate", float), ("weight_decay", float)):  # fmt: skip
        add(name, type=kind, help="of the training (%(default)s)")
    add(
        "min_score",
        type=float,
        metavar="WAF",
        help="members with a lower cross-validated WAF do not vote (%(default)s)",
    )
    add("rare", choices=("error", "drop"), help="classes with fewer clips than folds (%(default)s)")
    add("missing", choices=("error", "abstain"), help="clips without features (%(default)s)")
    add("crowd", metavar="FOLDER", help="crowd of an earlier --save, instead of --train")
    add("save", metavar="FOLDER", help="keep the trained crowd in a new folder")


def run_trained(options: argparse.Namespace) -> int:
    """Train members or read them, let them vote on the clips of a table, and tell how right they are."""
    from affect_lightning.annotation.chunked_tables import ClipSource
    from affect_lightning.annotation.tables import read_clip_table
    from affect_lightning.annotation.trained_crowd.stage import TrainedCrowdOptions, TrainedCrowdStage
    from affect_lightning.metrics import taxonomy_by_name

    _check(options)
    for name in ("train", "features", "encode", "subsets", "seeds"):
        setattr(options, name, tuple(getattr(options, name)))
    options.over = options.over or default_of(TrainedCrowdOptions, "over")
    if options.media is None and options.encode:
        options.media = str(options.table.parent)
    own = options_of(TrainedCrowdOptions, options)
    stage = TrainedCrowdStage(own, taxonomy_by_name(options.taxonomy), encode_clips, _tell_member)
    check_outputs(options.out, options.figure)
    source = ClipSource(options.table)
    with finished_table(stage, source, options) as done:
        if done is None:
            return 0
        stage.tell_lacking(source.chunks, done.clips)
        crowd = stage.crowd()
        content = _content(options, read_clip_table(done.path), crowd, stage)
        if options.figure is not None:
            from affect_lightning.annotation.figures import draw_shares

            shares = {f"{task}, held out": list(found.by_share) for task, found in crowd.scores.items()}
            draw_shares(options.figure, shares)
            print(f"Figure: {options.figure}", file=sys.stderr)
    if options.save is not None:
        print(f"Crowd: {options.save}", file=sys.stderr)
    print_json(content) if options.json else print(_text(content))
    return 0


def _check(options: argparse.Namespace) -> None:
    if options.table is None:
        raise ConfigurationError("Name the table of the clips that are to be voted on: it needs a column `name`.")
    if options.member or options.dataset or options.labels:
        raise ConfigurationError(
            "Leave out --member, --dataset and --labels: with --train or --crowd, trained members vote, and each is scored by "
            "cross-validation."
        )
    if options.train and (options.part is not None or options.merge):
        raise ConfigurationError(
            "Train once with --train and --save FOLDER, then give each part --crowd FOLDER: the members learn once for all "
            "clips, so a training cannot be divided."
        )


def _tell_member(name: str) -> None:
    print(f"Trained: {name}", file=sys.stderr)


def encode_clips(experiment: str, records: Sequence[ClipRecord], folder: Path) -> Path:
    """Encode the clips that a feature cache lacks with the encoders of an experiment; gives the cache's folder."""
    from affect_lightning.command_line.cache_filling import fill_cache

    words = ["--config", experiment, "--data.feature_folder", str(folder)]
    with contextlib.redirect_stdout(sys.stderr):
        result = fill_cache(words, {}, (), devices=1, batch_size=ENCODED_AT_ONCE, records=records)
    return Path(result["folder"])


def _content(
    options: argparse.Namespace, table: ClipTable, crowd: TrainedCrowd, stage: TrainedCrowdStage
) -> dict[str, Any]:
    from affect_lightning.annotation.trained_crowd.saved_crowd import told_scores

    verdicts: dict[str, Any] = {}
    for task in crowd.tasks:
        labels = table.column(f"crowd_{task}")
        verdicts[task] = {
            "classes": {name: labels.count(name) for name in sorted(set(labels) - {None})},
            "without_a_vote": labels.count(None),
        }
    return {
        "clips": len(table),
        "over": crowd.over,
        "method": options.method,
        "crowd": crowd.identity(),
        "training_sets": list(crowd.sets),
        "verdicts": verdicts,
        "without_features": len(stage.absent),
        "unreadable": stage.unreadable,
        "members": told_scores(crowd),
        "cross_validated": {
            task: {
                **asdict(found.score),
                "by_share": [
                    {"share": share, "accuracy": accuracy, "clips": clips} for share, accuracy, clips in found.by_share
                ],
            }
            for task, found in crowd.scores.items()
        },
    }


def _text(content: dict[str, Any]) -> str:
    rows = [("clips", f"{content['clips']:,}"), *(("learnt from", text) for text in content["training_sets"])]
    for task, found in content["verdicts"].items():
        rows.append((task, ", ".join(f"{name} {count:,}" for name, count in found["classes"].items())))
        rows.append((f"{task}: without a vote", str(found["without_a_vote"])))
    parts = [format_table((f"crowd {content['crowd']}, {content['method']}", ""), rows)]
    for task, crowd in content["cross_validated"].items():
        scores = [(item["name"], item[task]) for item in content["members"] if task in item]
        lines = [
            (name, *(f"{score[key]:.2f}" for key in ("waf", "accuracy", "chance")), str(score["clips"]))
            for name, score in [*scores, ("the crowd", crowd)]
        ]
        head = (f"{task}, cross-validated", "WAF", "accuracy", "WAF of guessing", "clips")
        parts.append(format_table(head, lines, right=(1, 2, 3, 4)))
        shares = [
            (f"{row['share']:.1f}", "-" if row["accuracy"] is None else f"{row['accuracy']:.2f}", str(row["clips"]))
            for row in crowd["by_share"]
        ]
        parts.append(format_table((f"{task}: least share of the votes", "accuracy", "clips"), shares, right=(1, 2)))
    return "\n\n".join(parts)
