"""Values of the device, read one step late: what a step says of itself is not waited for (ours).

A GPU works through what it is given while the processor prepares what comes next. Whoever asks for a loss in the step
that computes it makes the processor wait until the GPU is done, and then the GPU until the processor is. So a copy to
the processor is started in its step and read in the next one, when it has long arrived. A processor has nothing to
gain: there, values are read at once.

`loss_anomalies.py` judges the values, `affectgpt_module.py` and `monitoring.py` log.
"""

from __future__ import annotations

from typing import Generic, NamedTuple, TypeVar

import torch
from lightning.pytorch import LightningModule
from torch import Tensor

LATE_DEVICES = {"cuda"}
_Note = TypeVar("_Note")


def is_late(device: torch.device) -> bool:
    """Whether values of this device are read one step late."""
    return device.type in LATE_DEVICES


class _Pending(NamedTuple):
    host: Tensor  # where the values are, or will be
    arrived: torch.cuda.Event | None
    note: object


class LateReader(Generic[_Note]):
    """Values on the way from the device, in order, each with a note of what they belong to."""

    def __init__(self) -> None:
        self._pending: list[_Pending] = []

    def push(self, values: Tensor, note: _Note) -> list[tuple[list[float], _Note]]:
        """Start to read the values [N] of a step.

        Args:
            values: On their device.
            note: Of the step; plain.

        Returns:
            What can be read now: the steps before, or on a processor this one.
        """
        late = is_late(values.device)
        ready = self.flush() if late else []
        self._pending.append(_start(values.detach().float(), note))
        return ready if late else self.flush()

    def flush(self) -> list[tuple[list[float], _Note]]:
        """Read everything that is on the way; it waits for the device."""
        pending, self._pending = self._pending, []
        return [(_read(one), one.note) for one in pending]  # type: ignore[misc]  # a note is what was pushed


def _start(values: Tensor, note: object) -> _Pending:
    if values.device.type != "cuda":
        return _Pending(values.clone(), None, note)
    host = torch.empty(values.shape, dtype=values.dtype, pin_memory=True)
    host.copy_(values, non_blocking=True)
    arrived = torch.cuda.Event()
    arrived.record()
    return _Pending(host, arrived, note)


def _read(one: _Pending) -> list[float]:
    if one.arrived is not None:
        one.arrived.synchronize()
    read: list[float] = one.host.tolist()
    return read


def log_number(module: LightningModule, name: str, value: float, **options: object) -> None:
    """Log a number that the processor knows.

    Lightning would copy it to the device at once, and the progress bar would read it back: two waits a number.
    """
    module.log(name, torch.tensor(float(value)), **options)  # type: ignore[arg-type]
