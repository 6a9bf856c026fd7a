"""FeatureSequence: what encoders give and fusions take (paper, Section 3.1: Z_a and Z_v).

Legend: B clips, N feature tokens, D feature width. Neighbours: `encoders.py` and `fusion.py` use it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from affect_lightning.errors import ContractError


@dataclass(frozen=True)
class FeatureSequence:
    """Feature tokens of a batch of clips with the mask of those that are real.

    Attributes:
        tokens: Features [B, N, D], floating point.
        mask: True where a token is real, False where it is padding [B, N], bool. Padding never changes a result.

    Raises:
        ContractError: Shapes or types do not fit each other.
    """

    tokens: Tensor
    mask: Tensor

    def __post_init__(self) -> None:
        if self.tokens.ndim != 3 or not self.tokens.is_floating_point():
            raise ContractError(
                f"FeatureSequence.tokens must be floating point [B, N, D]; got {self.tokens.dtype} "
                f"{list(self.tokens.shape)}."
            )
        if self.mask.dtype != torch.bool or self.mask.shape != self.tokens.shape[:2]:
            raise ContractError(
                f"FeatureSequence.mask must be bool {list(self.tokens.shape[:2])} to fit its tokens; got "
                f"{self.mask.dtype} {list(self.mask.shape)}."
            )

    @property
    def width(self) -> int:
        """Feature width D."""
        return self.tokens.shape[-1]

    def to(self, device: torch.device | str, **options: Any) -> FeatureSequence:
        """The same on another device."""
        return FeatureSequence(self.tokens.to(device, **options), self.mask.to(device, **options))

    def pin_memory(self) -> FeatureSequence:
        """The same in pinned memory."""
        return FeatureSequence(self.tokens.pin_memory(), self.mask.pin_memory())

    def masked_mean(self) -> Tensor:
        """Average over the real tokens (Eq. 5, Pooling).

        Returns:
            [B, D]; zeros for a clip without any real token.
        """
        weights = self.mask.unsqueeze(-1).to(self.tokens.dtype)
        kept = self.tokens.masked_fill(~self.mask.unsqueeze(-1), 0.0)
        return kept.sum(dim=1) / weights.sum(dim=1).clamp(min=1.0)
