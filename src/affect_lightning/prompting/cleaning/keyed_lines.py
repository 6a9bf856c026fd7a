"""Answers in lines of keys (`Reason: ...`, `Emotion: happy`), and lists of words with yes, no, high or low beside each.

Of keyed lines, those whose key names emotions are the answer, where another line has a key that never is one, such as a
reason or a confidence. `structure.py` asks, and reads JSON and tables; `label_strings.py` has lists with numbers.
"""

from __future__ import annotations

import re
from typing import Any

from affect_lightning.label_strings import NAMES_EMOTIONS, best_words
from affect_lightning.prompting.cleaning.chosen_parts import share_of

TOLD = NAMES_EMOTIONS
SENTIMENT = re.compile(
    r"^(?:overall |final )?(?:sentiments?|sentiment[\s_-]?(?:label|polarity)|polarity|情感倾向|极性)$", re.IGNORECASE
)
DEGREE = re.compile(  # of sentiment, as a number
    r"^(?:(?:overall|final)[\s_-])?(?:sentiment|polarity|valence)(?:[\s_-]?(?:scores?|values?|intensity|strength|polarity))?$"
    r"|^compound(?:[\s_-]?score)?$|^情感(?:得分|分数|值|强度|极性)$",
    re.IGNORECASE,
)
PLAIN_DEGREE = re.compile(  # beside nothing but a number: where a sentiment is asked for, it is one
    r"^(?:the |my |final )?(?:scores?|ratings?|answer|label|class|output|prediction|result|得分|评分|打分|分数|答案|标签)$",
    re.IGNORECASE,
)
MEASURE = re.compile(
    r"(?:confidence|score|prob|valence|arousal|dominance|intensity|\bid\b|index|rank|time|start|end|frame|level|certainty"
    r"|置信|概率|强度|強度)",
    re.IGNORECASE,
)
_WEIGHT = re.compile(  # beside a word: how much it counts, which times, indices and valences do not say
    r"^p$|^(?:is[_ ])?(?:present|detected|observed)$|score|prob|confidence|certainty|intensity|likelihood|weight|level"
    r"|置信|概率|强度|強度|得分|分数",
    re.IGNORECASE,
)
_BESIDE_WORDS = (  # keys of what is no answer
    "thought", "thoughts", "thinking", "thinking process", "reason", "reasons", "reasoning", "rationale", "explanation",
    "explanations", "analysis", "evidence", "justification", "confidence", "confidence score", "confidence level",
    "certainty", "intensity", "sentiment", "polarity", "valence", "arousal",
    "note", "notes", "思考", "思路", "推理", "推理过程", "理由", "原因", "分析", "解释", "解釋", "依据",
    "依據", "置信度", "强度", "強度", "说明", "說明",
)  # fmt: skip
_BESIDE = "|".join(sorted(_BESIDE_WORDS, key=len, reverse=True))
_COLON = re.compile("[:：]")
_LONGEST_HEAD = 80  # characters of an answer before such a key; a longer text is prose. Our choice
_LONGEST_KEY = 24  # characters before a colon in which such a key is looked for
_ANSWER = (
    r"(?:final |predicted |main |primary |secondary )?(?:emotions?|emotional states?|answers?|labels?|predictions?)"
    r"|结论|結論|conclusion|答案|情绪|情緒|情感"
)
_MEASURES = ("confidence", "certainty", "probability")
_GRADES = (*_MEASURES, "confident", "certain", "sure")
_MEASURED = re.compile(
    rf"[,;|]?\s*[(\[]?(?:\bwith )?(?:\b(?:an?|my|the) )?(?:\b(?:about |around )?\d+(?:[.,]\d+)?\s*% )?"
    rf"\b(?:{'|'.join(_MEASURES)})(?: (?:score|level))?\s*"
    r"(?:(?:(?:of|is|about|around|approximately|roughly|over|[:=：])\s*){0,3}\d+(?:[.,]\d+)?\s*(?:%|/\s*10+)?"
    r"|[:=：]\s*(?:very )?(?:high|medium|moderate|low)\b)[)\]]?",
    re.IGNORECASE,
)
_GRADED = re.compile(  # "(high confidence)", "With moderate confidence,", "Confidence is high."
    r"\s*[(\[]?(?:\bwith )?(?:\ban? )?(?:\b(?:very|fairly) )?\b(?:high|medium|moderate|low|full|great|strong|\d+\s*%) "
    r"(?:degree of |level of )?(?:confidence|certainty|probability)\b[)\]]?,?"
    r"|\b(?:my |the )?(?:confidence|certainty)(?: level)? is (?:very |fairly )?(?:high|medium|moderate|low)\b\.?"
    r"|\s*[(\[]\s*\d+\s*% (?:confident|certain|sure)\s*[)\]]",
    re.IGNORECASE,
)
_MEASURES_IN_BRACKETS = re.compile(
    r"\s*[(\[][^()\[\]\n]*(?:\b(?:valence|arousal|dominance)\b\s*(?:is|of|[:=：])?\s*[+-]?[\d.]"
    r"|\b[a-z_]+\s*=\s*(?:true|false|[\d.]+))[^()\[\]\n]*[)\]]"
    r"|[,;]?\s*\b(?:confident|is_confident)\s*[=:]\s*(?:true|false)\b"
    r"|[,;]?\s*\b(?:valence|arousal|dominance)\s*[:=]\s*"
    r"(?:[+-]?[\d.]*\d|(?:very )?(?:high|medium|moderate|low|positive|negative|neutral))\b",
    re.IGNORECASE,
)
_IS_BESIDE = re.compile(rf"^(?:{_BESIDE})$", re.IGNORECASE)
_EXPLAINS = re.compile(  # of these keys, those that follow an answer
    r"^(?:reasons?|reasoning|rationale|explanations?|justification|evidence|confidence(?: score| level)?|certainty|intensity"
    r"|notes?|理由|原因|解释|解釋|依据|依據|置信度|强度|強度|说明|說明)$",
    re.IGNORECASE,
)
_CONCLUDES = re.compile(r"^(?:conclusion|结论|結論)$", re.IGNORECASE)
_NEXT_KEY = re.compile(rf"(?<=[.;,，。；|!?])[ \t]*(?=(?:{_BESIDE}|{_ANSWER})\**[ \t]*[:：])", re.IGNORECASE)
_KEYED = re.compile(
    r"^[ \t]*(?:[-*•#]+[ \t]+|\d{1,2}[.)][ \t]*)?(?P<key>[^\W\d_][^:：\n|{}\"]{0,40}?)\**[ \t]*[:：]\**[ \t]*(?P<value>.*)$"
)
_ASSIGNED = re.compile(  # emotion = 'sad'
    r"^[ \t]*(?P<key>[a-z_]\w*)[ \t]*=[ \t]*(?P<quote>['\"])(?P<value>.*)(?P=quote)[ \t]*$",
    re.IGNORECASE | re.MULTILINE,
)
_NUMBER = re.compile(r"[\s*]*[+-]?\d*[.,]?\d+[\s*.,;]*")
_BULLET = re.compile(r"^[ \t]*(?:[-*•](?![.\d])|\d{1,2}[.)](?!\d))[ \t]*")

_CHOICE = re.compile(r"^\(?[A-H][).:]\s+")  # the letter of a choice

_WORTH = {
    **dict.fromkeys(
        ("yes", "y", "true", "present", "detected", "✓", "✔", "✅", "√", "high", "very high", "strong"), 1.0
    ),
    **dict.fromkeys(("dominant", "prominent", "primary"), 1.0),
    **dict.fromkeys(("very likely", "highly likely", "likely", "strong evidence", "clear evidence"), 1.0),
    **dict.fromkeys(("severe", "significant", "extreme", "intense", "pronounced", "clear", "clearly visible"), 1.0),
    **dict.fromkeys(("very strong", "clearly present", "evident", "visible", "observed"), 1.0),
    **dict.fromkeys(("是", "有", "高", "很高", "强", "强烈", "明显", "很明显", "非常明显"), 1.0),
    **dict.fromkeys(("mild", "faint", "subtle", "minor", "轻微", "轻度"), 0.3),
    **dict.fromkeys(("n/a", "not observed", "not visible", "not evident", "not shown", "not expressed", "zero"), 0.0),
    **dict.fromkeys(("不明显", "无明显", "未见", "未观察到", "不存在", "未体现"), 0.0),
    **dict.fromkeys(("unlikely", "very unlikely", "highly unlikely", "no evidence", "weak evidence"), 0.0),
    **dict.fromkeys(("medium", "moderate", "mid", "中", "中等"), 0.6),
    **dict.fromkeys(("low", "very low", "weak", "slight", "低", "弱"), 0.2),
    **dict.fromkeys(
        ("no", "n", "false", "absent", "not present", "not detected", "none", "✗", "✘", "❌", "×", "✖"), 0.0
    ),
    **dict.fromkeys(("否", "无", "没有"), 0.0),
}
_WORTHS = tuple(_WORTH)
_BOXES = ("[ ]", "[x]", "[X]", "☑", "✅", "☐", "❌", "[✓]", "[✔]", "✔", "✓", "✗", "✘")
_ITEM = re.compile(
    r"(?P<word>[^\W\d_][^:：=()（）\n]{0,39}?)\s*(?:[:：=?？]|\s[-–]\s|[(（\[]|(?=[✓✔✅√✗✘❌×✖]))\s*(?P<value>[^:：=()（）\n]{1,16}?)\s*[)）\]]?\.?"
)
_DEGREE_OF = re.compile(r"\s+(?:confidence|certainty|probability|intensity|likelihood)(?=[)）]?\.?$)", re.IGNORECASE)
_HEAD_OF_LEVELS = re.compile(r"^\W*emotion(?:al)? (?:intensit\w+|levels?|ratings?|scores?)\s*[—–:-]+\s*", re.IGNORECASE)
_BARE_ITEM = re.compile(r"[^\W\d_]+(?:[ -][^\W\d_]+){0,2}")
_TICK = re.compile(r"\s*([☑✅✔✓√☐❌✗✘✖])\ufe0f?\s*[,;，；、|]?\s*")
_TICKED = "☑✅✔✓√"
_LONGEST_TICKED = 300  # characters of words with a sign each; our choice
_BOX = re.compile(r"^[ \t]*(?:[-*][ \t]+)?(?:\[(?P<mark>[ xX✓✔]?)\]|(?P<sign>[☑✅✔✓☐❌✗✘]))[ \t]*(?P<word>\S.*)$")


def told_by_keys(text: str) -> list[str] | None:
    """The values of keyed lines whose key names emotions; None if no other line has a key that is no answer."""
    if "=" in text:
        text = _ASSIGNED.sub(r"\g<key>: \g<value>", text)
    if not _has_key_beside(text):
        return None
    parts = _keyed_parts(_NEXT_KEY.sub("\n", text))
    if not any(_IS_BESIDE.match(key) for key, _ in parts):
        return None
    told = [lines for key, lines in parts if _CONCLUDES.match(key) or (TOLD.match(key) and not MEASURE.search(key))]
    told = told or [lines for key, lines in parts if SENTIMENT.match(key)]
    told = told or [[head] for head in (_before_keys(text),) if head]
    values = [line for lines in told for line in (lines[:1] if lines[0] else lines[1:])]
    values = [value if _NUMBER.fullmatch(value) else _CHOICE.sub("", _BULLET.sub("", value)) for value in values]
    values = [value.strip(" *_`,;|，；") for value in values]
    return [value for value in values if value] or None


def _before_keys(text: str) -> str:
    """What stands before the first key of a text, where this key explains or rates it: `sad` of "sad. Reason: a low voice"."""
    head, _, rest = _NEXT_KEY.sub("\n", text).strip().partition("\n")
    if len(head) > _LONGEST_HEAD:
        return ""
    following = next((line for line in rest.splitlines() if line.strip()), "")
    keyed = _KEYED.match(following)
    explains = keyed is not None and _EXPLAINS.match(keyed["key"].strip(" *_"))
    return head.strip() if explains and not _KEYED.match(head) else ""


def _has_key_beside(text: str) -> bool:
    """Whether such a key stands before a colon: a quick look that spares most prose the rest."""
    befores = (text[max(0, colon.start() - _LONGEST_KEY) : colon.start()] for colon in _COLON.finditer(text))
    return any(before.rstrip(" \t*_").lower().endswith(_BESIDE_WORDS) for before in befores)


def _keyed_parts(text: str) -> list[tuple[str, list[str]]]:
    """Keys with the rest of their line and the lines up to the next key."""
    parts: list[tuple[str, list[str]]] = []
    for line in text.splitlines():
        keyed = _KEYED.match(line)
        if keyed and len(keyed["key"].split()) <= 4:
            parts.append((keyed["key"].strip(" *_是为"), [keyed["value"].strip()]))
        elif parts and line.strip():
            parts[-1][1].append(line)
    return parts


def without_measures(text: str) -> str:
    """The text without `confidence: 0.9` and its like: a number or a level beside them makes these words no emotion.

    >>> without_measures("happy (confidence: 0.9)"), without_measures("She speaks with confidence.")
    ('happy', 'She speaks with confidence.')
    """
    lowered = text.lower()
    if "=" in lowered or "arousal" in lowered or "valence" in lowered:
        text = _MEASURES_IN_BRACKETS.sub("", text)
    if any(map(lowered.__contains__, _GRADES)):
        text = _GRADED.sub("", text)
    return _MEASURED.sub("", text) if any(map(lowered.__contains__, _MEASURES)) else text


def worth_of(value: str) -> float | None:
    """What yes, no, high or low is worth, from 0 to 1; None for other words.

    >>> worth_of("Yes"), worth_of("low"), worth_of("calm")
    (1.0, 0.2, None)
    """
    return _WORTH.get(value.strip(" .*_`").lower())


def number_of(value: Any) -> float | None:
    """A score: a number, also in a text, or yes and no; None for anything else."""
    if isinstance(value, bool):
        return float(value)
    if isinstance(value, str):
        worth = worth_of(value)
        worth = share_of(value) if worth is None else worth
        if worth is not None:
            return worth
        try:
            value = float(value.strip().rstrip("%％"))
        except ValueError:
            return None
    return float(value) if isinstance(value, int | float) and abs(value) < 1000 else None


def is_measure(key: str) -> bool:
    """Whether a key beside a word says how much the word counts."""
    return bool(_WEIGHT.search(key.strip()))


def marked_words(text: str) -> list[str] | None:
    """The words of a list in which each has yes, no, high or low, or a box that is ticked or not; None if it is no such list."""
    tail = _DEGREE_OF.sub("", text.rstrip(" \t\r\n.*_`)）]")[-2 * _LONGEST_KEY :]).lower()
    may_have_boxes = "[" in text or not text.isascii()
    if not tail.endswith(_WORTHS) and not (may_have_boxes and any(map(text.__contains__, _BOXES))):
        return None
    ticked = _ticked_words(text) if may_have_boxes else None
    if ticked is not None:
        return ticked
    lines = [line for line in _HEAD_OF_LEVELS.sub("", text).splitlines() if line.strip()]
    if lines and lines[0].rstrip().endswith((":", "：")):
        lines = lines[1:]
    boxes = [_BOX.match(line) for line in lines]
    if boxes and all(boxes):
        return [box["word"].strip() for box in boxes if box and (box["mark"] or box["sign"] or " ") in "xX✓✔☑✅"]
    pairs: list[tuple[str, float]] = []
    bare: list[str] = []
    in_words = 0  # levels; numbers count beside them only
    for item in re.split(r"[,;，；\n]|\.\s+(?=\w)", "\n".join(lines)):
        if _BARE_ITEM.fullmatch(item.strip()) and worth_of(item) is None:
            bare.append(item.strip())
            continue
        found = _ITEM.fullmatch(_DEGREE_OF.sub("", _BULLET.sub("", item).strip(" *_`")))
        worth = number_of(found["value"]) if found else None
        in_words += found is not None and worth_of(found["value"]) is not None
        if found is None or worth is None or _is_key(found["word"].strip(" *_`")):
            return None
        pairs.append((found["word"].strip(" *_`"), worth))
    if bare:  # "sad; anger: absent": the words beside those that are ruled out
        return bare if pairs and not any(worth for _, worth in pairs) else None
    return best_words(pairs) if len(pairs) > 1 and in_words else None


def _ticked_words(text: str) -> list[str] | None:
    """The ticked words of one line in which each has a sign before or behind it: `happy ❌ sad ✅`; None for other texts."""
    plain = text.strip(" .。")
    if len(plain) > _LONGEST_TICKED or "\n" in plain:
        return None
    parts = _TICK.split(plain)
    if len(parts) < 5 or bool(parts[0]) == bool(parts[-1]):
        return None
    words, signs = (parts[:-1:2], parts[1::2]) if parts[0] else (parts[2::2], parts[1::2])
    if not all(_BARE_ITEM.fullmatch(word) for word in words):
        return None
    return [word for word, sign in zip(words, signs, strict=True) if sign in _TICKED]


def is_beside(key: str) -> bool:
    """Whether a key names what is no answer, such as a reason or a confidence.

    >>> is_beside("Reason"), is_beside("calm")
    (True, False)
    """
    return bool(_IS_BESIDE.match(key.strip()))


def _is_key(word: str) -> bool:
    return bool(TOLD.match(word) or _IS_BESIDE.match(word) or MEASURE.search(word))
