"""What the sandbox makes of each set: the prior over the emotions, the grid of its sentiment values, and clips' names.

Folders, files, labels and metrics are those of the official sets (`affect_lightning.corpora`). `authoring.py` draws by
the priors, `layouts.py` writes labels, `bounds.py` takes priors and metrics from here. A clip's name is a function of the
corpus and the clip's number, in the manner of the official sets, so that readers meet the same kinds of names.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from affect_lightning.corpora import MER_UNIBENCH, TRAINING_SETS, BenchmarkSet
from affect_lightning.sandbox.emotions import EmotionName

TRAINING_SET = TRAINING_SETS["mer-caption-plus"]


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
    }
    return names[corpus]


def iemocap_name(session: str, number: int) -> str:
    """Name of an IEMOCAP clip of a session such as `Ses05`."""
    dialogue, turn = divmod(number, 10)
    return f"{session}{'FM'[dialogue % 2]}_impro{dialogue // 2 + 1:02d}_{'FM'[turn % 2]}{turn:03d}"
