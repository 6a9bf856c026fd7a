"""Votes of a crowd over closed classes: the class that most voters name, or that a model of the voters' reliability finds.

Paper: Section 2, "model-based crowd-sourcing": several models predict emotion and sentiment, and the majority counts.
Beside the majority there are Dawid and Skene's confusion matrices (1979) and MACE (Hovy et al., 2013), both through
crowd-kit. Votes are classes, never raw words: `happy` and `joyful` would be two opinions. `crowd.py` makes a stage of this.
Legend: a clip has a ballot; a ballot has the votes of each voter, none where the voter abstains.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, get_args

from affect_lightning.errors import ConfigurationError, DataError

Method: TypeAlias = Literal["majority", "dawid-skene", "mace"]
METHODS: tuple[str, ...] = get_args(Method)
_RESTARTS = 3  # of MACE, the likeliest of which counts; our choice: crowd-kit's 10 take minutes for 30,000 votes
Ballot: TypeAlias = Mapping[str, Sequence[str]]
"""Votes by voter, in the order of the voters; a voter with several classes divides one vote among them."""


@dataclass(frozen=True)
class Verdict:
    """What the crowd says of one clip.

    Attributes:
        label: The class; None where nobody votes.
        share: Of the cast votes, the part for that class; 0 where nobody votes.
        voters: Who did not abstain.
        probability: Of the class under the model of reliability; None for the majority.
    """

    label: str | None
    share: float
    voters: int
    probability: float | None = None


def check_votes(ballots: Sequence[Ballot], classes: Sequence[str]) -> None:
    """Refuse votes for what is no class.

    Raises:
        DataError: There is one; the message names it.
    """
    known = set(classes)
    for ballot in ballots:
        for voter, votes in ballot.items():
            for vote in votes:
                if vote not in known:
                    raise DataError(
                        f"Map the words of {voter} to classes first: {vote!r} is none of {', '.join(classes)}, and a crowd votes "
                        f"over closed classes, not over words."
                    )


def counted(ballot: Ballot) -> dict[str, float]:
    """Cast votes by class, in the order in which the voters name them; a voter's vote is divided among its classes.

    >>> counted({"a": ["sad"], "b": ["happy", "sad"], "c": []})
    {'sad': 1.5, 'happy': 0.5}
    """
    weights: dict[str, float] = {}
    for votes in ballot.values():
        for vote in votes:
            weights[vote] = weights.get(vote, 0.0) + 1.0 / len(votes)
    return weights


def majority(ballots: Sequence[Ballot]) -> list[Verdict]:
    """The class with most votes; of equal ones, the one that the first voter named (voters stand in the order of their trust).

    >>> majority([{"a": ["sad"], "b": ["happy"]}, {"a": [], "b": []}])
    [Verdict(label='sad', share=0.5, voters=2, probability=None), Verdict(label=None, share=0.0, voters=0, probability=None)]
    """
    verdicts = []
    for ballot in ballots:
        weights = counted(ballot)
        label = max(weights, key=lambda name: round(weights[name], 9), default=None)
        verdicts.append(_verdict(ballot, weights, label))
    return verdicts


def _verdict(
    ballot: Ballot, weights: Mapping[str, float], label: str | None, probability: float | None = None
) -> Verdict:
    total = sum(weights.values())
    share = weights.get(label, 0.0) / total if label is not None and total else 0.0
    return Verdict(label, share, sum(1 for votes in ballot.values() if votes), probability)


def decide(
    ballots: Sequence[Ballot],
    classes: Sequence[str],
    method: Method = "majority",
    *,
    iterations: int = 50,
    seed: int = 0,
) -> list[Verdict]:
    """What the crowd says of each clip.

    Args:
        ballots: One a clip.
        classes: The closed classes.
        method: `majority` counts; `dawid-skene` and `mace` learn how far to trust each voter, without any truth.
        iterations: Of the learning; 50 is crowd-kit's default for MACE.
        seed: Of MACE's starts.

    Raises:
        DataError: A vote is for no class.
        ConfigurationError: The method is unknown, or needs crowd-kit, which is not installed.
    """
    if method not in METHODS:
        raise ConfigurationError(f"A crowd decides by {', '.join(METHODS)}; got {method!r}.")
    check_votes(ballots, classes)
    if method == "majority":
        return majority(ballots)
    rows = [
        (clip, voter, vote) for clip, ballot in enumerate(ballots) for voter, votes in ballot.items() for vote in votes
    ]
    if not rows:
        return majority(ballots)
    likely = _probabilities(rows, method, iterations, seed)
    return [_most_likely(ballot, likely.get(clip, {})) for clip, ballot in enumerate(ballots)]


def _most_likely(ballot: Ballot, likely: Mapping[str, float]) -> Verdict:
    weights = counted(ballot)
    if not weights or not likely:
        return _verdict(ballot, weights, None)
    # Of equally likely classes the one with more votes, then the one named first.
    label = max({**weights, **likely}, key=lambda name: (round(likely.get(name, 0.0), 9), weights.get(name, 0.0)))
    return _verdict(ballot, weights, label, likely[label])


def _probabilities(
    rows: Sequence[tuple[int, str, str]], method: str, iterations: int, seed: int
) -> dict[int, dict[str, float]]:
    try:
        import pandas
        from crowdkit.aggregation import MACE, DawidSkene
    except ImportError as error:
        raise ConfigurationError(
            f"The crowd's method {method} needs crowd-kit: pip install 'affect-lightning[annotate]'; or use majority."
        ) from error
    model: Any = (
        DawidSkene(n_iter=iterations)
        if method == "dawid-skene"
        else MACE(n_iter=iterations, n_restarts=_RESTARTS, random_state=seed)
    )
    table = pandas.DataFrame(rows, columns=["task", "worker", "label"])
    with warnings.catch_warnings():
        # crowd-kit 1.4 uses two keywords that pandas 3 deprecates; its user can do nothing about it.
        warnings.filterwarnings("ignore", message="The (inplace|copy) keyword")
        found = model.fit_predict_proba(table)
    labels = [str(label) for label in found.columns]
    return {
        int(clip): dict(zip(labels, map(float, values), strict=True))
        for clip, values in zip(found.index, found.to_numpy(), strict=True)
    }
