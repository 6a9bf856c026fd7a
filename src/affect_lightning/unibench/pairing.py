"""Predictions beside their truth: which clips have both, which lack a prediction, and which are unknown.

Paper: Section 4; a score is over all clips of a set. `prediction_files.py` and `truths.py` read the two sides,
`scoring.py` scores what comes out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from affect_lightning.corpora.tables import shown
from affect_lightning.corpora.truths import Truth
from affect_lightning.errors import DataError
from affect_lightning.unibench.prediction_files import Answer
from affect_lightning.unibench.predictions import Prediction


@dataclass(frozen=True)
class Pairing:
    """The clips of one set.

    Attributes:
        predictions: One for each clip that has a truth, sorted by name; with `missing` set where the model has none.
        missing: Clips with a truth and no prediction.
        surplus: Clips with a prediction and no truth; they are not scored.
    """

    predictions: tuple[Prediction, ...]
    missing: tuple[str, ...]
    surplus: tuple[str, ...]


def pair(
    dataset: str, truths: Mapping[str, Truth] | None, answers: Mapping[str, Answer], *, allow_missing: bool = False
) -> Pairing:
    """Join the answers of a model with the truths of a set.

    Args:
        dataset: Key of the set.
        truths: By clip name; None to take those that our own prediction files carry.
        answers: By clip name.
        allow_missing: Count a clip without a prediction as wrong, instead of refusing to score.

    Raises:
        DataError: Clips have no prediction and that is not allowed; no name fits; or there is no truth at all.
    """
    if truths is None:
        truths = {name: Truth(answer.truth_labels, answer.truth_sentiment) for name, answer in answers.items()}
        if not any(truth.labels or truth.sentiment is not None for truth in truths.values()):
            raise DataError(
                f"Give the labels of the set with `--labels`: the predictions for {dataset} have no truth "
                f"(only files of `affect-lightning test` have it)."
            )
    missing = tuple(sorted(truths.keys() - answers.keys()))
    surplus = tuple(sorted(answers.keys() - truths.keys()))
    if len(missing) == len(truths):
        raise DataError(
            f"None of the {len(answers)} predicted clips ({shown(surplus)}) is among the {len(truths)} clips of "
            f"{dataset} ({shown(missing)}). Check that these are predictions of this set, and that both files write "
            "names in the same form."
        )
    if missing and not allow_missing:
        raise DataError(
            f"{len(missing)} of {len(truths)} clips of {dataset} have no prediction: {shown(missing)}. Add them, or count "
            f"them as wrong with `--allow-missing`: a score is over all clips."
        )
    predictions = [_prediction(name, dataset, truths[name], answers.get(name)) for name in sorted(truths)]
    return Pairing(tuple(predictions), missing, surplus)


def _prediction(name: str, dataset: str, truth: Truth, answer: Answer | None) -> Prediction:
    given = answer or Answer()
    return Prediction(
        name=name,
        corpus=dataset,
        question=given.question,
        response=given.response or "",
        truth_labels=truth.labels,
        truth_sentiment=truth.sentiment,
        given_labels=given.labels,
        given_sentiment=given.sentiment,
        missing=answer is None,
        has_response=given.response is not None,
    )
