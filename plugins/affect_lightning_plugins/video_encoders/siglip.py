"""Video encoder `siglip`: SigLIP SoViT-400M/14 at 384 pixels, and any other SigLIP or SigLIP 2 of transformers.

Paper, Figure 4 (SigLIP-SO). SigLIP pools with an attention head, and that pooled vector is the one compared with text:
there is no projection behind it. SigLIP 2 comes in two kinds: of fixed size (the same class as SigLIP) and NaFlex
(`Siglip2VisionModel`), which takes rows of patches; both are fed whole squares here.
Neighbour: `pretrained_frames.py` (options, preprocessing, frames to tokens).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from affect_lightning_plugins.pretrained_models import ModelSource, Release
from affect_lightning_plugins.transformers_versions import has_pooling_head
from affect_lightning_plugins.video_encoders.frame_preparation import PictureFormat
from affect_lightning_plugins.video_encoders.pretrained_frames import (
    Features,
    FrameNetwork,
    PretrainedVideoEncoder,
    picture_format,
    refuse_features,
    square_side,
)

_HALF = (0.5, 0.5, 0.5)  # pixels in [-1, 1] (arXiv 2303.15343); the defaults of transformers' SiglipImageProcessor too
_MODEL = "google/siglip-so400m-patch14-384"
_SURPLUS = (r"^text_model\.", r"^logit_scale$", r"^logit_bias$", r"position_ids$")


class SiglipVideoEncoder(PretrainedVideoEncoder):
    """SigLIP SoViT-400M/14 (384 pixels), or any SigLIP or SigLIP 2 by folder or hub name; frozen."""

    release = Release(
        _MODEL,
        "9fdffc58afc957d1a03a25b10dba0329ab15c2a3",
        {  # SoViT-400M/14 (arXiv 2305.13035, Table 1)
            "hidden_size": 1152,
            "intermediate_size": 4304,
            "num_hidden_layers": 27,
            "num_attention_heads": 16,
            "image_size": 384,
            "patch_size": 14,
        },
    )

    def __init__(self, *, model: str = _MODEL, features: Features = "pooled", **options: Any) -> None:
        """Load the vision tower.

        Args:
            model: Folder with config.json and weights, or hub name; SoViT-400M as in the paper (Figure 4).
            features: What a frame gives: `pooled`, the embedding that SigLIP compares with text (our choice, as the
                paper does with CLIP); `patches`, every patch token behind the last normalisation. There is no
                `projected`.
            options: See `PretrainedVideoEncoder`.

        Raises:
            ConfigurationError: The model cannot be read or filled completely, or an option does not fit it.
        """
        super().__init__(build=_build, model=model, features=features, **options)


def _build(source: ModelSource, features: Features) -> tuple[FrameNetwork, PictureFormat]:
    from transformers import Siglip2VisionConfig, Siglip2VisionModel, SiglipVisionConfig, SiglipVisionModel

    if features == "projected":
        raise refuse_features("SigLIP", features, "it compares its pooled vector with text; use `pooled`")
    kind = (source.settings("config.json") or {}).get("model_type", "siglip")
    flexible = str(kind).startswith("siglip2")
    configuration = source.configuration(
        Siglip2VisionConfig if flexible else SiglipVisionConfig,
        ("siglip", "siglip_vision_model", "siglip2", "siglip2_vision_model"),
    )
    if features == "pooled" and not has_pooling_head(configuration):
        raise refuse_features(f"{source.model!r}", features, "it was saved without its pooling head; use `patches`")
    network = source.network(Siglip2VisionModel if flexible else SiglipVisionModel, configuration, surplus=_SURPLUS)
    patch = square_side(configuration.patch_size)
    # NaFlex models have a square of positions that is interpolated to any grid; theirs is the size without it.
    size = round(configuration.num_patches**0.5) * patch if flexible else square_side(configuration.image_size)

    def read(model: Any, pictures: Tensor, interpolates: bool) -> Tensor:
        inputs = _rows_of_patches(pictures, patch) if flexible else {"pixel_values": pictures}
        sized = {} if flexible else {"interpolate_pos_encoding": interpolates}
        found = model(**inputs, **sized)
        return found.pooler_output if features == "pooled" else found.last_hidden_state

    return (
        FrameNetwork(network, read, configuration.hidden_size, size, lambda side: side // patch),
        picture_format(source, PictureFormat(size, _HALF, _HALF, _interpolation(flexible), whole_levels=True)),
    )


def _interpolation(flexible: bool) -> str:
    """Of the published preprocessing: SigLIP resizes bicubically, the NaFlex processor bilinearly."""
    return "bilinear" if flexible else "bicubic"


def _rows_of_patches(pictures: Tensor, patch: int) -> dict[str, Tensor]:
    """Pictures [R, 3, size, size] as NaFlex wants them: patches [R, P, patch * patch * 3], all of them real."""
    side = pictures.shape[-1] // patch
    columns = functional.unfold(
        pictures[..., : side * patch, : side * patch], patch, stride=patch
    )  # [R, 3 * patch^2, P]
    by_pixel = columns.view(len(pictures), 3, patch * patch, -1).permute(0, 3, 2, 1).flatten(2)
    shapes = torch.tensor([[side, side]], device=pictures.device).expand(len(pictures), 2)
    mask = torch.ones(by_pixel.shape[:2], dtype=torch.long, device=pictures.device)
    return {"pixel_values": by_pixel, "spatial_shapes": shapes, "pixel_attention_mask": mask}
