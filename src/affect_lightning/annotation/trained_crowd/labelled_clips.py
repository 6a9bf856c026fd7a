"""Clips with what people said of them: an emotion out of closed classes, a sentiment, or both.

Paper: Section 2 trains the members of the crowd on human-annotated sets. The sets are read by `corpora`; here their words
become classes, so that sets with other words for the same emotion (`joy`, `happy`) can be learnt together. A clip whose
words name no class, or several, has no emotion; such clips are counted.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from affect_lightning.annotation.members import Classes
from affect_lightning.contracts import ClipRecord
from affect_lightning.corpora.annotation_tables import shown
from affect_lightning.corpora.known_sets import canonical_key, find_benchmark_set
from affect_lightning.corpora.official_folders import read_benchmark_set, read_training_set
from affect_lightning.corpora.sets import TRAINING_SETS, BenchmarkSet, Split
from affect_lightning.errors import ConfigurationError, DataError
from affect_lightning.label_strings import label_key
from affect_lightning.metrics import Taxonomy

NEUTRAL = "neutral"  # on no wheel; a class of its own beside the sectors
RarePolicy = Literal["error", "drop"]
_log = logging.getLogger(__name__)


def trained_classes(over: str, taxonomy: Taxonomy) -> Classes:
    """The closed classes that members are trained on: names, or the sectors of a wheel and `neutral`, which is on none.

    Raises:
        ConfigurationError: The text names no wheel that is there, fewer than two classes, or sentiment alone.
    """
    classes = Classes.named(over, taxonomy)
    return replace(classes, names=(*classes.names, NEUTRAL)) if classes.wheel else classes


@dataclass(frozen=True)
class LabelledClips:
    """Clips and their labels.

    Attributes:
        records: The clips.
        emotions: The class of each; None where it has none.
        sentiments: In [-1, 1]; None where it has none.
        sets: What was read, for the record: key, split, clips and a hash of the labels.
        without_class: Clips whose words name no class, or several.
    """

    records: tuple[ClipRecord, ...]
    emotions: tuple[str | None, ...]
    sentiments: tuple[float | None, ...]
    sets: tuple[str, ...]
    without_class: int = 0

    def __len__(self) -> int:
        return len(self.records)

    def some(self, places: Sequence[int]) -> LabelledClips:
        """Those of some positions."""
        return replace(
            self,
            records=tuple(self.records[place] for place in places),
            emotions=tuple(self.emotions[place] for place in places),
            sentiments=tuple(self.sentiments[place] for place in places),
        )


def read_labelled_clips(
    root: Path, names: Sequence[str], split: Split, classes: Classes, taxonomy: Taxonomy
) -> LabelledClips:
    """The clips of human-labelled sets that have an emotion among the classes, or a sentiment.

    Args:
        root: Folder that contains the sets' folders.
        names: Of the sets.
        split: Which part of benchmark sets; training sets have one part.
        classes: Of the emotions; for `sentiment`, words are not read.
        taxonomy: Of the wheels.

    Raises:
        DataError: A set cannot be read, or no clip of it can be learnt from.
        ConfigurationError: A set has no such part, or is named twice.
    """
    records: list[ClipRecord] = []
    emotions: list[str | None] = []
    sentiments: list[float | None] = []
    sets: list[str] = []
    without = 0
    for name in names:
        clips, scale = _read(root, name, split)
        words = [None if classes.is_sentiment else _class_of(clip.labels, classes, taxonomy) for clip in clips]
        values = [None if clip.sentiment is None else clip.sentiment / scale for clip in clips]
        useful = [place for place in range(len(clips)) if words[place] is not None or values[place] is not None]
        if not useful:
            raise DataError(
                f"Leave {name} out of --train, or name its classes with --over: none of its {len(clips)} clips has a "
                f"sentiment or exactly one of the classes {', '.join(classes.names)}."
            )
        without += sum(1 for place, clip in enumerate(clips) if clip.labels and words[place] is None)
        records += [clips[place] for place in useful]
        emotions += [words[place] for place in useful]
        sentiments += [values[place] for place in useful]
        told = f"{clips[0].corpus} {split}, {len(useful)} clips, SHA-256 {_digest(clips)[:16]}"
        if told in sets:
            raise ConfigurationError(f"Name each set once after --train; {name} stands there twice.")
        sets.append(told)
    if without and not classes.is_sentiment:
        _log.warning("%d labelled clips name none or several of the classes %s. Their words are not learnt.",
                     without, ", ".join(classes.names))  # fmt: skip
    return LabelledClips(tuple(records), tuple(emotions), tuple(sentiments), tuple(sets), without)


def _read(root: Path, name: str, split: Split) -> tuple[list[ClipRecord], float]:
    """The clips of a set, and the number by which its sentiments are divided."""
    if canonical_key(name, TRAINING_SETS) in TRAINING_SETS:
        clips = read_training_set(root, name, missing_subtitle="empty")
        return clips, _scale(clips, None)
    item = find_benchmark_set(name, root)
    if split == "train" and item.train_corpus_key is None:
        raise ConfigurationError(
            f"Add --split test, or leave {item.key} out of --train: {item.title} has no training part. With the test part, "
            f"do not report scores on this set of a model that learns from the filtered descriptions."
        )
    clips = read_benchmark_set(root, item.key, split=split, expected_count="any", missing_subtitle="empty")
    return clips, _scale(clips, item)


def _scale(clips: Sequence[ClipRecord], item: BenchmarkSet | None) -> float:
    if item is not None and item.sentiment_range is not None:
        return max(map(abs, item.sentiment_range))
    return max((abs(clip.sentiment) for clip in clips if clip.sentiment), default=1.0)


def _class_of(words: Sequence[str], classes: Classes, taxonomy: Taxonomy) -> str | None:
    found = set(classes.of_words(words, taxonomy))
    if NEUTRAL in classes.names:
        found |= {NEUTRAL for word in words if label_key(word) == NEUTRAL}
    return found.pop() if len(found) == 1 else None


def _digest(clips: Sequence[ClipRecord]) -> str:
    content = [[clip.name, list(clip.labels), clip.sentiment] for clip in clips]
    return hashlib.sha256(json.dumps(content, ensure_ascii=False).encode()).hexdigest()


def check_learnable(clips: LabelledClips, folds: int, rare: RarePolicy) -> tuple[LabelledClips, tuple[str, ...]]:
    """Refuse labels that cannot be cross-validated, or leave rare classes out.

    Args:
        clips: The labelled clips.
        folds: Of the cross-validation: a class with fewer clips is missing in a fold.
        rare: What to do with such a class: `error`, or `drop`, which is logged.

    Returns:
        The clips that are left, and the emotion classes that are learnt, sorted; none where no clip has an emotion.

    Raises:
        DataError: A class is rare, or only one is left; or the sentiments have one sign only.
    """
    counts = Counter(emotion for emotion in clips.emotions if emotion is not None)
    scarce = sorted(name for name, count in counts.items() if count < folds)
    if scarce:
        named = ", ".join(f"{name} ({counts[name]})" for name in scarce)
        if rare == "error":
            raise DataError(
                f"Bring more clips, lower --folds, or leave rare classes out with --rare drop: {folds} folds need {folds} clips "
                f"of each class, and there are fewer of {named}."
            )
        _log.warning("Classes with fewer than %d clips are left out: %s.", folds, named)
        emotions = tuple(None if emotion in scarce else emotion for emotion in clips.emotions)
        clips = replace(clips, emotions=emotions)
        clips = clips.some([
            place for place in range(len(clips)) if clips.emotions[place] is not None or clips.sentiments[place] is not None
        ])  # fmt: skip
    learnt = tuple(sorted(set(counts) - set(scarce)))
    signs = Counter(value > 0 for value in clips.sentiments if value)
    if len(learnt) == 1 or (not learnt and not signs):
        raise DataError(
            f"Bring clips of two classes or more: {shown(learnt) or 'none'} is all that {len(clips)} labelled clips show."
        )
    if signs and min(signs[True], signs[False]) < folds:
        raise DataError(
            f"Bring more clips or lower --folds: {folds} folds need {folds} clips with a positive and {folds} with a negative "
            f"sentiment; there are {signs[True]} and {signs[False]}."
        )
    return clips, learnt
