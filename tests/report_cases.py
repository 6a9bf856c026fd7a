"""Scored suites and finished runs for the tests of reports: generated responses, scored by the real code."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

from affect_lightning.contracts import LabelExtractor, Sentiment
from affect_lightning.corpora import MER_UNIBENCH
from affect_lightning.metrics import Taxonomy
from affect_lightning.unibench.report.content import ReferenceRow, Report, ReportRow
from affect_lightning.unibench.report.examples import Example
from affect_lightning.unibench.report.files import write_report
from affect_lightning.unibench.report.loss_curves import Curve
from affect_lightning.unibench.report.provenance import collect_provenance
from affect_lightning.unibench.scoring.predictions import Prediction
from affect_lightning.unibench.scoring.scores import SuiteScores
from affect_lightning.unibench.scoring.set_scoring import score_predictions

BY_SENTIMENT = {"plays", *(key for key, item in MER_UNIBENCH.sets.items() if item.metric == "waf")}
WORDS = ("happy", "sad", "angry", "surprised", "scared", "disgusted")
PICTURE = "data:image/gif;base64,R0lGODlhAQABAIAAAP///wAAACH5BAEAAAAALAAAAAABAAEAAAICRAEAOw=="  # one white pixel


class WordExtractor(LabelExtractor):
    """The words of the response are its labels; `happy` alone is positive."""

    def extract(self, responses: Sequence[str]) -> list[list[str]]:
        return [response.split() for response in responses]

    def sentiment(self, labels: Sequence[Sequence[str]]) -> list[Sentiment]:
        return ["positive" if "happy" in words else "negative" for words in labels]

    def identity(self) -> str:
        return "words of a test"


def generated_suite(seed: int, skill: float, clips: int = 60, corpora: Sequence[str] = ()) -> SuiteScores:
    """A suite of sets, by default three, in which the truth is among the labels with the chance `skill`; truths do not vary."""
    predictions = []
    for corpus in corpora or ("meld", "sims", "ovmerdplus"):
        truths, answers = random.Random(corpus), random.Random(f"{corpus} {seed}")
        for number in range(clips):
            truth = truths.sample([*WORDS, "neutral"], k=2 if corpus == "ovmerdplus" else 1)
            value = truths.choice([-1.0, 0.0, 0.6, 1.0])
            said = [truth[0]] if answers.random() < skill else []
            said += answers.sample(WORDS, k=answers.randrange(3))
            if corpus in BY_SENTIMENT:
                right = "happy" if value > 0 else "sad"
                said = [right if answers.random() < skill else answers.choice(WORDS)]
            predictions.append(
                Prediction(
                    f"clip{number:03d}",
                    corpus,
                    "How does the person feel?",
                    " ".join(dict.fromkeys(said)),
                    () if corpus in BY_SENTIMENT else tuple(truth),
                    value if corpus in BY_SENTIMENT else None,
                )
            )
    return score_predictions(predictions, WordExtractor(), Taxonomy.builtin())


def generated_row(name: str, seed: int = 0, skill: float = 0.5, rule: str = "last") -> ReportRow:
    """A run with everything that a report can show."""
    scores = generated_suite(seed, skill)
    unread = [{"name": "clip900", "corpus": "meld", "reason": "truncated"}]
    provenance = collect_provenance(
        scores, checkpoint=f"{name}.ckpt", checkpoint_rule=rule, quarantined=unread, seed=seed
    )
    curve = Curve("train/loss", tuple((step, 3.0 / (1 + step)) for step in range(0, 100, 5)))
    example = Example("clip000", "meld", "So?", "How?", "<b>sad</b>", ("sad",), "", "angry", False, (PICTURE,))
    return ReportRow(name, scores, provenance, (curve,), (example,))


def finished_runs(folder: Path) -> list[Path]:
    """Two finished runs on the disk, one of which took its checkpoint on the test sets."""
    rows = (generated_row("weak", 1, 0.3), generated_row("strong", 2, 0.8, "paper_best_on_test"))
    bounds = (ReferenceRow("bound: face", {"meld": 40.0}, 41.0),)
    for row in rows:
        write_report(Report(row.name, (row,), bounds), folder / row.name)
    return [folder / row.name for row in rows]
