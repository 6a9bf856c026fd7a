"""A sentiment that a response states beside an emotion: "Sentiment: positive. Emotion: sad" is positive.

In a set of sentiments the stated one counts; without one, `set_answers.py` takes the signs of the emotions.
"""

from __future__ import annotations

import re

from affect_lightning.prompting.cleaning.thoughts import without_thoughts
from affect_lightning.sentiment_strings import read_sentiment

_LONGEST = 400  # characters; a longer text is a description, whose emotions say more. Our choice
_SIDE = r"(?:positive|negative|neutral|积极|消极|正面|负面|正向|负向|中性)"
_DEGREE = r"(?:(?:very|clearly|strongly|slightly|overall|mostly|rather|generally|predominantly|mainly|quite|somewhat|weakly) )*"
_STATED = tuple(
    re.compile(form, re.IGNORECASE)
    for form in (
        rf"\b(?:overall[_ ])?(?:sentiment|polarity)\w*[\"'*]*\s*[:=：]\s*[\"'*]*(?P<side>{_DEGREE}{_SIDE})",
        rf"\bsentiment\b[^.!?\n:,;]{{0,60}}?\b(?:is|was|as|remains)\b:?\s*(?P<side>{_DEGREE}{_SIDE})\b",
        rf"\b(?P<side>{_SIDE}) (?:overall )?(?:sentiment|review|polarity)\b",
        rf"\b(?:review|answer|polarity)\b[^.!?\n:,;]{{0,20}}?\b(?:is|was)\b:?\s*(?P<side>{_DEGREE}{_SIDE})\b",
        rf"(?:情感|情绪)(?:极性|倾向|态度)?(?:是|为|[:：])+\s*(?P<side>{_SIDE})",
        rf"^\W*(?P<side>{_DEGREE}{_SIDE})(?:的)?[.,;:!。，；：！—(（\n]",
    )
)
_NUMBER = r"(?P<number>[+-]?\d+(?:[.,]\d+)?)(?![\d%％])(?!\s*(?:/|out of|to\b|-\s*\d|or\b|and\b))"
_SCORED = tuple(
    re.compile(form, re.IGNORECASE)
    for form in (
        rf"\b(?:sentiment|polarity)[ _]?(?:score|rating|value|intensity)?[\"'*]*\s*(?:,[^.!?\n]{{5,80}}?,)?\s*"
        r"(?:would be|is|of|[:=：])+"
        rf"[\"'*\s]*{_NUMBER}",
        rf"(?:情感|情绪)?(?:得分|分数|评分)(?:是|为|[:：])+\s*{_NUMBER}",
        r"^\W{0,3}?(?P<number>[+-]?\d\.\d+)\s*[.(（\n]\s*(?=[A-Za-z\u4e00-\u9fff])",
    )
)
_SCALE = re.compile(  # very negative = 1, very positive = 5
    r"negative\W{0,4}=\W{0,2}(?P<low>-?\d)\b.{0,40}?positive\W{0,4}=\W{0,2}(?P<high>\d)\b"
    r"|(?P<low2>-?\d) ?= ?(?:very |most |strongly )?negative.{0,40}?(?P<high2>\d) ?= ?(?:very |most |strongly )?positive"
    r"|scale (?:of|from) (?P<low3>-?\d+)\s*(?:-|–|to)\s*\+?(?P<high3>\d+)",
    re.IGNORECASE,
)
_SCORES = ("entiment", "olarity", "分")
_MARKS = ("ositive", "egative", "eutral", "积极", "消极", "面", "向", "中性")


def stated_sentiment(response: str) -> str | None:
    r"""`positive`, `negative` or `neutral` where a short response states one of them and no other; None elsewhere.

    >>> stated_sentiment("Sentiment: positive\nEmotion: sad"), stated_sentiment("This is a positive review of a sad movie.")
    ('positive', 'positive')
    >>> stated_sentiment("Sentiment score: 1.8. She is scared, but loved it."), stated_sentiment("0.4 (slightly positive)")
    ('positive', 'positive')
    >>> stated_sentiment("She is sad."), stated_sentiment("The sentiment is not positive.")
    (None, None)
    """
    is_scored = any(map(response.__contains__, _SCORES)) or any(map(str.isdecimal, response[:6]))
    if not is_scored and not any(map(response.__contains__, _MARKS)):
        return None
    text = without_thoughts(response).strip()
    if len(text) > _LONGEST:
        return None
    if is_scored and (scored := _of_score(text)) is not None:
        return scored
    found = {read_sentiment(match["side"]) for form in _STATED for match in form.finditer(text)}
    return found.pop() if len(found) == 1 else None


def _of_score(text: str) -> str | None:
    """The side of the only score that a text states with words around it: "Sentiment score: 1.8. She is scared, but ..."."""
    found = {match["number"].replace(",", ".") for form in _SCORED for match in form.finditer(text)}
    if len(found) != 1 or text.strip(" .") in found:
        return None
    number, scale = found.pop(), _SCALE.search(text)
    ends = f" ({_end(scale, 'low')}-{_end(scale, 'high')})" if scale else ""
    return read_sentiment(f"{number}{ends}")


def _end(scale: re.Match[str], name: str) -> str:
    return next(value for key, value in scale.groupdict().items() if key.startswith(name) and value)
