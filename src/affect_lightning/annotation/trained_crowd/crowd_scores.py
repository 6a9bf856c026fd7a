"""How right the crowd is on labelled clips that its members have not seen, and how that rises with the share of the votes.

Paper: Section 2 takes the majority of the members' predictions. `training.py` gives the votes, `votes.py` decides, and
`crowd.py` tells the accuracy by share.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from affect_lightning.annotation.crowd import CrowdOptions, accuracy_by_share
from affect_lightning.annotation.members import SENTIMENTS
from affect_lightning.annotation.trained_crowd.labelled_clips import LabelledClips
from affect_lightning.annotation.trained_crowd.training import EMOTION, HeldOutVotes, Member
from affect_lightning.annotation.trained_crowd.validation import POSITIVE, TaskScore, emotion_score, sentiment_score
from affect_lightning.annotation.votes import Verdict, decide
from affect_lightning.errors import ConfigurationError


@dataclass(frozen=True)
class CrowdScore:
    """The crowd on labelled clips.

    Attributes:
        score: Of its verdicts; a clip without a vote is wrong.
        by_share: Accuracy of the clips with at least each share of the votes, percent, and their number.
    """

    score: TaskScore
    by_share: Sequence[tuple[float, float | None, int]]


def voters(members: Sequence[Member], task: str, min_score: float) -> list[str]:
    """Names of the members that vote on a task: those that have learnt it, and are right enough.

    Args:
        members: Of the crowd.
        task: `emotion` or `sentiment`.
        min_score: The least cross-validated WAF, percent.

    Raises:
        ConfigurationError: Fewer than two are left.
    """
    learnt = {member.plan.name: member.scores[task].waf for member in members if task in member.scores}
    good = [name for name, waf in learnt.items() if waf >= min_score]
    if learnt and len(good) < 2:
        raise ConfigurationError(
            f"Lower --min-score: with {min_score:g}, {len(good)} of {len(learnt)} members vote on the {task}, and a crowd "
            f"needs two. Their cross-validated WAF is {', '.join(f'{name} {waf:.2f}' for name, waf in learnt.items())}."
        )
    return good


def verdicts_of(
    votes: Mapping[str, Sequence[str | None]],
    names: Sequence[str],
    task: str,
    classes: Sequence[str],
    options: CrowdOptions,
) -> list[Verdict]:
    """What the crowd says of each clip.

    Args:
        votes: By member.
        names: The members that vote.
        task: `emotion` or `sentiment`.
        classes: Names of the emotion classes.
        options: How it decides.
    """
    rows = zip(*(votes[name] for name in names), strict=True)
    ballots = [{name: [] if vote is None else [vote] for name, vote in zip(names, row, strict=True)} for row in rows]
    allowed = classes if task == EMOTION else SENTIMENTS
    return decide(ballots, allowed, options.method, iterations=options.iterations, seed=options.seed)


def score_crowd(
    held_out: HeldOutVotes,
    members: Sequence[Member],
    clips: LabelledClips,
    classes: Sequence[str],
    options: CrowdOptions,
    min_score: float,
) -> dict[str, CrowdScore]:
    """The crowd's score by task, from votes of members on clips that they have not seen."""
    found: dict[str, CrowdScore] = {}
    for task, votes in held_out.items():
        verdicts = verdicts_of(votes, voters(members, task, min_score), task, classes, options)
        truths = clips.emotions if task == EMOTION else clips.sentiments
        places = [place for place, truth in enumerate(truths) if truth is not None]
        said = [verdicts[place].label for place in places]
        shares = [verdicts[place].share for place in places]
        rights: list[bool | None]
        if task == EMOTION:
            emotions = [emotion for emotion in clips.emotions if emotion is not None]
            score = emotion_score(said, emotions)
            rights = [word == truth for word, truth in zip(said, emotions, strict=True)]
        else:
            values = [value for value in clips.sentiments if value is not None]
            score = sentiment_score(said, values)
            rights = [
                (word == POSITIVE) == (value > 0) if value else None for word, value in zip(said, values, strict=True)
            ]
        found[task] = CrowdScore(score, accuracy_by_share(rights, shares))
    return found
