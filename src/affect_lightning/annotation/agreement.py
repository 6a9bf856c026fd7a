"""The stage `agree`: a description stays if its emotion, its sentiment or both agree with the crowd's.

Paper: Section 2, high-level filtering, and Table 4 (E, S and E+S). The labels are extracted from the description, their
sentiment from the labels. Two lists of words agree on a wheel if they share a sector of it (Section 4 gives the wheels;
the paper does not say on how many of them it asks, so this is an option).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, get_args

import numpy as np

from affect_lightning.annotation.stages import Stage, StageCost
from affect_lightning.annotation.tables import ClipTable
from affect_lightning.contracts import LabelExtractor
from affect_lightning.errors import ConfigurationError, DataError
from affect_lightning.label_strings import given_words, label_key
from affect_lightning.metrics import Taxonomy
from affect_lightning.unibench.scoring.predictions import Prediction
from affect_lightning.unibench.scoring.set_answers import answers_of

Rule: TypeAlias = Literal["E", "S", "E+S"]
RULES: tuple[str, ...] = get_args(Rule)


@dataclass(frozen=True)
class AgreementOptions:
    """When a description agrees with the crowd.

    Attributes:
        rule: `E` asks for the emotion, `S` for the sentiment, `E+S`, the best of Table 4, for both.
        wheels: Numbers of the wheels that are asked; empty, our choice, for all of the taxonomy.
        needed: On how many of these a sector must be shared; 1, our choice: on any.
        level: 1 for the inner ring, as in the paper's scores, 2 for the middle one.
        column: Of the descriptions.
        emotion: Column of the crowd's emotion: one class or a list of words.
        sentiment: Column of the crowd's sentiment.
        drops_undecided: Whether a clip goes of which the crowd says nothing that could be compared.
    """

    rule: Rule = "E+S"
    wheels: tuple[int, ...] = ()
    needed: int = 1
    level: int = 1
    column: str = "description"
    emotion: str = "crowd_emotion"
    sentiment: str = "crowd_sentiment"
    drops_undecided: bool = False

    def __post_init__(self) -> None:
        if self.rule not in RULES:
            raise ConfigurationError(f"Choose the rule from {', '.join(RULES)}; got {self.rule!r}.")
        if self.needed < 1 or (self.wheels and self.needed > len(self.wheels)):
            asked = f"{len(self.wheels)} wheels are asked" if self.wheels else "all wheels are asked"
            raise ConfigurationError(
                f"Ask for agreement on 1 wheel or more of those asked; got {self.needed}, and {asked}."
            )


def emotions_agree(
    described: Sequence[Sequence[str]],
    crowd: Sequence[Sequence[str]],
    taxonomy: Taxonomy,
    options: AgreementOptions,
) -> list[bool | None]:
    """Whether the emotion of each description agrees.

    Args:
        described: Words of each description.
        crowd: Words of the crowd for the same clips.
        taxonomy: Whose wheels.
        options: Which wheels, and how many of them.

    Returns:
        None where the crowd's words are on none of the wheels. The same word on both sides always agrees, so `neutral`,
        which is on no wheel, agrees with itself.

    Raises:
        ConfigurationError: The taxonomy has no such wheel, or too few.
    """
    count = len(taxonomy.wheels)
    unknown = [number for number in options.wheels if not 1 <= number <= count]
    if unknown or options.needed > count:
        raise ConfigurationError(
            f"Ask for wheels 1 to {count} of the taxonomy {taxonomy.name!r}; got wheels "
            f"{', '.join(map(str, options.wheels)) or 'all'}, {options.needed} of which must agree."
        )
    places = [number - 1 for number in options.wheels] or list(range(count))
    said, wanted = taxonomy.encode(described, options.level), taxonomy.encode(crowd, options.level)
    shared = ((said & wanted)[:, places] != 0).sum(1)
    known = (wanted[:, places] != 0).any(1)
    same = [bool(_keys(first) & _keys(second)) for first, second in zip(described, crowd, strict=True)]
    agree = np.asarray(same, dtype=np.bool_) | (shared >= options.needed)
    return [bool(right) if right or is_known else None for right, is_known in zip(agree, known, strict=True)]


def _keys(words: Sequence[str]) -> set[str]:
    return {label_key(word) for word in words}


def sentiments_agree(described: Sequence[str], crowd: Sequence[str | None]) -> list[bool | None]:
    """Whether the sentiment of each description is the crowd's; None where the crowd has none.

    >>> sentiments_agree(["positive", "negative", "neutral"], ["positive", "neutral", None])
    [True, False, None]
    """
    return [
        None if not theirs else label_key(ours) == label_key(theirs)
        for ours, theirs in zip(described, crowd, strict=True)
    ]


class AgreeStage(Stage[AgreementOptions]):
    """Adds labels and sentiment of each description, whether they agree with the crowd's, and whether the clip stays."""

    name = "agree"

    def __init__(self, options: AgreementOptions, extractor: LabelExtractor, taxonomy: Taxonomy) -> None:
        super().__init__(options)
        self._extractor = extractor
        self._taxonomy = taxonomy

    def check(self) -> None:
        """See `LabelExtractor.check`."""
        self._extractor.check()

    def parts(self) -> Mapping[str, str]:
        """The extractor and the taxonomy."""
        return {
            "label extractor": self._extractor.identity(),
            "taxonomy": f"{self._taxonomy.name}, SHA-256 {self._taxonomy.sha256[:16]}",
        }

    def cost(self, table: ClipTable) -> StageCost:
        """Questions of the extractor; descriptions that are not written yet count as one of their own for each clip."""
        written = self.options.column in table.columns
        texts = table.texts(self.options.column) if written else [f"not described yet: {name}" for name in table.names]
        asked = self._extractor.open_questions(texts)
        measured = {step: (one.answered, one.characters, None) for step, one in asked.items()}
        return StageCost({step: one.count for step, one in asked.items()}, measured)

    def columns_of(self, table: ClipTable) -> dict[str, Sequence[Any]]:
        """See the contract; the table needs the descriptions and what the crowd says of emotion, sentiment or both."""
        options = self.options
        texts = table.texts(options.column)
        clips = [Prediction(name, "descriptions", "", text) for name, text in zip(table.names, texts, strict=True)]
        read = answers_of("the descriptions", clips, self._extractor, by_sentiment=True)
        columns: dict[str, Sequence[Any]] = {
            "labels": [list(words) for words in read.labels],
            "sentiment": read.sentiments,
        }
        asked = []
        if "E" in options.rule:
            crowd = [
                _words(value, name) for name, value in zip(table.names, table.column(options.emotion), strict=True)
            ]
            columns["agrees.emotion"] = emotions_agree(read.labels, crowd, self._taxonomy, options)
            asked.append(columns["agrees.emotion"])
        if "S" in options.rule:
            columns["agrees.sentiment"] = sentiments_agree(read.sentiments, table.texts(options.sentiment))
            asked.append(columns["agrees.sentiment"])
        columns["kept.agree"] = [_stays(verdicts, options.drops_undecided) for verdicts in zip(*asked, strict=True)]
        return columns


def _stays(verdicts: Sequence[bool | None], drops_undecided: bool) -> bool:
    return all(verdict if verdict is not None else not drops_undecided for verdict in verdicts)


def _words(value: object, clip: str) -> tuple[str, ...]:
    if value is None:
        return ()
    if isinstance(value, str) or (isinstance(value, list) and all(isinstance(word, str) for word in value)):
        return given_words(value)
    raise DataError(f"The crowd's emotion must be a word or a list of words; the clip {clip} has {value!r:.60}.")
