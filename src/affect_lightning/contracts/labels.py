"""What a label extractor must provide (paper, Appendix E: labels and sentiment out of free-form responses)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Literal

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
        """Name, model revision and prompt hash; written beside every score."""
