"""Plugin `signal`: how a voice sounds and how a face moves, measured and put into words; no model.

Paper, Section 2.1: audio and visual cues are what descriptions are made of. Here they come from librosa (pitch by YIN,
loudness, syllables, pauses) and OpenCV (optical flow in the face crops), so they are the same on every machine and claim no
emotion. All limits between words are our choice; docs/systems.md has them. `voice_measures.py` and `face_motion.py`
measure. Legend: T frames, S audio samples.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from affect_lightning.contracts import ClipBatch, CueDescriber
from affect_lightning.contracts.describers import Modality
from affect_lightning.errors import ConfigurationError
from affect_lightning_plugins.cue_describers.clip_parts import parts_of
from affect_lightning_plugins.cue_describers.face_motion import FaceMotion, measure_face
from affect_lightning_plugins.cue_describers.voice_measures import VoiceMeasures, measure_voice

_VERSION = 1  # of the words and their limits


class SignalDescriber(CueDescriber):
    """Pitch, loudness, rate and pauses of the voice; motion of mouth, brows and head; in words, without a model."""

    def __init__(self, *, modality: Modality = "both", frames: int = 16, face_detector: str = "centerface") -> None:
        """Keep the options.

        Args:
            modality: What is measured: audio, video or both.
            frames: Frames of a clip between which motion is measured; 16 is our choice: 8 miss a quick smile.
            face_detector: Plugin that finds the face in clips without released crops.

        Raises:
            ConfigurationError: There are fewer than two frames.
        """
        if frames < 2:
            raise ConfigurationError(f"Motion needs frames: 2 or more; got {frames}.")
        self.modality: Modality = modality
        self._frames, self._face_detector = frames, face_detector

    @property
    def streams(self) -> tuple[str, ...]:
        """The sound, and the face crops."""
        return {"audio": ("audio",), "video": ("face",), "both": ("audio", "face")}[self.modality]

    @property
    def reading(self) -> Mapping[str, Any]:
        """Frames and face detector where faces are looked at; 16 kHz, as the voice's limits are for."""
        pictures = {"frames": self._frames, "face_detector": self._face_detector} if self.modality != "audio" else {}
        return {**pictures, "sample_rate": 16_000}

    def describe(self, batch: ClipBatch) -> list[str]:
        """Cues of each clip; empty where there is neither sound nor a moving picture."""
        texts = []
        for clip in parts_of(batch, self.modality, pictures="face"):
            heard = "" if clip.sound is None else voice_words(measure_voice(clip.sound, clip.sample_rate))
            seen = "" if clip.frames is None or len(clip.frames) < 2 else face_words(measure_face(clip.frames))
            texts.append(" ".join(filter(None, (heard, seen))))
        return texts

    def identity(self) -> str:
        """`signal` with its version and options."""
        return f"signal {_VERSION} modality={self.modality} frames={self._frames} face_detector={self._face_detector}"


def voice_words(voice: VoiceMeasures) -> str:
    """What was measured of a voice, in two or three sentences.

    >>> voice_words(VoiceMeasures(level=-18.0, pitch=250.0, spread=4.5, slope=3.0, rate=5.5, pauses=0, longest_pause=0.0))
    'The voice is loud and high; the pitch varies a lot and rises towards the end. The person speaks fast without a pause.'
    >>> voice_words(VoiceMeasures(level=-70.0, pitch=None, spread=0.0, slope=0.0, rate=0.0, pauses=0, longest_pause=0.0))
    'No voice is heard.'
    """
    if voice.pitch is None:
        return "No voice is heard."
    loud = (
        _word(voice.level, (-40.0, "very soft"), (-30.0, "soft"), (-20.0, "of medium loudness"), (-12.0, "loud"))
        or "very loud"
    )
    high = _word(voice.pitch, (140.0, "low"), (220.0, "of medium pitch")) or "high"
    varies = _word(voice.spread, (1.5, "hardly varies"), (3.5, "varies a little")) or "varies a lot"
    course = _word(voice.slope, (-1.5, "falls towards the end"), (1.5, "keeps its level")) or "rises towards the end"
    fast = _word(voice.rate, (2.5, "slowly"), (5.0, "at a medium rate")) or "fast"
    paused = (
        "without a pause"
        if not voice.pauses
        else f"with {voice.pauses} pause{'s' if voice.pauses > 1 else ''}, the longest of {voice.longest_pause:.1f} seconds"
    )
    return f"The voice is {loud} and {high}; the pitch {varies} and {course}. The person speaks {fast} {paused}."


def face_words(face: FaceMotion) -> str:
    """What was measured of a face, in one sentence.

    >>> face_words(FaceMotion(mouth=2.4, brows=0.1, head=0.9))
    'The mouth moves a lot, the brows hardly move, and the head moves a little.'
    """
    limits = ((0.4, "hardly move"), (1.5, "move a little"))
    mouth, brows, head = ((_word(size, *limits) or "move a lot") for size in (face.mouth, face.brows, face.head))
    return f"The mouth {_singular(mouth)}, the brows {brows}, and the head {_singular(head)}."


def _word(value: float, *limits: tuple[float, str]) -> str:
    """The word of the first limit that the value is below; empty if it is below none."""
    return next((word for limit, word in limits if value < limit), "")


def _singular(words: str) -> str:
    return words.replace("move", "moves")
