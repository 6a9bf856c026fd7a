"""Scores that lie one level deeper than `{"sad": 0.8}`: of objects, lists of one, lists of objects, or a list beside the words.

`{"sad": {"prob": 0.8}}`, `[{"sad": 0.8}, {"calm": 0.1}]` and `{"labels": ["sad", "calm"], "scores": [0.8, 0.1]}` are brought into
the form that `structure.py` reads. Neighbours: `structure.py`, `loose_objects.py`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from affect_lightning.label_strings import NAMES_EMOTIONS, RANKED, best_words
from affect_lightning.prompting.cleaning.keyed_lines import MEASURE, is_beside, worth_of

_DEEPEST = 8  # levels that are followed; our choice
_SCORE = re.compile(
    r"^(?:p|scores?|probs?|probability|confidence|likelihood|logprobs?|weight|value|(?:is[_ ])?(?:present|detected|observed)"
    r"|概率|得分|分数|置信度)$",
    re.I,
)
_SCORES = re.compile(r"^(?:scores?|probs?|probabilities|confidences?|likelihoods?|weights|logprobs)$", re.IGNORECASE)
_IS = re.compile(r"^(?:is|has)[_ ](?=[a-z])", re.IGNORECASE)


def with_plain_scores(value: Any, depth: int = 0) -> Any:
    """The value with scores beside their words, as far as it has any; anything else as it is.

    >>> with_plain_scores({"sad": {"prob": 0.7}, "calm": {"prob": 0.1}}), with_plain_scores([{"sad": 0.7}, {"calm": 0.2}])
    ({'sad': 0.7, 'calm': 0.1}, {'sad': 0.7, 'calm': 0.2})
    >>> with_plain_scores({"labels": ["sad", "calm"], "scores": [0.8, 0.1]})
    {'labels': ['sad']}
    """
    if depth > _DEEPEST:
        return value
    if isinstance(value, list):
        merged = _merged(value)
        return [with_plain_scores(item, depth + 1) for item in value] if merged is None else merged
    if not isinstance(value, Mapping):
        return value
    beside = _words_of_two_lists(value)
    if beside is not None:
        return beside
    numbers = {key: _number_in(item) for key, item in value.items()}
    if value and None not in numbers.values() and not any(map(_names_something, value)):
        return {_IS.sub("", str(key)): number for key, number in numbers.items()}
    return {key: with_plain_scores(item, depth + 1) for key, item in value.items()}


def _names_something(key: Any) -> bool:
    return bool(
        NAMES_EMOTIONS.match(str(key)) or RANKED.match(str(key)) or is_beside(str(key)) or MEASURE.search(str(key))
    )


def _number_in(item: Any) -> Any:
    """The one score of an object or of a list of one; yes, no and plain numbers are their own."""
    if isinstance(item, Mapping):
        if any(isinstance(word, str) and NAMES_EMOTIONS.match(str(key)) for key, word in item.items()):
            return None  # its word stands inside
        scores = [_worth(number) for key, number in item.items() if _SCORE.match(str(key))]
        scores = [number for number in scores if isinstance(number, int | float)]
        return scores[0] if len(scores) == 1 else None
    if isinstance(item, list):
        return item[0] if len(item) == 1 and isinstance(item[0], int | float) else None
    return item if isinstance(item, int | float) else None


def _worth(item: Any) -> Any:
    """Of yes and no in words, what they are worth; anything else as it is."""
    worth = worth_of(item) if isinstance(item, str) else None
    return item if worth is None else worth


def _merged(items: list[Any]) -> dict[str, Any] | None:
    """`[{"sad": 0.7}, {"calm": 0.2}]` as one object."""
    found: dict[str, Any] = {}
    for item in items:
        if not isinstance(item, Mapping) or len(item) != 1:
            return None
        ((key, number),) = item.items()
        if isinstance(number, bool) or not isinstance(number, int | float) or _names_something(key) or key in found:
            return None
        found[str(key)] = number
    return found if len(found) > 1 else None


def _words_of_two_lists(value: Mapping[Any, Any]) -> dict[str, Any] | None:
    """The best words where one list has the words and another, as long, their scores."""
    words = [key for key, item in value.items() if NAMES_EMOTIONS.match(str(key)) and _is_list_of(item, str)]
    scores = [key for key, item in value.items() if _SCORES.match(str(key)) and _is_list_of(item, int | float)]
    if len(words) != 1 or len(scores) != 1 or len(value[words[0]]) != len(value[scores[0]]):
        return None
    best = best_words(zip(value[words[0]], map(float, value[scores[0]]), strict=True))
    return {**{key: item for key, item in value.items() if key not in scores}, words[0]: best}


def _is_list_of(item: Any, kind: Any) -> bool:
    return isinstance(item, list) and bool(item) and all(isinstance(one, kind) for one in item)
