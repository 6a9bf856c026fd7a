"""Parts of the loader's workers and of scoring, and streams, that each break one promise; see broken_networks.py."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from affect_lightning.contracts import (
    ClipBatch,
    ClipRecord,
    ClueMerger,
    CueDescriber,
    FaceBox,
    FaceDetector,
    FeatureSequence,
    LabelExtractor,
    LossTerm,
    Objective,
    Sentiment,
    SeriesEncoder,
    StreamReader,
    TrainedNetwork,
    Transcriber,
    Transcript,
)

BROKEN: dict[str, dict[str, str]] = {
    "face_detectors": {
        "BoxesAsTuples": "shapes",
        "WorstFirst": "shapes",
        "PaintsOver": "shapes",
        "BrightestOfAll": "batch-invariance",
        "HoldsALambda": "pickling",
        "NamedByAddress": "identity",
        "TwoLines": "identity",
    },
    "objectives": {"CutOff": "terms", "BareTensor": "terms", "CountsClips": "items", "LearnsFillers": "items"},
    "series_encoders": {"RealWhereNothingIs": "shapes", "AveragesPadding": "mask-invariance"},
    "streams": {
        "RowsFromNowhere": "files",
        "FilesAsTexts": "files",
        "HeardStream": "files",
        "RowsWithALambda": "files",
    },
    "label_extractors": {
        "OneListTooFew": "shapes",
        "WordsTwice": "shapes",
        "OwnSentiments": "shapes",
        "Remembers": "batch-invariance",
    },
    "cue_describers": {
        "OneTextTooFew": "shapes",
        "LoudnessOfPadding": "mask-invariance",
        "LouderThanOthers": "batch-invariance",
        "LooksSecretly": "announced-streams",
        "AnswersOnlyOne": "shapes",
    },
    "clue_mergers": {
        "InventsClues": "shapes",
        "MergesNeighbours": "batch-invariance",
    },
    "transcribers": {
        "TextsForTranscripts": "shapes",
        "HearsSilence": "shapes",
        "HearsPadding": "mask-invariance",
        "HearsNeighbours": "batch-invariance",
    },
}
GOOD = {
    "face_detectors": "GoodFinder",
    "label_extractors": "GoodWords",
    "cue_describers": "GoodCues",
    "clue_mergers": "GoodMerger",
    "transcribers": "GoodEars",
    "objectives": "GoodAim",
    "series_encoders": "GoodRowEncoder",
    "streams": "GoodRows",
}
_COUNTER = itertools.count()


class GoodFinder(FaceDetector):
    """Boxes of bright frames, in the middle.

    Args:
        least: Brightness from which on there is a face.
    """

    def __init__(self, least: float = 20.0) -> None:
        self.least = least

    def detect(self, frames: np.ndarray) -> list[list[FaceBox]]:
        height, width = frames.shape[1:3]
        first = FaceBox(0.1 * width, 0.1 * height, 0.5 * width, 0.5 * height, 0.9)
        second = FaceBox(0.2 * width, 0.3 * height, 0.4 * width, 0.9 * height, 0.4)
        return [[first, second] if frame.mean() > self.least else [] for frame in frames]

    def identity(self) -> str:
        return f"good {self.least}"


class BoxesAsTuples(GoodFinder):
    """Gives plain numbers."""

    def detect(self, frames: np.ndarray) -> list[list[FaceBox]]:
        return [[(0, 0, 1, 1, 0.5)] for _ in frames]  # type: ignore[list-item]


class WorstFirst(GoodFinder):
    """Gives the worst box first."""

    def detect(self, frames: np.ndarray) -> list[list[FaceBox]]:
        return [boxes[::-1] for boxes in super().detect(frames)]


class PaintsOver(GoodFinder):
    """Writes into the frames."""

    def detect(self, frames: np.ndarray) -> list[list[FaceBox]]:
        found = super().detect(frames)
        frames[:, :1] = 0
        return found


class BrightestOfAll(GoodFinder):
    """Sees faces in the brightest frame of those given together only."""

    def detect(self, frames: np.ndarray) -> list[list[FaceBox]]:
        found = super().detect(frames)
        best = int(np.argmax([frame.mean() for frame in frames])) if len(frames) else 0
        return [boxes if index == best else [] for index, boxes in enumerate(found)]


class HoldsALambda(GoodFinder):
    """Does not pickle."""

    def __init__(self) -> None:
        super().__init__()
        self.rule = lambda score: score > 0.5


class NamedByAddress(GoodFinder):
    """Is another one each time."""

    def __init__(self) -> None:
        super().__init__()
        self.number = next(_COUNTER)

    def identity(self) -> str:
        return f"finder {self.number}"


class TwoLines(GoodFinder):
    """Has an identity of two lines."""

    def identity(self) -> str:
        return "finder\nof faces"


class GoodWords(LabelExtractor):
    """Finds two words."""

    def extract(self, responses: Sequence[str]) -> list[list[str]]:
        return [[word for word in ("happy", "angry") if word in response] for response in responses]

    def sentiment(self, labels: Sequence[Sequence[str]]) -> list[Sentiment]:
        return ["positive" if "happy" in words else "neutral" for words in labels]

    def identity(self) -> str:
        return "words"


class OneListTooFew(GoodWords):
    """Leaves responses without words out."""

    def extract(self, responses: Sequence[str]) -> list[list[str]]:
        return [words for words in super().extract(responses) if words]


class WordsTwice(GoodWords):
    """Repeats words."""

    def extract(self, responses: Sequence[str]) -> list[list[str]]:
        return [words * 2 for words in super().extract(responses)]


class OwnSentiments(GoodWords):
    """Calls sentiments otherwise."""

    def sentiment(self, labels: Sequence[Sequence[str]]) -> list[Sentiment]:
        return ["good" for _ in labels]  # type: ignore[misc]


class Remembers(GoodWords):
    """Answers by what it was asked before."""

    last = ""

    def extract(self, responses: Sequence[str]) -> list[list[str]]:
        found = []
        for response in responses:
            found.append(["happy"] if "happy" in self.last else [])
            self.last = response
        return [words if response else [] for words, response in zip(found, responses, strict=True)]


class GoodCues(CueDescriber):
    """Says how loud a clip is."""

    modality = "audio"

    def levels(self, batch: ClipBatch) -> list[float]:
        sound = batch.streams["audio"]
        pairs = zip(sound.values, sound.lengths.tolist(), strict=True)
        return [float(samples[:length].abs().mean()) for samples, length in pairs]

    def describe(self, batch: ClipBatch) -> list[str]:
        return [f"Level {level:.3f}." for level in self.levels(batch)]

    def identity(self) -> str:
        return "cues"


class OneTextTooFew(GoodCues):
    """Says nothing about the last clip."""

    def describe(self, batch: ClipBatch) -> list[str]:
        return super().describe(batch)[:-1]


class LoudnessOfPadding(GoodCues):
    """Hears what lies beyond a clip's length."""

    def levels(self, batch: ClipBatch) -> list[float]:
        sound = batch.streams["audio"]
        whole = replace(sound, mask=torch.ones_like(sound.mask))
        return super().levels(replace(batch, streams={**batch.streams, "audio": whole}))


class LouderThanOthers(GoodCues):
    """Compares the clips of a batch."""

    def levels(self, batch: ClipBatch) -> list[float]:
        levels = super().levels(batch)
        return [level / max(levels) for level in levels]


class LooksSecretly(GoodCues):
    """Takes the pictures into account where they are there."""

    def describe(self, batch: ClipBatch) -> list[str]:
        seen = " And a picture." if "frame" in batch.streams else ""
        return [text + seen for text in super().describe(batch)]


class AnswersOnlyOne(GoodCues):
    """Forgets all but the first when asked for them one by one."""

    def answers(self, batch: ClipBatch) -> Iterator[Mapping[int, str]]:
        yield {0: self.describe(batch)[0]}


class GoodMerger(ClueMerger):
    """Puts texts one after the other."""

    def merge(self, audio: Sequence[str], visual: Sequence[str], subtitles: Sequence[str]) -> list[str]:
        return [" ".join(filter(None, clues)) for clues in zip(audio, visual, subtitles, strict=True)]

    def identity(self) -> str:
        return "merger"


class InventsClues(GoodMerger):
    """Says something of nothing."""

    def merge(self, audio: Sequence[str], visual: Sequence[str], subtitles: Sequence[str]) -> list[str]:
        return [text or "A person." for text in super().merge(audio, visual, subtitles)]


class MergesNeighbours(GoodMerger):
    """Counts the clips of the batch."""

    def merge(self, audio: Sequence[str], visual: Sequence[str], subtitles: Sequence[str]) -> list[str]:
        return [f"{text} {len(audio)}" if text else "" for text in super().merge(audio, visual, subtitles)]


class GoodEars(Transcriber):
    """Says how long a clip is."""

    def seconds(self, batch: ClipBatch) -> list[float]:
        sound = batch.streams["audio"]
        return [length / (sound.sample_rate or 1) for length in sound.lengths.tolist()]

    def transcribe(self, batch: ClipBatch) -> list[Transcript]:
        return [Transcript(f"{one:.2f} seconds" if one else "", "en") for one in self.seconds(batch)]

    def identity(self) -> str:
        return "ears"


class TextsForTranscripts(GoodEars):
    """Gives plain texts."""

    def transcribe(self, batch: ClipBatch) -> Any:
        return [one.text for one in super().transcribe(batch)]


class HearsSilence(GoodEars):
    """Has words for a clip without sound."""

    def transcribe(self, batch: ClipBatch) -> list[Transcript]:
        return [Transcript(f"{one:.2f} seconds", "en") for one in self.seconds(batch)]


class HearsPadding(GoodEars):
    """Hears what lies beyond a clip's length."""

    def transcribe(self, batch: ClipBatch) -> list[Transcript]:
        levels = batch.streams["audio"].values.abs().mean(dim=1).tolist()
        kept = super().transcribe(batch)
        return [Transcript(one.text and f"{level:.3f}", "en") for one, level in zip(kept, levels, strict=True)]


class HearsNeighbours(GoodEars):
    """Compares the clips of a batch."""

    def seconds(self, batch: ClipBatch) -> list[float]:
        found = super().seconds(batch)
        return [one / (max(found) or 1.0) for one in found]


class GoodRows(StreamReader):
    """Rows out of a file beside the video.

    Args:
        ending: Of the file's name.
    """

    def __init__(self, ending: str = ".npy") -> None:
        self.ending = ending

    def files(self, record: ClipRecord) -> dict[str, Path]:
        assert record.video is not None
        return {"rows": record.video.with_suffix(self.ending)}

    def read(self, record: ClipRecord) -> np.ndarray:
        return np.load(self.files(record)["rows"], allow_pickle=False)

    def identity(self) -> str:
        return f"rows {self.ending}"


class RowsFromNowhere(GoodRows):
    """Gives rows where there is no file."""

    def read(self, record: ClipRecord) -> np.ndarray:
        return np.zeros((5, 3), np.float32)


class FilesAsTexts(GoodRows):
    """Names its files by texts."""

    def files(self, record: ClipRecord) -> dict[str, Any]:
        return {"rows": str(record.video)}


class HeardStream(GoodRows):
    """Announces a kind that no reader may have."""

    kind = "sound"


class RowsWithALambda(GoodRows):
    """Does not pickle."""

    def __init__(self) -> None:
        super().__init__()
        self.change = lambda rows: rows


class GoodRowEncoder(SeriesEncoder):
    """Doubles every row.

    Args:
        width: Values a row.
    """

    def __init__(self, width: int = 3) -> None:
        super().__init__()
        self.input_width = self.feature_width = width

    def forward(self, values: Tensor, mask: Tensor) -> FeatureSequence:
        return FeatureSequence(2 * values.masked_fill(~mask.unsqueeze(-1), 0.0), mask)


class RealWhereNothingIs(GoodRowEncoder):
    """Gives real tokens for rows that are not real."""

    def forward(self, values: Tensor, mask: Tensor) -> FeatureSequence:
        return FeatureSequence(super().forward(values, mask).tokens, torch.ones_like(mask))


class AveragesPadding(GoodRowEncoder):
    """Subtracts the average of all rows, padding included."""

    def forward(self, values: Tensor, mask: Tensor) -> FeatureSequence:
        return super().forward(values - values.mean(dim=1, keepdim=True), mask)


class GoodAim(Objective):
    """The response loss."""

    def terms(self, network: TrainedNetwork, batch: ClipBatch) -> Any:
        return {"aim": network.response_loss(network.outputs(batch), batch.valid)}


class CutOff(GoodAim):
    """Gives a loss that nothing learns from."""

    def terms(self, network: TrainedNetwork, batch: ClipBatch) -> Any:
        term = super().terms(network, batch)["aim"]
        return {"aim": term._replace(mean=term.mean.detach())}


class BareTensor(GoodAim):
    """Gives a loss without a name and without items."""

    def terms(self, network: TrainedNetwork, batch: ClipBatch) -> Any:
        return super().terms(network, batch)["aim"].mean


class CountsClips(GoodAim):
    """Calls a mean over tokens a mean over clips."""

    def terms(self, network: TrainedNetwork, batch: ClipBatch) -> Any:
        return {"aim": super().terms(network, batch)["aim"]._replace(items=batch.valid.sum())}


class LearnsFillers(GoodAim):
    """Learns from clips that are not valid."""

    def terms(self, network: TrainedNetwork, batch: ClipBatch) -> Any:
        outputs = network.outputs(batch)
        mean, items, _ = network.response_loss(outputs, torch.ones_like(batch.valid))
        return {"aim": LossTerm(mean, items)}
