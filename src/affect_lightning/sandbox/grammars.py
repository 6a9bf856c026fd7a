"""Sentences of the sandbox, in English and Chinese from one derivation.

A sentence carries its topic and nothing else about the feeling: no emotion word, no valence. Each topic has templates
of its own whose slots are filled from `sentence_slots.py`; together they give thousands of sentences a topic. A stable
hash of the English sentence assigns every derivation to training or to test, so the test sets of the sandbox never
repeat a training sentence (issue: "identities and sentences that training never saw"). `authoring.py` draws from here.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from math import prod
from random import Random
from typing import Literal

from affect_lightning.errors import ConfigurationError
from affect_lightning.sandbox.script import Topic
from affect_lightning.sandbox.sentence_slots import SLOTS, TEMPLATES, Pair

Split = Literal["training", "test"]

TEST_SHARE = 4
"""One derivation in this many is reserved for the test sets (our choice)."""
_SLOT = re.compile(r"\{(\w+?)(\d?)\}")


@dataclass(frozen=True)
class Sentence:
    """A spoken sentence.

    Attributes:
        english: Spoken and subtitled.
        chinese: The same, for the subtitle.
        topic: What it is about.
    """

    english: str
    chinese: str
    topic: Topic


def draw_sentence(topic: Topic, split: Split, random: Random) -> Sentence:
    """Draw a sentence of a topic that belongs to a split.

    Args:
        topic: What it is about.
        split: `training` or `test`; no sentence belongs to both.
        random: Source of chance; the same state gives the same sentence.
    """
    while True:
        template = random.choice(TEMPLATES[topic])
        fillers: dict[str, Pair] = {}
        for slot in _slots(template):
            unused = [pair for pair in SLOTS[_kind(slot)] if pair not in fillers.values()]
            fillers[slot] = random.choice(unused)
        sentence = _fill(topic, template, fillers)
        if split_of(sentence.english) == split:
            return sentence


def split_of(english: str) -> Split:
    """The split to which an English sentence belongs, by its SHA-256."""
    digest = hashlib.sha256(english.encode("utf-8")).digest()
    return "test" if digest[0] % TEST_SHARE == 0 else "training"


def every_sentence(topic: Topic, template_number: int) -> Iterator[Sentence]:
    """All sentences of one template, for counting and checking.

    Raises:
        ConfigurationError: There is no such template.
    """
    if not 0 <= template_number < len(TEMPLATES[topic]):
        raise ConfigurationError(
            f"Topic {topic!r} has {len(TEMPLATES[topic])} templates; there is no number {template_number}. Use 0 to "
            f"{len(TEMPLATES[topic]) - 1}."
        )
    template = TEMPLATES[topic][template_number]
    slots = _slots(template)
    for values in product(*(SLOTS[_kind(slot)] for slot in slots)):
        if len(set(values)) == len(values):
            yield _fill(topic, template, dict(zip(slots, values, strict=True)))


def sentence_count(topic: Topic) -> int:
    """How many derivations a topic has, over both splits; repeated fillers counted too (an upper estimate)."""
    return sum(prod(len(SLOTS[_kind(slot)]) for slot in _slots(template)) for template in TEMPLATES[topic])


def _slots(template: Pair) -> list[str]:
    return list(dict.fromkeys(kind + number for kind, number in _SLOT.findall(template.english)))


def _kind(slot: str) -> str:
    return slot.rstrip("0123456789")


def _fill(topic: Topic, template: Pair, fillers: dict[str, Pair]) -> Sentence:
    english = template.english.format(**{slot: pair.english for slot, pair in fillers.items()})
    chinese = template.chinese.format(**{slot: pair.chinese for slot, pair in fillers.items()})
    return Sentence(english=english[0].upper() + english[1:], chinese=chinese, topic=topic)
