"""Responses that simply list emotion words: `[happy, calm]`, lines, bullets, "The emotional state is happy, calm".

The trained model answers its second question so (paper, Section 2), and its words are taken as they stand,
also those outside any vocabulary. Neighbour: `evidence.py` for prose.
"""

from __future__ import annotations

import re

from affect_lightning.metrics.builtin import builtin_valences
from affect_lightning_plugins.label_extractors.chinese_mentions import chinese_labels
from affect_lightning_plugins.label_extractors.english_mentions import is_negated, word_group

MAX_ITEM_WORDS = 3  # our choice: a longer item is a clause, not a label
MAX_LABEL_CHARACTERS = 40  # our choice: no emotion word is longer

_BRACKETED = re.compile(r"^\W*[\[(（【]([^\[\]()（）]*)[\])）】]\W*$")
_STATED = re.compile(
    r"^(?:(?:in|based|overall|so|therefore)\b[^.,!?]{0,60},\s*)?[^.,!?。]{0,60}?"
    r"\b(?:emotional states?|emotional conditions?|emotions?|emotional labels?|labels?|moods?|feelings?|"
    r"(?:person|character|speaker|individual|man|woman|he|she|they)(?: in the (?:video|clip))?)\b[^.!?:,]{0,30}?"
    r"(?:\b(?:is|are|was|were|include|includes|feels?|seems?|appears?)|:)\s*:?\s*(.+)$",
    re.IGNORECASE | re.DOTALL,
)
_CHINESE_STATED = re.compile(
    r"^[^。！？]{0,30}?(?:情绪|情感|状态|心情|标签)[^。！？，、]{0,8}?(?:是|为|：|:|包括|有)(.+)$", re.DOTALL
)
_SEPARATOR = re.compile(r"[,;，、；/|\n]+|\b(?:and|or|as well as|with)\b|(?:以及|和|与)")
_LEADING = re.compile(
    r"^(?:[-*•\d.)\s]+|(?:a|an|the|both|also|likely|probably|possibly|maybe|perhaps|very|quite|rather|slightly|somewhat|"
    r"mostly|mainly|generally|extremely|really|feeling|being|a bit|a little|a sense of|sense of|a feeling of|one of|"
    r"that of|emotion of|more|so|even)\s+)+"
)
_WORDS = re.compile(r"[a-z]+(?:['’ -][a-z]+)*")


def listed_labels(response: str) -> list[str] | None:
    """Labels of a response that is a list, in order; None if the response is prose.

    Args:
        response: The whole response.
    """
    text = response.strip()
    bracketed = _BRACKETED.match(text)
    if bracketed:
        return _items(bracketed[1], strict=False)
    stated = _STATED.match(text) or _CHINESE_STATED.match(text)
    if stated and not is_negated(text[: stated.start(1)].lower()):
        return _items(stated[1], strict=True)
    return None if stated else _items(text, strict=True)


def _items(text: str, strict: bool) -> list[str] | None:
    labels: list[str] = []
    known = False
    items = [part.strip(" \t\"'`.。!“”‘’") for part in _SEPARATOR.split(text.strip().lower())]
    for item in filter(None, items):
        label = chinese_labels().get(item) or _LEADING.sub("", item).strip()
        fits = bool(_WORDS.fullmatch(label)) and len(label.split()) <= MAX_ITEM_WORDS
        if strict and not fits:
            return None
        known = known or label in builtin_valences()
        if fits and len(label) <= MAX_LABEL_CHARACTERS and not is_negated(f"{label} ") and label not in labels:
            labels.append(label)
    if strict and not known:
        return None
    left_out = word_group("nothing") | word_group("speech_act")
    return [label for label in labels if label not in left_out]
