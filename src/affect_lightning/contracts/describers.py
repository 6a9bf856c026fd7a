"""What must be provided by models of others: describers of a clip, mergers of what they wrote, and transcribers of speech.

Paper: Section 2.1 (an audio and a video model write cues, a text model merges them with the subtitle) and Table 9 (other
people's multimodal models, asked on the benchmark). All three are plugins. `affect_lightning.describing` asks them and
keeps their answers; the data set's pipeline asks the same parts.
Legend: B clips.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from affect_lightning.contracts.clips import ClipBatch

Modality = Literal["audio", "video", "both"]

STREAMS_OF_MODALITY: dict[str, tuple[str, ...]] = {
    "audio": ("audio",),
    "video": ("frame",),
    "both": ("audio", "frame"),
}
"""Streams that a describer of each modality reads, unless its `streams` says otherwise."""


class CueDescriber(ABC):
    """Writes what can be heard, seen or concluded in a clip, or answers a question about it.

    The question of a clip is `batch.questions`. The subtitle is `batch.subtitles`, which is empty unless the caller wants
    it shown: the authors' saved outputs show that describing without it and adding it afterwards is better (42.81 ->
    54.18 for SALMONN on OV-MERD). A describer shows the subtitle that is not empty, and needs none.

    Attributes:
        modality: What it takes of a clip: `audio`, `video` or `both`.
    """

    modality: Modality = "both"

    @property
    def streams(self) -> tuple[str, ...]:
        """Streams that are read for it; by default those of `STREAMS_OF_MODALITY`."""
        return STREAMS_OF_MODALITY[self.modality]

    @property
    def reading(self) -> Mapping[str, Any]:
        """Options of the data module under which clips are read for it, such as `frames=16`; by default none."""
        return {}

    @abstractmethod
    def describe(self, batch: ClipBatch) -> list[str]:
        """One text a clip; an empty string where the describer has nothing to say."""

    def answers(self, batch: ClipBatch) -> Iterator[Mapping[int, str]]:
        """Texts by the clip's position in the batch, each as soon as it is there, so that a killed run keeps it.

        By default all at once, from `describe`.
        """
        yield dict(enumerate(self.describe(batch)))

    def check(self) -> None:  # noqa: B027 - most have nothing to check
        """Called before the first clip is read; by default all is well.

        Raises:
            AffectLightningError: It will not answer, such as a server to which clips may not be sent.
        """

    @abstractmethod
    def identity(self) -> str:
        """Name, model revision and prompt hash; written beside every answer and into the made data set."""


class ClueMerger(ABC):
    """Writes one description from what was heard, what was seen and what is said."""

    @abstractmethod
    def merge(self, audio: Sequence[str], visual: Sequence[str], subtitles: Sequence[str]) -> list[str]:
        """One text a clip.

        Args:
            audio: What a describer heard in each clip; empty where there is nothing.
            visual: What a describer saw; empty where there is nothing. A text about both is given here.
            subtitles: What is said; empty where nothing is.

        Returns:
            B texts; an empty one for a clip of which all three are empty.
        """

    def merges(
        self, audio: Sequence[str], visual: Sequence[str], subtitles: Sequence[str]
    ) -> Iterator[Mapping[int, str]]:
        """Texts by position, each as soon as it is there, so that a killed run keeps it; all at once from `merge` by default."""
        yield dict(enumerate(self.merge(audio, visual, subtitles)))

    def check(self) -> None:  # noqa: B027 - most have nothing to check
        """Called before a clip is read whose clues it will merge; by default all is well. See `CueDescriber.check`."""

    @abstractmethod
    def identity(self) -> str:
        """Name, model revision and prompt hash; written beside every merged text."""


@dataclass(frozen=True)
class Transcript:
    """What is said in a clip.

    Attributes:
        text: The words; empty where nobody speaks.
        language: Code such as `en` or `zh`; empty where it is not known.
    """

    text: str
    language: str = ""


class Transcriber(ABC):
    """Writes what is said in a clip, for clips without a subtitle."""

    @abstractmethod
    def transcribe(self, batch: ClipBatch) -> list[Transcript]:
        """One transcript a clip, from the stream `audio`; an empty text for a clip without sound."""

    def check(self) -> None:  # noqa: B027 - most have nothing to check
        """Called before the first clip is read; by default all is well. See `CueDescriber.check`."""

    @abstractmethod
    def identity(self) -> str:
        """Name, model revision and options; written beside every transcript as its source."""
