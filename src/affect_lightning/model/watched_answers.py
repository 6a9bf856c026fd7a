"""Watches a network while it answers: the text so far, and how much each stream counts in the fusion (ours).

A part may leave out both: telling `contracts/generation_watch.py` of its tokens, and `PreFusion.stream_weights`. Watching changes
no response. `clip_answers` shows what is seen here. Legend: B clips, N feature tokens.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

from torch import Tensor, nn

from affect_lightning.contracts import PreFusion
from affect_lightning.contracts.generation_watch import GenerationWatch, watched_by
from affect_lightning.model.affectgpt import AffectGPT
from affect_lightning.model.checked_calls import call_stream_weights


class _Heard(GenerationWatch):
    """Passes on what is written, without the marks of the prompt's style."""

    def __init__(self, listener: Callable[[Sequence[str]], None], read: Callable[[str], str]) -> None:
        self._listener, self._read = listener, read

    def reads(self, prompt_tokens: Sequence[int]) -> None:
        """Nothing is written yet."""

    def writes(self, texts: Sequence[str], tokens: Sequence[int], are_full: Sequence[bool]) -> None:
        """The B texts so far."""
        self._listener([self._read(text) for text in texts])


def heard_text(network: AffectGPT, listener: Callable[[Sequence[str]], None] | None) -> AbstractContextManager[None]:
    """Tell a listener of the B texts so far while the network answers inside the block, in this thread.

    Args:
        network: That answers.
        listener: None changes nothing: who watches already goes on watching.
    """
    if listener is None:
        return nullcontext()
    return watched_by(_Heard(listener, network.configuration.prompt_style.read_answer))


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
