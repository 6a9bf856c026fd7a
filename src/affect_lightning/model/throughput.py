"""What a training step costs in tokens and floating-point operations, and what the device could do at best.

Paper: nothing; the authors give about 4.6 samples a second on an A100. Used by `monitoring.py` and `benchmarks/`.
Legend: B clips, L tokens of a clip, E embedding width, V vocabulary.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from affect_lightning.contracts import LanguageModel

_PEAK_SIZES = {"cuda": 8192, "cpu": 1024}  # side of the square matrices; our choice
_PEAK_ROUNDS = 5


@dataclass(frozen=True)
class StepSize:
    """Tokens of one training step.

    Attributes:
        lengths: Real tokens of each clip: feature tokens, text and response.
        supervised: Response tokens, whose logits are computed.
    """

    lengths: tuple[int, ...]
    supervised: int

    @property
    def tokens(self) -> int:
        """Real tokens of the step."""
        return sum(self.lengths)


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
