"""What the steps of `gpu_check.py` share: the machine that they run on, their results, and small networks to compare."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from statistics import median
from typing import Any

import torch
from random_networks import PAPER, TINY, Scale
from torch import Tensor, nn

from affect_lightning.contracts import ClipBatch, ClipRecord, FeatureSequence, StreamInput
from affect_lightning.model import AffectGPT, ModelConfiguration

CPU = torch.device("cpu")
# A network that a processor computes at once, with the real classes; widths suit a GPU's attention kernels.
COMPARED: dict[str, Any] = {
    "video_encoder": "tiny-video",
    "audio_encoder": "tiny-audio",
    "pre_fusion": "attention",
    "inputs": ["multi", "audio", "face", "text"],
    "language_model": {"name": "tiny-lm", "hidden_width": 128, "num_layers": 4, "lora_dropout": 0.0},
}
TINIEST = {"language_model": {"name": "tiny-lm", "hidden_width": 32, "num_layers": 2, "lora_dropout": 0.0}}


class SkippedStepError(Exception):
    """The step cannot run here; the text says why."""


@dataclass
class Outcome:
    """What a step found.

    Attributes:
        told: In words, for the table.
        figures: In numbers, for the journal.
        passed: Whether it is what is required.
    """

    told: str
    figures: dict[str, Any] = field(default_factory=dict)
    passed: bool = True


@dataclass
class Machine:
    """What the steps run on.

    Attributes:
        device: A GPU, or the processor with `tiny`.
        tiny: Whether everything is tiny, so that no figure of speed means anything.
        scale: Of the networks whose speed is measured.
        peak: Operations a second of a large matrix product in bf16, once it is measured.
        epoch: Steps of an epoch of the small trainings, of which two are trained.
        lengths: Bytes of the responses that are compared: one, equal ones, and many.
        rows: Speed rows so far.
        held: The large networks that several steps share, and empty ones of the same sizes to count.
    """

    device: torch.device
    tiny: bool
    scale: Scale
    peak: float = 0.0
    epoch: int = 10
    lengths: tuple[int, ...] = (1, 40, 40, 600)
    rows: list[dict[str, Any]] = field(default_factory=list)
    held: dict[str, AffectGPT] = field(default_factory=dict)
    _name: str | None = None

    @classmethod
    def of(cls, *, tiny: bool) -> Machine:
        """The processor for tiny sizes, else the first GPU."""
        if tiny:
            return cls(CPU, True, TINY, epoch=3, lengths=(1, 8, 8, 60))
        return cls(torch.device("cuda", 0), False, PAPER)

    @property
    def name(self) -> str:
        """Of the device, for the table; asked for once, since a GPU that failed does not answer."""
        if self._name is None:
            self._name = torch.cuda.get_device_name(self.device) if self.is_gpu else f"{platform.machine()} processor"
        return self._name

    @property
    def compared(self) -> dict[str, Any]:
        """Options of the network that is compared."""
        return {**COMPARED, **(TINIEST if self.tiny else {})}

    def batch(self, size: int) -> int:
        """Clips of a step that is to have so many; fewer at tiny size."""
        return size.bit_length() if self.tiny else size

    @property
    def is_gpu(self) -> bool:
        """Whether figures of speed and memory mean anything."""
        return self.device.type == "cuda"


@dataclass(frozen=True)
class Step:
    """One step.

    Attributes:
        name: For the table and --only.
        seconds: That it takes on an H100 or H200, with a margin; an estimate until it is measured.
        run: Does it.
    """

    name: str
    seconds: int
    run: Callable[[Machine], Outcome]


def compared_network(machine: Machine, device: torch.device | None = None) -> AffectGPT:
    """The small network, the same on every device, with an adapter that does something; on the machine's by default."""
    torch.manual_seed(0)
    network = AffectGPT.from_configuration(ModelConfiguration.resolve(**machine.compared))
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.requires_grad:
                parameter.add_(0.02 * torch.randn(parameter.shape, generator=generator))
    return network.to(device or machine.device).train()


def compared_clips(lengths: tuple[int, ...], seed: int = 0, frames: int = 2) -> ClipBatch:
    """Random clips with responses of so many bytes each."""
    generator = torch.Generator().manual_seed(seed)
    count = len(lengths)
    faces = torch.randint(0, 256, (count, frames, 3, 40, 40), generator=generator, dtype=torch.uint8)
    sound = torch.rand(count, 8000, generator=generator) - 0.5
    return ClipBatch(
        records=[ClipRecord(name=f"clip{index}", corpus="check", labels=("happy",)) for index in range(count)],
        questions=["How does the person feel?"] * count,
        responses=["a" * length for length in lengths],
        subtitles=["I won! " * (index + 1) for index in range(count)],
        streams={
            "face": StreamInput(faces, torch.ones(count, frames, dtype=torch.bool)),
            "audio": StreamInput(sound, torch.ones_like(sound, dtype=torch.bool), 16_000),
        },
    )


def with_features(batch: ClipBatch, seed: int) -> ClipBatch:
    """The batch with random features of the small encoders' widths instead of pictures and sound, as from a cache."""
    generator = torch.Generator().manual_seed(seed)
    mask = torch.ones(len(batch), 2, dtype=torch.bool)
    features = {
        name: FeatureSequence(torch.randn(len(batch), 2, width, generator=generator), mask)
        for name, width in TINY.widths.items()
    }
    return replace(batch, streams={}, features=features)


def one_clip(batch: ClipBatch, index: int) -> ClipBatch:
    """One clip of a batch by itself."""
    streams = {name: stream.with_each(lambda value: value[index : index + 1]) for name, stream in batch.streams.items()}
    kept = slice(index, index + 1)
    return ClipBatch(
        records=batch.records[kept],
        questions=batch.questions[kept],
        responses=batch.responses[kept],
        subtitles=batch.subtitles[kept],
        streams=streams,
    )


def gradients(network: AffectGPT, loss: Tensor) -> tuple[float, dict[str, Tensor]]:
    """A loss as a number, and the gradient of each weight, in 64 bits on the processor."""
    weights = {name: weight for name, weight in network.named_parameters() if weight.requires_grad}
    found = torch.autograd.grad(loss, list(weights.values()))
    return float(loss.detach()), {name: on_processor(one) for name, one in zip(weights, found, strict=True)}


def on_processor(gradient: Tensor) -> Tensor:
    """In 64 bits, in one row."""
    return gradient.detach().double().cpu().flatten()


def distance(one: tuple[float, dict[str, Tensor]], other: tuple[float, dict[str, Tensor]]) -> dict[str, float]:
    """How far a loss and its gradients are from others, relative to these.

    Returns:
        `loss`; `gradients`, of all in one row; `tensor`, the median of the weights' own.
    """
    whole = [torch.cat([gradients[name] for name in other[1]]) for gradients in (one[1], other[1])]
    own = [float((one[1][name] - wanted).norm() / wanted.norm()) for name, wanted in other[1].items()]
    return {
        "loss": abs(one[0] - other[0]) / abs(other[0]),
        "gradients": float((whole[0] - whole[1]).norm() / whole[1].norm()),
        "tensor": median(own),
    }


@contextmanager
def exact_products() -> Iterator[None]:
    """Products of 32 bits in 32 bits: no TF32."""
    products, convolutions = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = products, convolutions


def weights_of(module: nn.Module) -> dict[str, Tensor]:
    """Everything that a module holds, on the processor."""
    return {name: value.detach().cpu().clone() for name, value in module.state_dict().items()}
