"""The texts of a sandbox clip: the sentence that is spoken, in English and Chinese, and the reasoned description.

- A sentence carries its topic and nothing else about the feeling: no emotion word, no valence. Each topic has templates of
  its own whose slots are filled from `sentence_slots.py`; together they give thousands of sentences a topic. A stable hash
  of the English sentence assigns every derivation to training or to test, so the test sets never repeat a training sentence.
- A description, in the manner of MER-Caption (paper, Section 2.1), names a visual, an acoustic and a textual cue and
  concludes with the labels; where a modality deviates, it says so and why the labels follow the other two. Two or three
  compact sentences of 25 to 45 words, so that a small language model can learn to write them. Nothing here reads an emotion
  word except as a label.

`authoring.py` draws from here.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Literal

from affect_lightning.sandbox.emotions import Agreement, FaceCode, Topic, VoiceCode, intensity_band
from affect_lightning.sandbox.sentence_slots import SLOTS, TEMPLATES, Pair

Split = Literal["training", "test"]

TEST_SHARE = 4
"""One derivation in this many is reserved for the test sets (our choice)."""
_SLOT = re.compile(r"\{(\w+?)(\d?)\}")


@dataclass(frozen=True)
class Sentence:
    """A spoken sentence.

    Attributes:
        english: Spoken and subtitled.
        chinese: The same, for the subtitle.
        topic: What it is about.
    """

    english: str
    chinese: str
    topic: Topic


def draw_sentence(topic: Topic, split: Split, random: Random) -> Sentence:
    """Draw a sentence of a topic that belongs to a split.

    Args:
        topic: What it is about.
        split: `training` or `test`; no sentence belongs to both.
        random: Source of chance; the same state gives the same sentence.
    """
    while True:
        template = random.choice(TEMPLATES[topic])
        fillers: dict[str, Pair] = {}
        for slot in slots_of(template):
            unused = [pair for pair in SLOTS[slot_kind(slot)] if pair not in fillers.values()]
            fillers[slot] = random.choice(unused)
        sentence = filled(topic, template, fillers)
        if split_of(sentence.english) == split:
            return sentence


def split_of(english: str) -> Split:
    """The split to which an English sentence belongs, by its SHA-256."""
    digest = hashlib.sha256(english.encode("utf-8")).digest()
    return "test" if digest[0] % TEST_SHARE == 0 else "training"


def slots_of(template: Pair) -> list[str]:
    """The slots of a template, such as `person` or `thing2`."""
    return list(dict.fromkeys(kind + number for kind, number in _SLOT.findall(template.english)))


def slot_kind(slot: str) -> str:
    """Whose fillers a slot takes: `thing` for `thing2`."""
    return slot.rstrip("0123456789")


def filled(topic: Topic, template: Pair, fillers: dict[str, Pair]) -> Sentence:
    """The sentence of a template whose slots have fillers."""
    english = template.english.format(**{slot: pair.english for slot, pair in fillers.items()})
    chinese = template.chinese.format(**{slot: pair.chinese for slot, pair in fillers.items()})
    return Sentence(english=english[0].upper() + english[1:], chinese=chinese, topic=topic)


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
