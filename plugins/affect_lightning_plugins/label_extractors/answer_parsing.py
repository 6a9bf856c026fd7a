"""Reading what language models answer: emotion words, and a sentiment (paper, Appendix E).

A model is asked for a JSON list or for one word. It answers with that, with a Python list, with bullets, with reasons
around it, or with something else. None means that an answer gives neither; the caller counts it. `causal_lm.py` and
`openai_server.py` ask. The prose of an answer is read like that of a response (`labels_in_text.py`).
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterable

from affect_lightning.contracts import Sentiment
from affect_lightning.prompting.cleaning import simplified
from affect_lightning.prompting.cleaning.thoughts import without_chat_marks, without_thoughts
from affect_lightning_plugins.label_extractors.chinese_mentions import chinese_labels, is_meant_in_chinese
from affect_lightning_plugins.label_extractors.labels_in_text import (
    MAX_LABEL_CHARACTERS,
    concluded_words,
    listed_labels,
)
from affect_lightning_plugins.label_extractors.mention import Mention
from affect_lightning_plugins.label_extractors.mentions import is_negated, word_group

MAX_LABEL_WORDS = 4  # our choice: a longer item of a list is a sentence, not a label
MAX_BARE_WORDS = 2  # the same for an answer without brackets or bullets, where a clause is likelier

_FENCE = re.compile(r"```[a-zA-Z]*\n?|`")
_LIST = re.compile(r"\[[^\[\]]*\]")
_UNFINISHED_LIST = re.compile(r"\[([^\[\]]*)$")
_QUOTED_ITEM = re.compile(r"\"([^\"]*)\"|'([^']*)'(?=\s*(?:,|$))")
_BULLET = re.compile(r"^\s*(?:[-*•–]|\d{1,2}[.)、])\s*(.+)$", re.MULTILINE)
_REASON = re.compile(r"(?:\s*[:：(（—–]|\s-\s).*$", re.DOTALL)
_SEPARATOR = re.compile(r"[,;，、；/|\n]+")
_TRIMMED = " \t\r\n\"'“”‘’「」*_.。!！"
_NOTHING = re.compile(
    r"^\W*(?:none|no(?: \w+){0,3} (?:emotions?|emotional states?|states?|labels?)\b.*|(?:an )?empty list|"
    r"n/?a|nothing|null|无|没有.*|空列表)\W*$",
    re.IGNORECASE | re.DOTALL,
)
_REFUSAL = re.compile(
    r"^\W*(?:(?:i['’]?a?m |i am )?(?:very )?sorry\b[,.]? (?:but|i)\b|i apologi[sz]e|as an ai\b|"
    r"i (?:cannot|can['’]t|am unable)|抱歉|对不起|作为(?:一个)?(?:ai|人工智能))",
    re.IGNORECASE,
)
_THREE_CANDIDATES = re.compile(
    r"(?:positive|negative|neutral)(?:\W+(?:(?:or|and)\W+)?(?:positive|negative|neutral)){2}"
)
_SENTIMENT_WORD = re.compile(
    r"(?P<positive>\bpositive\b|积极|正面|正向)|(?P<negative>\bnegative\b|消极|负面|负向)|(?P<neutral>\bneutral\b|中性|中立)"
)
_SENTIMENTS: tuple[Sentiment, ...] = ("positive", "negative", "neutral")


def labels_in_answer(answer: str) -> list[str] | None:
    """Emotion words of an answer, in order, in lower case, without repeats.

    Args:
        answer: Whatever the model wrote; Chinese words that the rules know become their English labels.

    Returns:
        The words; an empty list if the answer says that there are none; None if it says neither.

    >>> labels_in_answer('Here is the list: ["Happy", "a bit shy"]')
    ['happy', 'a bit shy']
    >>> labels_in_answer("[]"), labels_in_answer("I cannot help with that.")
    ([], None)
    """
    text = _bare(answer)
    if not text or _REFUSAL.match(text):
        return None
    listed = _listed_items(text)
    if listed is not None:
        labels = _cleaned(listed)
        return labels if labels or not any(map(_says_something, listed)) else None
    if _NOTHING.match(text):
        return []
    bullets = _cleaned(_REASON.sub("", item) for item in _BULLET.findall(text))
    return bullets or listed_labels(text) or _bare_labels(text) or concluded_words(text) or None


def sentiment_in_answer(answer: str) -> Sentiment | None:
    """The sentiment that an answer chooses; None if it chooses none, or more than one and begins with neither.

    Args:
        answer: Whatever the model wrote, in English or Chinese.

    >>> sentiment_in_answer("Negative. The words are not positive."), sentiment_in_answer("mixed")
    ('negative', None)
    """
    text = _without_candidates(_bare(answer).lower())
    found = [match for match in _SENTIMENT_WORD.finditer(text) if not _is_denied(text, match)]
    if not found:
        return None
    chosen = {match.lastgroup for match in found}
    begins_with_it = not text[: found[0].start()].strip(_TRIMMED + "[{(")
    if len(chosen) > 1 and not begins_with_it:
        return None
    return next(sentiment for sentiment in _SENTIMENTS if sentiment == found[0].lastgroup)


def _bare(answer: str) -> str:
    """The answer without thoughts, code marks and chat marks."""
    return _FENCE.sub("", without_chat_marks(without_thoughts(answer))).strip()


def _without_candidates(text: str) -> str:
    """The text without a list of all three sentiments, which only repeats the question."""
    return _THREE_CANDIDATES.sub(
        lambda match: "" if all(sentiment in match[0] for sentiment in _SENTIMENTS) else match[0], text
    )


def _is_denied(text: str, match: re.Match[str]) -> bool:
    mention = Mention(match[0], match.start(), match.end())
    return is_negated(text[: match.start()]) or not is_meant_in_chinese(text, mention)


def _listed_items(text: str) -> list[str] | None:
    """Items of the last list in brackets, also of one that was cut off, or the texts of a JSON object; else None."""
    lists = _LIST.findall(text)
    if lists:
        return _items_of(lists[-1])
    unfinished = _UNFINISHED_LIST.search(text)
    if unfinished:
        quoted = [first or second for first, second in _QUOTED_ITEM.findall(unfinished[1])]
        return quoted or _SEPARATOR.split(unfinished[1])[:-1] or None
    try:
        values = json.loads(text).values()
    except (ValueError, AttributeError, RecursionError):
        return None
    return [item for value in values if isinstance(value, str) for item in _SEPARATOR.split(value)]


def _items_of(written: str) -> list[str]:
    """Items of one list, written as JSON, as Python or without quotes."""
    try:
        items = json.loads(written)
    except ValueError:
        try:
            items = ast.literal_eval(written)
        except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
            return _SEPARATOR.split(written[1:-1])
    return [item for item in items if isinstance(item, str)]


def _cleaned(items: Iterable[str]) -> list[str]:
    """Items as labels: trimmed, lower case, Chinese ones translated; clauses, empty ones and repeats left out."""
    labels = (chinese_labels().get(simplified(label), label) for label in map(_trimmed, items))
    return list(dict.fromkeys(label for label in labels if _is_label(label)))


def _trimmed(item: str) -> str:
    return " ".join(_REASON.sub("", item).strip(_TRIMMED).lower().split())


def _is_label(label: str) -> bool:
    short = len(label) <= MAX_LABEL_CHARACTERS and len(label.split()) <= MAX_LABEL_WORDS
    return short and _says_something(label) and label[0].isalpha() and not set(label) & set("[]{}<>=\\")


def _says_something(item: str) -> bool:
    text = _trimmed(item)
    return bool(text) and text not in word_group("nothing") and not _NOTHING.match(text)


def _bare_labels(text: str) -> list[str] | None:
    """Labels of an answer that is nothing but one word, or short items between commas or on lines."""
    items = [item for item in map(_trimmed, _SEPARATOR.split(text)) if item]
    longest = MAX_BARE_WORDS if len(items) > 1 else 1
    short = all(_is_label(item) and len(item.split()) <= longest for item in items)
    return _cleaned(items) if short else None
