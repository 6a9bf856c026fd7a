"""Requests under way: their places, their events out of the network's thread, and when they end (ours).

A place is taken before a body is read and is kept until the network is done with the request, so memory and waiting are
bounded. `web_app.py` uses them. Standard library and the network's answers only.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from contextlib import suppress

from affect_lightning.errors import AffectLightningError, ConfigurationError, DataError
from affect_lightning.serving.chat_requests import RequestError
from affect_lightning.serving.clip_model import Answer

LONGEST_RETRY = 60  # seconds that a busy server asks to wait at most; our choice
GONE = 499  # nobody reads this status; nginx writes it into its log for a client that left
_log = logging.getLogger(__name__)


class Places:
    """The requests that are under way, at most a few; and how long one takes."""

    def __init__(self, most: int) -> None:
        self._most, self._lock = most, threading.Lock()
        self.taken, self._seconds = 0, 1.0

    def take(self) -> None:
        """Take a place.

        Raises:
            RequestError: There is none.
        """
        with self._lock:
            if self.taken >= self._most:
                pause = min(LONGEST_RETRY, max(1, round(self._seconds * self.taken)))
                raise RequestError(
                    f"Try again in {pause} s: {self.taken} requests are under way, as many as this server takes.",
                    status=429,
                    kind="rate_limit_error",
                    code="server_busy",
                    retry_after=pause,
                )
            self.taken += 1

    def free(self, seconds: float | None = None) -> None:
        """Give a place back.

        Args:
            seconds: That the network took; None if it was not asked.
        """
        with self._lock:
            self.taken -= 1
            if seconds is not None:
                self._seconds = 0.7 * self._seconds + 0.3 * seconds


class Job:
    """A request on its way through the network's thread; its events come out in the event loop.

    An event is the number of a choice with new text of it, an `Answer` at the end, or an error.
    """

    def __init__(self, deadline: float) -> None:
        self._loop, self._over = asyncio.get_running_loop(), threading.Event()
        self.deadline = deadline
        self.events: asyncio.Queue[tuple[int, str] | Answer | Exception] = asyncio.Queue()

    def put(self, happened: tuple[int, str] | Answer | Exception) -> None:
        """From the network's thread."""
        with suppress(RuntimeError):  # the loop has ended, and with it whoever listened
            self._loop.call_soon_threadsafe(self.events.put_nowait, happened)

    def give_up(self) -> None:
        """Nobody waits any more: the network stops at its next token."""
        self._over.set()

    def check(self) -> None:
        """In the network's thread, at each token.

        Raises:
            RequestError: Nobody waits, or the time is over.
        """
        if self._over.is_set():
            raise RequestError("The client left.", status=GONE)
        if time.monotonic() > self.deadline:
            raise too_late()


def too_late() -> RequestError:
    """The error of a request that took too long."""
    return RequestError(
        "The answer took longer than `--timeout` allows. Send a shorter clip, a smaller `max_tokens`, or fewer requests.",
        status=504,
        kind="server_error",
        code="timeout",
    )


def as_request_error(error: Exception) -> RequestError:
    """What the client is told of an error; what is no fault of the request's is logged, without its content."""
    if isinstance(error, RequestError):
        return error
    if isinstance(error, (ConfigurationError, DataError)):
        return RequestError(str(error), code="unreadable_clip" if isinstance(error, DataError) else None)
    if isinstance(error, AffectLightningError):
        _log.error("%s", error)
    else:
        _log.error("A request failed.", exc_info=error)
    return RequestError("The server failed; its log says why.", status=500, kind="server_error")


async def next_event(job: Job, leaving: asyncio.Task[None]) -> tuple[int, str] | Answer:
    """What happens next.

    Raises:
        RequestError: It is an error, the time is over, or the client left.
    """
    coming = asyncio.ensure_future(job.events.get())
    try:
        await asyncio.wait({coming, leaving}, timeout=seconds_until(job.deadline), return_when=asyncio.FIRST_COMPLETED)
        if not coming.done():
            raise too_late() if not leaving.done() else RequestError("The client left.", status=GONE)
        happened = coming.result()
    except BaseException:
        job.give_up()
        coming.cancel()
        raise
    if isinstance(happened, Exception):
        raise happened
    return happened


def seconds_until(deadline: float) -> float:
    """Seconds left; 0 when the time is over."""
    return max(0.0, deadline - time.monotonic())
