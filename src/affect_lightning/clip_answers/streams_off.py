"""Switches streams of a clip off: the network is asked as if it neither saw nor heard them (ours).

A stream that is off has no real step, which every part must allow (`contracts`). So its average is zero, as that of a
stream that `stream_dropout` hides. A subtitle that is off is empty. `describing_network.py` calls this.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

import torch

from affect_lightning.contracts import STREAMS, ClipBatch, StreamInput
from affect_lightning.errors import ConfigurationError
from affect_lightning.model import ModelConfiguration

(_SUBTITLE,) = (name for name, stream in STREAMS.items() if stream.kind == "text")


def streams_to_switch(configuration: ModelConfiguration) -> tuple[str, ...]:
    """The streams that a network sees, hears or reads: those that it encodes, and the subtitle."""
    return (*configuration.encoded_streams, *({_SUBTITLE} & set(configuration.inputs)))


def check_streams_off(configuration: ModelConfiguration, names: Collection[str]) -> None:
    """Refuse a stream that the network does not use.

    Raises:
        ConfigurationError: There is one.
    """
    known = streams_to_switch(configuration)
    unknown = [name for name in names if name not in known]
    if unknown:
        raise ConfigurationError(
            f"Switch off only streams that the network uses: {', '.join(known)}; got {', '.join(unknown)}."
        )


def with_streams_off(batch: ClipBatch, names: Collection[str]) -> ClipBatch:
    """The batch as if these streams said nothing."""
    streams = {
        name: StreamInput(stream.values, torch.zeros_like(stream.mask), stream.sample_rate) if name in names else stream
        for name, stream in batch.streams.items()
    }
    subtitles = [""] * len(batch.subtitles) if _SUBTITLE in names else batch.subtitles
    return replace(batch, streams=streams, subtitles=subtitles)
