"""What a speaker detector must provide: does the person who is seen in a clip say what is heard?

Paper: Section 2, clips whose visible person is not the speaker are dropped. Detectors are plugins
of the group `speaker_detectors`. `affect_lightning.data.face_tracks` makes what they get, the stage
`affect_lightning.annotation.speaker` asks them. Legend: T pictures, S audio samples.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

CROP_SIDE = 224
"""Pixels a side of a crop: the crops that encoders see (paper, Appendix B)."""
CROP_PER_FACE = 1.4
"""Side of a crop in longer sides of the face (hairline to chin): as in `data.faces`, a fifth of the face on each side."""


@dataclass(frozen=True)
class FaceWithSound:
    """One face, followed through a clip at a steady rate, and the sound of the same time.

    The face is in the middle of each crop and fills 1 / `CROP_PER_FACE` of it, so the mouth of a person who looks into the
    camera is at 0.5 of its width and 0.7 of its height. What is beyond the picture's edge is grey (110).

    Attributes:
        crops: RGB, uint8 [T, CROP_SIDE, CROP_SIDE, 3], T at least 1, not to be written to.
        start: When the first picture is shown, in seconds of the sound; at least 0.
        frame_rate: Pictures a second, as the detector asked for them.
        waveform: Mono sound in [-1, 1], float32 [S], from second 0 on; S may be 0, and its end need not be that of
            the pictures.
        sample_rate: Of the sound in Hz, as the detector asked for it.
    """

    crops: np.ndarray
    start: float
    frame_rate: float
    waveform: np.ndarray
    sample_rate: int


@dataclass(frozen=True)
class SpeakerScore:
    """How surely the face says what is heard.

    Attributes:
        value: In the detector's own unit, more for surer; None if the detector cannot tell.
        reason: Why it cannot tell, as one of a few short sentences without the clip's own figures, so that clips can be
            counted by it, such as `no speech`; empty if there is a value.
    """

    value: float | None
    reason: str = ""


class SpeakerDetector(ABC):
    """Says how surely the person in a clip is the one who is heard.

    Attributes:
        frame_rate: Pictures a second that it gets.
        sample_rate: Of the sound that it gets, in Hz.
        threshold: The least value with which the person is taken for the speaker.
    """

    frame_rate: ClassVar[float] = 25.0
    sample_rate: ClassVar[int] = 16_000
    threshold: float

    @abstractmethod
    def score(self, clip: FaceWithSound) -> SpeakerScore:
        """One score for a clip; the same for the same clip, whatever was asked before.

        A clip that is too short, or in which nobody is heard, is no error: its value is None and its reason says so.

        Raises:
            ConfigurationError: What the detector needs cannot be loaded.
        """

    @abstractmethod
    def identity(self) -> str:
        """Name, weights and options in one line; kept scores are only used again under the same one."""
