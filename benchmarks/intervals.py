"""Time of the bootstrap intervals and paired tests of all nine sets of MER-UniBench: 12,799 clips, 10,000 resamples.

    python benchmarks/intervals.py

Generated responses of one to five labels, more varied than those of a real model: a clip of its own kind is the worst
case of `affect_lightning.unibench.statistics.intervals`. Prints the processor's seconds of both (not the clock's, so that a busy
machine gives the same), the kinds of clips, and the seconds that 10,000 resamples of a plain loop would take, from 20.
"""

from __future__ import annotations

import random
import time
from collections.abc import Sequence

import numpy as np

from affect_lightning.contracts import LabelExtractor, Sentiment
from affect_lightning.corpora import MER_UNIBENCH
from affect_lightning.metrics import Taxonomy
from affect_lightning.unibench.scoring.predictions import Prediction
from affect_lightning.unibench.scoring.scores import SuiteScores
from affect_lightning.unibench.scoring.set_scoring import score_predictions
from affect_lightning.unibench.statistics.intervals import RESAMPLES, metric_values, terms_of, with_intervals
from affect_lightning.unibench.statistics.paired_tests import paired_tests

LOOP = 20  # resamples of the plain loop


class WordExtractor(LabelExtractor):
    """The words of the response are its labels."""

    def extract(self, responses: Sequence[str]) -> list[list[str]]:
        return [response.split(", ") for response in responses]

    def sentiment(self, labels: Sequence[Sequence[str]]) -> list[Sentiment]:
        return ["positive" if len(words[0]) % 2 else "negative" for words in labels]

    def identity(self) -> str:
        return "words"


def suite(seed: int) -> SuiteScores:
    taxonomy = Taxonomy.builtin()
    words = [form for form in taxonomy.forms if taxonomy.knows(form) and "," not in form]
    answers, truths = random.Random(seed), random.Random("truths")
    predictions = [
        Prediction(
            name=f"clip{number:05d}",
            corpus=key,
            question="",
            response=", ".join(answers.sample(words, k=answers.randint(1, 5))),
            truth_labels=tuple(truths.sample(words, k=1 + 2 * (item.metric == "f_s"))),
            truth_sentiment=truths.choice([-1.0, 0.0, 1.0]),
        )
        for key, item in MER_UNIBENCH.sets.items()
        for number in range(item.clips)
    ]
    return score_predictions(predictions, WordExtractor(), taxonomy)


def main() -> None:
    first, second = suite(1), suite(2)
    clips = sum(score.clips for score in first.sets.values())
    terms = {key: terms_of(score) for key, score in first.sets.items()}
    kinds = {key: len(np.unique(values, axis=0)) for key, values in terms.items() if values is not None}

    start = time.process_time()
    with_intervals(first)
    intervals = time.process_time() - start
    start = time.process_time()
    paired_tests([("first", first), ("second", second)])
    paired = time.process_time() - start
    random_numbers = np.random.default_rng(0)
    start = time.process_time()
    for _ in range(LOOP):
        for key, score in first.sets.items():
            values = terms[key]
            assert values is not None
            chosen = random_numbers.integers(len(values), size=len(values))
            metric_values(score.metric, values[chosen].sum(0))
    loop = (time.process_time() - start) * RESAMPLES / LOOP
    print(f"{clips:,} clips, {RESAMPLES:,} resamples; kinds of clips: {kinds}")
    print(f"intervals {intervals:.2f} s; paired tests of two models {paired:.2f} s; plain loop about {loop:.1f} s")
    print(f"the plain loop takes {loop / intervals:.1f} times as long")


if __name__ == "__main__":
    main()
