"""Emotion words in English and Chinese prose, and whether they are meant of the speaker.

English words and phrases come from the built-in vocabulary of `affect_lightning.metrics`; the table `chinese_words.tsv`
next to this file lists the Chinese terms of an English label. A mention does not count when it is negated ("no sign of
anger", "more sad than angry"), only expected ("one would expect calm, but"), open ("whether she is angry"), somebody else's
("her friend's anger") or a property of a thing ("a tense situation"). `labels_in_text.py` weighs the mentions;
`rules.py` is the plugin.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from importlib import resources
from string import ascii_lowercase
from typing import NamedTuple

from affect_lightning.metrics.builtin import builtin_valences
from affect_lightning_plugins.label_extractors.clause_doubts import CLAUSE_DOUBTS, ClauseDoubt, is_set_aside_in_chinese

REACH = 1000  # characters around a mention that are looked at; our choice, far more than MAX_SCOPE words: a response may be pages
MAX_SCOPE = 9  # words that a negation reaches (our choice; tuned on reference/emer)

_TOKEN = re.compile(r"[a-z]+(?:['-][a-z]+)*")
_RUN = re.compile(r"\w+")
_BLANKS = str.maketrans({chr(code): " " for code in range(128) if chr(code) not in ascii_lowercase})
_ASCII_LOWER = {ord(letter.upper()): letter for letter in ascii_lowercase}
_NEGATING = (
    "not", "no", "without", "never", "neither", "nor", "hardly", "barely", "rather than", "instead of", "devoid of",
    "free (?:of|from)", *(f"{word}(?: of| any)?" for word in ("lack", "lacks", "lacking", "absence", "inability")),
    "fail to", "fails to", "cannot", "can't", "isn't", "aren't", "wasn't", "don't", "doesn't", "didn't", "won't",
    "unable to", "whether", "if", "isnt", "arent", "wasnt", "dont", "doesnt", "didnt",
)  # fmt: skip
_OPPOSED = re.compile(r"\bas opposed to\s+(?:(?:being|feeling|looking|just)\s+)?(?:\w+\s+)?$")
# "Calm can be ruled out", "happy (unlikely)", "it is unlikely that she is calm"
_RULED_OUT = re.compile(
    r"^\s*(?:[(（]\s*|\b(?:can(?: also)? be|is|are|was|were|seems?|has been|have been)\s+)"
    r"(?:(?:very|highly|quite|most|also|clearly)\s+)*"
    r"(?:ruled out|excluded|unlikely|improbable|absent|(?:not|less) (?:likely|present|evident|detected|observed|visible))\b"
)
_RULING_OUT = frozenset(
    {
        "ruled",
        "excluded",
        "unlikely",
        "improbable",
        "absent",
        "likely",
        "present",
        "evident",
        "detected",
        "observed",
        "visible",
    }
)
_UNLIKELY_THAT = re.compile(r"\b(?:unlikely|improbable) (?:that|to)\b[^.,;!?]{0,40}$")
_NEGATION = re.compile(rf"\b(?:{'|'.join(_NEGATING)})\b")
_DIRECT_NEGATION = re.compile(r"\b(?:anything but|far from)(?: (?:being|feeling|looking))?(?: \w+)?\s*$")
_NOT = (
    r"(?:can(?:not|'t| hardly| barely)|could(?: not|n't| hardly| barely)|unable to|fail(?:s|ed)? to|hardly|barely"
    r"|(?:do|does|did)(?: not|n't))"
)
_KEPT_BACK = "(?:hides?|conceals?|contain|control|hold back|suppress|mask|disguise|restrain|get over|stop crying)"
_NOT_NEGATING = re.compile(
    r"\b(?:not (?:only|just|merely|simply)|(?:is|are|was|were)n't (?:only|just|merely|simply)|no doubt|without (?:an?y? )?doubt"
    r"|no wonder|nothing but|not without|can(?:not|'t) help(?: but)?|as if"
    # what is kept back is there: "cannot hide her joy", "has never been so angry", "can't believe how happy she is"
    rf"|{_NOT} (?:\w+ )?{_KEPT_BACK}|never (?:been|felt|looked|sounded|seen \w+) (?:so|such|this|more)"
    r"|could(?: not|n't) (?:be|feel) (?:more|any)|can(?:not|'t) (?:be|get) any|never stops?"
    r"|(?:can(?:not|'t)|could(?: not|n't)) (?:believe|stop) (?:how|\w+ing)|no one can miss"
    r"|(?:do|does|did)(?: not|n't) (?:deny|doubt|understand why|know why))\b"
)
_SCOPE_END = re.compile(
    r"[;:.!?]|,\s*(?:just|only|simply|merely|mostly|mainly|rather|instead)\b|\b(?:but|however|although|though|because|since|while"
    r"|and (?:is|was|feels?|seems?|looks?|appears?|sounds?|stays?|becomes?))\b"
)
_NEW_CLAUSE = re.compile(r",\s*(?:she|he|they|we|it|there|the|which|i|so|then|his|her|their|this|that|more like)\b")
_NOT_SO_MUCH = re.compile(r"\bnot so much\b[^.,;:!?]*\bas (?:\w+ )?$")  # "not so much angry as sad"
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
# "more angry than calm", "rather sad than angry": what follows `than` is denied, but "more than happy" is very happy
_BEHIND_THAN = re.compile(
    r"\b(?:more|rather|sooner)\s+(?!than\b)(?:[^\s.!?;]+\s+){1,5}than\s+(?:(?:just|simply|merely|being|feeling|looking|it|is|of"
    r"|she|he|they|was|were|are)\s+){0,3}(?:\w+\s+)?$"
)
_NO_COMPARISON = re.compile(
    r"\b(?:nothing|no|not|little|any)\s+(?:more|rather)\s+(?:\S+\s+){1,5}than\s+(?:\S+\s+){0,3}$"
)
_LESS_BEFORE = re.compile(r"\bless\s+(?:of\s+|about\s+|a\s+)?(?:\w+\s+)?$")
_THAN_BEHIND = re.compile(r"^\s*(?:\w+\s+)?than\b")
# "One would expect calm, but she is angry", "he tries to look happy but is really sad": what is before `but` is denied
_EXPECTING = re.compile(
    r"\b(?:(?:would|might|could|may|had|have|was|were|are|is|one|i)\s+(?:\w+\s+)?(?:expect|expected|assume|assumed|supposed)"
    r"|should (?:be|feel|have been|have felt)|expecting|pretend(?:s|ed|ing)?|feign(?:s|ed|ing)?"
    r"|(?:try|tries|tried|trying|want|wants|wanted) to (?:look|appear|seem|sound|be|stay|remain|act)"
    r"|at first (?:sight|glance)|on the surface|outwardly|superficially)\b[^.!?;]{0,60}$"
)
_SEEMING = re.compile(r"\b(?:seem|appear|look|sound)(?:s|ed|ing)?\b[^.!?;]{0,40}$")
_BUT = re.compile(r"^[^.!?;]{0,60}?(?:,\s*|\s)(?:but|yet|however|while|whereas|though)\b")
_BUT_REALLY = re.compile(
    r"^[^.!?;]{0,60}?(?:,\s*|\s)(?:but|yet|however|though)\s+(?:\S+\s+){0,3}?(?:actually|really|truly|in fact|in reality"
    r"|underneath|inside|deep down)\b"
)
_OF_A_THING = re.compile(rf"^\s+(?:and \w+ |or \w+ )?(?:{'|'.join(_THINGS)})\b")


class Mention(NamedTuple):
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
    """The emotion words of an English sentence that are asserted of the speaker, longest phrase first at each place.

    They are not negated, not open, nobody else's and not of a thing. Forms that mean something else in most prose are left
    out.
    """
    plain = plain_text(sentence)
    is_simple = plain.isascii() and "'" not in plain and "-" not in plain
    blanked = plain.translate(_BLANKS) if is_simple else ""
    words = blanked.split() if is_simple else _TOKEN.findall(plain)
    spans = _spans(words)
    if not spans:
        return []
    if is_simple and all(end == first + 1 for first, end in spans):
        mentions = _single_words(blanked, [words[first] for first, _ in spans])
    else:
        mentions = _phrases(plain, words, spans)
    cues = words if is_simple else _RUN.findall(plain)
    found = _MARKS.intersection(cues)
    if not found:
        return mentions
    doubts = [doubt for marks, doubt in _DOUBTS if not marks.isdisjoint(found)]
    return [mention for mention in mentions if not any(doubt(plain, mention) for doubt in doubts)]


def plain_text(text: str) -> str:
    """The text in lower case with straight apostrophes; each character keeps its place."""
    plain = text.lower()
    if plain.isascii():
        return plain
    if len(plain) != len(text) or "\N{KELVIN SIGN}" in text:  # letters that become one of a-z, or two characters
        plain = text.translate(_ASCII_LOWER)
    return plain.replace("’", "'")


def _spans(words: Sequence[str]) -> list[tuple[int, int]]:
    """First word and word behind the last one of each form of the vocabulary."""
    lengths, known = _lengths(), _prose_words()
    spans: list[tuple[int, int]] = []
    end = 0
    for start, first in enumerate(words):
        if first in lengths and start >= end:
            for length in lengths[first]:
                form = first if length == 1 else " ".join(words[start : start + length])
                if form in known and start + length <= len(words):
                    end = start + length
                    spans.append((start, end))
                    break
    return spans


def _single_words(blanked: str, words: Sequence[str]) -> list[Mention]:
    """Where single words of a text without anything but a-z and blanks are, in their order."""
    padded, position = f" {blanked} ", 0
    mentions: list[Mention] = []
    for word in words:
        start = padded.index(f" {word} ", position)
        position = start + len(word) + 1  # of the blank behind the word
        mentions.append(Mention(word, start, start + len(word)))
    return mentions


def _phrases(plain: str, words: Sequence[str], spans: Sequence[tuple[int, int]]) -> list[Mention]:
    """Where the forms are: each word begins at the first letter behind the one before."""
    starts: list[int] = []
    position = 0
    for word in words[: spans[-1][1]]:
        starts.append(plain.index(word, position))
        position = starts[-1] + len(word)
    return [
        Mention(" ".join(words[first:end]), starts[first], starts[end - 1] + len(words[end - 1]))
        for first, end in spans
    ]


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


def is_negated(before: str) -> bool:
    """Whether a text in lower case ends within the scope of a negation."""
    if ("far from" in before or "anything but" in before) and _DIRECT_NEGATION.search(before):
        return True
    if not _NEGATION.search(before) or ("so much" in before and _NOT_SO_MUCH.search(before)):
        return False
    clause = _SCOPE_END.split(_NOT_NEGATING.sub(" ", before))[-1]
    cues = list(_NEGATION.finditer(clause))
    if not cues:
        return False
    scope = clause[cues[-1].end() :]
    listed = "," not in scope or re.search(r",\s*(?:or|nor)\b|,[^,]*$", scope)
    new_clause = _NEW_CLAUSE.search(scope)
    return len(scope.split()) <= MAX_SCOPE and bool(listed) and not new_clause


def _before(text: str, mention: Mention) -> str:
    return text[max(0, mention.start - REACH) : mention.start]


def _is_negated_there(plain: str, mention: Mention) -> bool:
    return is_negated(_before(plain, mention))


def _is_of_others(plain: str, mention: Mention) -> bool:
    return bool(_OTHERS.search(_before(plain, mention)))


def _is_compared_away(plain: str, mention: Mention) -> bool:
    """Whether `than` sets the word aside: "more angry than calm", "less angry than sad"."""
    before = _before(plain, mention)
    if _LESS_BEFORE.search(before):
        return bool(_THAN_BEHIND.match(plain[mention.end : mention.end + REACH]))
    return bool(_BEHIND_THAN.search(before)) and not _NO_COMPARISON.search(before)


def _is_only_expected(plain: str, mention: Mention) -> bool:
    """Whether the word is what one would expect, or what somebody pretends, and `but` follows."""
    before, after = _before(plain, mention), plain[mention.end : mention.end + REACH]
    if _EXPECTING.search(before):
        return bool(_BUT.match(after))
    return bool(_SEEMING.search(before)) and bool(_BUT_REALLY.match(after))


def _is_opposed(plain: str, mention: Mention) -> bool:
    """Whether the word is set against another one: "sad as opposed to calm"; "contrary to" is no mood."""
    before = _before(plain, mention)
    if mention.word == "contrary":
        return plain.startswith(" to ", mention.end)
    return (mention.word == "opposed" and before.endswith("as ")) or bool(_OPPOSED.search(before))


def _is_ruled_out(plain: str, mention: Mention) -> bool:
    """Whether the sentence calls the word unlikely, absent or excluded."""
    return bool(_RULED_OUT.match(plain[mention.end : mention.end + REACH])) or bool(
        _UNLIKELY_THAT.search(_before(plain, mention))
    )


def _is_of_a_thing(plain: str, mention: Mention) -> bool:
    return bool(_OF_A_THING.match(plain[mention.end : mention.end + REACH]))


def _clause(doubt: ClauseDoubt) -> Callable[[str, Mention], bool]:
    return lambda plain, mention: doubt.holds(_before(plain, mention), plain[mention.end : mention.end + REACH])


def _mark_of(pattern: str) -> str:
    """A word that every match of a pattern has: its first one, or the `t` of `can't`."""
    return "t" if "'" in pattern else _RUN.findall(pattern)[0]


# Reasons why a mention may not be meant, each with words of which a sentence must have one: most sentences have none.
_DOUBTS: tuple[tuple[frozenset[str], Callable[[str, Mention], bool]], ...] = (
    (frozenset(map(_mark_of, (*_NEGATING, "anything but", "far from"))), _is_negated_there),
    (
        frozenset(f"{person}{plural}" for person in _PEOPLE for plural in ("", "s"))
        | frozenset(f"{verb}{ending}" for verb in _CAUSING for ending in _ENDINGS),
        _is_of_others,
    ),
    (frozenset(_THINGS), _is_of_a_thing),
    (frozenset({"than"}), _is_compared_away),
    (frozenset({"opposed", "contrary"}), _is_opposed),
    (_RULING_OUT, _is_ruled_out),
    (frozenset({"but", "yet", "however", "while", "whereas", "though"}), _is_only_expected),
    *((doubt.marks, _clause(doubt)) for doubt in CLAUSE_DOUBTS),
)
_MARKS = frozenset().union(*(marks for marks, _ in _DOUBTS))
_DIRECT_CHINESE_NEGATION = re.compile(r"(?:不|没|无|非|未|别)(?:太|很|怎么|那么|够|会|要|必|用)?$")
_CHINESE_NEGATION = re.compile(
    r"(?:没有|毫无|无法|并非|并不|不是|不再|不觉得|不感到|是否|缺乏|而非|而不是|无明显|未(?:表现|显示|流露|出现|体现|见)|没表现|看不出|听不出|排除)[^，。；！？但却]{0,14}$"
)
# What is kept back or doubly denied is there: 没有掩饰愤怒, 从来没有这么高兴, 不是不开心
_NOT_NEGATING_IN_CHINESE = re.compile(
    r"(?:从来没有|从来没|从没|从未|没有比这)(?:这么|这样|如此|更)|(?:没有|无法|难以|并不|没)(?:掩饰|掩盖|抑制|控制|隐藏|压抑)"
)
_ENGLISH_NOT = re.compile(r"\b(?:not|no|never)\s*$", re.IGNORECASE)
_CHINESE_PEOPLE = (
    "对方|主持人|记者|别人|他人|其他人|另一[^，。；]{1,6}|旁人|听众|观众|朋友|同事|老板|同学|母亲|父亲|妈妈|爸爸|丈夫|妻子|"
    "哥哥|弟弟|姐姐|妹妹|儿子|女儿|孩子"
)
_CHINESE_OTHERS = re.compile(
    rf"(?:{_CHINESE_PEOPLE})的[^，。；的]{{0,3}}$"
    rf"|(?<![对向为和与])(?<![对向为][她他]的)(?:{_CHINESE_PEOPLE})(?:也|都|很|非常|十分|有些|有点|感到|感觉|觉得|显得|看起来)+$"
)
_CHINESE_NEITHER = (re.compile("既$"), re.compile("^[^，。；]{0,6}也不"))  # 既不高兴也不难过: neither of them
_UNLIKELY_IN_CHINESE = re.compile(
    r"^的?(?:可能性|概率|几率|程度)(?:很|较|比较|非常|极|不)*(?:小|低|大(?<=不大)|高(?<=不高))"
)
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
    before, after = _before(sentence, mention), sentence[mention.end : mention.end + REACH]
    before = _NOT_NEGATING_IN_CHINESE.sub(" ", before)
    if _CHINESE_NEITHER[0].search(before) and _CHINESE_NEITHER[1].match(after):
        return False
    if is_set_aside_in_chinese(before, after):
        return False
    return not any(
        (
            _DIRECT_CHINESE_NEGATION.search(before),
            _CHINESE_NEGATION.search(before),
            _CHINESE_OTHERS.search(before),
            _OF_A_CHINESE_THING.match(after),
            _UNLIKELY_IN_CHINESE.match(after),
            _ENGLISH_NOT.search(before),
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
