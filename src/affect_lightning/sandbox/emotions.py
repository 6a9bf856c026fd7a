"""Who feels what: the latent emotions of the sandbox, the codes that show them, the words for them, and a clip's script.

Stands in for the people of MER-Caption (paper, Section 2): an emotion is shown by a face, a voice and a topic. Each of
these is shared with one other emotion, so no single modality is enough, and any two that agree are. `authoring.py`
draws clips from the joint table made here; `priors.py` computes from the same table what a model can reach at best. A
`ClipScript` is all that a clip shows, decided before anything is drawn or spoken: the author writes it, `performing.py`
turns it into an MP4 and a WAV. Pictures depend on the script's face fields only, sound on its voice fields only. So it
is known exactly what each modality tells, and `corpus.json` can give the best score that any model can reach.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

FaceCode = Literal["rest", "distressed", "smile", "wide"]
VoiceCode = Literal["plain", "energetic", "thin", "low"]
Topic = Literal["routine", "prospect", "conduct", "event"]
Fault = Literal[
    "truncated",
    "no_audio",
    "no_face",
    "two_faces",
    "one_frame",
    "rotated",
    "variable_frame_rate",
    "silent",
    "unseen_voice",
    "wrong_description",
    "empty_description",
]
LengthFault = Literal["short_description", "long_description"]
"""Planted in raw clips only (`raw_clips.py`)."""


@dataclass(frozen=True)
class ClipScript:
    """What one clip shows and says.

    Attributes:
        name: Of the clip and of its files.
        seed: Of everything drawn at random while performing this clip.
        identity: Index into the table of identities (face and voice of one person).
        face: Which action units the face shows.
        voice: How the voice sounds.
        topic: What kind of situation the sentence is about.
        intensity: Strength of face and voice at the apex, 0.4 to 1; independent of the emotion.
        sentence_english: What is spoken and subtitled.
        sentence_chinese: The same in Chinese, for the subtitle.
        fault: A planted fault, or None.
        lips: With the fault `unseen_voice`: a sentence that the visible lips speak meanwhile; None, and they rest.
    """

    name: str
    seed: int
    identity: int
    face: FaceCode
    voice: VoiceCode
    topic: Topic
    intensity: float
    sentence_english: str
    sentence_chinese: str
    fault: Fault | LengthFault | None = None
    lips: str | None = None


EmotionName = Literal["joy", "sadness", "anger", "disgust", "surprise", "fear", "neutral"]
Agreement = Literal["congruent", "mask", "irony", "controlled voice"]

INCONGRUENT_SHARE = 0.25 / 0.9
"""Share of the clips of every emotion but neutral in which one modality deviates: a quarter of all clips where a tenth
is neutral (our choice)."""
CONFLICT_SHARE = 0.6
"""Share of the incongruent clips whose deviating modality shows another feeling instead of none (our choice)."""
INTENSITY_RANGE = (0.4, 1.0)
"""Intensity at the apex, drawn uniformly and independently of the emotion (our choice)."""
BAND_LIMITS = (0.6, 0.8)
"""Intensities at which the middle and the strong words begin: three equal thirds of `INTENSITY_RANGE`."""


@dataclass(frozen=True)
class Emotion:
    """A latent emotion.

    Attributes:
        name: Of the emotion.
        face: Face code that shows it.
        voice: Voice code that shows it.
        topic: What it is about.
        valence: +1 positive, -1 negative, 0 neutral.
        words: Label words for mild, middle and strong intensity; the first of each is the most typical.
    """

    name: EmotionName
    face: FaceCode
    voice: VoiceCode
    topic: Topic
    valence: int
    words: tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]


@dataclass(frozen=True)
class Showing:
    """One way in which an emotion can show itself.

    Attributes:
        emotion: What is felt.
        face: What the face shows.
        voice: What the voice sounds like.
        topic: What the sentence is about.
        agreement: Whether the modalities agree and, if not, in which way one deviates.
        conflict: True when the deviating modality shows another feeling, False when it merely shows none.
        probability: In the joint table of a set; the table sums to 1.
    """

    emotion: EmotionName
    face: FaceCode
    voice: VoiceCode
    topic: Topic
    agreement: Agreement
    conflict: bool
    probability: float

    @property
    def triple(self) -> tuple[FaceCode, VoiceCode, Topic]:
        """(face, voice, topic): all that can be observed."""
        return self.face, self.voice, self.topic


# Each word falls into its emotion's inner sector on most wheels on which the emotion has one, and its valence in the
# built-in vocabulary of `metrics` does not contradict the emotion's; hence no `calm`, which the wheels count as joy.
EMOTIONS: dict[EmotionName, Emotion] = {
    item.name: item
    for item in (
        Emotion(
            name="joy",
            face="smile",
            voice="energetic",
            topic="prospect",
            valence=1,
            words=(
                ("cheerful", "upbeat", "hopeful"),
                ("happy", "joyful", "optimistic"),
                ("delighted", "jubilant", "blissful"),
            ),
        ),
        Emotion(
            name="sadness",
            face="distressed",
            voice="low",
            topic="event",
            valence=-1,
            words=(
                ("unhappy", "downcast", "melancholy"),
                ("sad", "sorrowful", "gloomy"),
                ("miserable", "despondent", "depressed"),
            ),
        ),
        Emotion(
            name="anger",
            face="wide",
            voice="energetic",
            topic="conduct",
            valence=-1,
            words=(
                ("annoyed", "irritated", "bothered"),
                ("angry", "mad", "exasperated"),
                ("furious", "enraged", "infuriated"),
            ),
        ),
        Emotion(
            name="disgust",
            face="smile",
            voice="low",
            topic="conduct",
            valence=-1,
            words=(
                ("repulsed", "queasy", "repelled"),
                ("disgusted", "appalled", "sickened"),
                ("revolted", "nauseated"),
            ),
        ),
        Emotion(
            name="surprise",
            face="wide",
            voice="thin",
            topic="event",
            valence=1,
            words=(
                ("surprised", "startled", "awed"),
                ("amazed", "awestruck"),
                ("astounded", "flabbergasted", "dumbfounded"),
            ),
        ),
        Emotion(
            name="fear",
            face="distressed",
            voice="thin",
            topic="prospect",
            valence=-1,
            words=(
                ("uneasy", "nervous", "apprehensive"),
                ("worried", "anxious", "afraid"),
                ("terrified", "frightened", "scared"),
            ),
        ),
        Emotion(
            name="neutral",
            face="rest",
            voice="plain",
            topic="routine",
            valence=0,
            words=(("neutral", "even-tempered"),) * 3,
        ),
    )
}

# Deviations to another feeling that leave every (face, voice, topic) with one emotion: (modality, shown instead). People
# smile over what they feel and say what they do not mean; a voice can be kept flat, but is never that of another feeling.
_CONFLICTS: dict[EmotionName, tuple[tuple[str, str], ...]] = {
    "joy": (("topic", "event"),),
    "sadness": (("face", "smile"), ("topic", "prospect"), ("topic", "conduct")),
    "anger": (("face", "smile"), ("topic", "prospect"), ("topic", "event")),
    "disgust": (("topic", "prospect"),),
    "surprise": (("face", "smile"), ("topic", "prospect"), ("topic", "conduct")),
    "fear": (("face", "smile"), ("topic", "conduct"), ("topic", "event")),
    "neutral": (),
}
_BLANDNESS: tuple[tuple[str, str], ...] = (("face", "rest"), ("voice", "plain"), ("topic", "routine"))
_AGREEMENT: dict[str, Agreement] = {"face": "mask", "voice": "controlled voice", "topic": "irony"}


def intensity_band(intensity: float) -> int:
    """0 mild, 1 middle or 2 strong.

    >>> [intensity_band(value) for value in (0.4, 0.6, 0.95)]
    [0, 1, 2]
    """
    return sum(intensity >= limit for limit in BAND_LIMITS)


def label_words() -> tuple[str, ...]:
    """Every label word of the sandbox, once, in the order of emotions and bands."""
    return tuple(dict.fromkeys(word for emotion in EMOTIONS.values() for band in emotion.words for word in band))


def showings(name: EmotionName) -> tuple[Showing, ...]:
    """All ways in which an emotion shows itself; their probabilities sum to 1.

    The congruent one has probability 1 - `INCONGRUENT_SHARE`. Of the rest, `CONFLICT_SHARE` is divided evenly among
    the conflicts and what remains evenly among a face at rest, a plain voice and a routine topic. Neutral is always
    congruent.
    """
    emotion = EMOTIONS[name]
    own = {"face": emotion.face, "voice": emotion.voice, "topic": emotion.topic}
    congruent_share = 1.0 - INCONGRUENT_SHARE if _CONFLICTS[name] else 1.0
    ways = [_showing(name, own, "congruent", False, congruent_share)]
    if not _CONFLICTS[name]:
        return tuple(ways)
    for deviations, share in ((_CONFLICTS[name], CONFLICT_SHARE), (_BLANDNESS, 1.0 - CONFLICT_SHARE)):
        for modality, shown in deviations:
            probability = INCONGRUENT_SHARE * share / len(deviations)
            codes = {**own, modality: shown}
            ways.append(_showing(name, codes, _AGREEMENT[modality], deviations is not _BLANDNESS, probability))
    return tuple(ways)


def joint_table(prior: Mapping[EmotionName, float]) -> tuple[Showing, ...]:
    """P(emotion, face, voice, topic) under a prior over the emotions.

    Args:
        prior: Share of each emotion; emotions of share 0 may be left out. It need not sum to 1.

    Returns:
        One row for every possible showing, in the order of `EMOTIONS`; the probabilities sum to 1.
    """
    total = sum(prior.values())
    return tuple(
        _showing(name, vars(way), way.agreement, way.conflict, prior[name] / total * way.probability)
        for name in EMOTIONS
        if prior.get(name, 0.0) > 0.0
        for way in showings(name)
    )


def _showing(
    name: EmotionName, codes: Mapping[str, str], agreement: Agreement, conflict: bool, probability: float
) -> Showing:
    return Showing(
        emotion=name,
        face=codes["face"],  # type: ignore[arg-type]
        voice=codes["voice"],  # type: ignore[arg-type]
        topic=codes["topic"],  # type: ignore[arg-type]
        agreement=agreement,
        conflict=conflict,
        probability=probability,
    )
