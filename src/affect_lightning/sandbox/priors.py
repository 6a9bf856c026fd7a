"""What the sandbox makes of each set: the prior over the emotions, clip names, and the best score that any model could reach.

Folders, files, labels and metrics are those of the official sets (`affect_lightning.corpora`). `authoring.py` draws by
the priors, `layouts.py` writes labels. A clip's name is a function of the corpus and the clip's number, in the style of the
official sets, so that readers meet the same kinds of names.
The bounds follow from the joint table of emotion, face, voice and topic with each set's prior, for each subset of the
modalities: hit rate for the basic sets and the sentence-level equivalent of F_S for OV-MERD+ (paper, Section 4.1 and 4.2),
WAF for the sentiment sets (Section 4.3). `generation.py` writes them into `corpus.json`. A model that scores above the best
single modality really fuses.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np

from affect_lightning.corpora import MER_UNIBENCH, TRAINING_SETS, BenchmarkSet
from affect_lightning.errors import ConfigurationError
from affect_lightning.sandbox.emotions import EMOTIONS, EmotionName, Showing, joint_table

TRAINING_SET = TRAINING_SETS["mer-caption-plus"]
RAW_CLIPS = "raw"
"""Key of the raw clips (`raw_clips.py`)."""


@dataclass(frozen=True)
class GeneratedSet:
    """One test set as the sandbox makes it.

    Attributes:
        official: The set whose layout is written.
        prior: Share of each emotion; sums to 1.
        sentiment_limit: Largest sentiment value; 0 for a set whose labels have none.
        sentiment_step: Grid on which the sentiment values lie.
    """

    official: BenchmarkSet
    prior: Mapping[EmotionName, float]
    sentiment_limit: float = 0.0
    sentiment_step: float = 0.0

    def label(self, emotion: EmotionName) -> str | int:
        """What the label file calls an emotion: a word or an index; 0 in a set without closed classes.

        >>> TEST_CORPORA["mer2023"].label("fear"), TEST_CORPORA["iemocap"].label("joy"), TEST_CORPORA["sims"].label("joy")
        ('worried', 0, 0)
        """
        labels = self.official.labels
        word = emotion if emotion in labels else _WORDS.get(emotion, "")
        if word not in labels:
            return 0
        return labels.index(word) if self.official.labels_as_index else word


def _even_prior(*names: EmotionName) -> dict[EmotionName, float]:
    """A tenth for neutral, which no hit rate counts, and the rest in equal shares (our choice)."""
    prior: dict[EmotionName, float] = {name: 0.9 / len(names) for name in names}
    prior["neutral"] = 0.1
    return prior


# What a set calls an emotion that has another name here.
_WORDS: dict[EmotionName, str] = {"fear": "worried", "joy": "happy", "anger": "angry", "sadness": "sad"}
# About as many positive as negative clips, so that guessing one sign gains nothing (our choice).
_SENTIMENT_PRIOR: dict[EmotionName, float] = {
    "joy": 0.25,
    "surprise": 0.25,
    "sadness": 0.11,
    "anger": 0.11,
    "fear": 0.11,
    "disgust": 0.11,
    "neutral": 0.06,
}
_SIX_PRIOR = _even_prior("joy", "sadness", "anger", "surprise", "fear")
_SEVEN_PRIOR = _even_prior("joy", "sadness", "anger", "disgust", "surprise", "fear")

TRAINING_PRIOR: Mapping[EmotionName, float] = _SEVEN_PRIOR

_DRAWN: dict[str, tuple[Mapping[EmotionName, float], float, float]] = {
    "mer2023": (_SIX_PRIOR, 5.0, 0.25),
    "mer2024": (_SIX_PRIOR, 0.0, 0.0),
    "meld": (_SEVEN_PRIOR, 0.0, 0.0),
    "iemocap": (_even_prior("joy", "sadness", "anger"), 0.0, 0.0),
    "cmumosi": (_SENTIMENT_PRIOR, 3.0, 0.2),
    "cmumosei": (_SENTIMENT_PRIOR, 3.0, 1.0 / 3.0),
    "sims": (_SENTIMENT_PRIOR, 1.0, 0.2),
    "simsv2": (_SENTIMENT_PRIOR, 1.0, 0.2),
    "ovmerdplus": (_SEVEN_PRIOR, 0.0, 0.0),
}
TEST_CORPORA: dict[str, GeneratedSet] = {
    key: GeneratedSet(item, *_DRAWN[key]) for key, item in MER_UNIBENCH.sets.items()
}


def clip_name(corpus: str, number: int) -> str:
    """Name of a clip.

    >>> clip_name("meld", 7), clip_name("iemocap", 0)
    ('test_dia1_utt3', 'Ses05F_impro01_F000')
    """
    group, place = divmod(number, 4)
    names = {
        TRAINING_SET.key: f"samplenew3_{number:08d}",
        "mer2023": f"sample_{number:08d}",
        "mer2024": f"samplenew_{number:08d}",
        "meld": f"test_dia{group}_utt{place}",
        "iemocap": iemocap_name(TEST_CORPORA["iemocap"].official.name_prefix, number),
        "cmumosi": f"sandboxmosi{group:03d}_{place + 1}",
        "cmumosei": f"sandboxmosei{group:03d}_{place}",
        "sims": f"video_{group + 1:04d}_{place + 1:04d}",
        "simsv2": f"sandbox_{group + 1:04d}_{place + 1:05d}",
        "ovmerdplus": f"sampleov_{number:08d}",
        RAW_CLIPS: f"raw_{number:08d}",
    }
    return names[corpus]


def iemocap_name(session: str, number: int) -> str:
    """Name of an IEMOCAP clip of a session such as `Ses05`."""
    dialogue, turn = divmod(number, 10)
    return f"{session}{'FM'[dialogue % 2]}_impro{dialogue // 2 + 1:02d}_{'FM'[turn % 2]}{turn:03d}"


MODALITIES: tuple[str, ...] = ("face", "voice", "text")
SUBSETS: tuple[tuple[str, ...], ...] = tuple(subset for size in (1, 2, 3) for subset in combinations(MODALITIES, size))
ASSUMPTIONS = (
    "A response names exactly one of the seven emotions (or, for sentiment, one sign); naming several at once could "
    "raise a hit rate further. The model knows the generator and the set's prior, and reads each modality without "
    "error. Scores are those of the expected counts; a small drawn set scatters about them. Emotion wheels are taken "
    "to have one sector an emotion. Neutral truths do not count in hit rate and F_S, and truths of 0 not in WAF."
)
_MAXIMAL_MIXED_CELLS = 16


def score_bounds() -> dict[str, dict[str, float]]:
    """Bounds of every set and of their mean.

    Returns:
        `{set key or "mean": {"face": .., "voice": .., "text": .., "face+voice": .., ..}}`, scores in [0, 1].
    """
    bounds = {
        key: {subset_name(subset): set_bound(specification, subset) for subset in SUBSETS}
        for key, specification in TEST_CORPORA.items()
    }
    columns = {
        subset_name(subset): {key: row[subset_name(subset)] for key, row in bounds.items()} for subset in SUBSETS
    }
    means = {name: MER_UNIBENCH.mean(column) or 0.0 for name, column in columns.items()}
    return {**bounds, "mean": means}


def bounds_report() -> dict[str, Any]:
    """The bounds with what is needed to read them, as it stands in `corpus.json`."""
    bounds = score_bounds()
    mean = bounds["mean"]
    best = max(MODALITIES, key=lambda modality: mean[modality])
    everything = subset_name(MODALITIES)
    return {
        "assumptions": ASSUMPTIONS,
        "metrics": {key: specification.official.metric for key, specification in TEST_CORPORA.items()},
        "scores": {key: {name: round(score, 6) for name, score in row.items()} for key, row in bounds.items()},
        "best_single_modality": {
            "name": best,
            "mean": round(mean[best], 6),
            "share_of_all_three": round(mean[best] / mean[everything], 6),
        },
    }


def subset_name(subset: Sequence[str]) -> str:
    """Name of a subset of the modalities.

    >>> subset_name(("face", "text"))
    'face+text'
    """
    return "+".join(subset)


def set_bound(specification: GeneratedSet, subset: Sequence[str]) -> float:
    """The best expected score on one set for a model that observes some of the modalities.

    Args:
        specification: The test set.
        subset: Non-empty, of `MODALITIES`.

    Raises:
        ConfigurationError: The subset is empty or names an unknown modality.
    """
    if not subset or any(modality not in MODALITIES for modality in subset):
        raise ConfigurationError(f"Name one or more of the modalities {', '.join(MODALITIES)}; got {list(subset)}.")
    cells = observable_cells(joint_table(specification.prior), subset)
    if specification.official.metric == "waf":
        return best_waf(cells)
    # With one sector an emotion, a clip's precision and recall in F_S are both 1 or both 0: the share of hits.
    return best_hit_rate(cells)


def observable_cells(
    table: Sequence[Showing], subset: Sequence[str]
) -> dict[tuple[str, ...], dict[EmotionName, float]]:
    """Probability of every emotion in each observation, `{(code, ..): {emotion: probability}}`."""
    fields = ["topic" if modality == "text" else modality for modality in subset]
    cells: dict[tuple[str, ...], dict[EmotionName, float]] = {}
    for row in table:
        cell = cells.setdefault(tuple(getattr(row, field) for field in fields), {})
        cell[row.emotion] = cell.get(row.emotion, 0.0) + row.probability
    return cells


def best_hit_rate(cells: Mapping[tuple[str, ...], Mapping[EmotionName, float]]) -> float:
    """Hit rate of naming the likeliest emotion in each cell; neutral truths do not count."""
    counted = [[share for emotion, share in cell.items() if emotion != "neutral"] for cell in cells.values()]
    hits = sum(max(shares, default=0.0) for shares in counted)
    return hits / sum(map(sum, counted))


def best_waf(cells: Mapping[tuple[str, ...], Mapping[EmotionName, float]]) -> float:
    """Largest weighted F1 of the expected confusion, over all ways to call each cell positive or not.

    A cell whose truths all have one sign is called by that sign, which never lowers either F1; every combination of
    the others is tried. Truths of 0 do not count.
    """
    masses = np.array([_sign_masses(cell) for cell in cells.values()])  # [cells, (positive, negative)]
    sure_positives = masses[masses[:, 1] == 0.0, 0].sum()
    mixed = masses[(masses > 0.0).all(axis=1)]
    if len(mixed) > _MAXIMAL_MIXED_CELLS:
        raise ConfigurationError(
            f"{len(mixed)} observations have both signs; the exact search tries at most {_MAXIMAL_MIXED_CELLS}. "
            "Observe fewer modalities or change the joint table."
        )
    choices = (np.arange(2 ** len(mixed))[:, None] >> np.arange(len(mixed))) & 1  # [combinations, mixed cells]
    true_positives = sure_positives + choices @ mixed[:, 0]
    false_positives = choices @ mixed[:, 1]
    positives, negatives = masses.sum(axis=0)
    return float(weighted_f1(true_positives, false_positives, positives, negatives).max())


def weighted_f1(
    true_positives: np.ndarray, false_positives: np.ndarray, positives: float, negatives: float
) -> np.ndarray:
    """Weighted F1 of a binary problem out of expected counts, for arrays of candidate decisions."""
    true_negatives = negatives - false_positives
    false_negatives = positives - true_positives
    of_positives = 2 * true_positives / (2 * true_positives + false_positives + false_negatives)
    of_negatives = 2 * true_negatives / (2 * true_negatives + false_positives + false_negatives)
    return (positives * of_positives + negatives * of_negatives) / (positives + negatives)


def _sign_masses(cell: Mapping[EmotionName, float]) -> tuple[float, float]:
    positive = sum(share for emotion, share in cell.items() if EMOTIONS[emotion].valence > 0)
    negative = sum(share for emotion, share in cell.items() if EMOTIONS[emotion].valence < 0)
    return positive, negative
