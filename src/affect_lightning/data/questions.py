"""Which question a clip is asked, and which response is wanted (paper, Section 3.1: two questions, drawn at random).

A clip whose only truth is a sentiment value is asked for its sign, a question of ours. The texts are those of
`affect_lightning.prompting`. Neighbour: `dataset.py` asks once for every sample.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from affect_lightning.contracts import ClipRecord
from affect_lightning.data.quarantine import UnreadableClipError
from affect_lightning.errors import ConfigurationError
from affect_lightning.prompting import QUESTION_KINDS, question_text, response_text, sentiment_word

TEST_QUESTIONS = (*QUESTION_KINDS, "task")


@dataclass(frozen=True)
class QuestionDraw:
    """Draws between `describe` and `name`; the same clip in the same epoch is always asked the same.

    Attributes:
        describe_share: Share of samples that are asked for the description (default 0.5, the "hybrid" of the paper's
            training: one of the two at random each time; the even share is ours).
        seed: Of the draw.
    """

    describe_share: float = 0.5
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0.0 <= self.describe_share <= 1.0:
            raise ConfigurationError(f"describe_share must be between 0 and 1; got {self.describe_share}.")

    def ask(self, record: ClipRecord, epoch: int, index: int) -> tuple[str, str]:
        """Question and wanted response.

        A clip without a description is asked for the names, one without labels for the description, one that has
        neither but a sentiment value for the sentiment.

        Args:
            record: The clip.
            epoch: Counted from 0.
            index: The clip's position in its set.

        Raises:
            UnreadableClipError: The clip has no labels, description or sentiment, so there is nothing to learn.
        """
        drawn = random.Random(f"{self.seed}-{epoch}-{index}").random() < self.describe_share
        first, second = ("describe", "name") if drawn else ("name", "describe")
        for kind in (first, second):
            annotated = record.description if kind == "describe" else record.labels
            if annotated:
                wanted = response_text(kind, labels=record.labels, description=record.description)
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
    """Asks every clip the same question, or the one that its truth answers, and wants no particular response.

    For test and predict.

    Attributes:
        kind: `describe`, `name` (our default: the labels that MER-UniBench scores are words), `sentiment`, or `task`:
            `sentiment` for a clip whose only truth is a sentiment value, `name` for the others.
    """

    kind: str = "name"

    def __post_init__(self) -> None:
        if self.kind not in TEST_QUESTIONS:
            raise ConfigurationError(f"test_question must be one of {', '.join(TEST_QUESTIONS)}; got {self.kind!r}.")

    def ask(self, record: ClipRecord, epoch: int, index: int) -> tuple[str, str]:
        """The question, and an empty response."""
        if self.kind != "task":
            return question_text(self.kind), ""
        by_sentiment = record.sentiment is not None and not record.labels
        return question_text("sentiment" if by_sentiment else "name"), ""
