"""Contracts: what each part must provide, and the typed batches that pass between parts. Imports torch only.

A name is imported when it is first asked for, so that what needs no torch, such as scoring saved outputs, loads none.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from affect_lightning.contracts.clips import ClipBatch, ClipRecord, StreamReader
    from affect_lightning.contracts.describers import ClueMerger, CueDescriber, Transcriber, Transcript
    from affect_lightning.contracts.label_checks import ConformanceError
    from affect_lightning.contracts.network_parts import (
        AudioEncoder,
        BranchCompression,
        Encoder,
        LanguageModel,
        PreFusion,
        PromptText,
        SeriesEncoder,
        VideoEncoder,
    )
    from affect_lightning.contracts.objectives import LossTerm, NetworkOutputs, Objective, TokenScores, TrainedNetwork
    from affect_lightning.contracts.pipeline_parts import (
        FaceBox,
        FaceDetector,
        LabelExtractor,
        OpenQuestions,
        ResponseRow,
        RunData,
        Sentiment,
        prompt_maker_of,
        run_data_of,
    )
    from affect_lightning.contracts.prompt_tokens import IGNORED_LABEL, PromptTokens, RowLayout
    from affect_lightning.contracts.rewards import Reward, SampledResponse
    from affect_lightning.contracts.speakers import FaceWithSound, SpeakerDetector, SpeakerScore
    from affect_lightning.contracts.streams import STREAMS, FeatureSequence, Stream, StreamInput

__all__ = [
    "IGNORED_LABEL",
    "STREAMS",
    "AudioEncoder",
    "BranchCompression",
    "ClipBatch",
    "ClipRecord",
    "ClueMerger",
    "ConformanceError",
    "CueDescriber",
    "Encoder",
    "FaceBox",
    "FaceDetector",
    "FaceWithSound",
    "FeatureSequence",
    "LabelExtractor",
    "LanguageModel",
    "LossTerm",
    "NetworkOutputs",
    "Objective",
    "OpenQuestions",
    "PreFusion",
    "PromptText",
    "PromptTokens",
    "ResponseRow",
    "Reward",
    "RowLayout",
    "RunData",
    "SampledResponse",
    "Sentiment",
    "SeriesEncoder",
    "SpeakerDetector",
    "SpeakerScore",
    "Stream",
    "StreamInput",
    "StreamReader",
    "TokenScores",
    "TrainedNetwork",
    "Transcriber",
    "Transcript",
    "VideoEncoder",
    "prompt_maker_of",
    "run_data_of",
]

_MODULES = {
    "clips": "ClipBatch ClipRecord StreamReader",
    "describers": "ClueMerger CueDescriber Transcriber Transcript",
    "label_checks": "ConformanceError",
    "network_parts": "AudioEncoder BranchCompression Encoder LanguageModel PreFusion PromptText SeriesEncoder "
    "VideoEncoder",
    "objectives": "LossTerm NetworkOutputs Objective TokenScores TrainedNetwork",
    "pipeline_parts": "FaceBox FaceDetector LabelExtractor OpenQuestions ResponseRow RunData Sentiment prompt_maker_of "
    "run_data_of",
    "prompt_tokens": "IGNORED_LABEL PromptTokens RowLayout",
    "rewards": "Reward SampledResponse",
    "speakers": "FaceWithSound SpeakerDetector SpeakerScore",
    "streams": "STREAMS FeatureSequence Stream StreamInput",
}
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names.split()}


def __getattr__(name: str) -> Any:
    """Import what was asked for."""
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
