"""TrainingMonitor: speed, waiting time and unreadable clips, in TensorBoard and the progress bar.

A Lightning callback beside the network's Lightning shell (`module.py`), which logs losses, learning rate and gradient
norm; this one logs what only the loop can know.
"""

from __future__ import annotations

import time
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

# Weight of the newest step in the running averages: about the last 20 steps count (our choice).
SMOOTHING = 0.1


class TrainingMonitor(Callback):
    """Logs samples a second, the share of time that training waits for data, and how often no face was found.

    `speed/samples_per_second` counts clips over wall time, `speed/data_wait_share` is the time between the end of a
    step and the arrival of the next batch, over the time of the whole step. Both are smoothed over about 20 steps.
    `data/quarantined` counts the clips of all processes that could not be read so far, if the data module counts them;
    for test it is `test/quarantined`.
    `data/frames_without_face` is a share and `data/clips_without_face` a number, of this process since its start.
    """

    def __init__(self) -> None:
        self._batch_ended: float | None = None
        self._batch_started = 0.0
        self._seconds_waited = 0.0
        self._seconds_stepped = 0.0
        self._clips = 0.0

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Forget the time between epochs: validation and checkpoints are not data wait."""
        self._batch_ended = None

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """The batch has arrived: what has passed since the last step's end was waiting."""
        self._batch_started = time.perf_counter()
        waited = self._batch_started - self._batch_ended if self._batch_ended is not None else 0.0
        self._seconds_waited = _smooth(self._seconds_waited, waited, self._batch_ended is None)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """The step is done: log."""
        now = time.perf_counter()
        first = self._clips == 0.0
        self._seconds_stepped = _smooth(self._seconds_stepped, now - self._batch_started, first)
        self._clips = _smooth(self._clips, float(len(batch)), first)
        whole = self._seconds_stepped + self._seconds_waited
        pl_module.log("speed/samples_per_second", self._clips / whole, prog_bar=True, batch_size=len(batch))
        pl_module.log("speed/data_wait_share", self._seconds_waited / whole, batch_size=len(batch))
        _log_quarantined(trainer, pl_module, "data/quarantined", len(batch))
        _log_faces(trainer, pl_module, len(batch))
        self._batch_ended = time.perf_counter()

    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Log how many clips the test had to do without."""
        _log_quarantined(trainer, pl_module, "test/quarantined", 1)


def _log_quarantined(trainer: Trainer, module: LightningModule, name: str, batch_size: int) -> None:
    bad_clips = getattr(getattr(trainer, "datamodule", None), "bad_clips", None)
    if bad_clips is not None:
        several = trainer.world_size > 1
        count = float(len(bad_clips))
        module.log(
            name, count, prog_bar=True, batch_size=batch_size, sync_dist=several, reduce_fx="sum" if several else "max"
        )


def _log_faces(trainer: Trainer, pl_module: LightningModule, batch_size: int) -> None:
    """What the data module counts of faces that were not found; data without such counts log nothing."""
    count = getattr(getattr(trainer, "datamodule", None), "counts", None)
    counts: dict[str, int] = {} if count is None else count().get("train", {})
    if counts.get("frames"):
        pl_module.log(
            "data/frames_without_face", counts["frames_without_face"] / counts["frames"], batch_size=batch_size
        )
        pl_module.log("data/clips_without_face", float(counts["clips_without_face"]), batch_size=batch_size)


def _smooth(average: float, newest: float, first: bool) -> float:
    return newest if first else (1.0 - SMOOTHING) * average + SMOOTHING * newest
