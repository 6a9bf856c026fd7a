"""Steps of a table in other processes, some at a time: trainings, tests, and the caches that they read (ours).

A task says which command is next; its output goes into the task's log. One that fails is told with its log, and the others go
on. `runs.py` and `command_line/table_caches.py` have the tasks; `command_line/forked_runs.py` starts processes faster.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

PROGRAM = (sys.executable, "-m", "affect_lightning")
THREADS_VARIABLE = "OMP_NUM_THREADS"
_DEVICES_VARIABLE = "CUDA_VISIBLE_DEVICES"
_POLL_SECONDS = 0.1  # our choice
_STOP_SECONDS = 30.0  # our choice: a training that is told to stop finishes its step and writes a checkpoint


class Working(Protocol):
    """A command at work in another process."""

    def poll(self) -> int | None:
        """Its exit code, negative for a signal; None while it works."""

    def terminate(self) -> None:
        """Ask it to end."""

    def kill(self) -> None:
        """End it."""


Starter = Callable[[Sequence[str], Path, Mapping[str, str]], Working]
"""Starts a command by its words, with a file for all that it prints and with variables of the environment."""


class Task(Protocol):
    """Something to do in one or more commands."""

    @property
    def title(self) -> str:
        """For messages."""

    @property
    def log(self) -> Path:
        """File for what the commands print; `begin` makes its folder."""

    @property
    def seconds(self) -> float:
        """What the commands took so far."""

    def missing_step(self) -> str:
        """Name of the next command; empty if all is done."""

    def begin(self, name: str) -> list[str]:
        """Make ready for that command; returns its words."""

    def note_step(self, name: str, seconds: float) -> None:
        """Keep that a command ended well."""


AnyTask = TypeVar("AnyTask", bound=Task)


def program_starter(program: Sequence[str] = PROGRAM) -> Starter:
    """Starts each command as a new program.

    Args:
        program: Words that start affect-lightning.
    """

    def start(words: Sequence[str], log: Path, environment: Mapping[str, str]) -> Working:
        with log.open("a", encoding="utf-8") as output:
            return subprocess.Popen(
                [*program, *words], stdout=output, stderr=subprocess.STDOUT, env={**os.environ, **environment}
            )

    return start


@dataclass
class _Step:
    """One command of a task, at work."""

    name: str
    working: Working
    began: float


def work_off(
    tasks: Sequence[AnyTask],
    *,
    jobs: int,
    start: Starter,
    say: Callable[[str], None],
    before: Callable[[AnyTask], AnyTask | None] = lambda _: None,
) -> list[tuple[AnyTask, str]]:
    """Do what is missing of each task, the first that can begin first.

    Args:
        tasks: Each once.
        jobs: Processes at a time. They share the processor's cores, or have one GPU each of those in CUDA_VISIBLE_DEVICES.
        start: Starts a command.
        say: Takes a line for the user.
        before: Gives the task of these that must be done before another one begins; None where it need not wait.

    Returns:
        The tasks that failed, with what failed and where it is told. A task fails with the one that it waits for.
    """
    waiting = [task for task in tasks if task.missing_step()]
    working: dict[int, tuple[AnyTask, _Step]] = {}
    failed: dict[int, tuple[AnyTask, str]] = {}
    done, total = 0, len(waiting)
    try:
        while waiting or working:
            for task in [task for task in waiting if id(before(task)) in failed]:
                waiting.remove(task)
                failed[id(task)] = task, failed[id(before(task))][1]
            for slot in (slot for slot in range(jobs) if slot not in working):
                if (ready := _first_ready(waiting, before)) is not None:
                    waiting.remove(ready)
                    working[slot] = ready, _begin(ready, start, environment_of(slot, jobs), say)
            ended = [(slot, code) for slot, (_, step) in working.items() if (code := step.working.poll()) is not None]
            for slot, code in ended:
                task, step = working.pop(slot)
                reason = _finish(task, step, code)
                if reason:
                    failed[id(task)] = task, reason
                    say(f"{task.title}: {reason}")
                elif task.missing_step():
                    working[slot] = task, _begin(task, start, environment_of(slot, jobs), say)
                else:
                    done += 1
                    say(f"{task.title}: done in {task.seconds / 60:.1f} minutes ({done} of {total})")
            if not ended:
                time.sleep(_POLL_SECONDS)
    finally:
        _stop([step.working for _, step in working.values()])
    return list(failed.values())


def _first_ready(waiting: Sequence[AnyTask], before: Callable[[AnyTask], AnyTask | None]) -> AnyTask | None:
    """The first task that need not wait for another."""
    for task in waiting:
        first = before(task)
        if first is None or not first.missing_step():
            return task
    return None


def _begin(task: Task, start: Starter, environment: Mapping[str, str], say: Callable[[str], None]) -> _Step:
    name = task.missing_step()
    words = task.begin(name)
    with task.log.open("a", encoding="utf-8") as log:
        log.write(f"$ affect-lightning {shlex.join(words)}\n")
    say(f"{task.title}: {name}")
    return _Step(name, start(words, task.log, environment), time.monotonic())


def _finish(task: Task, step: _Step, code: int) -> str:
    """Note what came of a step; returns why it failed, or nothing."""
    if code == 0:
        task.note_step(step.name, time.monotonic() - step.began)
    if code == 0 and task.missing_step() != step.name:
        return ""
    killed = f" (signal {-code}: perhaps the memory ran out)" if code < 0 else ""
    return f"{step.name} ended with exit code {code}{killed}; see {task.log}"


def _stop(working: Sequence[Working]) -> None:
    """End what still works, in order if it can."""
    for one in working:
        with suppress(ProcessLookupError):
            one.terminate()
    until = time.monotonic() + _STOP_SECONDS
    while any(one.poll() is None for one in working) and time.monotonic() < until:
        time.sleep(_POLL_SECONDS)
    for one in working:
        if one.poll() is None:
            with suppress(ProcessLookupError):
                one.kill()


def environment_of(slot: int, jobs: int) -> dict[str, str]:
    """Variables that share the machine out between processes.

    Args:
        slot: Number of the process, from 0.
        jobs: Processes at a time.
    """
    environment: dict[str, str] = {}
    if jobs > 1:
        devices = [device for device in os.environ.get(_DEVICES_VARIABLE, "").split(",") if device]
        if len(devices) > 1:
            environment[_DEVICES_VARIABLE] = devices[slot % len(devices)]
        if THREADS_VARIABLE not in os.environ:
            environment[THREADS_VARIABLE] = str(max(1, (os.cpu_count() or 1) // jobs))
    return environment
