"""Which arithmetic suits a device: what the trainer commands, `describe` and `serve` compute in unless they are told (ours).

It knows no Lightning, so that asking a network loads none. `training/device_execution.py` has what only training does.
"""

from __future__ import annotations

import os

import torch

from affect_lightning.errors import ConfigurationError

# `on` or `off` instead of what the processor is fast at, so that both ways are tested on every machine.
CPU_BF16_VARIABLE = "AFFECT_CPU_BF16"


def fitting_precision(accelerator: str) -> str:
    """Mixed bf16 where the device computes it fast, 32-bit elsewhere.

    A processor without AVX512-BF16 or AMX emulates bf16 and was 30 times slower with it than in 32 bits (measured on
    AVX2, 8 x 48 tokens of SmolLM2-135M), so there it stays at 32 bits. The environment variable `AFFECT_CPU_BF16` decides
    for the processor instead: `on`, also where bf16 is emulated, or `off`.

    Args:
        accelerator: The Trainer's `accelerator` option.

    Raises:
        ConfigurationError: The variable has another value.
    """
    if accelerator in ("auto", "gpu", "cuda") and torch.cuda.is_available():
        return "bf16-mixed" if torch.cuda.is_bf16_supported() else "16-mixed"
    return "bf16-mixed" if _bf16_on_the_processor() else "32-true"


def _bf16_on_the_processor() -> bool:
    asked = os.environ.get(CPU_BF16_VARIABLE) or "auto"
    if asked not in ("auto", "on", "off"):
        raise ConfigurationError(f"Set {CPU_BF16_VARIABLE} to on, off or auto; got {asked!r}.")
    if asked == "auto":
        return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return asked == "on"
