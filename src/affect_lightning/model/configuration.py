"""ModelConfiguration: which parts an AffectGPT has and how they are joined, as plain values (paper, Section 3).

A configuration is checked when it is made, before anything heavy is built; `as_dict` goes into checkpoints and exported
folders. Neighbours: `affectgpt.py` builds from it, checkpoints and `exported_folder.py` store it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from affect_lightning.errors import ConfigurationError
from affect_lightning.plugin_loading import (
    EncoderChoices,
    PluginChoice,
    check_fused_streams,
    check_inputs,
    needed_streams,
    resolve_choice,
    split_choice,
)

FEATURE_NORMS = ("none", "layer", "standard")
FUSED_FEATURES = ("encoded", "projected")
_OWN_COMPRESSIONS = ("mean", "attention")


@dataclass(frozen=True)
class ModelConfiguration:
    """Plain description of an AffectGPT.

    Attributes:
        video_encoder: Name and options of the plugin that sees the face and frame streams; None if neither is encoded.
        audio_encoder: Name and options of the plugin that hears the audio stream; None if it is not encoded.
        stream_encoders: The same by stream, for streams with an encoder of their own.
        pre_fusion: Name and options.
        language_model: Name and options.
        inputs: Streams that the prompt shows, in the prompt's order.
        fused_streams: Streams that the pre-fusion takes, in the order of concatenation (Eq. 3: audio, video).
        branch_compression: `mean`, `attention`, or a pre-fusion plugin for one stream with options (`qformer`).
        branch_tokens: Tokens a branch.
        feature_norm: `none`, `layer` or `standard`; see `feature_conditioning.py`.
        projector_init_scale: Size of projected tokens at the start relative to word embeddings; None is torch's
            initialisation.
        stream_dropout: Share of training samples in which an encoded stream is hidden; see `feature_conditioning.py`.
        fused_features: What the pre-fusion takes: `encoded` features Z, or `projected` ones H (Section 3.2).
    """

    video_encoder: dict[str, Any] | None
    audio_encoder: dict[str, Any] | None
    pre_fusion: dict[str, Any]
    language_model: dict[str, Any]
    inputs: tuple[str, ...]
    fused_streams: tuple[str, ...]
    branch_compression: dict[str, Any]
    branch_tokens: int
    feature_norm: str
    projector_init_scale: float | None
    stream_dropout: float = 0.0
    fused_features: str = "encoded"
    stream_encoders: dict[str, dict[str, Any]] = field(default_factory=dict)

    @classmethod
    def resolve(
        cls,
        *,
        video_encoder: PluginChoice | None,
        audio_encoder: PluginChoice | None,
        pre_fusion: PluginChoice,
        language_model: PluginChoice,
        inputs: Sequence[str],
        fused_streams: Sequence[str] = ("audio", "face"),
        branch_compression: PluginChoice = "attention",
        branch_tokens: int = 1,
        feature_norm: str = "none",
        projector_init_scale: float | None = None,
        stream_dropout: float = 0.0,
        fused_features: str = "encoded",
        stream_encoders: Mapping[str, PluginChoice] | None = None,
    ) -> ModelConfiguration:
        """Check all choices and fill in the plugins' defaults; nothing is built.

        Raises:
            ConfigurationError: Streams, branch or scaling options are wrong.
            PluginError: A plugin or one of its options is.
        """
        shown, fused = check_inputs(inputs), check_fused_streams(fused_streams)
        if feature_norm not in FEATURE_NORMS:
            raise ConfigurationError(f"`feature_norm` is one of {', '.join(FEATURE_NORMS)}; got {feature_norm!r}.")
        if fused_features not in FUSED_FEATURES:
            raise ConfigurationError(
                f"`fused_features` is `encoded` (Z) or `projected` (H of Section 3.2); got {fused_features!r}."
            )
        if projector_init_scale is not None and projector_init_scale <= 0:
            raise ConfigurationError(f"`projector_init_scale` must be positive or null; got {projector_init_scale}.")
        if not 0.0 <= stream_dropout < 1.0:
            raise ConfigurationError(f"`stream_dropout` is a share, at least 0 and below 1; got {stream_dropout}.")
        encoders = EncoderChoices(video_encoder, audio_encoder, stream_encoders or {}).resolved()
        configuration = cls(
            **vars(encoders),
            pre_fusion=resolve_choice("pre_fusions", pre_fusion),
            language_model=resolve_choice("language_models", language_model),
            inputs=shown,
            fused_streams=fused,
            branch_compression=_resolve_branch(branch_compression, branch_tokens),
            branch_tokens=branch_tokens,
            feature_norm=feature_norm,
            projector_init_scale=projector_init_scale,
            stream_dropout=stream_dropout,
            fused_features=fused_features,
        )
        configuration._check_encoders()
        return configuration

    def _check_encoders(self) -> None:
        for stream in self.encoded_streams:
            if self.encoders.of(stream) is None:
                key = self.encoders.key_of(stream)
                lacking = f"`{key}` is not set" if hasattr(self, key) else "`stream_encoders` names none for it"
                raise ConfigurationError(
                    f"The stream {stream!r} needs an encoder and {lacking}. Choose one "
                    f"(`affect-lightning plugins` lists them), or take {stream!r} out of `inputs` and, if `multi` is "
                    f"shown, out of `fused_streams`."
                )

    @property
    def encoders(self) -> EncoderChoices:
        """Which plugin encodes which stream."""
        return EncoderChoices(self.video_encoder, self.audio_encoder, self.stream_encoders)

    @property
    def fuses(self) -> bool:
        """True when the prompt shows fused tokens; with pre-fusion `none` the stream `multi` gives no tokens."""
        return "multi" in self.inputs and self.pre_fusion["name"] != "none"

    @property
    def fuses_projected(self) -> bool:
        """True when the pre-fusion takes projected streams H in place of encoded ones Z (Section 3.2)."""
        return self.fuses and self.fused_features == "projected"

    @property
    def encoded_streams(self) -> tuple[str, ...]:
        """Streams that encoders must encode: those shown, and those fused when fused tokens are shown."""
        return needed_streams(self.inputs, self.fused_streams if self.fuses else ())

    def as_dict(self) -> dict[str, Any]:
        """Plain values (dicts, lists, strings, numbers), as `resolve` takes them."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> ModelConfiguration:
        """The configuration that `as_dict` wrote, checked again.

        Raises:
            ConfigurationError: An entry is missing or unknown.
        """
        expected = set(cls.__dataclass_fields__)
        if set(values) != expected:
            raise ConfigurationError(
                f"A stored model configuration must have the entries {', '.join(sorted(expected))}; missing: "
                f"{', '.join(sorted(expected - set(values))) or 'none'}, unknown: "
                f"{', '.join(sorted(set(values) - expected)) or 'none'}."
            )
        return cls.resolve(**values)


def _resolve_branch(choice: PluginChoice, tokens: int) -> dict[str, Any]:
    name, options = split_choice(choice)
    if tokens < 1 or (name == "mean" and tokens != 1):
        raise ConfigurationError(
            f"`branch_tokens` must be at least 1, and 1 for the compression `mean`; got {tokens} with {name!r}."
        )
    if name in _OWN_COMPRESSIONS:
        if options:
            raise ConfigurationError(f"The branch compression {name!r} has no options; got {sorted(options)}.")
        return {"name": name}
    if name != "qformer":
        raise ConfigurationError(f"`branch_compression` is mean, attention or qformer; got {name!r}.")
    return resolve_choice("pre_fusions", {**options, "name": name, "num_queries": tokens})
