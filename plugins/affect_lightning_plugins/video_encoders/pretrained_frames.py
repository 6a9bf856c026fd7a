"""What the video encoders share: frames to the pictures that a network takes, its vectors to feature tokens, and options.

Paper, Section 3.1 and Appendix B: each sampled frame becomes one feature vector of Z_v, the projected CLIP embedding;
Figure 4 puts other image models in its place. Every video encoder of this folder calls `encode_frames`, so resizing,
normalisation, the mask and the bound on memory are decided once. A plugin of `PretrainedVideoEncoder` says which class
of its library it is, what it was trained to see and where its features are.
`pretrained_models.py`, one folder up, loads weights.
Legend: B clips, T frames, H height and W width in pixels, R real frames of the whole batch or at once, P tokens or
patches of a frame, D feature width.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn import functional

from affect_lightning.contracts import FeatureSequence, VideoEncoder
from affect_lightning.errors import ConfigurationError, ContractError
from affect_lightning.sending import sent
from affect_lightning_plugins.pretrained_models import ModelSource, Release, Weights


@dataclass(frozen=True)
class PictureFormat:
    """What a network wants to see.

    Attributes:
        size: Side in pixels of the square picture. Other shapes are squeezed, not cropped (our choice: nothing that
            the face detector kept is cut off).
        mean: Of red, green and blue in [0, 1]; subtracted.
        std: Of red, green and blue in [0, 1]; divided by.
        interpolation: `bilinear` or `bicubic`; always with antialiasing.
        whole_levels: Resize to the 256 levels of a byte, exactly as the image processors of transformers do.
    """

    size: int
    mean: Sequence[float]
    std: Sequence[float]
    interpolation: str = "bicubic"
    whole_levels: bool = False


def check_frames(frames: Tensor, mask: Tensor) -> None:
    """Check what a video encoder was given.

    Raises:
        ContractError: `frames` is not uint8 [B, T, 3, H, W] or `mask` is not bool [B, T].
    """
    if frames.dtype != torch.uint8 or frames.ndim != 5 or frames.shape[2] != 3:
        raise ContractError(
            f"A video encoder takes frames as uint8 [B, T, 3, H, W] in RGB; got {frames.dtype} {list(frames.shape)}."
        )
    if mask.dtype != torch.bool or mask.shape != frames.shape[:2]:
        raise ContractError(
            f"A video encoder takes a bool mask {list(frames.shape[:2])} to fit its frames; got {mask.dtype} "
            f"{list(mask.shape)}."
        )


def prepare_pictures(frames: Tensor, picture: PictureFormat, dtype: torch.dtype) -> Tensor:
    """Resize and normalise frames.

    Args:
        frames: uint8 [R, 3, H, W], RGB.
        picture: What the network needs.
        dtype: Of the network's weights.

    Returns:
        [R, 3, size, size] of that dtype. Values are clamped to [0, 1] before normalisation, because bicubic
        interpolation overshoots.
    """
    side = (picture.size, picture.size)
    if picture.whole_levels and frames.shape[-2:] != side:
        frames = _resized_levels(frames, side, picture.interpolation)
    pixels = frames.float() / 255.0
    if frames.shape[-2:] != side:
        pixels = functional.interpolate(pixels, size=side, mode=picture.interpolation, antialias=True).clamp_(0.0, 1.0)
    mean, std = sent([tuple(picture.mean), tuple(picture.std)], pixels.device).view(2, 3, 1, 1)
    return ((pixels - mean) / std).to(dtype)


def _resized_levels(frames: Tensor, side: tuple[int, int], interpolation: str) -> Tensor:
    """Frames resized by torchvision, as the image processors of transformers do it; uint8."""
    from torchvision.transforms import InterpolationMode
    from torchvision.transforms.v2.functional import resize

    return resize(frames, list(side), interpolation=InterpolationMode(interpolation), antialias=True)


def encode_frames(
    frames: Tensor,
    mask: Tensor,
    network: Callable[[Tensor], Tensor],
    picture: PictureFormat,
    *,
    feature_width: int,
    dtype: torch.dtype,
    frames_at_once: int,
    tokens_per_frame: int = 1,
) -> FeatureSequence:
    """Run a network over the real frames of a batch, a bounded number at once.

    Args:
        frames: uint8 [B, T, 3, H, W], RGB.
        mask: True where a frame is real [B, T], bool, best on the processor: elsewhere it is waited for. Other frames are
            never looked at.
        network: Pictures [R, 3, size, size] to vectors [R, D] or [R, P, D].
        picture: What the network needs.
        feature_width: D.
        dtype: Of the network's weights, and of the tokens.
        frames_at_once: Most frames that one call of the network sees.
        tokens_per_frame: P.

    Returns:
        Tokens [B, T * P, D], those of a frame side by side, zero where the mask is False.

    Raises:
        ContractError: `frames` or `mask` has another type or shape, or the network gave another width.
    """
    check_frames(frames, mask)
    device, known = frames.device, mask.flatten().tolist()
    places = sent(torch.tensor([place for place, is_real in enumerate(known) if is_real], dtype=torch.long), device)
    real = frames.flatten(0, 1) if len(places) == len(known) else frames.flatten(0, 1).index_select(0, places)
    tokens = torch.zeros(len(known), tokens_per_frame * feature_width, dtype=dtype, device=device)
    vectors = [network(prepare_pictures(part, picture, dtype)) for part in real.split(frames_at_once) if len(part)]
    if vectors:
        encoded = torch.cat(vectors).to(dtype)
        if encoded.shape[-1] != feature_width or encoded.flatten(1).shape != (len(real), tokens.shape[-1]):
            raise ContractError(
                f"The image network gave {list(encoded.shape)} for {len(real)} frames; expected width {feature_width} "
                f"and {tokens_per_frame} tokens a frame."
            )
        tokens = tokens.index_copy(0, places, encoded.flatten(1))
    tokens = tokens.view(len(frames), -1, feature_width)
    return FeatureSequence(tokens, sent(mask, device).repeat_interleave(tokens_per_frame, dim=1))


Features = Literal["pooled", "projected", "patches"]
# Published with CLIP (arXiv 2103.00020); the defaults of transformers' CLIPImageProcessor too.
CLIP_MEAN, CLIP_STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet's training pictures
_RESAMPLING = {2: "bilinear", 3: "bicubic"}  # numbers of PIL, as preprocessor_config.json has them


@dataclass(frozen=True)
class FrameNetwork:
    """A built image model and how its features are read.

    Attributes:
        model: Of transformers or timm.
        read: From the model, pictures [R, 3, size, size] and whether its positions must be interpolated, to features
            [R, D] or [R, P, D].
        width: D.
        native_size: Side in pixels that the model was built for.
        patches: Patches on a side for a size in pixels.
    """

    model: Any
    read: Callable[[Any, Tensor, bool], Tensor]
    width: int
    native_size: int
    patches: Callable[[int], int]


class PretrainedVideoEncoder(VideoEncoder):
    """A frozen pretrained image model, frame by frame; plugins say which.

    Attributes:
        source: What was loaded, in words.
    """

    plans_on_processor = True
    #: What the plugin's default model is; None where the user must name one.
    release: Release | None = None

    def __init__(
        self,
        *,
        build: Callable[[ModelSource, Features], tuple[FrameNetwork, PictureFormat]],
        model: str,
        features: Features,
        revision: str | None = None,
        weights: Weights = "pretrained",
        seed: int = 0,
        image_size: int | None = None,
        frames_at_once: int = 256,
    ) -> None:
        """Load the model.

        Args:
            build: Of the plugin: from source and features to the model and what it was trained to see.
            model: Folder with config.json and weights, or hub name.
            features: What a frame gives: `pooled`, the model's one vector; `projected`, that vector in the space it
                shares with text; `patches`, every patch token.
            revision: Commit, tag or branch of a hub name; None: the pinned commit of the plugin's default model.
            weights: `pretrained`, or `random` for the architecture alone (benchmarks, tests).
            seed: Seed of random weights.
            image_size: Side in pixels to which frames are resized; None: as the model was trained. For another size,
                the model's positions are interpolated.
            frames_at_once: Most frames in one call of the model, to bound memory; 256 is our choice: 32 clips of the
                paper's 8 frames in one call.

        Raises:
            ConfigurationError: The model cannot be read or filled completely, or an option does not fit it.
        """
        super().__init__()
        if frames_at_once < 1:
            raise ConfigurationError(f"frames_at_once must be at least 1; got {frames_at_once}.")
        source = ModelSource(model, revision, weights, seed, self.release)
        network, picture = build(source, features)
        self.picture = _sized(picture, image_size)
        self.network: Any = network.model
        self.feature_width = network.width
        self.image_size = self.picture.size
        self.frames_at_once = frames_at_once
        side = network.patches(self.image_size)
        if side < 1:
            raise ConfigurationError(f"image_size {self.image_size} is smaller than one patch of the model {model!r}.")
        self.tokens_per_frame = side**2 if features == "patches" else 1
        self.source = source.description(getattr(network.model, "config", None))
        self._read = network.read
        self._interpolates = self.image_size != network.native_size
        self.eval()

    def forward(self, frames: Tensor, mask: Tensor) -> FeatureSequence:
        """Encode every real frame by itself; see `VideoEncoder.forward`.

        Returns:
            Tokens [B, T, D], or [B, T * P, D] for patches, those of a frame side by side, row by row.
        """
        return encode_frames(
            frames,
            mask,
            lambda pictures: self._read(self.network, pictures, self._interpolates),
            self.picture,
            feature_width=self.feature_width,
            dtype=next(self.network.parameters()).dtype,
            frames_at_once=self.frames_at_once,
            tokens_per_frame=self.tokens_per_frame,
        )


def _sized(picture: PictureFormat, image_size: int | None) -> PictureFormat:
    if image_size is None or image_size == picture.size:
        return picture
    return PictureFormat(image_size, picture.mean, picture.std, picture.interpolation, picture.whole_levels)


def picture_format(source: ModelSource, published: PictureFormat) -> PictureFormat:
    """What a model wants to see: its preprocessor_config.json where there is one, else its family's published values.

    A shape that the file asks for by resizing and cropping is the crop's; the picture is squeezed onto it whole.

    Args:
        source: The model.
        published: Of its family.

    Raises:
        ConfigurationError: The file asks for something that is not done here.
    """
    settings = source.settings("preprocessor_config.json")
    if settings is None:
        return published
    if "size" not in settings and "image_mean" not in settings:  # of a processor that has class defaults only
        return published
    cropped = settings.get("do_center_crop", "crop_size" in settings) and settings.get("crop_size")
    size = _side(cropped or settings.get("size"), published.size)
    resampling = settings.get("resample", None)
    interpolation = published.interpolation if resampling is None else _RESAMPLING.get(int(resampling))
    if interpolation is None or settings.get("do_normalize", True) is False:
        raise ConfigurationError(
            f"The preprocessor_config.json of {source.model!r} asks for resample {resampling} and do_normalize "
            f"{settings.get('do_normalize')}; bilinear (2) and bicubic (3) with normalisation are supported. Change "
            f"the file in a local copy of the model, or write a plugin for it."
        )
    mean, std = settings.get("image_mean") or published.mean, settings.get("image_std") or published.std
    return PictureFormat(size, tuple(mean), tuple(std), interpolation, whole_levels=True)


def _side(size: Any, otherwise: int) -> int:
    """Side in pixels out of the forms that `size` and `crop_size` have had over the years."""
    if isinstance(size, dict):
        size = next((size[key] for key in ("height", "shortest_edge") if size.get(key)), None)
    if isinstance(size, list | tuple):
        size = size[0] if size else None
    return int(size) if size else otherwise


def square_side(value: Any) -> int:
    """One side of `image_size` or `patch_size` of a configuration, which may be a pair."""
    return int(value[0] if isinstance(value, list | tuple) else value)


def refuse_features(plugin: str, features: str, known: str) -> ConfigurationError:
    """The error for features that a model does not have."""
    return ConfigurationError(f"{plugin} has no `features: {features}`: {known}.")


def patch_tokens(sequence: Tensor, patches: int) -> Tensor:
    """The patch tokens [R, P, D] behind class, register and distillation tokens [R, prefix + P, D]."""
    return sequence[:, sequence.shape[1] - patches :]
