"""The frozen encoders: built, run on a batch, and told apart by their weights (paper, Section 3.1: Z_a and Z_v).

Neighbours: `affectgpt.py` runs them in every step, `affect-lightning cache` once over a set. Both build them here, so that
random initialisation inside an encoder's library never moves the initial weights of what trains: a run from cached
features starts exactly as one without.
Legend: B clips, N feature tokens, D feature width.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from affect_lightning.contracts import AudioEncoder, ClipBatch, FeatureSequence, VideoEncoder
from affect_lightning.errors import ContractError
from affect_lightning.model.configuration import ModelConfiguration
from affect_lightning.model.part_calls import call_encoder
from affect_lightning.model.randomness import separate_draws
from affect_lightning.plugin_loading import build_part


@dataclass(frozen=True)
class Encoders:
    """The encoders of a configuration; None for one that no stream needs.

    Attributes:
        video: Shared by the face and frame streams.
        audio: Of the audio stream.
    """

    video: VideoEncoder | None = None
    audio: AudioEncoder | None = None

    def of(self, stream: str) -> VideoEncoder | AudioEncoder | None:
        """The encoder of a stream."""
        return self.audio if stream == "audio" else self.video


def build_encoders(configuration: ModelConfiguration, streams: Sequence[str]) -> Encoders:
    """Build the encoders that the streams need, and no others.

    The global random state is left as it was found.

    Args:
        configuration: Names the plugins.
        streams: Out of audio, face and frame.

    Raises:
        AffectLightningError: An encoder cannot be built; see its plugin.
    """
    seeing = configuration.video_encoder if {"face", "frame"} & set(streams) else None
    hearing = configuration.audio_encoder if "audio" in streams else None
    with torch.random.fork_rng(devices=[]):
        return Encoders(
            video=build_part("video_encoders", seeing) if seeing is not None else None,
            audio=build_part("audio_encoders", hearing) if hearing is not None else None,
        )


def encode_stream(batch: ClipBatch, name: str, encoder: VideoEncoder | AudioEncoder | None) -> FeatureSequence:
    """Run the encoder of one stream, without gradient.

    What a frozen encoder draws (the speech encoders of transformers 4 draw a number a layer, in evaluation too) moves
    nobody else's draws: dropout is the same with cached features.

    Args:
        batch: Decoded clips.
        name: audio, face or frame.
        encoder: Of that stream.

    Returns:
        Features [B, N, D].

    Raises:
        ContractError: The batch lacks the stream, there is no encoder, or the encoder breaks its contract.
    """
    received = batch.waveform if name == "audio" else getattr(batch, name)
    mask = batch.waveform_lengths if name == "audio" else batch.frame_mask
    if received is None or mask is None:
        raise ContractError(
            f"The model needs the stream {name!r} to encode it, and the batch has none. Let the data module read it, or take it "
            "out of `inputs`."
        )
    if encoder is None:
        raise ContractError(
            f"The network was built for cached features, without the encoder of the stream {name!r}, and the batch has "
            f"no features. Give batches of `data.features: cached`, or build a new network for live ones."
        )
    if isinstance(encoder, AudioEncoder) and encoder.sample_rate != batch.sample_rate:
        raise ContractError(
            f"{type(encoder).__name__} hears {encoder.sample_rate} Hz; the batch has {batch.sample_rate} Hz. "
            f"Set the data module's sample_rate to {encoder.sample_rate}."
        )
    with torch.no_grad(), separate_draws(received.device):
        return call_encoder(encoder, received, mask)


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
