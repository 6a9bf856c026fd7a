"""The base in four bits that QLoRA wants (Dettmers et al. 2023): the language model of 7B in 5 GB instead of 15.

Not in the paper, which holds the base in 16 bits. Needs the extra `qlora` and a GPU. Used by `hub_model.py`.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from typing import Any

import torch

from affect_lightning.errors import ConfigurationError
from affect_lightning_plugins.language_models.model_files import cuda_is_there

# Four bits and the scales of blocks of 64, themselves quantised (Dettmers et al. 2023, Section 3: 0.127 bits more).
BITS_A_WEIGHT = 4.127


def four_bit_options(kind: str | Mapping[str, Any], dtype: str) -> dict[str, Any]:
    """What `from_pretrained` wants for a base in four bits; nothing for other kinds than `qlora`.

    Args:
        kind: See `AdapterOptions.kind`.
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
            "The adapter `qlora` needs a CUDA device for its arithmetic in four bits, and there is none. Choose `lora`."
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
