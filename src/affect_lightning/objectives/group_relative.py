"""Training on the metric itself: group-relative policy optimisation (not in the paper).

AffectGPT-R1 (arXiv 2508.01318) rewards sampled responses by the emotion-wheel metric. Here G responses to each clip are
sampled by the decoding of `predict`, rewarded (`reward_sum.py`), compared with the others of their clip, and made more or
less likely (`policy_loss.py`). docs/reinforcement.md has the equations.
Legend: B clips, G responses a clip, R response tokens.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from affect_lightning.contracts import (
    ClipBatch,
    FeatureSequence,
    LossTerm,
    Objective,
    SampledResponse,
    TokenScores,
    TrainedNetwork,
)
from affect_lightning.errors import ConfigurationError
from affect_lightning.objectives.answer_modes import AnswerMode, asked_in, response_term
from affect_lightning.objectives.policy_loss import Average, averaged, clipped_losses, group_advantages, kl_estimates
from affect_lightning.objectives.reward_sum import RewardSum


@dataclass
class _Sampling:
    """The responses to one batch and what does not change while they are learnt from."""

    batch: ClipBatch
    asked: ClipBatch
    features: Mapping[str, FeatureSequence]
    samples: list[list[SampledResponse]]
    advantages: Tensor  # [B * G]
    counted: Tensor  # bool [B * G]
    reference: Tensor | None  # log-probabilities [R] of the start
    old: Tensor | None = None  # log-probabilities [R] of the weights that sampled


class GroupRelativeObjective(Objective):
    """Rewards sampled responses, against the other responses to the same clip (GRPO)."""

    rewards_samples = True

    def __init__(
        self,
        *,
        rewards: list[Any] | None = None,
        label_extractor: str | dict[str, Any] = "rules",
        mode: AnswerMode = "asked",
        group_size: int = 8,
        max_new_tokens: int = 48,
        temperature: float = 1.0,
        top_p: float = 1.0,
        scale_advantages: bool = True,
        average: Average = "tokens",
        clip_low: float = 0.2,
        clip_high: float = 0.2,
        kl_weight: float = 0.04,
        updates: int = 1,
        response_weight: float = 0.0,
    ) -> None:
        """Check the options.

        Args:
            rewards: Rewards by name, or mappings of name, `weight` and options; None means wheel-f-score alone.
            label_extractor: Reads labels out of sampled responses, by name, or name and options.
            mode: What is asked: as the data module `asked`, `names`, `description`, or `reasoning` before the names.
            group_size: Responses a clip, G (8, TRL's default).
            max_new_tokens: Longest sampled response in tokens (48, as `predict`).
            temperature: Of the sampling; the loss divides the logits by it too (1, ours).
            top_p: Nucleus share of the sampling (1, ours: the loss knows no nucleus).
            scale_advantages: Divide advantages by the deviation of the clip's rewards (GRPO); false as in Dr. GRPO.
            average: Of the loss: over all `tokens` (DAPO), over `responses` (GRPO), or with a `constant` length (Dr. GRPO).
            clip_low: The ratio of probabilities counts down to 1 - clip_low (0.2, GRPO).
            clip_high: It counts up to 1 + clip_high (0.2, GRPO; DAPO takes 0.28).
            kl_weight: Weight of the KL divergence from the weights at the start (0.04, GRPO); 0 keeps no such weights.
            updates: Optimiser steps on each sampling.
            response_weight: Weight of the response loss beside it (0, ours).

        Raises:
            ConfigurationError: An option is out of range.
            PluginError: A reward or the label extractor is wrong.
        """
        _check(group_size >= 2, "group_size must be 2 or more: a response is compared with others", group_size)
        _check(max_new_tokens >= 1, "max_new_tokens must be 1 or more", max_new_tokens)
        _check(temperature > 0, "temperature must be above 0: responses are sampled", temperature)
        _check(0 < top_p <= 1, "top_p must be above 0 and at most 1", top_p)
        _check(0 < clip_low < 1 and clip_high > 0, "clip_low must be in (0, 1) and clip_high above 0", clip_low)
        _check(kl_weight >= 0, "kl_weight must be 0 or more", kl_weight)
        _check(updates >= 1, "updates must be 1 or more", updates)
        _check(response_weight >= 0, "response_weight must be 0 or more", response_weight)
        self.rewards = RewardSum(["wheel-f-score"] if rewards is None else rewards, label_extractor)
        self.mode, self.group_size = mode, group_size
        self.decoding: dict[str, Any] = {"max_new_tokens": max_new_tokens, "temperature": temperature, "top_p": top_p}
        self.scale_advantages, self.average = scale_advantages, average
        self.clip_low, self.clip_high = clip_low, clip_high
        self.kl_weight, self.response_weight = kl_weight, response_weight
        self.updates, self.compares_with_start = updates, kl_weight > 0
        self._seed = 0
        self._sampling: _Sampling | None = None
        self._measures: dict[str, LossTerm] = {}
        self._samples: list[SampledResponse] = []

    def begin_step(self, seed: int) -> None:
        """See `Objective.begin_step`: the responses of the last step are forgotten."""
        self._seed, self._sampling = seed, None

    def measures(self) -> Mapping[str, LossTerm]:
        """Reward and its parts, labels and tokens a response, groups without spread, entropy, clipped share."""
        return self._measures

    def samples(self) -> Sequence[SampledResponse]:
        """See `Objective.samples`; clips that are not valid have none."""
        return self._samples

    def terms(self, network: TrainedNetwork, batch: ClipBatch) -> dict[str, LossTerm]:
        """`policy`, with `kl` and `response` where they have a weight.

        Without gradient, in validation, each clip gets one greedy response, and `policy` is minus the mean reward.
        """
        if not torch.is_grad_enabled():
            return self._held_out(network, batch)
        if self._sampling is None or self._sampling.batch is not batch:
            self._sampling = self._sample(network, batch)
        sampling = self._sampling
        scores = network.token_scores(
            sampling.asked, _texts(sampling.samples), features=sampling.features, **self._scored
        )
        if sampling.old is None:
            sampling.old = scores.log_probabilities.detach()
        terms = self._policy_terms(sampling, scores)
        if self.response_weight:
            terms["response"] = self._response(network, sampling.asked, sampling.features)
        if self.updates == 1:
            self._sampling = None
        return terms

    @property
    def _scored(self) -> dict[str, Any]:
        return {"longest": self.decoding["max_new_tokens"], "temperature": self.decoding["temperature"]}

    def _sample(self, network: TrainedNetwork, batch: ClipBatch) -> _Sampling:
        """Sample and reward; the only place of a step that waits for the device."""
        asked = asked_in(self.mode, batch)
        with torch.no_grad():
            features = network.encode(asked)
            seeds = [self._seeds_of(asked, clip) for clip in range(len(asked))]
            texts = network.sample(asked, seeds, features=features, **self.decoding)
            reference = None
            if self.kl_weight:
                scores = network.token_scores(asked, texts, features=features, at_start=True, **self._scored)
                reference = scores.log_probabilities
        samples = self.rewards(asked, texts)
        rewards = torch.tensor([[one.reward for one in own] for own in samples], dtype=torch.float64)
        # Sampling has waited already, so to ask here which clips are valid costs nothing more.
        counted = asked.valid.cpu() & ~rewards.isnan().any(dim=1)
        self._note_sampled(samples, rewards, counted)
        advantages = group_advantages(rewards, scaled=self.scale_advantages)
        device = asked.valid.device
        return _Sampling(
            batch=batch,
            asked=asked,
            features=features,
            samples=samples,
            advantages=advantages.flatten().to(device),
            counted=counted.repeat_interleave(self.group_size).to(device),
            reference=reference,
        )

    def _seeds_of(self, batch: ClipBatch, clip: int) -> list[int]:
        """Of the G responses to a clip: they depend on step, clip and question, and not on the batch or the process."""
        record, question = batch.records[clip], batch.questions[clip]
        return [
            seed_of(self._seed, record.corpus, record.name, str(record.span), question, str(number))
            for number in range(self.group_size)
        ]

    def _policy_terms(self, sampling: _Sampling, scores: TokenScores) -> dict[str, LossTerm]:
        new, owner = scores.log_probabilities, scores.responses
        assert sampling.old is not None
        losses, clipped = clipped_losses(
            new, sampling.old, sampling.advantages[owner], clip_low=self.clip_low, clip_high=self.clip_high
        )

        def mean(values: Tensor, average: Average) -> LossTerm:
            return averaged(values, owner, sampling.counted, average, self.decoding["max_new_tokens"])

        terms = {"policy": mean(losses, self.average)}
        if sampling.reference is not None:
            terms["kl"] = mean(kl_estimates(new, sampling.reference), self.average)._replace(weight=self.kl_weight)
        tokens = mean(torch.ones_like(new), "tokens")
        responses = sampling.counted.sum()
        self._measures |= {
            "entropy": mean(scores.entropies, "tokens"),
            "clipped": mean(clipped.to(new.dtype), "tokens"),
            "response_tokens": LossTerm(tokens.items / responses.clamp(min=1), responses),
        }
        return terms

    def _note_sampled(self, samples: list[list[SampledResponse]], rewards: Tensor, counted: Tensor) -> None:
        """Keep the measures that the processor knows."""
        groups = [own for own, counts in zip(samples, counted.tolist(), strict=True) if counts]
        self._samples = [sample for own in groups for sample in own]
        equal = [float(group.max() == group.min()) for group in rewards[counted]]
        self._measures = {**self._of_responses(self._samples), "groups_without_spread": _mean(equal)}

    def _of_responses(self, samples: Sequence[SampledResponse]) -> dict[str, LossTerm]:
        parts = {f"reward/{name}": [one.rewards[name] for one in samples] for name in self.rewards.weights}
        values = {
            "reward": [one.reward for one in samples],
            **{name: [value for value in own if not math.isnan(value)] for name, own in parts.items()},
            "labels": [float(len(one.labels)) for one in samples],
        }
        return {name: _mean(own) for name, own in values.items()}

    def _held_out(self, network: TrainedNetwork, batch: ClipBatch) -> dict[str, LossTerm]:
        asked = asked_in(self.mode, batch)
        features = network.encode(asked)
        texts = network.generate(
            asked, max_new_tokens=self.decoding["max_new_tokens"], temperature=0.0, features=features
        )
        samples = [own[0] for own in self.rewards(asked, [[text] for text in texts])]
        valid = asked.valid.tolist()
        self._samples = [
            one for one, counts in zip(samples, valid, strict=True) if counts and not math.isnan(one.reward)
        ]
        self._measures = self._of_responses(self._samples)
        reward = self._measures["reward"]
        device = asked.valid.device
        terms = {"policy": LossTerm(-reward.mean.to(device), reward.items.to(device))}
        if self.response_weight:
            terms["response"] = self._response(network, asked, features)
        return terms

    def _response(self, network: TrainedNetwork, batch: ClipBatch, features: Mapping[str, FeatureSequence]) -> LossTerm:
        return response_term(network, batch, self.mode, features)._replace(weight=self.response_weight)


def seed_of(seed: int, *parts: str) -> int:
    """A 63-bit seed out of a step's seed and names; parts that are neighbours get unrelated ones."""
    text = "\0".join([str(seed), *parts])
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little") >> 1


def _texts(samples: Sequence[Sequence[SampledResponse]]) -> list[list[str]]:
    return [[one.response for one in own] for own in samples]


def _mean(values: Sequence[float]) -> LossTerm:
    """A mean of numbers that the processor knows."""
    return LossTerm(torch.tensor(sum(values) / max(1, len(values))), torch.tensor(float(len(values))))


def _check(holds: bool, rule: str, value: object) -> None:
    if not holds:
        raise ConfigurationError(f"In the objective group-relative, {rule}; got {value}.")
