"""How many given and true words could not be read: the share that says whether a score means anything.

Paper: Section 4 maps labels onto emotion wheels. A word that no wheel and no vocabulary has, such as `exc` or two words with
a separator that nobody knows, counts as a miss on one side and drops the clip on the other, so a slip in a file looks like a
bad model. Above one share the score warns, above another it stops. `set_scoring.py` asks, the report shows the shares.
"""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from affect_lightning.errors import ConfigurationError, DataError
from affect_lightning.label_strings import label_key
from affect_lightning.metrics import Taxonomy
from affect_lightning.metrics.builtin import builtin_valences
from affect_lightning.sentiment_strings import SENTIMENT_WORDS

_MOVES = "`--max-unread PERCENT` (in a test `benchmark.max_unread`) moves this bound."
_CHINESE = re.compile(r"[\u4e00-\u9fff]")
_MARKS = re.compile(r"</?\w+>?|\bthink>|^[\[\]{}]$|```|^json$")
_ONLY_NUMBER = re.compile(r"[\[({'\"]*[+-]?\d+(?:[.,]\d+)?[\])}'\"]*[.]?")
_SENTENCE_WORDS = 4  # from which a word is a sentence; our choice
_SHOWN = 5  # unread words that are named; our choice
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class ReadingLimits:
    """From which share of unread words a score warns, and stops.

    Attributes:
        warning: Percent of the words; 5 is our choice: the authors' saved labels have 1.3, the truths of OV-MERD 4.4.
        stop: Percent of the words; 50 is our choice: then most of a side was not read.
    """

    warning: float = 5.0
    stop: float = 50.0

    def __post_init__(self) -> None:
        for name in ("warning", "stop"):
            if not 0 <= getattr(self, name) <= 100:
                raise ConfigurationError(
                    f"Give a share of unread words from 0 to 100 percent; got {getattr(self, name)!r} for the {name}."
                )


DEFAULT_LIMITS = ReadingLimits()


@dataclass(frozen=True)
class UnreadWords:
    """The words of one side of a set.

    Attributes:
        kind: `given labels`, `true labels` or `given sentiments`.
        words: All of them.
        unread: Those that could not be read.
        commonest: The most frequent ones of these, each with its number.
    """

    kind: str
    words: int
    unread: int
    commonest: tuple[tuple[str, int], ...] = ()

    @property
    def percent(self) -> float:
        """Share of the unread words."""
        return 100.0 * self.unread / self.words if self.words else 0.0

    @property
    def text(self) -> str:
        """Share, numbers and examples, for tables."""
        named = ", ".join(f"{word!r}" for word, _ in self.commonest)
        return f"{self.percent:.1f}% ({self.unread:,} of {self.words:,})" + (f": {named}" if named else "")

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> UnreadWords:
        """Read it out of report.json; raises KeyError or TypeError if it is something else."""
        commonest = tuple((str(word), int(number)) for word, number in values["commonest"])
        return cls(str(values["kind"]), int(values["words"]), int(values["unread"]), commonest)


class WordReader:
    """Whether a word can be read: a wheel of the taxonomy or the built-in vocabulary has it.

    Args:
        taxonomy: Whose wheels.
        others: Further words that count as known, in lower case.
    """

    def __init__(self, taxonomy: Taxonomy, others: Iterable[str] = ()) -> None:
        self._taxonomy = taxonomy
        self._known: dict[str, bool] = dict.fromkeys(others, True)

    def knows(self, word: str) -> bool:
        """Whether a wheel or the vocabulary has the word, in any case."""
        key = label_key(word)
        if key not in self._known:
            self._known[key] = key in builtin_valences() or self._taxonomy.knows(key)
        return self._known[key]

    def unread(self, kind: str, lists: Iterable[Sequence[str]]) -> UnreadWords:
        """The unread words of label lists."""
        words: Counter[str] = Counter()
        for labels, number in Counter(map(tuple, lists)).items():
            for word in labels:
                words[word] += number
        return _unread(kind, words, {word for word in words if not self.knows(word)})


def unread_sentiments(sentiments: Iterable[str]) -> UnreadWords:
    """The given sentiments that are none."""
    words = Counter(sentiments)
    return _unread("given sentiments", words, {word for word in words if word not in SENTIMENT_WORDS})


def check_numbers(title: str, responses: Iterable[str], limits: ReadingLimits) -> None:
    """Stop where responses are class codes: a number names no emotion, so that every clip would count as wrong.

    Args:
        title: Of the set, which is scored by emotion words.
        responses: Those of its clips; empty ones do not count.
        limits: The shares.

    Raises:
        DataError: More than `limits.stop` percent of the responses are nothing but a number.
    """
    answered, numbers = 0, Counter[str]()  # of these alone the texts are kept: a million responses are no small thing
    for text in filter(None, map(str.strip, responses)):
        answered += 1
        if _ONLY_NUMBER.fullmatch(text):
            numbers[text] += 1
    if 100.0 * numbers.total() > limits.stop * answered:
        side = replace(_unread("responses", numbers, {*numbers}), words=answered)
        raise DataError(
            f"Write the words of the classes in place of their numbers: {side.percent:.0f}% of the responses of {title} "
            f"({side.unread:,} of {side.words:,}) are nothing but a number, such as {_examples(side)}. The set is scored by "
            f"emotion words, and which class a number means stands in no file: map your model's codes to words. A score would "
            f"mean nothing above {limits.stop:g}%; {_MOVES}"
        )


def _unread(kind: str, words: Counter[str], unread: set[str]) -> UnreadWords:
    missed = Counter({word: words[word] for word in unread})
    commonest = sorted(missed.items(), key=lambda item: (-item[1], item[0]))[:_SHOWN]
    return UnreadWords(kind, words.total(), missed.total(), tuple(commonest))


def check_unread(title: str, found: Iterable[UnreadWords], limits: ReadingLimits, remedy: str = _MOVES) -> None:
    """Warn of words that could not be read, or stop.

    Args:
        title: Of the set.
        found: Its sides.
        limits: The shares.
        remedy: What else the user may do; by default, how `score` and `test` move the bound.

    Raises:
        DataError: The share of a side is above `limits.stop`.
    """
    for side in found:
        if side.percent > limits.stop:
            raise DataError(
                f"Check how the {side.kind} of {title} are written: {side.percent:.0f}% of them ({side.unread:,} of "
                f"{side.words:,}) could not be read, such as {_examples(side)}. Expected {_expected(side)}.{_chinese(side)} "
                f"A score would "
                f"mean nothing above {limits.stop:g}%; {remedy}"
            )
        if side.percent > limits.warning:
            _LOG.warning(
                "%s: %.1f%% of the %s (%d of %d) could not be read; the commonest: %s. They count as no emotion.",
                title, side.percent, side.kind, side.unread, side.words, _examples(side),
            )  # fmt: skip


def _chinese(side: UnreadWords) -> str:
    """What to do with sentences, thoughts and Chinese words, which only the reader of responses knows."""
    if side.kind == "given labels" and any(_is_response(word) for word, _ in side.commonest):
        return " Let the label extractor read responses: name their column as one, `--column response=labels`."
    if not any(_CHINESE.search(word) for word, _ in side.commonest):
        return ""
    if side.kind == "given labels":
        return " Let the label extractor read Chinese ones: name their column as responses, `--column response=NAME`."
    return (
        " Write positive or negative, or 积极 or 消极."
        if side.kind == "given sentiments"
        else " Translate Chinese ones."
    )


def _is_response(word: str) -> bool:
    """Whether what should be a word is a sentence, a thought's mark or a piece of JSON."""
    return len(word.split()) >= _SENTENCE_WORDS or bool(_MARKS.search(word))


def _examples(side: UnreadWords) -> str:
    return ", ".join(f"{word[:60]!r} ({number:,})" for word, number in side.commonest)


def _expected(side: UnreadWords) -> str:
    if side.kind == "given sentiments":
        return "positive, negative, neutral, or a number"
    return "English emotion words, one or several, such as ['happy', 'calm'] or happy; calm"
