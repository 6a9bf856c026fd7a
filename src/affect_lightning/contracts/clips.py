"""A clip as listed, the contract of a reader of one of its streams, and a batch of clips as decoded.

`data` makes records and batches, `model` reads the batch, `unibench` reads the records' truth. A third party adds a
stream, such as body pose or heart rate, with a reader (ours; the paper has four streams). `streams.py` has the table,
`network_parts.py` the contract of the encoder that the stream needs.
Legend: B clips, T steps of the stream, H height and W width in pixels, C values a step.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from affect_lightning.contracts.prompt_tokens import PromptTokens
from affect_lightning.contracts.streams import STREAMS, FeatureSequence, StreamInput, StreamKind, kind_of_values
from affect_lightning.errors import ContractError

if TYPE_CHECKING:
    import torch
    from torch import Tensor


@dataclass(frozen=True)
class ClipRecord:
    """One annotated clip, as a reader found it on disk. Nothing is decoded yet.

    Attributes:
        name: Unique within its corpus; the key of every annotation file.
        corpus: Name of the set, such as `mer-caption-plus` or `meld`.
        video: Video file, or None for a set without pictures.
        audio: Sound file; None means the video's own track.
        face: Released face crops (`openface_face/NAME.npy` or `openface_face/NAME/NAME.npy`), if there are any.
        subtitle_english: What is said, in English; empty when nothing is said.
        subtitle_chinese: What is said, in Chinese.
        labels: Open-vocabulary emotion words, or the one basic emotion of a categorical set.
        description: The reasoned description (target of the first question); empty if there is none.
        sentiment: Sentiment value in the unit of its corpus ([-3, 3] or [-1, 1]); None if there is none.
        span: Where a clip that is a part of its files starts and ends, in seconds; None for the whole.
        question: What the description answers, where a training set brings questions of its own; empty for ours.
    """

    name: str
    corpus: str
    video: Path | None = None
    audio: Path | None = None
    face: Path | None = None
    subtitle_english: str = ""
    subtitle_chinese: str = ""
    labels: tuple[str, ...] = ()
    description: str = ""
    sentiment: float | None = None
    span: tuple[float, float] | None = None
    question: str = ""


@dataclass
class ClipBatch:
    """A batch of decoded clips with the question that each is asked and the response that is wanted.

    Attributes:
        records: The B clips.
        questions: One question a clip, without placeholders.
        responses: The wanted response a clip; empty strings where none is known (test, predict).
        subtitles: The subtitle shown in the prompt, in the language chosen; empty strings are allowed.
        streams: What was read of each stream, by name; empty when only text is shown.
        valid: False for a clip that only fills up the last batch of a rank and must not be scored [B], bool.
        features: What the frozen encoders give for these clips, by stream, if it was read from a cache; `streams` is
            empty then.
        prompts: Questions and responses as tokens, if the loader made them. They count as long as the texts are those that they
            were made of.
    """

    records: list[ClipRecord]
    questions: list[str]
    responses: list[str]
    subtitles: list[str]
    streams: dict[str, StreamInput] = field(default_factory=dict)
    valid: Tensor = field(default_factory=lambda: _all_valid(0))
    features: dict[str, FeatureSequence] | None = None
    prompts: PromptTokens | None = None

    def __post_init__(self) -> None:
        count = len(self.records)
        if self.valid.numel() == 0:
            self.valid = _all_valid(count)
        self._teaches = bool(self.valid.any()) if self.valid.device.type == "cpu" else None
        listed: dict[str, Any] = {
            name: getattr(self, name) for name in ("questions", "responses", "subtitles", "valid")
        }
        listed |= {f"streams[{name!r}]": stream.mask for name, stream in self.streams.items()}
        listed |= {f"features[{name!r}]": stream.mask for name, stream in (self.features or {}).items()}
        for name, value in listed.items():
            if len(value) != count:
                raise ContractError(
                    f"ClipBatch.{name} has {len(value)} entries for {count} clips; the numbers must be equal."
                )
        for name, stream in self.streams.items():
            found = kind_of_values(stream.values)
            wanted = STREAMS[name].kind if name in STREAMS else found
            if wanted != found:
                raise ContractError(f"ClipBatch.streams[{name!r}] must hold {wanted}; got {found}.")

    def __len__(self) -> int:
        return len(self.records)

    @property
    def names(self) -> list[str]:
        """Names of the clips, for messages."""
        return [record.name for record in self.records]

    @property
    def teaches(self) -> bool:
        """Whether a clip is valid. Known before the batch moves to a device, so that nobody waits for that to say it."""
        return bool(self.valid.any()) if self._teaches is None else self._teaches

    def to(self, device: torch.device | str, **options: Any) -> ClipBatch:
        """Move every tensor to `device`; Lightning calls this. On the way to a GPU nobody waits, unless the options say so."""
        import torch

        options.setdefault("non_blocking", torch.device(device).type == "cuda")
        return self._changed(lambda value: value.to(device, **options), lambda stream: stream.to(device, **options))

    def pin_memory(self) -> ClipBatch:
        """Pin every tensor; torch's loader calls this."""
        return self.with_each(lambda value: value.pin_memory())

    def with_each(self, change: Callable[[Tensor], Tensor]) -> ClipBatch:
        """The batch with every tensor changed: those of streams, features and prompts too."""
        return self._changed(change, lambda stream: stream.with_each(change))

    def _changed(
        self, change: Callable[[Tensor], Tensor], change_stream: Callable[[StreamInput], StreamInput]
    ) -> ClipBatch:
        teaches = self.teaches
        features = self.features and {name: stream.with_each(change) for name, stream in self.features.items()}
        streams = {name: change_stream(stream) for name, stream in self.streams.items()}
        prompts = self.prompts and self.prompts.with_each(change)
        changed = replace(self, valid=change(self.valid), streams=streams, features=features, prompts=prompts)
        changed._teaches = teaches
        return changed


def _all_valid(count: int) -> Tensor:
    import torch

    return torch.ones(count, dtype=torch.bool)


class StreamReader(ABC):
    """Reads one stream of a clip. It runs in the loader's worker processes: it must pickle before its first use.

    The name of the entry point is the name of the stream.

    Attributes:
        kind: `series` for rows of numbers, such as the joints of a body in each frame, or `pictures`. It decides which
            encoders fit; see `streams.ENCODER_GROUPS`.
    """

    kind: StreamKind = "series"

    @abstractmethod
    def files(self, record: ClipRecord) -> Mapping[str, Path]:
        """The files that `read` opens, by a short role such as `joints`.

        A missing file is named where it should be. Cached features of a clip are made again when one of them changes.
        """

    @abstractmethod
    def read(self, record: ClipRecord) -> np.ndarray:
        """The stream of one clip.

        Returns:
            A series float32 [T, C], or pictures uint8 [T, H, W, 3] in RGB. T may differ from clip to clip, and is 0 for a
            clip that has nothing of this stream; C, H and W are the same for all clips.

        Raises:
            OSError: A file cannot be read. The clip goes to quarantine.
            ValueError: A file has another content than expected; the text says which. The clip goes to quarantine.
        """

    @abstractmethod
    def identity(self) -> str:
        """Name and options in one line: cached features are only reused under the same identity."""
