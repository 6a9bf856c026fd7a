"""The rewards of sampled responses and their weighted sum (not in the paper; AffectGPT-R1, arXiv 2508.01318).

`group_relative.py` asks. The rewards themselves are plugins. A response is cleaned and its labels are read as in `test`, so
that what is rewarded is what is scored.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

from affect_lightning.contracts import ClipBatch, LabelExtractor, Reward, SampledResponse
from affect_lightning.contracts.conformance import check_rewards
from affect_lightning.contracts.label_checks import check_labels, check_sentiments
from affect_lightning.errors import ConfigurationError
from affect_lightning.plugin_loading import build_part, held_to_contract, resolve_choice, split_choice
from affect_lightning.prompting.cleaning import clean_response


class RewardSum:
    """Rewards by name with their weights.

    Attributes:
        choices: Each reward with all of its options and its `weight`.
        weights: By name.
    """

    def __init__(self, rewards: Sequence[str | Mapping[str, Any]], label_extractor: str | Mapping[str, Any]) -> None:
        """Check the choices; the parts are built when they are first asked.

        Args:
            rewards: Names, or mappings of a name, a `weight` (1 by default) and options.
            label_extractor: Reads labels out of answers.

        Raises:
            ConfigurationError: There is no reward, one comes twice, or a weight is no number.
            PluginError: A choice or an option is wrong.
        """
        self.weights: dict[str, float] = {}
        self.choices: list[dict[str, Any]] = []
        for reward in rewards:
            name, options = split_choice(reward)
            weight = options.pop("weight", 1.0)
            if isinstance(weight, bool) or not isinstance(weight, float | int) or not math.isfinite(weight):
                raise ConfigurationError(f"The weight of the reward {name!r} must be a number; got {weight!r}.")
            if name in self.weights:
                raise ConfigurationError(f"Name each reward once: {name!r} comes twice in `rewards`.")
            self.weights[name] = float(weight)
            self.choices.append(resolve_choice("rewards", {"name": name, **options}))
        if not self.choices:
            raise ConfigurationError("Choose at least one reward, such as rewards: [wheel-f-score]; got none.")
        self._label_extractor = resolve_choice("label_extractors", label_extractor)

    @cached_property
    def parts(self) -> dict[str, Reward]:
        """The rewards by name."""
        return {choice["name"]: build_part("rewards", choice) for choice in self.choices}

    @cached_property
    def extractor(self) -> LabelExtractor:
        """What reads labels."""
        extractor: LabelExtractor = build_part("label_extractors", self._label_extractor)
        return extractor

    def __call__(self, batch: ClipBatch, responses: Sequence[Sequence[str]]) -> list[list[SampledResponse]]:
        """Reward the responses of each clip.

        Args:
            batch: B clips with the questions that were asked.
            responses: B lists of texts.

        Raises:
            ContractError: A reward or the label extractor breaks its contract.
        """
        samples = [
            SampledResponse(record, question, text, clean_response(text, question).text)
            for record, question, own in zip(batch.records, batch.questions, responses, strict=True)
            for text in own
        ]
        samples = self._rewarded(self._labelled(samples)) if samples else []
        rest = iter(samples)
        return [[next(rest) for _ in own] for own in responses]

    def _labelled(self, samples: Sequence[SampledResponse]) -> list[SampledResponse]:
        with held_to_contract(self.extractor):
            labels = check_labels(self.extractor.extract([sample.answer for sample in samples]), count=len(samples))
            sentiments: Sequence[Any] = [None] * len(samples)
            if any(part.reads_sentiment for part in self.parts.values()):
                sentiments = check_sentiments(self.extractor.sentiment(labels), count=len(samples))
        return [
            replace(sample, labels=tuple(words), sentiment=sentiment)
            for sample, words, sentiment in zip(samples, labels, sentiments, strict=True)
        ]

    def _rewarded(self, samples: Sequence[SampledResponse]) -> list[SampledResponse]:
        found: dict[str, list[float]] = {}
        for name, part in self.parts.items():
            with held_to_contract(part):
                found[name] = check_rewards(part.score(samples), count=len(samples))
        rewarded = []
        for number, sample in enumerate(samples):
            own = {name: values[number] for name, values in found.items()}
            counted = [self.weights[name] * value for name, value in own.items() if not math.isnan(value)]
            rewarded.append(replace(sample, rewards=own, reward=sum(counted) if counted else math.nan))
        return rewarded
