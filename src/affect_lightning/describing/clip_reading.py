"""Reading clips for a part that is asked about them, without Lightning: the loader of `data` with that part's options.

Paper: Section 2.1 (clips of a raw data set). `answering.py` reads benchmark sets through the data module; here are clips
of one's own, and only what one part wants of them. `cues.py` asks.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from typing import Any

from affect_lightning.contracts import ClipRecord
from affect_lightning.data.box_cache import BoxCache
from affect_lightning.data.dataset import ClipDataset, ReadingOptions, built_readers
from affect_lightning.data.faces import MARGIN, FaceCropper, FacePolicy
from affect_lightning.data.loading import ClipLoader
from affect_lightning.data.ordering import BatchPlan
from affect_lightning.data.quarantine import BadClip, Quarantine
from affect_lightning.data.reading_workers import ReadingWorkers
from affect_lightning.errors import ConfigurationError
from affect_lightning.plugin_loading import build_part

_ITS_OWN = {"streams", "readers", "face_policy", "frame_count"}  # fields that options of another name fill
_OTHERS = ("frames", "face_detector", "stream_readers", "frame_without_face", "clip_without_face", "cache_folder")


@dataclass(frozen=True)
class GivenQuestion:
    """Asks every clip the same text.

    Attributes:
        text: Of the question.
    """

    text: str

    def ask(self, record: ClipRecord, epoch: int, index: int) -> tuple[str, str]:
        """The question, and an empty response."""
        return self.text, ""


@dataclass(frozen=True)
class ClipReading:
    """How clips come to a part.

    Attributes:
        streams: That are read.
        wanted: Options of the data module that the part wants (`CueDescriber.reading`).
        batch_size: Clips read and asked together.
        workers: Processes that read; 0 reads in this one.
    """

    streams: Sequence[str]
    wanted: Mapping[str, Any]
    batch_size: int = 8
    workers: int = 0

    def __post_init__(self) -> None:
        known = [*(item.name for item in fields(ReadingOptions) if item.name not in _ITS_OWN), *_OTHERS]
        unknown = [name for name in self.wanted if name not in known]
        if unknown:
            raise ConfigurationError(
                f"Choose another describer: this one wants its clips read with {', '.join(unknown)}; clips of your own are "
                f"read with {', '.join(known)}."
            )

    @contextmanager
    def loader(self, records: Sequence[ClipRecord], question: str) -> Iterator[ClipLoader]:
        """Batches of clips in their order; `left_out` tells which could not be read. At the end, workers are ended."""
        plain = {name: value for name, value in self.wanted.items() if name not in _OTHERS}
        options = ReadingOptions(
            streams=frozenset(self.streams),
            readers=built_readers(self.streams, self.wanted.get("stream_readers") or {}),
            face_policy=FacePolicy(
                self.wanted.get("frame_without_face", FacePolicy.frame),
                self.wanted.get("clip_without_face", FacePolicy.clip),
            ),
            **plain | ({"frame_count": self.wanted["frames"]} if "frames" in self.wanted else {}),
        )
        readers = ReadingWorkers(self.workers).for_clips(len(records))
        loader = ClipLoader(
            ClipDataset(records, options, GivenQuestion(question), self._cropper(records, options, readers)),
            BatchPlan(len(records), self.batch_size),
            Quarantine(max_bad_share=1.0),
            readers=readers,
        )
        try:
            yield loader
        finally:
            loader.close()

    def _cropper(
        self, records: Sequence[ClipRecord], options: ReadingOptions, readers: ReadingWorkers
    ) -> FaceCropper | None:
        if "face" not in options.streams or all(record.face is not None for record in records):
            return None
        detector = readers.able_to_run(build_part("face_detectors", self.wanted.get("face_detector", "centerface")))
        folder = self.wanted.get("cache_folder")
        return FaceCropper(
            detector, options.crop_size, BoxCache(folder), MARGIN, options.face_policy, options.frame_choice
        )


def left_out(loader: ClipLoader) -> list[BadClip]:
    """The clips that could not be read so far."""
    return loader.quarantine.clips
