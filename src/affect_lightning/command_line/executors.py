"""`--executor local|slurm|ray`: all parts of a command at once, then the merge, through datatrove's executors.

Not in the paper. Whatever takes `--part I/N` and `--merge` (`part_options.py`) can be run so. datatrove starts the parts, asks
SLURM or Ray for machines and keeps their logs; each part is the same command in a process of its own, so what a part does,
and what its merge joins, is decided elsewhere (`storage/parts.py`). docs/many_machines.md shows it.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from functools import partial
from pathlib import Path
from typing import Any

from affect_lightning.command_line.command_parser import CommandParser
from affect_lightning.errors import AffectLightningError, ConfigurationError

DIVIDED = ("cache", "pack", "doctor", "test", "annotate")  # commands that know --part and --merge
EXECUTORS = ("local", "slurm", "ray")
OPTION = "--executor"
_COUNTING = "datatrove.executor.local"
_ARRAY_SIZE = 1001  # jobs in one array: SLURM's default limit (MaxArraySize), and datatrove's


class PartFailedError(AffectLightningError):
    """A part ended with another exit code than 0; the executor is to see it."""


@dataclass(frozen=True)
class ExecutorOptions:
    """Where the parts run. Defaults without a reason beside them are our choice.

    Attributes:
        parts: How many there are.
        workers: How many run at once; 0 for all.
        logs: Folder of the logs, on a disk that all machines see; empty for a new one in `executor-logs`.
        partition: Of SLURM.
        time: Limit of each part, as SLURM writes it; a day.
        cpus: Processors of each part.
        memory: Gigabytes for each processor.
        gpus: Of each part.
        qos: Quality of service of SLURM; empty for its default.
        sbatch: Further options of sbatch as KEY=VALUE, parted by commas.
    """

    parts: int
    workers: int = 0
    logs: str = ""
    partition: str = ""
    time: str = "24:00:00"
    cpus: int = 1
    memory: int = 4
    gpus: int = 0
    qos: str = ""
    sbatch: str = ""

    def __post_init__(self) -> None:
        for name, least in (("parts", 1), ("workers", 0), ("cpus", 1), ("memory", 1), ("gpus", 0)):
            if getattr(self, name) < least:
                raise ConfigurationError(f"{OPTION}.{name} must be {least} or more; got {getattr(self, name)}.")
        wrong = [pair for pair in self.sbatch.split(",") if self.sbatch and "=" not in pair.strip("=")]
        if wrong:
            raise ConfigurationError(f"{OPTION}.sbatch takes KEY=VALUE, parted by commas; got {wrong[0]!r}.")

    def logs_of(self, command: str) -> Path:
        """The folder of the logs of a command."""
        new = Path("executor-logs", f"{command}-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}")
        return Path(self.logs or new).absolute()

    @property
    def sbatch_arguments(self) -> dict[str, str]:
        """Further options of sbatch by name."""
        pairs = [pair.partition("=") for pair in self.sbatch.split(",") if pair]
        return {name.strip().lstrip("-"): value.strip() for name, _, value in pairs}


@dataclass(frozen=True)
class CommandStep:
    """A step of a datatrove pipeline: a part of a command, or its merge, in a process of its own.

    Attributes:
        words: The command line without the part.
        folder: In which it runs, so that relative paths mean what they meant to the user.
        merges: Whether it is the merge.
        raises: Whether another exit code than 0 is an error. On this machine the merge tells which parts are not
            finished, and an error would leave the processes of other parts behind.
    """

    words: tuple[str, ...]
    folder: str
    merges: bool = False
    raises: bool = True

    def __call__(self, data: object, rank: int, world_size: int) -> None:
        """Run it; datatrove gives the number of the part and how many there are."""
        more = ["--merge"] if self.merges else ["--part", f"{rank + 1}/{world_size}"]
        command = [sys.executable, "-m", "affect_lightning", *self.words, *more]
        # Standard output is 2, standard error. There is no standard input: of several parts none can ask a question.
        code = subprocess.run(command, cwd=self.folder, stdin=subprocess.DEVNULL, stdout=2, check=False).returncode
        if code and self.raises:
            raise PartFailedError(f"{shlex.join(command[2:])} ended with exit code {code}. Its message is above.")


def asks_for_executor(words: Sequence[str]) -> bool:
    """Whether a command is to be run in parts by an executor.

    >>> asks_for_executor(["cache", "--executor", "local"]), asks_for_executor(["cache", "--executors"])
    (True, False)
    """
    return any(word.partition("=")[0].partition(".")[0] == OPTION for word in words)


def run_in_parts(words: Sequence[str], run: Callable[[list[str]], int]) -> int:
    """Run all parts of a command and merge them.

    Args:
        words: The command line, with the options of the executor.
        run: Runs a command line in this process and gives its exit code.

    Returns:
        The exit code of the merge. With SLURM it waits in the queue, and the exit code says that it was sent.

    Raises:
        ConfigurationError: An option is wrong, the command cannot be divided, or the executor's library is missing.
    """
    name, options, rest = _taken(words)
    command = rest[0] if rest else ""
    if command not in DIVIDED:
        raise ConfigurationError(
            f"Leave out {OPTION}: {command or 'nothing'} cannot be divided. It runs {', '.join(DIVIDED)} in parts."
        )
    given = [word for word in rest if word in ("--part", "--merge") or word.startswith("--part=")]
    if given:
        raise ConfigurationError(f"Leave out {given[0]}, or leave out {OPTION}, which runs all parts and the merge.")
    _library()
    if name == "slurm":
        return _send_to_slurm(rest, options)
    step = CommandStep(tuple(rest), os.getcwd(), raises=name == "ray")
    _run_locally(step, options) if name == "local" else _run_on_ray(step, options)
    return run([*rest, "--merge"])


def _taken(words: Sequence[str]) -> tuple[str, ExecutorOptions, list[str]]:
    """The executor's name and options, and the other words."""
    own, rest, words = [], [], list(words)
    while words:
        word = words.pop(0)
        if not asks_for_executor([word]):
            rest.append(word)
            continue
        own.append(word)
        if "=" not in word and words and not words[0].startswith("--"):
            own.append(words.pop(0))
    parser = CommandParser(prog=f"affect-lightning {rest[0] if rest else 'COMMAND'}", add_help=False)
    parser.add_argument(OPTION, choices=EXECUTORS, dest="name")
    for field in fields(ExecutorOptions):
        kind = int if field.type == "int" else str
        parser.add_argument(f"{OPTION}.{field.name}", type=kind, dest=field.name)
    given = {key: value for key, value in vars(parser.parse_args(own)).items() if value is not None}
    name = given.pop("name", None)
    if name is None:
        raise ConfigurationError(f"Add {OPTION} {', '.join(EXECUTORS)}: {own[0]} is an option of an executor.")
    if "parts" not in given:
        raise ConfigurationError(f"Add {OPTION}.parts N, the number of parts, such as {OPTION}.parts 8.")
    if name == "slurm" and not given.get("partition"):
        raise ConfigurationError(f"Add {OPTION}.partition NAME: SLURM needs a partition; `sinfo` lists them.")
    return name, ExecutorOptions(**given), rest


def _library() -> Any:
    try:
        from datatrove import executor
    except ImportError as error:
        raise ConfigurationError(
            f"Run `pip install 'affect-lightning[cluster]'`: {OPTION} needs datatrove, which is not installed."
        ) from error
    return executor


def _shared(step: CommandStep, options: ExecutorOptions) -> dict[str, Any]:
    """What all executors take. A part knows by itself whether it is done, so datatrove skips none."""
    return {
        "pipeline": [step],
        "tasks": options.parts,
        "workers": options.workers or -1,
        "logging_dir": str(options.logs_of(step.words[0])),
        "skip_completed": False,
    }


def _run_locally(step: CommandStep, options: ExecutorOptions) -> None:
    executor = _library().LocalPipelineExecutor(**_shared(step, options))
    executor._run_for_rank = partial(_run_quietly, executor)
    counting = _without_counting()
    try:
        executor.run()
    finally:
        counting()


def _run_quietly(executor: Any, rank: int, local_rank: int = 0) -> Any:
    """Run a part. datatrove writes the messages of local rank 0 to the terminal too, between our bars: none has that rank."""
    _without_counting()  # in the process of the part, too
    return type(executor)._run_for_rank(executor, rank, local_rank + 1)


def _without_counting() -> Callable[[], None]:
    """Silence how many parts are done, which each part tells of itself; what is returned undoes it."""
    from datatrove.utils.logging import logger

    logger.disable(_COUNTING)
    return lambda: logger.enable(_COUNTING)


def _run_on_ray(step: CommandStep, options: ExecutorOptions) -> None:
    try:
        import ray
    except ImportError as error:
        raise ConfigurationError(
            "Run `pip install ray`: the executor ray needs it, in the cluster's version."
        ) from error
    if not ray.is_initialized():
        ray.init()  # the cluster of RAY_ADDRESS, or one on this machine
    own = {"cpus_per_task": options.cpus, "mem_per_cpu_gb": options.memory, "gpus_per_task": options.gpus}
    _library().RayPipelineExecutor(**_shared(step, options), **own).run()


def _send_to_slurm(words: Sequence[str], options: ExecutorOptions) -> int:
    """Send an array job of the parts, and the merge, which waits for them."""
    # The nodes start datatrove's program by its name, so this Python's programs must be on their path.
    programs = shlex.quote(str(Path(sys.executable).parent))
    shared = {
        "time": options.time,
        "partition": options.partition,
        "cpus_per_task": options.cpus,
        "mem_per_cpu_gb": options.memory,
        "qos": options.qos or None,
        "env_command": f'export PATH={programs}:"$PATH"',
        "sbatch_args": options.sbatch_arguments,
        "max_array_size": _ARRAY_SIZE,
    }
    executor = _library().SlurmPipelineExecutor
    title = f"affect-lightning-{words[0]}"
    folder = options.logs_of(words[0])
    step, options = CommandStep(tuple(words), os.getcwd()), replace(options, logs=str(folder))
    parts = executor(**_shared(step, options), **shared, job_name=title, gpus_per_task=options.gpus)
    merge = executor(
        pipeline=[CommandStep(tuple(words), os.getcwd(), merges=True)],
        tasks=1,
        logging_dir=str(folder / "merge"),
        skip_completed=False,
        job_name=f"{title}-merge",
        depends=parts,
        **shared,
    )
    try:
        merge.run()
    except FileNotFoundError as error:
        raise ConfigurationError("Run this on a machine of the cluster: there is no `sbatch` here.") from error
    except subprocess.CalledProcessError as error:
        raise ConfigurationError(
            f"Change what SLURM refuses (its message is above): sbatch ended with exit code {error.returncode}. The script is "
            f"{folder / 'launch_script.slurm'}."
        ) from error
    print(
        f"Sent {options.parts} parts as job {parts.job_id} and their merge as job {merge.job_id}, which waits for them.\n"
        f"What they print is in {folder / 'slurm_logs'} and {folder / 'merge' / 'slurm_logs'}.",
        file=sys.stderr,
    )
    return 0
