"""How long scoring takes: 12,799 clips' worth of saved outputs on five wheels, against a plain loop in the same run.

`python benchmarks/metrics.py [--json]` needs the reference data, in the folder that $AFFECT_REFERENCE_DIR names, and
the official taxonomy, either fetched (`affect-lightning taxonomy fetch`) or in the reference data.

The clips are the nine sets with their real sizes (paper, Table 11). Sets without saved outputs borrow those of their
kind: other checkpoints of MER2023 and MELD for MER2024 and IEMOCAP, of CH-SIMS for its second version. Times are the
best of several calls in this process, reading files excluded; `processor_s` is the processor time, which tells more
on a busy machine, and the ratios are taken from it. The comparison is what one writes first: a loop over
clips and wheels with dictionaries.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from datetime import datetime, timezone
from itertools import cycle, islice
from pathlib import Path
from typing import Any, NamedTuple

from reference_data import ReferenceMissingError, reference_folder  # benchmarks/reference_data.py beside this file

from affect_lightning.metrics import Taxonomy, hit_rate, parse_labels, sentiment_waf, set_f_score, taxonomy_by_name
from affect_lightning.metrics.taxonomy_choice import _loaded
from affect_lightning.safe_npz import read_npz

# Set: clips (Table 11), kind, folder of saved outputs.
SETS = {
    "mer2023": (411, "emotion", "mer2023"),
    "mer2024": (1169, "emotion", "mer2023"),
    "meld": (2610, "emotion", "meld"),
    "iemocap": (1241, "emotion", "meld"),
    "cmumosi": (686, "sentiment", "cmumosi"),
    "cmumosei": (4659, "sentiment", "cmumosei"),
    "sims": (457, "sentiment", "sims"),
    "simsv2": (1034, "sentiment", "sims"),
    "ovmerd": (532, "labels", "ovmerd"),
}
LABEL_FILES = {"mer2023": ("mer2023-dataset-process/label-6way.npz", "test1_corpus")}
MELD_EMOTIONS = ("anger", "joy", "sadness", "neutral", "disgust", "fear", "surprise")


class Clips(NamedTuple):
    """One set: predicted label lists, predicted sentiments (or none) and truths, one a clip."""

    kind: str
    labels: list[str]
    sentiments: list[str]
    truths: list[Any]


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON object to standard output")
    parser.add_argument("--repeats", type=int, default=7, help="runs of each measurement (default: 7, our choice)")
    options = parser.parse_args(arguments)
    try:
        reference = reference_folder()
    except ReferenceMissingError as error:
        print(error, file=sys.stderr)
        return 2
    record = measure(reference, options.repeats)
    print(json.dumps(record) if options.json else "\n".join(f"{key:32} {value}" for key, value in record.items()))
    return 0


def measure(reference: Path, repeats: int) -> dict[str, Any]:
    """All figures."""
    folder = reference / "emotion_wheel"
    taxonomy = taxonomy_by_name(folder)  # fills the cache
    sets = {key: read_set(reference, key) for key in SETS}
    labels = [text for clips in sets.values() for text in clips.labels]
    truths = [truth for clips in sets.values() for truth in named_truths(clips)]

    def load() -> Taxonomy:
        _loaded.cache_clear()
        return taxonomy_by_name(folder)

    fresh = load()  # in which no label was looked up before
    times = {
        "load_official_from_cache": best_times(load, repeats),
        "load_official_from_sources": best_times(lambda: Taxonomy.from_official(folder), repeats),
        "score_nine_sets_first": best_times(lambda: score_sets(sets, fresh), 1),
        "score_nine_sets": best_times(lambda: score_sets(sets, taxonomy), repeats),
        "loop_nine_sets": best_times(lambda: loop_sets(sets, taxonomy), 3),
        "f_score_all_clips": best_times(lambda: set_f_score(labels, truths, taxonomy), repeats),
        "loop_f_score_all_clips": best_times(lambda: loop_f_score(labels, truths, taxonomy), 3),
    }
    check_agreement(score_sets(sets, taxonomy), loop_sets(sets, taxonomy))
    check_agreement({"all": set_f_score(labels, truths, taxonomy).f}, {"all": loop_f_score(labels, truths, taxonomy)})
    cpu = {name: seconds for name, (_, seconds) in times.items()}
    return {
        "date": datetime.now(timezone.utc).date().isoformat(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, {processor()}, Python {platform.python_version()}",
        "load_average": round(os.getloadavg()[0], 1),
        "clips": len(labels),
        "labels": sum(len(parse_labels(text)) for text in labels),
        **{f"{name}_s": round(wall, 4) for name, (wall, _) in times.items()},
        **{f"{name}_processor_s": round(seconds, 4) for name, seconds in cpu.items()},
        "ratio_nine_sets": round(cpu["loop_nine_sets"] / cpu["score_nine_sets"], 1),
        "ratio_f_score_all_clips": round(cpu["loop_f_score_all_clips"] / cpu["f_score_all_clips"], 1),
    }


def check_agreement(found: dict[str, float], by_loop: dict[str, float]) -> None:
    """A fast wrong score is no score."""
    different = {key: (value, by_loop[key]) for key, value in found.items() if abs(value - by_loop[key]) > 1e-9}
    if different:
        raise SystemExit(f"The package and the loop disagree: {different}")


def best_times(call: Callable[[], Any], repeats: int) -> tuple[float, float]:
    """Least wall-clock and least processor seconds of `repeats` calls."""
    pairs = []
    for _ in range(repeats):
        wall, cpu = time.perf_counter(), time.process_time()
        call()
        pairs.append((time.perf_counter() - wall, time.process_time() - cpu))
    return min(wall for wall, _ in pairs), min(cpu for _, cpu in pairs)


def processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or "unknown processor"
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")


# --- reading ---


def read_set(reference: Path, key: str) -> Clips:
    """As many clips as the set has, taken from the checkpoints in turn."""
    count, kind, source = SETS[key]
    if kind == "labels":
        predicted, true = (read_table(reference / "ovmerd" / f"{name}-openset.csv") for name in ("predict", "check"))
        rows = [(predicted[name], "", text) for name, text in true.items()]
    else:
        truth = read_truth(reference, source)
        rows = []
        for path in sorted((reference / "affectgpt_outputs" / source).glob("*-openset.npz")):
            labels = read_table(path)
            words = path.with_name(path.name.replace("-openset", "-openset-sentiment"))
            sentiments = read_table(words) if kind == "sentiment" else {}
            rows += [(labels[name], sentiments.get(name, ""), value) for name, value in truth.items()]
    rows = list(islice(cycle(rows), count))
    return Clips(kind, [row[0] for row in rows], [row[1] for row in rows], [row[2] for row in rows])


def read_truth(reference: Path, source: str) -> dict[str, Any]:
    file, corpus = LABEL_FILES.get(source, (f"{source}-process/label.npz", "test_corpus"))
    clips = read_npz(reference / "labels" / file)[corpus]
    if source == "mer2023":
        return {name: clip["emo"] for name, clip in clips.items()}
    if source == "meld":
        return {name: MELD_EMOTIONS[clip["emo"]] for name, clip in clips.items()}
    return {name: float(clip["val"]) for name, clip in clips.items()}


def read_table(path: Path) -> dict[str, str]:
    if path.suffix == ".csv":
        with path.open(encoding="utf-8") as file:
            return {row["name"]: row["openset"] for row in csv.DictReader(file)}
    content = read_npz(path)
    return dict(zip(content["filenames"].tolist(), content["fileitems"].tolist(), strict=True))


def named_truths(clips: Clips) -> list[str]:
    """Truths as words; a sentiment counts as happy or sad, so that every clip can be scored on the wheels."""
    return [("happy" if truth > 0 else "sad") if isinstance(truth, float) else truth for truth in clips.truths]


# --- scoring ---


def score_sets(sets: dict[str, Clips], taxonomy: Taxonomy) -> dict[str, float]:
    """The primary score of each set, by the package."""
    scores = {}
    for key, clips in sets.items():
        if clips.kind == "emotion":
            scores[key] = hit_rate(clips.labels, clips.truths, taxonomy).hit_rate
        elif clips.kind == "labels":
            scores[key] = set_f_score(clips.labels, clips.truths, taxonomy).f
        else:
            scores[key] = sentiment_waf(clips.sentiments, clips.truths)
    return scores


def loop_sets(sets: dict[str, Clips], taxonomy: Taxonomy) -> dict[str, float]:
    """The same by loops."""
    scores = {}
    for key, clips in sets.items():
        if clips.kind == "emotion":
            scores[key] = loop_hit_rate(clips.labels, clips.truths, taxonomy)
        elif clips.kind == "labels":
            scores[key] = loop_f_score(clips.labels, clips.truths, taxonomy)
        else:
            scores[key] = loop_waf(clips.sentiments, clips.truths)
    return scores


def loop_sectors(text: str, wheel: Any, taxonomy: Taxonomy) -> set[str]:
    """Sectors of one label text on one wheel."""
    found = set()
    for part in text.strip().removeprefix("[").removesuffix("]").replace('"', ",").replace("'", ",").split(","):
        words = set()
        for base in taxonomy.forms.get(part.strip().lower(), ()):
            words.update(taxonomy.synonyms.get(base, ()))
        for word in sorted(words):
            if word in wheel.inner:
                found.add(wheel.inner[word])
                break
    return found


def loop_hit_rate(labels: list[str], truths: list[str], taxonomy: Taxonomy) -> float:
    rates = []
    for wheel in taxonomy.wheels:
        hits = []
        for text, truth in zip(labels, truths, strict=True):
            true = loop_sectors(truth, wheel, taxonomy)
            if true:
                hits.append(bool(true & loop_sectors(text, wheel, taxonomy)))
        rates.append(sum(hits) / len(hits))
    return statistics.fmean(rates)


def loop_f_score(labels: list[str], truths: list[str], taxonomy: Taxonomy) -> float:
    scores = []
    for wheel in taxonomy.wheels:
        precisions, recalls = [], []
        for text, truth in zip(labels, truths, strict=True):
            true = loop_sectors(truth, wheel, taxonomy)
            if true:
                predicted = loop_sectors(text, wheel, taxonomy)
                precisions.append(len(predicted & true) / len(predicted) if predicted else 0.0)
                recalls.append(len(predicted & true) / len(true))
        precision, recall = sum(precisions) / len(precisions), sum(recalls) / len(recalls)
        scores.append(2 * precision * recall / (precision + recall))
    return statistics.fmean(scores)


def loop_waf(words: list[str], truths: list[float]) -> float:
    pairs = [
        (truth > 0, word.strip().lower() == "positive") for word, truth in zip(words, truths, strict=True) if truth
    ]
    waf = 0.0
    for side in (True, False):
        support = sum(truth is side for truth, _ in pairs)
        named = sum(predicted is side for _, predicted in pairs)
        right = sum(truth is side and predicted is side for truth, predicted in pairs)
        waf += support / len(pairs) * 2 * right / (support + named)
    return waf


if __name__ == "__main__":
    raise SystemExit(main())
