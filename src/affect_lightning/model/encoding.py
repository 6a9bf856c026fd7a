"""The frozen encoders: built, run on a batch, and identified by their weights (paper, Section 3.1: Z_a and Z_v).

`affectgpt.py` runs them in every step, `affect-lightning cache` once over a set. Both build them here, so that random
initialisation inside an encoder's library never changes the initial weights of what trains: a run from cached features
starts exactly as one without.
Legend: B clips, N feature tokens, D feature width.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from affect_lightning.contracts import ClipBatch, Encoder, FeatureSequence
from affect_lightning.errors import ContractError
from affect_lightning.model.checked_calls import call_encoder
from affect_lightning.model.configuration import ModelConfiguration
from affect_lightning.plugin_loading import GROUPS, build_part, find_stream
from affect_lightning.weights import default_device, drawing_on_the_processor


def build_encoders(configuration: ModelConfiguration, streams: Sequence[str]) -> dict[str, Encoder]:
    """Build the encoders that the streams need, and no others.

    The global random state is left as it was found. Random weights are drawn on the processor; the encoders are then on
    torch's default device.

    Args:
        configuration: Names the plugins.
        streams: Encoded streams.

    Returns:
        Encoders by `EncoderChoices.key_of`; streams of one kind may share one.

    Raises:
        AffectLightningError: An encoder cannot be built; see its plugin.
    """
    choices, groups = configuration.encoders, list(GROUPS)
    wanted = {choices.key_of(name): (find_stream(name).encoder_group, choices.of(name)) for name in streams}
    # By group, whatever the order of the streams: random weights depend on what is built before.
    ordered = sorted(wanted.items(), key=lambda item: groups.index(item[1][0]))
    with torch.random.fork_rng(devices=[]), drawing_on_the_processor():
        built = {key: build_part(group, choice) for key, (group, choice) in ordered if choice is not None}
    return {key: encoder.to(default_device()) for key, encoder in built.items()}


def encode_stream(batch: ClipBatch, name: str, encoder: Encoder | None) -> FeatureSequence:
    """Run the encoder of one stream, without gradient.

    What a frozen encoder draws (the speech encoders of transformers 4 draw a number a layer, in evaluation too) moves
    nobody else's draws: dropout is the same with cached features.

    Args:
        batch: Decoded clips.
        name: Of the stream.
        encoder: Of that stream.

    Returns:
        Features [B, N, D].

    Raises:
        ContractError: The batch lacks the stream, there is no encoder, or the encoder breaks its contract.
    """
    if name not in batch.streams:
        raise ContractError(
            f"The model needs the stream {name!r} to encode it, but the batch has none. Let the data module read it, "
            "or remove it from `inputs`."
        )
    if encoder is None:
        raise ContractError(
            f"The network was built for cached features, without the encoder of the stream {name!r}, but the batch has "
            f"no features. Set data.features to cached, or build a new network for live encoders."
        )
    stream = batch.streams[name]
    with torch.no_grad(), _separate_draws(stream.values.device):
        return call_encoder(encoder, name, stream)


@contextmanager
def _separate_draws(device: torch.device) -> Iterator[None]:
    """Put torch's generators back afterwards: what is drawn inside moves nothing that is drawn later.

    Args:
        device: Where is drawn, besides the processor.
    """
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        yield


def cached_stream(
    features: Mapping[str, FeatureSequence], name: str, width: int, dtype: torch.dtype | None
) -> FeatureSequence:
    """One stream of the features that a batch brings.

    Args:
        features: By stream.
        name: Of the stream.
        width: D that the network was built for.
        dtype: In which they are wanted; None leaves them.

    Raises:
        ContractError: The stream is missing or has another width.
    """
    if name not in features or features[name].width != width:
        found = f"width {features[name].width}" if name in features else f"streams {sorted(features)}"
        raise ContractError(
            f"The model needs features of the stream {name!r} with width {width}; the batch has {found}. Run "
            f"`affect-lightning cache` again with the model's configuration."
        )
    stream = features[name]
    return FeatureSequence(stream.tokens.to(dtype or stream.tokens.dtype), stream.mask)


def weights_digest(module: nn.Module) -> str:
    """A hash of all weights and buffers: names, types, shapes and bytes; 32 hexadecimal digits.

    Two modules without any weights have the same digest, whatever they compute.
    """
    digest = hashlib.blake2b(digest_size=16)
    for name, value in sorted(module.state_dict().items()):
        if isinstance(value, Tensor):
            digest.update(f"{name} {value.dtype} {list(value.shape)};".encode())
            digest.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()
