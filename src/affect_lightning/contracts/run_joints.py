"""What the parts of a run hand to each other: responses from the model to the benchmark, and what the data module tells.

`model.module` makes `ResponseRow`s in test and predict, `unibench.callback` takes them; `data.module` is the `RunData`
that both, and the training monitor, ask.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from affect_lightning.contracts.clips import ClipBatch

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


def run_data_of(trainer: Any) -> RunData | None:
    """The data module of a Trainer if it is a `RunData`; None without one, and without a Trainer."""
    found = getattr(trainer, "datamodule", None)
    return found if isinstance(found, RunData) else None
