"""Adapters through peft: the option `adapter` as peft's configuration, attaching, writing and reading (paper, Table 8).

The paper trains LoRA on the seven projections of every layer and freezes the rest (Section 5). A kind by name (LoRA,
rsLoRA, DoRA, QLoRA) takes the `lora_*` options; any other method of peft is written as peft writes it, as a mapping or a
file with `peft_type`. Used by `transformers_model.py`; `model_files.py` has the base that QLoRA needs.
Legend: B clips, P learned tokens of prompt tuning, E embedding width.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MethodType
from typing import Any

import torch
from torch import Tensor, nn

from affect_lightning.errors import CheckpointError, ConfigurationError
from affect_lightning.file_kinds import damaged_weights
from affect_lightning.weights import compare_weights, drawing_on_the_processor

SEVEN_PROJECTIONS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
# Kinds by name, and what peft's LoraConfig needs for each. QLoRA is LoRA on a base of four bits (Dettmers et al. 2023).
KINDS: dict[str, dict[str, bool]] = {
    "lora": {},
    "rslora": {"use_rslora": True},
    "dora": {"use_dora": True},
    "qlora": {},
}
# Methods whose effect is in a part of peft that a loss on embeddings never passes; with them it would be wrong in silence.
REFUSED_METHODS: dict[str, str] = {
    "ADALORA": "it must redistribute its ranks after every optimiser step",
    "CARTRIDGE": "it works through the cache of keys and values, and training here has none",
    "CPT": "it needs the type of each token",
    "LILY": "it chooses by the average of a whole row, and here one row holds several clips",
    "MULTITASK_PROMPT_TUNING": "it needs the number of each clip's task",
    "POLY": "it needs the number of each clip's task",
    "PREFIX_TUNING": "it works through the cache of keys and values, and training here has none",
    "SHADOW": "it returns its states in a form of its own, which the loss on embeddings cannot read",
    "XLORA": "it needs trained adapters and a first pass over token ids",
}
_WEIGHTS_FILE = "adapter_model.safetensors"


@dataclass(frozen=True)
class AdapterOptions:
    """Which adapter, and its size: options of every language model here, whose plugins pass them on as they are.

    Attributes:
        lora_rank: 16 (paper, Table 8); 0 means no adapter, whatever the kind.
        lora_alpha: Scale; 32 (authors' recipe).
        lora_dropout: 0.05 (authors' recipe).
        lora_target_modules: Names of the adapted linear layers; None means the seven projections (authors' recipe).
        adapter: lora (the paper's), rslora, dora, qlora (4-bit base, from a folder or the hub), or any method of peft by its
            configuration with peft_type: a mapping, or the path of a JSON or YAML file. That has its own rank and layers: the
            other options do not count.
    """

    lora_rank: int = 16
    lora_alpha: float = 32
    lora_dropout: float = 0.05
    lora_target_modules: list[str] | None = None
    adapter: str | dict[str, Any] = "lora"

    @property
    def target_modules(self) -> list[str]:
        """Names of the adapted linear layers."""
        return list(self.lora_target_modules or SEVEN_PROJECTIONS)


def peft_configuration(model: Any, options: AdapterOptions) -> Any:
    """Peft's configuration of the adapter.

    Args:
        model: The transformers model that gets it.
        options: Of the adapter.

    Raises:
        ConfigurationError: The kind or method is unknown or refused, an option is wrong, or no layer has a name.
    """
    if isinstance(options.adapter, str) and options.adapter in KINDS:
        return _lora_configuration(model, options, KINDS[options.adapter])
    return _method_configuration(_read(options.adapter) if isinstance(options.adapter, str) else options.adapter)


def _lora_configuration(model: Any, options: AdapterOptions, more: Mapping[str, Any]) -> Any:
    linear_names = {name.rpartition(".")[2] for name, part in model.named_modules() if isinstance(part, nn.Linear)}
    missing = sorted(set(options.target_modules) - linear_names)
    if missing:
        raise ConfigurationError(
            f"lora_target_modules names {', '.join(missing)}, which {type(model).__name__} lacks. Its linear layers "
            f"are {', '.join(sorted(linear_names))}."
        )
    from peft import LoraConfig

    return LoraConfig(
        task_type="CAUSAL_LM",
        r=options.lora_rank,
        lora_alpha=options.lora_alpha,  # type: ignore[arg-type]  # peft divides by it: any number will do
        lora_dropout=options.lora_dropout,
        target_modules=options.target_modules,
        **more,
    )


def _method_configuration(values: Mapping[str, Any]) -> Any:
    from peft import PEFT_TYPE_TO_CONFIG_MAPPING, PeftType

    known = sorted(str(kind.value) for kind in PEFT_TYPE_TO_CONFIG_MAPPING)
    method = str(values.get("peft_type", "")).upper()
    if method not in known:
        raise ConfigurationError(
            f"An adapter must be one of {', '.join(KINDS)}, or a configuration of peft with peft_type, one of "
            f"{', '.join(name for name in known if name not in REFUSED_METHODS)}; got {dict(values)}."
        )
    if method in REFUSED_METHODS:
        raise ConfigurationError(
            f"The adapter method {method} is not supported: {REFUSED_METHODS[method]}. Choose another, such as LORA."
        )
    options = {name: value for name, value in values.items() if name != "peft_type"}
    try:
        return PEFT_TYPE_TO_CONFIG_MAPPING[PeftType(method)](**{"task_type": "CAUSAL_LM", **options})
    except (TypeError, ValueError) as error:
        raise ConfigurationError(
            f"The adapter's configuration {dict(values)} does not fit peft's {method}: {error}."
        ) from error


def _read(name: str) -> Mapping[str, Any]:
    """The mapping in a JSON or YAML file."""
    path = Path(name).expanduser()
    if path.suffix not in {".json", ".yaml", ".yml"}:
        raise ConfigurationError(
            f"There is no adapter {name!r}. Choose one of {', '.join(KINDS)}, or give a configuration of peft with "
            f"peft_type, as a mapping or as the path of a .json or .yaml file."
        )
    import yaml

    try:
        text = path.read_text(encoding="utf-8")
        values = json.loads(text) if path.suffix == ".json" else yaml.safe_load(text)
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise ConfigurationError(f"The adapter's configuration {name} cannot be read: {error}.") from error
    if not isinstance(values, Mapping):
        raise ConfigurationError(
            f"The adapter's configuration {name} must be a mapping with peft_type; got {values!r}."
        )
    return values


def attach_adapter(model: Any, options: AdapterOptions) -> Any:
    """Freeze a model and add the adapter, whose weights are float32 whatever the model's type, drawn on the processor.

    Args:
        model: A transformers model.
        options: Of the adapter.

    Returns:
        The peft model, or the frozen model itself at rank 0.

    Raises:
        ConfigurationError: A number is out of range, or the adapter does not fit the model.
    """
    if options.lora_rank < 0 or options.lora_alpha <= 0 or not 0 <= options.lora_dropout < 1:
        raise ConfigurationError(
            f"LoRA needs lora_rank >= 0, lora_alpha > 0 and 0 <= lora_dropout < 1; got {options.lora_rank}, "
            f"{options.lora_alpha} and {options.lora_dropout}."
        )
    model.requires_grad_(False)
    if options.lora_rank == 0:
        return model
    from peft import get_peft_model

    config = peft_configuration(model, options)
    with warnings.catch_warnings():
        # peft 0.21 still asks transformers 5 by the attribute's old name.
        warnings.filterwarnings("ignore", message=".*is_gradient_checkpointing.*", category=FutureWarning)
        try:
            with drawing_on_the_processor():
                return _without_casts_under_autocast(get_peft_model(model, config))
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            reason = " ".join(str(error).split())[:300].rstrip(".")
            raise ConfigurationError(
                f"peft cannot put the adapter {config.peft_type.value} on {type(model).__name__}: {reason}. Check its options, "
                f"above all target_modules."
            ) from error


def _without_casts_under_autocast(model: Any) -> Any:
    """Let LoRA layers take their input as it is while autocast is on.

    peft makes the input 32 bits wide for the adapter's 32-bit weights, dropout included, in seven layers of every
    block. Under autocast the product is taken in half precision all the same, so this only costs time and memory.
    `peft.helpers.disable_input_dtype_casting` does this for a block of code; here autocast decides in every call,
    because a recomputed block (`activation_checkpointing`) calls the layer again during the backward pass. Variants
    such as DoRA, which also compute norms of weights in the input's type, stay as they are.

    Args:
        model: The peft model; changed in place.

    Returns:
        The same.
    """
    from peft.tuners.lora import LoraLayer

    for layer in model.modules():
        if isinstance(layer, LoraLayer) and not getattr(layer, "lora_variant", None):
            layer._cast_input_dtype = MethodType(_cast_without_autocast, layer)  # type: ignore[method-assign]
    return model


def _cast_without_autocast(layer: Any, values: Tensor | None, dtype: torch.dtype) -> Tensor | None:
    """The input of a LoRA layer: as it is under autocast, in the type of the weights otherwise."""
    if values is not None and not values.is_meta and torch.is_autocast_enabled(values.device.type):
        return values
    cast: Tensor | None = type(layer)._cast_input_dtype(layer, values, dtype)
    return cast


def learned_prompt(network: Any, clips: int) -> Tensor | None:
    """Embeddings that prompt tuning puts before every prompt.

    Args:
        network: The peft model, or a model without adapter.
        clips: B.

    Returns:
        [B, P, E], or None where the adapter is of another kind.
    """
    config = getattr(network, "active_peft_config", None)
    if config is None or not config.is_prompt_learning:
        return None
    # peft keeps the ids of the learned tokens on the processor and sends them at every call, which waits. Once is enough.
    name = network.active_adapter
    device = network.prompt_encoder[name].embedding.weight.device
    if device.type != "meta":
        network.prompt_tokens[name] = network.prompt_tokens[name].to(device)
    return network.get_prompt(batch_size=clips)


def save_adapter(model: Any, folder: str) -> None:
    """Write a peft model's adapter as a peft folder."""
    model.save_pretrained(folder, safe_serialization=True, save_embedding_layers=False)


def load_adapter(model: Any, folder: str) -> None:
    """Read an adapter in place.

    Raises:
        CheckpointError: There is no adapter in the folder, or its keys or shapes are not those of the model.
    """
    from peft import get_peft_model_state_dict, set_peft_model_state_dict
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    path = Path(folder) / _WEIGHTS_FILE
    if not path.is_file():
        raise CheckpointError(f"There is no adapter in {folder}: expected the file {_WEIGHTS_FILE}.")
    try:
        stored = load_file(str(path))
    except (OSError, SafetensorError) as error:
        raise CheckpointError(damaged_weights(path)) from error
    compare_weights(stored, get_peft_model_state_dict(model, save_embedding_layers=False)).refuse(
        str(path),
        "the adapter that the configuration describes",
        "Use the language model, lora_rank and lora_target_modules of its training.",
    )
    set_peft_model_state_dict(model, stored)
    config = model.active_peft_config
    if config.is_prompt_learning:
        config.inference_mode = (
            True  # what is stored is the finished prompt, not the network that P-tuning makes it with
        )
