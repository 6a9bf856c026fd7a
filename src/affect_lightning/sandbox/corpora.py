"""The corpora of the sandbox: official folders, file names, label wordings and the prior over the emotions.

A table and nothing else, after the paper's Table 11 (the nine sets of MER-UniBench). `authoring.py` draws by it,
`layouts.py` writes by it, `bounds.py` takes priors and metrics from it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from affect_lightning.sandbox.emotions import EmotionName

Metric = Literal["hit_rate", "waf", "f_s"]

TRAINING_CORPUS = "mer-caption-plus"
TRAINING_FOLDER = "mer-caption-plus"


@dataclass(frozen=True)
class CorpusSpecification:
    """One test set as the sandbox makes it.

    Attributes:
        key: Name of the set in options, predictions and reports.
        folder: Official folder.
        video_folder: Folder of the MP4 files in it.
        audio_folder: Folder of the WAV files in it.
        label_file: Official label file.
        metric: Primary metric of MER-UniBench.
        prior: Share of each emotion; sums to 1.
        corpus_key: Entry of the `.npz` file; empty for a csv file.
        label_names: What the label file calls each emotion: words, or the integers of that set.
        sentiment_limit: Largest sentiment value; 0 for a set that has none.
        sentiment_step: Grid on which the set's sentiment values lie.
    """

    key: str
    folder: str
    video_folder: str
    audio_folder: str
    label_file: str
    metric: Metric
    prior: Mapping[EmotionName, float]
    corpus_key: str = ""
    label_names: Mapping[EmotionName, str | int] = field(default_factory=dict)
    sentiment_limit: float = 0.0
    sentiment_step: float = 0.0


def _even_prior(*names: EmotionName) -> dict[EmotionName, float]:
    """A tenth for neutral, which no hit rate counts, and the rest in equal shares (our choice)."""
    prior: dict[EmotionName, float] = {name: 0.9 / len(names) for name in names}
    prior["neutral"] = 0.1
    return prior


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
_SIX_NAMES: dict[EmotionName, str | int] = {
    "fear": "worried",
    "joy": "happy",
    "neutral": "neutral",
    "anger": "angry",
    "surprise": "surprise",
    "sadness": "sad",
}

TRAINING_PRIOR: Mapping[EmotionName, float] = _SEVEN_PRIOR


def _sentiment_corpus(key: str, media: tuple[str, str], limit: float, step: float) -> CorpusSpecification:
    return CorpusSpecification(
        key=key,
        folder=f"{key}-process",
        video_folder=media[0],
        audio_folder=media[1],
        label_file="label.npz",
        metric="waf",
        prior=_SENTIMENT_PRIOR,
        corpus_key="test_corpus",
        sentiment_limit=limit,
        sentiment_step=step,
    )


TEST_CORPORA: dict[str, CorpusSpecification] = {
    item.key: item
    for item in (
        CorpusSpecification(
            key="mer2023",
            folder="mer2023-dataset-process",
            video_folder="video",
            audio_folder="audio",
            label_file="label-6way.npz",
            metric="hit_rate",
            prior=_SIX_PRIOR,
            corpus_key="test1_corpus",
            label_names=_SIX_NAMES,
            sentiment_limit=5.0,
            sentiment_step=0.25,
        ),
        CorpusSpecification(
            key="mer2024",
            folder="mer2024-dataset-process",
            video_folder="video",
            audio_folder="audio",
            label_file="reference-semi.csv",
            metric="hit_rate",
            prior=_SIX_PRIOR,
            label_names=_SIX_NAMES,
        ),
        CorpusSpecification(
            key="meld",
            folder="meld-process",
            video_folder="subvideo",
            audio_folder="subaudio",
            label_file="label.npz",
            metric="hit_rate",
            prior=_SEVEN_PRIOR,
            corpus_key="test_corpus",
            label_names={
                "anger": 0,
                "joy": 1,
                "sadness": 2,
                "neutral": 3,
                "disgust": 4,
                "fear": 5,
                "surprise": 6,
            },
        ),
        CorpusSpecification(
            key="iemocap",
            folder="iemocap-process",
            video_folder="subvideo-tgt",
            audio_folder="subaudio",
            label_file="label_4way.npz",
            metric="hit_rate",
            prior=_even_prior("joy", "sadness", "anger"),
            corpus_key="whole_corpus",
            label_names={"joy": 0, "sadness": 1, "neutral": 2, "anger": 3},
        ),
        _sentiment_corpus("cmumosi", ("subvideo", "subaudio"), limit=3.0, step=0.2),
        _sentiment_corpus("cmumosei", ("subvideo", "subaudio"), limit=3.0, step=1.0 / 3.0),
        _sentiment_corpus("sims", ("video", "audio"), limit=1.0, step=0.2),
        _sentiment_corpus("simsv2", ("video", "audio"), limit=1.0, step=0.2),
        CorpusSpecification(
            key="ovmerdplus",
            folder="ovmerdplus-process",
            video_folder="video",
            audio_folder="audio",
            label_file="ovlabel.csv",
            metric="f_s",
            prior=_SEVEN_PRIOR,
        ),
    )
}
