"""Video encoder `tiny-video`: the paper's CLIP vision tower as a tiny random configuration, for tests.

Paper, Appendix B: CLIP ViT-L/14, one projected image embedding a frame. This is the same Hugging Face class with two
layers of width 32 and weights drawn from a seed. `pretrained_frames.py` prepares the frames.
Legend: B clips, T frames, H height and W width in pixels, D feature width.
"""

from __future__ import annotations

import torch
from torch import Tensor

from affect_lightning.contracts import FeatureSequence, VideoEncoder
from affect_lightning_plugins.video_encoders.pretrained_frames import CLIP_MEAN, CLIP_STD, PictureFormat, encode_frames


class TinyVideoEncoder(VideoEncoder):
    """Tiny CLIP vision tower with random weights, for tests only; it has learned nothing.

    All defaults are our choice: as small as the real class allows.

    Args:
        width: Feature width D of the projected embedding.
        image_size: Side in pixels to which frames are resized; a multiple of 8.
        seed: Seed of the weights.
    """

    plans_on_processor = True

    def __init__(self, width: int = 24, image_size: int = 32, seed: int = 0) -> None:
        super().__init__()
        from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

        configuration = CLIPVisionConfig(
            hidden_size=32,
            intermediate_size=64,
            projection_dim=width,
            num_hidden_layers=2,
            num_attention_heads=2,
            image_size=image_size,
            patch_size=8,
        )
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.tower = CLIPVisionModelWithProjection(configuration)
        self.feature_width = width
        self.image_size = image_size
        self.picture = PictureFormat(image_size, CLIP_MEAN, CLIP_STD)
        self.eval()

    def forward(self, frames: Tensor, mask: Tensor) -> FeatureSequence:
        """Encode every real frame by itself; see `VideoEncoder.forward`. Gives one token a frame: N = T."""
        return encode_frames(
            frames,
            mask,
            lambda pictures: self.tower(pixel_values=pictures).image_embeds,
            self.picture,
            feature_width=self.feature_width,
            dtype=self.tower.visual_projection.weight.dtype,
            frames_at_once=64,
        )
