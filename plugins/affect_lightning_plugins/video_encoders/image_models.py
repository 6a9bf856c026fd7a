"""The image models of the library transformers, a plugin for each: the paper's CLIP and those of its Figure 4.

- `clip-vit-large-patch14`: the paper's (Appendix B), CLIP ViT-L/14 on 224 x 224 pictures, one projected image embedding
  a frame (width 768).
- `siglip`: SigLIP SoViT-400M/14 at 384 pixels (Figure 4, SigLIP-SO). It pools with an attention head, and the pooled
  vector is the one compared with text, without a projection. SigLIP 2 comes in two kinds: of fixed size (the same class
  as SigLIP) and NaFlex (`Siglip2VisionModel`), which takes rows of patches. Both get whole squares here.
- `dinov2-large`: DINOv2 ViT-L/14, with registers or without (Figure 4, DINOv2-L). It learnt from pictures alone, so it
  shares no space with text and has no projection.
- `hf-image`: any other image model of transformers that takes one picture. The class that config.json names is loaded,
  so that its weights fill it exactly, and its body is used without the head.

Each takes other models of its family by folder or hub name. `pretrained_frames.py` has options, preprocessing, and
frames to tokens. `timm_models.py` has the models of timm.
"""

from __future__ import annotations

import inspect
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from affect_lightning.errors import ConfigurationError
from affect_lightning_plugins.pretrained_models import ModelSource, Release
from affect_lightning_plugins.transformers_versions import has_pooling_head
from affect_lightning_plugins.video_encoders.pretrained_frames import (
    CLIP_MEAN,
    CLIP_STD,
    IMAGENET_MEAN,
    IMAGENET_STD,
    Features,
    FrameNetwork,
    PictureFormat,
    PretrainedVideoEncoder,
    patch_tokens,
    picture_format,
    refuse_features,
    square_side,
)

_CLIP_MODEL = "openai/clip-vit-large-patch14"
# The text tower, and position numbers that older files hold.
_CLIP_SURPLUS = (r"^text_model\.", r"^text_projection\.", r"^logit_scale$", r"position_ids$")
_CLIP_PROJECTION = (r"^visual_projection\.",)
_HALF = (0.5, 0.5, 0.5)  # pixels in [-1, 1] (arXiv 2303.15343); the defaults of transformers' SiglipImageProcessor too
_SIGLIP_MODEL = "google/siglip-so400m-patch14-384"
_SIGLIP_SURPLUS = (r"^text_model\.", r"^logit_scale$", r"^logit_bias$", r"position_ids$")
_DINOV2_MODEL = "facebook/dinov2-large"
_DINOV2_SIZE = 224  # what its preprocessing crops to; the positions were trained for 518 and are interpolated
_WITH_REGISTERS = "dinov2_with_registers"
_UNKNOWN = (0.5, 0.5, 0.5)
_DISPENSABLE = (r"mask_token$",)  # for training by masked pictures only


class ClipVideoEncoder(PretrainedVideoEncoder):
    """The paper's CLIP ViT-L/14 vision tower, or any CLIP of transformers by folder or hub name; frozen."""

    release = Release(
        _CLIP_MODEL,
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

    def __init__(self, *, model: str = _CLIP_MODEL, features: Features = "projected", **options: Any) -> None:
        """Load the vision tower.

        Args:
            model: Folder with config.json and weights, or hub name; CLIP ViT-L/14 as in the paper (Appendix B).
            features: What a frame gives: `projected`, the embedding (paper, Appendix B); `pooled`, the class token
                before the projection; `patches`, every patch token of the last layer.
            options: See `PretrainedVideoEncoder`.

        Raises:
            ConfigurationError: The model cannot be read or filled completely, or an option does not fit it.
        """
        super().__init__(build=_clip_network, model=model, features=features, **options)


def _clip_network(source: ModelSource, features: Features) -> tuple[FrameNetwork, PictureFormat]:
    from transformers import CLIPVisionConfig, CLIPVisionModel, CLIPVisionModelWithProjection

    configuration = source.configuration(CLIPVisionConfig, ("clip", "clip_vision_model"))
    whole = source.settings("config.json") or {}
    if "vision_config" in whole:  # a CLIP with both towers projects to the width that it names for both
        configuration.projection_dim = whole.get("projection_dim", configuration.projection_dim)
    projected = features == "projected"
    model_class = CLIPVisionModelWithProjection if projected else CLIPVisionModel
    network = source.network(
        model_class, configuration, surplus=_CLIP_SURPLUS if projected else _CLIP_SURPLUS + _CLIP_PROJECTION
    )
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


class SiglipVideoEncoder(PretrainedVideoEncoder):
    """SigLIP SoViT-400M/14 (384 pixels), or any SigLIP or SigLIP 2 by folder or hub name; frozen."""

    release = Release(
        _SIGLIP_MODEL,
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

    def __init__(self, *, model: str = _SIGLIP_MODEL, features: Features = "pooled", **options: Any) -> None:
        """Load the vision tower.

        Args:
            model: Folder with config.json and weights, or hub name; SoViT-400M as in the paper (Figure 4).
            features: What a frame gives: `pooled`, the embedding that SigLIP compares with text (our choice, as the
                paper does with CLIP); `patches`, every patch token after the last normalisation. There is no
                `projected`.
            options: See `PretrainedVideoEncoder`.

        Raises:
            ConfigurationError: The model cannot be read or filled completely, or an option does not fit it.
        """
        super().__init__(build=_siglip_network, model=model, features=features, **options)


def _siglip_network(source: ModelSource, features: Features) -> tuple[FrameNetwork, PictureFormat]:
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
    network = source.network(
        Siglip2VisionModel if flexible else SiglipVisionModel, configuration, surplus=_SIGLIP_SURPLUS
    )
    patch = square_side(configuration.patch_size)
    # NaFlex models have a square of positions that is interpolated to any grid; theirs is the size without it.
    size = round(configuration.num_patches**0.5) * patch if flexible else square_side(configuration.image_size)

    def read(model: Any, pictures: Tensor, interpolates: bool) -> Tensor:
        inputs: dict[str, Any] = _rows_of_patches(pictures, patch) if flexible else {"pixel_values": pictures}
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


def _rows_of_patches(pictures: Tensor, patch: int) -> dict[str, Tensor | None]:
    """Pictures [R, 3, size, size] as NaFlex needs them: patches [R, P, patch * patch * 3], all of them real."""
    side = pictures.shape[-1] // patch
    columns = functional.unfold(
        pictures[..., : side * patch, : side * patch], patch, stride=patch
    )  # [R, 3 * patch^2, P]
    by_pixel = columns.view(len(pictures), 3, patch * patch, -1).permute(0, 3, 2, 1).flatten(2)
    shapes = torch.full((len(pictures), 2), side, device=pictures.device)
    return {"pixel_values": by_pixel, "spatial_shapes": shapes, "pixel_attention_mask": None}


class Dinov2VideoEncoder(PretrainedVideoEncoder):
    """DINOv2 ViT-L/14, or any DINOv2 (also with registers) by folder or hub name; frozen."""

    release = Release(
        _DINOV2_MODEL,
        "47b73eefe95e8d44ec3623f8890bd894b6ea2d6c",
        {  # ViT-L/14 (arXiv 2304.07193, Table 17)
            "hidden_size": 1024,
            "num_hidden_layers": 24,
            "num_attention_heads": 16,
            "image_size": 518,
            "patch_size": 14,
        },
    )

    def __init__(self, *, model: str = _DINOV2_MODEL, features: Features = "pooled", **options: Any) -> None:
        """Load the model.

        Args:
            model: Folder with config.json and weights, or hub name; DINOv2-L as in the paper (Figure 4).
            features: What a frame gives: `pooled`, the normalised class token (our choice, one token a frame as in
                the paper); `patches`, every normalised patch token. There is no `projected`.
            options: See `PretrainedVideoEncoder`.

        Raises:
            ConfigurationError: The model cannot be read or filled completely, or an option does not fit it.
        """
        super().__init__(build=_dinov2_network, model=model, features=features, **options)


def _dinov2_network(source: ModelSource, features: Features) -> tuple[FrameNetwork, PictureFormat]:
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

    size = min(_DINOV2_SIZE, square_side(configuration.image_size))
    return (
        FrameNetwork(network, read, configuration.hidden_size, size, lambda side: side // patch),
        picture_format(source, PictureFormat(size, IMAGENET_MEAN, IMAGENET_STD, "bicubic", whole_levels=True)),
    )


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
            ConfigurationError: The model cannot be read or filled completely, takes other input than pictures, or
                an option does not fit it.
        """
        super().__init__(build=_any_model, model=model, features=features, **options)


def _any_model(source: ModelSource, features: Features) -> tuple[FrameNetwork, PictureFormat]:
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
