"""Makes the members of a crowd: each is cross-validated, then trained on all labelled clips.

Paper: Section 2. `member_plans.py` says who they are, `validation.py` scores them, `saved_crowd.py` keeps them.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor

from affect_lightning.annotation.trained_crowd.attention_fusion import AttentionFusion
from affect_lightning.annotation.trained_crowd.fitting import FittingOptions, Targets, predict
from affect_lightning.annotation.trained_crowd.folds import stratified_folds
from affect_lightning.annotation.trained_crowd.labelled_clips import LabelledClips
from affect_lightning.annotation.trained_crowd.member_plans import MemberPlan
from affect_lightning.annotation.trained_crowd.validation import (
    TaskScore,
    cross_validate,
    emotion_score,
    fit_watched,
    is_known,
    mood_of,
    sentiment_score,
)
from affect_lightning.errors import DataError

EMOTION, SENTIMENT = "emotion", "sentiment"
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Member:
    """A trained member.

    Attributes:
        plan: What it reads, and its seed.
        network: In eval mode.
        scores: Cross-validated, by task; a task that was not learnt is not there.
        clips: That it was trained on.
    """

    plan: MemberPlan
    network: AttentionFusion
    scores: Mapping[str, TaskScore]
    clips: int

    def votes(self, features: Mapping[str, Tensor], classes: Sequence[str]) -> dict[str, list[str | None]]:
        """The class and the sentiment of clips, by task; None for a clip that lacks something that the member reads.

        Args:
            features: One vector a clip [N, D] by label.
            classes: Names of the emotion classes.
        """
        known = _known(features, self.plan.inputs)
        chosen, sentiments = predict(self.network, _by_stream(features, self.plan.inputs, known.tolist()))
        return _as_votes(known.tolist(), len(features[self.plan.inputs[0]]), chosen, sentiments, classes, self.scores)


HeldOutVotes: TypeAlias = dict[str, dict[str, list[str | None]]]
"""What members say of labelled clips that they have not seen: by task, then by member, the vote on each clip."""


def train_members(
    plans: Sequence[MemberPlan],
    clips: LabelledClips,
    classes: Sequence[str],
    features: Mapping[str, Tensor],
    options: FittingOptions,
    fold_seed: int,
    progress: Callable[[str], None] = lambda name: None,
) -> tuple[list[Member], HeldOutVotes]:
    """Cross-validate and train every member.

    Args:
        plans: Who they are.
        clips: The labelled clips.
        classes: Emotion classes that are learnt; empty for none.
        features: One vector a clip [N, D] by label; NaN where a clip has none.
        options: How members are trained.
        fold_seed: Of the folds, which all members share.
        progress: Called with the name of each member that is done.

    Raises:
        DataError: Too few clips have what a member reads.
    """
    numbers = {name: number for number, name in enumerate(classes)}
    targets = Targets(
        torch.tensor([-1 if emotion is None else numbers[emotion] for emotion in clips.emotions]),
        torch.tensor([torch.nan if value is None else value for value in clips.sentiments]),
        len(classes),
    )
    strata = [
        (record.corpus, emotion or "", mood_of(value) if value is not None else "")
        for record, emotion, value in zip(clips.records, clips.emotions, clips.sentiments, strict=True)
    ]
    fold_of = stratified_folds(strata, options.folds, fold_seed)
    members: list[Member] = []
    held_out: HeldOutVotes = {}
    for plan in plans:
        known = _known(features, plan.inputs).tolist()
        _check_enough(plan, known, clips, classes, options.folds)
        mine = _by_stream(features, plan.inputs, known)
        some, layers = targets.of(torch.tensor(known)), [strata[place] for place in known]
        folds = [fold_of[place] for place in known]
        chosen, sentiments = cross_validate(mine, some, layers, folds, options, plan.seed)
        scores = _scores(chosen, sentiments, known, clips, classes)
        network = fit_watched(mine, some, layers, range(len(known)), options, plan.seed * options.folds + options.folds)
        members.append(Member(plan, network, scores, len(known)))
        for task, votes in _as_votes(known, len(clips), chosen, sentiments, classes, scores).items():
            held_out.setdefault(task, {})[plan.name] = votes
        for task, score in scores.items():
            if not score.above_chance:
                _log.warning(
                    "Leave %s out with --min-score, or give it other features: its cross-validated WAF of %s, %.2f, is not above "
                    "that of guessing, %.2f.",
                    *(plan.name, task, score.waf, score.chance),
                )
        progress(plan.name)
    return members, held_out


def _known(features: Mapping[str, Tensor], labels: Sequence[str]) -> Tensor:
    """Positions of the clips that have all of some inputs."""
    known = torch.tensor([True] * len(features[labels[0]]))
    for label in labels:
        known &= torch.from_numpy(is_known(features[label]))
    return known.nonzero()[:, 0]


def _by_stream(features: Mapping[str, Tensor], labels: Sequence[str], places: Sequence[int]) -> dict[str, Tensor]:
    return {label.split(":")[0]: features[label][list(places)] for label in labels}


def _check_enough(
    plan: MemberPlan, known: Sequence[int], clips: LabelledClips, classes: Sequence[str], folds: int
) -> None:
    """A member that lacks features of many clips may have too few of a class left."""
    for name in classes:
        count = sum(clips.emotions[place] == name for place in known)
        if count < folds:
            raise DataError(
                f"Cache features of more labelled clips, or leave the member out with --subsets: {plan.name} has features of "
                f"{count} clips of the class {name}, and {folds} folds need {folds}."
            )
    if not known:
        raise DataError(f"Cache features of the labelled clips first: {plan.name} has none of any of the {len(clips)}.")


def _scores(
    chosen: Tensor, sentiments: Tensor, known: Sequence[int], clips: LabelledClips, classes: Sequence[str]
) -> dict[str, TaskScore]:
    found: dict[str, TaskScore] = {}
    pairs = [
        (classes[number], truth)
        for number, place in zip(chosen.tolist(), known, strict=True)
        if (truth := clips.emotions[place]) is not None
    ]
    if pairs:
        found[EMOTION] = emotion_score([said for said, _ in pairs], [true for _, true in pairs])
    values = [
        (mood_of(value), sentiment)
        for value, place in zip(sentiments.tolist(), known, strict=True)
        if (sentiment := clips.sentiments[place]) is not None
    ]
    if any(true for _, true in values):
        found[SENTIMENT] = sentiment_score([said for said, _ in values], [true for _, true in values])
    return found


def _as_votes(
    known: Sequence[int],
    count: int,
    chosen: Tensor,
    sentiments: Tensor,
    classes: Sequence[str],
    tasks: Mapping[str, TaskScore],
) -> dict[str, list[str | None]]:
    said: dict[str, list[str | None]] = {
        EMOTION: [classes[number] if number >= 0 else None for number in chosen.tolist()],
        SENTIMENT: [mood_of(value) for value in sentiments.tolist()],
    }
    votes: dict[str, list[str | None]] = {}
    for task in tasks:
        votes[task] = [None] * count
        for place, word in zip(known, said[task], strict=True):
            votes[task][place] = word
    return votes
