"""AffectGPT: encoders, pre-fusion, branches, projectors and language model as one network (paper, Section 3, Eq. 1-7).

`affect_lightning.training` trains it, `exported_folder.py` has the format of its folder. The modules next to this file
do the steps.
Legend: B clips, T frames, N feature tokens, D feature width, K tokens of a stream in the prompt, E embedding width.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from affect_lightning.contracts import (
    IGNORED_LABEL,
    ClipBatch,
    Encoder,
    FeatureSequence,
    LanguageModel,
    LossTerm,
    NetworkOutputs,
    Objective,
    PreFusion,
    TokenScores,
)
from affect_lightning.model.branches import build_branches, build_projectors, projected_widths, stream_widths
from affect_lightning.model.checked_calls import (
    call_branch,
    call_generate,
    call_loss,
    call_objective,
    call_pre_fusion,
)
from affect_lightning.model.configuration import ModelConfiguration
from affect_lightning.model.encoding import cached_stream, encode_stream
from affect_lightning.model.exported_folder import WEIGHTS, ExportedFolder, read_exported, write_exported
from affect_lightning.model.feature_conditioning import StandardScaling, build_feature_scaling, drop_streams
from affect_lightning.model.options import GenerationOptions
from affect_lightning.model.part_building import build_parts
from affect_lightning.model.prompt_assembly import AssembledPrompts, StepSize, assemble_prompts
from affect_lightning.model.prompt_tokens import PromptMaker, prompt_maker
from affect_lightning.model.sampled_responses import answer_questions, score_tokens, whole_blocks
from affect_lightning.model.start_weights import StartWeights
from affect_lightning.weights import compare_weights, default_device, drawing_on_the_processor, in_eval_mode

_FUSED = "multi"
# Parts whose state is never in a checkpoint unless it trains (the adapter): they come from their own sources.
_LANGUAGE_MODEL = "language_model."
_FROZEN_PARTS = ("encoders.", _LANGUAGE_MODEL)
_REMEDY = "Use the configuration of their training (plugins, inputs, lora_rank, branch options)."


class AffectGPT(nn.Module):
    """The network of the paper. Encoders and the language model's base are frozen, everything else trains.

    Attributes:
        configuration: What it was built from.
        encoders: By `configuration.encoders.key_of` of their streams, such as `video_encoder` of face and frame; none
            for a stream that is not needed, or whose features come from a cache.
        pre_fusion: None when the prompt shows no fused tokens.
        language_model: With its adapter.
        last_step: Tokens of the last call of `forward`, for the throughput meter.
        response_options: What else changes a response, if it was read from a folder; see `ExportedFolder.options`.
        start_weights: What the trained weights were when training began; None unless the objective compares with them.
    """

    def __init__(
        self,
        configuration: ModelConfiguration,
        *,
        language_model: LanguageModel,
        encoders: Mapping[str, Encoder] | None = None,
        pre_fusion: PreFusion | None = None,
        feature_widths: Mapping[str, int] | None = None,
    ) -> None:
        """Compose parts that are built; `from_configuration` builds them too.

        Args:
            configuration: Says how they are joined.
            language_model: Built language model.
            encoders: Built encoders of the streams that are needed; see the attribute.
            pre_fusion: Built pre-fusion for the configuration's fused streams, if fused tokens are shown.
            feature_widths: Width of every encoded stream if the batches bring their features, so that no encoder is
                needed.
        """
        super().__init__()
        self.configuration = configuration
        self.encoders = nn.ModuleDict(encoders or {})
        self.pre_fusion = pre_fusion
        self.language_model = language_model
        widths = stream_widths(configuration, encoders or {}, feature_widths)
        self.feature_widths = widths
        self._encoder_keys = {name: configuration.encoders.key_of(name) for name in widths}
        self.feature_scaling = nn.ModuleDict(
            {name: build_feature_scaling(configuration.feature_norm, width) for name, width in widths.items()}
        )
        branches = build_branches(configuration, widths)
        self.branches = nn.ModuleDict(branches)
        self._branch_keys = {name: configuration.branch_key(name) for name in widths}
        projected = projected_widths(configuration, widths, branches)
        if pre_fusion is not None and pre_fusion.output_tokens:
            projected = {_FUSED: pre_fusion.output_width, **projected}
        scale = configuration.projector_init_scale
        self.projectors = nn.ModuleDict(build_projectors(projected, language_model, scale))
        if configuration.fuses_projected and _FUSED in projected:
            self.projectors[_FUSED] = nn.Identity()  # H is of the language model's width already
        self.encoders.requires_grad_(False)
        self.last_step: StepSize | None = None
        self.start_weights: StartWeights | None = None
        self.response_options: dict[str, dict[str, Any]] = {}
        self.train()

    @classmethod
    def from_configuration(
        cls,
        configuration: ModelConfiguration,
        feature_widths: Mapping[str, int] | None = None,
        *,
        empty_language_model: bool = False,
    ) -> AffectGPT:
        """Build the parts that the configuration needs, and no others, then compose them, on torch's default device.

        What is drawn is drawn on the processor, so a seed gives the same network on every device.

        Args:
            configuration: Names the parts.
            feature_widths: Width of every encoded stream if the batches bring cached features: no encoder is built.
            empty_language_model: Build it on the meta device if its plugin can, whole but for its weights: another
                process sends them.

        Raises:
            AffectLightningError: A part cannot be built; see its plugin.
        """
        parts = build_parts(configuration, feature_widths, empty_language_model)
        with drawing_on_the_processor():
            network = cls(configuration, **parts)
        for part in network.children():
            if part is not network.language_model:
                part.to(default_device())
        return network

    @classmethod
    def from_pretrained(cls, folder: str | Path) -> AffectGPT:
        """Read a folder that `save_pretrained` or `affect-lightning export` wrote. The result is in eval mode.

        Raises:
            CheckpointError: The folder is incomplete, foreign or does not fit.
        """
        stored = read_exported(folder)
        network = cls.from_configuration(stored.configuration)
        network.load_exported(stored)
        network.response_options = {name: dict(section) for name, section in stored.options.items()}
        return network.eval()

    def load_exported(self, stored: ExportedFolder) -> None:
        """Take the weights of an exported folder; a `CheckpointError` if they are not exactly those of this network."""
        state = dict(stored.weights)
        if stored.adapter is not None:
            self.language_model.load_adapter(str(stored.adapter))
            state |= _parted(self.trainable_state())[1]
        self.load_trainable_state(state, str(stored.folder / WEIGHTS))

    def save_pretrained(self, folder: str | Path, options: Mapping[str, Mapping[str, Any]] | None = None) -> None:
        """Write adapter, projectors, configuration and `options` (see `ExportedFolder`) into a new or empty folder.

        Raises:
            CheckpointError: The folder exists and is not empty, or cannot be written.
        """
        own, adapter = _parted(self.trainable_state())
        save_adapter = self.language_model.save_adapter if adapter else None
        write_exported(folder, self.configuration, own, save_adapter, options)

    def train(self, mode: bool = True) -> AffectGPT:
        """Set the mode of what trains; encoders stay in eval mode always."""
        super().train(mode)
        self.encoders.eval()
        return self

    def trainable_state(self) -> dict[str, Tensor]:
        """What a checkpoint holds: trained parameters, and buffers of the parts that train."""
        trained = {name for name, parameter in self.named_parameters() if parameter.requires_grad}
        return {
            name: value
            for name, value in self.state_dict().items()
            if name in trained or not name.startswith(_FROZEN_PARTS)
        }

    def load_trainable_state(self, state: Mapping[str, Tensor], source: str, *, assign: bool = False) -> None:
        """Load what `trainable_state` gave.

        Args:
            state: Names and values.
            source: Where they come from, for the message.
            assign: Take the tensors themselves instead of their values.

        Raises:
            CheckpointError: Names or shapes are not exactly those of this network.
        """
        compare_weights(state, self.trainable_state()).refuse(source, "the configured network", _REMEDY)
        self.load_state_dict(dict(state), strict=False, assign=assign)

    def encode(self, batch: ClipBatch) -> dict[str, FeatureSequence]:
        """Run the frozen encoders (Z_a, Z_v), without gradient; or take the features that the batch brings.

        Returns:
            Features [B, N, D] of every stream of `configuration.encoded_streams`.

        Raises:
            ContractError: The batch lacks a stream, or an encoder breaks its contract.
        """
        if batch.features is not None:
            dtype = next((parameter.dtype for parameter in self.projectors.parameters()), None)
            widths = self.feature_widths.items()
            return {name: cached_stream(batch.features, name, width, dtype) for name, width in widths}
        return {name: encode_stream(batch, name, self.encoder_of(name)) for name in self.feature_widths}

    def encoder_of(self, stream: str) -> Encoder | None:
        """The encoder of an encoded stream; None if it was built for cached features."""
        return getattr(self.encoders, self._encoder_keys[stream], None)

    def project(self, features: Mapping[str, FeatureSequence], valid: Tensor | None = None) -> dict[str, Tensor]:
        """Fuse, compress and project encoded streams (Z_f and the branches; H).

        Args:
            features: What `encode` gives, or the same from a cache.
            valid: False for clips [B] that the statistics of `feature_norm: standard` leave out; None means all count.

        Returns:
            Tokens [B, K, E] of every shown stream that gives tokens.
        """
        scaled = {}
        for name, stream in features.items():
            scaling = self.feature_scaling[name]
            scaled[name] = scaling(stream, valid) if isinstance(scaling, StandardScaling) else scaling(stream)
        if self.training and self.configuration.stream_dropout:
            scaled = drop_streams(scaled, self.configuration.stream_dropout)
        shown = [name for name in self._branch_keys if name in self.configuration.inputs]
        tokens = {}
        if _FUSED in self.projectors and self.pre_fusion is not None:
            fused = call_pre_fusion(self.pre_fusion, self._fused_streams(scaled))
            tokens[_FUSED] = self.projectors[_FUSED](fused.tokens)
        for name in shown:
            key = self._branch_keys[name]
            tokens[name] = self.projectors[key](call_branch(self.branches[key], scaled[name]))
        return tokens

    def _fused_streams(self, scaled: Mapping[str, FeatureSequence]) -> dict[str, FeatureSequence]:
        """What the pre-fusion takes: Z [B, N, D], or H [B, N, E], every token of Z through its stream's projector."""
        streams = {name: scaled[name] for name in self.configuration.fused_streams}
        if not self.configuration.fuses_projected:
            return streams
        return {
            name: FeatureSequence(self.projectors[self._branch_keys[name]](stream.tokens), stream.mask)
            for name, stream in streams.items()
        }

    def assemble(self, batch: ClipBatch, features: Mapping[str, FeatureSequence], *, learn: bool) -> AssembledPrompts:
        """Prompts of the batch as embeddings: with responses, right-padded, to learn; left-padded to generate."""
        return self._prompts(batch, self.project(features, batch.valid), learn=learn)

    def _prompts(self, batch: ClipBatch, projected: Mapping[str, Tensor], *, learn: bool) -> AssembledPrompts:
        return assemble_prompts(
            self.language_model,
            inputs=self.configuration.inputs,
            names=batch.names,
            subtitles=batch.subtitles,
            questions=batch.questions,
            features=projected,
            responses=batch.responses if learn else None,
            padding="right" if learn else "left",
            style=self.configuration.prompt_style,
            ready=batch.prompts,
        )

    def prompt_maker(self) -> PromptMaker | None:
        """What tokenises batches to learn from without the network; None if the language model has no such part."""
        parts = {name: self.branches[key] for name, key in self._branch_keys.items() if key in self.branches}
        if _FUSED in self.projectors and self.pre_fusion is not None:
            parts[_FUSED] = self.pre_fusion
        return prompt_maker(self.language_model, self.configuration.inputs, parts, self.configuration.prompt_style)

    def outputs(self, batch: ClipBatch, features: Mapping[str, FeatureSequence] | None = None) -> NetworkOutputs:
        """What objectives are made of, by name.

        Args:
            batch: Clips with responses.
            features: Encoded streams, if they are known already.

        Raises:
            DataError: A clip has no response.
            ContractError: See `encode` and `prompt_assembly`.
        """
        encoded = self.encode(batch) if features is None else features
        projected = self.project(encoded, batch.valid)
        prompts = self._prompts(batch, projected, learn=True)
        self.last_step = prompts.size
        inputs = prompts.inputs_embeds, prompts.attention_mask, prompts.labels
        return NetworkOutputs(encoded, projected, *inputs, prompts.tokens)

    def response_loss(self, outputs: NetworkOutputs, valid: Tensor) -> LossTerm:
        """Cross-entropy of the responses (Eq. 2), a mean over the response tokens of valid clips, and their number.

        A clip that is not valid is not learnt from; a batch of nothing else has a loss of 0 and no tokens.
        """
        labels, tokens = outputs.labels, outputs.tokens
        valid = valid.to(labels.device, non_blocking=labels.is_cuda)
        wanted = labels.masked_fill(~valid.unsqueeze(1), IGNORED_LABEL)
        count = (wanted[:, 1:] != IGNORED_LABEL).sum()
        learnt = valid.any()  # stays on the device; whoever asked for it here would wait for the whole step
        wanted = torch.where(learnt, wanted, labels)
        layout = tokens.layout if tokens is not None and tokens.labels is labels else None
        loss = call_loss(self.language_model, outputs.inputs_embeds, outputs.attention_mask, wanted, layout)
        return LossTerm(loss * learnt, count)

    def forward(self, batch: ClipBatch, features: Mapping[str, FeatureSequence] | None = None) -> Tensor:
        """The response loss of a batch, a scalar; see `outputs` and `response_loss`."""
        return self.response_loss(self.outputs(batch, features), batch.valid).mean

    def terms(self, objective: Objective, batch: ClipBatch) -> dict[str, LossTerm]:
        """What training makes small for a batch, by name.

        Raises:
            ContractError: The objective, or a part of the network, breaks its contract.
        """
        return call_objective(objective, self, batch)

    @torch.no_grad()
    def generate(
        self,
        batch: ClipBatch,
        *,
        max_new_tokens: int = GenerationOptions.max_new_tokens,
        temperature: float = GenerationOptions.temperature,
        top_p: float = GenerationOptions.top_p,
        seed: int | None = None,
        features: Mapping[str, FeatureSequence] | None = None,
    ) -> list[str]:
        """Responses to the batch's questions, in eval mode whatever the mode is.

        Args:
            batch: Clips with questions.
            max_new_tokens: Longest response in tokens.
            temperature: 0 is greedy decoding.
            top_p: Nucleus share when sampling.
            seed: Of the sampling; the same clip gets the same response in any batch.
            features: Encoded streams, if they are known already.

        Returns:
            B texts.
        """
        with in_eval_mode(self), whole_blocks(self.language_model.shardable_blocks()):
            prompts = self.assemble(batch, self.encode(batch) if features is None else features, learn=False)
            options = {"max_new_tokens": max_new_tokens, "temperature": temperature, "top_p": top_p, "seed": seed}
            texts = call_generate(self.language_model, prompts.inputs_embeds, prompts.attention_mask, **options)
        return [self.configuration.prompt_style.read_answer(text) for text in texts]

    def answer(self, batch: ClipBatch, questions: Sequence[str], **options: Any) -> list[list[str]]:
        """Responses to several questions on every clip; clip and subtitle are encoded and read once.

        Args:
            batch: Clips; their own questions are not asked.
            questions: Q texts, at least one.
            **options: Of `generate`.

        Returns:
            B lists of Q texts.
        """
        return answer_questions(self, batch, [questions] * len(batch), **options)

    def sample(self, batch: ClipBatch, seeds: Sequence[Sequence[int]], **options: Any) -> list[list[str]]:
        """See `TrainedNetwork.sample`; clip and question are encoded and read once."""
        asked = [[question] * len(own) for question, own in zip(batch.questions, seeds, strict=True)]
        flat = [seed for own in seeds for seed in own]
        return answer_questions(self, batch, asked, seed=flat, **options)

    def token_scores(self, batch: ClipBatch, responses: Sequence[Sequence[str]], **options: Any) -> TokenScores:
        """See `TrainedNetwork.token_scores`."""
        return score_tokens(self, batch, responses, **options)


def _parted(state: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """What trains beside the language model, and its adapter."""
    adapter = {name: value for name, value in state.items() if name.startswith(_LANGUAGE_MODEL)}
    return {name: value for name, value in state.items() if name not in adapter}, adapter
