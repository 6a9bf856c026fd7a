"""Saved outputs as voters: what each output of a model says of a clip, as a class of a closed list.

Paper: Section 2, "model-based crowd-sourcing", and Appendix E (labels and sentiment out of a response). Outputs are
read as `score` reads them. Their words become sectors of one emotion wheel, names of a list of classes, or a sentiment;
what is none of these is an abstention.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from affect_lightning.annotation.tables import NAME, ClipTable
from affect_lightning.annotation.votes import Ballot
from affect_lightning.contracts import LabelExtractor
from affect_lightning.errors import ConfigurationError
from affect_lightning.label_strings import label_key
from affect_lightning.metrics import Taxonomy
from affect_lightning.unibench.scoring.prediction_files import Answer, read_answers
from affect_lightning.unibench.scoring.predictions import Prediction
from affect_lightning.unibench.scoring.set_answers import answers_of
from affect_lightning.unibench.scoring.unread_words import DEFAULT_LIMITS, WordReader, check_unread, unread_sentiments

VOTES = "votes."  # begins the names of the columns with a voter's classes
SENTIMENT = "sentiment"
SENTIMENTS = ("positive", "negative", "neutral")  # `mixed` is no opinion on which of them it is
_WHEEL = "wheel"
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Classes:
    """What a crowd votes over.

    Attributes:
        over: `sentiment`, `wheel1` to `wheel5`, or class names with commas between.
        names: The closed classes.
        wheel: Number of the wheel whose sectors they are; 0 for none.
    """

    over: str
    names: tuple[str, ...]
    wheel: int = 0

    @classmethod
    def named(cls, over: str, taxonomy: Taxonomy) -> Classes:
        """The classes that a text names.

        Raises:
            ConfigurationError: It names no wheel that is there, fewer than two classes, or a class that nobody knows.
        """
        if over == SENTIMENT:
            return cls(over, SENTIMENTS)
        number = over.removeprefix(_WHEEL)
        if over.startswith(_WHEEL) and number.isdecimal():
            return cls(over, taxonomy.sector_names(int(number)), int(number))
        names = tuple(dict.fromkeys(label_key(name) for name in over.split(",") if name.strip()))
        if len(names) < 2:
            raise ConfigurationError(
                f"A crowd votes over `sentiment`, a wheel such as `wheel1`, or two or more classes such as `happy,sad`; got "
                f"{over!r}."
            )
        reader = WordReader(taxonomy)
        unknown = next((name for name in names if not reader.knows(name)), None)
        if unknown is not None:
            near = taxonomy.nearest_forms(unknown)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise ConfigurationError(
                f"Name classes that are emotion words: {unknown!r} is none that the taxonomy {taxonomy.name!r} or the built-in "
                f"vocabulary has.{hint}"
            )
        return cls(over, names)

    @property
    def is_sentiment(self) -> bool:
        """Whether they are sentiments."""
        return self.over == SENTIMENT

    @property
    def column(self) -> str:
        """Column of the crowd's verdicts."""
        return f"crowd_{SENTIMENT if self.is_sentiment else 'emotion'}"

    def of_words(self, words: Sequence[str], taxonomy: Taxonomy) -> list[str]:
        """The classes that emotion words name, each once, in the order of the words."""
        found = [taxonomy.sector(word, self.wheel) if self.wheel else label_key(word) for word in words]
        return list(dict.fromkeys(name for name in found if name is not None and name in self.names))


def member_votes(
    key: str,
    outputs: Mapping[str, Sequence[Path]],
    classes: Classes,
    extractor: LabelExtractor,
    taxonomy: Taxonomy,
) -> ClipTable:
    """The votes of saved outputs: a row for each clip that any of them answers, a column `votes.NAME` for each output.

    Args:
        key: Of the set.
        outputs: Files by the voter's name, the most trusted voter first.
        classes: What they vote over.
        extractor: Asked only for labels and sentiments that are not saved.
        taxonomy: Of the wheels.

    Raises:
        DataError: A file is missing or broken.
        ConfigurationError: There are fewer than two voters.
    """
    if len(outputs) < 2:
        raise ConfigurationError(
            f"A crowd has two voters or more; got {', '.join(outputs) or 'none'}. Name more with --member."
        )
    votes: dict[str, dict[str, list[str]]] = {}
    for voter, paths in outputs.items():
        for clip, classes_of_clip in _of_output(
            voter, key, read_answers(paths, key), classes, extractor, taxonomy
        ).items():
            votes.setdefault(clip, {})[voter] = classes_of_clip
    names = sorted(votes)
    columns = {f"{VOTES}{voter}": [votes[name].get(voter, []) for name in names] for voter in outputs}
    return ClipTable.of_columns({NAME: names, **columns})


def _check_words(voter: str, clips: Sequence[Prediction], classes: Classes, taxonomy: Taxonomy) -> None:
    """Tell of given words that nobody can read, and stop where most are such."""
    if classes.is_sentiment:
        moods = [clip.given_sentiment for clip in clips if clip.given_sentiment is not None]
        labels = [clip.given_labels for clip in clips if clip.given_sentiment is None and clip.given_labels]
    else:
        moods, labels = [], [clip.given_labels for clip in clips if clip.given_labels]
    sides = (unread_sentiments(moods), WordReader(taxonomy, classes.names).unread("given labels", labels))
    remedy = "leave this member out, or correct its file."
    check_unread(f"the member {voter}", [side for side in sides if side.words], DEFAULT_LIMITS, remedy)


def _of_output(
    voter: str, key: str, answers: Mapping[str, Answer], classes: Classes, extractor: LabelExtractor, taxonomy: Taxonomy
) -> dict[str, list[str]]:
    clips = [
        Prediction(
            name,
            key,
            answer.question,
            answer.response or "",
            given_labels=answer.labels,
            given_sentiment=answer.sentiment,
            has_response=answer.response is not None,
        )
        for name, answer in sorted(answers.items())
    ]
    _check_words(voter, clips, classes, taxonomy)
    read = answers_of(key, clips, extractor, by_sentiment=classes.is_sentiment)
    if classes.is_sentiment:
        return {
            clip.name: [mood] if mood in classes.names else []
            for clip, mood in zip(clips, read.sentiments, strict=True)
        }
    votes = {clip.name: classes.of_words(words, taxonomy) for clip, words in zip(clips, read.labels, strict=True)}
    told = [words for words in read.labels if words]
    outside = sum(not classes.of_words(words, taxonomy) for words in told)
    if 2 * outside > len(told):
        _LOG.warning(
            "The member %s names no class for %d of its %d clips with words, such as %r, and abstains there. Check --over.",
            voter, outside, len(told), next(words[0] for words in told if not classes.of_words(words, taxonomy)),
        )  # fmt: skip
    return votes


def voters_of(table: ClipTable) -> list[str]:
    """The voters of a table, in the order of its columns."""
    return [name.removeprefix(VOTES) for name in table.columns if name.startswith(VOTES)]


def ballots_of(table: ClipTable) -> list[Ballot]:
    """The ballot of each clip; a column may hold one class or a list of them."""
    voters = voters_of(table)
    columns = [table.column(f"{VOTES}{voter}") for voter in voters]
    return [
        {voter: _classes(cell) for voter, cell in zip(voters, row, strict=True)} for row in zip(*columns, strict=True)
    ]


def _classes(cell: object) -> list[str]:
    if cell is None or cell == "":
        return []
    return [cell] if isinstance(cell, str) else [str(name) for name in cell]  # type: ignore[attr-defined]
