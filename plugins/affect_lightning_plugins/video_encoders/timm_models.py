"""The video encoders `timm` (any image model of the timm library, frame by frame) and `eva-clip`.

- `timm`: CLIP ViT-L, EVA-CLIP-G, DINOv2-L and SigLIP-SO of the paper's Figure 4 and Appendix B are all there under
  timm's names. The paper's own setting is `model: vit_large_patch14_clip_224.openai, projected: true` with the weights
  on disk. The paper takes one pooled vector a frame. A pooled vector no longer knows where in the face something
  happened, so a coarse spatial grid of inner layers is offered too.
- `eva-clip`: EVA-01-CLIP-g/14 (Figure 4, EVA-CLIP-G), and any other EVA CLIP tower of timm. timm calls it
  `eva_giant_patch14_clip_224.laion400m`; `...merged2b` is the later EVA-01-CLIP-g/14+. The folder or hub repository is
  timm's own kind: config.json with `architecture`, and the weights under timm's names.

`pretrained_frames.py` prepares the frames. `efficientnet_lite0.py` is a network of timm with weights of its own.
Legend: B clips, T frames, R frames at once, H height and W width in pixels, C channels of a layer, G side of the grid,
D feature width.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from affect_lightning.contracts import FeatureSequence, VideoEncoder
from affect_lightning.errors import ConfigurationError
from affect_lightning.weights import builds_without_weights, compare_weights
from affect_lightning_plugins.pretrained_models import ModelSource, Release
from affect_lightning_plugins.video_encoders.pretrained_frames import (
    Features,
    FrameNetwork,
    PictureFormat,
    PretrainedVideoEncoder,
    encode_frames,
)
from affect_lightning_plugins.weights_files import read_weights


class TimmBackbone(nn.Module):
    """A timm network that returns one vector a picture.

    Args:
        network: The timm model with its weights. Layers behind the last one needed are removed from it.
        feature_layers: Which layers of timm's `feature_info` to read (negative numbers count from the end); their
            maps are averaged onto the grid, flattened, scaled to mean 0 and variance 1 (inner layers have any scale)
            and concatenated. None: the network's own pooled vector.
        pool_grid: Side G of the grid; a layer of C channels gives C * G * G values. Only with `feature_layers`.
        projected: Apply the network's last linear layer to the pooled vector too.

    Attributes:
        feature_width: D.

    Raises:
        ConfigurationError: A layer does not exist, or the options exclude each other.
    """

    feature_width: int
    network: Any  # timm's methods are not part of nn.Module

    def __init__(
        self,
        network: nn.Module,
        feature_layers: Sequence[int] | None = None,
        pool_grid: int = 1,
        projected: bool = False,
    ) -> None:
        super().__init__()
        if pool_grid < 1 or (pool_grid > 1 and not feature_layers):
            raise ConfigurationError(
                f"pool_grid {pool_grid} needs feature_layers: the pooled vector of a network has no grid. Give "
                f"layers such as feature_layers [3], or set pool_grid to 1."
            )
        if projected and feature_layers:
            raise ConfigurationError("projected and feature_layers exclude each other. Give only one of the two.")
        self.network = network
        self.pool_grid = pool_grid
        self.feature_layers = self._checked_layers(feature_layers) if feature_layers else None
        if self.feature_layers:
            channels = [self.network.feature_info[layer]["num_chs"] for layer in self.feature_layers]
            self.feature_width = sum(channels) * pool_grid**2
            self.network.prune_intermediate_layers(self.feature_layers, prune_norm=True, prune_head=True)
        elif projected:
            self.feature_width = int(self.network.num_classes)
        else:
            self.network.reset_classifier(0)
            self.feature_width = int(getattr(self.network, "head_hidden_size", None) or self.network.num_features)

    def _checked_layers(self, layers: Sequence[int]) -> list[int]:
        count = len(self.network.feature_info)
        outside = [layer for layer in layers if not -count <= layer < count]
        if outside:
            names = [info["module"] for info in self.network.feature_info]
            raise ConfigurationError(
                f"feature_layers {outside} do not exist: the network has the layers 0 to {count - 1} "
                f"({', '.join(names)}). Choose among them; negative numbers count from the end."
            )
        return sorted({layer % count for layer in layers})

    def forward(self, pictures: Tensor) -> Tensor:
        """Vectors [R, D] of normalised pictures [R, 3, size, size]."""
        # Faster on CPUs for convolutions; the weights stay as they are, because FSDP2 takes contiguous ones only.
        pictures = pictures.contiguous(memory_format=torch.channels_last)
        if not self.feature_layers:
            return self.network(pictures)
        maps = self.network.forward_intermediates(
            pictures, indices=self.feature_layers, stop_early=True, output_fmt="NCHW", intermediates_only=True
        )
        cells = [functional.adaptive_avg_pool2d(one, self.pool_grid).flatten(1) for one in maps]
        return torch.cat([functional.layer_norm(vector, vector.shape[1:]) for vector in cells], dim=1)

    def encode(self, frames: Tensor, mask: Tensor, picture: PictureFormat, frames_at_once: int) -> FeatureSequence:
        """One token [D] a real frame; see `encode_frames` for the arguments."""
        return encode_frames(
            frames,
            mask,
            self,
            picture,
            feature_width=self.feature_width,
            dtype=next(self.parameters()).dtype,
            frames_at_once=frames_at_once,
        )


class TimmVideoEncoder(VideoEncoder):
    """Any image model of timm by name; weights from a local file or, if asked for, from the hub.

    One of `weights`, `pretrained` and `random` must be given: weights are never left out by mistake.

    Args:
        model: Name in timm, such as `vit_large_patch14_clip_224.openai` (paper, Appendix B: CLIP ViT-L/14) or
            `resnet18`.
        weights: Local file with the model's weights: `.safetensors`, or `.pth`, `.pt`, `.bin` with plain tensors.
        pretrained: Let timm download the weights that belong to the name.
        random: Random weights, on purpose; for tests and baselines.
        image_size: Side in pixels to which frames are resized; None: the size of the model's configuration (224 for
            the paper's CLIP).
        projected: Apply the model's last linear layer too. For CLIP models it is the projection that the paper uses
            (width 768 for ViT-L/14); for classifiers it gives class scores.
        feature_layers: Read inner layers instead of the pooled output: numbers of timm's `feature_info`, negative
            ones from the end. None is the paper's way: one pooled vector a frame.
        pool_grid: Side of the spatial grid onto which those layers are averaged; 1 (our choice) keeps no position.
        frames_at_once: Most frames in one call of the model, to bound memory; 64 is our choice.

    Raises:
        ConfigurationError: Unknown model, not exactly one source of weights, or weights that do not fit.
    """

    def __init__(
        self,
        model: str,
        *,
        weights: str | None = None,
        pretrained: bool = False,
        random: bool = False,
        image_size: int | None = None,
        projected: bool = False,
        feature_layers: list[int] | None = None,
        pool_grid: int = 1,
        frames_at_once: int = 64,
    ) -> None:
        super().__init__()
        if sum((weights is not None, pretrained, random)) != 1:
            raise ConfigurationError(
                f"The timm model {model!r} needs exactly one source of weights: `weights: FILE` (local), `pretrained: "
                f"true` (download) or `random: true` (on purpose); got weights={weights!r}, pretrained={pretrained}, "
                f"random={random}."
            )
        if frames_at_once < 1:
            raise ConfigurationError(f"frames_at_once must be at least 1; got {frames_at_once}.")
        reads = not builds_without_weights()  # where only the architecture is wanted, no weights are read
        network = _create_network(model, pretrained and reads, image_size)
        if weights is not None and reads:
            load_weights(network, read_weights(Path(weights)), Path(weights))
        settings: Mapping[str, Any] = network.pretrained_cfg
        self.backbone = TimmBackbone(network, feature_layers, pool_grid, projected)
        self.frames_at_once = frames_at_once
        self.image_size = image_size or int(settings["input_size"][-1])
        self.feature_width = self.backbone.feature_width
        interpolation = "bicubic" if settings["interpolation"] == "bicubic" else "bilinear"
        self.picture = PictureFormat(self.image_size, settings["mean"], settings["std"], interpolation)
        self.eval()

    def forward(self, frames: Tensor, mask: Tensor) -> FeatureSequence:
        """Encode every real frame by itself; see `VideoEncoder.forward`. Gives one token a frame: N = T."""
        return self.backbone.encode(frames, mask, self.picture, self.frames_at_once)


def _create_network(model: str, pretrained: bool, image_size: int | None) -> Any:
    import timm

    if not timm.is_model(model):
        from difflib import get_close_matches

        near = get_close_matches(model.split(".", maxsplit=1)[0], timm.list_models(), n=1)
        raise ConfigurationError(
            f"timm {timm.__version__} has no model {model!r}.{f' Did you mean {near[0]!r}?' if near else ''} "
            f"`python -c 'import timm; print(timm.list_models())'` lists them all."
        )
    settings = timm.get_pretrained_cfg(model)
    # Transformers fix their grid of positions when they are built, so they must hear the size; convolutions need not.
    must_hear = image_size is not None and settings is not None and settings.fixed_input_size
    sized: dict[str, Any] = {"img_size": image_size} if must_hear else {}
    try:
        return timm.create_model(model, pretrained=pretrained, **sized)
    except (RuntimeError, TypeError, OSError, ValueError) as error:
        raise ConfigurationError(
            f"timm cannot build {model!r} (pretrained={pretrained}, image_size={image_size}): {error}. Check the "
            f"name's tag and the size; without a network connection give the weights as a local file: `weights: FILE`."
        ) from error


def load_weights(network: nn.Module, tensors: Mapping[str, Tensor], path: Path) -> None:
    """Put tensors into a timm network; every weight must be there and fit, but for the classifier.

    Args:
        network: A timm model.
        tensors: By the network's own names.
        path: Of the file they come from, for messages.

    Raises:
        ConfigurationError: Names are missing or unknown, or shapes differ.
    """
    wanted = network.state_dict()
    classifier = _classifier_names(network)
    # A classifier for another number of classes is no part of the features: it is left as built.
    tensors = {
        name: value
        for name, value in tensors.items()
        if not (name.startswith(classifier) and (name not in wanted or wanted[name].shape != value.shape))
    }
    kept = {name: value for name, value in wanted.items() if name in tensors or not name.startswith(classifier)}
    compare_weights(tensors, kept).refuse(
        f"the file {path}",
        type(network).__name__,
        "Give the file that belongs to this model, with timm's names.",
        ConfigurationError,
    )
    network.load_state_dict(dict(tensors), strict=False)


def _classifier_names(network: Any) -> tuple[str, ...]:
    """Starts of the names of the classifier's weights; without one, a start that no name has."""
    named = network.pretrained_cfg.get("classifier") or ()
    return tuple(f"{name}." for name in ((named,) if isinstance(named, str) else named)) or ("\0",)


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
