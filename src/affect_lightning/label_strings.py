"""Given words: the one reader of emotion words that label files and saved outputs bring.

The authors write `"['a', 'b']"` or `"[a, b]"`, and their released metric strips the outer brackets and splits at quotes and
commas. Others write `a; b`, `a、b`, `a / b`, `a and b`, one word a line, or a score after each word. Readers of label files,
of saved outputs and the metrics use this module, so both sides of a score are split alike. What splits only outside of
brackets is chosen so that none of the authors' label lists reads otherwise (`tests/test_given_words.py`). JSON with words
(`{"happy": 0.9}`) is a list too. `sentiment_strings.py` reads sentiments. Standard library only.
"""

from __future__ import annotations

import ast
import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from affect_lightning.plain_characters import plain_characters
from affect_lightning.sentiment_strings import names_polarity

LabelList = str | Iterable[object] | None

_EXPLICIT = re.compile(r"""["',，、;；|｜「」『』“”【】\r\n\t]|）\s*（""")  # separate everywhere
_LOOSE = re.compile(r"[/／+＋]|\s(?:and|&)\s|以及")  # separate only where no brackets say what a word is
_BETWEEN = frozenset({"and", "&", "和", "以及"})  # what is left between two quoted words
_LEADING = re.compile(r"^(?:(?:and|&)\s+|[-–•*]\s+|\d{1,2}[.)]\s*(?=[^\W\d]))", re.IGNORECASE)
_EDGES = " \t\r\n\f\v.!?。！？…*_`“”‘’「」『』【】\u00a0\ufeff"
PICTURES = re.compile("[\u2600-\u27bf\ufe0f\U0001f300-\U0001faff]")  # emoji and dingbats beside a word
_NO_WORD = frozenset({"nan", "none", "null", "n/a", "#n/a", "<na>", "nil", "nat", "undefined"})
_SCORED = re.compile(
    r"\s*(?:[-–•*]\s+|\d{1,2}[.)]\s*)?[「『“【\x22]?"
    r"(?P<word>[^\W\d_][^:：=()\[\]{}\d|」』”】\x22\n,;，；、]{0,39}?)[」』”】\x22]?\**"
    r"\s*(?:[:=：(（|]|\s[-–—]\s|(?P<bare>\s(?=[01]?[.]\d))|\s(?=\d{1,3}(?:[.,]\d+)?\s*[%％]))\s*\**"
    r"(?P<number>(?:(?<=[:：=(（])|(?<=[:：=] ))-?(?:\d{1,3}(?:[.,]\d+)?(?:e[+-]?\d+)?|[.]\d+)"
    r"|\d{1,3}(?:[.,]\d+)?|[.]\d+)(?:\s*[-–~]\s*\d{1,3}(?:[.,]\d+)?)?\s*(?P<percent>[%％])?\s*"
    r"(?:(?:/|out of)\s*\d{1,4}(?![\d.]))?\s*[)）]?\s*"
)
_HEAD_OF_SCORES = re.compile(
    r"^\s*(?:emotions?|labels?|class|情绪|情感|标签)\s*[,，\t;|]\s*(?:scores?|prob(?:ability)?|confidence|weight|intensity|分数|概率|得分)"
    r"\s*\n",
    re.IGNORECASE,
)
_ROW_OF_SCORES = re.compile(
    r"^[ \t]*([^\W\d_][^,，\t;|\n]*?)[ \t]*[,，\t;|][ \t]*([\d.]+[ \t]*[%％]?)[ \t]*$", re.MULTILINE
)
_NUMBER_FIRST = re.compile(  # "80% sad"
    r"\s*(?:and\s+)?(?P<number>\d{1,3}(?:[.,]\d+)?)\s*[%％]\s*(?:of\s+)?(?P<word>[^\W\d_][^\d%％,;，；、|\n]*?)\s*"
    r"(?:[,;，；、|\n]+|(?=\s+and\s+\d)|[.。]?\s*$)"
)
_GLUED = re.compile(r"(?<=[\u4e00-\u9fff])[ \t]*(?=\d{1,3}(?:[.,]\d+)?\s*(?:[%％]|分(?!钟)))")  # 悲伤80%
_POINTS = re.compile(r"(?<=\d)[ \t]*分(?=[,，;；、。\s]|$)")
_OUT_OF_TEN = re.compile(r"(?<=[A-Za-z])[ \t]+(?=\d{1,2}(?:\.\d)?[ \t]*/[ \t]*10+\b)")
_BETWEEN_SCORES = ",;，；、|/\n\r"
_BLANK_AND_BETWEEN = _BETWEEN_SCORES + "".join(filter(str.isspace, map(chr, range(0x3001))))
_SHARE_OF_BEST = 0.5  # of the highest score, from which a scored word counts; our choice
NAMES_EMOTIONS = re.compile(  # the whole of a key, or of a heading, beside which emotion words stand
    r"^(?:.*[\s_-])?(?:emotions?|emotional[\s_-]?(?:states?|labels?)|labels?|openset|moods?|feelings?|predictions?|predicted"
    r"|answers?|class|category|expressions?|情绪|情緒|情感|标签|標籤|答案|心情)(?:[\s_-]?(?:\d|labels?|states?|words?|list|names?"
    r"|categor(?:y|ies)|状态|類別|类别|标签))?$",
    re.IGNORECASE,
)
RANKED = re.compile(
    r"^(?:primary|secondary|tertiary|main|major|minor|dominant|first|second|third|主要|次要|其次|(?:top|rank)[ _-]?\d{1,2})$",
    re.I,
)
_LEAD = re.compile(
    r"[\s*_\"'“‘「（(-]*(?P<key>[^\W\d_][^:：\n\[\]\"',，;；]{0,39}?)[*\"'”’」 ]*[:：=](?P<rest>.*)", re.DOTALL
)
_WORD_KEYS = frozenset({"name", "word", "value", "text"})  # of an object in a list of labels, beside NAMES_EMOTIONS
_OBJECTS = re.compile(r"\s*(?:\{|\[\s*[{\[(])")
_BARE_WORDS = 2  # of a label with nothing but a blank before its number; our choice
_MEASURES = re.compile(
    r"(?i)^(?:confidence|scores?|prob(?:ability)?|valence|polarity|sentiments?|arousal|dominance|intensity|total|sum|id|index|rank|level"
    r"|age|time|start|end|frames?|second|duration|置信度|概率|分数|强度|強度)\b"
)


_NAMES_OF_ANSWERS = re.compile(
    r"(?:ratings?|output|answer|label|class|result)", re.IGNORECASE
)  # with a number, no word


def is_no_word(text: str) -> bool:
    """Whether a text is what tables write where nothing is: `nan`, `None`, `null`, `N/A`; or has no letter at all.

    >>> is_no_word("NaN"), is_no_word(" - "), is_no_word("nano")
    (True, True, False)
    """
    bare = text.strip().lower()
    return bare in _NO_WORD or not any(character.isalpha() for character in bare)


def label_key(word: str) -> str:
    """A label as tables have it: lower case, without blanks, final punctuation and emphasis around it.

    >>> label_key(" Happy. "), label_key("**a bit Shy**")
    ('happy', 'a bit shy')
    """
    return _bare(word).lower()


def _bare(word: str) -> str:
    """Without what stands around a word; full-width brackets go unless they are a remark behind it, as in `高兴（强烈）`."""
    bare = PICTURES.sub("", plain_characters(word)).strip(_EDGES).rstrip(":：").strip("{}<>#•·").strip(_EDGES)
    if bare.startswith("(") != bare.endswith(")") and bare.count("(") != bare.count(")"):
        bare = bare.strip("()")
    if "（" in bare or "）" in bare:
        if bare.startswith("（") and bare.find("）") in (-1, len(bare) - 1):
            bare = bare[1:]
        if bare.endswith("）") and "（" not in bare:
            bare = bare[:-1]
        bare = bare.strip(_EDGES)
    return bare


def parse_labels(labels: LabelList) -> tuple[str, ...]:
    """Emotion words of a label list, however it is written; case and repeats are kept.

    Args:
        labels: A text such as `"['a', 'b']"`, `"[a, b]"`, `"a; b"` or `"a and b"`; or an iterable of words, of which each
            is split at quotes, commas, semicolons, bars and line breaks only; or None.

    Returns:
        The words without blanks and final punctuation. Empty ones, `nan` and `None` are left out.

    Examples:
        >>> parse_labels("['happy', 'a bit shy']")
        ('happy', 'a bit shy')
        >>> parse_labels("[Happy, calm]"), parse_labels("Happy; calm and tired.")
        (('Happy', 'calm'), ('Happy', 'calm', 'tired'))
        >>> parse_labels("高兴，激动"), parse_labels("「高兴」『激动』"), parse_labels("【高兴】（激动）")
        (('高兴', '激动'), ('高兴', '激动'), ('高兴', '激动'))
        >>> parse_labels(["happy ", ""]), parse_labels("nan")
        (('happy',), ())
        >>> parse_labels("happy: 0.1, sad: 0.8")
        ('sad',)
        >>> parse_labels("emotions: happy, calm"), parse_labels('{"happy": 0.9, "sad": 0.1}')
        (('happy', 'calm'), ('happy',))
        >>> parse_labels("[]")
        ()
    """
    if labels is None:
        return ()
    if isinstance(labels, str):
        text = _without_lead(plain_characters(labels).strip())
        objects = words_of_object(_loaded(text)) if _OBJECTS.match(text) else None
        if objects is not None:
            return objects
        if "[" in text:
            return _words(_EXPLICIT.split(text.removeprefix("[").removesuffix("]")))
        if not text or is_no_word(text):
            return ()
        scored = scored_words(text)
        if scored is not None:
            return scored
        parts = (_LEADING.sub("", loose) for part in _EXPLICIT.split(text) for loose in _LOOSE.split(part.strip()))
        return tuple(word for word in _words(parts) if word.lower() not in _BETWEEN)
    found: list[str] = []
    for item in labels:
        word = plain_characters(item if isinstance(item, str) else "" if item is None else str(item))
        found.extend(_EXPLICIT.split(word) if _EXPLICIT.search(word) else (word,))
    return _words(found)


def given_words(value: str | Sequence[object]) -> tuple[str, ...]:
    """Emotion words of a cell: a text, or a list of texts of which each is read as a text without brackets is.

    Lists and objects of JSON are for `words_of_object`.

    >>> given_words(["Happy; calm", "tired."]), given_words(["happy: 0.1", "sad: 0.8"])
    (('Happy', 'calm', 'tired'), ('sad',))
    """
    if isinstance(value, str):
        return parse_labels(value)
    texts = [str(item).strip() for item in value if item is not None]
    scored = scored_words(", ".join(texts))
    if scored is not None:
        return scored
    return tuple(word for text in texts for word in parse_labels(text))


def words_of_object(value: object) -> tuple[str, ...] | None:
    """The words of labels in JSON: an object with a number for each word, or objects or pairs with a word each.

    Args:
        value: As JSON gives it.

    Returns:
        All words, or those with the highest numbers; None if the value is no such thing, or could mean several.

    >>> words_of_object({"happy": 0.9, "sad": 0.1}), words_of_object([{"label": "sad", "score": 0.8}])
    (('happy',), ('sad',))
    >>> words_of_object({"emotions": ["happy", "calm"]}), words_of_object({"clip": "a"})
    (('happy', 'calm'), None)
    """
    if isinstance(value, Mapping):
        numbers = {str(key): number for key, item in value.items() if (number := _plain_number(item)) is not None}
        words = {
            key: number for key, number in numbers.items() if not (_MEASURES.match(key) or NAMES_EMOTIONS.match(key))
        }
        if len(numbers) == len(value) and words:
            return _words(best_words(words.items()))
        told = [key for key in value if isinstance(key, str) and _names_words(key, value[key])]
        return _words_beside(value[told[0]]) if len(told) == 1 else None
    if not isinstance(value, list | tuple) or not value:
        return None
    pairs = [_pair(item) for item in value]
    if any(pair is None for pair in pairs):
        return None
    found = [pair for pair in pairs if pair is not None]
    if all(number is not None for _, number in found):
        return _words(best_words((word, number or 0.0) for word, number in found))
    return _words(word for word, _ in found)


def best_words(pairs: Iterable[tuple[str, float]]) -> list[str]:
    """The words that are worth at least half of the best one.

    >>> best_words([("happy", 1.0), ("calm", 0.2), ("bored", 0.0)]), best_words([("sad", -0.2), ("calm", -2.3)])
    (['happy'], ['sad'])
    """
    known = list(pairs)
    if len(known) > 1 and all(worth <= 0 for _, worth in known) and any(worth < 0 for _, worth in known):
        known = [(word, math.exp(worth)) for word, worth in known]  # logarithms of probabilities
    best = max((worth for _, worth in known), default=0.0)
    share = 1.0 if all(names_polarity(word) for word, _ in known) else _SHARE_OF_BEST  # of sentiments one counts
    return [word for word, worth in known if worth > 0 and worth >= share * best]


def _loaded(text: str) -> Any:
    """The value of a text of JSON or Python; None if it is neither, or has a key twice in one object."""
    try:
        return json.loads(text, object_pairs_hook=_of_pairs)
    except (ValueError, RecursionError):
        pass
    try:
        return ast.literal_eval(text) if "'" in text else None
    except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
        return None


def _of_pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any] | None:
    found = dict(pairs)
    return found if len(found) == len(pairs) else None


def _names_words(key: str, value: object) -> bool:
    return (
        bool(NAMES_EMOTIONS.match(key.strip())) and not _MEASURES.match(key) and isinstance(value, str | list | tuple)
    )


def _words_beside(value: Any) -> tuple[str, ...] | None:
    if isinstance(value, str):
        return parse_labels(value)
    if all(isinstance(item, str) for item in value):
        return given_words(value)
    return words_of_object(value)


def _pair(item: object) -> tuple[str, float | None] | None:
    """A word and its number, if it has one, of an object or a pair of a list; None for anything else."""
    if isinstance(item, Mapping):
        words = [
            str(value)
            for key, value in item.items()
            if isinstance(value, str) and (str(key) in _WORD_KEYS or NAMES_EMOTIONS.match(str(key)))
        ]
        numbers = [number for value in item.values() if (number := _plain_number(value)) is not None]
        return (words[0], numbers[0] if numbers else None) if len(words) == 1 and len(numbers) < 2 else None
    if isinstance(item, list | tuple) and len(item) == 2 and isinstance(item[0], str):
        number = _plain_number(item[1])
        return None if number is None else (item[0], number)
    return None


def _plain_number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and abs(value) < 1000 else None


def _without_lead(text: str) -> str:
    """Without a key such as `Emotions:` before the words.

    >>> _without_lead("Emotions: happy"), _without_lead("happy: 0.1")
    ('happy', 'happy: 0.1')
    """
    lead = _LEAD.match(text) if any(map(text.__contains__, ":：=")) else None
    if lead is None or _MEASURES.match(lead["key"]):
        return text
    key = lead["key"].strip()
    return lead["rest"].strip() if NAMES_EMOTIONS.match(key) or RANKED.match(key) else text


def scored_words(text: str) -> tuple[str, ...] | None:
    """The words of a list in which each has a number, such as `happy: 0.1, sad: 80%`: those with the highest ones.

    Args:
        text: Nothing but the list.

    Returns:
        Words with at least half of the highest number; names of measures (`confidence`) are no words. None if the text is
        no such list.

    >>> scored_words("Happy (0.1); Sad (0.8)"), scored_words("sad, happy")
    (('Sad',), None)
    """
    text = _numbers_last(text)
    if not ends_with_number(text):
        return None
    pairs: list[tuple[str, float]] = []
    position = 0
    while position < len(text):
        match = _SCORED.match(text, position)
        if match is None or (match["bare"] and len(match["word"].split()) > _BARE_WORDS):
            return None
        pairs.append((_bare(match["word"]), float(match["number"].replace(",", "."))))
        position = match.end()
        if position < len(text) and text[position] not in _BETWEEN_SCORES and not match[0][-1].isspace():
            return None
        while position < len(text) and (text[position] in _BETWEEN_SCORES or text[position] in " \t"):
            position += 1
    words = [(word, number) for word, number in pairs if not _names_a_number(word)]
    if len(words) == 1 and words[0][1] < 0:
        return None
    return tuple(best_words(words))


def _names_a_number(word: str) -> bool:
    return bool(_MEASURES.match(word) or _NAMES_OF_ANSWERS.fullmatch(word))


def _numbers_last(text: str) -> str:
    """`sad: 80` for `80% sad`, `悲伤80%`, `悲伤：8分`, `Sadness 8/10` and rows below `emotion,score`.

    >>> _numbers_last("80% sad, 20% calm"), _numbers_last("悲伤：9分，平静：1分")
    ('sad: 80, calm: 20', '悲伤：9，平静：1')
    """
    if _HEAD_OF_SCORES.match(text):
        return ", ".join(f"{word}: {number}" for word, number in _ROW_OF_SCORES.findall(text.partition("\n")[2]))
    if "/" in text:
        text = _OUT_OF_TEN.sub(": ", text)
    if not text.isascii():
        text = _POINTS.sub("", _GLUED.sub("：", text))
    pairs, position = [], 0
    while _begins_with_percent(text) and position < len(text):
        found = _NUMBER_FIRST.match(text, position)
        if found is None or len(found["word"].split()) > _BARE_WORDS:
            return text
        pairs.append(f"{found['word'].strip()}: {found['number']}")
        position = found.end()
    return ", ".join(pairs) or text


def _begins_with_percent(text: str) -> bool:
    return text.lstrip()[:1].isdecimal() and any(mark in text[:12] for mark in "%％")


def ends_with_number(text: str) -> bool:
    """Whether a text may be a list of scored words, which ends with a number or begins with a percentage.

    A quick look that spares most prose the rest.

    >>> ends_with_number("sad: 80%, "), ends_with_number("sad, 3 of them"), ends_with_number("80% sad")
    (True, False, True)
    """
    rest = text.rstrip(_BLANK_AND_BETWEEN)
    return bool(rest) and (rest[-1].isdecimal() or rest[-1] in "%％)）分" or _begins_with_percent(rest))


def _words(parts: Iterable[str]) -> tuple[str, ...]:
    stripped = (_bare(_without_lead(part)) for part in parts)
    return tuple(word for word in stripped if word and word.lower() not in _NO_WORD)
