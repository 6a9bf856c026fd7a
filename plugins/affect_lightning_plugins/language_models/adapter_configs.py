"""From the option `adapter` to peft's own configuration (paper, Section 5 and Table 8: LoRA on the seven projections).

A kind by name (LoRA, rsLoRA, DoRA, QLoRA) takes the `lora_*` options; any other method of peft is written as peft
writes it, as a mapping or a file with `peft_type`. Used by `adapters.py`; `four_bit.py` has the base that QLoRA wants.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from affect_lightning.errors import ConfigurationError

SEVEN_PROJECTIONS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
# Kinds by name, and what peft's LoraConfig wants for each. QLoRA is LoRA on a base of four bits (Dettmers et al. 2023).
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


@dataclass(frozen=True)
class AdapterOptions:
    """Which adapter, and its size.

    Attributes:
        rank: 16 (paper, Table 8); 0 means no adapter, whatever the kind.
        alpha: Scale; 32 as in the authors' recipe.
        dropout: 0.05 as in the authors' recipe.
        target_modules: Names of the linear layers that get one; the seven projections (authors' recipe).
        kind: lora (the paper's), rslora, dora or qlora; or a configuration of peft as a mapping, or the path of a JSON
            or YAML file with one. A configuration of peft has its own rank and layers: the other options do not count.
    """

    rank: int = 16
    alpha: float = 32
    dropout: float = 0.05
    target_modules: tuple[str, ...] = SEVEN_PROJECTIONS
    kind: str | Mapping[str, Any] = "lora"


def peft_configuration(model: Any, options: AdapterOptions) -> Any:
    """Peft's configuration of the adapter.

    Args:
        model: The transformers model that gets it.
        options: Of the adapter.

    Raises:
        ConfigurationError: The kind or method is unknown or refused, an option is wrong, or no layer has a name.
    """
    if isinstance(options.kind, str) and options.kind in KINDS:
        return _lora_configuration(model, options, KINDS[options.kind])
    return _method_configuration(_read(options.kind) if isinstance(options.kind, str) else options.kind)


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
        r=options.rank,
        lora_alpha=options.alpha,  # type: ignore[arg-type]  # peft divides by it: any number will do
        lora_dropout=options.dropout,
        target_modules=list(options.target_modules),
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
