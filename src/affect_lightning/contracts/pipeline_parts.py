"""What the parts outside the network must provide, and what the parts of a run hand to each other.

Paper: Appendix E (labels and sentiment from free-form responses). Face detectors and label extractors are plugins. In
`test` and `predict` the training module makes a `ResponseRow` for each response, and `unibench.callback` takes it. The
data module is the `RunData` that both ask, as the training monitor does.
`network_parts.py` has the parts of the network, `describers.py` models of others. Legend: T frames, H height, W width in pixels.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

import numpy as np

if TYPE_CHECKING:
    from affect_lightning.contracts.clips import ClipBatch
    from affect_lightning.contracts.prompt_tokens import PromptTokens


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
        uses_gpu: True for one that computes on a GPU; worker processes that are forked cannot run it.
    """

    finds_faces: bool = True
    uses_gpu: bool = False

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


@dataclass(frozen=True)
class OpenQuestions:
    """What a step of reading responses would still ask a model.

    Attributes:
        count: Questions without an answer so far.
        answered: Answers that are kept.
        characters: Of these answers altogether.
    """

    count: int
    answered: int = 0
    characters: int = 0


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

    def open_questions(self, responses: Sequence[str]) -> Mapping[str, OpenQuestions]:
        """What reading these responses would ask a model, by step; asks nothing. By default no model is asked."""
        return {}

    def check(self) -> None:  # noqa: B027 - most have nothing to check
        """Called before the work begins whose responses it will read; by default all is well.

        Raises:
            AffectLightningError: It will not answer, such as a server to which texts may not be sent.
        """

    @abstractmethod
    def identity(self) -> str:
        """Name, model revision and prompt hash; written next to every score."""


OPTIONS_KEY = "response_options"
"""Entry of a checkpoint: what changes a response beside the network, in the sections `data` (the data module's
`response_options()`) and `benchmark`; exported folders keep it."""


@dataclass  # not frozen: Lightning takes the outputs of a step apart and refuses frozen ones
class ResponseRow:
    """A response with the clip's truth next to it. A test or predict step returns a list of them.

    Attributes:
        name: Of the clip, unique within its corpus.
        corpus: Key of the set, such as `meld`.
        question: What was asked.
        response: What the model answered, unchanged.
        truth_labels: True emotion words; empty where there are none.
        truth_sentiment: True sentiment value in the unit of the set; None where there is none.
        valid: False for a clip that only fills up a batch; its row is dropped.
    """

    name: str
    corpus: str
    question: str
    response: str
    truth_labels: tuple[str, ...] = ()
    truth_sentiment: float | None = None
    valid: bool = True

    @classmethod
    def of_batch(cls, batch: ClipBatch, questions: Sequence[str], responses: Sequence[str]) -> list[ResponseRow]:
        """A row for each clip of a batch, given one question and one response a clip."""
        return [
            cls(record.name, record.corpus, question, response, record.labels, record.sentiment, valid)
            for record, question, response, valid in zip(
                batch.records, questions, responses, batch.valid.tolist(), strict=True
            )
        ]


@runtime_checkable
class RunData(Protocol):
    """What a run asks of its data module besides loaders.

    A data module of your own that offers all of it is asked; of any other nothing is known, and a run continues without.
    """

    @property
    def feature_widths(self) -> Mapping[str, int] | None:
        """Width by stream of the features that batches bring; None if the model encodes live."""
        ...

    @property
    def benchmark_root(self) -> Path | None:
        """Folder of the benchmark sets, in which a generated corpus describes itself."""
        ...

    def counts(self) -> Mapping[str, Mapping[str, int]]:
        """What the loaders of each split met so far, such as frames and frames without a face."""
        ...

    def quarantined(self, split: str | None = None) -> Sequence[Mapping[str, str]]:
        """The clips of a split, or of all, that could not be read: name, corpus, path, stage and reason of each."""
        ...


@runtime_checkable
class DividesTest(Protocol):
    """What a data module must offer so that several machines can divide a test (`--part`)."""

    def test_facts(self) -> Mapping[str, Any]:
        """What all parts must agree on: the clips and the options that change a batch; JSON values by name."""
        ...

    def share_test(
        self, choose: Callable[[Sequence[int]], Sequence[int]], answered: frozenset[tuple[str, str]]
    ) -> None:
        """Answer only some batches of the test.

        Args:
            choose: Takes those of this part out of the numbers of all batches.
            answered: Corpus and name of clips that have a response already; a batch of such clips may be left out.
        """
        ...


def run_data_of(trainer: Any) -> RunData | None:
    """The data module of a Trainer if it is a `RunData`; None without one, and without a Trainer."""
    found = getattr(trainer, "datamodule", None)
    return found if isinstance(found, RunData) else None


def prompt_maker_of(trainer: Any) -> Callable[[ClipBatch], PromptTokens] | None:
    """What tokenises the batches to learn from where they are put together, if the module of a Trainer offers it.

    It is the module's method `prompt_maker()`, or None. What it gives is sent to worker processes, so it must pickle.
    """
    offered = getattr(getattr(trainer, "lightning_module", None), "prompt_maker", None)
    return offered() if callable(offered) else None
