"""Commands in processes that begin as copies of one that has imported everything (ours; `table` runs 75 trainings).

Importing torch, Lightning and the parts takes longer than a short training starts. So one process of Python's fork server
imports them, computes nothing and starts no thread; each command is a copy of it, with random numbers, threads and files of
its own. Nothing else is shared, so a command that fails or is killed takes no other with it. Where there is a GPU, commands
are programs of their own: CUDA and copies do not go together.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
from collections.abc import Mapping, Sequence
from multiprocessing.process import BaseProcess
from pathlib import Path

import torch

from affect_lightning.unibench.paper_tables.processes import THREADS_VARIABLE, Starter, Working, program_starter

_COMMANDS = (
    "affect_lightning.command_line.trainer_commands",
    "affect_lightning.command_line.benchmark_command",
    "affect_lightning.command_line.cache_filling",
)


def fitting_starter(modules: Sequence[str]) -> Starter:
    """What starts commands best on this machine.

    Args:
        modules: Of the parts that the commands build, imported once.
    """
    if "forkserver" not in multiprocessing.get_all_start_methods() or torch.cuda.is_available():
        return program_starter()
    return forking_starter(modules)


def forking_starter(modules: Sequence[str]) -> Starter:
    """Starts each command as a copy of a process that has imported everything.

    Args:
        modules: Of the parts that the commands build; one that cannot be imported is left to the command, which says why.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([*_COMMANDS, *modules])

    def start(words: Sequence[str], log: Path, environment: Mapping[str, str]) -> Working:
        # Those of this process as they are now: the server may have been started under others.
        variables = {**os.environ, **environment}
        copy = context.Process(target=_run_command, args=(list(words), str(log), variables), name=f"table-{words[0]}")
        copy.start()
        return _Copy(copy)

    return start


class _Copy:
    """A command in a copied process."""

    def __init__(self, process: BaseProcess) -> None:
        self._process = process

    def poll(self) -> int | None:
        """See `Working`."""
        return self._process.exitcode

    def terminate(self) -> None:
        """See `Working`."""
        self._process.terminate()

    def kill(self) -> None:
        """See `Working`."""
        self._process.kill()


def _run_command(words: list[str], log: str, variables: dict[str, str]) -> None:
    """The life of a copy: its output goes to the log, its threads are those of its share, and it exits as the program does."""
    from affect_lightning.command_line.program import main

    descriptor = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    for standard in (1, 2):
        os.dup2(descriptor, standard)
    os.close(descriptor)
    os.environ.clear()
    os.environ.update(variables)
    if variables.get(THREADS_VARIABLE, "").isdecimal():  # the library read the variable when it was imported
        torch.set_num_threads(max(1, int(variables[THREADS_VARIABLE])))
    sys.argv = ["affect-lightning", *words]
    raise SystemExit(main(words))
