"""TrainingMonitor: speed, waiting time and unreadable clips, in TensorBoard and the progress bar.

A Lightning callback next to `affectgpt_module.py`. The module logs losses, learning rate and gradient norm. The monitor
logs what only the loop can know: what a step costs in tokens and floating-point operations, and what the device could
do at best. Nothing in the paper; the authors give about 4.6 samples a second on an A100. `benchmarks/` counts with it
too.
Legend: B clips, L tokens of a clip, E embedding width, V vocabulary.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from affect_lightning.contracts import LanguageModel, run_data_of
from affect_lightning.model.processes import sum_over_processes
from affect_lightning.model.prompt_assembly import StepSize
from affect_lightning.training.late_reading import LateReader, log_number

_PEAK_SIZES = {"cuda": 8192, "cpu": 1024}  # side of the square matrices; our choice
_PEAK_ROUNDS = 5


@dataclass(frozen=True)
class StepCost:
    """Floating-point operations of a step of a language model, from the sizes of its weights.

    A frozen weight costs 4 operations a token (2 forward, 2 for the gradient of its input), a trained one 6; attention
    within a clip costs 6 L^2 E a block. What is computed twice, for padding or for checkpointing, does not count: this
    is useful work. Encoders and projectors are left out.

    Attributes:
        frozen: Frozen weights of the blocks.
        trained: Trained weights of the blocks, the adapter.
        blocks: Number of blocks.
        width: E.
        words: V.
    """

    frozen: int
    trained: int
    blocks: int
    width: int
    words: int

    @classmethod
    def of(cls, language_model: LanguageModel) -> StepCost:
        """Sizes of a built model; weights with one dimension (norms, biases) are left out."""
        blocks = list(language_model.shardable_blocks())
        weights = [weight for block in blocks for weight in block.parameters() if weight.ndim > 1]
        return cls(
            frozen=sum(weight.numel() for weight in weights if not weight.requires_grad),
            trained=sum(weight.numel() for weight in weights if weight.requires_grad),
            blocks=len(blocks),
            width=language_model.embedding_width,
            words=len(language_model.tokenizer),
        )

    def operations(self, step: StepSize) -> int:
        """Of one step, forward and backward.

        >>> StepCost(frozen=10, trained=1, blocks=2, width=4, words=5).operations(StepSize((3, 2), supervised=1))
        934
        """
        weights = step.tokens * (4 * self.frozen + 6 * self.trained)
        attention = 6 * self.blocks * self.width * sum(length**2 for length in step.lengths)
        return weights + attention + 4 * self.width * self.words * step.supervised


def padding_share(language_model: LanguageModel, lengths: Sequence[int]) -> float:
    """Share of the positions that the model computes for nothing, 0 to 1."""
    computed = language_model.computed_positions(lengths)
    return 1.0 - sum(lengths) / computed if computed else 0.0


@torch.no_grad()
def measured_peak(device: torch.device, dtype: torch.dtype) -> float:
    """Operations a second of the device's best of several large matrix products; takes a fraction of a second."""
    side = _PEAK_SIZES.get(device.type, 1024)
    generator = torch.Generator().manual_seed(0)
    matrix = torch.rand(side, side, generator=generator).to(device, dtype)
    best = float("inf")
    for _ in range(_PEAK_ROUNDS + 1):  # the first one warms up
        _wait_for(device)
        started = time.perf_counter()
        torch.mm(matrix, matrix)
        _wait_for(device)
        best = min(best, time.perf_counter() - started)
    return 2 * side**3 / best


def _wait_for(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


# Weight of the newest step in the running averages: about the last 20 steps count (our choice).
SMOOTHING = 0.1


class TrainingMonitor(Callback):
    """Logs speed, the share of time that training waits for data, memory, and how often no face was found.

    `speed/samples_per_second` counts clips and `speed/tokens_per_second` their real tokens over wall time;
    `speed/data_wait_share` is the time between the end of a step and the arrival of the next batch, over the time of
    the whole step; `speed/peak_share` is the useful work of the language model (`StepCost`) over what this
    device does in a large matrix product of the model's number type, measured when training starts. They are smoothed
    over about 20 steps. `speed/padding_share` is the share of computed positions that hold padding.
    `memory/peak_gb` is the most that this process had so far, on the GPU or, without one, resident; 1 GB is 1e9 bytes.
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
        self._tokens = 0.0
        self._operations = 0.0
        self._cost: StepCost | None = None
        self._peak = 0.0
        self._quarantined: LateReader[None] = LateReader()

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Measure what the device can do."""
        language_model = getattr(getattr(pl_module, "network", None), "language_model", None)
        if language_model is not None:
            self._cost = StepCost.of(language_model)
            dtype = next(language_model.parameters()).dtype
            self._peak = measured_peak(pl_module.device, dtype)

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
        log_number(pl_module, "speed/samples_per_second", self._clips / whole, prog_bar=True, batch_size=len(batch))
        log_number(pl_module, "speed/data_wait_share", self._seconds_waited / whole, batch_size=len(batch))
        self._log_tokens(pl_module, whole, len(batch), first)
        if (peak := _peak_bytes(pl_module.device)) is not None:
            log_number(pl_module, "memory/peak_gb", peak / 1e9, batch_size=len(batch))
        self._log_quarantined(trainer, pl_module, len(batch))
        _log_faces(trainer, pl_module, len(batch))
        self._batch_ended = time.perf_counter()

    def _log_tokens(self, module: LightningModule, seconds: float, clips: int, first: bool) -> None:
        """Tokens, padding and share of the peak; `seconds` is the smoothed time of a step."""
        step: StepSize | None = getattr(getattr(module, "network", None), "last_step", None)
        if self._cost is None or step is None:
            return
        self._tokens = _smooth(self._tokens, step.tokens, first)
        self._operations = _smooth(self._operations, self._cost.operations(step), first)
        padding = padding_share(module.network.language_model, step.lengths)  # type: ignore[union-attr,arg-type]
        log_number(module, "speed/tokens_per_second", self._tokens / seconds, prog_bar=True, batch_size=clips)
        log_number(module, "speed/peak_share", self._operations / seconds / self._peak, prog_bar=True, batch_size=clips)
        log_number(module, "speed/padding_share", padding, batch_size=clips)

    def _log_quarantined(self, trainer: Trainer, module: LightningModule, clips: int) -> None:
        """Of all processes; on several GPUs one step late."""
        data = run_data_of(trainer)
        if data is None:
            return
        counts = [float(len(data.quarantined()))]
        if trainer.world_size > 1:
            mine = torch.full((1,), counts[0], device=module.device)
            counts = [count for (count,), _ in self._quarantined.push(sum_over_processes(mine), None)]
        for count in counts:
            log_number(module, "data/quarantined", count, prog_bar=True, batch_size=clips)

    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Log how many clips the test had to do without."""
        data = run_data_of(trainer)
        if data is not None:
            several = trainer.world_size > 1
            options: dict[str, Any] = {"sync_dist": several, "reduce_fx": "sum" if several else "max"}
            pl_module.log("test/quarantined", float(len(data.quarantined())), prog_bar=True, batch_size=1, **options)


def _log_faces(trainer: Trainer, pl_module: LightningModule, batch_size: int) -> None:
    """What the data module counts of faces that were not found; data without such counts log nothing."""
    data = run_data_of(trainer)
    counts = {} if data is None else data.counts().get("train", {})
    if counts.get("frames"):
        log_number(
            pl_module,
            "data/frames_without_face",
            counts["frames_without_face"] / counts["frames"],
            batch_size=batch_size,
        )
        log_number(pl_module, "data/clips_without_face", counts["clips_without_face"], batch_size=batch_size)


def _peak_bytes(device: torch.device) -> int | None:
    """Most memory so far; None where the system does not tell."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    if sys.platform == "win32":
        return None
    import resource

    usage = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return usage if sys.platform == "darwin" else 1024 * usage


def _smooth(average: float, newest: float, first: bool) -> float:
    return newest if first else (1.0 - SMOOTHING) * average + SMOOTHING * newest
