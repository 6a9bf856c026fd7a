"""Prompt assembly: token embeddings with feature tokens where the placeholders were (paper, Section 3.1).

The prompt's text is split at the placeholders. Text pieces become token ids, placeholders become sentinels, and feature
tokens replace the sentinels' embeddings. `prompting.PromptStyle` writes the text, `affectgpt.py` calls.
Legend: B clips, K feature tokens of a stream, L text tokens, P of a shared beginning, Q questions, E embedding width.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from affect_lightning.contracts import IGNORED_LABEL, LanguageModel
from affect_lightning.errors import ContractError, DataError
from affect_lightning.model.checked_calls import call_embed
from affect_lightning.prompting import FIRST_PLACEHOLDER, MAX_PLACEHOLDERS, PromptStyle, placeholder

CHAT = PromptStyle()
_SPLIT = re.compile(f"([{placeholder(0)}-{placeholder(MAX_PLACEHOLDERS - 1)}])")


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
        attention_mask: [B, L], 1 for real tokens.
        labels: [B, L]; -100 everywhere but on responses.
        size: Tokens of it, counted without a word from the device.
    """

    inputs_embeds: Tensor
    attention_mask: Tensor
    labels: Tensor
    size: StepSize


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


def sentinel_of(position: int) -> int:
    """Stand-in for the placeholder of a stream among token ids, which are never negative."""
    return -1 - position


def prompt_ids(language_model: LanguageModel, text: str) -> list[int]:
    """Token ids of a whole prompt, sentinels in the place of placeholders."""
    ids: list[int] = []
    for piece in _SPLIT.split(text):
        if _SPLIT.fullmatch(piece):
            ids.append(sentinel_of(ord(piece) - FIRST_PLACEHOLDER))
        elif piece:
            ids.extend(language_model.text_ids(piece))
    return ids


def assemble_prompts(
    language_model: LanguageModel,
    *,
    inputs: Sequence[str],
    names: Sequence[str],
    subtitles: Sequence[str],
    questions: Sequence[str],
    features: Mapping[str, Tensor],
    responses: Sequence[str] | None = None,
    padding: Literal["left", "right"] = "right",
    style: PromptStyle = CHAT,
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

    Raises:
        ContractError: Placeholders and feature tokens of a clip differ in number.
        DataError: A clip has no response to learn.
    """
    counts = {name: features[name].shape[1] if name in features else 0 for name in inputs}
    rows, labels = [], []
    for index, name in enumerate(names):
        text = style.prompt(language_model.render_prompt, inputs, subtitles[index], questions[index], counts)
        prompt = prompt_ids(language_model, text)
        _check_counts(name, prompt, counts)
        response: list[int] = []
        if responses is not None:
            response = _response_ids(language_model, name, responses[index], style)
            prompt = [*_begin_ids(language_model, style), *prompt]
        rows.append(prompt + response)
        labels.append([IGNORED_LABEL] * len(prompt) + response)
    device = next(iter(features.values())).device if features else next(language_model.parameters()).device
    ids, mask = _padded(rows, 0, padding), _padded([[1] * len(row) for row in rows], 0, padding)
    return AssembledPrompts(
        inputs_embeds=embedded_ids(language_model, ids.to(device), inputs, features),
        attention_mask=mask.to(device),
        labels=_padded(labels, IGNORED_LABEL, padding).to(device),
        size=StepSize(tuple(map(len, rows)), sum(label != IGNORED_LABEL for row in labels for label in row)),
    )


def assemble_shared_prompts(
    language_model: LanguageModel,
    *,
    inputs: Sequence[str],
    names: Sequence[str],
    subtitles: Sequence[str],
    questions: Sequence[str],
    features: Mapping[str, Tensor],
    style: PromptStyle = CHAT,
) -> SharedPrompts:
    """Assemble several questions on each clip, split where the prompts of a clip begin to differ.

    Args:
        language_model: Gives template, token ids and embeddings.
        inputs: Streams that the prompt shows.
        names: Of the clips, for messages.
        subtitles: One a clip.
        questions: Q of them, all asked of every clip.
        features: Projected tokens [B, K, E] of every shown stream that gives tokens.
        style: How a clip is put into words.

    Raises:
        ContractError: Placeholders and feature tokens of a clip differ in number, or some of them come after the point
            where the prompts part.
    """
    counts = {name: features[name].shape[1] if name in features else 0 for name in inputs}
    prefixes, ends = [], []
    for name, subtitle in zip(names, subtitles, strict=True):
        rows = [
            prompt_ids(language_model, style.prompt(language_model.render_prompt, inputs, subtitle, question, counts))
            for question in questions
        ]
        shared = min(len(row) for row in rows) - 1  # every prompt keeps a token of its own, if they are all alike
        alike = (len(set(column)) == 1 for column in zip(*rows, strict=False))
        split = next((place for place, same in enumerate(alike) if not same), shared)
        prefix = rows[0][: min(split, shared)]
        _check_counts(name, prefix, counts)
        prefixes.append(prefix)
        ends += [row[len(prefix) :] for row in rows]
    device = next(iter(features.values())).device if features else next(language_model.parameters()).device
    prefix_ids, end_ids = _padded(prefixes, 0, "left").to(device), _padded(ends, 0, "left").to(device)
    return SharedPrompts(
        prefix_embeds=embedded_ids(language_model, prefix_ids, inputs, features),
        prefix_mask=_real(prefixes).to(device),
        inputs_embeds=embedded_ids(language_model, end_ids, inputs, {}),
        attention_mask=_real(ends).to(device),
    )


def _real(rows: Sequence[Sequence[int]]) -> Tensor:
    return _padded([[1] * len(row) for row in rows], 0, "left")


def _check_counts(clip: str, ids: Sequence[int], counts: Mapping[str, int]) -> None:
    """Refuse a prompt whose placeholders are not those of the streams [shown, in their order] and nothing else."""
    found = Counter(-1 - sentinel for sentinel in ids if sentinel < 0)
    names = dict(enumerate(counts))
    for position in sorted({*names, *found}):
        name = names.get(position, "none")
        if found[position] != counts.get(name, 0):
            raise ContractError(
                f"Clip {clip!r} has {found[position]} placeholders for {counts.get(name, 0)} feature tokens of the stream "
                f"{name!r}; the numbers must be equal. Either the chat template of the language model drops or repeats "
                f"characters, or the subtitle or question holds U+{ord(placeholder(position)):X}, which is reserved."
            )


def _begin_ids(language_model: LanguageModel, style: PromptStyle) -> list[int]:
    """The begin token before a prompt to learn from, where the form wants one and the tokenizer has one."""
    begin = getattr(language_model.tokenizer, "bos_token_id", None) if style.begins else None
    return [] if begin is None else [begin]


def _response_ids(language_model: LanguageModel, name: str, response: str, style: PromptStyle) -> list[int]:
    if not response.strip():
        raise DataError(
            f"Clip {name!r} has an empty response, so the model cannot learn from it. Give it a label or a "
            f"description, ask the other question, or leave the clip out."
        )
    return language_model.response_ids(style.wanted(response))


def _padded(rows: Sequence[Sequence[int]], filler: int, side: str) -> Tensor:
    """Rows of different length as one tensor [B, L]."""
    length = max(len(row) for row in rows)
    fill = [[filler] * (length - len(row)) for row in rows]
    if side == "left":
        return torch.tensor([[*pad, *row] for pad, row in zip(fill, rows, strict=True)])
    return torch.tensor([[*row, *pad] for pad, row in zip(fill, rows, strict=True)])


def embedded_ids(
    language_model: LanguageModel, ids: Tensor, inputs: Sequence[str], features: Mapping[str, Tensor]
) -> Tensor:
    """Embeddings [B, L, E] of the ids, with features in the place of sentinels, clip by clip and in order."""
    embeddings = call_embed(language_model, ids.clamp(min=0))
    for name, tokens in features.items():
        places = (ids == sentinel_of(inputs.index(name))).unsqueeze(-1)
        embeddings = embeddings.masked_scatter(places, tokens.to(embeddings.dtype))
    return embeddings
