"""Every call of a plugin's method in the network, checked against its contract (docs/plugins.md: what is refused).

Types, shapes and widths are checked in every call, which costs nothing compared with the call. Finite values are
checked in a part's first batch only, because this reads every value and waits for the device. An error names the part,
its distribution and its contract. `encoding.py`, `affectgpt.py` and `prompt_assembly.py` call these;
`contracts.conformance` checks.
Legend: B clips, N feature tokens, D feature width, L text tokens, E embedding width.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from affect_lightning.contracts import (
    AudioEncoder,
    ClipBatch,
    Encoder,
    FeatureSequence,
    LanguageModel,
    LossTerm,
    Objective,
    PreFusion,
    PromptTokens,
    RowLayout,
    SeriesEncoder,
    StreamInput,
    TrainedNetwork,
)
from affect_lightning.contracts.conformance import (
    check_branch_tokens,
    check_embeddings,
    check_features,
    check_finite,
    check_loss,
    check_stream_weights,
    check_terms,
    check_texts,
    check_token_scores,
)
from affect_lightning.contracts.label_checks import ConformanceError
from affect_lightning.errors import ContractError
from affect_lightning.plugin_loading import PartOrigin, held_to_contract


def call_encoder(encoder: Encoder, name: str, stream: StreamInput) -> FeatureSequence:
    """Features [B, N, D] of a stream.

    Args:
        encoder: Of the stream's kind.
        name: Of the stream, for messages.
        stream: What was read of it.

    Raises:
        ContractError: The stream is not what the encoder takes, or the encoder breaks its contract.
    """
    second = stream.known_mask if encoder.plans_on_processor else stream.mask
    if isinstance(encoder, AudioEncoder):
        second = second.sum(dim=1)
        if encoder.sample_rate != stream.sample_rate:
            raise ContractError(
                f"{type(encoder).__name__} hears {encoder.sample_rate} Hz; the stream {name!r} has {stream.sample_rate} "
                f"Hz. Set the data module's sample_rate to {encoder.sample_rate}."
            )
    elif isinstance(encoder, SeriesEncoder) and encoder.input_width != stream.values.shape[-1]:
        raise ContractError(
            f"{type(encoder).__name__} takes {encoder.input_width} values a step; the stream {name!r} has "
            f"{stream.values.shape[-1]}. Choose another encoder in model.stream_encoders, or set its options."
        )
    with held_to_contract(encoder) as origin:
        found = check_features(encoder(stream.values, second), clips=len(second), width=encoder.feature_width)
        _check_first(origin, found, "features of real steps")
    return found


def call_pre_fusion(fusion: nn.Module, streams: Mapping[str, FeatureSequence]) -> FeatureSequence:
    """Fused tokens of the streams.

    Raises:
        ContractError: The pre-fusion breaks its contract.
    """
    clips = len(next(iter(streams.values())).mask)
    with held_to_contract(fusion) as origin:
        found = check_features(
            fusion(streams),
            clips=clips,
            width=fusion.output_width,  # type: ignore[arg-type]
            tokens=fusion.output_tokens,  # type: ignore[arg-type]
        )
        if all(origin.seen_finite or _finite(stream) for stream in streams.values()):
            _check_first(origin, found, "fused tokens")
    return found


def call_stream_weights(fusion: PreFusion, streams: Mapping[str, FeatureSequence]) -> dict[str, Tensor] | None:
    """The weights [B, N] that a pre-fusion shows, by stream; see `PreFusion.stream_weights`.

    Raises:
        ContractError: The pre-fusion breaks its contract.
    """
    with held_to_contract(fusion):
        return check_stream_weights(fusion.stream_weights(streams), streams)


def call_branch(branch: nn.Module, stream: FeatureSequence) -> Tensor:
    """Tokens [B, K, output_width] of a stream.

    Raises:
        ContractError: The branch compression breaks its contract.
    """
    with held_to_contract(branch) as origin:
        found = check_branch_tokens(
            branch(stream),
            clips=len(stream.mask),
            tokens=branch.output_tokens,  # type: ignore[arg-type]
            width=branch.output_width,  # type: ignore[arg-type]
        )
        if not origin.seen_finite and _finite(stream):
            check_finite(found, "tokens of a branch")
            origin.seen_finite = True
    return found


def call_embed(language_model: LanguageModel, ids: Tensor) -> Tensor:
    """Embeddings [B, L, E] of token ids [B, L].

    Raises:
        ContractError: The language model breaks its contract.
    """
    with held_to_contract(language_model):
        return check_embeddings(language_model.embed(ids), ids=ids, width=language_model.embedding_width)


def call_loss(
    language_model: LanguageModel,
    inputs_embeds: Tensor,
    attention_mask: Tensor,
    labels: Tensor,
    layout: RowLayout | None = None,
) -> Tensor:
    """The loss, a scalar; in the first batch it must be a number if the embeddings are.

    Args:
        language_model: Computes it.
        inputs_embeds: [B, L, E].
        attention_mask: [B, L], 1 for real tokens.
        labels: [B, L]; -100 where nothing is learnt.
        layout: Of the rows, if it is known.

    Raises:
        ContractError: The language model breaks its contract.
    """
    with held_to_contract(language_model) as origin:
        if layout is None or not _is_told(language_model):
            loss = check_loss(language_model.loss(inputs_embeds, attention_mask, labels))
        else:
            loss = check_loss(language_model.loss_of_rows(inputs_embeds, attention_mask, labels, layout))
        if not origin.seen_finite and bool(torch.isfinite(inputs_embeds.detach()).all()):
            if not bool(torch.isfinite(loss.detach())):
                raise ConformanceError("a finite loss for finite embeddings", str(float(loss.detach())))
            origin.seen_finite = True
    return loss


def _is_told(language_model: LanguageModel) -> bool:
    """Whether `loss_of_rows` belongs to this `loss`; a plugin may change only the loss of the class it builds on."""
    newest = next(kind for kind in type(language_model).__mro__ if {"loss", "loss_of_rows"} & vars(kind).keys())
    return "loss_of_rows" in vars(newest)


def call_token_scores(
    language_model: LanguageModel, inputs_embeds: Tensor, tokens: PromptTokens, temperature: float
) -> tuple[Tensor, Tensor]:
    """Log-probabilities and entropies [R] of the supervised tokens; see `LanguageModel.token_scores`.

    Raises:
        ConfigurationError: The language model gives none.
        ContractError: The language model breaks its contract.
    """
    with held_to_contract(language_model):
        found = language_model.token_scores(
            inputs_embeds, tokens.attention_mask, tokens.labels, tokens.layout, temperature
        )
        return check_token_scores(found, count=len(tokens.layout.predicting))


def call_objective(objective: Objective, network: TrainedNetwork, batch: ClipBatch) -> dict[str, LossTerm]:
    """The terms of a step, by name. A loss that is no number is the business of `training/loss_anomalies.py`.

    Raises:
        ContractError: The objective breaks its contract.
    """
    with held_to_contract(objective):
        return check_terms(objective.terms(network, batch))


def call_generate(language_model: LanguageModel, inputs_embeds: Tensor, mask: Tensor, **options: Any) -> list[str]:
    """Responses to left-padded prompts; see `LanguageModel.generate`.

    Raises:
        ContractError: The language model breaks its contract.
    """
    with held_to_contract(language_model):
        found = language_model.generate(inputs_embeds, mask, **options)
        return check_texts(found, count=len(inputs_embeds), what="responses")


def call_generate_from_prefix(
    language_model: LanguageModel,
    prefix: tuple[Tensor, Tensor],
    end: tuple[Tensor, Tensor],
    **options: Any,
) -> list[str]:
    """Responses to several prompts that begin alike; see `LanguageModel.generate_from_prefix`.

    Args:
        language_model: Answers.
        prefix: Embeddings [B, P, E] and mask [B, P] of the beginnings.
        end: Embeddings [B * Q, L, E] and mask [B * Q, L] of the ends.
        **options: Of `generate`.

    Raises:
        ContractError: The language model breaks its contract.
    """
    with held_to_contract(language_model):
        found = language_model.generate_from_prefix(*prefix, *end, **options)
        return check_texts(found, count=len(end[0]), what="responses")


def _finite(stream: FeatureSequence) -> bool:
    return bool(torch.isfinite(stream.tokens[stream.mask]).all())


def _check_first(origin: PartOrigin, found: FeatureSequence, what: str) -> None:
    """Look at the values of a part's first batch; masked tokens may hold anything."""
    if not origin.seen_finite:
        check_finite(found.tokens[found.mask], what)
        origin.seen_finite = True
