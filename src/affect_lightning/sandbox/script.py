"""ClipScript: all that a sandbox clip shows, decided before anything is drawn or spoken.

The author (`authoring.py`) writes scripts and annotations; the performer (`performing.py`) turns a script into an MP4
and a WAV. Pictures depend on a script's face fields only, sound on its voice fields only, so that what each modality
tells about the emotion is known exactly and `corpus.json` can state the best score that any model can reach.
"""

from __future__ import annotations

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
    fault: Fault | None = None
