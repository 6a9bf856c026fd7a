"""Emotion words in English and Chinese prose, and whether they are meant of the speaker.

English words and phrases come from the built-in vocabulary of `affect_lightning.metrics`; the table `chinese_words.tsv`
next to this file lists the Chinese terms of an English label. A mention does not count when it is negated ("no sign of
anger"), open ("whether she is angry"), somebody else's ("her friend's anger") or a property of a thing ("a tense
situation"). `labels_in_text.py` weighs the mentions; `rules.py` is the plugin.
"""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources

from affect_lightning.metrics.builtin import builtin_valences

MAX_SCOPE = 9  # words that a negation reaches (our choice; tuned on reference/emer)

_TOKEN = re.compile(r"[A-Za-z]+(?:['’-][A-Za-z]+)*")
_NEGATION = re.compile(
    r"\b(?:not|no|without|never|neither|nor|hardly|barely|rather than|instead of|devoid of|free (?:of|from)|"
    r"(?:lack|lacks|lacking|absence|inability)(?: of| any)?|fails? to|cannot|can't|isn't|aren't|wasn't|don't|doesn't|"
    r"didn't|won't|unable to|whether|if)\b"
)
_DIRECT_NEGATION = re.compile(r"\b(?:anything but|far from)(?: (?:being|feeling|looking))?(?: \w+)?\s*$")
_NOT_NEGATING = re.compile(
    r"\b(?:not (?:only|just|merely|simply)|no doubt|not without|can(?:not|'t) help(?: but)?|as if)\b"
)
_SCOPE_END = re.compile(
    r"[;:.!?]|,\s*(?:just|only|simply|merely|rather|instead)\b|\b(?:but|however|although|though|because|since|while"
    r"|and (?:is|was|feels?|seems?|looks?|appears?|sounds?|stays?|becomes?))\b"
)
_PEOPLE = (
    "other|others|another|opposite|someone|somebody|people|friend|brother|sister|father|mother|wife|husband|son|daughter|"
    "child|children|boss|colleague|audience|listener|partner|interlocutor"
)
_OTHERS = re.compile(
    rf"(?:\b(?:{_PEOPLE})s?(?: \w+)?['’]s?"
    r"|\b(?:mak|caus|leav)(?:es|ing|e|ed)? (?:the )?(?:other|others|people|someone|somebody|another)(?: \w+)?"
    r"(?: to)?(?: feel)?"
    rf"|\b(?:his|her|their|\w+['’]s) (?:{_PEOPLE})s? (?:is|are|was|were|feels?|seems?|looks?|sounds?)(?: being| feeling)?"
    r"|\b(?:other|another) (?:person|party|man|woman|character|people|speaker)s? (?:who )?"
    r"(?:is|are|was|were|feels?|seems?)(?: being| feeling)?)\s+(?:\w+ ){0,2}$"
)
_OF_A_THING = re.compile(
    r"^\s+(?:and \w+ |or \w+ )?(?:atmosphere|environment|situations?|topics?|music|news|events?|things?|background|"
    r"setting|scene|settings|problems?|discussion|debate|matters?|issues?|medical|content|vocabulary|story|stories)\b"
)


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


def find_mentions(text: str, prose: bool = True) -> list[Mention]:
    """All emotion words of a text, longest phrase first at each place, in order.

    Args:
        text: English text.
        prose: Leave out forms that mean something else in most prose.
    """
    phrases, valences = _phrases(), builtin_valences()
    left_out = word_group("not_in_prose") if prose else frozenset()
    tokens = list(_TOKEN.finditer(text))
    lowered = [token[0].lower().replace("’", "'") for token in tokens]
    found, index = [], 0
    for start, first in enumerate(lowered):
        if start < index or first not in phrases:
            continue
        for length in phrases[first]:
            word = " ".join(lowered[start : start + length])
            if start + length <= len(lowered) and word in valences and word not in left_out:
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
def _phrases() -> dict[str, tuple[int, ...]]:
    """First word to the lengths, in words, of the phrases that begin with it, longest first."""
    lengths: dict[str, set[int]] = {}
    for form in builtin_valences():
        words = form.split(" ")
        lengths.setdefault(words[0], set()).add(len(words))
    return {word: tuple(sorted(numbers, reverse=True)) for word, numbers in lengths.items()}


def is_meant(sentence: str, mention: Mention) -> bool:
    """Whether a mention is asserted of the speaker: not negated, not open, nobody else's, not of a thing."""
    before, after = sentence[: mention.start].lower(), sentence[mention.end :].lower()
    return not (is_negated(before) or _OTHERS.search(before) or _OF_A_THING.match(after))


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
    return re.compile("|".join(map(re.escape, sorted(chinese_labels(), key=len, reverse=True))))
