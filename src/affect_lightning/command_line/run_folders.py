"""Which folder fit, validate, test and predict write into, so that no run and no result is ever written over (ours).

A training gets a new folder, or goes on in its own with `--ckpt_path last` and only so. A test or prediction gets a folder
for itself (`unibench/result_folders.py`). All is settled, and checked, before anything is written. docs/training.md, "A run is
never lost", tells the user of it. Neighbour: `resuming.py` says what `--ckpt_path` means.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jsonargparse import Namespace
from lightning.pytorch import Trainer
from lightning.pytorch.utilities.rank_zero import rank_zero_only

from affect_lightning.checkpoints.compatibility import check_fits
from affect_lightning.checkpoints.reading import read_checkpoint
from affect_lightning.command_line.early_checks import has_a_run, used_run
from affect_lightning.errors import ConfigurationError
from affect_lightning.storage import Part, file_lock
from affect_lightning.training.checkpoint_files import FOLDER, LAST
from affect_lightning.unibench.parts_of_test import folder_of_part
from affect_lightning.unibench.result_folders import (
    check_place,
    check_unused,
    check_writable,
    reserve_result_folder,
    result_name,
)

if TYPE_CHECKING:
    from filelock import BaseFileLock

_LOGGER = "trainer.logger.init_args"
_PLACES = ("save_dir", "name", "version")  # of a logger
_LOCK = "training.lock"
_OPTIONS_OF_LOGGER = "hparams.yaml"  # TensorBoardLogger writes it, unlike everything of ours not whole or absent
_NOTHING = "nothing would be trained"


def is_given(words: Sequence[str], *options: str) -> bool:
    """Whether the command line itself, not a configuration file, has one of the options."""
    return any(word.partition("=")[0] in {f"--{option}" for option in options} for word in words)


class RunFolder:
    """The folder of one command: chosen, reserved, and given back if nothing came of it.

    Args:
        words: The command line, the command first.
    """

    def __init__(self, words: Sequence[str]) -> None:
        self._words = words
        self._reserved: Path | None = None
        self._cut: Path | None = None
        self._lock: BaseFileLock | None = None
        self._continues = False

    def settle(self, section: Namespace, command: str, *, continues: bool) -> None:
        """Put the folder into the configuration.

        Args:
            section: The command's configuration.
            command: Its name.
            continues: Whether a training goes on in the folder where it is, because `--ckpt_path last` says so.

        Raises:
            ConfigurationError: The folder has a run or result already, or nothing would be trained.
        """
        if command != "fit":
            self._settle_result(section, command)
            return
        self._continues = continues
        _check_length(section)
        if section.trainer.get("fast_dev_run"):
            return
        if continues:
            _enter_run_of_checkpoint(section)
        else:
            self._refuse_used(_chosen_run(section))
            _refuse_used_checkpoints(section)

    def _settle_result(self, section: Namespace, command: str) -> None:
        given, part = section.benchmark.out, section.benchmark.get("part")
        if part is not None and given is not None:
            check_unused(Path(given))
            folder = folder_of_part(Path(given), Part.parse(part))
            check_writable(folder)
        elif given is not None:
            folder = Path(given)
            check_place(folder)
        else:
            sets = section.data.test_sets if command == "test" else ["own"] if command == "predict" else ["validation"]
            name = result_name(sets, str(section.get("ckpt_path") or ""))
            is_first = is_first_process()
            check_writable(self._place(section) / command)
            folder = reserve_result_folder(self._place(section) / command, name, makes=is_first)
            self._reserved = folder if is_first else None
        section.benchmark.out = given if part is not None else str(folder)
        self._use(folder)
        values = getattr(section.trainer.logger, "init_args", None)
        if values is not None and "save_dir" in values:
            values.save_dir, values.name, values.version = str(folder.parent), "", folder.name

    def _place(self, section: Namespace) -> Path:
        """Folder of the run that the result belongs to: what the command line says, else that of the checkpoint."""
        checkpoint = section.get("ckpt_path")
        is_of_a_run = bool(checkpoint) and Path(checkpoint).is_file() and Path(checkpoint).parent.name == FOLDER
        if is_of_a_run and not is_given(self._words, *(f"{_LOGGER}.{name}" for name in _PLACES)):
            return Path(checkpoint).parent.parent
        return _chosen_run(section) or _experiment(section)

    def _refuse_used(self, run: Path | None) -> None:
        if run is not None and has_a_run(run):
            raise ConfigurationError(used_run(run))

    def enter(self, trainer: Trainer) -> None:
        """Take the run's folder for this training alone, and say where a new one starts that continues an old one.

        Raises:
            ConfigurationError: Another process trains there.
        """
        run = getattr(trainer.logger, "log_dir", None)
        if run is None or not is_first_process() or getattr(trainer, "fast_dev_run", False):
            return
        folder = Path(run)
        folder.mkdir(parents=True, exist_ok=True)
        self._use(folder)
        lock = file_lock(folder / _LOCK, wait_seconds=0)
        try:
            lock.acquire()
        except TimeoutError as error:
            raise ConfigurationError(
                f"Wait for its end, or choose another --{_LOGGER}.version: another process trains in {folder}."
            ) from error
        except NotImplementedError:  # a disk without locks
            return
        self._lock = lock
        if not self._continues:
            self._refuse_used(folder)

    def _use(self, folder: Path) -> None:
        path = folder / _OPTIONS_OF_LOGGER
        self._cut = None if path.exists() else path

    def discard_cut(self) -> None:
        """Remove what the logger may have left half-written when the system refused; nothing else is written in place."""
        if self._cut is not None:
            with suppress(OSError):
                self._cut.unlink(missing_ok=True)

    def release(self) -> None:
        """Give back what was taken: the lock, and a reserved folder that stayed empty."""
        if self._lock is not None:
            self._lock.release()
            self._lock = None
        if self._reserved is not None:
            with suppress(OSError):  # it has content, as it should
                self._reserved.rmdir()
                self._reserved.parent.rmdir()
            self._reserved = None


def check_continuation(section: Namespace, options: dict[str, Any], *, continues: bool) -> None:
    """Check all that can be known of a training's continuation before anything is written.

    Args:
        section: The configuration of `fit`, with a path as `ckpt_path`.
        options: The module's hyperparameters.
        continues: Whether it goes on in its own folder.

    Raises:
        CheckpointError: The checkpoint cannot be read or does not fit the configuration.
        ConfigurationError: It has all steps already.
    """
    path = section.ckpt_path
    checkpoint = read_checkpoint(path, mapped=True)
    check_fits(checkpoint["hyper_parameters"], options, str(path), purpose="go on")
    step, most = int(checkpoint.get("global_step", 0)), section.trainer.max_steps
    if 0 <= most <= step:
        raise ConfigurationError(
            f"Raise --trainer.max_steps above {step} to train further: {path} is of step {step}, and max_steps is {most}, so "
            f"{_NOTHING}."
        )
    if not continues and is_first_process():
        print(
            f"affect-lightning: fit goes on from step {step} of {path} in a new folder. The run that it comes from stays as it "
            f"is; --ckpt_path last would continue in its folder.",
            file=sys.stderr,
            flush=True,
        )


def check_trained(trainer: Trainer, steps: int) -> None:
    """Refuse to call it a success that nothing was trained.

    Args:
        trainer: After its training.
        steps: Optimiser steps that it did.

    Raises:
        ConfigurationError: It did none.
    """
    if steps == 0 and not getattr(trainer, "fast_dev_run", False):
        raise ConfigurationError(
            f"Check trainer.max_steps ({trainer.max_steps}), trainer.max_epochs ({trainer.max_epochs}), "
            f"trainer.limit_train_batches ({trainer.limit_train_batches}) and the number of clips: the training ended without "
            f"a single step, so nothing was trained."
        )


def is_first_process() -> bool:
    """Whether this process writes; known before a Trainer exists."""
    return getattr(rank_zero_only, "rank", 0) == 0


def _check_length(section: Namespace) -> None:
    for option in ("max_steps", "max_epochs", "limit_train_batches"):
        if section.trainer.get(option) == 0:
            raise ConfigurationError(f"Set --trainer.{option} above 0: with 0 {_NOTHING}.")


def _enter_run_of_checkpoint(section: Namespace) -> None:
    """Let the training go on in the folder of `<run>/checkpoints/last.ckpt`."""
    values = getattr(section.trainer.logger, "init_args", None)
    path = Path(section.ckpt_path or "")
    if values is not None and path.parent.name == FOLDER:
        run = path.parent.parent
        values.save_dir, values.name, values.version = str(run.parent.parent), run.parent.name, run.name


def _experiment(section: Namespace) -> Path:
    values = getattr(section.trainer.logger, "init_args", None)
    if values is None or not values.get("save_dir"):
        return Path(section.trainer.default_root_dir or ".")
    return Path(values.save_dir) / str(values.get("name") or "")


def _chosen_run(section: Namespace) -> Path | None:
    """Folder of the run if the logger's version is set; None where the logger counts on."""
    values = getattr(section.trainer.logger, "init_args", None)
    version = None if values is None else values.get("version")
    if version is None:
        return None
    return _experiment(section) / (version if isinstance(version, str) else f"version_{version}")


def _refuse_used_checkpoints(section: Namespace) -> None:
    """The option `resume.dirpath` can lead a new run into the checkpoints of an old one."""
    folder = section.resume.dirpath
    if section.get("ckpt_path") and folder is not None and (Path(folder) / LAST).exists():
        raise ConfigurationError(
            f"Choose another --resume.dirpath, or continue there with --ckpt_path last: {Path(folder) / LAST} is there "
            f"already, and a new run would replace it."
        )
