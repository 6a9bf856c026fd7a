"""Prompt assembly: token embeddings with feature tokens where the placeholders were (paper, Section 3.1).

`prompt_tokens.py` makes the token ids and knows the places of the feature tokens. Nothing here asks the device for a
value. `affectgpt.py` calls.
Legend: B clips, K feature tokens of a stream, L text tokens, P of a shared beginning, Q questions, E embedding width.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from affect_lightning.contracts import IGNORED_LABEL, LanguageModel, PromptTokens
from affect_lightning.model.checked_calls import call_embed
from affect_lightning.model.prompt_tokens import CHAT, PromptMaker, Side, check_counts, tokens_of_rows
from affect_lightning.prompting import PromptStyle


@dataclass(frozen=True)
class StepSize:
    """Tokens of one training step.

    Attributes:
        lengths: Real tokens of each clip: feature tokens, text and response.
        supervised: Response tokens, whose logits are computed.
    """

    lengths: tuple[int, ...]
    supervised: int

    @property
    def tokens(self) -> int:
        """Real tokens of the step."""
        return sum(self.lengths)


@dataclass(frozen=True)
class AssembledPrompts:
    """A batch of prompts, ready for the language model.

    Attributes:
        inputs_embeds: [B, L, E].
        tokens: What they are the embeddings of.
    """

    inputs_embeds: Tensor
    tokens: PromptTokens

    @property
    def attention_mask(self) -> Tensor:
        """[B, L], 1 for real tokens."""
        return self.tokens.attention_mask

    @property
    def labels(self) -> Tensor:
        """[B, L]; -100 everywhere but on responses."""
        return self.tokens.labels

    @property
    def size(self) -> StepSize:
        """Tokens of it, counted without a word from the device."""
        return StepSize(self.tokens.layout.lengths, len(self.tokens.layout.predicting))


@dataclass(frozen=True)
class SharedPrompts:
    """Q questions on each of B clips: what comes before the question once, the questions Q times a clip.

    Attributes:
        prefix_embeds: [B, P, E], padding on the left.
        prefix_mask: [B, P], 1 for real tokens.
        inputs_embeds: [B * Q, L, E], padding on the left; the Q questions on the first clip come first.
        attention_mask: [B * Q, L], 1 for real tokens.
    """

    prefix_embeds: Tensor
    prefix_mask: Tensor
    inputs_embeds: Tensor
    attention_mask: Tensor


def assemble_prompts(
    language_model: LanguageModel,
    *,
    inputs: Sequence[str],
    names: Sequence[str],
    subtitles: Sequence[str],
    questions: Sequence[str],
    features: Mapping[str, Tensor],
    responses: Sequence[str] | None = None,
    padding: Side = "right",
    style: PromptStyle = CHAT,
    ready: PromptTokens | None = None,
    longest_sample: int | None = None,
) -> AssembledPrompts:
    """Assemble the prompts of a batch.

    Args:
        language_model: Gives template, token ids and embeddings.
        inputs: Streams that the prompt shows.
        names: Of the clips, for messages.
        subtitles: One a clip.
        questions: One a clip.
        features: Projected tokens [B, K, E] of every shown stream that gives tokens.
        responses: What is to be learnt, one a clip; None when a response is to be generated.
        padding: Side of the padding; `left` for generation.
        style: How a clip is put into words.
        ready: Tokens that came with the batch; used if they were made of the same.
        longest_sample: See `PromptMaker.make`.

    Raises:
        ContractError: Placeholders and feature tokens of a clip differ in number.
        DataError: A clip has no response to learn.
    """
    maker = _maker(language_model, inputs, features, style)
    tokens = ready
    if tokens is None or tokens.made_of != maker.made_of(subtitles, questions, responses, padding):
        tokens = maker.make(names, subtitles, questions, responses, padding, longest_sample)
    tokens = _on_device(tokens, language_model, features)
    return AssembledPrompts(embed_tokens(language_model, tokens, features), tokens)


def assemble_shared_prompts(
    language_model: LanguageModel,
    *,
    inputs: Sequence[str],
    names: Sequence[str],
    subtitles: Sequence[str],
    questions: Sequence[Sequence[str]],
    features: Mapping[str, Tensor],
    style: PromptStyle = CHAT,
) -> SharedPrompts:
    """Assemble several questions on each clip, split where the prompts of a clip begin to differ.

    Args:
        language_model: Gives template, token ids and embeddings.
        inputs: Streams that the prompt shows.
        names: Of the clips, for messages.
        subtitles: One a clip.
        questions: Q of each clip; they may be alike.
        features: Projected tokens [B, K, E] of every shown stream that gives tokens.
        style: How a clip is put into words.

    Raises:
        ContractError: Placeholders and feature tokens of a clip differ in number, or some of them come after the point
            where the prompts part.
    """
    maker = _maker(language_model, inputs, features, style)
    prefixes, ends = [], []
    for name, subtitle, asked in zip(names, subtitles, questions, strict=True):
        rows = [maker.prompt_row(subtitle, question) for question in asked]
        shared = min(len(row) for row in rows) - 1  # every prompt keeps a token of its own, if they are all alike
        alike = (len(set(column)) == 1 for column in zip(*rows, strict=False))
        split = next((place for place, same in enumerate(alike) if not same), shared)
        prefix = rows[0][: min(split, shared)]
        check_counts(name, prefix, maker.counts)
        prefixes.append(prefix)
        ends += [row[len(prefix) :] for row in rows]
    before, after = (
        _on_device(
            tokens_of_rows(rows, [[IGNORED_LABEL] * len(row) for row in rows], inputs, "left"), language_model, features
        )
        for rows in (prefixes, ends)
    )
    return SharedPrompts(
        prefix_embeds=embed_tokens(language_model, before, features),
        prefix_mask=before.attention_mask,
        inputs_embeds=embed_tokens(language_model, after, {}),
        attention_mask=after.attention_mask,
    )


def _maker(
    language_model: LanguageModel, inputs: Sequence[str], features: Mapping[str, Tensor], style: PromptStyle
) -> PromptMaker:
    counts = {name: features[name].shape[1] if name in features else 0 for name in inputs}
    return PromptMaker(language_model, tuple(inputs), counts, style)


def _on_device(tokens: PromptTokens, language_model: LanguageModel, features: Mapping[str, Tensor]) -> PromptTokens:
    """The tokens where the features are; on the way to a GPU nobody waits for them."""
    device = next(iter(features.values())).device if features else next(language_model.parameters()).device
    return tokens.with_each(lambda value: value.to(device, non_blocking=device.type == "cuda"))


def embed_tokens(language_model: LanguageModel, tokens: PromptTokens, features: Mapping[str, Tensor]) -> Tensor:
    """Embeddings [B, L, E] of the tokens, with features [B, K, E] in their places, clip by clip and in order."""
    embeddings = call_embed(language_model, tokens.ids)
    flat = embeddings.flatten(0, 1)
    for name, values in features.items():
        flat = flat.index_copy(0, tokens.feature_places[name], values.flatten(0, 1).to(flat.dtype))
    return flat.view_as(embeddings)
