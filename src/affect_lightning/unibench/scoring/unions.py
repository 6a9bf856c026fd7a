"""The union of several outputs' labels: what an audio model, a video model and others name together on each clip.

Paper: Table 10 (Appendix F) compares describers of sound and of pictures, alone and together. Each output is read by itself, by
the one reader of labels and, where it has responses only, by the extractor; then each clip has every word that any output
names. `suite_scoring.py` pairs each output with the truths and scores what comes out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from affect_lightning.contracts import LabelExtractor
from affect_lightning.errors import ConfigurationError
from affect_lightning.label_strings import label_key
from affect_lightning.unibench.scoring.predictions import Prediction
from affect_lightning.unibench.scoring.scores import SetScore
from affect_lightning.unibench.scoring.set_answers import SetAnswers, answers_of


@dataclass(frozen=True)
class UnitedOutput:
    """What one output brought to a union.

    Attributes:
        name: File, or folder of files.
        extractor: Where its labels come from.
        without_a_label: Its predictions without a label.
        refused: Its responses that refuse.
        cleaned: Its responses from which something was removed, by what it was.
    """

    name: str
    extractor: str
    without_a_label: int
    refused: int
    cleaned: Mapping[str, int] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "output": self.name,
            "extractor": self.extractor,
            "without_a_label": self.without_a_label,
            "refused": self.refused,
            "cleaned": dict(self.cleaned),
        }


def united(
    key: str, groups: Mapping[str, Sequence[Prediction]], extractor: LabelExtractor
) -> tuple[tuple[Prediction, ...], tuple[UnitedOutput, ...]]:
    """The predictions of a set whose labels are those of all outputs.

    Args:
        key: Of the set.
        groups: The predictions of each output by its name, for the same clips in the same order.
        extractor: Asked only for labels that an output does not give.

    Returns:
        A prediction for each clip with every word once, in the order of the outputs; it is missing only where it is missing
        in every output. And what each output brought.

    Raises:
        ConfigurationError: The set is scored by sentiment.
        DataError: An output has neither labels nor responses.
    """
    if any(clip.truth_sentiment is not None and not clip.truth_labels for group in groups.values() for clip in group):
        raise ConfigurationError(
            f"Leave out --union: {key} is scored by sentiment, and only emotion words can be united. To let several "
            f"outputs vote on a sentiment, use `affect-lightning annotate crowd`."
        )
    answers = {name: answers_of(key, group, extractor, by_sentiment=False) for name, group in groups.items()}
    clips = [
        _united_clip(clip, [found.labels[number] for found in answers.values()])
        for number, clip in enumerate(zip(*groups.values(), strict=True))
    ]
    return tuple(clips), tuple(_brought(name, found) for name, found in answers.items())


def _united_clip(clips: Sequence[Prediction], labels: Sequence[Sequence[str]]) -> Prediction:
    words: dict[str, str] = {}
    for word in (word for listed in labels for word in listed):
        words.setdefault(label_key(word), word)
    told = [clip.response for clip in clips if clip.response]
    return replace(
        clips[0],
        response="\n".join(told),
        given_labels=tuple(words.values()),
        given_sentiment=None,
        missing=all(clip.missing for clip in clips),
        has_response=bool(told),
        generated=any(clip.generated for clip in clips),
    )


def _brought(name: str, answers: SetAnswers) -> UnitedOutput:
    return UnitedOutput(name, answers.source, answers.unparsable, answers.refused, answers.cleaned)


def told_of_union(score: SetScore, outputs: Sequence[UnitedOutput]) -> SetScore:
    """The score of a union, with what was counted when its outputs were read."""
    sources = list(dict.fromkeys(output.extractor for output in outputs))
    cleaned: Counter[str] = Counter()
    for output in outputs:
        cleaned.update(output.cleaned)
    return replace(
        score,
        extractor=f"union of {len(outputs)} outputs: {'; '.join(sources)}",
        cleaned=dict(cleaned),
        refused=sum(output.refused for output in outputs),
    )


def _twice(paths: Sequence[Path]) -> Path:
    return next(path for path in paths if list(paths).count(path) > 1)


def names_of_outputs(paths: Sequence[Path], options: str = "--predictions and --union name") -> list[str]:
    """A name for each output: its file's, with its folder's before where that alone tells them apart.

    Args:
        paths: Of the outputs.
        options: Which options name them, with the verb, for the message.

    Raises:
        ConfigurationError: Two are the same.

    >>> names_of_outputs([Path("a/x.csv"), Path("b/x.csv")]), names_of_outputs([Path("a/x.csv"), Path("b/y.csv")])
    (['a/x', 'b/x'], ['x', 'y'])
    """
    for parts in range(1, max((len(path.parts) for path in paths), default=1) + 1):
        names = ["/".join(path.with_suffix("").parts[-parts:]) for path in paths]
        if len(set(names)) == len(names):
            return names
    raise ConfigurationError(f"Name each output once: {options} {_twice(paths)} more than once, which adds nothing.")
