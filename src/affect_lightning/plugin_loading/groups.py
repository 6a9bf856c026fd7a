"""The entry-point groups and the contract of each. Standard library only: listing must stay fast."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Any

ENTRY_POINT_PREFIX = "affect_lightning."


@dataclass(frozen=True)
class PluginGroup:
    """One kind of part.

    Attributes:
        name: Short name, such as `pre_fusions`.
        part: What one member is called in a sentence, such as `pre-fusion`; also the option's name with `_`.
        contract: Class in `affect_lightning.contracts` that a member must inherit from.
        supplied: Constructor arguments that the core supplies, in order; they are no options.
    """

    name: str
    part: str
    contract: str
    supplied: tuple[str, ...] = ()

    @property
    def entry_point_group(self) -> str:
        """The group's name as distributions write it."""
        return ENTRY_POINT_PREFIX + self.name

    @property
    def option(self) -> str:
        """The name of the option that chooses a member, such as `pre_fusion`."""
        return self.part.replace("-", "_").replace(" ", "_")

    def contract_class(self) -> Any:
        """The contract, imported now."""
        return getattr(importlib.import_module("affect_lightning.contracts"), self.contract)


GROUPS: dict[str, PluginGroup] = {
    group.name: group
    for group in (
        PluginGroup("video_encoders", "video encoder", "VideoEncoder"),
        PluginGroup("audio_encoders", "audio encoder", "AudioEncoder"),
        PluginGroup("series_encoders", "series encoder", "SeriesEncoder"),
        PluginGroup("streams", "stream", "StreamReader"),
        PluginGroup("pre_fusions", "pre-fusion", "PreFusion", supplied=("stream_widths",)),
        PluginGroup("language_models", "language model", "LanguageModel"),
        PluginGroup("objectives", "objective", "Objective"),
        PluginGroup("face_detectors", "face detector", "FaceDetector"),
        PluginGroup("label_extractors", "label extractor", "LabelExtractor"),
        PluginGroup("cue_describers", "cue describer", "CueDescriber"),
    )
}
