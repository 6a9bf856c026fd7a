"""Real trainings in processes of their own, quick to start: forked from a server that has imported everything.

For tests that kill, signal and fill the disk. `Run` is one process; `words` a command line with random tiny parts.
"""

from __future__ import annotations

import multiprocessing
import os
import socket
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from clip_making import write_clip, write_training_set
from patience import LONGEST
from step_recorder import recorded

TINY = Path(__file__).parent / "tiny.yaml"
_context = multiprocessing.get_context("forkserver")


def write_corpus(root: Path, clips: int = 10) -> Path:
    """Small clips to train on, of different brightness: alike ones would give `feature_norm: standard` only rounding."""

    def make(path: Path) -> None:
        start = 160 * int(path.stem[-3:])
        write_clip(path, range(start, start + 200, 40))

    return write_training_set(root, [f"sample_{index:03}" for index in range(clips)], make)


def words(corpus: Path, out: Path, *more: str) -> list[str]:
    """A training that records its steps in `out`; later words win."""
    out.mkdir(parents=True, exist_ok=True)
    return [
        *("fit", "--config", str(TINY), "--data.train_root", str(corpus), "--data.validation_share", "0"),
        *("--trainer.logger.init_args.save_dir", str(out), "--trainer.logger.init_args.version", "v0"),
        *("--data.crop_size", "16", "--data.frames", "1", "--data.describe_share", "0.5"),
        *("--trainer.callbacks+=step_recorder.StepRecorder", f"--trainer.callbacks.folder={out}"),
        *(
            "--trainer.enable_progress_bar",
            "false",
            "--model.learning_rate",
            "1e-3",
            "--model.feature_norm",
            "standard",
        ),
        *("--resume.every_n_steps", "2"),
        *("--trainer.precision", "32-true", *more),
    ]


def checkpoint(out: Path) -> Path:
    """Where the run leaves its last checkpoint."""
    return out / "tiny" / "v0" / "checkpoints" / "last.ckpt"


class Run:
    """A command in a process of its own.

    Attributes:
        log: What it prints.
    """

    def __init__(
        self,
        command: list[str],
        log: Path,
        environment: Mapping[str, str] | None = None,
        before: Callable[[], Any] | None = None,
    ) -> None:
        """Start it.

        Args:
            command: Words for the program.
            log: File that standard output and errors go to.
            environment: Set in the process.
            before: Called in the process first.
        """
        self.log = log
        self.process = _context.Process(target=_work, args=(command, str(log), dict(environment or {}), before))
        self.process.start()

    @property
    def pid(self) -> int:
        assert self.process.pid is not None
        return self.process.pid

    def end(self, seconds: float = LONGEST) -> int:
        """Wait for the end; the exit code, negative after a signal."""
        self.process.join(seconds)
        if self.process.exitcode is None:
            self.process.kill()
            self.process.join()
            raise AssertionError(f"the run hangs:\n{self.text()}")
        return self.process.exitcode

    def kill(self) -> None:
        """SIGKILL."""
        self.process.kill()
        self.process.join()

    def wait_for(self, condition: Callable[[], Any], seconds: float = LONGEST) -> bool:
        """Wait until the condition holds; False if the run ended before."""
        end = time.monotonic() + seconds
        while not condition():
            if not self.process.is_alive():
                return bool(condition())
            assert time.monotonic() < end, f"nothing happens:\n{self.text()}"
            time.sleep(0.005)
        return True

    def wait_for_step(self, out: Path, step: int, rank: int = 0) -> bool:
        """Wait until so many steps are done."""
        return self.wait_for(lambda: any(row["step"] >= step for row in recorded(out, rank)))

    def text(self) -> str:
        return self.log.read_text(errors="replace", encoding="utf-8")


def _work(command: list[str], log: str, environment: dict[str, str], before: Callable[[], Any] | None) -> None:
    """In the process: run the program, its output into the log."""
    handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(handle, 1)
    os.dup2(handle, 2)
    os.environ.update(environment)
    import torch

    torch.set_num_threads(1)
    if before is not None:
        before()
    from affect_lightning.command_line.program import main

    raise SystemExit(main(command))


def ranks(count: int, machines: int = 1) -> list[dict[str, str]]:
    """What torchrun puts into the environment of its processes, equally many on each of some machines."""
    local = count // machines
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    return [
        {
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": str(port),
            "RANK": str(rank),
            "LOCAL_RANK": str(rank % local),
            "GROUP_RANK": str(rank // local),
            "ROLE_RANK": str(rank),
            "WORLD_SIZE": str(count),
            "LOCAL_WORLD_SIZE": str(local),
            "TORCHELASTIC_RUN_ID": "test",
        }
        for rank in range(count)
    ]
