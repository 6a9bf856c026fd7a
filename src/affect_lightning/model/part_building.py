"""The parts of a network by name: encoders, pre-fusion and language model (paper, Section 3).

`affectgpt.py` composes them. What is drawn is drawn on the processor; the language model is built on torch's default
device, because its weights may be too large for the processor's memory.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from typing import Any

from affect_lightning.contracts import LanguageModel
from affect_lightning.model.branches import stream_widths
from affect_lightning.model.configuration import ModelConfiguration
from affect_lightning.model.encoding import build_encoders
from affect_lightning.plugin_loading import build_part, load_plugin_class
from affect_lightning.weights import drawing_on_the_processor, waiting_for_weights


def build_parts(
    configuration: ModelConfiguration, feature_widths: Mapping[str, int] | None, empty_language_model: bool
) -> dict[str, Any]:
    """Build the parts that the configuration needs, and no others.

    Args:
        configuration: Names the parts.
        feature_widths: Width of every encoded stream if the batches bring cached features: no encoder is built.
        empty_language_model: See `AffectGPT.from_configuration`.

    Returns:
        Arguments of `AffectGPT` beside the configuration.

    Raises:
        AffectLightningError: A part cannot be built; see its plugin.
    """
    encoders = build_encoders(configuration, () if feature_widths is not None else configuration.encoded_streams)
    widths = stream_widths(configuration, encoders, feature_widths)
    language_model = None
    fusion = None
    if configuration.fuses:
        fused = {name: widths[name] for name in configuration.fused_streams}
        if configuration.fuses_projected:
            language_model = _build_language_model(configuration, empty_language_model)
            fused = dict.fromkeys(fused, language_model.embedding_width)
        with drawing_on_the_processor():
            fusion = build_part("pre_fusions", configuration.pre_fusion, stream_widths=fused)
    if language_model is None:
        language_model = _build_language_model(configuration, empty_language_model)
    return {
        "language_model": language_model,
        "encoders": encoders,
        "pre_fusion": fusion,
        "feature_widths": widths,
    }


def _build_language_model(configuration: ModelConfiguration, empty: bool) -> LanguageModel:
    choice = configuration.language_model
    waits = empty and load_plugin_class("language_models", choice["name"]).receives_weights  # type: ignore[attr-defined]
    with waiting_for_weights() if waits else nullcontext():
        return build_part("language_models", choice)
