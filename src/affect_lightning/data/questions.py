"""What a clip is asked, and the response that is wanted (paper, Section 3.1: the question is drawn from two).

The texts are those of `affect_lightning.prompting`. A clip whose only truth is a sentiment value is asked for its sign, a
question of ours. A clip of a training set that brings questions of its own is asked its own (Table 3). `dataset.py` asks.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Literal, Protocol, get_args

from affect_lightning.contracts import ClipRecord
from affect_lightning.data.quarantine import UnreadableClipError
from affect_lightning.errors import ConfigurationError
from affect_lightning.prompting import (
    QUESTION_KINDS,
    asked_text,
    given_question,
    is_own_question,
    question_text,
    response_text,
    sentiment_word,
)

TEST_QUESTIONS = (*QUESTION_KINDS, "task")
NoWords = Literal["describe", "neutral"]


@dataclass(frozen=True)
class QuestionDraw:
    """Draws between `describe` and `name`; the same clip in the same epoch is always asked the same.

    Attributes:
        describe_share: Share of samples that are asked for the description (default 0.5: the "hybrid" of the paper's
            training draws one of the two at random each time, and the authors' released code draws evenly).
        seed: Of the draw.
        no_words: A clip with a description and no words is always asked to `describe` (our choice), or is asked for the
            names as often as others and wants the word `neutral` (the authors' released code).
    """

    describe_share: float = 0.5
    seed: int = 0
    no_words: NoWords = "describe"

    def __post_init__(self) -> None:
        if not 0.0 <= self.describe_share <= 1.0:
            raise ConfigurationError(f"describe_share must be between 0 and 1; got {self.describe_share}.")
        if self.no_words not in get_args(NoWords):
            raise ConfigurationError(f"no_words must be describe or neutral; got {self.no_words!r}.")

    def ask(self, record: ClipRecord, epoch: int, index: int) -> tuple[str, str]:
        """Question and wanted response.

        A clip that brings its question is asked that. A clip without a description is asked for the names, one without
        labels for the description, one that has neither but a sentiment value for the sentiment.

        Args:
            record: The clip.
            epoch: Counted from 0.
            index: The clip's position in its set.

        Raises:
            UnreadableClipError: The clip has no labels, description or sentiment, so there is nothing to learn.
        """
        if record.question and record.description:
            return given_question(record.question), record.description
        drawn = random.Random(f"{self.seed}-{epoch}-{index}").random() < self.describe_share
        first, second = ("describe", "name") if drawn else ("name", "describe")
        unnamed = self.no_words == "neutral" and record.description and not record.labels
        labels = ("neutral",) if unnamed else record.labels
        for kind in (first, second):
            annotated = record.description if kind == "describe" else labels
            if annotated:
                wanted = response_text(kind, labels=labels, description=record.description)
                return question_text(kind), wanted
        if record.sentiment is not None:
            word = sentiment_word(record.sentiment)
            return question_text("sentiment"), response_text("sentiment", labels=[word], description="")
        raise UnreadableClipError(
            record.video or record.audio,
            "annotation",
            "it has no emotion words, no description and no sentiment to learn from.",
        )


@dataclass(frozen=True)
class OneQuestion:
    """Asks every clip the same question, or the one that its truth answers, and needs no particular response.

    For test and predict.

    Attributes:
        kind: `describe`, `name` (our default: the labels that MER-UniBench scores are words), `sentiment`, or `task`:
            `sentiment` for a clip whose only truth is a sentiment value, `name` for the others. Or a text of one's own.
    """

    kind: str = "name"

    def __post_init__(self) -> None:
        if self.kind not in TEST_QUESTIONS and not is_own_question(self.kind):
            kinds = ", ".join(TEST_QUESTIONS)
            raise ConfigurationError(f"test_question must be one of {kinds}, or your own question; got {self.kind!r}.")

    def ask(self, record: ClipRecord, epoch: int, index: int) -> tuple[str, str]:
        """The question, and an empty response."""
        if self.kind != "task":
            return asked_text(self.kind), ""
        by_sentiment = record.sentiment is not None and not record.labels
        return question_text("sentiment" if by_sentiment else "name"), ""


class Questioner(Protocol):
    """What asks: `QuestionDraw` or `OneQuestion`."""

    def ask(self, record: ClipRecord, epoch: int, index: int) -> tuple[str, str]:
        """Question and wanted response for a clip."""
