"""What the system refuses a Trainer (a full disk, a missing right, an accelerator), as one sentence (ours).

TensorBoard writes its events in a thread of its own. When the disk is full, that thread prints a traceback between the
lines of the program, and the next event that the program hands over raises the same error, if there is a next one. So the
thread is kept quiet here, and the program tells of it. `storage` says the same of whole files.
"""

from __future__ import annotations

import errno
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from affect_lightning.errors import ConfigurationError

_REFUSALS = {
    getattr(errno, name)
    for name in ("ENOSPC", "EDQUOT", "EFBIG", "EACCES", "EPERM", "EROFS", "ENOTDIR", "EEXIST", "EISDIR", "EIO")
    if hasattr(errno, name)
}


def is_refusal(error: BaseException | None) -> bool:
    """Whether the system refused to write, as far as the error's number tells."""
    return isinstance(error, OSError) and error.errno in _REFUSALS


def refused(error: OSError) -> str:
    """The sentence for the user."""
    what = f"{error.filename} could" if error.filename else "a file of the run could"
    return (
        f"Free space, or choose another folder with --trainer.logger.init_args.save_dir or --out, then run the command "
        f"again: {what} not be written ({error.strerror}). Checkpoints and results that were whole before are as they were; "
        f"--ckpt_path last continues a training."
    )


@contextmanager
def quiet_writers() -> Iterator[list[OSError]]:
    """What the system refused to threads, which print nothing of it in the meantime."""
    found: list[OSError] = []
    shown = threading.excepthook

    def hook(arguments: threading.ExceptHookArgs) -> None:
        if isinstance(arguments.exc_value, OSError) and is_refusal(arguments.exc_value):
            found.append(arguments.exc_value)
        else:
            shown(arguments)

    threading.excepthook = hook
    try:
        yield found
    finally:
        threading.excepthook = shown


def trainer_mistake(error: Exception) -> ConfigurationError | None:
    """Why Lightning builds no Trainer, with the remedy for an accelerator that is not there; None for anything else.

    Args:
        error: A MisconfigurationException; or a missing module, which for a TPU is the package `torch_xla`.
    """
    reason = " ".join(str(error).split())
    if isinstance(error, ModuleNotFoundError) and "torch_xla" not in reason:
        return None
    if "accelerator" in reason or "backend found" in reason or "torch_xla" in reason:
        return ConfigurationError(
            f"Choose --trainer.accelerator auto or cpu: this machine has none of the given kind that torch can use "
            f"({reason.rstrip('.!')})."
        )
    return ConfigurationError(f"The Trainer cannot be built: {reason}")
