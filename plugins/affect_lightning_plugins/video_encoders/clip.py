"""Video encoder `clip-vit-large-patch14`: the paper's CLIP vision tower, and any other CLIP of transformers.

Paper, Appendix B: CLIP ViT-L/14 on 224 x 224 pictures, one projected image embedding a frame (width 768).
Neighbour: `pretrained_frames.py` (options, preprocessing, frames to tokens).
"""

from __future__ import annotations

from typing import Any

from torch import Tensor

from affect_lightning_plugins.pretrained_models import ModelSource, Release
from affect_lightning_plugins.video_encoders.frame_preparation import PictureFormat
from affect_lightning_plugins.video_encoders.pretrained_frames import (
    Features,
    FrameNetwork,
    PretrainedVideoEncoder,
    patch_tokens,
    picture_format,
    square_side,
)

# Published with the models (arXiv 2103.00020); the defaults of transformers' CLIPImageProcessor too.
CLIP_MEAN, CLIP_STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
_MODEL = "openai/clip-vit-large-patch14"
# The text tower, and position numbers that older files hold.
_SURPLUS = (r"^text_model\.", r"^text_projection\.", r"^logit_scale$", r"position_ids$")
_PROJECTION = (r"^visual_projection\.",)


class ClipVideoEncoder(PretrainedVideoEncoder):
    """The paper's CLIP ViT-L/14 vision tower, or any CLIP of transformers by folder or hub name; frozen."""

    release = Release(
        _MODEL,
        "32bd64288804d66eefd0ccbe215aa642df71cc41",
        {  # arXiv 2103.00020, Table 20: ViT-L/14
            "hidden_size": 1024,
            "intermediate_size": 4096,
            "projection_dim": 768,
            "num_hidden_layers": 24,
            "num_attention_heads": 16,
            "image_size": 224,
            "patch_size": 14,
        },
    )

    def __init__(self, *, model: str = _MODEL, features: Features = "projected", **options: Any) -> None:
        """Load the vision tower.

        Args:
            model: Folder with config.json and weights, or hub name; CLIP ViT-L/14 as in the paper (Appendix B).
            features: What a frame gives: `projected`, the embedding (paper, Appendix B); `pooled`, the class token
                before the projection; `patches`, every patch token of the last layer.
            options: See `PretrainedVideoEncoder`.

        Raises:
            ConfigurationError: The model cannot be read or filled completely, or an option does not fit it.
        """
        super().__init__(build=_build, model=model, features=features, **options)


def _build(source: ModelSource, features: Features) -> tuple[FrameNetwork, PictureFormat]:
    from transformers import CLIPVisionConfig, CLIPVisionModel, CLIPVisionModelWithProjection

    configuration = source.configuration(CLIPVisionConfig, ("clip", "clip_vision_model"))
    whole = source.settings("config.json") or {}
    if "vision_config" in whole:  # a CLIP with both towers projects to the width that it names for both
        configuration.projection_dim = whole.get("projection_dim", configuration.projection_dim)
    projected = features == "projected"
    model_class = CLIPVisionModelWithProjection if projected else CLIPVisionModel
    network = source.network(model_class, configuration, surplus=_SURPLUS if projected else _SURPLUS + _PROJECTION)
    size, patch = square_side(configuration.image_size), square_side(configuration.patch_size)

    def read(model: Any, pictures: Tensor, interpolates: bool) -> Tensor:
        found = model(pixel_values=pictures, interpolate_pos_encoding=interpolates)
        if features == "patches":
            return patch_tokens(found.last_hidden_state, (pictures.shape[-1] // patch) ** 2)
        return found.image_embeds if projected else found.pooler_output

    width = configuration.projection_dim if projected else configuration.hidden_size
    return (
        FrameNetwork(network, read, width, size, lambda side: side // patch),
        picture_format(source, PictureFormat(size, CLIP_MEAN, CLIP_STD, "bicubic", whole_levels=True)),
    )
