"""LoRA adapters: attaching, writing and reading them through peft (paper, Section 5 and Table 8).

The paper trains LoRA on the seven projections of every layer and freezes the rest. Used by `adapted.py`.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from affect_lightning.errors import CheckpointError, ConfigurationError

SEVEN_PROJECTIONS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
_WEIGHTS_FILE = "adapter_model.safetensors"


@dataclass(frozen=True)
class LoraOptions:
    """Size of the adapter.

    Attributes:
        rank: 16 (paper, Table 8); 0 means no adapter.
        alpha: Scale; 32 as in the authors' recipe.
        dropout: 0.05 as in the authors' recipe.
        target_modules: Names of the linear layers that get one; the seven projections (authors' recipe).
    """

    rank: int = 16
    alpha: float = 32
    dropout: float = 0.05
    target_modules: tuple[str, ...] = SEVEN_PROJECTIONS


def attach_lora(model: Any, options: LoraOptions) -> Any:
    """Freeze a model and add the adapter, whose weights are float32 whatever the model's type.

    Args:
        model: A transformers model.
        options: Of the adapter.

    Returns:
        The peft model, or the frozen model itself at rank 0.

    Raises:
        ConfigurationError: A number is out of range, or no layer has one of the names.
    """
    if options.rank < 0 or options.alpha <= 0 or not 0 <= options.dropout < 1:
        raise ConfigurationError(
            f"LoRA needs lora_rank >= 0, lora_alpha > 0 and 0 <= lora_dropout < 1; got {options.rank}, "
            f"{options.alpha} and {options.dropout}."
        )
    model.requires_grad_(False)
    if options.rank == 0:
        return model
    linear_names = {name.rpartition(".")[2] for name, part in model.named_modules() if isinstance(part, nn.Linear)}
    missing = sorted(set(options.target_modules) - linear_names)
    if missing:
        raise ConfigurationError(
            f"lora_target_modules names {', '.join(missing)}, which {type(model).__name__} lacks. Its linear layers "
            f"are {', '.join(sorted(linear_names))}."
        )
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(
        task_type="CAUSAL_LM",
        r=options.rank,
        lora_alpha=options.alpha,  # type: ignore[arg-type]  # peft divides by it: any number will do
        lora_dropout=options.dropout,
        target_modules=list(options.target_modules),
    )
    with warnings.catch_warnings():
        # peft 0.21 still asks transformers 5 by the attribute's old name.
        warnings.filterwarnings("ignore", message=".*is_gradient_checkpointing.*", category=FutureWarning)
        return get_peft_model(model, config)


def save_adapter(model: Any, folder: str) -> None:
    """Write a peft model's adapter as a peft folder."""
    model.save_pretrained(folder, safe_serialization=True, save_embedding_layers=False)


def load_adapter(model: Any, folder: str) -> None:
    """Read an adapter in place.

    Raises:
        CheckpointError: There is no adapter in the folder, or its keys or shapes are not those of the model.
    """
    from peft import get_peft_model_state_dict, set_peft_model_state_dict
    from safetensors.torch import load_file

    path = Path(folder) / _WEIGHTS_FILE
    if not path.is_file():
        raise CheckpointError(f"There is no adapter in {folder}: expected the file {_WEIGHTS_FILE}.")
    stored = load_file(str(path))
    check_same_weights(stored, get_peft_model_state_dict(model, save_embedding_layers=False), str(path))
    set_peft_model_state_dict(model, stored)


def check_same_weights(stored: Mapping[str, Tensor], wanted: Mapping[str, Tensor], source: str) -> None:
    """Compare names and shapes.

    Raises:
        CheckpointError: They differ; the message lists missing, surplus and differently shaped weights.
    """
    problems = {
        "missing": sorted(wanted.keys() - stored.keys()),
        "surplus": sorted(stored.keys() - wanted.keys()),
        "differently shaped": sorted(
            name for name in wanted.keys() & stored.keys() if wanted[name].shape != stored[name].shape
        ),
    }
    found = [f"{kind}: {_listed(names)}" for kind, names in problems.items() if names]
    if found:
        raise CheckpointError(
            f"{source} does not fit the adapter that the configuration describes. {'; '.join(found)}. "
            f"Use the language model, lora_rank and lora_target_modules that it was made with."
        )


def _listed(names: list[str], shown: int = 8) -> str:
    return ", ".join(names[:shown]) + (f" and {len(names) - shown} more" if len(names) > shown else "")
