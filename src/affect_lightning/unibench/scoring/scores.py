"""A scored set and a scored suite as data: scores, companions, intervals, counts, and the clips behind them.

Paper: Section 4 and Table 2. `set_scoring.py` makes them from predictions, `statistics/intervals.py` adds the bootstrap
intervals, `report` shows them and keeps the outcome of each clip. A confusion is for the report's figures and is not a
metric. Section 4 maps labels onto the sectors of emotion wheels; a confusion shows which sectors of one wheel, or which
sentiments, are confused.
Legend: B clips, S sectors.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np

from affect_lightning.corpora import MER_UNIBENCH, Metric
from affect_lightning.metrics import Taxonomy
from affect_lightning.metrics.functional import ClipSentiments
from affect_lightning.unibench.scoring.unread_words import UnreadWords

WHEEL = 1  # the wheel that is shown; our choice: any would do, and five pictures would say little more
NOTHING = "none"  # no label of the response is on the wheel


@dataclass(frozen=True, slots=True)
class ClipOutcome:
    """What came of one clip.

    Attributes:
        name: Of the clip.
        labels: Emotion words extracted from the response.
        sentiment: Sentiment of those words; empty for sets that are not scored by it.
        hit: Whether the response is right: its sentiment (WAF), or at least one true sector on half or more of the
            wheels that know the truth (hit rate and F_S). None for a clip that does not count.
        terms: What the clip adds to the sums that the set's metrics are made of; see `statistics/intervals.py`.
    """

    name: str
    labels: tuple[str, ...]
    sentiment: str
    hit: bool | None
    terms: tuple[float, ...] = field(default=(), repr=False)


@dataclass(frozen=True)
class Confusion:
    """What was predicted where something was true: sectors of one emotion wheel, or sentiments.

    Attributes:
        title: Of what the names are, such as `wheel 1`.
        truths: Names of the rows.
        predictions: Names of the columns; the last may stand for `none`.
        counts: Clips by row and column. A clip with several sectors is divided equally among its cells, so that each
            scored clip counts as one.
    """

    title: str
    truths: tuple[str, ...]
    predictions: tuple[str, ...]
    counts: tuple[tuple[float, ...], ...]

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Confusion:
        """Read it out of report.json; raises KeyError or TypeError if it is something else."""
        counts = tuple(tuple(float(value) for value in row) for row in values["counts"])
        return cls(str(values["title"]), tuple(values["truths"]), tuple(values["predictions"]), counts)


@dataclass(frozen=True)
class SetScore:
    """The score of one set and what is behind it. Scores are in percent; None where no clip counted.

    Attributes:
        key: Of the set.
        title: For tables.
        metric: Primary metric.
        score: In that metric.
        secondary: Companion scores by name.
        clips: Predictions.
        scored_clips: Clips that counted (the mean over the wheels, rounded, for wheel-based metrics).
        scored_clips_per_wheel: Clips that counted, by wheel; empty for sentiment.
        unparsable: Predictions out of which no label (or, where it was given, no sentiment) came.
        labels_per_response: Mean number of labels; None where only sentiments were given.
        official_clips: Clips of the official set (Table 11); None for a set outside MER-UniBench.
        outcomes: Clip by clip, in the order of the names; not written to report.json.
        interval: 95% bootstrap interval of the score over the clips, percent; None where there is none.
        secondary_intervals: The same for the companions, by name.
        skipped_clips: Clips that count nowhere: their truth is on no wheel, as `neutral` does, or is exactly 0.
        label_counts: Responses by number of labels: entry n counts those with n labels.
        confusion: Truth against prediction, for the figure; None where it was not counted.
        extractor: Where the labels or sentiments come from: identity of the extractor, or what was given.
        missing: Clips without a prediction, which count as wrong.
        unknown_truths: Of the skipped clips, those whose true words could not be read, or that have none.
        unread: Given and true words and sentiments that could not be read, side by side.
        cleaned: Responses from which something was removed before labels were read, by what it was.
        refused: Responses that refuse, or say that nothing can be told.
    """

    key: str
    title: str
    metric: Metric
    score: float | None
    secondary: Mapping[str, float | None]
    clips: int
    scored_clips: int
    scored_clips_per_wheel: tuple[int, ...]
    unparsable: int
    labels_per_response: float | None
    official_clips: int | None
    outcomes: tuple[ClipOutcome, ...] = field(default=(), repr=False, compare=False)
    interval: tuple[float, float] | None = None
    secondary_intervals: Mapping[str, tuple[float, float] | None] = field(default_factory=dict)
    skipped_clips: int = 0
    label_counts: tuple[int, ...] = ()
    confusion: Confusion | None = None
    extractor: str = ""
    missing: int = 0
    unknown_truths: int = 0
    unread: tuple[UnreadWords, ...] = ()
    cleaned: Mapping[str, int] = field(default_factory=dict)
    refused: int = 0

    def to_json(self) -> dict[str, Any]:
        """Plain values, without the outcomes."""
        return {name: value for name, value in asdict(replace(self, outcomes=())).items() if name != "outcomes"}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> SetScore:
        """Read what `to_json` gave; raises KeyError, TypeError or ValueError if it is something else."""
        intervals = values.get("secondary_intervals", {})
        confusion = values.get("confusion")
        return cls(
            **{
                **values,
                "scored_clips_per_wheel": tuple(values["scored_clips_per_wheel"]),
                "interval": _interval(values.get("interval")),
                "secondary_intervals": {name: _interval(interval) for name, interval in intervals.items()},
                "label_counts": tuple(values.get("label_counts", ())),
                "unread": tuple(UnreadWords.from_json(side) for side in values.get("unread", ())),
                "confusion": None if confusion is None else Confusion.from_json(confusion),
            }
        )


def _interval(values: Sequence[float] | None) -> tuple[float, float] | None:
    if values is None:
        return None
    low, high = values
    return float(low), float(high)


@dataclass(frozen=True)
class SuiteScores:
    """The scores of all sets.

    Attributes:
        sets: By key, those of MER-UniBench first and in the paper's order.
        taxonomy: Name of the taxonomy.
        taxonomy_sha256: Hash of its content.
        extractor: Identity of the label extractor.
        mean_interval: 95% bootstrap interval of the mean, percent: clips are drawn again within each set.
    """

    sets: Mapping[str, SetScore]
    taxonomy: str
    taxonomy_sha256: str
    extractor: str
    mean_interval: tuple[float, float] | None = None

    @property
    def mean(self) -> float | None:
        """Mean of the primary scores of the MER-UniBench sets, in percent; None if there are none."""
        return MER_UNIBENCH.mean(self._by_key())

    @property
    def sets_in_mean(self) -> int:
        """Number of sets in the mean; 9 for the paper's mean."""
        return len(MER_UNIBENCH.scores_of(self._by_key()))

    @property
    def complete(self) -> bool:
        """Whether the mean is over all nine sets."""
        return self.sets_in_mean == len(MER_UNIBENCH.sets)

    def _by_key(self) -> dict[str, float | None]:
        return {key: item.score for key, item in self.sets.items()}

    def to_json(self) -> dict[str, Any]:
        """Plain values: the mean, its number of sets, and the sets."""
        return {
            "suite": MER_UNIBENCH.title,
            "mean": self.mean,
            "mean_interval": self.mean_interval,
            "sets_in_mean": self.sets_in_mean,
            "taxonomy": self.taxonomy,
            "taxonomy_sha256": self.taxonomy_sha256,
            "extractor": self.extractor,
            "sets": {key: score.to_json() for key, score in self.sets.items()},
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> SuiteScores:
        """Read what `to_json` gave; raises KeyError, TypeError or ValueError if it is something else."""
        return cls(
            sets={key: SetScore.from_json(score) for key, score in values["sets"].items()},
            taxonomy=values["taxonomy"],
            taxonomy_sha256=values["taxonomy_sha256"],
            extractor=values["extractor"],
            mean_interval=_interval(values.get("mean_interval")),
        )


def sector_confusion(
    labels: Sequence[Sequence[str]], truths: Sequence[Sequence[str]], taxonomy: Taxonomy, wheel: int = WHEEL
) -> Confusion:
    """Confusion of the sectors of one wheel.

    Args:
        labels: Of B responses.
        truths: True emotion words of the same clips; a clip whose truth is on no sector is left out.
        taxonomy: With the wheel.
        wheel: Its number, from 1.
    """
    names = taxonomy.sector_names(wheel)
    predicted = _shares(taxonomy.encode(labels)[:, wheel - 1], len(names))
    true = _shares(taxonomy.encode(truths)[:, wheel - 1], len(names))
    none = (predicted.sum(1, keepdims=True) == 0).astype(np.float64)
    counts = true.T @ np.concatenate([predicted, none], axis=1)  # [S, S + 1]
    return Confusion(f"wheel {wheel}", names, (*names, NOTHING), _tuples(counts))


def sentiment_confusion(clips: ClipSentiments) -> Confusion:
    """Confusion of positive against not positive."""
    names = ("not positive", "positive")
    return Confusion("sentiment", names, names, _tuples(clips.terms().sum(0).reshape(2, 2)))


def add_confusions(confusions: Sequence[Confusion]) -> Confusion | None:
    """The sum of confusions with the same names; None if there are none or their names differ."""
    if not confusions or len({(item.truths, item.predictions) for item in confusions}) != 1:
        return None
    first = confusions[0]
    counts = np.sum([item.counts for item in confusions], axis=0)
    return Confusion(first.title, first.truths, first.predictions, _tuples(counts))


def _shares(bits: np.ndarray[Any, np.dtype[np.int64]], sectors: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Equal shares of a clip's sectors, [B, S]; all 0 for a clip that has none."""
    members = ((bits[:, None] >> np.arange(sectors)) & 1).astype(np.float64)
    return members / np.maximum(members.sum(1, keepdims=True), 1)


def _tuples(counts: np.ndarray[Any, Any]) -> tuple[tuple[float, ...], ...]:
    return tuple(tuple(round(float(value), 6) for value in row) for row in counts)
