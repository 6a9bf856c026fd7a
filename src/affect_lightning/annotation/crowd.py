"""The stage `crowd`: what several voters say of each clip together, with the share of the votes.

Paper: Section 2, "model-based crowd-sourcing" (the majority of several models' predictions). `votes.py` decides,
`members.py` reads the voters. Where truths are known, each voter and the crowd are scored, and the accuracy is told by
the share of the votes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from affect_lightning.annotation.members import VOTES, Classes, ballots_of, voters_of
from affect_lightning.annotation.stages import Scope, Stage
from affect_lightning.annotation.tables import ClipTable
from affect_lightning.annotation.votes import Method, decide
from affect_lightning.corpora.truths import Truth
from affect_lightning.errors import DataError
from affect_lightning.metrics import Taxonomy
from affect_lightning.metrics.functional import clip_sentiments, sentiment_figures

SHARES = (0.0, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)  # least shares of the votes that are told; our choice


@dataclass(frozen=True)
class CrowdOptions:
    """How a crowd decides.

    Attributes:
        over: What it votes over, for the record; the closed classes are given to the stage.
        method: `majority`, as in the paper; `dawid-skene` or `mace`.
        iterations: Of the learning of the two latter ones; 50 is crowd-kit's default for MACE.
        seed: Of MACE.
        min_share: Clips with a smaller share of the votes for the verdict do not stay; 0, our choice, keeps all: the paper
            gives no bound.
    """

    over: str = "sentiment"
    method: Method = "majority"
    iterations: int = 50
    seed: int = 0
    min_share: float = 0.0


class CrowdStage(Stage[CrowdOptions]):
    """Adds the crowd's class, its share of the votes, the number of voters, and the class's probability if one is known."""

    name = "crowd"

    def __init__(self, options: CrowdOptions, classes: Classes, taxonomy: Taxonomy | None = None) -> None:
        super().__init__(options)
        self.classes = classes
        self._taxonomy = taxonomy

    @classmethod
    def of(cls, options: CrowdOptions, **parts: Any) -> CrowdStage:
        """See the contract; the classes are those that `over` names."""
        taxonomy: Taxonomy = parts["taxonomy"]
        return cls(options, Classes.named(options.over, taxonomy), taxonomy)

    @property
    def scope(self) -> Scope:
        """A majority is of each clip alone; the other methods learn from all clips."""
        return "clip" if self.options.method == "majority" else "table"

    def parts(self) -> Mapping[str, str]:
        """The taxonomy, where the classes are sectors of its wheels."""
        if self._taxonomy is None or not self.classes.wheel:
            return {}
        return {"taxonomy": f"{self._taxonomy.name}, SHA-256 {self._taxonomy.sha256[:16]}"}

    def columns_of(self, table: ClipTable) -> dict[str, Sequence[Any]]:
        """See the contract; the table needs a column `votes.NAME` for each voter."""
        if len(voters_of(table)) < 2:
            raise DataError(
                f"The table needs two or more columns {VOTES}NAME, one for each voter; it has {', '.join(table.columns)}."
            )
        options = self.options
        verdicts = decide(
            ballots_of(table), self.classes.names, options.method, iterations=options.iterations, seed=options.seed
        )
        column = self.classes.column
        columns: dict[str, Sequence[Any]] = {
            column: [verdict.label for verdict in verdicts],
            f"{column}_share": [verdict.share for verdict in verdicts],
            f"{column}_voters": [verdict.voters for verdict in verdicts],
            f"{column}_probability": [verdict.probability for verdict in verdicts],
        }
        if options.min_share > 0:
            columns["kept.crowd"] = [verdict.share >= options.min_share for verdict in verdicts]
        return columns


@dataclass(frozen=True)
class VoteScore:
    """How right some votes are; percent, None where no clip counts.

    Attributes:
        accuracy: Of the clips that count, those that are right.
        clips: That count.
        waf: Weighted F1 of positive against negative; None for emotions.
    """

    accuracy: float | None
    clips: int
    waf: float | None = None


def score_votes(
    labels: Sequence[Sequence[str]], truths: Sequence[Truth], classes: Classes, taxonomy: Taxonomy
) -> VoteScore:
    """Score the classes that were named for each clip.

    Args:
        labels: One class a clip, or several, or none.
        truths: In the same order. As in the metric, a sentiment of exactly 0 does not count, nor do words that are no class.
        classes: What was voted over.
        taxonomy: Of the wheels.
    """
    rights = rights_of(labels, truths, classes, taxonomy)
    counted = [right for right in rights if right is not None]
    accuracy = 100.0 * sum(counted) / len(counted) if counted else None
    if not classes.is_sentiment or not counted:
        return VoteScore(accuracy, len(counted))
    clips = clip_sentiments(_moods(labels), _values(truths))
    return VoteScore(accuracy, len(counted), 100.0 * float(sentiment_figures(clips.terms().sum(0))["waf"]))


def rights_of(
    labels: Sequence[Sequence[str]], truths: Sequence[Truth], classes: Classes, taxonomy: Taxonomy
) -> list[bool | None]:
    """Whether each clip is right; None for a clip that does not count."""
    if classes.is_sentiment:
        clips = clip_sentiments(_moods(labels), _values(truths))
        hits = (clips.truth == clips.predicted).tolist()
        return [bool(hit) if scored else None for hit, scored in zip(hits, clips.scored.tolist(), strict=True)]
    rights: list[bool | None] = []
    for words, truth in zip(labels, truths, strict=True):
        wanted = classes.of_words(truth.labels, taxonomy)
        rights.append(bool(set(words) & set(wanted)) if wanted else None)
    return rights


def _moods(labels: Sequence[Sequence[str]]) -> list[str]:
    return [next(iter(words), "") for words in labels]


def _values(truths: Sequence[Truth]) -> list[float]:
    """True sentiment values; a clip without one counts as one of exactly 0, which is not scored."""
    return [truth.sentiment or 0.0 for truth in truths]


def accuracy_by_share(
    rights: Sequence[bool | None], shares: Sequence[float], least: Sequence[float] = SHARES
) -> list[tuple[float, float | None, int]]:
    """Accuracy of the clips with at least each share of the votes, in percent, and their number.

    >>> accuracy_by_share([True, False, None], [1.0, 0.5, 1.0], [0.0, 0.9])
    [(0.0, 50.0, 2), (0.9, 100.0, 1)]
    """
    told = []
    for bound in least:
        some = [
            right for right, share in zip(rights, shares, strict=True) if right is not None and share >= bound - 1e-9
        ]
        told.append((bound, 100.0 * sum(some) / len(some) if some else None, len(some)))
    return told
