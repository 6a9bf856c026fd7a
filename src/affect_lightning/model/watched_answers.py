"""Watches a network while it answers: the text so far, and how much each stream counts in the fusion (ours).

Both are contracts that a part may leave out: `LanguageModel.text_listener` and `PreFusion.stream_weights`. Watching changes
no response. `clip_answers` shows what is seen here. Legend: B clips, N feature tokens.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn

from affect_lightning.contracts import PreFusion, TextListener
from affect_lightning.model.affectgpt import AffectGPT
from affect_lightning.model.checked_calls import call_stream_weights


@contextmanager
def heard_text(network: AffectGPT, listener: TextListener | None) -> Iterator[None]:
    """Tell a listener of the B texts so far while the network answers.

    Args:
        network: That answers inside the block, in one thread.
        listener: None for nobody.
    """
    model, read = network.language_model, network.configuration.prompt_style.read_answer
    model.text_listener = None if listener is None else (lambda texts: listener([read(text) for text in texts]))
    try:
        yield
    finally:
        model.text_listener = None


@contextmanager
def seen_fusion(network: AffectGPT) -> Iterator[dict[str, Tensor]]:
    """The weights [B, N] of each stream in the last batch that the network fused; empty where the fusion shows none.

    Raises:
        ContractError: The pre-fusion breaks its contract.
    """
    seen: dict[str, Tensor] = {}

    def look(fusion: nn.Module, arguments: tuple[Any, ...], _: Any) -> None:
        assert isinstance(fusion, PreFusion)
        seen.clear()
        seen.update(call_stream_weights(fusion, arguments[0]) or {})

    hook = None if network.pre_fusion is None else network.pre_fusion.register_forward_hook(look)
    try:
        yield seen
    finally:
        if hook is not None:
            hook.remove()
