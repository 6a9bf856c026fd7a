"""What a cue describer must provide (paper, Section 2.1: the models that write audio and visual cues)."""

from __future__ import annotations

from abc import ABC, abstractmethod

from affect_lightning.contracts.clips import ClipBatch


class CueDescriber(ABC):
    """Writes what can be heard, seen or concluded in a clip; used when MER-Caption is made."""

    @abstractmethod
    def describe(self, batch: ClipBatch) -> list[str]:
        """One text a clip; an empty string where the describer has nothing to say."""

    @abstractmethod
    def identity(self) -> str:
        """Name, model revision and prompt hash; written into the made data set."""
