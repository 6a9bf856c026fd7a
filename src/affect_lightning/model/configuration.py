"""ModelConfiguration: which parts an AffectGPT has and how they are joined, as plain values (paper, Section 3).

A configuration is checked when it is made, before anything heavy is built. `options.py` has the options with their
defaults; `affectgpt.py` builds from a configuration; checkpoints and `exported_folder.py` store it as a dictionary.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, get_args

from affect_lightning.errors import ConfigurationError
from affect_lightning.model.options import FeatureNorm, FusedFeatures, NetworkOptions
from affect_lightning.plugin_loading import (
    EncoderChoices,
    PluginChoice,
    check_fused_streams,
    check_inputs,
    find_stream,
    load_plugin_class,
    needed_streams,
    resolve_choice,
)
from affect_lightning.prompting import PromptStyle


@dataclass(frozen=True, kw_only=True)
class ModelConfiguration(NetworkOptions):
    """Plain description of an AffectGPT: the options of a network with each choice resolved.

    Attributes:
        video_encoder: Name and options; None if no stream needs it. The same holds of `audio_encoder`.
        stream_encoders: Name and options by stream, for streams with an encoder of their own.
        inputs: Streams that the prompt shows, in the prompt's order.
        fused_streams: Streams that the pre-fusion takes, in the order of concatenation (Eq. 3: audio, video).
        branch_compression: Name and options.
    """

    # `field()` leaves the default out, which is not resolved.
    language_model: dict[str, Any] = field()
    video_encoder: dict[str, Any] | None = field()
    audio_encoder: dict[str, Any] | None = field()
    stream_encoders: dict[str, dict[str, Any]] = field()
    pre_fusion: dict[str, Any] = field()
    inputs: tuple[str, ...] = field()  # type: ignore[assignment]
    fused_streams: tuple[str, ...] = field()  # type: ignore[assignment]
    branch_compression: dict[str, Any] = field()

    @classmethod
    def resolve(cls, **options: Any) -> ModelConfiguration:
        """Check all choices and fill in the plugins' defaults; nothing is built.

        Args:
            **options: Of `NetworkOptions`.

        Raises:
            ConfigurationError: Streams, branch or scaling options are wrong.
            PluginError: A plugin or one of its options is.
        """
        return cls.of(NetworkOptions(**options))

    @classmethod
    def of(cls, given: NetworkOptions) -> ModelConfiguration:
        """The same from options that are gathered already."""
        shown, fused = check_inputs(given.inputs), check_fused_streams(given.fused_streams)
        _check_scaling(given)
        encoders = EncoderChoices(given.video_encoder, given.audio_encoder, given.stream_encoders or {}).resolved()
        resolved = {
            **vars(encoders),
            "pre_fusion": resolve_choice("pre_fusions", given.pre_fusion),
            "language_model": resolve_choice("language_models", given.language_model),
            "inputs": shown,
            "fused_streams": fused,
            "branch_compression": _resolve_branch(given.branch_compression, given.branch_tokens),
        }
        configuration = cls(**{name: getattr(given, name) for name in cls.__dataclass_fields__} | resolved)
        configuration._check_encoders()
        _ = configuration.prompt_style  # refuses an unknown form
        return configuration

    def _check_encoders(self) -> None:
        for stream in self.encoded_streams:
            if self.encoders.of(stream) is None:
                key = self.encoders.key_of(stream)
                lacking = f"`{key}` is not set" if hasattr(self, key) else "`stream_encoders` names none for it"
                raise ConfigurationError(
                    f"The stream {stream!r} needs an encoder and {lacking}. Choose one "
                    f"(`affect-lightning plugins` lists them), or take {stream!r} out of `inputs` and, if `multi` is "
                    f"shown, from `fused_streams`."
                )

    @property
    def encoders(self) -> EncoderChoices:
        """Which plugin encodes which stream."""
        return EncoderChoices(self.video_encoder, self.audio_encoder, self.stream_encoders)

    @property
    def prompt_style(self) -> PromptStyle:
        """How a clip is put into words."""
        return PromptStyle(self.prompt_form, self.response_end)

    def branch_key(self, stream: str) -> str:
        """The name of a stream's branch and projector: its own, or that of the first shown picture stream if they share."""
        if not self.shared_pictures or find_stream(stream).kind != "pictures":
            return stream
        return next((name for name in self.inputs if find_stream(name).kind == "pictures"), stream)

    @property
    def fuses(self) -> bool:
        """True when the prompt shows fused tokens; with pre-fusion `none` the stream `multi` gives no tokens."""
        return "multi" in self.inputs and self.pre_fusion["name"] != "none"

    @property
    def fuses_projected(self) -> bool:
        """True when the pre-fusion takes projected streams H instead of encoded ones Z (Section 3.2)."""
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


def _check_scaling(given: NetworkOptions) -> None:
    norms = get_args(FeatureNorm)
    if given.feature_norm not in norms:
        raise ConfigurationError(f"`feature_norm` must be one of {', '.join(norms)}; got {given.feature_norm!r}.")
    if given.fused_features not in get_args(FusedFeatures):
        raise ConfigurationError(
            f"`fused_features` must be `encoded` (Z) or `projected` (H of Section 3.2); got {given.fused_features!r}."
        )
    if given.projector_init_scale is not None and given.projector_init_scale <= 0:
        raise ConfigurationError(f"`projector_init_scale` must be positive or null; got {given.projector_init_scale}.")
    if not 0.0 <= given.stream_dropout < 1.0:
        raise ConfigurationError(
            f"`stream_dropout` must be a share of at least 0 and below 1; got {given.stream_dropout}."
        )


def _resolve_branch(choice: PluginChoice, tokens: int) -> dict[str, Any]:
    resolved = resolve_choice("branch_compressions", choice)
    most = load_plugin_class("branch_compressions", resolved["name"]).most_tokens  # type: ignore[attr-defined]
    if tokens < 1 or (most is not None and tokens > most):
        bound = "" if most is None else f" and at most {most} for the compression {resolved['name']!r}"
        raise ConfigurationError(f"`branch_tokens` must be at least 1{bound}; got {tokens}.")
    return resolved
