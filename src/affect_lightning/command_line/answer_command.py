"""`affect-lightning answer`: a model of others answers the clips of benchmark sets, for `score` and `report`.

Paper: Table 9. `affect_lightning.describing` asks and keeps the answers; this module takes the options, reads the sets
with the data module, shows progress and prints what came out. docs/systems.md has a command for each system.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from affect_lightning.command_line.command_parser import CommandParser
from affect_lightning.command_line.early_checks import check_data_folder
from affect_lightning.command_line.plugin_arguments import ChoiceOverride, plugin_help, take_plugin_words
from affect_lightning.command_line.printing import print_json
from affect_lightning.command_line.terminal import format_table
from affect_lightning.errors import ConfigurationError, DataError

if TYPE_CHECKING:
    from affect_lightning.contracts import ClipRecord
    from affect_lightning.data.clip_splits import ClipSplits
    from affect_lightning.describing.answering import AnswerFolder, AskedParts, SetAnswers

_PARTS = {"describer": "cue_describers", "merger": "clue_mergers", "transcriber": "transcribers"}
_QUESTIONS = ("name", "describe", "sentiment", "task")
LOCK_FILE = "writing.lock"
_EPILOG = """A killed run goes on with the same command; answers that are there are not asked again.
Then: affect-lightning score --dataset SET --labels DIR --predictions FOLDER/predictions/SET.jsonl

Each part is a plugin: --describer.help NAME shows its options, --describer.OPTION VALUE sets one."""


def run(arguments: Sequence[str]) -> int:
    """Ask a model of others about the clips of benchmark sets, and write its answers as predictions."""
    rest, overrides, asked = take_plugin_words(arguments, _PARTS)
    if asked is not None:
        print(plugin_help(asked, _PARTS))
        return 0
    options = _parser().parse_args(rest)
    choices = _choices(overrides)
    if options.batch_size < 1:
        raise ConfigurationError(f"--batch-size must be 1 or more clips; got {options.batch_size}.")
    if options.data is not None:
        check_data_folder(options.data)

    from affect_lightning.command_line.terminal import silence_expected_warnings
    from affect_lightning.describing.answering import AnswerFolder, write_answers
    from affect_lightning.storage import file_lock
    from affect_lightning.unibench.result_folders import check_writable

    silence_expected_warnings()
    check_writable(options.out)
    parts = _built(choices, shows_subtitle=options.subtitle)
    parts.check()
    data = _data(options, parts)
    data.list_clips("test")
    records: list[ClipRecord] = list(data.records["test"])  # type: ignore[arg-type]  # folders, not packed sets
    _make(options.out)
    lock = file_lock(options.out / LOCK_FILE, 0)
    try:
        lock.acquire()
    except TimeoutError:
        raise ConfigurationError(
            f"Another `answer` is writing to {options.out}. Wait for it, or choose another --out."
        ) from None
    try:
        folder = AnswerFolder(options.out, _settings(options, parts))
        _ask(data, records, parts, folder)
        results = write_answers(records, folder, lambda corpus: _is_generated(options.data, corpus))
    finally:
        lock.release()
    _print(options, results, data.quarantined("test"))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = CommandParser(
        prog="affect-lightning answer",
        description=run.__doc__,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--describer", metavar="NAME", help="plugin that answers, such as hf-chat, openai or import")
    parser.add_argument("--data", type=Path, metavar="DIR", help="folder with the official sets")
    parser.add_argument(
        "--sets", nargs="+", metavar="SET", help="sets such as meld, or tables of your own; all by default"
    )
    parser.add_argument("--question", choices=_QUESTIONS, default="name", help="what is asked (name)")
    parser.add_argument(
        "--subtitle",
        action="store_true",
        help="show the subtitle to the describer; without, it is not shown (the saved outputs of others score better when "
        "it is added afterwards, with --merger)",
    )
    parser.add_argument("--merger", metavar="NAME", help="plugin that adds the subtitle to each answer")
    parser.add_argument("--transcriber", metavar="NAME", help="plugin that hears the subtitles that are missing")
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="folder of this run alone")
    parser.add_argument("--batch-size", type=int, default=8, help="clips read and asked together (8, our choice)")
    parser.add_argument("--workers", type=int, default=0, help="processes that read clips (0: read in this one)")
    parser.add_argument("--limit", type=int, metavar="N", help="at most N clips of each set, always the same ones")
    parser.add_argument(
        "--any-number", action="store_true", help="take sets with another number of clips than the official one"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object to standard output")
    return parser


def _choices(overrides: Mapping[str, ChoiceOverride]) -> dict[str, dict[str, Any]]:
    """The chosen plugins by kind."""
    choices = {kind: override.over(None) for kind, override in overrides.items()}
    for kind, choice in choices.items():
        if not choice["name"]:
            raise ConfigurationError(f"Add --{kind} NAME: options for it were given, but no name.")
    if "describer" not in choices:
        raise ConfigurationError(
            "Choose who answers with --describer NAME; `affect-lightning plugins --group cue_describers` lists them."
        )
    return choices


def _built(choices: Mapping[str, Mapping[str, Any]], *, shows_subtitle: bool) -> AskedParts:
    from affect_lightning.describing.answering import AskedParts
    from affect_lightning.plugin_loading import build_part, resolve_choice

    resolved = {kind: resolve_choice(_PARTS[kind], choice) for kind, choice in choices.items()}
    return AskedParts(
        **{kind: build_part(_PARTS[kind], choice) for kind, choice in resolved.items()}, shows_subtitle=shows_subtitle
    )


def _data(options: argparse.Namespace, parts: AskedParts) -> ClipSplits:
    """Reads the sets as the describer wants its clips."""
    from affect_lightning.data.clip_splits import ClipSplits

    fixed: dict[str, Any] = {
        "inputs": [*parts.streams, "text"],
        "benchmark_root": options.data,
        "test_sets": options.sets,
        "test_question": options.question,
        "eval_batch_size": options.batch_size,
        "workers": options.workers,
        "limit_test_clips": options.limit,
        "expected_counts": "any" if options.any_number else "official",
        "quarantine_file": options.out / "quarantine.jsonl",
        "longest_first": False,
    }
    wanted = dict(parts.describer.reading)
    if both := sorted(set(wanted) & set(fixed)):
        raise ConfigurationError(
            f"The describer wants {', '.join(both)}, which `answer` sets itself. Choose another describer."
        )
    return ClipSplits(**fixed, **wanted)


def _settings(options: argparse.Namespace, parts: AskedParts) -> dict[str, Any]:
    """Everything that an answer depends on besides the clip."""
    return {**parts.identities(), "question": options.question, "reading": dict(parts.describer.reading)}


def _make(folder: Path) -> None:
    from affect_lightning.unibench.scoring.predictions import refused_writing

    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise refused_writing(error, folder) from error


def _ask(data: ClipSplits, records: Sequence[ClipRecord], parts: AskedParts, folder: AnswerFolder) -> None:
    """Ask about the clips that have no answer yet, with a bar."""
    from tqdm import tqdm

    from affect_lightning.describing.answering import ask

    missing = [record for record in records if (record.corpus, record.name) not in folder.answers]
    if not missing:
        return
    (folder.folder / "quarantine.jsonl").unlink(missing_ok=True)  # every clip without an answer is looked at again
    data.records["test"] = missing
    data.setup("test")
    try:
        with tqdm(
            total=len(records), initial=len(records) - len(missing), desc="clips", unit="clip", disable=None
        ) as bar:
            ask(parts, data.test_dataloader(), folder, lambda count: bar.update(count) and None)
    except KeyboardInterrupt:
        kept = len(folder.answers)
        print(f"{kept} answers are kept in {folder.folder}. The same command goes on from there.", file=sys.stderr)
        raise
    finally:
        data.teardown("test")
    if not folder.answers:
        named = "; ".join(f"{clip['name']}: {clip['reason']}" for clip in data.quarantined("test")[:5])
        raise DataError(f"Give clips that can be read: none of the {len(missing)} could. {named}")


def _is_generated(root: Path | None, corpus: str) -> bool:
    from affect_lightning.corpora.corpus_file import CORPUS_FILE, is_generated

    place = None if root is None else root / CORPUS_FILE
    return place is not None and place.is_file() and is_generated(place, corpus)


def _print(
    options: argparse.Namespace, results: Mapping[str, SetAnswers], left_out: Sequence[Mapping[str, str]]
) -> None:
    if options.json:
        plain = {
            corpus: {
                "clips": one.clips,
                "answered": one.answered,
                "empty": one.empty,
                "refused": one.refused,
                "cleaned": dict(one.cleaned),
                "predictions": None if one.file is None else str(one.file),
            }
            for corpus, one in results.items()
        }
        print_json({"folder": str(options.out), "sets": plain, "left_out": list(left_out)})
        return
    rows = [
        (corpus, *map(str, (one.clips, one.answered, one.empty, one.refused)), str(one.file or "none"))
        for corpus, one in results.items()
    ]
    print(format_table(("set", "clips", "answered", "empty", "refused", "predictions"), rows, right=(1, 2, 3, 4)))
    for clip in left_out:
        print(f"{clip['name']}: left out ({clip['stage']}: {clip['reason']})")
