"""Writes the scripts and annotations of the sandbox's clips; nothing is drawn, spoken or written to disk here.

Stands in for MER-Caption's clips and their annotation (paper, Section 2), and for the test clips of MER-UniBench
(Section 4). Emotions, codes and words come from `emotions.py`, sentences and reasons from `clip_texts.py`,
priors from `priors.py`. `performing.py` performs the scripts, `layouts.py` writes the annotations.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import get_args

from affect_lightning.errors import ConfigurationError
from affect_lightning.sandbox.clip_texts import Split, describe, draw_sentence
from affect_lightning.sandbox.emotions import (
    EMOTIONS,
    INTENSITY_RANGE,
    Agreement,
    ClipScript,
    EmotionName,
    Fault,
    Showing,
    intensity_band,
    joint_table,
)
from affect_lightning.sandbox.priors import TEST_CORPORA, TRAINING_PRIOR, TRAINING_SET, clip_name

FAULT_KINDS: tuple[Fault, ...] = get_args(Fault)
LABEL_COUNT_WEIGHTS = (0.3, 0.4, 0.2, 0.1)
"""Shares of clips with 1, 2, 3 and 4 labels (our choice)."""


@dataclass(frozen=True)
class AuthoredClip:
    """A clip as written: what to perform and what the annotation files say about it.

    Attributes:
        script: For the performer.
        corpus: Key of the clip's corpus.
        emotion: What is felt; the ground truth behind every annotation.
        agreement: Whether a modality deviates, and which.
        conflict: True when the deviating modality shows another feeling instead of none.
        labels: 1 to 4 emotion words, the most typical first.
        description: Reasoned description with the labels in it; wrong or empty where that fault is planted.
        sentiment: Valence times intensity, in [-1, 1]; 0 for neutral only.
    """

    script: ClipScript
    corpus: str
    emotion: EmotionName
    agreement: Agreement
    conflict: bool
    labels: tuple[str, ...]
    description: str
    sentiment: float


def author_training(
    clips: int,
    *,
    seed: int,
    identities: Sequence[int],
    faults: float = 0.0,
    fault_kinds: Sequence[str] | None = None,
) -> list[AuthoredClip]:
    """Write the training corpus.

    Args:
        clips: How many.
        seed: Of everything drawn; the same seed gives the same clips.
        identities: Indices of the people who appear.
        faults: Share of clips with a planted fault, 0 to 1.
        fault_kinds: Kinds planted in turn; None means all kinds of `script.Fault`.

    Raises:
        ConfigurationError: A number or a fault kind is out of range.
    """
    authored = author_clips(TRAINING_SET.key, TRAINING_PRIOR, "training", clips=clips, seed=seed, identities=identities)
    return _plant_faults(authored, share=faults, kinds=checked_fault_kinds(faults, fault_kinds), seed=seed)


def author_test_set(key: str, clips: int, *, seed: int, identities: Sequence[int]) -> list[AuthoredClip]:
    """Write one test set; its sentences and people never occur in training, and no fault is planted.

    Args:
        key: Of the set, such as `meld`.
        clips: How many.
        seed: Of everything drawn.
        identities: Indices of the people who appear.

    Raises:
        ConfigurationError: The key is unknown or a number is out of range.
    """
    if key not in TEST_CORPORA:
        raise ConfigurationError(f"There is no sandbox test set {key!r}. The sets are {', '.join(TEST_CORPORA)}.")
    return author_clips(key, TEST_CORPORA[key].prior, "test", clips=clips, seed=seed, identities=identities)


def author_clips(
    corpus: str,
    prior: Mapping[EmotionName, float],
    split: Split,
    *,
    clips: int,
    seed: int,
    identities: Sequence[int],
) -> list[AuthoredClip]:
    """Write clips of a corpus, without faults.

    Args:
        corpus: Key of the corpus.
        prior: Share of each emotion.
        split: Whose sentences are spoken.
        clips: How many.
        seed: Of everything drawn.
        identities: Indices of the people who appear.

    Raises:
        ConfigurationError: A number is out of range.
    """
    if clips < 0 or not identities:
        raise ConfigurationError(
            f"Corpus {corpus!r} was asked for {clips} clips of {len(identities)} people; give at least 1 of each."
        )
    random = Random(f"{seed}/{corpus}")
    ways = _systematic_draw(joint_table(prior), clips, random)
    people = _rounds(identities, clips, random)
    return [
        _author_clip(corpus, number, way, identity=person, split=split, seed=seed)
        for number, (way, person) in enumerate(zip(ways, people, strict=True))
    ]


def _systematic_draw(table: Sequence[Showing], count: int, random: Random) -> list[Showing]:
    """Draw rows at evenly spaced points of the cumulated table, from one random start, in random order.

    Every clip's distribution is the table; the shares of a whole set vary less than with independent draws, which
    matters for test sets of 20 clips.
    """
    start = random.random()
    drawn: list[Showing] = []
    cumulated = 0.0
    for row in table:
        cumulated += row.probability
        while len(drawn) < count and (len(drawn) + start) / count < cumulated:
            drawn.append(row)
    drawn.extend([table[-1]] * (count - len(drawn)))  # rounding of the last sum
    random.shuffle(drawn)
    return drawn


def _rounds(identities: Sequence[int], count: int, random: Random) -> list[int]:
    """Indices in shuffled rounds, so that everybody appears equally often."""
    drawn: list[int] = []
    while len(drawn) < count:
        drawn.extend(random.sample(list(identities), len(identities)))
    return drawn[:count]


def _author_clip(corpus: str, number: int, way: Showing, *, identity: int, split: Split, seed: int) -> AuthoredClip:
    key = f"{seed}/{corpus}/{number}"
    random = Random(key)
    sentence = draw_sentence(way.topic, split, random)
    intensity = round(random.uniform(*INTENSITY_RANGE), 3)
    labels = _draw_labels(way.emotion, intensity, random)
    script = ClipScript(
        name=clip_name(corpus, number),
        seed=int.from_bytes(hashlib.sha256(key.encode()).digest()[:4], "big"),
        identity=identity,
        face=way.face,
        voice=way.voice,
        topic=way.topic,
        intensity=intensity,
        sentence_english=sentence.english,
        sentence_chinese=sentence.chinese,
    )
    return AuthoredClip(
        script=script,
        corpus=corpus,
        emotion=way.emotion,
        agreement=way.agreement,
        conflict=way.conflict,
        labels=labels,
        description=describe(*way.triple, agreement=way.agreement, intensity=intensity, labels=labels, random=random),
        sentiment=EMOTIONS[way.emotion].valence * intensity,
    )


def _draw_labels(emotion: EmotionName, intensity: float, random: Random) -> tuple[str, ...]:
    """The band's typical word, then others of the band in random order, then a neighbouring band's typical word."""
    count = random.choices((1, 2, 3, 4), weights=LABEL_COUNT_WEIGHTS)[0]
    bands = EMOTIONS[emotion].words
    band = intensity_band(intensity)
    neighbour = band - 1 if band > 0 else 1
    typical, *others = bands[band]
    random.shuffle(others)
    return tuple(dict.fromkeys([typical, *others, *bands[neighbour]]))[:count]


def checked_fault_kinds(share: float, kinds: Sequence[str] | None) -> tuple[Fault, ...]:
    """Kinds to plant, in the order of `FAULT_KINDS`; all of them for None, none for a share of 0.

    Raises:
        ConfigurationError: The share is not in [0, 1], a kind is unknown, or there is a share but no kind.
    """
    if not 0.0 <= share <= 1.0:
        raise ConfigurationError(f"The share of faults must be from 0 (none) to 1 (every clip); got {share}.")
    if kinds is None:
        kinds = FAULT_KINDS
    unknown = [kind for kind in kinds if kind not in FAULT_KINDS]
    if unknown or (share > 0.0 and not kinds):
        raise ConfigurationError(
            f"Fault kinds {list(kinds)} were given; choose one or more of {', '.join(FAULT_KINDS)}."
        )
    return tuple(kind for kind in FAULT_KINDS if kind in kinds) if share > 0.0 else ()


def _plant_faults(
    clips: Sequence[AuthoredClip], *, share: float, kinds: Sequence[Fault], seed: int
) -> list[AuthoredClip]:
    """Plant faults in a share of the clips, kinds in turn. Labels stay true; only descriptions are ever falsified."""
    random = Random(f"{seed}/faults")
    chosen = random.sample(range(len(clips)), round(share * len(clips)))
    planted = list(clips)
    for turn, number in enumerate(chosen):
        planted[number] = _with_fault(clips[number], kinds[turn % len(kinds)], random)
    return planted


def _with_fault(clip: AuthoredClip, kind: Fault, random: Random) -> AuthoredClip:
    description = clip.description
    if kind == "empty_description":
        description = ""
    elif kind == "wrong_description":
        other = EMOTIONS[random.choice([name for name in EMOTIONS if name != clip.emotion])]
        description = describe(
            other.face,
            other.voice,
            other.topic,
            agreement="congruent",
            intensity=clip.script.intensity,
            labels=_draw_labels(other.name, clip.script.intensity, random),
            random=random,
        )
    return replace(clip, script=replace(clip.script, fault=kind), description=description)


def planted_faults(clips: Iterable[AuthoredClip]) -> list[dict[str, str]]:
    """The planted faults as `corpus.json` lists them: name and kind."""
    return [{"name": clip.script.name, "kind": clip.script.fault} for clip in clips if clip.script.fault is not None]
