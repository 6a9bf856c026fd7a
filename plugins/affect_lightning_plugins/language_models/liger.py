"""Liger's kernels in a loaded model: RMSNorm, SwiGLU and RoPE as one GPU kernel each (not in the paper).

Not its fused linear cross-entropy: `response_loss.py` already passes only response positions through the head, in
pieces. Needs the extra `liger` and a CUDA device. Used by `hub_model.py`; off by default, since not measured.
"""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import Any

from affect_lightning.errors import ConfigurationError
from affect_lightning_plugins.language_models.model_files import cuda_is_there

_KERNELS = {"rope": True, "rms_norm": True, "swiglu": True, "cross_entropy": False, "fused_linear_cross_entropy": False}


def check_liger() -> None:
    """Whether liger-kernel can run here, asked before weights are loaded; it is not imported.

    Raises:
        ConfigurationError: It is not installed, or there is no CUDA device.
    """
    try:
        version("liger-kernel")
    except PackageNotFoundError:
        raise ConfigurationError(
            "liger_kernels: true needs the package liger-kernel: run `pip install 'affect-lightning[liger]'`, or leave the "
            "option out: everything works without it."
        ) from None
    if not cuda_is_there():
        raise ConfigurationError(
            "liger_kernels: true needs a CUDA device for its Triton kernels, and torch sees none here. Leave the option "
            "out."
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
            f"liger-kernel {version('liger-kernel')} has no kernels for models of type {family!r}. Leave out liger_kernels, "
            f"or choose a model of one of {', '.join(sorted(MODEL_TYPE_TO_APPLY_LIGER_FN))}."
        )
    _apply_liger_kernel_to_instance(model=model, **_KERNELS)
