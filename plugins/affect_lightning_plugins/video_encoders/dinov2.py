"""Video encoder `dinov2-large`: DINOv2 ViT-L/14, and any other DINOv2 of transformers, with registers or without.

Paper, Figure 4 (DINOv2-L). It learnt from pictures alone: there is no space shared with text and so no projection.
Neighbour: `pretrained_frames.py` (options, preprocessing, frames to tokens).
"""

from __future__ import annotations

from typing import Any

from torch import Tensor

from affect_lightning_plugins.pretrained_models import ModelSource, Release
from affect_lightning_plugins.video_encoders.frame_preparation import PictureFormat
from affect_lightning_plugins.video_encoders.pretrained_frames import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    Features,
    FrameNetwork,
    PretrainedVideoEncoder,
    patch_tokens,
    picture_format,
    refuse_features,
    square_side,
)

_MODEL = "facebook/dinov2-large"
_PUBLISHED_SIZE = 224  # what its preprocessing crops to; the positions were trained for 518 and are interpolated
_WITH_REGISTERS = "dinov2_with_registers"


class Dinov2VideoEncoder(PretrainedVideoEncoder):
    """DINOv2 ViT-L/14, or any DINOv2 (also with registers) by folder or hub name; frozen."""

    release = Release(
        _MODEL,
        "47b73eefe95e8d44ec3623f8890bd894b6ea2d6c",
        {  # ViT-L/14 (arXiv 2304.07193, Table 17)
            "hidden_size": 1024,
            "num_hidden_layers": 24,
            "num_attention_heads": 16,
            "image_size": 518,
            "patch_size": 14,
        },
    )

    def __init__(self, *, model: str = _MODEL, features: Features = "pooled", **options: Any) -> None:
        """Load the model.

        Args:
            model: Folder with config.json and weights, or hub name; DINOv2-L as in the paper (Figure 4).
            features: What a frame gives: `pooled`, the normalised class token (our choice, one token a frame as in
                the paper); `patches`, every normalised patch token. There is no `projected`.
            options: See `PretrainedVideoEncoder`.

        Raises:
            ConfigurationError: The model cannot be read or filled completely, or an option does not fit it.
        """
        super().__init__(build=_build, model=model, features=features, **options)


def _build(source: ModelSource, features: Features) -> tuple[FrameNetwork, PictureFormat]:
    from transformers import Dinov2Config, Dinov2Model, Dinov2WithRegistersConfig, Dinov2WithRegistersModel

    if features == "projected":
        raise refuse_features("DINOv2", features, "it has no space in common with text; use `pooled` or `patches`")
    registers = (source.settings("config.json") or {}).get("model_type") == _WITH_REGISTERS
    configuration = source.configuration(
        Dinov2WithRegistersConfig if registers else Dinov2Config, ("dinov2", _WITH_REGISTERS)
    )
    network = source.network(Dinov2WithRegistersModel if registers else Dinov2Model, configuration)
    patch = square_side(configuration.patch_size)

    def read(model: Any, pictures: Tensor, interpolates: bool) -> Tensor:
        found = model(pixel_values=pictures)
        if features == "pooled":
            return found.pooler_output
        return patch_tokens(found.last_hidden_state, (pictures.shape[-1] // patch) ** 2)

    size = min(_PUBLISHED_SIZE, square_side(configuration.image_size))
    return (
        FrameNetwork(network, read, configuration.hidden_size, size, lambda side: side // patch),
        picture_format(source, PictureFormat(size, IMAGENET_MEAN, IMAGENET_STD, "bicubic", whole_levels=True)),
    )
