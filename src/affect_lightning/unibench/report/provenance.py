"""Provenance: all that must stand beside a score so that somebody else can tell what it means.

Paper: Appendix E shows that the extractor and the wheels move the score, Section 4 that the metric differs by task; the
authors' own row takes the best of seven checkpoints on the test set (see `checkpoint_rule`).
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from affect_lightning.corpora import METRIC_TITLES
from affect_lightning.unibench.scores import SuiteScores
from affect_lightning.unibench.statistics.intervals import interval_method

PACKAGES = ("affect-lightning", "numpy", "torch", "lightning", "transformers", "peft", "torchmetrics")
_NAMED_CLIPS = 5  # clips named in one line; all of them stand in report.json; our choice


def collect_provenance(
    scores: SuiteScores,
    *,
    checkpoint: str,
    checkpoint_rule: str,
    quarantined: Sequence[Mapping[str, str]] = (),
    seed: int | None = None,
) -> dict[str, Any]:
    """Provenance as plain values for report.json.

    Args:
        scores: Of the run; they know taxonomy, extractor and clips.
        checkpoint: File of the weights, or what stands for it.
        checkpoint_rule: How that checkpoint was chosen, such as `last` or `fixed`; `paper_best_on_test` is marked in
            every form of the report.
        quarantined: Clips that could not be read, with at least `name` and `reason`.
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
