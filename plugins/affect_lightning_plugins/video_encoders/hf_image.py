"""Video encoder `hf-image`: any image model of transformers that takes one picture, frame by frame.

Paper, Figure 4: any image encoder may stand here. The class that config.json names is loaded, so that its weights fill
it exactly, and its body is used without the head.
Neighbours: `pretrained_frames.py` (options, preprocessing, frames to tokens); `clip.py` and `siglip.py` for models
with a text tower.
"""

from __future__ import annotations

import inspect
from typing import Any

import torch
from torch import Tensor

from affect_lightning.errors import ConfigurationError
from affect_lightning_plugins.pretrained_models import ModelSource
from affect_lightning_plugins.video_encoders.frame_preparation import PictureFormat
from affect_lightning_plugins.video_encoders.pretrained_frames import (
    Features,
    FrameNetwork,
    PretrainedVideoEncoder,
    patch_tokens,
    picture_format,
    refuse_features,
    square_side,
)

_UNKNOWN = (0.5, 0.5, 0.5)
_DISPENSABLE = (r"mask_token$",)  # for training by masked pictures only


class HuggingFaceImageEncoder(PretrainedVideoEncoder):
    """Any image model of transformers (ViT, BEiT, Swin, ConvNeXt, ResNet, ...) by folder or hub name; frozen."""

    def __init__(self, *, model: str, features: Features = "pooled", **options: Any) -> None:
        """Load the model.

        Args:
            model: Folder with config.json, preprocessor_config.json and weights, or hub name with `revision`.
            features: What a frame gives: `pooled`, the model's pooled output if it has one, else its class token,
                else the mean of its tokens (our choice); `patches`, every token of its last map. There is no
                `projected`.
            options: See `PretrainedVideoEncoder`.

        Raises:
            ConfigurationError: The model cannot be read or filled completely, takes something else than pictures, or
                an option does not fit it.
        """
        super().__init__(build=_build, model=model, features=features, **options)


def _build(source: ModelSource, features: Features) -> tuple[FrameNetwork, PictureFormat]:
    from transformers import AutoConfig

    if features == "projected":
        raise refuse_features("hf-image", features, "use clip-vit-large-patch14 for CLIP, siglip for SigLIP")
    configuration = _picture_configuration(source, AutoConfig)
    network, picture = _body(source, configuration), _picture(source, configuration)
    native = square_side(getattr(configuration, "image_size", None) or picture.size)
    interpolating = "interpolate_pos_encoding" in inspect.signature(network.forward).parameters
    blank = torch.zeros(1, 3, native, native, device=next(network.parameters()).device)
    with torch.no_grad():
        sequence = _tokens(network(pixel_values=blank).last_hidden_state)  # works on the meta device too
    side = _grid_side(sequence.shape[1], configuration, native)
    stride, prefixed = native // side, sequence.shape[1] > side**2

    def read(model: Any, pictures: Tensor, interpolates: bool) -> Tensor:
        sized = {"interpolate_pos_encoding": True} if interpolates and interpolating else {}
        found = model(pixel_values=pictures, **sized)
        tokens = _tokens(found.last_hidden_state)
        if features == "patches":
            return patch_tokens(tokens, (pictures.shape[-1] // stride) ** 2)
        pooled = getattr(found, "pooler_output", None)
        if pooled is not None:
            return pooled.flatten(1)
        return tokens[:, 0] if prefixed else tokens.mean(dim=1)

    return FrameNetwork(network, read, sequence.shape[2], native, lambda pixels: pixels // stride), picture


def _picture_configuration(source: ModelSource, auto_configuration: Any) -> Any:
    settings = source.settings("config.json")
    if settings is None and source.folder is not None:
        source.configuration(auto_configuration, ())  # says what is missing
    if settings is not None and "vision_config" in settings:
        raise ConfigurationError(
            f"{source.model!r} is a {settings.get('model_type')} with towers for pictures and text. Use the encoder "
            f"clip-vit-large-patch14 for CLIP and siglip for SigLIP; hf-image takes models without a tower for text."
        )
    return source.read(auto_configuration.from_pretrained)


def _body(source: ModelSource, configuration: Any) -> Any:
    """The model without its head; loaded as the class that was saved, so that every weight has a place."""
    import transformers

    named = (configuration.architectures or ["AutoModel"])[0]
    model_class = getattr(transformers, named, None)
    if model_class is None or getattr(model_class, "main_input_name", "pixel_values") != "pixel_values":
        raise ConfigurationError(
            f"{source.model!r} is a {named}, which is not an image model of transformers {transformers.__version__}. Give "
            f"a model that takes `pixel_values`."
        )
    if named == "AutoModel":
        model_class = transformers.MODEL_MAPPING[type(configuration)]
    return source.network(model_class, configuration, dispensable=_DISPENSABLE).base_model


def _picture(source: ModelSource, configuration: Any) -> PictureFormat:
    """What the model was trained to see; only random weights may do without being told."""
    size = square_side(getattr(configuration, "image_size", None) or 224)
    if source.reads_weights and source.settings("preprocessor_config.json") is None:
        raise ConfigurationError(
            f"{source.model!r} has no preprocessor_config.json, so the mean, deviation and size of the pictures that "
            f"it was trained on are unknown. Put that file next to its config.json."
        )
    return picture_format(source, PictureFormat(size, _UNKNOWN, _UNKNOWN, "bicubic", whole_levels=True))


def _tokens(hidden: Tensor) -> Tensor:
    """Tokens [R, N, D] of a sequence, or of a map [R, D, h, w]."""
    return hidden.flatten(2).transpose(1, 2) if hidden.ndim == 4 else hidden


def _grid_side(count: int, configuration: Any, size: int) -> int:
    """Patches on a side of the last map, whatever class and register tokens stand before them."""
    patch = getattr(configuration, "patch_size", None)
    side = size // square_side(patch) if patch else 0
    return side if 0 < side**2 <= count <= side**2 + 16 else int(count**0.5)
