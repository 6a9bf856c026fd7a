"""The network of a member: one vector a modality, weighted by attention, read by two linear heads.

Paper: Section 2 names attention fusion after MERBench (arXiv 2401.03429, attention fusion of utterance-level features):
each modality passes a linear layer to one width, weights of the modalities come from all of them together, and the
weighted sum is read by a linear head for emotions and one for sentiment. As in the released code of MERBench, the weights
are free numbers: with a softmax over them, the crowd of docs/annotation.md loses 13 points and more. `fitting.py` trains it.
Legend: B clips, D width of a modality, E common width, M modalities, C classes.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

_LEAST_DEVIATION = 1e-6  # our choice: a value that is the same in every clip says nothing, and must not be divided by 0


class AttentionFusion(nn.Module):
    """Emotion and sentiment out of one vector a modality.

    Args:
        widths: Width D by modality.
        classes: Number of emotion classes C; 0 for no emotions.
        hidden: Common width E.
        dropout: Share of the values that are dropped in training.
    """

    def __init__(self, widths: Mapping[str, int], classes: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.modalities = tuple(widths)
        for name, width in widths.items():
            self.register_buffer(f"mean_{name}", torch.zeros(width))
            self.register_buffer(f"deviation_{name}", torch.ones(width))
        self.projections = nn.ModuleDict(
            {
                name: nn.Sequential(nn.Linear(width, hidden), nn.ReLU(), nn.Dropout(dropout))
                for name, width in widths.items()
            }
        )
        self.attention = nn.Sequential(
            nn.Linear(hidden * len(widths), hidden), nn.ReLU(), nn.Dropout(dropout), nn.Linear(hidden, len(widths))
        )
        self.hidden = hidden
        self.emotion = nn.Linear(hidden, classes) if classes else None
        self.sentiment = nn.Linear(hidden, 1)

    @torch.no_grad()
    def standardise_by(self, features: Mapping[str, Tensor]) -> None:
        """Take mean and standard deviation of clips [B, D], so that every modality has values of one size."""
        for name in self.modalities:
            getattr(self, f"mean_{name}").copy_(features[name].mean(0))
            deviation = features[name].std(0, unbiased=False)
            getattr(self, f"deviation_{name}").copy_(torch.where(deviation > _LEAST_DEVIATION, deviation, 1.0))

    def forward(self, features: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Scores of the classes [B, C] and sentiment [B].

        Args:
            features: One vector a clip [B, D] by modality.
        """
        hidden = [
            self.projections[name](
                (features[name] - getattr(self, f"mean_{name}")) / getattr(self, f"deviation_{name}")
            )
            for name in self.modalities
        ]
        weights = self.attention(torch.cat(hidden, 1))  # [B, M]
        fused = (torch.stack(hidden, 2) * weights[:, None, :]).sum(2)  # [B, E]
        scores = self.emotion(fused) if self.emotion is not None else fused[:, :0]
        return scores, self.sentiment(fused)[:, 0]
