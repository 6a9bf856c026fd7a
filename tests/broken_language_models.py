"""Language models that each break one promise of their contract; see broken_networks.py."""

from __future__ import annotations

import itertools
from typing import Any

import torch
from torch import Tensor

from affect_lightning.plugin_loading import load_plugin_class

BROKEN: dict[str, dict[str, str]] = {
    "language_models": {
        "LossPerClip": "shapes",
        "StripsText": "chat-template",
        "AddsSpecialTokens": "chat-template",
        "AttendsToPadding": "mask-invariance",
        "MeanOfMeans": "batch-invariance",
        "SeesTheAnswer": "causality",
        "AlwaysSamples": "generation",
        "RightPadded": "generation",
        "DetachedFeatures": "gradient-flow",
        "ReadsNoAdapter": "adapter-files",
        "TakesAnyAdapter": "adapter-files",
    },
}
GOOD: dict[str, str] = {}
_COUNTER = itertools.count()

TinyLM: Any = load_plugin_class("language_models", "tiny-lm")


class LossPerClip(TinyLM):
    """Gives a loss for each clip."""

    def loss(self, inputs_embeds: Tensor, attention_mask: Tensor, labels: Tensor) -> Tensor:
        return super().loss(inputs_embeds, attention_mask, labels).expand(len(labels))


class StripsText(TinyLM):
    """Changes the user's text."""

    def render_prompt(self, user_text: str) -> str:
        return super().render_prompt(user_text.replace("\n", " "))


class AddsSpecialTokens(TinyLM):
    """Puts a start token before a response."""

    def response_ids(self, response: str) -> list[int]:
        return [self.tokenizer.bos_token_id, *super().response_ids(response)]


class AttendsToPadding(TinyLM):
    """Ignores the mask; padding comes first, so that a causal model sees it."""

    def loss(self, inputs_embeds: Tensor, attention_mask: Tensor, labels: Tensor) -> Tensor:
        shift = (attention_mask == 0).sum(dim=1).max()
        rolled = [value.roll(int(shift), dims=1) for value in (inputs_embeds, labels)]
        return super().loss(rolled[0], torch.ones_like(attention_mask), rolled[1])


class MeanOfMeans(TinyLM):
    """Averages over clips instead of positions."""

    def loss(self, inputs_embeds: Tensor, attention_mask: Tensor, labels: Tensor) -> Tensor:
        rows = [slice(index, index + 1) for index in range(len(labels))]
        losses = [super(MeanOfMeans, self).loss(inputs_embeds[r], attention_mask[r], labels[r]) for r in rows]
        return torch.stack(losses).mean()


class SeesTheAnswer(TinyLM):
    """Predicts a position from itself."""

    def loss(self, inputs_embeds: Tensor, attention_mask: Tensor, labels: Tensor) -> Tensor:
        return super().loss(inputs_embeds, attention_mask, labels.roll(1, dims=1))


class AlwaysSamples(TinyLM):
    """Samples whatever the temperature is."""

    def generate(self, inputs_embeds: Tensor, attention_mask: Tensor, **options: Any) -> list[str]:
        options = {**options, "temperature": 5.0, "seed": next(_COUNTER)}
        return super().generate(inputs_embeds, attention_mask, **options)


class RightPadded(TinyLM):
    """Generates after the padding, as if it stood on the right."""

    def generate(self, inputs_embeds: Tensor, attention_mask: Tensor, **options: Any) -> list[str]:
        return super().generate(inputs_embeds, torch.ones_like(attention_mask), **options)


class DetachedFeatures(TinyLM):
    """Lets no gradient into the embeddings, so that no projector trains."""

    def loss(self, inputs_embeds: Tensor, attention_mask: Tensor, labels: Tensor) -> Tensor:
        return super().loss(inputs_embeds.detach(), attention_mask, labels)


class ReadsNoAdapter(TinyLM):
    """Reads nothing."""

    def load_adapter(self, folder: str) -> None:
        return None


class TakesAnyAdapter(TinyLM):
    """Passes over weights that are missing."""

    def load_adapter(self, folder: str) -> None:
        from peft import set_peft_model_state_dict
        from safetensors.torch import load_file

        set_peft_model_state_dict(self.network, load_file(f"{folder}/adapter_model.safetensors"))
