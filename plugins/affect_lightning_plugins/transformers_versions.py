"""Where versions of transformers differ, from the lowest that setup.cfg allows to the newest (not in the paper).

Every function looks for the feature itself, not for a version number; comments name the versions.
`pretrained_models.py`, SigLIP and the language models use it. docs/versions.md says what each version is for.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from functools import cache
from typing import Any

from affect_lightning.errors import ContractError
from affect_lightning.weights import WeightDifferences

# The keys and values of what a model has read: argument and output `cache` since 5.24, `past_key_values` before; 5.40
# removes the old name. A model whose code comes with its weights may keep the old one on a new transformers.
_CACHE_NAMES = ("cache", "past_key_values")


def cache_argument(model: Any, kept: Any) -> dict[str, Any]:
    """The keyword argument that hands keys and values to a model's forward.

    Args:
        model: A transformers causal language model.
        kept: A transformers cache, or None.

    Returns:
        One name with the cache.
    """
    kind: Any = type(model)
    return {_cache_name(kind): kept}


def kept_cache(output: Any) -> Any:
    """Keys and values that a forward gives back.

    Args:
        output: What a transformers model returns with `use_cache=True`.

    Returns:
        A transformers cache.

    Raises:
        ContractError: There is none.
    """
    for name in _CACHE_NAMES:
        kept = getattr(output, name, None)
        if kept is not None:
            return kept
    raise ContractError(
        f"Choose a language model that keeps keys and values; got {type(output).__name__} without a cache, expected one "
        f"named {' or '.join(_CACHE_NAMES)}. Decoding reads one token at a time and needs them."
    )


def configuration_class() -> Any:
    """The class that all configurations derive from: `PreTrainedConfig` since 5.0, `PretrainedConfig` before."""
    from transformers import configuration_utils

    newest = getattr(configuration_utils, "PreTrainedConfig", None)
    return newest if newest is not None else configuration_utils.PretrainedConfig


def dequantising_options() -> dict[str, Any]:
    """What makes `from_pretrained` unpack a GGUF file into plain weights.

    Since 5.17 it keeps them packed unless it is told otherwise; before there is no such option, and it always unpacks.
    """
    import transformers

    packed_by_default = getattr(transformers, "GgufConfig", None)
    return {} if packed_by_default is None else {"quantization_config": packed_by_default(dequantize=True)}


def loading_differences(report: Mapping[str, Any]) -> WeightDifferences:
    """What `from_pretrained(output_loading_info=True)` reports.

    Weights of another shape are named with their shapes since 5.0, by their names alone before.
    """
    reshaped = [entry if isinstance(entry, str) else entry[0] for entry in report["mismatched_keys"]]
    return WeightDifferences.of(report["missing_keys"], report["unexpected_keys"], reshaped)


def has_pooling_head(configuration: Any) -> bool:
    """Whether a SigLIP tower was saved with its head; before 5.23 only a configuration without one says so."""
    return bool(getattr(configuration, "vision_use_head", True))


def name_backbone(model: Any) -> Any:
    """Let `base_model` be the network under the head, as it is for every family since 5.0.

    The text model of Gemma 3 before names a part that it does not have, and is then its own `base_model`.

    Args:
        model: A transformers causal language model; changed in place.

    Returns:
        The same.
    """
    if model.base_model is model and hasattr(model, "model"):
        model.base_model_prefix = "model"
    return model


@cache
def _cache_name(kind: Any) -> str:
    """Of a class of models: its forward's own name for the cache, else the newest name that transformers knows."""
    from transformers.modeling_outputs import CausalLMOutputWithPast

    for known in (inspect.signature(kind.forward).parameters, CausalLMOutputWithPast.__dataclass_fields__):
        for name in _CACHE_NAMES:
            if name in known:
                return name
    return _CACHE_NAMES[0]


def context_length(model: Any) -> int | None:
    """Tokens that a transformers model takes in all, prompt and response; None where its configuration does not say."""
    return getattr(model.config.get_text_config(), "max_position_embeddings", None) or None
