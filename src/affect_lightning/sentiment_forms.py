"""Sentiments in short set forms: the chance of one side alone, yes or no to one side, stated scales, signs and stars in words.

`positive: 0.1` and `positive? no` tell the other side, `good` and `not bad` are positive, and "on a scale of 1 to 5, where 1 is
negative, I rate it 4" counts from the middle of its scale. Each form is the whole of a text; prose is none of them.
Neighbour: `sentiment_strings.py`. Standard library only.
"""

from __future__ import annotations

import re

_LONGEST = 200  # characters of a text in such a form; a longer one is prose. Our choice
_SIDE = (
    r"(?:(?P<positive>pos(?:itive)?|积极|積極|正面|正向)|(?P<negative>neg(?:ative)?|消极|消極|负面|負面|负向|負向))"
    r"(?:[ _](?:sentiments?|polarity|class))?"
)
_FRACTION = r"(?P<number>\d{1,3}[.,]\d+\s*[%％]?|\d{1,3}\s*[%％]|[.]\d+|0|1(?:[.]0*)?)"
_CHANCE = r"(?:probability|prob|likelihood|chance|odds)"
_IS = r"\s*(?:[:=≈]|\bis\b)\s*(?:about |around )?"
_CHANCES = tuple(
    re.compile(form)
    for form in (
        rf"(?:is[ _])?{_SIDE}(?:[ _]{_CHANCE})?['\"]?{_IS}{_FRACTION}",
        rf"(?P<number>\d{{1,3}}(?:[.,]\d+)?\s*[%％]|0?[.]\d+)\s*(?:(?:{_CHANCE} )?(?:of )?(?:being )?(?:an? )?)?{_SIDE}",
        rf"(?:there is |there's )?an? (?P<number>\d{{1,3}}(?:[.,]\d+)?\s*[%％]) {_CHANCE} "
        rf"(?:of |for )(?:being )?(?:an? )?{_SIDE}",
        rf"p(?:rob(?:ability)?)?\s*\(\s*(?:sentiment\s*=\s*)?{_SIDE}\s*(?:\|[^()]*)?\){_IS}{_FRACTION}",
        rf"(?:the )?{_CHANCE} (?:of|for) (?:being )?(?:an? )?{_SIDE}{_IS}{_FRACTION}",
        rf"{_SIDE}的?(?:情感|情绪)?的?(?:概率|可能性)\s*(?:约?为|是|约|:)?\s*{_FRACTION}",
    )
)
_ASKED = re.compile(
    rf"(?:(?:is|was|are)[ _])?(?:it |this |(?:the )?sentiment )?{_SIDE}['\"]?\s*[?:=]+\s*"
    r"(?:no|nope|n|false|hardly|not (?:really|at all|present|detected)|(?:very |highly )?unlikely|absent|none|否|不是|没有|无)"
)
_GOOD = re.compile(
    r"(?:(?:the |overall )*(?:sentiment|polarity|it|this)\s*(?:[:=]|\bis\b)\s*)?(?P<denied>not |isn't )?(?:[:]\s*)?"
    r"(?:(?:very|so|too|really|quite|pretty|extremely|rather|fairly|that|all)\s+){0,2}"
    r"(?:(?P<positive>good|great|excellent)|(?P<negative>bad|awful|terrible))"
)
_IN_BRACKETS = re.compile(r"\(\s*(?P<number>[+-]?\d+(?:[.,]\d+)?)\s*\)")
_SIGNED = re.compile(  # +2/3: a sign says which side it is
    r"(?:[^\W\d][\w ]{0,20}:\s*)?(?P<sign>[+-])(?P<number>\d+(?:[.,]\d+)?)\s*(?:/|out of|of)\s*\+?(?P<most>\d+)"
)
_STARS = re.compile(
    r"(?:(?:rating|sentiment)\s*:\s*)?(?P<number>one|two|three|four|five)(?:[ -]stars?)(?: out of five)?"
)
_WORDS = ("one", "two", "three", "four", "five")
_DEGREE = r"(?:(?:the|most|very|extremely|strongly|completely|highly|fully|totally) ){0,2}"
_STATED = re.compile(
    r"(?:\bon )?(?:\b(?:an?|the) )?\b(?:(?:scale|range)\s*(?:is\s*)?(?:of|from|between|:)?|between)\s*"
    r"(?P<least>[+-]?\d{1,3})\s*(?:-|~|to|and|\.\.)\s*(?P<most>\+?\d{1,3})(?![\d.])"
)
_BRACKETED = re.compile(rf"(?P<number>[+-]?\d+(?:\.\d+)?)\s*\(\s*{_DEGREE}(?P<side>positive|negative|neutral)\s*\)")
_ANCHOR = re.compile(
    r"(?P<number>(?<![\d.])[+-]?\d+(?:\.\d+)?)\s*(?:=|:|\b(?:is|means|being|represents|indicates|stands for|for)\b)?\s*"
    rf"{_DEGREE}(?P<side>positive|negative|neutral)\b"
)
_ANY_NUMBER = re.compile(r"(?<![\w.])[+-]?\d+(?:[.,]\d+)?")
_ANY_SIDE = re.compile(r"\bpositive|\bnegative|\bneutral|\bmixed")
_OTHER = {"positive": "negative", "negative": "positive"}


def told_in_form(bare: str) -> str | None:
    """The sentiment of a text in one of the forms; an empty text where a stated scale cannot be read; None for other texts.

    Args:
        bare: In lower case, with plain digits and signs, without final punctuation.

    >>> told_in_form("positive: 0.1"), told_in_form("15% negative"), told_in_form("positive? hardly")
    ('negative', 'positive', 'negative')
    >>> told_in_form("not bad"), told_in_form("+2/3"), told_in_form("four stars"), told_in_form("positive")
    ('positive', 'positive', 'positive', None)
    >>> told_in_form("on a scale of 1 to 5, where 1 is negative, i rate it 4"), told_in_form("range 0-1, 0 = negative")
    ('positive', '')
    """
    if len(bare) > _LONGEST:
        return None
    plain = bare.strip("{} ").strip("'\" ")
    for form in (_of_chance, _of_answer, _of_number):
        told = form(plain)
        if told is not None:
            return told
    return _of_scale(plain)


def _side(match: re.Match[str]) -> str:
    return "positive" if match["positive"] else "negative"


def _of_chance(text: str) -> str | None:
    """Of the chance of one side; a bare 0 beside `negative` may be the number of a class."""
    if not any(map(str.isdecimal, text)):
        return None
    match = next((match for form in _CHANCES if (match := form.fullmatch(text))), None)
    if match is None or (match["number"] == "0" and match["negative"]):
        return None
    number = match["number"].rstrip("%％ ")
    chance = float(number.replace(",", ".")) / (1 if number == match["number"] else 100)
    if chance > 1:
        return None
    return "neutral" if chance == 1 / 2 else _side(match) if chance > 1 / 2 else _OTHER[_side(match)]


def _of_answer(text: str) -> str | None:
    """Of no to one side, and of `good` and `bad`."""
    denied = _ASKED.fullmatch(text)
    if denied:
        return _OTHER[_side(denied)]
    good = _GOOD.fullmatch(text)
    if good is None:
        return None
    return _OTHER[_side(good)] if good["denied"] else _side(good)


def _of_number(text: str) -> str | None:
    """Of a number in brackets, a sign before a share, and stars that are counted in words."""
    bracketed, signed, stars = _IN_BRACKETS.fullmatch(text), _SIGNED.fullmatch(text), _STARS.fullmatch(text)
    if bracketed:
        return _word(float(bracketed["number"].replace(",", ".")))
    if signed and float(signed["number"].replace(",", ".")) <= float(signed["most"]):
        return _word(float((signed["sign"] + signed["number"]).replace(",", ".")))
    return _word(_WORDS.index(stars["number"]) - 2) if stars else None


def _of_scale(text: str) -> str | None:
    """Of the one number beside a scale and the meanings of its ends; an empty text where that cannot be read."""
    known = list(_BRACKETED.finditer(text))
    plain = _BRACKETED.sub(r"\g<number>", text) if known else text
    scale = _STATED.search(plain)
    if scale is None:
        return None
    rest = f"{plain[: scale.start()]} {plain[scale.end() :]}"
    known += _ANCHOR.finditer(rest)
    rest = _ANCHOR.sub(" ", rest)
    numbers = _ANY_NUMBER.findall(rest)
    if _ANY_SIDE.search(rest) or not (known or numbers):
        return None  # the word says it, beside the scale
    middle = _middle(known, float(scale["least"]), float(scale["most"]))
    number = float(numbers[0].replace(",", ".")) if len(numbers) == 1 else None
    if middle is None or number is None or not float(scale["least"]) <= number <= float(scale["most"]):
        return ""
    return _word((number - middle[0]) * middle[1])


def _middle(known: list[re.Match[str]], least: float, most: float) -> tuple[float, int] | None:
    """The middle of a scale and 1, or -1 where its upper end is negative; None where its named numbers contradict that."""
    neutral = [float(match["number"]) for match in known if match["side"] == "neutral"]
    middle = neutral[0] if neutral else (least + most) / 2
    signs = {
        (1 if match["side"] == "positive" else -1) * (1 if float(match["number"]) > middle else -1)
        for match in known
        if match["side"] != "neutral"
    }
    if least >= most or len(signs) > 1 or not least <= middle <= most:
        return None
    return middle, signs.pop() if signs else 1


def _word(number: float) -> str:
    return "neutral" if number == 0 else "positive" if number > 0 else "negative"
