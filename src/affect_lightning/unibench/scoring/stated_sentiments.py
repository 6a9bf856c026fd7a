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
_MARKS = ("ositive", "egative", "eutral", "积极", "消极", "面", "向", "中性")


def stated_sentiment(response: str) -> str | None:
    r"""`positive`, `negative` or `neutral` where a short response states one of them and no other; None elsewhere.

    >>> stated_sentiment("Sentiment: positive\nEmotion: sad"), stated_sentiment("This is a positive review of a sad movie.")
    ('positive', 'positive')
    >>> stated_sentiment("She is sad."), stated_sentiment("The sentiment is not positive.")
    (None, None)
    """
    if not any(map(response.__contains__, _MARKS)):
        return None
    text = without_thoughts(response).strip()
    if len(text) > _LONGEST:
        return None
    found = {read_sentiment(match["side"]) for form in _STATED for match in form.finditer(text)}
    return found.pop() if len(found) == 1 else None
