"""Given sentiments: the one reader of the words, signs and numbers in which label files and saved outputs bring a sentiment.

Paper: Section 4 (WAF of positive against negative). The authors save `positive`, `negative`, `neutral` or a value above or
below 0. Others write `slightly negative`, `NEG`, `-0,8`, `+`, `积极` or a sentence. Both sides of a score are read here.
`label_strings.py` reads emotion words. Standard library only.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Iterable

SENTIMENT_WORDS = ("positive", "negative", "neutral", "mixed")

_NUMBER = re.compile(r"[+-]?(?:\d+(?:[.,]\d+)?|[.,]\d+)(?:e[+-]?\d+)?")
_SIGNS = {"+": 1.0, "++": 1.0, "+++": 1.0, "-": -1.0, "--": -1.0, "---": -1.0}
_NAMED_NUMBER = re.compile(r"\b(?:sentiment|polarity|valence|score)\b[^\d+-]{0,20}([+-]?\d+(?:[.,]\d+)?)\W*$")
_POLARITY = re.compile(
    r"(?P<positive>\bpos(?:itives?|itively|itivity)?\b|积极|積極|正面|正向|褒义)"
    r"|(?P<negative>\bneg(?:atives?|atively|ativity)?\b|消极|消極|负面|負面|负向|負向|贬义)"
    r"|(?P<neutral>\bneu(?:t|tral|trally|trality)?\b|中性|中立)"
    r"|(?P<mixed>\bmixed\b|混合)"
)
_DENIED = re.compile(r"(?:\b(?:not|non|neither|nor|never|no|n't|isn't|without)\b[\s-]*(?:\w+\s+){0,2}|[不非没沒]是?)$")
_VALUES = {"positive": 1.0, "negative": -1.0, "neutral": 0.0}


def read_sentiment(text: str) -> str | None:
    """One of SENTIMENT_WORDS, or None if the text tells no sentiment, or more than one, or only denies one.

    >>> read_sentiment("Slightly negative."), read_sentiment("-0,8"), read_sentiment("The sentiment is positive")
    ('negative', 'negative', 'positive')
    >>> read_sentiment("消极"), read_sentiment("0"), read_sentiment("angry"), read_sentiment("positive or negative")
    ('negative', 'neutral', None, None)
    """
    bare = _bare(text)
    if bare in SENTIMENT_WORDS:
        return bare
    number = _number(bare)
    if number is not None:
        return _word(number)
    found = {str(match.lastgroup) for match in _POLARITY.finditer(bare) if not _DENIED.search(bare[: match.start()])}
    if len(found) == 1:
        return found.pop()
    named = _NAMED_NUMBER.search(bare) if not found else None
    return _word(float(named[1].replace(",", "."))) if named else None


def sentiment_value(text: str) -> float | None:
    """The value that a text means: its number, or 1, -1 or 0 for a word; None if it tells none.

    >>> sentiment_value("-0,8"), sentiment_value("weakly positive"), sentiment_value("nan")
    (-0.8, 1.0, None)
    """
    number = sentiment_number(text)
    return number if number is not None else _VALUES.get(read_sentiment(text) or "")


def sentiment_number(text: str) -> float | None:
    """The number or sign that a text is; None for words.

    >>> sentiment_number("-0,8"), sentiment_number("positive")
    (-0.8, None)
    """
    return _number(_bare(text))


def never_below_zero(values: Iterable[float]) -> bool:
    """Whether values look like classes, stars or probabilities: several, of which none is below 0.

    >>> never_below_zero([0, 1, 2]), never_below_zero([0.1, 0.9]), never_below_zero([-1, 2]), never_below_zero([1, 1])
    (True, True, False, False)
    """
    known = set(values)
    return len(known) > 1 and min(known) >= 0


NEVER_BELOW_ZERO = (
    "%s: no number in the column %s is below 0 (%g to %g), and all above 0 are read as positive. If these are classes, stars or "
    "probabilities, write negative, neutral or positive instead."
)


def _bare(text: str) -> str:
    """In lower case, with plain digits and signs, without blanks, quotes and final punctuation around it."""
    plain = unicodedata.normalize("NFKC", text).replace("\u2212", "-").replace("\u2013", "-").lower()
    return plain.strip().strip("[]'\"*_` ").rstrip(".!。").strip()


def _number(text: str) -> float | None:
    if text in _SIGNS:
        return _SIGNS[text]
    if not _NUMBER.fullmatch(text):
        return None
    number = float(text.replace(",", "."))
    return number if math.isfinite(number) else None


def _word(number: float) -> str:
    return "neutral" if number == 0 else "positive" if number > 0 else "negative"
