"""What a short response takes back or leads to: "happy... no wait, sad", "Happy? Not at all. Sad.", "Final: sad".

Also phrases with an emotion word that name no emotion ("Sadly, ...", "I'm sorry to hear that"). `rules.py` asks before it
looks for labels.
"""

from __future__ import annotations

import re

_SHORT = 300  # characters; in a longer text such words may belong to a story
_AT_A_GLANCE = 80  # characters of a text in which a bare "no," takes back what stands before it
_MARKS = ("no", "final", "actually", "scratch", "second thought", "closer look")
_TAKEN_BACK = re.compile(
    r"^.*(?:\b(?:no,? wait|wait,? no(?! one\b)|scratch that|on second thoughts?|on (?:a )?closer look)\b"
    r"|\b(?:hmm|oh),? actually\b|\bbut no[.,]|\?\W*(?:no|nope|not really|not at all)\b[.,!]?)\W*(?P<rest>\w.*)$",
    re.IGNORECASE | re.DOTALL,
)
_BARE_NO = re.compile(r"^[^\"“]*\w\W*(?:[.,!;>–—-]|\.{2,})\s*no,\s*(?P<rest>\w.*)$", re.IGNORECASE | re.DOTALL)
_FINAL = re.compile(
    r"^.*(?:^|[.!?;\n]\s*)(?:(?:so|therefore|my|the),? )?final(?: answer| label| emotion| verdict| choice)?\s*[:：]\s*"
    r"(?P<rest>\w.*)$",
    re.IGNORECASE | re.DOTALL,
)
_PHRASES = re.compile(
    r"(?:(?<=^)|(?<=[.!?\n] )|(?<=[.!?\n]))(?:sadly,|hopefully,|hopefully (?=this|that|it)"
    r"|(?:i am|i'm|i’m) afraid (?:that )?(?=(?:the|this|that|it|i|there)\b)"
    r"|(?:please note that |note that )?(?:i am|i'm|i’m|i’d be|i'd be) "
    r"(?:happy|glad) to (?:help|look|assist|analy[sz]e|provide|answer)\b"
    r"|(?:i am|i'm|i’m) (?:so |very )?sorry to hear that[.,]?)",
    re.IGNORECASE,
)

_JOINED_NO = re.compile(r"\b(no|not|non)_(?=[a-z])", re.IGNORECASE)  # not_sad


def corrected(text: str) -> str:
    """A text without what it takes back.

    >>> corrected("Happy... no wait, sad"), corrected("She says no, and is sad.")
    ('sad', 'She says no, and is sad.')
    """
    text = _JOINED_NO.sub(r"\1 ", _PHRASES.sub("", text))
    if len(text) > _SHORT or not any(mark in text.lower() for mark in _MARKS):
        return text
    for pattern in (_FINAL, _TAKEN_BACK, *([_BARE_NO] if len(text) <= _AT_A_GLANCE else [])):
        found = pattern.match(text)
        if found:
            return found["rest"]
    return text
