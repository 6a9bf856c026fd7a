"""Given sentiments: the one reader of the words, signs and numbers in which label files and saved outputs bring a sentiment.

Paper: Section 4 (WAF of positive against negative). The authors save `positive`, `negative`, `neutral` or a value above or
below 0. Others write `slightly negative`, `NEG`, `-0,8`, `+`, `积极`, `★★☆☆☆`, `4/5` or a sentence. Both sides of a score are
read here.
`label_strings.py` reads emotion words. Standard library only.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Iterable

from affect_lightning.plain_characters import plain_characters
from affect_lightning.sentiment_forms import told_in_form

SENTIMENT_WORDS = ("positive", "negative", "neutral", "mixed")

_NUMBER = re.compile(r"[+-]?(?:\d+(?:[.,]\d+)?|[.,]\d+)(?:e[+-]?\d+)?")
_NUMBER_BEHIND = re.compile(  # of a class; a sign only behind a colon, so that a dash before a number is none
    r"['\"*)]*\s*(?:的?(?:概率|可能性|置信度)(?:为|是)?|\s(?:likelihood|prob(?:ability)?|score|confidence)\b)?['\"]?\s*"
    r"(?:[:=(（]\s*(?P<signed>-?\d{1,3}(?:[.,]\d+)?)|(?:[-–]\s+)?(?P<plain>\d{1,3}(?:[.,]\d+)?))\s*[%％]?"
)
_CHANCE = re.compile(r"\b(?:probability|likelihood|chance|odds)\b|概率|可能性")
_COMPOUND = re.compile(r"\bcompound(?:[ _]score)?['\"]?\s*(?:[:=]|is)?\s*([+-]?\d*\.?\d+)")  # of VADER
_VADERS_NEUTRAL = 0.05  # below it, VADER's documentation calls a compound score neutral
_SCALE = re.compile(  # "on a scale from 1 to 5", "(1-5)", 在1到5分中
    r"[,，]?\s*(?:[(（\[]\s*)?(?:\bon\s+)?(?:\b(?:an?|the)\s+)?(?:(?:scale|range|scored?|rated|ratings?)\s*(?:is\s+)?(?:of|from|between|:)?\s*"
    r"|(?<=[(（])|在|满分)(?P<least>[+-]?\d{1,3})\s*(?:-|–|~|to|and|\.\.|到|至)\s*(?P<most>\+?\d{1,3})\s*分?\s*(?:[)）\]]|中|之间|scale)?\s*[:：,，]?"
)
_ONE_NUMBER = re.compile(r"[^\d+-]*(?:(?<=[a-z])-)?[^\d+-]*([+-]?\d+(?:[.,]\d+)?)[^\d]*")
_SIGNS = {
    "+": 1.0,
    "++": 1.0,
    "+++": 1.0,
    "-": -1.0,
    "--": -1.0,
    "---": -1.0,
    "+ve": 1.0,
    "-ve": -1.0,
    "👍": 1.0,
    "👎": -1.0,
}
_NAMED_NUMBER = re.compile(
    r"(?:(?:\b|_)(?:sentiment|polarity|valence|score|value)s?\b|情感|情绪|极性|倾向|得分|分数|评分)[^\d+-]{0,20}"
    r"([+-]?\d+(?:[.,]\d+)?)\W*$"
)
_LEADING_NUMBER = re.compile(
    r"^\W*(?:overall )?(?:sentiment|polarity|valence)(?:[ _](?:score|value))?\s*[:=]\s*([+-]?\d+(?:[.,]\d+)?)(?=\s*[,;\n])"
)
_ANSWER_NUMBER = re.compile(
    r"^\W*(?:the |my |final )?(?:ratings?|answer|label|class|output|prediction|result|打分|答案|标签)"
    r"\s*(?:is\b|为|是)?\s*[:=]?\s*"
    r"([+-]?\d+(?:[.,]\d+)?)\W*$"
)
# The middles of the usual scales: 1 to 5, 7 and 9, where a word stands in the middle; 0 to 10 and 100
_MIDDLES = {5: 3.0, 7: 4.0, 9: 5.0, 10: 5.0, 100: 50.0}
_FILLED, _HOLLOW = "★⭐🌟", "☆✩✰"
_STARS = re.compile(rf"[{_FILLED}]*[{_HOLLOW}]*")
_RATING = re.compile(
    r"(?:^|[\s:：(（])(?P<number>\d{1,3}(?:[.,]\d+)?)\s*(?:"
    r"(?:/|out of|of|分之)\s*(?P<most>\d{1,3})(?:\s*(?:stars?|points?|颗?星|分))?|(?P<stars>[- ]?stars?|颗?星级?))\W*$"
)
_CHINESE_STARS = re.compile(r"^(?P<number>[一二两三四五])(?:颗|个)?星")
_POLARITY = re.compile(
    r"(?P<positive>\bpos(?:itives?|itively|itivity)?\b|积极|積極|正面|正向|褒义|好评)"
    r"|(?P<negative>\bneg(?:atives?|atively|ativity)?\b|消极|消極|负面|負面|负向|負向|贬义|差评)"
    r"|(?P<neutral>\bneu(?:t|tral|trally|trality)?\b|中性|中立)"
    r"|(?P<mixed>\bmixed\b|混合)"
)
_MAIN_LENGTH = 200  # characters of an answer that weighs two sentiments; a longer text is a description. Our choice
_NUMBER_BEFORE = re.compile(r"(\d{1,3}(?:[.,]\d+)?)\s*[%％]\s*(?:of\s+)?$")
_OVERALL_BEFORE = re.compile(
    r"(?:\b(?:overall|in general|in total|in sum|mainly|mostly|predominantly|primarily|largely|chiefly)\b|总体|整体|总的来说|综合"
    r"|主要|大体)[^,.;!?，。；！？]{0,40}$"
)
_OVERALL_BEHIND = re.compile(r"^\s*(?:\w+\s+)?(?:overall|in general|on the whole)\b|^(?:为主|居多)")
_MINOR = re.compile(  # clauses of what is granted or small beside the main thing
    r"\b(?:despite|in spite of|although|though|even though|even if|apart from|except for|with)\b[^,.;!?]*"
    r"|\b(?:slightly|a (?:bit|hint|touch|little)(?: of)?|some|a few|partly|partially)\s+(?:\w+\s+)?(?:pos|neg)\w*"
    r"|(?:虽然|尽管|虽)[^，。；]*|(?:略带|略有|略微|稍微|有些|有点|带有|带着|夹杂)[^，。；]*"
)
_DENIED = re.compile(
    r"(?:\b(?:not|non|neither|nor|never|no|n't|isn't|without|nothing|hardly|barely|scarcely|far from|anything but|by no means"
    r"|can(?:not|'t| not) be(?: called)?)\b[\s-]*(?:(?!but\b|and\b|pos|neg|neu)\w+\s+){0,2}"
    r"|(?:[不非没沒无無]|未(?:必|表现|显示|流露|体现|见)|谈不上|算不上|称不上|说不上|缺乏|绝非|远非)"
    r"(?:是|有|太|很|够|算|会|能说|那么|怎么|什么|任何|出|到|明显|表现出|感到|属于)*)$"
)
_DENIED_TOO = re.compile(
    r"\b(?:not|no|neither|isn't|never|nothing|without)\b[^.,;!?]{0,20}\b(?:pos|neg|neu)\w*\s+(?:or|nor)\s+(?:\w+\s+)?$"
)
_SET_AGAINST = re.compile(  # "more negative than", "rather than", 与其说
    r"(?:\b(?:more|rather|sooner)\b[^.,;!?]{0,40}\bthan\s+(?:\w+\s+)?"
    r"|\b(?:rather than|instead of|as opposed to)\s+(?:being\s+|a\s+)?"
    r"|(?:而非|而不是|多于|大于|多过|胜过|超过|高于)是?|与其说?是?|比起|相比)$"
)
_LESS, _THAN = re.compile(r"\bless\s+(?:\w+\s+)?$"), re.compile(r"^\s+than\b|^(?:少于|小于|低于|不如)")
_LEANING = re.compile(r"(?:偏向?|倾向于?|\blean(?:s|ing)?\b|\btend(?:s|ing)?\b)[^.;!?。；]{0,12}$")
_BOTH = re.compile(
    r"^\W*(?:(?:the |overall )?(?:sentiment|polarity)\s*(?:is|:|：)\s*)?"
    r"(?:(?:a |an )?(?:mix(?:ture)? of|mixed|both|partly|partially|half)\s*[:,(-]?\s*)?"
    r"(?:pos|neg)\w*\s*(?:,|and|&|as well as|\+)\s*(?:and |also )?(?:partly|partially|half )?\s*(?:pos|neg)\w*\W*"
    r"(?:sentiments?|emotions?|feelings?)?\W*$"
    r"|(?:积极|正面)(?:与|和|、)(?:消极|负面)|(?:消极|负面)(?:与|和|、)(?:积极|正面)|正负(?:混合|参半|都有)|喜忧参半"
)
_LEANING_TO_NEUTRAL = re.compile(  # "somewhat negative, leaning towards neutral" is negative
    r",?\s*(?:but |and |while )?(?:leaning|tending|verging|bordering|close|near)\s+(?:towards?|to|on)\s+(?:a )?neutral(?:ity)?\b",
    re.IGNORECASE,
)
_VALUES = {"positive": 1.0, "negative": -1.0, "neutral": 0.0}


def read_sentiment(text: str) -> str | None:
    """One of SENTIMENT_WORDS, or None if the text tells no sentiment, or more than one, or only denies one.

    >>> read_sentiment("Slightly negative."), read_sentiment("-0,8"), read_sentiment("The sentiment is positive")
    ('negative', 'negative', 'positive')
    >>> read_sentiment("★★☆☆☆"), read_sentiment("4/5"), read_sentiment("3 out of 5")
    ('negative', 'positive', 'neutral')
    >>> read_sentiment("neither positive nor negative"), read_sentiment("并不积极"), read_sentiment("2 on a scale of 1 to 5")
    ('neutral', None, 'negative')
    >>> read_sentiment("消极"), read_sentiment("0"), read_sentiment("angry"), read_sentiment("positive or negative")
    ('negative', 'neutral', None, None)
    """
    bare = _bare(text)
    if bare in SENTIMENT_WORDS:
        return bare
    if "neutral" in bare:
        rest = _LEANING_TO_NEUTRAL.sub("", bare)
        bare = rest if _POLARITY.search(rest) else bare
    number = _number(bare)
    if number is not None:
        return _word(number)
    told = told_in_form(bare)
    if told is not None:
        return told or None
    for value in (_of_scale(bare), _rating(bare), _compound(bare)):
        if value is not None:
            return _word(value)
    return _of_words(bare)


def _of_words(bare: str) -> str | None:
    """The sentiment of a text that names some, or a measure with a number."""
    undenied = _undenied(bare)
    found = {word for word, _ in undenied}
    if len(found) == 1:
        return None if _is_unlikely(bare, undenied) else found.pop()
    if len(found) > 1:
        return _highest(bare, len(found)) or _main(bare) or _leaning(bare, undenied) or _both(bare)
    if {"positive", "negative"} <= {str(match.lastgroup) for match in _POLARITY.finditer(bare)}:
        return "neutral"  # neither of them
    named = _named_number(bare) if not _POLARITY.search(bare) else None
    return _word(float(named[1].replace(",", "."))) if named else None


def _is_unlikely(text: str, named: list[tuple[str, re.Match[str]]]) -> bool:
    """Whether the only class has a chance below one half: "probability of positive is 0.2"."""
    if len(named) != 1 or not _CHANCE.search(text):
        return False
    number = re.search(r"(\d+(?:[.,]\d+)?)\s*([%％]?)", text)
    return number is not None and float(number[1].replace(",", ".")) / (100 if number[2] else 1) < 1 / 2


def _leaning(text: str, named: list[tuple[str, re.Match[str]]]) -> str | None:
    """Where neutral leans: 中性偏负面, "neutral, leaning negative"."""
    words = {word for word, match in named if _LEANING.search(text[: match.start()])}
    return words.pop() if len(words) == 1 and "neutral" in {word for word, _ in named} else None


def _both(text: str) -> str | None:
    return "mixed" if len(text) <= _MAIN_LENGTH and _BOTH.search(text) else None


def _compound(text: str) -> float | None:
    found = _COMPOUND.search(text)
    value = float(found[1]) if found else None
    return 0.0 if value is not None and abs(value) < _VADERS_NEUTRAL else value


def _of_scale(text: str) -> float | None:
    """A number on a scale that the text names, from -1 below its middle to 1 above it; None where there is no such scale."""
    scale = _SCALE.search(text) if any(map(str.isdigit, text)) and len(text) <= _MAIN_LENGTH else None
    if scale is None:
        return None
    left = _ONE_NUMBER.fullmatch(f"{text[: scale.start()]} {text[scale.end() :]}")
    least, most = float(scale["least"]), float(scale["most"])
    if left is None or not least <= float(left[1].replace(",", ".")) <= most or least >= most:
        return None
    number, middle = float(left[1].replace(",", ".")), (least + most) / 2
    return float((number > middle) - (number < middle))


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


def told_number(text: str) -> float | None:
    """The number of a text that is one, or ends with one behind the name of a measure of sentiment; None for others.

    >>> told_number("Sentiment score: -0.6"), told_number("0,4"), told_number("at 10:30")
    (-0.6, 0.4, None)
    """
    bare = _bare(text)
    named = _named_number(bare)
    return float(named[1].replace(",", ".")) if named else _number(bare)


def _highest(text: str, polarities: int) -> str | None:
    """Of `positive: 0.9, negative: 0.1` the one with the highest number; None where not each has one."""
    numbers: dict[str, float] = {}
    for _, match in _undenied(text):
        number = _NUMBER_BEHIND.match(text, match.end())
        if number is None or str(match.lastgroup) in numbers:
            return None
        numbers[str(match.lastgroup)] = float((number["signed"] or number["plain"]).replace(",", "."))
    best = max(numbers, key=lambda word: numbers[word])
    return best if list(numbers.values()).count(numbers[best]) == 1 and len(numbers) == polarities else None


def side_of_a_form(text: str) -> str | None:
    """The sentiment of a text in a set form that names a side, such as `positive: 0.1`; None for other texts.

    >>> side_of_a_form("Positive: 0.1"), side_of_a_form("positive"), side_of_a_form("+2/3"), side_of_a_form("Sentiment: bad")
    ('negative', None, None, 'negative')
    """
    bare = _bare(text) if len(text) <= _MAIN_LENGTH else ""
    return (told_in_form(bare) or None) if names_polarity(bare) or "sentiment" in bare else None


def main_sentiment(text: str) -> str | None:
    """The one that a short text weighs above the other, where it names both positive and negative; None for other texts.

    >>> main_sentiment("Positive overall, though some negative remarks."), main_sentiment("80% negative, 20% positive")
    ('positive', 'negative')
    >>> main_sentiment("虽然有负面词，整体是正面的"), main_sentiment("positive or negative"), main_sentiment("positive")
    ('positive', None, None)
    """
    if len(text) > _MAIN_LENGTH:
        return None
    bare = _bare(text)
    found = {word for word, _ in _undenied(bare)}
    return (_highest(bare, len(found)) or _main(bare)) if {"positive", "negative"} <= found else None


def names_polarity(word: str) -> bool:
    """Whether a label names a sentiment, and so no emotion beside it.

    >>> names_polarity("positive ending"), names_polarity("happy")
    (True, False)
    """
    return bool(_POLARITY.search(word.lower()))


def _undenied(text: str) -> list[tuple[str, re.Match[str]]]:
    """The sentiments that a text names and does not deny."""
    return [
        (str(match.lastgroup), match)
        for match in _POLARITY.finditer(text)
        if not _is_denied(text[: match.start()], text[match.end() :])
    ]


def _is_denied(before: str, after: str) -> bool:
    """Whether the sentiment between two texts is denied, or set aside against another one."""
    if _LESS.search(before):
        return bool(_THAN.match(after))
    return any(pattern.search(before) for pattern in (_DENIED, _DENIED_TOO, _SET_AGAINST)) or bool(
        re.match(r"^(?:少于|小于|低于|不如(?!说))", after)
    )


def _main(text: str) -> str | None:
    """What stands with `overall` or has the higher percentage, else what is left without concessions."""
    if len(text) > _MAIN_LENGTH:
        return None
    named = _undenied(text)
    if not {"positive", "negative"} <= {word for word, _ in named}:
        return None
    shares = [_NUMBER_BEFORE.search(text[: match.start()]) for _, match in named]
    if all(shares):
        numbers = {
            word: float(share[1].replace(",", ".")) for (word, _), share in zip(named, shares, strict=True) if share
        }
        best = max(numbers, key=lambda word: numbers[word])
        return best if len(numbers) == len(named) and list(numbers.values()).count(numbers[best]) == 1 else None
    overall = {
        word
        for word, match in named
        if _OVERALL_BEFORE.search(text[: match.start()]) or _OVERALL_BEHIND.match(text[match.end() :])
    }
    if len(overall) == 1:
        return overall.pop()
    left = {word for word, _ in _undenied(_MINOR.sub(" ", text))}
    return left.pop() if len(left) == 1 else None


def _named_number(text: str) -> re.Match[str] | None:
    return _NAMED_NUMBER.search(text) or _LEADING_NUMBER.match(text) or _ANSWER_NUMBER.match(text)


def _rating(text: str) -> float | None:
    """Stars, or `4/5` and `4 out of 5`, from -1 below the middle of their scale to 1 above it; None for other texts."""
    stars = "".join(text.replace("\ufe0f", "").split())
    if stars and _STARS.fullmatch(stars) and len(stars) <= 5:
        return _from_middle(sum(map(stars.count, _FILLED)), 5)
    chinese = _CHINESE_STARS.match(text)
    if chinese:
        return _from_middle("一二三四五".find(chinese["number"].replace("两", "二")) + 1, 5)
    found = _RATING.search(text)
    if found is None:
        return None
    return _from_middle(float(found["number"].replace(",", ".")), 5 if found["stars"] else int(found["most"]))


def _from_middle(number: float, most: int) -> float | None:
    if most not in _MIDDLES or number > most:
        return None
    return float((number > _MIDDLES[most]) - (number < _MIDDLES[most]))


def never_below_zero(values: Iterable[float]) -> bool:
    """Whether values look like classes, stars or probabilities: several, of which none is below 0.

    >>> never_below_zero([0, 1, 2]), never_below_zero([0.1, 0.9]), never_below_zero([-1, 2]), never_below_zero([1, 1])
    (True, True, False, False)
    """
    known = set(values)
    return len(known) > 1 and min(known) >= 0


def one_sided(values: Iterable[float]) -> str | None:
    """The warning for values of which none is below 0, or none above it; None for values on both sides, and for equal ones.

    It takes the file or set, where the numbers stand, the lowest and the highest.

    >>> one_sided([-1, 2]), one_sided([0, 1]) == NEVER_BELOW_ZERO, one_sided([-2.3, -0.1]) == NEVER_ABOVE_ZERO
    (None, True, True)
    """
    known = set(values)
    if never_below_zero(known):
        return NEVER_BELOW_ZERO
    return NEVER_ABOVE_ZERO if len(known) > 1 and max(known) < 0 else None


NEVER_ABOVE_ZERO = (
    "%s: no number %s (%g to %g) is above 0, and all are read as negative. If these are logarithms of probabilities, write "
    "negative, neutral or positive instead."
)
NEVER_BELOW_ZERO = (
    "%s: no number %s is below 0 (%g to %g), and all above 0 are read as positive. If these are classes, stars or "
    "probabilities, write negative, neutral or positive instead."
)


def _bare(text: str) -> str:
    """In lower case, with plain digits and signs, without blanks, quotes and final punctuation around it."""
    plain = unicodedata.normalize("NFKC", plain_characters(text)).replace("\u2212", "-").replace("\u2013", "-").lower()
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
