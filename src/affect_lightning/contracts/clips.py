"""ClipRecord and ClipBatch: a clip as listed, and a batch of clips as decoded.

`data` makes both, `model` reads the batch, `unibench` reads the records' truth.
Legend: B clips, T frames, S audio samples, H height and W width in pixels.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from affect_lightning.contracts.features import FeatureSequence
from affect_lightning.errors import ContractError


@dataclass(frozen=True)
class ClipRecord:
    """One annotated clip, as a reader found it on disk. Nothing is decoded yet.

    Attributes:
        name: Unique within its corpus; the key of every annotation file.
        corpus: Name of the set, such as `mer-caption-plus` or `meld`.
        video: Video file, or None for a set without pictures.
        audio: Sound file; None means the video's own track.
        face: Released face crops (`openface_face/NAME/NAME.npy`), if there are any.
        subtitle_english: What is said, in English; empty when nothing is said.
        subtitle_chinese: What is said, in Chinese.
        labels: Open-vocabulary emotion words, or the one basic emotion of a categorical set.
        description: The reasoned description (target of the first question); empty if there is none.
        sentiment: Sentiment value in the unit of its corpus ([-3, 3] or [-1, 1]); None if there is none.
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


@dataclass
class ClipBatch:
    """A batch of decoded clips with the question that each is asked and the response that is wanted.

    Attributes:
        records: The B clips.
        questions: One question a clip, without placeholders.
        responses: The wanted response a clip; empty strings where none is known (test, predict).
        subtitles: The subtitle shown in the prompt, in the language chosen; empty strings are allowed.
        face: Face crops, uint8 [B, T, 3, H, W] in RGB, or None when the stream is not read.
        frame: Whole pictures, uint8 [B, T, 3, H, W] in RGB, or None when the stream is not read.
        frame_mask: True where a frame is real [B, T], bool; None when neither face nor frame is read.
        waveform: Mono sound in [-1, 1], float32 [B, S], padded with zeros at the end; None when not read.
        waveform_lengths: Real samples a clip [B], int64.
        sample_rate: Of `waveform`, in Hz.
        valid: False for a clip that only fills up the last batch of a rank and must not be scored [B], bool.
        features: What the frozen encoders give for these clips, by stream, if it was read from a cache; pictures and
            sound are None then.
    """

    records: list[ClipRecord]
    questions: list[str]
    responses: list[str]
    subtitles: list[str]
    face: Tensor | None = None
    frame: Tensor | None = None
    frame_mask: Tensor | None = None
    waveform: Tensor | None = None
    waveform_lengths: Tensor | None = None
    sample_rate: int = 16_000
    valid: Tensor = field(default_factory=lambda: torch.ones(0, dtype=torch.bool))
    features: dict[str, FeatureSequence] | None = None

    def __post_init__(self) -> None:
        count = len(self.records)
        if self.valid.numel() == 0:
            self.valid = torch.ones(count, dtype=torch.bool)
        for name in ("questions", "responses", "subtitles", "face", "frame", "frame_mask", "waveform", "valid"):
            value = getattr(self, name)
            if value is not None and len(value) != count:
                raise ContractError(f"ClipBatch.{name} has {len(value)} entries for {count} clips; they must be equal.")
        for name, stream in (self.features or {}).items():
            if len(stream.mask) != count:
                raise ContractError(
                    f"ClipBatch.features[{name!r}] has {len(stream.mask)} entries for {count} clips; they must be equal."
                )
        for name in ("face", "frame"):
            value = getattr(self, name)
            if value is not None and (value.dtype != torch.uint8 or value.ndim != 5 or value.shape[2] != 3):
                raise ContractError(
                    f"ClipBatch.{name} must be uint8 [B, T, 3, H, W]; got {value.dtype} {list(value.shape)}."
                )
        if self.waveform is not None and (self.waveform.ndim != 2 or self.waveform_lengths is None):
            raise ContractError(
                f"ClipBatch.waveform must be float [B, S] with waveform_lengths [B]; got {list(self.waveform.shape)} "
                f"and {'lengths' if self.waveform_lengths is not None else 'no lengths'}."
            )

    def __len__(self) -> int:
        return len(self.records)

    @property
    def names(self) -> list[str]:
        """Names of the clips, for messages."""
        return [record.name for record in self.records]

    def to(self, device: torch.device | str, **options: Any) -> ClipBatch:
        """Move every tensor to `device`; Lightning calls this."""
        return self._with_each(lambda value: value.to(device, **options))

    def pin_memory(self) -> ClipBatch:
        """Pin every tensor; torch's loader calls this."""
        return self._with_each(lambda value: value.pin_memory())

    def _with_each(self, change: Callable[[Any], Any]) -> ClipBatch:
        """The batch with every tensor and every stream of features changed."""
        changed: dict[str, Any] = {
            item.name: change(value) for item in fields(self) if isinstance(value := getattr(self, item.name), Tensor)
        }
        if self.features is not None:
            changed["features"] = {name: change(stream) for name, stream in self.features.items()}
        return replace(self, **changed)
