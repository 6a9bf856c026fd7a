"""Signals that end a command: noted during training, obeyed at once elsewhere (ours).

A training stops between two steps (`resume_checkpoint.py` asks `SignalNotes`). Loading, testing and predicting have nothing
to finish, so there the handler itself raises `StoppedAtOnce`, which ends the command between two tokens.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

SIGUSR1 = int(getattr(signal, "SIGUSR1", 0))  # Windows has none
_ENDING = (signal.SIGTERM, signal.SIGINT)
_NAMES = {int(signal.SIGTERM): "SIGTERM", int(signal.SIGINT): "Ctrl-C"}


class StoppedBySignal(SystemExit):
    """Training has stopped because a signal asked for it; the exit code is 128 and the signal's number."""

    def __init__(self, number: int, message: str) -> None:
        super().__init__(128 + number)
        self.code: int = 128 + number
        self.message = message

    def __str__(self) -> str:
        return self.message


class StoppedAtOnce(BaseException):
    """A signal has stopped the command wherever it was, perhaps inside a plugin.

    It is neither an Exception nor a SystemExit, so that nothing that guards the calls of a plugin takes it for a failure.

    Attributes:
        code: Exit code: 128 and the signal's number.
    """

    def __init__(self, number: int, message: str) -> None:
        super().__init__(message)
        self.code = 128 + number


class SignalNotes:
    """Which of the signals have come since they were last asked for."""

    def __init__(self) -> None:
        self._came: set[int] = set()
        self._before: dict[int, Any] = {}

    def watch(self, *, at_once: bool) -> None:
        """Take the signals over; only the main thread can.

        Args:
            at_once: Whether SIGTERM and SIGINT end the command when they come, instead of being noted.
        """
        if threading.current_thread() is not threading.main_thread() or self._before:
            return
        if at_once and signal.getsignal(signal.SIGINT) is not stop_at_once:
            return  # a Trainer in a program of its own, which decides for itself
        numbers = _ENDING if at_once or not SIGUSR1 else (*_ENDING, SIGUSR1)
        self._before = {number: signal.signal(number, stop_at_once if at_once else self._note) for number in numbers}

    def release(self) -> None:
        """Give the signals back to those who had them."""
        for number, handler in self._before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        self._before = {}

    def take(self) -> set[int]:
        """The signals that came, which are forgotten."""
        came, self._came = self._came, set()
        return came

    def _note(self, number: int, frame: FrameType | None) -> None:
        if number == signal.SIGINT and number in self._came:
            raise StoppedAtOnce(number, "Ctrl-C again. Stopped at once, without the step that was in work.")
        self._came.add(number)


def stop_at_once(number: int, frame: FrameType | None) -> None:
    """A signal's handler that ends the command.

    Raises:
        StoppedAtOnce: Always.
    """
    raise StoppedAtOnce(number, f"{_NAMES.get(number, number)}. Stopped.")


@contextmanager
def signals_end_the_command() -> Iterator[None]:
    """Let SIGTERM and Ctrl-C raise `StoppedAtOnce` inside, where no training notes them."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, stop_at_once) for number in _ENDING}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
