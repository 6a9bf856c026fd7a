"""Video encoder `eva-clip`: EVA-01-CLIP-g/14, and any other EVA CLIP tower of timm.

Paper, Figure 4 (EVA-CLIP-G). timm calls it `eva_giant_patch14_clip_224.laion400m`; `...merged2b` is the later
EVA-01-CLIP-g/14+. The folder or hub repository is timm's own kind: config.json with `architecture`, and the weights
under timm's names.
Neighbours: `pretrained_frames.py` (options, frames to tokens), `timm_models.py` (reads weights files).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from affect_lightning.errors import ConfigurationError
from affect_lightning.weights import compare_weights
from affect_lightning_plugins.pretrained_models import ModelSource, Release
from affect_lightning_plugins.video_encoders.frame_preparation import PictureFormat
from affect_lightning_plugins.video_encoders.pretrained_frames import Features, FrameNetwork, PretrainedVideoEncoder
from affect_lightning_plugins.video_encoders.timm_models import read_weights

_MODEL = "timm/eva_giant_patch14_clip_224.laion400m"
_WEIGHTS_FILES = ("model.safetensors", "pytorch_model.bin")


class EvaClipVideoEncoder(PretrainedVideoEncoder):
    """EVA-01-CLIP-g/14 of timm, or another EVA CLIP by folder or hub name; frozen."""

    release = Release(_MODEL, configuration={"architecture": "eva_giant_patch14_clip_224", "num_classes": 1024})

    def __init__(self, *, model: str = _MODEL, features: Features = "projected", **options: Any) -> None:
        """Load the vision tower.

        Args:
            model: Folder in timm's form (config.json with `architecture`, model.safetensors), or hub name;
                EVA-01-CLIP-g/14 as in the paper (Figure 4). We know no commit of it for sure, so a hub name needs
                `revision`.
            features: What a frame gives: `projected`, the embedding that is compared with text (our choice, as the
                paper does with CLIP); `pooled`, the vector before that; `patches`, every patch token.
            options: See `PretrainedVideoEncoder`.

        Raises:
            ConfigurationError: The model cannot be read or filled completely, or an option does not fit it.
        """
        resized = options.get("image_size") is not None
        super().__init__(
            build=lambda source, wanted: _build(source, wanted, resized), model=model, features=features, **options
        )


def _build(source: ModelSource, features: Features, resized: bool) -> tuple[FrameNetwork, PictureFormat]:
    settings = source.published_configuration or source.settings("config.json") or {}
    if not str(settings.get("architecture", "")).startswith("eva"):
        raise ConfigurationError(
            f"{source.model!r} has no config.json of an EVA model of timm: its `architecture` is "
            f"{settings.get('architecture')!r}. Give a folder in timm's form, or use the encoder `timm`."
        )
    network = _network(source, settings, resized)
    seen: Mapping[str, Any] = {**network.pretrained_cfg, **settings.get("pretrained_cfg", {})}
    if features == "projected" and not network.num_classes:
        raise ConfigurationError(f"{source.model!r} has no projection: its num_classes is 0. Use `features: pooled`.")
    width = network.num_classes if features == "projected" else network.head_hidden_size
    patch = network.patch_embed.patch_size[0]
    if features != "projected":
        network.reset_classifier(0)

    def read(model: Any, pictures: Tensor, interpolates: bool) -> Tensor:
        if features == "patches":
            return model.forward_features(pictures)[:, model.num_prefix_tokens :]
        return model(pictures)

    size = int(seen["input_size"][-1])
    return (
        FrameNetwork(network, read, int(width), size, lambda side: side // patch),
        PictureFormat(size, tuple(seen["mean"]), tuple(seen["std"]), seen["interpolation"], whole_levels=True),
    )


def _network(source: ModelSource, settings: Mapping[str, Any], resized: bool) -> Any:
    import timm

    options = {"num_classes": int(settings.get("num_classes", 0)), **settings.get("model_args", {})}
    if resized:
        options["dynamic_img_size"] = True  # positions are interpolated to the pictures' size
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(source.seed)
            network = timm.create_model(settings["architecture"], pretrained=False, **options)
    except (RuntimeError, TypeError, ValueError, AssertionError) as error:
        raise ConfigurationError(
            f"timm {timm.__version__} cannot build {settings['architecture']!r} as the config.json of {source.model!r} "
            f"says: {error}. Check `architecture` and `model_args` there."
        ) from error
    if source.reads_weights:
        _fill(network, source)
    return network.eval().requires_grad_(False)


def _fill(network: Any, source: ModelSource) -> None:
    path = next((path for name in _WEIGHTS_FILES if (path := source.file(name)) is not None), None)
    if path is None:
        raise ConfigurationError(
            f"The model {source.model!r} has no weights: {' and '.join(_WEIGHTS_FILES)} are missing. Download one of them."
        )
    stored, wanted = read_weights(Path(path)), network.state_dict()
    source.refuse(compare_weights(stored, wanted), type(network).__name__)
    network.load_state_dict(stored)
