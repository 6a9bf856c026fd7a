"""`affect-lightning score`: the report of `test` for saved outputs of any model, on one set or on a whole suite.

Paper: Section 4, Tables 2 and 12. The files are read and scored by `affect_lightning.unibench` (`suite_scoring.py`);
this module takes the options, prints the table or the JSON, and writes the report. Torch is imported only when scores
are computed, not for `--help`.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from affect_lightning.command_line.command_parser import CommandParser
from affect_lightning.command_line.plugin_arguments import plugin_help, take_plugin_words
from affect_lightning.command_line.printing import print_json
from affect_lightning.command_line.report_command import add_report_options
from affect_lightning.command_line.terminal import format_table, render_terminal
from affect_lightning.errors import ConfigurationError
from affect_lightning.plain_characters import plain_characters
from affect_lightning.unibench.scoring.checkpoint_rules import CHECKPOINT_RULES

if TYPE_CHECKING:
    from affect_lightning.corpora import BenchmarkSet
    from affect_lightning.unibench.report.content import Report
    from affect_lightning.unibench.report.tables import Column
    from affect_lightning.unibench.scoring.suite_scoring import ScoredModel, ScoringOptions
    from affect_lightning.unibench.scoring.suites import SavedModel

_DESCRIPTION = """Score saved outputs of any model with the exact metrics of MER-UniBench.

  score --dataset meld --labels LABELS --predictions FILE     one set
  score --suite FOLDER                                        many models, many sets"""

_EPILOG = """predictions:
  .npz     as the authors save them: name2reason (responses), X-openset.npz (labels), X-openset-sentiment.npz
  .csv .jsonl .parquet, one row a clip, columns by name: name, and one or more of
           response (or reason, description, answer, output, predict, pred, generated_text, filtered_resps),
           labels (or openset, emotions, discrete), sentiment
  Responses go through the extractor; labels and sentiments do not. Responses beside labels need --column.
  A folder holds several checkpoints of one model, one file each.

labels:    the folder of all sets (LABELS/meld-process/label.npz ...), one set's folder, or the label file itself;
           for a set of your own a csv, jsonl or parquet with name and openset (or labels, label), or val (sentiment).
           Without --labels the truths in the prediction files of `affect-lightning test` serve.

suite:     FOLDER/labels/...                         as above
           FOLDER/predictions/MODEL/SET.csv          one output a set, or
           FOLDER/predictions/MODEL/SET/NAME.csv     several checkpoints a set
           or the authors' layout: affectgpt_outputs/SET/*.npz, baseline_outputs/MODEL/*.npz, ovmerd/"""

_EXTRACTOR = {"extractor": "label_extractors"}
_DEFAULT_EXTRACTOR = "rules"  # our choice: it needs no weights, and saved labels skip it
_PLACE = Path("runs") / "score"  # of reports without --out
_TERMS = ("taxonomy", "label extractor", "checkpoint", "checkpoint rule")  # of the provenance, shown in the terminal


def run(arguments: Sequence[str]) -> int:
    """Score saved outputs; see the module."""
    rest, overrides, asked = take_plugin_words(arguments, _EXTRACTOR)
    if asked is not None:
        print(plugin_help(asked, _EXTRACTOR))
        return 0
    options = _parser().parse_args(rest)
    _check(options)
    choice = overrides["extractor"].over(_DEFAULT_EXTRACTOR) if overrides else _DEFAULT_EXTRACTOR

    from affect_lightning.unibench.report.columns import installed_columns
    from affect_lightning.unibench.report.content import Report
    from affect_lightning.unibench.report.files import write_report
    from affect_lightning.unibench.report.provenance import banner_of, not_comparable
    from affect_lightning.unibench.report.published import published_rows
    from affect_lightning.unibench.result_folders import check_place
    from affect_lightning.unibench.scoring.suite_scoring import SavedOutputScorer

    check_place(options.out or _PLACE)
    columns = installed_columns(options.columns)
    _take_key(options)
    models, title = _models(options)
    scorer = SavedOutputScorer(_scoring_options(options, choice))
    scored = [scorer.score(model) for model in models]
    _say_what_does_not_fit(scored, scorer.sets)
    rows = tuple(model.row for model in scored)
    report = Report(f"MER-UniBench: {title}", rows, columns=columns).with_paired_tests()
    folder = options.out or _new_folder(options)
    write_report(report, folder, published=options.published, published_anyway=options.published_anyway)
    if options.json:
        content = _suite_json(scored) if options.suite else _set_json(options.dataset, scored[0])
        print_json(content)
    else:
        banner = banner_of(report)
        published = () if options.published is None else published_rows(options.published)
        if line := not_comparable(replace(report, published=published)):
            print(f"{line}.\n")
        print(_table(scored, report) if options.suite else _details(scored[0], options.dataset, columns))
        print(f"\n{banner}\n" if banner else "")
    print(f"Report: {folder / 'report.html'}", file=sys.stderr if options.json else sys.stdout)
    return 0


def _new_folder(options: argparse.Namespace) -> Path:
    """A folder that no other report has, named by set, output and time."""
    from affect_lightning.unibench.result_folders import reserve_result_folder, result_name
    from affect_lightning.unibench.scoring.predictions import refused_writing

    what = (options.dataset, options.predictions.name) if options.dataset else ("suite", options.suite.resolve().name)
    try:
        return reserve_result_folder(_PLACE, result_name([what[0]], what[1]))
    except OSError as error:
        raise refused_writing(error, _PLACE) from error


def _parser() -> argparse.ArgumentParser:
    parser = CommandParser(
        prog="affect-lightning score",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--dataset", metavar="SET", help="set: mer2023, CMU-MOSI, ..., or a name of your own")
    parser.add_argument("--predictions", type=Path, metavar="FILE", help="outputs of one model on that set")
    parser.add_argument(
        "--union", type=Path, action="append", default=[], metavar="FILE",
        help="further output whose emotion words are united with those of --predictions, clip by clip; repeatable",
    )  # fmt: skip
    parser.add_argument(
        "--labels", type=Path, metavar="DIR", help="folder or file of the truths; in a suite FOLDER/labels by default"
    )
    parser.add_argument("--suite", type=Path, metavar="FOLDER", help="outputs of several models on several sets")
    parser.add_argument(
        "--taxonomy",
        help="official-2025, official-2026, builtin, or the folder of a release; by default official-2025 if it was "
        "fetched, else builtin",
    )
    parser.add_argument(
        "--extractor",
        metavar="NAME",
        help=f"plugin for responses without labels, by default {_DEFAULT_EXTRACTOR}; --extractor.help NAME shows its "
        "options, --extractor.OPTION VALUE sets one",
    )
    parser.add_argument(
        "--checkpoint-rule",
        choices=CHECKPOINT_RULES,
        default="last",
        help="rule that chooses among several checkpoints (last): last and fixed look at no score; paper_best_on_test takes "
        "the best on each test set, as the paper's row does, and every output says so",
    )
    parser.add_argument(
        "--checkpoint", metavar="NAME", help="name or number of the checkpoint, for --checkpoint-rule fixed"
    )
    parser.add_argument(
        "--column",
        action="append",
        default=[],
        metavar="KIND=NAME",
        help="name a column of the predictions; KIND is name, response, labels or sentiment; or of the label file: "
        "truth-name or truth; repeatable",
    )
    parser.add_argument("--from-responses", action="store_true", help="ignore saved labels and extract them again")
    parser.add_argument("--allow-missing", action="store_true", help="count clips without a prediction as wrong")
    parser.add_argument(
        "--warn-unread", type=float, default=5.0, metavar="PERCENT",
        help="warn if more of the given or true words could not be read (5)",
    )  # fmt: skip
    parser.add_argument(
        "--max-unread", type=float, default=50.0, metavar="PERCENT",
        help="stop if more of the given or true words could not be read (50)",
    )  # fmt: skip
    parser.add_argument("--name", help="name of the row in the report of one set (default: the name of the file)")
    parser.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        help="new folder of the report (default: one in runs/score, named by set and time)",
    )
    add_report_options(parser)
    return parser


def _check(options: argparse.Namespace) -> None:
    """Refuse options that do not go together."""
    one_set = (options.dataset, options.predictions)
    if options.suite is not None:
        if options.union or any(value is not None for value in (*one_set, options.name)):
            raise ConfigurationError(
                "--suite scores a whole folder: leave out --dataset, --predictions, --union and --name."
            )
    elif None in one_set:
        raise ConfigurationError(
            "Give --dataset SET and --predictions FILE for one set, or --suite FOLDER. `affect-lightning score --help` "
            "shows the layouts."
        )
    if options.dataset is not None and (not options.dataset or Path(options.dataset).name != options.dataset):
        raise ConfigurationError(f"--dataset takes the key of a set such as meld; got {options.dataset!r}.")


def _take_key(options: argparse.Namespace) -> None:
    """Replace the name of the set by its key; the name of a set of your own stays."""
    from affect_lightning.corpora import known_sets
    from affect_lightning.corpora.known_sets import canonical_key

    if options.dataset is not None:
        options.dataset = canonical_key(options.dataset, known_sets(options.labels))


def _models(options: argparse.Namespace) -> tuple[list[SavedModel], str]:
    """The models to score and what to call them together."""
    from affect_lightning.corpora import known_sets
    from affect_lightning.unibench.scoring.suites import SavedModel, find_checkpoints, find_models
    from affect_lightning.unibench.scoring.unions import names_of_outputs

    if options.suite is not None:
        return find_models(options.suite), options.suite.resolve().name
    sets = known_sets(options.labels)
    outputs = find_checkpoints(options.predictions, options.dataset, sets)
    if not options.union:
        name = options.name or options.predictions.stem
        return [SavedModel(name, {options.dataset: outputs})], name
    first, *others = names_of_outputs([options.predictions, *options.union])
    if len(outputs) == 1:
        outputs = {first: next(iter(outputs.values()))}
    union = {}
    for label, path in zip(others, options.union, strict=True):
        found = find_checkpoints(path, options.dataset, sets)
        if len(found) > 1:
            raise ConfigurationError(
                f"Name one file with --union: {path} has {len(found)} outputs ({', '.join(found)})."
            )
        union[label] = next(iter(found.values()))
    name = options.name or " + ".join([first, *others])
    return [SavedModel(name, {options.dataset: outputs}, {options.dataset: union})], name


def _scoring_options(options: argparse.Namespace, choice: Any) -> ScoringOptions:
    from affect_lightning.metrics import taxonomy_by_name
    from affect_lightning.plugin_loading import build_part, resolve_choice
    from affect_lightning.unibench.scoring.set_answers import DeferredExtractor
    from affect_lightning.unibench.scoring.suite_scoring import ScoringOptions
    from affect_lightning.unibench.scoring.suites import label_roots
    from affect_lightning.unibench.scoring.unread_words import ReadingLimits

    resolved = resolve_choice("label_extractors", choice)
    roots = (options.labels,) if options.labels is not None else ()
    return ScoringOptions(
        taxonomy=taxonomy_by_name(options.taxonomy),
        extractor=DeferredExtractor(lambda: build_part("label_extractors", resolved)),
        label_roots=roots if options.suite is None else label_roots(options.suite, options.labels),
        rule=options.checkpoint_rule,
        checkpoint=options.checkpoint,
        columns=_columns(options.column),
        from_responses=options.from_responses,
        allow_missing=options.allow_missing,
        limits=ReadingLimits(options.warn_unread, options.max_unread),
    )


def _columns(words: Sequence[str]) -> dict[str, str]:
    columns = {}
    for word in words:
        kind, equals, name = word.partition("=")
        if not equals or not name:
            raise ConfigurationError(f"--column takes KIND=NAME such as response=answer_text; got {word!r}.")
        columns[kind.strip()] = plain_characters(name).strip()
    return columns


def _say_what_does_not_fit(scored: Sequence[ScoredModel], sets: Mapping[str, BenchmarkSet]) -> None:
    """Name on standard error what is not as it should be."""
    from affect_lightning.corpora import TRAINING_SETS
    from affect_lightning.corpora.annotation_tables import shown
    from affect_lightning.corpora.known_sets import near_hint

    for key in sorted({key for model in scored for key in model.row.scores.sets} - {*sets, *TRAINING_SETS}):
        hint = near_hint(key, sets)
        print(f"{key} is not a set of MER-UniBench; it is scored as a set of your own.{hint}", file=sys.stderr)
    for model in scored:
        for key, names in model.missing.items():
            print(f"{model.row.name}, {key}: {len(names)} clips count as wrong: {shown(names)}", file=sys.stderr)
        for key, names in model.surplus.items():
            print(
                f"{model.row.name}, {key}: {len(names)} without a label, not scored: {shown(names)}",
                file=sys.stderr,
            )


def _set_json(key: str, model: ScoredModel) -> dict[str, Any]:
    from affect_lightning.corpora import METRIC_TITLES

    score = model.row.scores.sets[key]
    content: dict[str, Any] = {
        "dataset": key,
        "metric": METRIC_TITLES[score.metric],
        "score": score.score,
        "secondary": dict(score.secondary),
        "interval": score.interval,
        "clips": score.clips,
        "scored": score.scored_clips,
        "taxonomy": model.row.scores.taxonomy,
        "extractor": score.extractor,
        "without_a_label": score.unparsable,
        "refused": score.refused,
        "cleaned": dict(score.cleaned),
        "unknown_truths": score.unknown_truths,
        "unread": {
            side.kind: {
                "words": side.words,
                "unread": side.unread,
                "percent": side.percent,
                "commonest": side.commonest,
            }
            for side in score.unread
        },
    }
    if key in (model.row.provenance.get("generated") or ()):
        content["generated"] = True
    if model.rule:
        content.update(checkpoint_rule=model.rule, checkpoint=model.checkpoints[key])
    if key in model.union:
        content["union"] = [output.to_json() for output in model.union[key]]
    if key in model.class_codes:
        content["class_codes"] = {str(code): word for code, word in model.class_codes[key].items()}
    for term, clips in (("missing", model.missing), ("surplus", model.surplus)):
        if key in clips:
            content[term] = list(clips[key])
    return content


def _suite_json(scored: Sequence[ScoredModel]) -> dict[str, Any]:
    return {
        "taxonomy": scored[0].row.scores.taxonomy,
        "rows": [
            {
                "model": model.row.label,
                "mean": model.row.scores.mean,
                "mean_interval": model.row.scores.mean_interval,
                "sets_in_mean": model.row.scores.sets_in_mean,
                "checkpoint_rule": model.rule or None,
                "sets": {key: _set_json(key, model) for key in model.row.scores.sets},
            }
            for model in scored
        ],
    }


def _details(model: ScoredModel, dataset: str, columns: tuple[Column, ...]) -> str:
    """The score of one set with all that stands behind it."""
    from affect_lightning.unibench.report.columns import details_of

    title = model.row.scores.sets[dataset].title
    rows = [("set", title), *details_of(model.row, dataset, columns), *_origin(model)]
    return format_table((model.row.label, ""), rows)


def _origin(model: ScoredModel) -> list[tuple[str, str]]:
    from affect_lightning.unibench.report.provenance import provenance_lines

    return [(term, text) for term, text in provenance_lines(model.row.provenance) if term in _TERMS]


def _table(scored: Sequence[ScoredModel], report: Report) -> str:
    """Models by sets, and what is behind the rows: once where it is the same for all."""
    from affect_lightning.unibench.report.columns import score_table

    table = render_terminal(score_table(report), is_short=True)
    rows_of: dict[tuple[str, str], list[str]] = {}
    for model in scored:
        for term, text in _origin(model):
            rows_of.setdefault((term, text), []).append(model.row.label)
    notes = []
    for (term, text), names in sorted(rows_of.items(), key=lambda item: _TERMS.index(item[0][0])):
        some = "" if len(names) == len(scored) else f" ({', '.join(names)})"
        notes.append(f"{term}{some}: {text}")
    return "\n".join([table, "", *notes])
