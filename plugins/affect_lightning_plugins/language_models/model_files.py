"""Loading a Hugging Face causal model completely or not at all, or building it empty to count it.

Used by `hub_model.py`, which the plugins derive from, by `smollm2.py` and by the label extractor `causal-lm`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from affect_lightning.errors import ConfigurationError
from affect_lightning_plugins.transformers_versions import loading_differences, name_backbone

# Families whose published files bring Python code of their own, which is never run here; transformers has no class.
_NEEDS_CODE = ("baichuan",)


def cuda_is_there() -> bool:
    """Whether torch sees a CUDA device."""
    return torch.cuda.is_available()


def empty_causal_model(
    source: str, revision: str | None, config: Mapping[str, Any] | None, *, dtype: str, attn_implementation: str
) -> Any:
    """The model without weights, on the meta device.

    Args:
        source: Folder or hub name, read where `config` is None.
        revision: On the hub.
        config: Values of its configuration, `model_type` among them.
        dtype: Number type of its weights.
        attn_implementation: Attention kernel.

    Raises:
        ConfigurationError: The source's configuration cannot be read.
    """
    from transformers import AutoConfig, AutoModelForCausalLM

    if config is None:
        settings: Any = _read_config(source, revision)
    else:
        values = dict(config)
        settings = AutoConfig.for_model(values.pop("model_type"), **values)
    return name_backbone(
        AutoModelForCausalLM.from_config(
            settings, dtype=getattr(torch, dtype), attn_implementation=attn_implementation, trust_remote_code=False
        )
    )


def _read_config(source: str, revision: str | None) -> Any:
    from huggingface_hub.errors import StrictDataclassError
    from transformers import AutoConfig

    try:
        return AutoConfig.from_pretrained(source, revision=revision, trust_remote_code=False)
    except (OSError, ValueError, KeyError, StrictDataclassError) as error:
        raise ConfigurationError(_unreadable("configuration", source, error)) from error


def load_causal_model(source: str, **options: Any) -> Any:
    """`AutoModelForCausalLM.from_pretrained`, checked; code from the source is never run.

    Args:
        source: Folder or hub name.
        options: Passed on, such as `revision`, `dtype` or `gguf_file`.

    Raises:
        ConfigurationError: The source cannot be read, or its weights do not fill the model exactly; the message lists
            the keys.
    """
    from huggingface_hub.errors import StrictDataclassError
    from transformers import AutoModelForCausalLM

    try:
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            source, trust_remote_code=False, output_loading_info=True, **options
        )
    except (OSError, ValueError, KeyError, ImportError, StrictDataclassError) as error:
        raise ConfigurationError(_unreadable("model", source, error)) from error
    model, report = loaded
    loading_differences(report).refuse(
        source,
        type(model).__name__,
        "The folder is incomplete or belongs to another model class: fetch it again, or choose the model's own plugin.",
        ConfigurationError,
    )
    return name_backbone(model)


def load_tokenizer(source: str, **options: Any) -> Any:
    """`AutoTokenizer.from_pretrained`; code from the source is never run.

    Raises:
        ConfigurationError: The source cannot be read.
    """
    from huggingface_hub.errors import StrictDataclassError
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(source, trust_remote_code=False, **options)
    except (OSError, ValueError, KeyError, ImportError, StrictDataclassError) as error:
        raise ConfigurationError(_unreadable("tokenizer", source, error)) from error


def _unreadable(part: str, source: str, error: Exception) -> str:
    reason = " ".join(str(error).split())[:300].rstrip(".")
    head = f"The {part} of the language model {source!r} cannot be read: {reason}."
    if "trust_remote_code" in str(error) or any(family in f"{source} {error}".lower() for family in _NEEDS_CODE):
        return (
            f"{head} It needs Python code that its folder brings along (Baichuan2 does), and code from a model's folder "
            f"is never run here. Choose a model that transformers has a class for, such as Qwen, Llama or Vicuna, or "
            f"convert its weights to such a class."
        )
    return f"{head} Give a folder with config.json, weights and tokenizer, or a hub name with network access."
