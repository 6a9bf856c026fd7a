"""Where the built-in taxonomy and the official one disagree on the reference outputs: figures of docs/taxonomy.md.

`python benchmarks/taxonomy_agreement.py [--json] [--words 25]` needs the reference data, in the folder that
$AFFECT_REFERENCE_DIR names. It counts label occurrences in the saved outputs of AffectGPT and of the five baselines: one
label in one clip of one checkpoint is one occurrence on each of the five wheels.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from metrics import read_table, read_truth  # benchmarks/metrics.py beside this file
from reference_data import ReferenceMissingError, reference_folder

from affect_lightning.metrics import Taxonomy, hit_rate, parse_labels, set_f_score
from affect_lightning.safe_npz import read_npz


def main(arguments: Sequence[str] | None = None) -> int:
    """Count and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON object to standard output")
    parser.add_argument("--words", type=int, default=25, help="disagreeing words to list (default: 25)")
    options = parser.parse_args(arguments)
    try:
        reference = reference_folder()
    except ReferenceMissingError as error:
        print(error, file=sys.stderr)
        return 2
    official = Taxonomy.from_official(reference / "emotion_wheel")
    record = agreement(count_labels(reference), official, options.words)
    record["figures"] = figures(reference, Taxonomy.builtin(), official)
    print(json.dumps(record) if options.json else as_text(record))
    return 0


def count_labels(reference: Path) -> Counter[str]:
    """Occurrences of each label in all saved outputs."""
    counts: Counter[str] = Counter()
    for path in sorted(reference.glob("*_outputs/*/*-openset.npz")):
        for text in read_npz(path)["fileitems"].tolist():
            counts.update(label.lower() for label in parse_labels(text))
    return counts


def agreement(counts: Counter[str], official: Taxonomy, words: int) -> dict[str, Any]:
    """Shares of occurrences with the same sector, and the words that disagree most often."""
    builtin = Taxonomy.builtin()
    same: Counter[tuple[int, int]] = Counter()  # level and wheel
    wrong: Counter[str] = Counter()
    kinds: Counter[str] = Counter()
    for label, count in counts.items():
        for wheel in range(1, 6):
            for level in (1, 2):
                ours, theirs = (taxonomy.sector(label, wheel, level) for taxonomy in (builtin, official))
                same[level, wheel] += count * (ours == theirs)
                if ours != theirs and level == 1:
                    wrong[label] += count
                    kind = "official only" if ours is None else ("builtin only" if theirs is None else "other sector")
                    kinds[kind] += count
    total = counts.total()
    return {
        "occurrences": total,
        "distinct_labels": len(counts),
        "same_sector_percent": {
            f"level{level}": round(100 * sum(same[level, wheel] for wheel in range(1, 6)) / total / 5, 2)
            for level in (1, 2)
        },
        "same_inner_sector_percent_by_wheel": [round(100 * same[1, wheel] / total, 2) for wheel in range(1, 6)],
        "disagreeing_percent_by_kind": {kind: round(100 * count / total / 5, 2) for kind, count in kinds.items()},
        "builtin_sha256": builtin.sha256,
        "official_sha256": official.sha256,
        "words": [described(word, counts[word], builtin, official) for word, _ in wrong.most_common(words)],
    }


def figures(reference: Path, builtin: Taxonomy, official: Taxonomy) -> dict[str, dict[str, float]]:
    """Scores with both taxonomies, and their differences, in percent."""
    scores: dict[str, tuple[float, float]] = {}
    for key in ("mer2023", "meld"):
        truth = read_truth(reference, key)
        for path in sorted((reference / "affectgpt_outputs" / key).glob("*-openset.npz")):
            labels = read_table(path)
            lists = [labels[name] for name in truth]
            ours, theirs = (hit_rate(lists, list(truth.values()), one).hit_rate for one in (builtin, official))
            scores[f"{key} {path.name[:17]} hit rate"] = ours, theirs
    truth = read_table(reference / "ovmerd" / "check-openset.csv")
    paths = [reference / "ovmerd" / "predict-openset.csv", *sorted(reference.glob("baseline_outputs/*/*-openset.npz"))]
    for path in paths:
        labels = read_table(path)
        lists = [labels[name] for name in truth]
        for level in (1, 2):
            ours, theirs = (set_f_score(lists, list(truth.values()), one, level).f for one in (builtin, official))
            scores[f"ovmerd {path.parent.name} F_S level {level}"] = ours, theirs
    return {
        name: {
            "builtin": round(100 * ours, 2),
            "official": round(100 * theirs, 2),
            "difference": round(100 * (ours - theirs), 2),
        }
        for name, (ours, theirs) in scores.items()
    }


def described(word: str, count: int, builtin: Taxonomy, official: Taxonomy) -> dict[str, Any]:
    """One disagreeing word: how often it occurs and where it stands."""
    places = {}
    for wheel in range(1, 6):
        ours, theirs = builtin.sector(word, wheel), official.sector(word, wheel)
        if ours != theirs:
            places[wheel] = [ours, theirs, official.deciding_word(word, wheel)]
    return {"word": word, "occurrences": count, "wheels": places, "official_words": list(official.wheel_words(word))}


def as_text(record: dict[str, Any]) -> str:
    """The record as lines."""
    lines = [f"{key}: {value}" for key, value in record.items() if key not in ("words", "figures")]
    lines += [f"{name}: {row}" for name, row in record["figures"].items()]
    for row in record["words"]:
        places = "; ".join(
            f"wheel {wheel} {ours or '-'} / {theirs or '-'}" + (f" (by {word})" if word else "")
            for wheel, (ours, theirs, word) in row["wheels"].items()
        )
        lines.append(f"{row['occurrences']:6} {row['word']}: {places}")
    return "\n".join(["builtin / official, inner sectors", *lines])


if __name__ == "__main__":
    raise SystemExit(main())
