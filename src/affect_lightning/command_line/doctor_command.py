"""`affect-lightning doctor`: check sets of clips before anything is trained on them (docs/doctor.md).

`affect_lightning.inspection` does the work; this finds out which sets and options are meant, shows the progress and
prints the table.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import logging
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from affect_lightning.command_line.command_parser import CommandParser
from affect_lightning.command_line.early_checks import check_data_folder
from affect_lightning.command_line.experiments_command import find_experiment
from affect_lightning.command_line.part_options import add_part_options
from affect_lightning.command_line.printing import print_json
from affect_lightning.command_line.terminal import format_table
from affect_lightning.errors import ConfigurationError
from affect_lightning.inspection.findings import CHECKS, NAMED, Finding, SetSummary, Thresholds
from affect_lightning.processors import usable_processors
from affect_lightning.storage import user_cache_folder

if TYPE_CHECKING:
    from affect_lightning.contracts import ClipRecord
    from affect_lightning.data.clip_splits import ClipSplits
    from affect_lightning.inspection.annotations import FoundSet
    from affect_lightning.inspection.clip_checks import Checking, ClipCheck
    from affect_lightning.storage import Part, WorkInParts

FOUND_WRONG = 1
CLIP_SECONDS = 120.0  # our choice: a clip is read in well under a second; on a busy machine with room to spare
# Options of the data module on which the verdict about a clip depends; the others say which clips there are.
_NOT_READING = frozenset(
    {"train_root", "train_sets", "benchmark_root", "test_sets", "workers", "batch_size", "eval_batch_size", "seed"}
)


@dataclass(frozen=True)
class Diagnosis:
    """All that was found.

    Attributes:
        sets: What each set holds.
        findings: Problems first.
        journal: Where the checks of the clips are kept; None if no media were read.
    """

    sets: tuple[SetSummary, ...]
    findings: tuple[Finding, ...]
    journal: Path | None

    @property
    def problems(self) -> int:
        """Findings that count."""
        return sum(finding.level == "problem" for finding in self.findings)


def run(arguments: Sequence[str]) -> int:
    """Check official sets: files, tables, counts, media, lengths, faces and label words. Exit code 1 if any is wrong.

    A part of the work (--part) tells nothing of what it found; its exit code is 0 when it is done.
    """
    options = _parser().parse_args(arguments)
    if options.data is None and options.config is None:
        raise ConfigurationError("Give --data DIR, the folder that holds the sets, or --config EXPERIMENT, or both.")
    options.config = None if options.config is None else find_experiment(options.config)
    _check_numbers(options)
    if options.data is not None:
        check_data_folder(options.data)
    with _quiet_readers():
        diagnosis = _diagnose(options)
    if options.part is not None:
        checked = sum(item.checked for item in diagnosis.sets)
        result = {"part": str(options.part), "checked": checked, "journal": str(diagnosis.journal)}
        print_json(result) if options.json else print(
            f"Part {options.part} is done: {checked} clips. When all are, run the command with --merge."
        )
        return 0
    if options.json:
        print_json(_plain(diagnosis))
    else:
        print(_text(diagnosis))
    return FOUND_WRONG if diagnosis.problems else 0


@contextlib.contextmanager
def _quiet_readers() -> Iterator[None]:
    """What the readers would log as a warning is in the table."""
    log = logging.getLogger("affect_lightning.corpora")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        log.setLevel(level)


def _parser() -> argparse.ArgumentParser:
    parser = CommandParser(prog="affect-lightning doctor", description=run.__doc__)
    parser.add_argument("--data", type=Path, metavar="DIR", help="folder with official sets, or one set's folder")
    parser.add_argument(
        "--config", metavar="EXPERIMENT", help="use the data options and sets of this YAML file or experiment"
    )
    parser.add_argument(
        "--workers", type=int, default=usable_processors(), help="number of processes (default: one for each core)"
    )
    parser.add_argument(
        "--timeout", type=float, default=CLIP_SECONDS, help=f"most seconds for one clip (default: {CLIP_SECONDS:g})"
    )
    parser.add_argument("--face-detector", metavar="NAME", help="face detector plugin; none does not look for faces")
    parser.add_argument("--taxonomy", metavar="NAME", help="official-2025, official-2026, builtin or a folder")
    parser.add_argument(
        "--expected-counts",
        choices=["official", "any"],
        help="number of clips a set must have: that of Table 11, or any",
    )
    parser.add_argument("--min-seconds", type=float, default=Thresholds.shortest, help="default: %(default)s")
    parser.add_argument("--max-seconds", type=float, default=Thresholds.longest, help="default: %(default)s")
    parser.add_argument("--no-media", action="store_true", help="check the tables only; open no video or sound")
    parser.add_argument(
        "--allow", action="append", default=[], choices=list(CHECKS), metavar="CHECK",
        help=f"list these findings, but do not count them as problems; repeatable: {', '.join(CHECKS)}",
    )  # fmt: skip
    parser.add_argument("--cache", type=Path, metavar="DIR", help="folder in which finished checks are kept")
    parser.add_argument("--fresh", action="store_true", help="check every clip again")
    add_part_options(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON object to standard output, with all names")
    return parser


def _check_numbers(options: argparse.Namespace) -> None:
    if options.workers < 1 or not options.timeout > 0:
        raise ConfigurationError(
            f"--workers must be at least 1 and --timeout above 0; got {options.workers} and {options.timeout:g}."
        )
    if options.merge and options.fresh:
        raise ConfigurationError("Leave out --fresh: --merge reads no clip, it joins what the parts found.")
    if (options.part or options.merge) and options.no_media:
        raise ConfigurationError("Leave out --part and --merge: with --no-media there is nothing to divide.")
    if not 0 <= options.min_seconds < options.max_seconds:
        raise ConfigurationError(
            f"--min-seconds must be at least 0 and below --max-seconds; got {options.min_seconds:g} and "
            f"{options.max_seconds:g}."
        )


def _diagnose(options: argparse.Namespace) -> Diagnosis:
    from affect_lightning.inspection.annotations import check_annotations, surplus_files, unknown_words
    from affect_lightning.inspection.sources import missing_faces
    from affect_lightning.metrics import taxonomy_by_name

    configured = _configuration(options.config)
    data = dict(configured.get("data") or {})
    if options.face_detector is not None:
        data["face_detector"] = options.face_detector
    sets, module = _sets_and_module(options, data, configured)
    needs_media = bool(module.options.streams) and not options.no_media
    counts: Any = options.expected_counts or module.sources.expected_counts
    taxonomy = taxonomy_by_name(options.taxonomy or (configured.get("benchmark") or {}).get("taxonomy"))
    findings: list[Finding] = []
    clips: dict[str, tuple[FoundSet, list[ClipRecord]]] = {}
    for found in sets:
        count = counts.get(found.key, "official") if isinstance(counts, Mapping) else counts
        checked = check_annotations(found, expected_count=count, needs_media=needs_media)
        findings += checked.findings
        corpus = checked.clips[0].corpus if checked.clips else found.key
        findings += unknown_words(found, checked.clips, lambda word: word.strip().lower() in taxonomy.forms)
        findings += missing_faces(corpus, checked.clips)
        clips[f"{corpus} {found.role}"] = (found, checked.clips)
    if needs_media:
        findings += surplus_files(list(clips.values()))
    summaries = {key: _summary(key.split(" ")[0], found, records) for key, (found, records) in clips.items()}
    journal = None
    if needs_media:
        journal = _journal_path(options, sets)
        findings += _check_media(options, module, _settings(data), clips, summaries, findings, journal)
    allowed = [replace(finding, level="note") if finding.check in options.allow else finding for finding in findings]
    order = {key.split(" ")[0]: position for position, key in enumerate(clips)}
    allowed.sort(key=lambda finding: (finding.level == "note", order.get(finding.corpus, 99)))
    return Diagnosis(tuple(summaries.values()), tuple(allowed), journal)


def _summary(corpus: str, found: FoundSet, clips: Sequence[ClipRecord]) -> SetSummary:
    """What a set holds before its media are read; a set whose tables cannot be read holds nothing."""
    from affect_lightning.inspection.sources import released_faces, sources_of

    sources = sources_of(found, clips) if clips else {}
    return SetSummary(
        corpus, found.role, str(found.folder), len(clips), sources=sources, released_faces=released_faces(clips)
    )


def _configuration(path: Path | None) -> dict[str, Any]:
    """The experiment's YAML as plain values."""
    if path is None:
        return {}
    import yaml

    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise ConfigurationError(f"The configuration {path} cannot be read: {reason}") from error
    if not isinstance(content, dict) or not isinstance(content.get("data", {}), dict):
        raise ConfigurationError(f"The configuration {path} has no data section. Give an experiment's YAML file.")
    return content


def _sets_and_module(
    options: argparse.Namespace, data: dict[str, Any], configured: dict[str, Any]
) -> tuple[list[FoundSet], ClipSplits]:
    """The sets to check, and the data module that reads their clips."""
    from affect_lightning.corpora.own_clips import is_own_table
    from affect_lightning.data.clip_splits import ClipSplits
    from affect_lightning.inspection.annotations import find_sets, named_sets

    model = configured.get("model") or {}
    inputs = {key: model[key] for key in ("inputs", "fused_streams") if model.get(key) is not None}
    try:
        module = ClipSplits(**{**data, **inputs})
    except TypeError as error:
        raise ConfigurationError(f"The data section of {options.config} is not valid: {error}.") from error
    if options.data is not None:
        return find_sets(options.data), module
    sources = module.sources
    own = any(map(is_own_table, sources.train_sets))
    trained = sources.train_sets if own or sources.train_root is not None else ()
    sets = named_sets(trained, "training", sources.train_root, sources.columns)
    if sources.test_sets is not None:
        sets += named_sets(sources.test_sets, "test", sources.benchmark_root, sources.columns)
    elif sources.benchmark_root is not None:
        sets += [found for found in find_sets(sources.benchmark_root) if found.role == "test"]
    if not sets:
        raise ConfigurationError(
            f"{options.config} names no folder. Set data.train_root or data.benchmark_root in it, or give --data."
        )
    return sets, module


def _settings(data: dict[str, Any]) -> str:
    return json.dumps({key: value for key, value in sorted(data.items()) if key not in _NOT_READING}, default=str)


def _journal_path(options: argparse.Namespace, sets: Sequence[FoundSet]) -> Path:
    """One journal for each choice of folders."""
    folders = "\0".join(sorted({str(found.folder.resolve()) for found in sets}))
    digest = hashlib.sha256(folders.encode()).hexdigest()[:16]
    return Path(options.cache or user_cache_folder("doctor")) / f"{digest}.jsonl"


def _check_media(
    options: argparse.Namespace,
    module: ClipSplits,
    settings: str,
    clips: dict[str, tuple[FoundSet, list[ClipRecord]]],
    summaries: dict[str, SetSummary],
    findings: Sequence[Finding],
    journal_path: Path,
) -> list[Finding]:
    """Read every clip; completes `summaries`, and returns what was found."""
    from affect_lightning.inspection.clip_checks import Checking, ClipChecker, media_findings, with_media

    everything = [clip for _, records in clips.values() for clip in records]
    if not everything:
        return []
    reader = module.reader(everything)
    checker = ClipChecker(reader, reader.cropper is not None and reader.cropper.detector.finds_faces)
    checking = Checking(checker, settings, min(options.workers, len(everything)), options.timeout)
    checks = iter(_checks(options, everything, checking, journal_path))
    limits = Thresholds(options.min_seconds, options.max_seconds)
    found: list[Finding] = []
    for key, (_, records) in clips.items():
        own = [check for _ in records if (check := next(checks)) is not None]
        corpus = summaries[key].corpus
        missing = {
            name for item in findings if (item.corpus, item.check) == (corpus, "missing-file") for name in item.names
        }
        found += media_findings(corpus, own, limits, frozenset(missing))
        summaries[key] = with_media(summaries[key], own)
    return found


def _checks(
    options: argparse.Namespace, clips: Sequence[ClipRecord], checking: Checking, journal_path: Path
) -> list[ClipCheck | None]:
    """The check of each clip, out of the journal or made now; None for clips of other parts."""
    from affect_lightning.inspection.check_parts import checks_in_parts, clips_of_part, join_checks
    from affect_lightning.inspection.clip_checks import CheckJournal, check_clips

    parts = checks_in_parts(journal_path, clips, checking)
    place: contextlib.AbstractContextManager[Path] = contextlib.nullcontext(journal_path)
    mine = list(clips)
    if options.part is not None:
        place, mine = _journal_of_part(parts, options.part), clips_of_part(clips, options.part)
    with place as path:
        if options.fresh:
            path.unlink(missing_ok=True)
        journal = CheckJournal(path)
        if options.merge:
            join_checks(clips, checking, journal, parts)
            parts.remove()
        elif options.part is None:
            parts.check_none_waits()
        with _progress(len(mine)) as report:
            done = iter(check_clips(mine, checking, journal, report))
        if options.part is not None:
            parts.finish(options.part, {"clips": len(mine)})
    chosen = set(map(id, mine))
    return [next(done) if id(clip) in chosen else None for clip in clips]


@contextlib.contextmanager
def _journal_of_part(parts: WorkInParts, part: Part) -> Iterator[Path]:
    """The journal of a part, held for as long as it is at work."""
    from affect_lightning.inspection.check_parts import part_journal

    with parts.begun(part) as folder:
        yield part_journal(folder)


@contextlib.contextmanager
def _progress(total: int) -> Iterator[Callable[[int, int], None]]:
    """A bar on standard error with rate and time left, and the number of bad clips."""
    from tqdm import tqdm

    with tqdm(total=total, unit="clip", desc="doctor", file=sys.stderr, dynamic_ncols=True, smoothing=0.1) as bar:

        def report(done: int, bad: int) -> None:
            if bar.n == 0 and done > 1:
                bar.initial = done  # found in the journal: no part of the rate
            bar.update(done - bar.n)
            bar.set_postfix(bad=bad, refresh=False)

        yield report


def _plain(diagnosis: Diagnosis) -> dict[str, Any]:
    return {
        "ok": diagnosis.problems == 0,
        "problems": diagnosis.problems,
        "journal": None if diagnosis.journal is None else str(diagnosis.journal),
        "sets": [asdict(item) for item in diagnosis.sets],
        "findings": [
            {**asdict(finding), "what": CHECKS[finding.check], "count": len(finding.names)}
            for finding in diagnosis.findings
        ],
    }


def _text(diagnosis: Diagnosis) -> str:
    rows = [row for item in diagnosis.sets for row in _rows_of(item)]
    rows += [
        (finding.corpus, finding.level, finding.check, str(len(finding.names) or "-"), _named(finding))
        for finding in diagnosis.findings
    ]
    notes = len(diagnosis.findings) - diagnosis.problems
    verdict = f"{diagnosis.problems} problems, {notes} notes." if diagnosis.findings else "Nothing is wrong."
    return f"{format_table(('set', '', 'check', 'number', 'which'), rows, right=(3,))}\n\n{verdict}"


def _rows_of(item: SetSummary) -> list[tuple[str, str, str, str, str]]:
    """A set's clips, the places that its parts came from, and its released face crops."""
    rows = [(item.corpus, item.role, "clips", str(item.clips), _held(item))]
    if item.sources:
        places = "; ".join(f"{part}: {place}" for part, place in item.sources.items() if part != "faces")
        faces = item.sources.get("faces", "none: faces are detected")
        rows.append((item.corpus, "", "read from", "", places))
        rows.append((item.corpus, "", "released faces", str(item.released_faces), faces))
    return rows


def _held(item: SetSummary) -> str:
    parts = [item.folder]
    if item.checked:
        parts.append(f"{item.checked} read")
    if item.seconds:
        shortest, median, longest = item.seconds
        parts.append(f"{shortest:.1f} to {longest:.1f} s, median {median:.1f} s")
    if item.frames:
        parts.append(f"a face in {1 - item.frames_without_face / item.frames:.1%} of frames")
    return "; ".join(parts)


def _named(finding: Finding) -> str:
    names = ", ".join(finding.names[:NAMED])
    more = f" and {len(finding.names) - NAMED} more (--json names all)" if len(finding.names) > NAMED else ""
    return f"{names}{more}{f' ({finding.text})' if finding.text and names else finding.text}"
