"""What must be next to a score so that others can tell what it means: its provenance, and notes below the tables.

Paper: Appendix E shows that the extractor and the wheels change the score, Section 4 that the metric differs by task.
The authors' own row takes the best of seven checkpoints on the test set (see `checkpoint_rule`). A report has only the
notes that its rows and columns need, and every form of it shows the same notes.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from affect_lightning.corpora import METRIC_TITLES
from affect_lightning.unibench.report.content import CHOSEN_ON_TEST, Report
from affect_lightning.unibench.scoring.scores import SuiteScores
from affect_lightning.unibench.statistics.intervals import LEVEL, interval_method

PACKAGES = ("affect-lightning", "numpy", "torch", "lightning", "transformers", "peft", "torchmetrics")
_NAMED_CLIPS = 5  # clips named in one line; all of them are in report.json; our choice
BOUND_NOTE = (
    "Rows in italics are bounds, not models. The generator of the corpus computes them: the best expected score of a response "
    "that names one emotion and uses only those modalities."
)
MEAN_NOTE = "Scores are in percent. The mean is over the primary scores of the sets of MER-UniBench."
INTERVAL_NOTE = (
    f"Next to or below a score: {LEVEL:.0%} bootstrap interval over the clips. The interval of the mean draws clips "
    f"within each set."
)
HIT_RATE_NOTE = (
    "The hit rate has no penalty for long lists of labels. So each hit rate has two figures next to it: M-score (M), which "
    "has such a penalty, and the labels a clip. Precision_S and F_S have one too (see report.csv and the details by set)."
)
PUBLISHED_NOTE = (
    "Rows marked “published” are figures that others published, not measured here. Their means are over all nine sets."
)
CHOSEN_ON_TEST_NOTE = (
    f"Rows marked “{CHOSEN_ON_TEST}” take, for each set, the checkpoint that is best on that same test set, as the "
    f"paper's own row does. Such scores are too high. Do not compare them with others."
)
TEST_NOTE = (
    "Difference: second minus first, in percentage points, on the clips that both answered, with its 95% interval from "
    "the paired bootstrap. p-values are two-sided, and at least 2 / 2^n for n scored clips. With fewer than two scored "
    "clips there is neither interval nor p-value, and the mean leaves the set out. Holm's correction is over the pairs "
    "of models within a column. "
    "Only first, only second: clips that one of the two hits and the other misses, compared by McNemar's exact test."
)
CONFUSION_NOTE = (
    "All sets of a kind together. Rows: percent of the clips with that truth. The number of clips is next to "
    "its name. A clip with several labels is divided among them. On the wheel, the filled part of a sector is the "
    "share that was found. The chords lead from the truth to the most frequent wrong sectors."
)
FEW_CLIPS = 30  # below, a report says that an interval is rough: the usual rule of thumb
_BUILTIN = "builtin"  # the name of `Taxonomy.builtin()`
NAMED_ROWS = 4  # published rows of one source that its note names; our choice


def collect_provenance(
    scores: SuiteScores,
    *,
    checkpoint: str,
    checkpoint_rule: str,
    quarantined: Sequence[Mapping[str, str]] = (),
    generated: Sequence[str] = (),
    seed: int | None = None,
    made_on: Sequence[str] = (),
) -> dict[str, Any]:
    """Provenance as plain values for report.json.

    Args:
        scores: Of the run; they know taxonomy, extractor and clips.
        checkpoint: File of the weights, or what stands for it.
        checkpoint_rule: How that checkpoint was chosen, such as `last` or `fixed`; `paper_best_on_test` is marked in
            every form of the report.
        quarantined: Clips that could not be read, with at least `name` and `reason`.
        generated: Keys of the sets that a generated corpus declares.
        made_on: Device and number type of the arithmetic; several if parts were done on several machines.
        seed: Of the run; by default the one that Lightning's `seed_everything` left in the environment, if any.
    """
    return {
        "metrics": {score.title: METRIC_TITLES[score.metric] for score in scores.sets.values()},
        "taxonomy": {"name": scores.taxonomy, "sha256": scores.taxonomy_sha256},
        "extractor": scores.extractor,
        "checkpoint": checkpoint,
        "checkpoint_rule": checkpoint_rule,
        "seed": seed if seed is not None else _seed_of_environment(),
        "intervals": interval_method(),
        "versions": package_versions(),
        "clips": {score.title: score.clips for score in scores.sets.values()},
        "quarantined": [dict(clip) for clip in quarantined],
        "generated": [*generated],
        "made on": [*made_on],
    }


def package_versions() -> dict[str, str]:
    """Installed versions of the packages that a score depends on; nothing is imported."""
    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = "not installed"
    return versions


def provenance_lines(provenance: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Provenance as pairs of term and text, for tables; fields that are missing are left out."""
    taxonomy = provenance.get("taxonomy") or {}
    quarantined = provenance.get("quarantined")
    seed = provenance.get("seed", "")
    lines = [
        ("metrics", _pairs(provenance.get("metrics", {}))),
        ("taxonomy", f"{taxonomy['name']}, SHA-256 {taxonomy['sha256'][:16]}" if taxonomy else ""),
        ("label extractor", str(provenance.get("extractor", ""))),
        ("checkpoint", str(provenance.get("checkpoint", ""))),
        ("checkpoint rule", str(provenance.get("checkpoint_rule", ""))),
        ("seed", "not set" if seed is None else str(seed)),
        ("device and number type", "; ".join(provenance.get("made on", ()))),
        ("intervals", _interval_text(provenance.get("intervals") or {})),
        ("clips", _pairs(provenance.get("clips", {}))),
        ("truths", _pairs(provenance.get("truths", {}))),
        ("clips without a prediction (counted as wrong)", _names(provenance.get("missing predictions", {}))),
        ("predictions without a clip (not scored)", _names(provenance.get("surplus predictions", {}))),
        ("quarantined clips", "" if quarantined is None else _quarantine_text(quarantined)),
        ("packages", _pairs(provenance.get("versions", {}))),
    ]
    return [(term, text) for term, text in lines if text]


def _interval_text(method: Mapping[str, Any]) -> str:
    if not method:
        return ""
    return f"{method['level']:.0%} {method['method']}, {method['resamples']:,} resamples, seed {method['seed']}"


def _pairs(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in values.items())


def _names(clips: Mapping[str, Sequence[str]]) -> str:
    """Number and first names by set."""
    return "; ".join(f"{title} {len(names)}: {_first(names, ', ')}" for title, names in clips.items())


def _quarantine_text(clips: Sequence[Mapping[str, str]]) -> str:
    names = [f"{clip.get('name', '?')} ({clip.get('reason', 'no reason given')})" for clip in clips]
    return f"{len(names)}: {_first(names, '; ')}" if names else "none"


def _first(names: Sequence[str], between: str) -> str:
    more = [f"and {len(names) - _NAMED_CLIPS} more, see report.json"] if len(names) > _NAMED_CLIPS else []
    return between.join([*names[:_NAMED_CLIPS], *more])


def _seed_of_environment() -> int | None:
    seed = os.environ.get("PL_GLOBAL_SEED", "")
    return int(seed) if seed.lstrip("-").isdecimal() else None


def banner_of(report: Report) -> str:
    """What every form says first if scores are of a generated corpus; empty otherwise.

    Such scores look like results and are none: the clips are drawn and spoken by a program.
    """
    found = [(row, row.provenance.get("generated") or ()) for row in report.rows]
    scores = [row.scores.sets[key] for row, keys in found for key in keys if key in row.scores.sets]
    if not scores:
        return ""
    counts = sorted({score.clips for score in scores})
    clips = f"{counts[0]:,} clips a set" if len(counts) == 1 else f"{counts[0]:,} to {counts[-1]:,} clips a set"
    titles = dict.fromkeys(score.title for score in scores)
    others = any(key not in keys for row, keys in found for key in row.scores.sets)
    which = f" ({', '.join(titles)})" if others else ""
    return f"Generated corpus{which}, {clips}, not comparable"


def not_comparable(report: Report) -> str:
    """Why no run may be compared with the published rows beside it, first of all; empty where nothing speaks against it.

    Fewer clips are another set, and the built-in taxonomy has other wheels than the published scores. A generated corpus
    has a banner that says so.
    """
    if not report.published or banner_of(report):
        return ""
    fewer = {
        score.title: f"{score.clips:,} of {score.official_clips:,}"
        for row in report.rows
        for score in row.scores.sets.values()
        if score.official_clips is not None and score.clips < score.official_clips
    }
    reasons = [f"{title} has {clips} clips" for title, clips in fewer.items()]
    if any(row.scores.taxonomy == _BUILTIN for row in report.rows):
        reasons.append("the taxonomy is builtin")
    return f"Not comparable with the published rows: {', '.join(reasons)}" if reasons else ""


def _few_clips(report: Report) -> str:
    few = {
        score.title: f"{score.clips} (1 scored: no interval)" if score.scored_clips == 1 else score.clips
        for row in report.rows
        for score in row.scores.sets.values()
        if score.scored_clips == 1 or (score.interval and score.clips < FEW_CLIPS)
    }
    if not few:
        return ""
    return (
        f"Fewer than {FEW_CLIPS} clips: {_pairs(few)}. A bootstrap over so few clips gives intervals that are too narrow. Do "
        f"not rely on them."
    )


def notes_of(report: Report) -> list[str]:
    """The sentences that a reader of the table needs, and no others."""
    scores = [score for row in report.rows for score in row.scores.sets.values()]
    notes = [MEAN_NOTE]
    if any(score.interval for score in scores):
        notes.append(INTERVAL_NOTE)
    notes += filter(None, (_few_clips(report),))
    if any(score.metric == "hit_rate" for score in scores):
        notes.append(HIT_RATE_NOTE)
    if any(row.chosen_on_test for row in report.rows):
        notes.append(CHOSEN_ON_TEST_NOTE)
    if report.bounds:
        notes.append(BOUND_NOTE)
    if report.published:
        notes.append(" ".join([PUBLISHED_NOTE, *source_notes(report)]))
    return notes


def source_notes(report: Report) -> list[str]:
    """Where the published rows come from, and what must be known about them."""
    origins: dict[str, list[str]] = {}
    for row in report.published:
        origins.setdefault(row.origin, []).append(row.name)
    named = {
        origin: ", ".join(names) if len(names) <= NAMED_ROWS else f"{len(names)} rows from {names[0]} to {names[-1]}"
        for origin, names in origins.items()
    }
    notes = [f"Source of {names}: {origin}." for origin, names in named.items()]
    return notes + [f"{row.name}: {row.note}." for row in report.published if row.note]
