"""All streams by name: those of the contracts' table, and those of installed packages (group `streams`).

Names are listed without importing a plugin; the class of a stream is imported when its row is asked for. `data` and
`model` check their options here, so that both know the same streams and the same encoders.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from affect_lightning.errors import ConfigurationError
from affect_lightning.plugin_loading.building import PluginChoice, load_plugin_class, resolve_choice
from affect_lightning.plugin_loading.listing import GROUPS, list_plugins

if TYPE_CHECKING:
    from affect_lightning.contracts import Stream

STREAM_GROUP = "streams"


def stream_names() -> tuple[str, ...]:
    """Every stream, in the prompt's order: those of the paper, those of plugins by name, the subtitle."""
    from affect_lightning.contracts import STREAMS

    *ours, text = STREAMS
    others = sorted({listing.name for listing in list_plugins(STREAM_GROUP)} - {*ours, text})
    return (*ours, *others, text)


def find_stream(name: str) -> Stream:
    """The row of a stream.

    Raises:
        PluginError: It is none of ours, and no plugin or a broken one.
    """
    from affect_lightning.contracts import STREAMS, Stream

    if name in STREAMS:
        return STREAMS[name]
    reader = load_plugin_class(STREAM_GROUP, name)
    return Stream(name, reader.kind, f"what {reader.__name__} reads")  # type: ignore[attr-defined]


def encoded_streams() -> tuple[str, ...]:
    """Names of the streams that an encoder turns into features, in the prompt's order."""
    from affect_lightning.contracts import STREAMS

    return tuple(name for name in stream_names() if name not in STREAMS or STREAMS[name].encoder_group)


def check_inputs(inputs: Sequence[str]) -> tuple[str, ...]:
    """Check the streams that the prompt shows and put them into the prompt's order.

    Args:
        inputs: Names of streams, in any order.

    Raises:
        ConfigurationError: Unknown name, a name twice, or no name at all.
    """
    known = stream_names()
    if not inputs or len(set(inputs)) != len(inputs) or not set(inputs) <= set(known):
        raise ConfigurationError(
            f"`inputs` lists the streams that the prompt shows, each once, out of {', '.join(known)}; got {list(inputs)}."
        )
    return tuple(name for name in known if name in inputs)


def check_fused_streams(streams: Sequence[str]) -> tuple[str, ...]:
    """Check the streams that the pre-fusion takes; their order stays, because it is the order of concatenation.

    Raises:
        ConfigurationError: Unknown name, a name twice, no name at all, or a stream that is not encoded.
    """
    known = encoded_streams()
    if not streams or len(set(streams)) != len(streams) or not set(streams) <= set(known):
        raise ConfigurationError(
            f"`fused_streams` lists what the pre-fusion takes, each once, out of {', '.join(known)}; got {list(streams)}."
        )
    return tuple(streams)


def needed_streams(inputs: Sequence[str], fused: Sequence[str]) -> tuple[str, ...]:
    """Streams that are read and encoded: those shown, and those fused when fused tokens are shown."""
    return tuple(name for name in encoded_streams() if name in inputs or ("multi" in inputs and name in fused))


@dataclass(frozen=True)
class EncoderChoices:
    """Which plugin encodes which stream: three options of the model, which explains them.

    Streams of one kind share the kind's encoder, so that face and frame do; a series has always its own.

    Attributes:
        video_encoder: Of pictures.
        audio_encoder: Of sound.
        stream_encoders: Of single streams, by name.
    """

    video_encoder: PluginChoice | None = None
    audio_encoder: PluginChoice | None = None
    stream_encoders: Mapping[str, PluginChoice] = field(default_factory=dict)

    def key_of(self, stream: str) -> str:
        """Name of the encoder in the network; streams with the same key share one."""
        option = GROUPS[find_stream(stream).encoder_group].option
        return option if stream not in self.stream_encoders and hasattr(self, option) else f"encoder_of_{stream}"

    def of(self, stream: str) -> PluginChoice | None:
        """The encoder of a stream; None if none is chosen."""
        return self.stream_encoders.get(stream) or getattr(self, self.key_of(stream), None)

    def resolved(self) -> EncoderChoices:
        """The same with each choice checked and the plugins' defaults filled in.

        Raises:
            ConfigurationError: `stream_encoders` names what is no encoded stream.
            PluginError: A plugin or one of its options is wrong.
        """
        unknown = [name for name in self.stream_encoders if name not in encoded_streams()]
        if unknown:
            raise ConfigurationError(
                f"`stream_encoders` maps encoded streams, out of {', '.join(encoded_streams())}, to encoders; got {unknown}."
            )
        video, audio = self.video_encoder, self.audio_encoder
        return EncoderChoices(
            None if video is None else resolve_choice("video_encoders", video),
            None if audio is None else resolve_choice("audio_encoders", audio),
            {
                name: resolve_choice(find_stream(name).encoder_group, choice)
                for name, choice in self.stream_encoders.items()
            },
        )
