"""From texts to token ids: the prompts of a batch, with sentinels where feature tokens go (paper, Section 3.1).

The prompt's text is split at the placeholders. Text pieces become token ids, placeholders become sentinels, and the
places of these are noted. It needs a tokenizer and no network, so the loader does it where it puts a batch together, in
worker processes if there are any. `prompting.PromptStyle` writes the text, `prompt_assembly.py` makes embeddings.
Legend: B clips, K feature tokens of a stream, L text tokens.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import torch

from affect_lightning.contracts import IGNORED_LABEL, ClipBatch, LanguageModel, PromptText, PromptTokens, RowLayout
from affect_lightning.errors import ContractError, DataError
from affect_lightning.prompting import FIRST_PLACEHOLDER, MAX_PLACEHOLDERS, PromptStyle, placeholder

CHAT = PromptStyle()
Side = Literal["left", "right"]
_SPLIT = re.compile(f"([{placeholder(0)}-{placeholder(MAX_PLACEHOLDERS - 1)}])")


@dataclass(frozen=True)
class PromptMaker:
    """Tokenises prompts. It pickles if its `text` does, so that it can be sent to the processes that read clips.

    Attributes:
        text: Gives template and token ids: a language model, or its `prompt_text()`.
        inputs: Streams that the prompt shows.
        counts: Feature tokens a clip of each of them, 0 for one that gives none.
        style: How a clip is put into words.
    """

    text: PromptText
    inputs: tuple[str, ...]
    counts: Mapping[str, int]
    style: PromptStyle = field(default=CHAT)

    def __call__(self, batch: ClipBatch) -> PromptTokens:
        """The prompts with responses of a batch to learn from, padded on the right.

        Raises:
            ContractError: Placeholders and feature tokens of a clip differ in number.
            DataError: A clip has no response to learn.
        """
        return self.make(batch.names, batch.subtitles, batch.questions, batch.responses)

    def make(
        self,
        names: Sequence[str],
        subtitles: Sequence[str],
        questions: Sequence[str],
        responses: Sequence[str] | None = None,
        side: Side = "right",
        longest_sample: int | None = None,
    ) -> PromptTokens:
        """The prompts of clips.

        Args:
            names: Of the clips, for messages.
            subtitles: One a clip.
            questions: One a clip.
            responses: What is to be learnt, one a clip; None when a response is to be generated.
            side: Of the padding; `left` for generation.
            longest_sample: Tokens at which sampling stopped, if the responses are the network's own: one may be empty,
                and one as long as this has no end token. None for responses of an annotation.

        Raises:
            ContractError: Placeholders and feature tokens of a clip differ in number.
            DataError: A clip has no response to learn.
        """
        rows, labels = [], []
        for index, name in enumerate(names):
            prompt = self.prompt_row(subtitles[index], questions[index])
            check_counts(name, prompt, self.counts)
            response: list[int] = []
            if responses is not None:
                response = self._response_ids(name, responses[index], longest_sample)
                prompt = [*self._begin_ids(), *prompt]
            rows.append(prompt + response)
            labels.append([IGNORED_LABEL] * len(prompt) + response)
        made_of = self.made_of(subtitles, questions, responses, side)
        return tokens_of_rows(rows, labels, self.inputs, side, made_of)

    def made_of(
        self, subtitles: Sequence[str], questions: Sequence[str], responses: Sequence[str] | None, side: Side
    ) -> Hashable:
        """Everything that the tokens depend on: made of the same, they are the same."""
        texts = (tuple(subtitles), tuple(questions), None if responses is None else tuple(responses))
        return self.inputs, tuple(self.counts.items()), self.style, side, texts

    def prompt_row(self, subtitle: str, question: str) -> list[int]:
        """Token ids of one prompt, sentinels in the place of placeholders."""
        text = self.style.prompt(self.text.render_prompt, self.inputs, subtitle, question, self.counts)
        return prompt_ids(self.text, text)

    def _begin_ids(self) -> list[int]:
        """The begin token before a prompt to learn from, where the form wants one and the tokenizer has one."""
        begin = getattr(self.text.tokenizer, "bos_token_id", None) if self.style.begins else None
        return [] if begin is None else [begin]

    def _response_ids(self, name: str, response: str, longest_sample: int | None) -> list[int]:
        if longest_sample is not None:
            return self.text.response_ids(self.style.wanted(response))[:longest_sample]
        if not response.strip():
            raise DataError(
                f"Clip {name!r} has an empty response, so the model cannot learn from it. Give it a label or a "
                f"description, ask the other question, or leave the clip out."
            )
        return self.text.response_ids(self.style.wanted(response))


def prompt_maker(
    language_model: LanguageModel, inputs: Sequence[str], parts: Mapping[str, Any], style: PromptStyle
) -> PromptMaker | None:
    """The maker for a network, without the network; None if the language model has no such part.

    Args:
        language_model: Has the tokenizer.
        inputs: Streams that the prompt shows.
        parts: By stream, what gives its tokens: a branch, or the pre-fusion.
        style: How a clip is put into words.
    """
    text = language_model.prompt_text()
    counts = {name: int(parts[name].output_tokens) if name in parts else 0 for name in inputs}
    return None if text is None else PromptMaker(text, tuple(inputs), counts, style)


def sentinel_of(position: int) -> int:
    """Stand-in for the placeholder of a stream among token ids, which are never negative."""
    return -1 - position


def prompt_ids(text_model: PromptText, text: str) -> list[int]:
    """Token ids of a whole prompt, sentinels in the place of placeholders."""
    ids: list[int] = []
    for piece in _SPLIT.split(text):
        if _SPLIT.fullmatch(piece):
            ids.append(sentinel_of(ord(piece) - FIRST_PLACEHOLDER))
        elif piece:
            ids.extend(text_model.text_ids(piece))
    return ids


def check_counts(clip: str, ids: Sequence[int], counts: Mapping[str, int]) -> None:
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


def tokens_of_rows(
    rows: Sequence[Sequence[int]],
    labels: Sequence[Sequence[int]],
    inputs: Sequence[str],
    side: Side = "right",
    made_of: Hashable = None,
) -> PromptTokens:
    """Rows of different length as tensors [B, L].

    Args:
        rows: Token ids and sentinels, B rows.
        labels: Of each; -100 where nothing is learnt.
        inputs: Streams in the order of their sentinels.
        side: Of the padding.
        made_of: See `PromptTokens`.
    """
    ids = _padded(rows, 0, side)
    mask = torch.from_numpy(_padded([[1] * len(row) for row in rows], 0, side))
    wanted = torch.from_numpy(_padded(labels, IGNORED_LABEL, side))
    flat = ids.reshape(-1)
    places = {name: np.flatnonzero(flat == sentinel_of(position)) for position, name in enumerate(inputs)}
    return PromptTokens(
        ids=torch.from_numpy(ids.clip(min=0)),
        attention_mask=mask,
        labels=wanted,
        feature_places={name: torch.from_numpy(found) for name, found in places.items() if len(found)},
        layout=RowLayout.of(mask, wanted),
        made_of=made_of,
    )


def _padded(rows: Sequence[Sequence[int]], filler: int, side: Side) -> np.ndarray:
    padded = np.full((len(rows), max(len(row) for row in rows)), filler, dtype=np.int64)
    for target, row in zip(padded, rows, strict=True):
        if len(row):
            target[slice(len(row)) if side == "right" else slice(-len(row), None)] = row
    return padded
