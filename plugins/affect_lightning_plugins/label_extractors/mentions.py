"""Emotion words in English prose, and whether they are meant of the speaker; `chinese_mentions.py` does it for Chinese.

Words and phrases come from the built-in vocabulary of `affect_lightning.metrics`. A mention does not count when it is
negated ("no sign of anger", "more sad than angry"), only expected ("one would expect calm, but"), open ("whether she is
angry"), somebody else's ("her friend's anger") or a property of a thing ("a tense situation"). `labels_in_text.py` weighs the
mentions; `rules.py` is the plugin.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from importlib import resources
from string import ascii_lowercase

from affect_lightning.metrics.builtin import builtin_valences
from affect_lightning_plugins.label_extractors.chinese_mentions import is_negated_in_chinese
from affect_lightning_plugins.label_extractors.clause_doubts import CLAUSE_DOUBTS, ClauseDoubt
from affect_lightning_plugins.label_extractors.mention import Mention

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
_KEPT_BACK = (
    "(?:hides?|conceals?|contains?|controls?|holds? back|suppress(?:es)?|mask|disguise|restrains?|get over|stop crying)"
)
_NOT_NEGATING = re.compile(
    r"\b(?:not (?:only|just|merely|simply)|(?:is|are|was|were)n't (?:only|just|merely|simply)|no doubt|without (?:an?y? )?doubt"
    r"|no wonder|nothing but|not without|can(?:not|'t) help(?: but)?|as if"
    # what is kept back is there: "cannot hide her joy", "has never been so angry", "can't believe how happy she is"
    rf"|(?:{_NOT}|no longer) (?:\w+ )?{_KEPT_BACK}|never (?:been|felt|looked|sounded|seen \w+) (?:so|such|this|more)"
    r"|could(?: not|n't) (?:be|feel) (?:more|any)|can(?:not|'t) (?:be|get) any|never stops?"
    r"|(?:can(?:not|'t)|could(?: not|n't)) (?:believe|stop) (?:how|\w+ing)|no one can miss"
    r"|(?:do|does|did)(?: not|n't) (?:deny|doubt|understand why|know why|stop))\b"
)
_LACKING = ("lack", "absence", "inability")
_SHOWN_BY_LACK = re.compile(  # "the lack of enthusiasm suggests boredom"
    r"\w\s+(?:also )?(?:suggest|indicat|show|impl|convey|reveal|mean|point|reflect|express|hint)(?:s|es|ies|y|e|ing)?\b"
)
_BESIDE_THE_CHOICE = re.compile(r",\s*(?:and|with|while|as well as|combined with|along with|mixed with)\b")
_NEVER_MORE = re.compile(  # "has never been happier"
    r"\b(?:never (?:been|felt|looked|sounded|seemed)|could(?: not|n't) (?:be|feel|look))(?: any)? $"
)
_SCOPE_END = re.compile(
    r"[;:.!?]|,\s*(?:just|only|simply|merely|mostly|mainly|rather(?! than)|instead(?! of))\b"
    r"|\b(?:but|however|although|though|because|since|while"
    r"|and (?:is|was|feels?|seems?|looks?|appears?|sounds?|stays?|becomes?))\b"
)
_NEW_CLAUSE = re.compile(
    r"(?:,\s*(?:and |yet )?|\band )(?:(?:even )?seems?|even|she|he|they|it|his|her|their)\b"
    r"|,\s*(?:appearing|looking|seeming|sounding|feeling)\b"
    r"|,\s*(?:and )?(?:we|there|the|which|i|so|then|this|that|more like)\b"
)
_NOT_SO_MUCH = re.compile(r"(?:\bnot|n't) so much\b[^.,;:!?]*\bas (?:\w+ )?$")  # "not so much angry as sad"
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
_CONTENT, _ADVERBS = "content", 2
_LOVE = "love"
_BEFORE_LOVE = {
    "his", "her", "their", "with", "express", "expresses", "expressing", "expressed", "shows", "showing", "feels", "feeling",
    "deep", "genuine", "tender", "mutual",
}  # fmt: skip
_COPULAS = {
    "is", "are", "was", "were", "feels", "feel", "seems", "seem", "appears", "appear", "looks", "look", "sounds", "sound",
    "being", "am", "i'm", "he's", "she's",
}  # fmt: skip
_DEGREES = {"quite", "very", "rather", "so", "just", "also", "more", "both", "somewhat"}
_OF_A_THING = re.compile(rf"^\s+(?:and \w+ |or \w+ )?(?:{'|'.join(_THINGS)})\b")


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
    if not plain.isascii():  # 他很sad，不是happy
        mentions = [mention for mention in mentions if not is_negated_in_chinese(mention.before(plain))]
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
                if start + length <= len(words) and (
                    form in known
                    or (form == _CONTENT and _is_adjective(words[:start]))
                    or (form == _LOVE and start > 0 and words[start - 1] in _BEFORE_LOVE)
                ):
                    end = start + length
                    spans.append((start, end))
                    break
    return spans


def _is_adjective(before: Sequence[str]) -> bool:
    """Whether `content` behind these words is said of somebody ("she seems quite content"), and no noun ("the content of")."""
    for word in reversed(before[-_ADVERBS - 1 :]):
        if not word.endswith("ly") and word not in _DEGREES:
            return word in _COPULAS
    return False


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
    for form in (*_prose_words(), _CONTENT, _LOVE):
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
    led = clause[: cues[-1].start()].strip()
    if cues[-1][0] == "without" and "," in scope and (not led or led.endswith(",")):
        return False  # "Without anger, she expresses her love", "The man, without saying a word, shows contempt"
    if cues[-1][0] in ("rather than", "instead of") and _BESIDE_THE_CHOICE.search(scope):
        return False  # "surprised rather than scared, and a little amused"
    if cues[-1][0].startswith(_LACKING) and _SHOWN_BY_LACK.search(scope):
        return False
    listed = "," not in scope or re.search(r",\s*(?:or|nor)\b|,[^,]*$", scope)
    new_clause = _NEW_CLAUSE.search(scope)
    return len(scope.split()) <= MAX_SCOPE and bool(listed) and not new_clause


def _is_negated_there(plain: str, mention: Mention) -> bool:
    before = mention.before(plain)
    if mention.word.endswith("er") and _NEVER_MORE.search(before):
        return False
    return is_negated(before)


def _is_of_others(plain: str, mention: Mention) -> bool:
    return bool(_OTHERS.search(mention.before(plain)))


def _is_compared_away(plain: str, mention: Mention) -> bool:
    """Whether `than` sets the word aside: "more angry than calm", "less angry than sad"."""
    before = mention.before(plain)
    if _LESS_BEFORE.search(before):
        return bool(_THAN_BEHIND.match(mention.behind(plain)))
    return bool(_BEHIND_THAN.search(before)) and not _NO_COMPARISON.search(before)


def _is_only_expected(plain: str, mention: Mention) -> bool:
    """Whether the word is what one would expect, or what somebody pretends, and `but` follows."""
    before, after = mention.before(plain), mention.behind(plain)
    if _EXPECTING.search(before):
        return bool(_BUT.match(after))
    return bool(_SEEMING.search(before)) and bool(_BUT_REALLY.match(after))


def _is_opposed(plain: str, mention: Mention) -> bool:
    """Whether the word is set against another one: "sad as opposed to calm"; "contrary to" is no mood."""
    before = mention.before(plain)
    if mention.word == "contrary":
        return plain.startswith(" to ", mention.end)
    return (mention.word == "opposed" and before.endswith("as ")) or bool(_OPPOSED.search(before))


def _is_ruled_out(plain: str, mention: Mention) -> bool:
    """Whether the sentence calls the word unlikely, absent or excluded."""
    return bool(_RULED_OUT.match(mention.behind(plain))) or bool(_UNLIKELY_THAT.search(mention.before(plain)))


def _is_of_a_thing(plain: str, mention: Mention) -> bool:
    return bool(_OF_A_THING.match(mention.behind(plain)))


def _clause(doubt: ClauseDoubt) -> Callable[[str, Mention], bool]:
    return lambda plain, mention: doubt.holds(mention.before(plain), mention.behind(plain))


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
