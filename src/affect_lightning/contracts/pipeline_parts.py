"""What the parts outside the network must provide: face detectors, label extractors and cue describers.

Paper: Appendix E (labels and sentiment out of free-form responses), Section 2.1 (models that write audio and visual cues).
Neighbour: `network_parts.py`. Legend: T frames, H height, W width in pixels.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    from affect_lightning.contracts.clips import ClipBatch


@dataclass(frozen=True)
class FaceBox:
    """A face in a frame, in pixels of that frame, x to the right and y down.

    Attributes:
        x0: Left edge.
        y0: Upper edge.
        x1: Right edge, larger than `x0`.
        y1: Lower edge, larger than `y0`.
        score: Confidence in [0, 1].
        landmarks: (x, y) of right eye, left eye, nose, right and left mouth corner, if the detector finds them.
    """

    x0: float
    y0: float
    x1: float
    y1: float
    score: float
    landmarks: tuple[tuple[float, float], ...] | None = None


class FaceDetector(ABC):
    """Finds faces in frames. It runs in the loader's worker processes: it must pickle before its first use.

    Attributes:
        finds_faces: False for the part that stands for "no detection"; whole frames are used then, uncounted.
    """

    finds_faces: bool = True

    @abstractmethod
    def detect(self, frames: np.ndarray) -> list[list[FaceBox]]:
        """Find the faces of every frame.

        Args:
            frames: uint8 [T, H, W, 3], RGB.

        Returns:
            T lists of boxes, best score first; an empty list where there is no face.
        """

    @abstractmethod
    def identity(self) -> str:
        """Name, weights and options in one line: cached boxes are only reused under the same identity."""


Sentiment = Literal["positive", "negative", "neutral"]


class LabelExtractor(ABC):
    """Turns responses into emotion words, and emotion words into a sentiment."""

    @abstractmethod
    def extract(self, responses: Sequence[str]) -> list[list[str]]:
        """Emotion words of each response, in order of appearance, without repeats; an empty list where none is named.

        Args:
            responses: Free-form responses or descriptions, English or Chinese.
        """

    @abstractmethod
    def sentiment(self, labels: Sequence[Sequence[str]]) -> list[Sentiment]:
        """Overall sentiment of each list of emotion words."""

    @abstractmethod
    def identity(self) -> str:
        """Name, model revision and prompt hash; written next to every score."""


class CueDescriber(ABC):
    """Writes what can be heard, seen or concluded in a clip; used when MER-Caption is made."""

    @abstractmethod
    def describe(self, batch: ClipBatch) -> list[str]:
        """One text a clip; an empty string where the describer has nothing to say."""

    @abstractmethod
    def identity(self) -> str:
        """Name, model revision and prompt hash; written into the made data set."""
