"""Emotion words in English and Chinese prose, and whether they are meant of the speaker.

English words and phrases come from the built-in vocabulary of `affect_lightning.metrics`; the table `chinese_words.tsv`
next to this file lists the Chinese terms of an English label. A mention does not count when it is negated ("no sign of
anger"), open ("whether she is angry"), somebody else's ("her friend's anger") or a property of a thing ("a tense
situation"). `labels_in_text.py` weighs the mentions; `rules.py` is the plugin.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources

from affect_lightning.metrics.builtin import builtin_valences

MAX_SCOPE = 9  # words that a negation reaches (our choice; tuned on reference/emer)

_TOKEN = re.compile(r"[A-Za-z]+(?:['’-][A-Za-z]+)*")
# A word of a pattern below that every match has: of a sentence without such words, no mention needs a closer look.
_RUN = re.compile(r"\w+")
_NEGATING = (
    "not", "no", "without", "never", "neither", "nor", "hardly", "barely", "rather than", "instead of", "devoid of",
    "free (?:of|from)", *(f"{word}(?: of| any)?" for word in ("lack", "lacks", "lacking", "absence", "inability")),
    "fail to", "fails to", "cannot", "can't", "isn't", "aren't", "wasn't", "don't", "doesn't", "didn't", "won't",
    "unable to", "whether", "if",
)  # fmt: skip
_NEGATION = re.compile(rf"\b(?:{'|'.join(_NEGATING)})\b")
_DIRECT_NEGATION = re.compile(r"\b(?:anything but|far from)(?: (?:being|feeling|looking))?(?: \w+)?\s*$")
_NOT_NEGATING = re.compile(
    r"\b(?:not (?:only|just|merely|simply)|no doubt|not without|can(?:not|'t) help(?: but)?|as if)\b"
)
_SCOPE_END = re.compile(
    r"[;:.!?]|,\s*(?:just|only|simply|merely|rather|instead)\b|\b(?:but|however|although|though|because|since|while"
    r"|and (?:is|was|feels?|seems?|looks?|appears?|sounds?|stays?|becomes?))\b"
)
_PEOPLE = (
    "other", "others", "another", "opposite", "someone", "somebody", "people", "friend", "brother", "sister", "father",
    "mother", "wife", "husband", "son", "daughter", "child", "children", "boss", "colleague", "audience", "listener",
    "partner", "interlocutor",
)  # fmt: skip
_SOMEBODY = "|".join(_PEOPLE)
_CAUSING, _ENDINGS = ("mak", "caus", "leav"), ("es", "ing", "e", "ed", "")
_OTHERS = re.compile(
    rf"(?:\b(?:{_SOMEBODY})s?(?: \w+)?['’]s?"
    rf"|\b(?:{'|'.join(_CAUSING)})(?:{'|'.join(_ENDINGS)}) (?:the )?(?:other|others|people|someone|somebody|another)(?: \w+)?"
    r"(?: to)?(?: feel)?"
    rf"|\b(?:his|her|their|\w+['’]s) (?:{_SOMEBODY})s? (?:is|are|was|were|feels?|seems?|looks?|sounds?)(?: being| feeling)?"
    r"|\b(?:other|another) (?:person|party|man|woman|character|people|speaker)s? (?:who )?"
    r"(?:is|are|was|were|feels?|seems?)(?: being| feeling)?)\s+(?:\w+ ){0,2}$"
)
_THINGS = (
    "atmosphere", "environment", "situation", "situations", "topic", "topics", "music", "news", "event", "events", "thing",
    "things", "background", "setting", "scene", "settings", "problem", "problems", "discussion", "debate", "matter",
    "matters", "issue", "issues", "medical", "content", "vocabulary", "story", "stories",
)  # fmt: skip
_OF_A_THING = re.compile(rf"^\s+(?:and \w+ |or \w+ )?(?:{'|'.join(_THINGS)})\b")


@dataclass(frozen=True)
class Mention:
    """An emotion word in a text.

    Attributes:
        word: In lower case, as the vocabulary spells it.
        start: Position of its first character.
        end: Position after its last character.
    """

    word: str
    start: int
    end: int


def meant_mentions(sentence: str) -> list[Mention]:
    """The mentions of an English sentence that are asserted of the speaker.

    They are not negated, not open, nobody else's and not of a thing.
    """
    mentions = find_mentions(sentence)
    if not mentions:
        return mentions
    words = set(_RUN.findall(sentence.lower()))
    doubts = [doubt for cues, doubt in _DOUBTS if not cues.isdisjoint(words)]
    return [mention for mention in mentions if not any(doubt(sentence, mention) for doubt in doubts)]


def find_mentions(text: str) -> list[Mention]:
    """All emotion words of a text, longest phrase first at each place, in order.

    Forms that mean something else in most prose are left out.

    Args:
        text: English text.
    """
    lengths = _lengths()
    lowered = [token.lower() for token in _TOKEN.findall(text)]
    if "’" in text:
        lowered = [token.replace("’", "'") for token in lowered]
    if lengths.keys().isdisjoint(lowered):
        return []
    tokens = list(_TOKEN.finditer(text))
    found, index = [], 0
    for start, first in enumerate(lowered):
        if start < index or first not in lengths:
            continue
        for length in lengths[first]:
            word = first if length == 1 else " ".join(lowered[start : start + length])
            if start + length <= len(lowered) and word in _prose_words():
                index = start + length
                found.append(Mention(word, tokens[start].start(), tokens[index - 1].end()))
                break
    return found


@lru_cache(maxsize=8)
def word_group(group: str) -> frozenset[str]:
    """Words of one group of `english_words.tsv`: `not_in_prose`, `speech_act`, `neutral` or `nothing`."""
    text = resources.files(__package__).joinpath("english_words.tsv").read_text(encoding="utf-8")
    rows = csv.DictReader(text.splitlines(), delimiter="\t", quoting=csv.QUOTE_NONE)
    return frozenset(next(row["words"] for row in rows if row["group"] == group).split(" "))


@lru_cache(maxsize=1)
def _prose_words() -> frozenset[str]:
    """The forms of the vocabulary that name an emotion in prose."""
    return frozenset(builtin_valences()) - word_group("not_in_prose")


@lru_cache(maxsize=1)
def _lengths() -> dict[str, tuple[int, ...]]:
    """First word to the lengths, in words, of the forms that begin with it, longest first."""
    lengths: dict[str, set[int]] = {}
    for form in _prose_words():
        words = form.split(" ")
        lengths.setdefault(words[0], set()).add(len(words))
    return {word: tuple(sorted(numbers, reverse=True)) for word, numbers in lengths.items()}


def _is_negated_there(sentence: str, mention: Mention) -> bool:
    return is_negated(sentence[: mention.start].lower())


def _is_of_others(sentence: str, mention: Mention) -> bool:
    return bool(_OTHERS.search(sentence[: mention.start].lower()))


def _is_of_a_thing(sentence: str, mention: Mention) -> bool:
    return bool(_OF_A_THING.match(sentence[mention.end :].lower()))


def is_negated(before: str) -> bool:
    """Whether a text in lower case ends within the scope of a negation."""
    if _DIRECT_NEGATION.search(before):
        return True
    clause = _SCOPE_END.split(_NOT_NEGATING.sub(" ", before))[-1]
    cues = list(_NEGATION.finditer(clause))
    if not cues:
        return False
    scope = clause[cues[-1].end() :]
    listed = "," not in scope or re.search(r",\s*(?:or|nor)\b|,[^,]*$", scope)
    new_clause = re.search(r",\s*(?:she|he|they|we|it|the|which)\b", scope)
    return len(scope.split()) <= MAX_SCOPE and bool(listed) and not new_clause


def _first_words(patterns: Iterable[str]) -> frozenset[str]:
    return frozenset(_RUN.findall(pattern)[0] for pattern in patterns)


_Doubt = Callable[[str, Mention], bool]
_DOUBTS: tuple[tuple[frozenset[str], _Doubt], ...] = (
    (_first_words((*_NEGATING, "anything but", "far from")), _is_negated_there),
    (
        frozenset(f"{person}{plural}" for person in _PEOPLE for plural in ("", "s"))
        | frozenset(f"{verb}{ending}" for verb in _CAUSING for ending in _ENDINGS),
        _is_of_others,
    ),
    (frozenset(_THINGS), _is_of_a_thing),
)
_DIRECT_CHINESE_NEGATION = re.compile(r"(?:不|没|无|非|未|别)(?:太|很|怎么|那么|够|会|要|必|用)?$")
_CHINESE_NEGATION = re.compile(
    r"(?:没有|毫无|无法|并非|并不|不是|不再|不觉得|不感到|是否|缺乏|而非|而不是|无明显)[^，。；！？但却]{0,14}$"
)
_CHINESE_PEOPLE = (
    "对方|别人|他人|其他人|另一[^，。；]{1,6}|旁人|听众|观众|朋友|同事|老板|同学|母亲|父亲|妈妈|爸爸|丈夫|妻子|"
    "哥哥|弟弟|姐姐|妹妹|儿子|女儿|孩子"
)
_CHINESE_OTHERS = re.compile(
    rf"(?:{_CHINESE_PEOPLE})的[^，。；的]{{0,3}}$"
    rf"|(?<![对向为和与])(?<![对向为][她他]的)(?:{_CHINESE_PEOPLE})(?:也|都|很|非常|十分|有些|有点|感到|感觉|觉得|显得|看起来)+$"
)
_CHINESE_NEITHER = (re.compile("既$"), re.compile("^[^，。；]{0,6}也不"))  # 既不高兴也不难过: neither of them
_OF_A_CHINESE_THING = re.compile(r"^的?(?:氛围|气氛|环境|场面|局面|话题|音乐|事情|事件|问题|背景)")


def meant_chinese_mentions(sentence: str) -> list[Mention]:
    """The mentions of a Chinese sentence that are asserted of the speaker."""
    return [mention for mention in find_chinese_mentions(sentence) if is_meant_in_chinese(sentence, mention)]


def find_chinese_mentions(text: str) -> list[Mention]:
    """Emotion terms of a Chinese text, longest first at each place; their words are English labels."""
    table = chinese_labels()
    return [Mention(table[match[0]], match.start(), match.end()) for match in _terms_pattern().finditer(text)]


def is_meant_in_chinese(sentence: str, mention: Mention) -> bool:
    """Whether a mention is asserted of the speaker: not negated, not open, nobody else's, not of a thing."""
    before, after = sentence[: mention.start], sentence[mention.end :]
    if _CHINESE_NEITHER[0].search(before) and _CHINESE_NEITHER[1].match(after):
        return False
    return not any(
        (
            _DIRECT_CHINESE_NEGATION.search(before),
            _CHINESE_NEGATION.search(before),
            _CHINESE_OTHERS.search(before),
            _OF_A_CHINESE_THING.match(after),
        )
    )


@lru_cache(maxsize=1)
def chinese_labels() -> dict[str, str]:
    """Chinese term to English label."""
    text = resources.files(__package__).joinpath("chinese_words.tsv").read_text(encoding="utf-8")
    rows = list(csv.reader(text.splitlines(), delimiter="\t", quoting=csv.QUOTE_NONE))[1:]
    return {term: english for english, terms in rows for term in terms.split(" ")}


@lru_cache(maxsize=1)
def _terms_pattern() -> re.Pattern[str]:
    """Any term, the longest first; those that begin alike stand together, so that few are tried at each character."""
    ends: dict[str, list[str]] = {}
    for term in sorted(chinese_labels(), key=len, reverse=True):
        ends.setdefault(term[0], []).append(re.escape(term[1:]))
    return re.compile("|".join(f"{re.escape(first)}(?:{'|'.join(some)})" for first, some in ends.items()))
