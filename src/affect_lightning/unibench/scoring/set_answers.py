"""Emotion words and sentiments of a set's predictions: as they were given, or out of the responses.

Paper: Appendix E. Labels and sentiments that come with a prediction are taken as they are; only what is not given is
extracted, out of responses that `prompting.cleaning` has freed of what is no answer. `SetAnswers.source` says which of the
two happened. `set_scoring.py` scores the outcome.
"""

from __future__ import annotations

import logging
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tqdm.auto import tqdm

from affect_lightning.contracts import LabelExtractor, OpenQuestions, Sentiment
from affect_lightning.contracts.label_checks import check_labels, check_sentiments
from affect_lightning.errors import DataError
from affect_lightning.plugin_loading import held_to_contract
from affect_lightning.prompting.cleaning import KINDS, clean_response
from affect_lightning.sentiment_strings import (
    SENTIMENT_WORDS,
    main_sentiment,
    names_polarity,
    one_sided,
    read_sentiment,
    told_number,
)
from affect_lightning.unibench.scoring.predictions import Prediction
from affect_lightning.unibench.scoring.stated_sentiments import stated_sentiment

GIVEN_LABELS = "given labels"
GIVEN_SENTIMENTS = "given sentiments"
_REFUSED = "refused"  # counted beside the kinds of what was removed: a refusal that nothing follows
_FAILED = "failed"  # likewise: an error message in the place of an answer
_COUNTED = {  # what becomes of a clip without an answer, in a set of emotions and in one of sentiment
    False: "They count as wrong.",
    True: "They count as not positive, which is right where the truth is negative.",
}
_MIXED = "mixed"
_SAYS_BOTH = "%s: %d %s say both sentiments and weigh neither, such as %r. %s"
_VALUED = ("positive", "negative", "neutral")
_SHOWN = 80  # characters of a response that are shown; our choice
_LOG = logging.getLogger(__name__)
_EXTRACTION_BATCH = 256  # responses given to the extractor at once; our choice: keeps its progress visible


@dataclass(frozen=True)
class SetAnswers:
    """What the predictions of one set say, in their order.

    Attributes:
        labels: Emotion words; empty where there are none, or where a sentiment was given without words.
        sentiments: Empty texts for sets that are not scored by sentiment.
        source: Where the labels or sentiments come from: identity of the extractor, or what was given.
        unparsable: Predictions out of which no label came, or no sentiment where sentiments were given; clips without
            a prediction do not count.
        labels_per_response: Mean number of labels; None where only sentiments were given.
        cleaned: Responses from which something was removed before labels were read, by kind (`prompting.cleaning.KINDS`).
        refused: Responses that refuse, say that nothing can be told, or are the message of a call that failed.
    """

    labels: list[tuple[str, ...]]
    sentiments: list[str]
    source: str
    unparsable: int
    labels_per_response: float | None
    cleaned: Mapping[str, int] = field(default_factory=dict)
    refused: int = 0


class DeferredExtractor(LabelExtractor):
    """A label extractor that is built when it is first asked, so that given labels load no model."""

    def __init__(self, build: Callable[[], LabelExtractor]) -> None:
        self._build = build
        self._built: LabelExtractor | None = None

    @property
    def built(self) -> LabelExtractor:
        """The extractor itself, built now if it was not yet."""
        if self._built is None:
            self._built = self._build()
        return self._built

    def extract(self, responses: Sequence[str]) -> list[list[str]]:
        """See the contract."""
        return self.built.extract(responses)

    def sentiment(self, labels: Sequence[Sequence[str]]) -> list[Sentiment]:
        """See the contract."""
        return self.built.sentiment(labels)

    def open_questions(self, responses: Sequence[str]) -> Mapping[str, OpenQuestions]:
        """See the contract."""
        return self.built.open_questions(responses)

    def check(self) -> None:
        """See the contract."""
        self.built.check()

    def identity(self) -> str:
        """See the contract."""
        return self.built.identity()


def _itself(extractor: LabelExtractor) -> LabelExtractor:
    """The plugin, for messages about it."""
    return extractor.built if isinstance(extractor, DeferredExtractor) else extractor


def answers_of(key: str, group: Sequence[Prediction], extractor: LabelExtractor, by_sentiment: bool) -> SetAnswers:
    """The labels, and for a sentiment set the sentiments, of its predictions.

    A clip without a prediction has no labels, which is a miss for hit rate and F_S; for a sentiment set it gets the
    opposite of its truth, because "nothing said" would be right for every negative clip. A response to it that tells a
    sentiment and no emotion, such as "Sentiment score: -0.6", has the sentiment's word as its label.

    Args:
        key: Of the set.
        group: Its predictions.
        extractor: Asked only for what is not given.
        by_sentiment: Whether the set is scored by sentiment.

    Raises:
        DataError: A prediction has neither labels nor a response, which the set's metric needs.
        ContractError: The extractor breaks its contract; see `contracts.conformance`.
    """
    labels: list[tuple[str, ...]] = [()] * len(group)
    cleaned: Counter[str] = Counter()
    sources: Counter[str] = Counter()
    open_responses: list[int] = []
    has_labels: list[int] = []
    for index, prediction in enumerate(group):
        if prediction.missing:
            continue
        if prediction.given_labels is not None:
            labels[index] = prediction.given_labels
            has_labels.append(index)
            if not by_sentiment or prediction.given_sentiment is None:
                sources[GIVEN_LABELS] += 1
        elif not (by_sentiment and prediction.given_sentiment is not None):
            open_responses.append(index)
            _check_response(key, prediction)
    empty = sum(not labels[index] for index in has_labels)
    if 2 * empty > len(has_labels):
        counted = _COUNTED[by_sentiment]
        _LOG.warning("%s: %d of %d given lists of labels are empty. %s", key, empty, len(has_labels), counted)
    if open_responses:
        asked = ((group[index].response, group[index].question) for index in open_responses)
        found, cleaned = _extract(extractor, asked, key, by_sentiment)
        for index, words in zip(open_responses, found, strict=True):
            labels[index] = words
        has_labels += open_responses
        silent = [group[index].response for index in open_responses if not labels[index]]
        _warn_of_silence(key, silent, len(open_responses), cleaned[_REFUSED], _COUNTED[by_sentiment])
        sources[extractor.identity()] += len(open_responses)
    sentiments = _sentiments(key, extractor, group, labels, sources) if by_sentiment else [""] * len(group)
    return SetAnswers(
        labels=labels,
        sentiments=sentiments,
        source=_source_text(sources),
        unparsable=_unparsable(group, labels, by_sentiment),
        labels_per_response=sum(len(labels[i]) for i in has_labels) / len(has_labels) if has_labels else None,
        cleaned={kind: cleaned[kind] for kind in KINDS if cleaned[kind]},
        refused=cleaned[_REFUSED],
    )


def _warn_of_silence(key: str, silent: Sequence[str], asked: int, refused: int, counted: str) -> None:
    """Say when most responses give no label and do not refuse: then they are seldom answers."""
    number = len(silent) - refused
    if 2 * number > asked:
        _LOG.warning(
            "%s: %d of %d responses give no label and do not refuse, such as %r. %s Check that they are answers to the "
            "question.",
            key, number, asked, next((text for text in silent if text), "")[:_SHOWN], counted,
        )  # fmt: skip


def answers_by_question(
    predictions: Sequence[Prediction], extractor: LabelExtractor
) -> dict[tuple[str, str, str], dict[str, Any]]:
    """Labels and sentiment of responses, as they stand beside these in a file.

    Args:
        predictions: With responses, of any sets.
        extractor: Reads them.

    Returns:
        `labels` and `sentiment` by corpus, clip and question.
    """
    answers = answers_of("the responses", predictions, extractor, by_sentiment=True)
    return {
        (prediction.corpus, prediction.name, prediction.question): {"labels": list(labels), "sentiment": sentiment}
        for prediction, labels, sentiment in zip(predictions, answers.labels, answers.sentiments, strict=True)
    }


def _check_response(key: str, prediction: Prediction) -> None:
    if not prediction.has_response:
        raise DataError(
            f"The prediction for the clip {prediction.name} of {key} has only a sentiment, but {key} is scored by its "
            f"emotion words. Give responses or labels."
        )


def _extract(
    extractor: LabelExtractor, asked: Iterable[tuple[str, str]], key: str, by_sentiment: bool
) -> tuple[list[tuple[str, ...]], Counter[str]]:
    """Labels of responses to questions, and what was removed from the responses before.

    Each distinct response is asked about once, and equal lists of labels are one object.
    """
    numbers: dict[tuple[str, str], int] = {}
    order = array("L", (numbers.setdefault(pair, len(numbers)) for pair in asked))
    counts = Counter(order)
    distinct = list(numbers)
    del numbers
    removed: Counter[str] = Counter()
    lists: dict[tuple[str, ...], tuple[str, ...]] = {}
    told = _ToldSentiments()
    failed = ""
    labels: list[tuple[str, ...]] = []
    starts = range(0, len(distinct), _EXTRACTION_BATCH)
    for start in tqdm(starts, desc=f"labels of {key}", unit="batch", disable=len(starts) < 2, leave=False):
        batch = distinct[start : start + _EXTRACTION_BATCH]
        clean = [clean_response(*pair) for pair in batch]
        with held_to_contract(_itself(extractor)):
            found = check_labels(extractor.extract([response.text for response in clean]), count=len(batch))
        for number, (response, listed) in enumerate(zip(clean, found, strict=True), start=start):
            weighed = by_sentiment and all(map(names_polarity, listed))
            words = told.weighed(response.text, listed) if weighed else listed
            stated = stated_sentiment(distinct[number][0]) if by_sentiment else None
            if stated and (not weighed or list(words) == ["neutral"]):  # an emotion beside it says less
                words = [stated]
            failed = failed or (distinct[number][0] if response.failed else "")
            labels.append(lists.setdefault(tuple(words), tuple(words)))
            removed.update(dict.fromkeys(response.removed, counts[number]))
            removed[_REFUSED] += counts[number] * response.refused
            removed[_FAILED] += counts[number] * response.failed
    told.warn(key)
    if removed[_FAILED]:
        _LOG.warning(
            "%s: ask the model again: %d of %d responses are the message of a call that failed, such as %r. %s",
            key, removed[_FAILED], len(order), failed[:_SHOWN], _COUNTED[by_sentiment],
        )  # fmt: skip
    return [labels[number] for number in order], removed


class _ToldSentiments:
    """Sentiments that responses tell without an emotion word: as a number, stars, a degree, or by their names."""

    def __init__(self) -> None:
        self._numbers: set[float] = set()
        self._mixed: list[str] = []

    def weighed(self, text: str, names: Sequence[str]) -> Sequence[str]:
        """The words of a response that has no other labels than names of sentiments; nothing where it says both."""
        main = main_sentiment(text)
        if main or not names:
            return (main,) if main else self.of(text)
        if len(text) <= _SHOWN:  # all of it is about the sentiment: what cannot be read is counted, not guessed
            return self.of(text)
        return [read_sentiment(name) or name for name in names]

    def of(self, text: str) -> tuple[str, ...]:
        """The word of the sentiment that a response tells; nothing if it tells none."""
        word = read_sentiment(text) if text else None
        self._mixed += [text] if word == _MIXED else []
        number = told_number(text) if word in _VALUED else None
        self._numbers |= set() if number is None else {number}
        return (word,) if word in _VALUED and word is not None else ()

    def warn(self, key: str) -> None:
        """Say when the numbers look like classes, stars or probabilities, and when responses say both sentiments."""
        if self._mixed:
            _LOG.warning(_SAYS_BOTH, key, len(self._mixed), "responses", self._mixed[0][:_SHOWN], _COUNTED[True])
        warning = one_sided(self._numbers)
        if warning:
            _LOG.warning(warning, key, "that responses give as a sentiment", min(self._numbers), max(self._numbers))


def _sentiments(
    key: str,
    extractor: LabelExtractor,
    group: Sequence[Prediction],
    labels: Sequence[Sequence[str]],
    sources: Counter[str],
) -> list[str]:
    sentiments = [prediction.given_sentiment or "" for prediction in group]
    if _MIXED in sentiments:
        _LOG.warning(_SAYS_BOTH, key, sentiments.count(_MIXED), "given sentiments", _MIXED, _COUNTED[True])
    given = sum(prediction.given_sentiment is not None for prediction in group)
    if given:
        sources[GIVEN_SENTIMENTS] += given
    asked = [i for i, prediction in enumerate(group) if prediction.given_sentiment is None and not prediction.missing]
    if asked:
        with held_to_contract(_itself(extractor)):
            found = check_sentiments(extractor.sentiment([labels[index] for index in asked]), count=len(asked))
        for index, sentiment in zip(asked, found, strict=True):
            sentiments[index] = sentiment
        if sources.pop(GIVEN_LABELS, 0):
            sources[f"{GIVEN_LABELS}, their sentiment by {extractor.identity()}"] += len(asked)
    for index, prediction in enumerate(group):
        if prediction.missing:
            sentiments[index] = "negative" if (prediction.truth_sentiment or 0.0) > 0 else "positive"
    return sentiments


def _unparsable(group: Sequence[Prediction], labels: Sequence[Sequence[str]], by_sentiment: bool) -> int:
    count = 0
    for prediction, words in zip(group, labels, strict=True):
        if prediction.missing:
            continue
        if by_sentiment and prediction.given_sentiment is not None:
            count += prediction.given_sentiment not in SENTIMENT_WORDS
        else:
            count += not words
    return count


def _source_text(sources: Counter[str]) -> str:
    if len(sources) == 1:
        return next(iter(sources))
    return "; ".join(f"{source} ({count} clips)" for source, count in sources.items()) or "no predictions"
