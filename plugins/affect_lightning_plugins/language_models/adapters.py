"""Adapters: attaching, writing and reading them through peft (paper, Section 5 and Table 8).

The paper trains LoRA on the seven projections of every layer and freezes the rest. Used by `transformers_model.py`;
`adapter_configs.py` knows the kinds. Legend: B clips, P learned tokens of prompt tuning, E embedding width.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

from torch import Tensor

from affect_lightning.errors import CheckpointError, ConfigurationError
from affect_lightning.weights import compare_weights
from affect_lightning_plugins.language_models.adapter_configs import AdapterOptions, peft_configuration

_WEIGHTS_FILE = "adapter_model.safetensors"


def attach_adapter(model: Any, options: AdapterOptions) -> Any:
    """Freeze a model and add the adapter, whose weights are float32 whatever the model's type.

    Args:
        model: A transformers model.
        options: Of the adapter.

    Returns:
        The peft model, or the frozen model itself at rank 0.

    Raises:
        ConfigurationError: A number is out of range, or the adapter does not fit the model.
    """
    if options.rank < 0 or options.alpha <= 0 or not 0 <= options.dropout < 1:
        raise ConfigurationError(
            f"LoRA needs lora_rank >= 0, lora_alpha > 0 and 0 <= lora_dropout < 1; got {options.rank}, "
            f"{options.alpha} and {options.dropout}."
        )
    model.requires_grad_(False)
    if options.rank == 0:
        return model
    from peft import get_peft_model

    config = peft_configuration(model, options)
    with warnings.catch_warnings():
        # peft 0.21 still asks transformers 5 by the attribute's old name.
        warnings.filterwarnings("ignore", message=".*is_gradient_checkpointing.*", category=FutureWarning)
        try:
            return get_peft_model(model, config)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            reason = " ".join(str(error).split())[:300].rstrip(".")
            raise ConfigurationError(
                f"peft cannot put the adapter {config.peft_type.value} on {type(model).__name__}: {reason}. Look at its "
                f"options, target_modules above all."
            ) from error


def learned_prompt(network: Any, clips: int) -> Tensor | None:
    """Embeddings that prompt tuning puts before every prompt.

    Args:
        network: The peft model, or a model without adapter.
        clips: B.

    Returns:
        [B, P, E], or None where the adapter is of another kind.
    """
    config = getattr(network, "active_peft_config", None)
    return network.get_prompt(batch_size=clips) if config is not None and config.is_prompt_learning else None


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
    compare_weights(stored, get_peft_model_state_dict(model, save_embedding_layers=False)).refuse(
        str(path),
        "the adapter that the configuration describes",
        "Use the language model, lora_rank and lora_target_modules that it was made with.",
    )
    set_peft_model_state_dict(model, stored)
    config = model.active_peft_config
    if config.is_prompt_learning:
        config.inference_mode = (
            True  # what is stored is the finished prompt, not the network that P-tuning makes it with
        )
