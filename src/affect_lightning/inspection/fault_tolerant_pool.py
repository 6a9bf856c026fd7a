"""Worker processes that may die of a piece of work: that piece is named, and the others continue.

`concurrent.futures` gives up the whole pool when a process is killed, and waits for ever for one that hangs. Here each
process has one piece at a time, so a crash, a kill for lack of memory or a timeout belongs to that piece.
`clip_checks.py` gives out the clips.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import signal
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Any, Generic, TypeVar

from affect_lightning.data.reading_workers import start_worker
from affect_lightning.errors import AffectLightningError, DataError

Piece = TypeVar("Piece")

STARTING_SECONDS = 900.0  # our choice: a process imports torch within this time on the busiest machine
LOOK_SECONDS = 1.0  # how often the processes are looked at, our choice
START_DEATHS = 3  # processes that may die before their first piece, our choice
_READY = "ready"


@dataclass(frozen=True)
class Outcome(Generic[Piece]):
    """What became of a piece of work.

    Attributes:
        piece: As it was given out.
        result: What the work returned; None if it failed.
        failure: Why there is no result: how the process ended, in a sentence. Empty if there is one.
    """

    piece: Piece
    result: Any = None
    failure: str = ""


def _serve(work: Callable[[Any], Any], connection: Connection) -> None:
    """Body of a process: pieces in, results out, until the other side closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    start_worker(0)  # ends with its parent, even in the middle of a piece
    with contextlib.suppress(EOFError, OSError):  # the parent has gone
        connection.send((_READY, None))
        while True:
            piece = connection.recv()
            try:
                answer = ("done", work(piece))
            except AffectLightningError as error:
                answer = ("error", error)
            except Exception as error:  # the boundary of a process: whatever else goes wrong is this piece's verdict
                answer = ("failed", f"{type(error).__name__}: {error}")
            connection.send(answer)


class _Worker(Generic[Piece]):
    """A process and the piece that it has."""

    def __init__(self, work: Callable[[Piece], Any], seconds: float, start: str) -> None:
        context: Any = multiprocessing.get_context(start)
        self.connection, far_end = context.Pipe()
        self.process = context.Process(target=_serve, args=(work, far_end), daemon=True)
        self.process.start()
        far_end.close()
        self.ready = False
        self.piece: list[Piece] = []  # none or one
        self.deadline = time.monotonic() + max(STARTING_SECONDS, seconds)

    def give(self, piece: Piece, seconds: float) -> None:
        self.piece, self.deadline = [piece], time.monotonic() + seconds
        with contextlib.suppress(OSError):  # it has died since: the next look at it tells
            self.connection.send(piece)

    def end(self) -> int:
        """End the process; its exit code, negative for a signal."""
        self.connection.close()
        if self.process.is_alive():
            self.process.kill()
        self.process.join()
        return int(self.process.exitcode or 0)


def _ending(code: int) -> str:
    if code >= 0:
        return f"the process that read it ended with exit code {code}"
    name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
    likely = {"SIGKILL": ", probably because memory ran out", "SIGSEGV": ", a crash in a decoder"}.get(name, "")
    return f"the process that read it was killed by {name}{likely}"


class FaultTolerantPool(Generic[Piece]):
    """Gives pieces of work to processes and survives what the work does to them.

    Args:
        work: Called with a piece in another process; it and the pieces must pickle.
        workers: Number of processes.
        seconds: Time for one piece; a process that takes longer is ended.
        start: How processes start (spawn, our choice: it is safe with threads).
    """

    def __init__(self, work: Callable[[Piece], Any], workers: int, seconds: float, start: str = "spawn"):
        self._work, self._count, self._seconds, self._start = work, workers, seconds, start
        self._crew: list[_Worker[Piece]] = []
        self._start_deaths = 0

    def run(self, pieces: Iterable[Piece]) -> Iterator[Outcome[Piece]]:
        """The outcome of every piece, in the order in which they end.

        Raises:
            AffectLightningError: The work raised it: something that concerns all pieces.
            DataError: Processes die as soon as they start.
        """
        rest, given_out = iter(pieces), False
        try:
            while True:
                while not given_out:  # a process for each piece at first, up to their number
                    idle = next((worker for worker in self._crew if worker.ready and not worker.piece), None)
                    if idle is None and len(self._crew) >= self._count:
                        break
                    if idle is None:
                        self._crew.append(_Worker(self._work, self._seconds, self._start))
                        continue
                    piece = next(rest, None)
                    if piece is None:
                        given_out = True
                    else:
                        idle.give(piece, self._seconds)
                busy = [worker for worker in self._crew if worker.piece or not (worker.ready or given_out)]
                if not busy:
                    return
                yield from self._look_at(busy)
        finally:
            for worker in self._crew:
                worker.end()
            self._crew.clear()

    def _look_at(self, busy: list[_Worker[Piece]]) -> Iterator[Outcome[Piece]]:
        """Wait until one has something to say or its time is up."""
        began = time.monotonic()
        patience = min(LOOK_SECONDS, max(0.0, min(worker.deadline for worker in busy) - began))
        speaking = wait([worker.connection for worker in busy], patience)
        paused = time.monotonic() - began - patience
        if paused > LOOK_SECONDS:  # the whole program was stopped for a while, and the processes with it
            for worker in busy:
                worker.deadline += paused
        for worker in busy:
            if worker.connection in speaking:
                try:
                    kind, content = worker.connection.recv()
                except (EOFError, OSError):
                    yield from self._bury(worker, "")
                    continue
                yield from self._hear(worker, kind, content)
            elif time.monotonic() >= worker.deadline:
                yield from self._bury(worker, f"it took longer than {self._seconds:g} seconds and was stopped")

    def _hear(self, worker: _Worker[Piece], kind: str, content: Any) -> Iterator[Outcome[Piece]]:
        if kind == _READY:
            worker.ready, self._start_deaths = True, 0
            return
        if kind == "error":
            raise content
        piece, worker.piece = worker.piece[0], []
        yield Outcome(piece, content) if kind == "done" else Outcome(piece, failure=str(content))

    def _bury(self, worker: _Worker[Piece], reason: str) -> Iterator[Outcome[Piece]]:
        """End a process and name its piece; the next piece starts another."""
        self._crew.remove(worker)
        code = worker.end()
        if worker.piece:
            yield Outcome(worker.piece[0], failure=reason or _ending(code))
            return
        self._start_deaths += 1
        if self._start_deaths >= START_DEATHS:
            raise DataError(
                f"{START_DEATHS} processes died before they could read a clip ({_ending(code)}). Free memory, or use "
                f"fewer workers."
            )
