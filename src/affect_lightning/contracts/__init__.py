"""Contracts: what each part must provide, and the typed batches that pass between parts. Imports torch only."""

from affect_lightning.contracts.clips import ClipBatch, ClipRecord
from affect_lightning.contracts.conformance import ConformanceError
from affect_lightning.contracts.cues import CueDescriber
from affect_lightning.contracts.encoders import AudioEncoder, Encoder, SeriesEncoder, VideoEncoder
from affect_lightning.contracts.faces import FaceBox, FaceDetector
from affect_lightning.contracts.features import FeatureSequence
from affect_lightning.contracts.fusion import PreFusion
from affect_lightning.contracts.labels import LabelExtractor, Sentiment
from affect_lightning.contracts.language import LanguageModel
from affect_lightning.contracts.objectives import LossTerm, NetworkOutputs, Objective, TrainedNetwork
from affect_lightning.contracts.run_joints import ResponseRow, RunData, run_data_of
from affect_lightning.contracts.stream_readers import StreamReader
from affect_lightning.contracts.streams import STREAMS, Stream, StreamInput

__all__ = [
    "STREAMS",
    "AudioEncoder",
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
