"""The audio half of ImageBind as a network: filter banks in, one embedding out.

ImageBind: arXiv 2305.05665, Section 3 and Appendix B. A vision transformer on patches of the spectrogram; pictures and
texts share the space of its embedding. Attributes of a block have the names of the published file. `imagebind.py` cuts
the sound and reads the file.
Legend: R windows, M mel bands, F frames of 10 ms, P patches, D width, E width of the shared space.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

BANDS, FRAMES = 128, 204  # of the published model (Appendix B): 2 seconds
_PATCH, _STRIDE = 16, 10  # Appendix B: overlapping patches
_LARGEST_SCALE = 100.0  # bound of the published model's scale
# Beginning of a name in the published file, and here.
PUBLISHED_NAMES = {
    "modality_preprocessors.audio.cls_token": "class_token",
    "modality_preprocessors.audio.rgbt_stem.proj.": "patches.",
    "modality_preprocessors.audio.rgbt_stem.norm_layer.": "patch_norm.",
    "modality_preprocessors.audio.pos_embedding_helper.pos_embed": "positions",
    "modality_trunks.audio.blocks.": "blocks.",
    "modality_heads.audio.0.": "head_norm.",
    "modality_heads.audio.2.": "projection.",
    "modality_postprocessors.audio.1.log_logit_scale": "log_scale",
}


@dataclass(frozen=True)
class ImageBindSizes:
    """Sizes of the audio half; the defaults are those of the published `imagebind_huge`.

    Attributes:
        width: D.
        blocks: Transformer blocks.
        heads: Attention heads; the one size that weights do not show.
        embedding_width: E.
    """

    width: int = 768
    blocks: int = 12
    heads: int = 12
    embedding_width: int = 1024


class ImageBindAudio(nn.Module):
    """Vision transformer on a spectrogram (arXiv 2305.05665, Appendix B)."""

    log_scale: Tensor

    def __init__(self, sizes: ImageBindSizes) -> None:
        """Build it; weights are torch's own at the start."""
        super().__init__()
        width = sizes.width
        self.class_token = nn.Parameter(torch.zeros(1, 1, width))
        self.patches = nn.Conv2d(1, width, _PATCH, _STRIDE, bias=False)
        self.patch_norm = nn.LayerNorm(width)
        count = ((BANDS - _PATCH) // _STRIDE + 1) * ((FRAMES - _PATCH) // _STRIDE + 1)
        self.positions = nn.Parameter(torch.zeros(1, 1 + count, width))
        self.blocks = nn.ModuleList(ImageBindBlock(width, sizes.heads) for _ in range(sizes.blocks))
        self.head_norm = nn.LayerNorm(width, eps=1e-6)
        self.projection = nn.Linear(width, sizes.embedding_width, bias=False)
        self.register_buffer("log_scale", torch.tensor(20.0).log())

    def forward(self, mel: Tensor) -> tuple[Tensor, Tensor]:
        """Encode spectrograms [R, 1, M, F].

        Returns:
            The class token behind the head's norm [R, D], and the embedding [R, E] of the shared space, whose length is
            the model's scale.
        """
        tokens = self.patch_norm(self.patches(mel).flatten(2).transpose(1, 2))  # [R, P, D]
        tokens = torch.cat([self.class_token.expand(len(tokens), -1, -1), tokens], dim=1) + self.positions
        for block in self.blocks:
            tokens = block(tokens)
        pooled = self.head_norm(tokens[:, 0])
        scale = self.log_scale.exp().clamp(max=_LARGEST_SCALE)
        return pooled, functional.normalize(self.projection(pooled), dim=-1) * scale


class ImageBindBlock(nn.Module):
    """A block of the transformer: attention with one learned key and value more, then two layers with GELU."""

    def __init__(self, width: int, heads: int) -> None:
        """Build the block for tokens of width D."""
        super().__init__()
        self.norm_1 = nn.LayerNorm(width, eps=1e-6)
        self.attn = nn.MultiheadAttention(width, heads, add_bias_kv=True, batch_first=True)
        self.norm_2 = nn.LayerNorm(width, eps=1e-6)
        self.mlp = nn.ModuleDict({"fc1": nn.Linear(width, 4 * width), "fc2": nn.Linear(4 * width, width)})

    def forward(self, tokens: Tensor) -> Tensor:
        """Tokens [R, P, D] to tokens [R, P, D]."""
        normed = self.norm_1(tokens)
        tokens = tokens + self.attn(normed, normed, normed, need_weights=False)[0]
        return tokens + self.mlp["fc2"](functional.gelu(self.mlp["fc1"](self.norm_2(tokens))))


def own_name(published: str) -> str | None:
    """The name here of a weight of the published file; None where the audio half has no such weight.

    >>> own_name("modality_trunks.audio.blocks.3.norm_1.bias"), own_name("modality_trunks.vision.blocks.3.norm_1.bias")
    ('blocks.3.norm_1.bias', None)
    """
    for beginning, here in PUBLISHED_NAMES.items():
        if published.startswith(beginning):
            return here + published.removeprefix(beginning)
    return None


def sizes_of(weights: Mapping[str, Tensor], heads: int) -> ImageBindSizes | None:
    """The sizes that weights show, by their names here; None where those that would show them are missing."""
    blocks = {name.split(".")[1] for name in weights if name.startswith("blocks.")}
    shaped = [weights.get(name) for name in ("head_norm.weight", "projection.weight")]
    if not blocks or any(value is None or not value.ndim for value in shaped):
        return None
    return ImageBindSizes(len(weights["head_norm.weight"]), len(blocks), heads, len(weights["projection.weight"]))
