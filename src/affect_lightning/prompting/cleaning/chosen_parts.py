"""Of answers with several parts, those that count: the chosen option, the ticked rows of a table, the speaker among persons.

`{"answer": "B", "options": {"A": "calm", "B": "sad"}}` says sad, and of `{"speaker": ..., "listener": ...}` the speaker's part
is the answer. Neighbours: `structure.py`, `set_aside.py`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from affect_lightning.label_strings import PICTURES

_OPTIONS = re.compile(r"^(?:options?|choices|candidates|选项|候选)$", re.IGNORECASE)
_ANSWER = re.compile(
    r"^(?:(?:final|correct|chosen|selected)[ _-]?)?(?:answer|choice|option|selection|selected|chosen|答案)$",
    re.IGNORECASE,
)
_LETTER = re.compile(r"[(（]?(?P<letter>[A-Ha-h]|\d{1,2})[)）.]?")
_LETTERED = re.compile(r"[(（]?(?P<letter>[A-Ha-h]|\d{1,2})[)）.:：、]\s*(?P<word>\S.*)")
_REMARK = re.compile(r"(?<=[^\W\d_])\**\s*[(（\[][^()（）\[\]]*[)）\]]|(?<=[^\W\d_])\s+[-–—]\s+[^,;]*")
_SPEAKER = re.compile(r"^(?:the )?(?:main )?(?:speaker|speaking person|target|subject|说话人|说话者)$", re.IGNORECASE)
_OTHERS = re.compile(
    r"^(?:the )?(?:other )?(?:listener|bystander|observer|interlocutor|audience|others?|other person|partner|background"
    r"|(?:the )?other speaker|听者|听众|旁观者|对方|其他人)s?$",
    re.IGNORECASE,
)
_PERSON = re.compile(r"^(?:persons?|people|who|speaker|character|role|subject|人物|角色)$", re.IGNORECASE)
_CHOSEN = re.compile(
    r"^(?:chosen|choice|selected|selection|pick(?:ed)?|answer\??|present\??|detected\??|applies\??|checked|tick(?:ed)?|选择|是否选择)$",
    re.IGNORECASE,
)
_TICKS = frozenset({"x", "[x]", "yes", "y", "true", "✓", "✔", "✅", "√", "☑", "是"})
_EMPTY = frozenset({"", "-", "–", "—", "no", "n", "false", "[]", "[ ]", "✗", "✘", "❌", "×", "✖", "☐", "否"})
_SHARE = re.compile(r"\s*(?P<number>\d{1,3}(?:[.,]\d+)?)\s*(?:/|out of)\s*(?P<most>\d{1,3})\s*")


def chosen_option(value: Mapping[Any, Any]) -> str | None:
    """The option whose letter or number an object gives as its answer; None for other objects.

    >>> chosen_option({"answer": "B", "options": {"A": "calm", "B": "sad"}}), chosen_option({"answer": "sad"})
    ('sad', None)
    >>> chosen_option({"answer": "A", "options": ["A. calm", "B. sad"]})
    'calm'
    """
    letters = [
        letter["letter"].upper()
        for key, item in value.items()
        if _ANSWER.match(str(key).strip()) and (letter := _LETTER.fullmatch(str(item).strip()))
    ]
    options = [item for key, item in value.items() if _OPTIONS.match(str(key).strip())]
    if len(letters) != 1 or len(options) != 1:
        return None
    return _lettered(options[0]).get(letters[0])


def _lettered(options: Any) -> dict[str, str]:
    """Options by their letters; those of a list without letters by A, B, C."""
    if isinstance(options, Mapping):
        return {str(letter).strip(" ().").upper(): word for letter, word in options.items() if isinstance(word, str)}
    if not isinstance(options, list) or not all(isinstance(option, str) for option in options):
        return {}
    found = [_LETTERED.fullmatch(option.strip()) for option in options]
    if all(found):
        return {one["letter"].upper(): one["word"] for one in found if one}
    return {chr(ord("A") + number): option for number, option in enumerate(options[:8])}


def of_the_speaker(value: Mapping[Any, Any]) -> Mapping[Any, Any]:
    """The speaker's part of an object with a part for each person; any other object as it is.

    >>> of_the_speaker({"speaker": {"emotion": "sad"}, "listener": {"emotion": "calm"}})
    {'speaker': {'emotion': 'sad'}}
    """
    speakers = [key for key in value if _SPEAKER.match(str(key).strip())]
    others = [key for key in value if _OTHERS.match(str(key).strip())]
    if len(speakers) != 1 or not others:
        return value
    return {key: item for key, item in value.items() if key not in others}


def rows_that_count(head: list[str], body: list[list[str]]) -> list[list[str]]:
    """The rows of a table that are ticked, or the speaker's; all where it has no column for either.

    >>> rows_that_count(["Emotion", "Chosen"], [["calm", ""], ["sad", "x"]])
    [['sad', 'x']]
    >>> rows_that_count(["Person", "Emotion"], [["Speaker", "sad"], ["Bystander", "calm"]])
    [['Speaker', 'sad']]
    """
    ticks = next((index for index, cell in enumerate(head) if _CHOSEN.match(cell)), None)
    if ticks is not None and body:
        cells = [row[ticks].strip().lower() if len(row) > ticks else "" for row in body]
        if all(cell in _TICKS or cell in _EMPTY for cell in cells):
            return [row for row, cell in zip(body, cells, strict=True) if cell in _TICKS]
    persons = next((index for index, cell in enumerate(head) if _PERSON.match(cell)), None)
    if persons is None or not all(len(row) > persons for row in body):
        return body
    speakers = [row for row in body if _SPEAKER.match(row[persons])]
    others = [row for row in body if _OTHERS.match(row[persons])]
    return speakers if len(speakers) == 1 and len(others) == len(body) - 1 else body


def share_of(text: str) -> float | None:
    """What `1/5` and `8 out of 10` are as a part of one; None for other texts.

    >>> share_of("1/5"), share_of("8 out of 10"), share_of("sad")
    (0.2, 0.8, None)
    """
    found = _SHARE.fullmatch(text)
    if found is None or not float(found["most"]):
        return None
    share = float(found["number"].replace(",", ".")) / float(found["most"])
    return share if share <= 1 else None


def bare_label(text: str) -> str:
    """A short value without a remark behind its word: a score, a degree or a reason.

    >>> bare_label("Sad (0.8)"), bare_label("Sad - low voice"), bare_label("<sad>")
    ('Sad', 'Sad', 'sad')
    """
    words = _REMARK.sub("", PICTURES.sub(" ", text)).strip("<> \t")
    return re.sub(r"[][(){}]", " ", words).strip()
