"""Contracts: what each part must provide, and the typed batches that pass between parts. Imports torch only."""

from affect_lightning.contracts.clips import ClipBatch, ClipRecord, StreamReader
from affect_lightning.contracts.conformance import ConformanceError
from affect_lightning.contracts.network_parts import (
    AudioEncoder,
    BranchCompression,
    Encoder,
    LanguageModel,
    PreFusion,
    SeriesEncoder,
    VideoEncoder,
)
from affect_lightning.contracts.objectives import LossTerm, NetworkOutputs, Objective, TrainedNetwork
from affect_lightning.contracts.pipeline_parts import (
    CueDescriber,
    FaceBox,
    FaceDetector,
    LabelExtractor,
    ResponseRow,
    RunData,
    Sentiment,
    run_data_of,
)
from affect_lightning.contracts.streams import STREAMS, FeatureSequence, Stream, StreamInput

__all__ = [
    "STREAMS",
    "AudioEncoder",
    "BranchCompression",
    "ClipBatch",
    "ClipRecord",
    "ConformanceError",
    "CueDescriber",
    "Encoder",
    "FaceBox",
    "FaceDetector",
    "FeatureSequence",
    "LabelExtractor",
    "LanguageModel",
    "LossTerm",
    "NetworkOutputs",
    "Objective",
    "PreFusion",
    "ResponseRow",
    "RunData",
    "Sentiment",
    "SeriesEncoder",
    "Stream",
    "StreamInput",
    "StreamReader",
    "TrainedNetwork",
    "VideoEncoder",
    "run_data_of",
]


def __dir__() -> list[str]:
    return sorted(__all__)
