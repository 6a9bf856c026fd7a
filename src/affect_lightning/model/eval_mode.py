"""Eval mode for as long as something is asked of a network. Used by `affectgpt.py`, to generate."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn


@contextmanager
def in_eval_mode(network: nn.Module) -> Iterator[None]:
    """Put a network into eval mode; its mode before comes back at the end."""
    was_training = network.training
    network.eval()
    try:
        yield
    finally:
        network.train(was_training)
