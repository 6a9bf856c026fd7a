"""Who is in the crowd: every choice of an encoder for each modality, every subset of the modalities, every seed.

Paper: Section 2 trains "multiple" classifiers without a list. Here they are a product, so that they differ in what they see
and in chance. `training.py` trains them.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from affect_lightning.annotation.trained_crowd.clip_features import FeatureInput
from affect_lightning.errors import ConfigurationError


@dataclass(frozen=True)
class MemberPlan:
    """One member before its training.

    Attributes:
        name: Short and different for each member.
        inputs: Labels of the features that it reads, one a modality.
        seed: Of its training.
    """

    name: str
    inputs: tuple[str, ...]
    seed: int


def default_subsets(streams: Sequence[str]) -> list[tuple[str, ...]]:
    """All modalities together, and all but one: nine members of two modalities and three seeds. Our choice.

    >>> default_subsets(["audio", "face"])
    [('audio', 'face'), ('face',), ('audio',)]
    """
    every = tuple(streams)
    fewer = [tuple(other for other in every if other != stream) for stream in every]
    return [every, *(subset for subset in fewer if subset)]


def plan_members(inputs: Mapping[str, FeatureInput], subsets: Sequence[str], seeds: Sequence[int]) -> list[MemberPlan]:
    """The members, those that see most first: of equal votes, the one of the first voter counts.

    Args:
        inputs: Features that are there, by label.
        subsets: Modalities of a member with `+` between, such as `audio+face`; empty for `default_subsets`.
        seeds: Of the trainings.

    Raises:
        ConfigurationError: A subset names a modality that is not there, or one twice; or there are fewer than two members.
    """
    by_stream: dict[str, list[str]] = {}
    for label, item in sorted(inputs.items()):
        by_stream.setdefault(item.stream, []).append(label)
    wanted = [_subset(text, by_stream) for text in subsets] if subsets else default_subsets(list(by_stream))
    if len(set(seeds)) < len(seeds):
        raise ConfigurationError(f"Name each seed once; got {', '.join(map(str, seeds))}.")
    several = any(len(labels) > 1 for labels in by_stream.values())
    plans = []
    for subset in sorted(dict.fromkeys(wanted), key=len, reverse=True):
        for labels in itertools.product(*(by_stream[stream] for stream in subset)):
            shown = labels if several else subset
            plans += [MemberPlan(f"{'+'.join(shown)}.{seed}", tuple(labels), seed) for seed in seeds]
    if len(plans) < 2:
        raise ConfigurationError(
            f"A crowd has two members or more; {', '.join(by_stream)} and the seeds {', '.join(map(str, seeds)) or 'none'} give "
            f"{len(plans)}. Name more seeds."
        )
    return plans


def _subset(text: str, by_stream: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    streams = tuple(part.strip() for part in text.split("+"))
    unknown = [stream for stream in streams if stream not in by_stream]
    if unknown or len(set(streams)) < len(streams):
        raise ConfigurationError(
            f"A subset names modalities once each, with + between, out of {', '.join(by_stream)}; got {text!r}. The modalities "
            f"are those of the feature caches, and text with --text hashed."
        )
    return tuple(stream for stream in by_stream if stream in streams)
