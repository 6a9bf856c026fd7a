"""From the frames of a batch to the pictures that a network needs, and from its vectors back to feature tokens.

Paper, Section 3.1 and Appendix B: each sampled frame becomes one feature vector of Z_v. Every video encoder of this
folder calls `encode_frames`, so resizing, normalisation, the mask and the bound on memory are decided here once.
Legend: B clips, T frames, H height and W width in pixels, D feature width, P tokens a frame, R real frames
of the whole batch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from affect_lightning.contracts import FeatureSequence
from affect_lightning.errors import ContractError


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
    if picture.whole_levels:
        frames = _resized_levels(frames, side, picture.interpolation)
    pixels = frames.float() / 255.0
    if frames.shape[-2:] != side:
        pixels = functional.interpolate(pixels, size=side, mode=picture.interpolation, antialias=True).clamp_(0.0, 1.0)
    mean = torch.tensor(picture.mean, device=pixels.device).view(3, 1, 1)
    std = torch.tensor(picture.std, device=pixels.device).view(3, 1, 1)
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
        mask: True where a frame is real [B, T], bool. Other frames are never looked at.
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
    real = frames[mask]  # [R, 3, H, W]
    tokens = torch.zeros(*mask.shape, tokens_per_frame * feature_width, dtype=dtype, device=frames.device)
    vectors = [network(prepare_pictures(part, picture, dtype)) for part in real.split(frames_at_once) if len(part)]
    if vectors:
        encoded = torch.cat(vectors).to(dtype)
        if encoded.shape[-1] != feature_width or encoded.flatten(1).shape != (len(real), tokens.shape[-1]):
            raise ContractError(
                f"The image network gave {list(encoded.shape)} for {len(real)} frames; expected width {feature_width} "
                f"and {tokens_per_frame} tokens a frame."
            )
        tokens = tokens.masked_scatter(mask.unsqueeze(-1), encoded.flatten(1))
    tokens = tokens.view(len(frames), -1, feature_width)
    return FeatureSequence(tokens, mask.repeat_interleave(tokens_per_frame, dim=1))
