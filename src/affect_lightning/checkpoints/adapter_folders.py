"""Adapter folders of peft: the weights of a LoRA by the network's names, read without the language model.

peft leaves the adapter's own name, `default`, out of what it writes. An exported folder has such a folder inside, and
`import` takes one alone. The plugins of the language models read every kind of adapter into a model that exists.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from affect_lightning.errors import CheckpointError
from affect_lightning.file_kinds import damaged_weights

_WEIGHTS = "adapter_model.safetensors"
_CONFIGURATION = "adapter_config.json"
_LEFT_OUT = re.compile(r"(\.lora_[AB])\.weight$")


def is_adapter_folder(path: str | Path) -> bool:
    """Whether it is a folder with peft's description of an adapter."""
    return (Path(path) / _CONFIGURATION).is_file()


def adapter_weights(folder: str | Path) -> dict[str, Tensor]:
    """The weights of a LoRA, by the names of `AffectGPT.trainable_state`; other kinds of weights keep peft's names.

    Raises:
        CheckpointError: The file is missing or damaged.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    path = Path(folder) / _WEIGHTS
    try:
        stored = load_file(str(path))
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{damaged_weights(path)} Only safetensors are read of an adapter.") from error
    return {_LEFT_OUT.sub(r"\1.default.weight", f"language_model.network.{name}"): stored[name] for name in stored}


def check_adapter(folder: str | Path, language_model: Mapping[str, Any]) -> None:
    """Compare what a LoRA's weights do not tell with the configuration of the language model.

    Raises:
        CheckpointError: It is damaged or no plain LoRA, or it differs; the message names each option with both values.
    """
    path = Path(folder) / _CONFIGURATION
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        kind = _kind(stored)
        found = {"adapter": kind, "lora_rank": int(stored["r"]), "lora_alpha": float(stored["lora_alpha"])}
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise CheckpointError(f"{path} does not describe a LoRA of peft: {error!r}. Write the folder again.") from error
    wrong = [
        f"--model.language_model.{name} {value} (configured: {language_model.get(name)})"
        for name, value in found.items()
        if language_model.get(name) != value
    ]
    if wrong:
        raise CheckpointError(f"Add what the adapter in {folder} was trained with: {', '.join(wrong)}.")


def _kind(stored: Mapping[str, Any]) -> str:
    """`lora` or `rslora`."""
    more = [name for name in ("use_dora", "rank_pattern", "alpha_pattern", "modules_to_save") if stored.get(name)]
    if stored["peft_type"] != "LORA" or more or stored.get("bias", "none") != "none":
        raise ValueError(f"{stored['peft_type']} with {', '.join(more) or 'biases'}; lora and rslora are read")
    return "rslora" if stored.get("use_rslora") else "lora"
