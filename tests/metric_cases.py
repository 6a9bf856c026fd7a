"""Reference data of the metric tests, and a plain-Python metric that shares no code with the package.

The metric here loops over clips and wheels and reads the official tables with other libraries (openpyxl), so that it can
disagree with `affect_lightning.metrics`.
"""

from __future__ import annotations

import csv
import json
from collections import defaultdict
from functools import cache
from pathlib import Path
from statistics import fmean
from typing import Any

from affect_lightning.safe_npz import read_npz

MELD_EMOTIONS = ("anger", "joy", "sadness", "neutral", "disgust", "fear", "surprise")
LABEL_FILES = {"mer2023": ("mer2023-dataset-process/label-6way.npz", "test1_corpus")}


class PlainTaxonomy:
    """The official tables in dicts, by the rules of the authors' released metric (paper, Section 4)."""

    def __init__(self, folder: Path) -> None:
        import openpyxl

        self.bases: dict[str, set[str]] = defaultdict(set)
        with (folder / "format.csv").open(encoding="utf-8") as file:
            for row in csv.DictReader(file):
                for form in row["format"].split(","):
                    self.bases[form].add(row["name"])
        self.wheel_words: dict[str, set[str]] = defaultdict(set)
        rows = list(openpyxl.load_workbook(folder / "synonym.xlsx").active.iter_rows(values_only=True))
        for row in rows[1:]:
            for word, synonyms in zip(row[::2], row[1::2], strict=True):
                if word:
                    for synonym in [word, *(synonyms or "").split(",")]:
                        self.wheel_words[synonym.strip().lower()].add(word.strip().lower())
        self.wheels = [
            self._wheel(list(openpyxl.load_workbook(folder / f"wheel{k}.xlsx").active.iter_rows(values_only=True)))
            for k in range(1, 6)
        ]

    @staticmethod
    def _wheel(rows: list[Any]) -> dict[int, dict[str, str]]:
        inner, middle, below = {}, {}, defaultdict(list)
        above = ["", "", ""]
        for row in rows[1:]:
            above = [(cell.strip().lower() if cell else above[place]) for place, cell in enumerate(row[:3])]
            below[above[0]].append(above[1])
            for word in above:
                inner[word] = above[0]
            for word in above[1:]:
                middle[word] = above[1]
        for name, middles in below.items():
            middle[name] = sorted(middles)[0]
        return {1: inner, 2: middle}

    def sector(self, label: str, wheel: int, level: int) -> str | None:
        bases = self.bases.get(label.strip().lower(), set())
        words = sorted({word for base in bases for word in self.wheel_words.get(base.strip().lower(), set())})
        for word in words:
            if word in self.wheels[wheel][level]:
                return self.wheels[wheel][level][word]
        return None

    def sectors(self, labels: list[str], wheel: int, level: int) -> set[str]:
        return {found for label in labels if (found := self.sector(label, wheel, level))}


def plain_f_score(
    predictions: list[list[str]], truths: list[list[str]], taxonomy: PlainTaxonomy, level: int
) -> tuple[float, float, float]:
    """F_S, Precision_S and Recall_S in percent."""
    by_wheel = []
    for wheel in range(5):
        precisions, recalls = [], []
        for predicted_words, true_words in zip(predictions, truths, strict=True):
            predicted, true = (taxonomy.sectors(words, wheel, level) for words in (predicted_words, true_words))
            if true:
                precisions.append(len(predicted & true) / len(predicted) if predicted else 0.0)
                recalls.append(len(predicted & true) / len(true))
        precision, recall = fmean(precisions), fmean(recalls)
        by_wheel.append((2 * precision * recall / (precision + recall), precision, recall))
    f_score, precision, recall = (100 * fmean(column) for column in zip(*by_wheel, strict=True))
    return f_score, precision, recall


def plain_hit_rate(predictions: list[list[str]], truths: list[str], taxonomy: PlainTaxonomy) -> float:
    """Hit rate in percent."""
    by_wheel = []
    for wheel in range(5):
        hits = []
        for words, truth in zip(predictions, truths, strict=True):
            sector = taxonomy.sector(truth, wheel, 1)
            if sector:
                hits.append(sector in taxonomy.sectors(words, wheel, 1))
        by_wheel.append(fmean(hits))
    return 100 * fmean(by_wheel)


def plain_sentiment(predictions: list[str], truths: list[float]) -> tuple[float, float]:
    """WAF and accuracy in percent."""
    pairs = [(truth > 0, word == "positive") for word, truth in zip(predictions, truths, strict=True) if truth]
    waf = 0.0
    for side in (True, False):
        support = sum(truth is side for truth, _ in pairs)
        named = sum(predicted is side for _, predicted in pairs)
        right = sum(truth is predicted is side for truth, predicted in pairs)
        waf += support / len(pairs) * (2 * right / (support + named) if support + named else 0.0)
    return 100 * waf, 100 * fmean(truth is predicted for truth, predicted in pairs)


@cache
def expected(reference: Path) -> dict[str, Any]:
    """Figures of the authors' own metric."""
    return json.loads((reference / "expected.json").read_text(encoding="utf-8"))


def official_truth(reference: Path, key: str) -> dict[str, Any]:
    """Clip name to emotion, sentiment value, or (for ovmerd) label text."""
    if key == "ovmerd":
        return read_label_table(reference / "ovmerd" / "check-openset.csv")
    file, corpus = LABEL_FILES.get(key, (f"{key}-process/label.npz", "test_corpus"))
    clips = read_npz(reference / "labels" / file)[corpus]
    if key == "mer2023":
        return {name: clip["emo"] for name, clip in clips.items()}
    if key == "meld":
        return {name: MELD_EMOTIONS[clip["emo"]] for name, clip in clips.items()}
    return {name: float(clip["val"]) for name, clip in clips.items()}


def read_label_table(path: Path) -> dict[str, str]:
    """Clip name to label text, out of the authors' csv or npz."""
    if path.suffix == ".csv":
        with path.open(encoding="utf-8") as file:
            return {row["name"]: row["openset"] for row in csv.DictReader(file)}
    content = read_npz(path)
    return dict(zip(content["filenames"].tolist(), content["fileitems"].tolist(), strict=True))


def saved_outputs(reference: Path, key: str, checkpoint: str, kind: str) -> dict[str, str]:
    """Saved labels (`openset`) or sentiments (`openset-sentiment`) of one checkpoint."""
    (path,) = (reference / "affectgpt_outputs" / key).glob(f"{checkpoint}*-{kind}.npz")
    return read_label_table(path)
