"""AffectGPT: encoders, pre-fusion, branches, projectors and language model as one network (paper, Section 3, Eq. 1-7).

A plain nn.Module. `module.py` trains it, `export.py` writes it; the parts beside this file do the steps.
Legend: B clips, T frames, N feature tokens, D feature width, K tokens of a stream in the prompt, E embedding width.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from affect_lightning.contracts import (
    AudioEncoder,
    ClipBatch,
    FeatureSequence,
    LanguageModel,
    PreFusion,
    VideoEncoder,
)
from affect_lightning.errors import CheckpointError, ContractError
from affect_lightning.model.branches import build_branch
from affect_lightning.model.configuration import ModelConfiguration
from affect_lightning.model.encoding import build_encoders, encode_stream
from affect_lightning.model.feature_scaling import build_feature_scaling
from affect_lightning.model.part_calls import call_generate, call_loss, call_pre_fusion
from affect_lightning.model.projectors import build_projector, embedding_size
from affect_lightning.model.prompt_assembly import AssembledPrompts, assemble_prompts
from affect_lightning.plugin_loading import build_part

_FUSED = "multi"
# Parts whose state is never in a checkpoint unless it trains (the adapter): they come from their own sources.
_FROZEN_PARTS = ("video_encoder.", "audio_encoder.", "language_model.")


class AffectGPT(nn.Module):
    """The network of the paper. Encoders and the language model's base are frozen, everything else trains.

    Attributes:
        configuration: What it was built from.
        video_encoder: Shared by the face and frame streams; None when neither is needed, or features come from a cache.
        audio_encoder: None when the audio stream is not needed, or features come from a cache.
        pre_fusion: None when the prompt shows no fused tokens.
        language_model: With its adapter.
    """

    def __init__(
        self,
        configuration: ModelConfiguration,
        *,
        language_model: LanguageModel,
        video_encoder: VideoEncoder | None = None,
        audio_encoder: AudioEncoder | None = None,
        pre_fusion: PreFusion | None = None,
        feature_widths: Mapping[str, int] | None = None,
    ) -> None:
        """Compose parts that are built; `from_configuration` builds them too.

        Args:
            configuration: Says how they are joined.
            language_model: Built language model.
            video_encoder: Built encoder, if a face or frame stream is needed.
            audio_encoder: Built encoder, if the audio stream is needed.
            pre_fusion: Built pre-fusion for the configuration's fused streams, if fused tokens are shown.
            feature_widths: Width of every encoded stream if the batches bring their features, so that no encoder is
                needed.
        """
        super().__init__()
        self.configuration = configuration
        self.video_encoder = video_encoder
        self.audio_encoder = audio_encoder
        self.pre_fusion = pre_fusion
        self.language_model = language_model
        widths = _stream_widths(configuration, video_encoder, audio_encoder, feature_widths)
        self.feature_widths = widths
        self.feature_scaling = nn.ModuleDict(
            {name: build_feature_scaling(configuration.feature_norm, width) for name, width in widths.items()}
        )
        branches = {
            name: build_branch(configuration.branch_compression, name, width, configuration.branch_tokens)
            for name, width in widths.items()
            if name in configuration.inputs
        }
        self.branches = nn.ModuleDict(branches)
        projected = {name: int(branch.output_width) for name, branch in branches.items()}  # type: ignore[arg-type]
        if pre_fusion is not None and pre_fusion.output_tokens:
            projected = {_FUSED: pre_fusion.output_width, **projected}
        scale = configuration.projector_init_scale
        size = scale * embedding_size(language_model) if scale and projected else None
        self.projectors = nn.ModuleDict(
            {name: build_projector(width, language_model.embedding_width, size) for name, width in projected.items()}
        )
        for encoder in (video_encoder, audio_encoder):
            if encoder is not None:
                encoder.requires_grad_(False)
        self.train()

    @classmethod
    def from_configuration(
        cls, configuration: ModelConfiguration, feature_widths: Mapping[str, int] | None = None
    ) -> AffectGPT:
        """Build the parts that the configuration needs, and no others, then compose them.

        Args:
            configuration: Names the parts.
            feature_widths: Width of every encoded stream if the batches bring cached features: no encoder is built.

        Raises:
            AffectLightningError: A part cannot be built; see its plugin.
        """
        encoders = build_encoders(configuration, () if feature_widths is not None else configuration.encoded_streams)
        widths = _stream_widths(configuration, encoders.video, encoders.audio, feature_widths)
        fusion = None
        if configuration.fuses:
            fused = {name: widths[name] for name in configuration.fused_streams}
            fusion = build_part("pre_fusions", configuration.pre_fusion, stream_widths=fused)
        return cls(
            configuration,
            language_model=build_part("language_models", configuration.language_model),
            video_encoder=encoders.video,
            audio_encoder=encoders.audio,
            pre_fusion=fusion,
            feature_widths=widths,
        )

    @classmethod
    def from_pretrained(cls, folder: str | Path) -> AffectGPT:
        """Read a folder that `save_pretrained` or `affect-lightning export` wrote. The result is in eval mode.

        Raises:
            CheckpointError: The folder is incomplete, foreign or does not fit.
        """
        from affect_lightning.model.export import load_exported

        return load_exported(folder)

    def save_pretrained(self, folder: str | Path) -> None:
        """Write adapter, projectors and configuration; see `export.save_exported`."""
        from affect_lightning.model.export import save_exported

        save_exported(self, folder)

    def train(self, mode: bool = True) -> AffectGPT:
        """Set the mode of what trains; encoders stay in eval mode always."""
        super().train(mode)
        for encoder in (self.video_encoder, self.audio_encoder):
            if encoder is not None:
                encoder.eval()
        return self

    def trainable_state(self) -> dict[str, Tensor]:
        """What a checkpoint holds: trained parameters, and buffers of the parts that train."""
        trained = {name for name, parameter in self.named_parameters() if parameter.requires_grad}
        return {
            name: value
            for name, value in self.state_dict().items()
            if name in trained or not name.startswith(_FROZEN_PARTS)
        }

    def load_trainable_state(self, state: Mapping[str, Tensor], source: str) -> None:
        """Load what `trainable_state` gave.

        Args:
            state: Names and values.
            source: Where they come from, for the message.

        Raises:
            CheckpointError: Names or shapes are not exactly those of this network.
        """
        check_state(state, self.trainable_state(), source)
        self.load_state_dict(dict(state), strict=False)

    def encode(self, batch: ClipBatch) -> dict[str, FeatureSequence]:
        """Run the frozen encoders (Z_a, Z_v), without gradient; or take the features that the batch brings.

        Returns:
            Features [B, N, D] of every stream of `configuration.encoded_streams`.

        Raises:
            ContractError: The batch lacks a stream, or an encoder breaks its contract.
        """
        streams = self.configuration.encoded_streams
        if batch.features is not None:
            return {name: self._cached_stream(batch.features, name) for name in streams}
        encoders = {name: self.audio_encoder if name == "audio" else self.video_encoder for name in streams}
        return {name: encode_stream(batch, name, encoder) for name, encoder in encoders.items()}

    def project(self, features: Mapping[str, FeatureSequence]) -> dict[str, Tensor]:
        """Fuse, compress and project encoded streams (Z_f and the branches; H).

        Args:
            features: What `encode` gives, or the same from a cache.

        Returns:
            Tokens [B, K, E] of every shown stream that gives tokens.
        """
        scaled = {name: self.feature_scaling[name](stream) for name, stream in features.items()}
        tokens = {name: branch(scaled[name]) for name, branch in self.branches.items()}
        if _FUSED in self.projectors and self.pre_fusion is not None:
            streams = {name: scaled[name] for name in self.configuration.fused_streams}
            tokens[_FUSED] = call_pre_fusion(self.pre_fusion, streams).tokens
        return {name: projector(tokens[name]) for name, projector in self.projectors.items()}

    def assemble(self, batch: ClipBatch, features: Mapping[str, FeatureSequence], *, learn: bool) -> AssembledPrompts:
        """Prompts of the batch as embeddings: with responses, right-padded, to learn; left-padded to generate."""
        return assemble_prompts(
            self.language_model,
            inputs=self.configuration.inputs,
            names=batch.names,
            subtitles=batch.subtitles,
            questions=batch.questions,
            features=self.project(features),
            responses=batch.responses if learn else None,
            padding="right" if learn else "left",
        )

    def forward(self, batch: ClipBatch, features: Mapping[str, FeatureSequence] | None = None) -> Tensor:
        """Loss on the responses (Eq. 2).

        Args:
            batch: Clips with responses.
            features: Encoded streams, if they are known already.

        Returns:
            Scalar: mean over all response tokens of the batch.

        Raises:
            DataError: A clip has no response.
            ContractError: See `encode` and `prompt_assembly`.
        """
        prompts = self.assemble(batch, self.encode(batch) if features is None else features, learn=True)
        return call_loss(self.language_model, prompts.inputs_embeds, prompts.attention_mask, prompts.labels)

    @torch.no_grad()
    def generate(
        self,
        batch: ClipBatch,
        *,
        max_new_tokens: int = 48,
        temperature: float = 0.0,
        top_p: float = 1.0,
        seed: int | None = None,
        features: Mapping[str, FeatureSequence] | None = None,
    ) -> list[str]:
        """Responses to the batch's questions, in eval mode whatever the mode is.

        Args:
            batch: Clips with questions.
            max_new_tokens: Longest response in tokens (our choice: a sentence).
            temperature: 0 is greedy decoding (our choice; the authors sample at 1).
            top_p: Nucleus share when sampling.
            seed: Of the sampling; the same clip gets the same response in any batch.
            features: Encoded streams, if they are known already.

        Returns:
            B texts.
        """
        was_training = self.training
        self.eval()
        try:
            prompts = self.assemble(batch, self.encode(batch) if features is None else features, learn=False)
            return call_generate(
                self.language_model,
                prompts.inputs_embeds,
                prompts.attention_mask,
                max_new_tokens=max_new_tokens,
                temperature=temperature,
                top_p=top_p,
                seed=seed,
            )
        finally:
            self.train(was_training)

    def _cached_stream(self, features: Mapping[str, FeatureSequence], name: str) -> FeatureSequence:
        wanted = self.feature_widths[name]
        if name not in features or features[name].width != wanted:
            found = f"width {features[name].width}" if name in features else f"streams {sorted(features)}"
            raise ContractError(
                f"The model needs features of the stream {name!r} with width {wanted}; the batch brings {found}. Cache "
                f"them again with the model's configuration."
            )
        stream = features[name]
        dtype = next((parameter.dtype for parameter in self.projectors.parameters()), stream.tokens.dtype)
        return FeatureSequence(stream.tokens.to(dtype), stream.mask)


def _stream_widths(
    configuration: ModelConfiguration,
    video_encoder: VideoEncoder | None,
    audio_encoder: AudioEncoder | None,
    known: Mapping[str, int] | None,
) -> dict[str, int]:
    """Feature width of every encoded stream: as known, else the encoder's."""
    widths = {}
    for name in configuration.encoded_streams:
        encoder = audio_encoder if name == "audio" else video_encoder
        if encoder is None and (known is None or name not in known):
            raise ContractError(f"The stream {name!r} needs an encoder or cached features, and neither was given.")
        widths[name] = known[name] if known is not None and name in known else encoder.feature_width  # type: ignore[union-attr]
    return widths


def check_state(state: Mapping[str, Tensor], wanted: Mapping[str, Tensor], source: str) -> None:
    """Compare names and shapes of stored weights with those of a network.

    Raises:
        CheckpointError: They differ; the message lists missing, surplus and differently shaped weights.
    """
    problems = {
        "missing": sorted(wanted.keys() - state.keys()),
        "surplus": sorted(state.keys() - wanted.keys()),
        "differently shaped": sorted(
            name for name in wanted.keys() & state.keys() if wanted[name].shape != state[name].shape
        ),
    }
    found = [
        f"{kind}: {', '.join(names[:8])}{f' and {len(names) - 8} more' if len(names) > 8 else ''}"
        for kind, names in problems.items()
        if names
    ]
    if found:
        raise CheckpointError(
            f"The weights in {source} do not fit the network that the configuration describes. {'; '.join(found)}. "
            f"Use the configuration that they were trained with (plugins, inputs, lora_rank, branch options)."
        )
