"""Reasoned descriptions of sandbox clips, in the manner of MER-Caption (paper, Section 2.1).

Each names a visual, an acoustic and a textual cue and concludes with the labels; where a modality deviates, the text
says so and why the labels follow the other two. Two or three compact sentences of 25 to 45 words, so that a small
language model can learn to write them. `authoring.py` calls `describe`; nothing here reads an emotion word except as
a label.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Literal

from affect_lightning.sandbox.emotions import Agreement, intensity_band
from affect_lightning.sandbox.script import FaceCode, Topic, VoiceCode

Modality = Literal["face", "voice", "topic"]

_DEGREES = ("slightly", "clearly", "strongly")

# Clauses with a finite verb; {degree} is mild, middle or strong.
_FACE_CUES: dict[FaceCode, tuple[str, ...]] = {
    "distressed": (
        "the inner brows rise and the mouth corners sink {degree}",
        "the brows rise {degree} in the middle and the lips droop",
        "the forehead is {degree} creased and the mouth bends down",
    ),
    "smile": (
        "the mouth corners are {degree} raised and the cheeks lifted",
        "the lips {degree} curve upward in a smile",
        "a smile {degree} lifts the cheeks and mouth corners",
    ),
    "wide": (
        "the eyes are {degree} widened and the lips stand apart",
        "the upper lids are {degree} raised and the jaw drops",
        "the eyes grow {degree} round and the mouth gapes",
    ),
    "rest": (
        "the face stays still, with level brows and closed lips",
        "the face hardly moves and the brows stay level",
        "no facial muscle stands out and the lips are loose",
    ),
}
_VOICE_CUES: dict[VoiceCode, tuple[str, ...]] = {
    "energetic": (
        "the voice is {degree} loud, fast and high",
        "the speech is {degree} brisk, high and ringing",
        "the voice is {degree} louder and faster",
    ),
    "thin": (
        "the voice is {degree} thin, high and quick",
        "the speech is {degree} rapid, high and faint",
        "the voice is {degree} higher and fainter",
    ),
    "low": (
        "the voice is {degree} low, slow and hushed",
        "the speech is {degree} slow, deep and muted",
        "the voice is {degree} lower and slower",
    ),
    "plain": (
        "the voice keeps its usual pitch and pace",
        "the speech is even and of average loudness",
        "the voice is level and of usual speed",
    ),
}
_TOPIC_CUES: dict[Topic, tuple[str, ...]] = {
    "prospect": (
        "the words are about an outcome still awaited",
        "the sentence is about something not yet decided",
        "the subtitle speaks of a decision still to come",
    ),
    "conduct": (
        "the words tell what somebody did",
        "the sentence is about what another person has done",
        "the subtitle reports how somebody handled a common thing",
    ),
    "event": (
        "the words report something that happened suddenly",
        "the sentence is about a sudden turn of events",
        "the subtitle tells of something that came unannounced",
    ),
    "routine": (
        "the words state a fact of daily life",
        "the sentence is about where or when things are",
        "the subtitle merely tells how things are arranged",
    ),
}
_AGREEING = (
    "Together these cues suggest that the speaker feels {labels}.",
    "All cues fit together: the speaker seems {labels}.",
    "Face, voice and words match: the speaker is {labels}.",
)
_DEVIATING: dict[Agreement, tuple[str, ...]] = {
    "mask": (
        "The expression is a mask: the speaker feels {labels}.",
        "The face hides it, but the speaker is {labels}.",
    ),
    "controlled voice": (
        "The voice conceals that the speaker feels {labels}.",
        "The tone is put on, and the speaker is {labels}.",
    ),
    "irony": (
        "The words are not literal: the speaker feels {labels}.",
        "The words give little away: the speaker is {labels}.",
    ),
}
_DEVIANT: dict[Agreement, Modality] = {"mask": "face", "controlled voice": "voice", "irony": "topic"}


def describe(
    face: FaceCode,
    voice: VoiceCode,
    topic: Topic,
    *,
    agreement: Agreement,
    intensity: float,
    labels: Sequence[str],
    random: Random,
) -> str:
    """Write a description.

    Args:
        face: What the face shows.
        voice: What the voice sounds like.
        topic: What the sentence is about.
        agreement: Whether a modality deviates, and which.
        intensity: Strength of face and voice, which sets the adverbs.
        labels: Emotion words of the conclusion, 1 to 4.
        random: Source of chance among the wordings.

    Returns:
        Two or three sentences, 25 to 45 words.
    """
    degree = _DEGREES[intensity_band(intensity)]
    cues: dict[Modality, str] = {
        "face": random.choice(_FACE_CUES[face]).format(degree=degree),
        "voice": random.choice(_VOICE_CUES[voice]).format(degree=degree),
        "topic": random.choice(_TOPIC_CUES[topic]),
    }
    named = _listed(labels)
    if agreement == "congruent":
        joined = random.choice((", and ", ", while "))
        observed = f"{cues['face']}{joined}{cues['voice']}. {_opened(cues['topic'])}."
        conclusion = random.choice(_AGREEING)
    else:
        deviant = _DEVIANT[agreement]
        others = [cues[modality] for modality in cues if modality != deviant]
        observed = f"although {cues[deviant]}, {others[0]}. {_opened(others[1])}."
        conclusion = random.choice(_DEVIATING[agreement])
    return f"{_opened(observed)} {conclusion.format(labels=named)}"


def _listed(labels: Sequence[str]) -> str:
    """`a`, `a and b`, or `a, b and c`."""
    return labels[0] if len(labels) == 1 else f"{', '.join(labels[:-1])} and {labels[-1]}"


def _opened(text: str) -> str:
    return text[0].upper() + text[1:]
