"""FeatureSequence: what encoders give and fusions take (paper, Section 3.1: Z_a and Z_v).

Legend: B clips, N feature tokens, D feature width. Neighbours: `encoders.py` and `fusion.py` use it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

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

    def with_each(self, change: Callable[[Tensor], Tensor]) -> FeatureSequence:
        """The same with both tensors changed, such as moved to a device."""
        return FeatureSequence(change(self.tokens), change(self.mask))

    def masked_mean(self) -> Tensor:
        """Average over the real tokens (Eq. 5, Pooling).

        Returns:
            [B, D]; zeros for a clip without any real token.
        """
        weights = self.mask.unsqueeze(-1).to(self.tokens.dtype)
        kept = self.tokens.masked_fill(~self.mask.unsqueeze(-1), 0.0)
        return kept.sum(dim=1) / weights.sum(dim=1).clamp(min=1.0)
