"""How the language model's blocks run in training: recomputed in the backward pass, or compiled.

Not in the paper. Both change speed and memory, not results; both are off by default, because each costs something:
recomputation a third more arithmetic, compilation minutes at the start. Used by `module.py` when the network is built.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from affect_lightning.errors import ConfigurationError


def recompute_activations(blocks: Sequence[nn.Module]) -> None:
    """Let blocks keep only their inputs in training and compute the rest again in the backward pass.

    Names of weights stay as they are, so checkpoints do not depend on it.

    Args:
        blocks: Of the language model, `LanguageModel.shardable_blocks`; changed in place.
    """
    for block in blocks:
        block.forward = _recomputed(block, block.forward)  # type: ignore[method-assign]


def compile_blocks(blocks: Sequence[nn.Module], backend: str) -> None:
    """Compile blocks in place, for any length.

    Args:
        blocks: Of the language model, all of one class: they share what is compiled.
        backend: Of `torch.compile`, such as `inductor`.

    Raises:
        ConfigurationError: torch has no such backend.
    """
    known = torch.compiler.list_backends(exclude_tags=())
    if backend not in known:
        raise ConfigurationError(
            f"compile_backend must be one of {', '.join(sorted(known))}, or null; got {backend!r}."
        )
    for block in blocks:
        block.compile(backend=backend, dynamic=True)


def _recomputed(block: nn.Module, forward: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(forward)
    def run(*arguments: Any, **options: Any) -> Any:
        if block.training and torch.is_grad_enabled():
            return checkpoint(forward, *arguments, use_reentrant=False, **options)
        return forward(*arguments, **options)

    return run
