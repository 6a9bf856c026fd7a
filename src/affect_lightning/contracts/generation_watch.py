"""Watching a response while it is written: what is there so far, and a way to end it (ours).

The paper's evaluation needs whole responses only; a server shows them as they come, and stops when nobody waits any more.
A language model asks `current_watch` and tells it after each token. One that does not is heard once it has answered.
`serving` watches; the language models of transformers tell (`transformers_model.py` of the plugins). Standard library only.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar


class GenerationStopped(Exception):
    """Raised by a watch to end the generation; it passes through the language model to whoever asked."""


class GenerationWatch(ABC):
    """Is told what a language model reads and writes. It may raise `GenerationStopped`, or an error of its own."""

    @abstractmethod
    def reads(self, prompt_tokens: Sequence[int]) -> None:
        """The prompts are about to be read.

        Args:
            prompt_tokens: Tokens of each prompt of the batch, without padding.
        """

    @abstractmethod
    def writes(self, texts: Sequence[str], tokens: Sequence[int], are_full: Sequence[bool]) -> None:
        """Tokens were written.

        Args:
            texts: Each response so far. Its end may change: a character may lack bytes.
            tokens: Number of tokens of each.
            are_full: Whether a response has all the tokens that it may have.
        """


_current: ContextVar[GenerationWatch | None] = ContextVar("generation_watch", default=None)


def current_watch() -> GenerationWatch | None:
    """Who watches in this thread; None if nobody does."""
    return _current.get()


@contextmanager
def watched_by(watch: GenerationWatch) -> Iterator[None]:
    """Tell this watch of what is generated inside."""
    token = _current.set(watch)
    try:
        yield
    finally:
        _current.reset(token)
