"""Loading a Hugging Face causal model completely or not at all, building it empty, and what makes it smaller or faster.

Not in the paper, and off by default: the base in the four bits that QLoRA needs (Dettmers et al. 2023; 7B in 5 GB
instead of 15), and Liger's kernels, RMSNorm, SwiGLU and RoPE as one GPU kernel each. Both need an extra and a GPU.
Liger's fused linear cross-entropy is left out: `training_memory.py` already passes only response positions through the
head, in pieces.
Used by `hub_models.py`, which the plugins derive from, by `smollm2.py` and by the label extractor `causal-lm`.
"""

from __future__ import annotations

import contextlib
import importlib.util
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import torch

from affect_lightning.errors import ConfigurationError
from affect_lightning_plugins.transformers_versions import loading_differences, name_backbone

# Families whose published files bring Python code of their own, which is never run here; transformers has no class.
_NEEDS_CODE = ("baichuan",)
_KERNELS = {"rope": True, "rms_norm": True, "swiglu": True, "cross_entropy": False, "fused_linear_cross_entropy": False}


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


def waiting_causal_model(
    source: str, revision: str | None, kind: str | Mapping[str, Any], *, dtype: str, attn_implementation: str
) -> Any:
    """What `load_causal_model` gives, on the meta device: another process reads the weights and sends them.

    Args:
        source: Folder or hub name.
        revision: On the hub.
        kind: See `AdapterOptions.adapter`.
        dtype: Number type of its weights.
        attn_implementation: Attention kernel.

    Raises:
        ConfigurationError: The configuration cannot be read, or the base is in four bits, which cannot be sharded.
    """
    from transformers import GenerationConfig

    if kind == "qlora":
        raise ConfigurationError(
            "Choose the adapter `lora`, or the strategy `ddp`: `fsdp` cannot share out the base in four bits that `qlora` "
            "has."
        )
    model = empty_causal_model(source, revision, None, dtype=dtype, attn_implementation=attn_implementation)
    with contextlib.suppress(
        OSError
    ):  # some models name their end tokens here only, and some folders have no such file
        model.generation_config = GenerationConfig.from_pretrained(source, revision=revision or "main")
    return model


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
        "The folder is incomplete or belongs to another model class: download it again, or choose the model's own plugin.",
        ConfigurationError,
    )
    return name_backbone(model)


def keep_first_blocks(model: Any, count: int) -> None:
    """Cut a causal model of the Llama layout to its first blocks; embeddings, last norm and head stay.

    Args:
        model: A transformers causal language model, before it gets an adapter.
        count: How many blocks stay.

    Raises:
        ConfigurationError: It has not that many.
    """
    blocks = model.model.layers
    if not 1 <= count <= len(blocks):
        raise ConfigurationError(f"layers must be from 1 to {len(blocks)}, the blocks of this model; got {count}.")
    del blocks[count:]
    model.config.num_hidden_layers = count


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
            f"{head} It needs Python code from its own folder (as Baichuan2 does), and code from a model's folder "
            f"never runs here. Choose a model that transformers has a class for, such as Qwen, Llama or Vicuna, or "
            f"convert its weights to such a class."
        )
    return f"{head} Give a folder with config.json, weights and tokenizer, or a hub name with network access."


def four_bit_options(kind: str | Mapping[str, Any], dtype: str) -> dict[str, Any]:
    """What `from_pretrained` needs for a base in four bits; nothing for other kinds than `qlora`.

    Args:
        kind: See `AdapterOptions.adapter`.
        dtype: Number type of the arithmetic.

    Raises:
        ConfigurationError: bitsandbytes or a GPU is missing.
    """
    if kind != "qlora":
        return {}
    if importlib.util.find_spec("bitsandbytes") is None:
        raise ConfigurationError(
            "The adapter `qlora` needs the package bitsandbytes: run `pip install 'affect-lightning[qlora]'`, or choose "
            "`lora`, which needs three times the memory."
        )
    if not cuda_is_there():
        raise ConfigurationError(
            "Choose `lora`: the adapter `qlora` needs a CUDA device for its 4-bit arithmetic, and there is none."
        )
    from transformers import BitsAndBytesConfig

    return {
        "quantization_config": BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=getattr(torch, dtype),
        ),
        "device_map": {"": torch.cuda.current_device()},
    }


def check_liger() -> None:
    """Whether liger-kernel can run here, asked before weights are loaded; it is not imported.

    Raises:
        ConfigurationError: It is not installed, or there is no CUDA device.
    """
    try:
        version("liger-kernel")
    except PackageNotFoundError:
        raise ConfigurationError(
            "liger_kernels: true needs the package liger-kernel: run `pip install 'affect-lightning[liger]'`, or remove the "
            "option: everything works without it."
        ) from None
    if not cuda_is_there():
        raise ConfigurationError(
            "liger_kernels: true needs a CUDA device for its Triton kernels, and torch sees none. Remove the option."
        )


def apply_liger_kernels(model: Any) -> None:
    """Put the kernels into a model. RoPE changes for every model of its family in this process, as liger does it.

    Args:
        model: A transformers causal language model, before it gets an adapter.

    Raises:
        ConfigurationError: Liger knows no kernels for its family.
    """
    from liger_kernel.transformers.monkey_patch import MODEL_TYPE_TO_APPLY_LIGER_FN, _apply_liger_kernel_to_instance

    family = model.config.model_type
    if family not in MODEL_TYPE_TO_APPLY_LIGER_FN:
        raise ConfigurationError(
            f"liger-kernel {version('liger-kernel')} has no kernels for models of type {family!r}. Remove liger_kernels, or "
            f"choose a model of one of these types: {', '.join(sorted(MODEL_TYPE_TO_APPLY_LIGER_FN))}."
        )
    _apply_liger_kernel_to_instance(model=model, **_KERNELS)
