"""The labels that a text gives: those that it lists, or those that its reasoning concludes on.

- A response may just list emotion words: `[happy, calm]`, lines, bullets, "The emotional state is happy, calm". The
  trained model answers its second question so (paper, Section 2). Its words are taken as they are, even words outside
  any vocabulary.
- Descriptions like MER-Caption's list visual, acoustic and textual cues and then infer the emotion (Section 2). A
  mention after "we can infer" says more than one among the cues, and a repeated word more than a single one. So
  mentions are weighted by their place and summed over words of the same sectors.

`mentions.py` finds the words of prose; `rules.py` and `answer_parsing.py` ask for labels.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass
from functools import lru_cache

from affect_lightning.metrics import Taxonomy
from affect_lightning.metrics.builtin import builtin_valences
from affect_lightning.prompting.cleaning import simplified
from affect_lightning_plugins.label_extractors.chinese_mentions import (
    chinese_labels,
    is_meant_in_chinese,
    meant_chinese_mentions,
)
from affect_lightning_plugins.label_extractors.clause_doubts import CLAUSE_DOUBTS
from affect_lightning_plugins.label_extractors.mention import Mention
from affect_lightning_plugins.label_extractors.mentions import is_negated, meant_mentions, plain_text, word_group

MAX_ITEM_WORDS = 3  # our choice: a longer item is a clause, not a label
MAX_LABEL_CHARACTERS = 40  # our choice: no emotion word is longer

_BRACKETED = re.compile(r"^\W*[\[(（【]([^\[\]()（）]*)[\])）】]\W*$")
_STATED = re.compile(
    r"^(?:(?:in|based|overall|so|therefore)\b[^.,!?]{0,60},\s*)?[^.,!?。]{0,60}?"
    r"\b(?:emotional states?|emotional conditions?|emotions?|emotional labels?|labels?|moods?|feelings?|"
    r"(?:person|character|speaker|individual|man|woman|he|she|they)(?: in the (?:video|clip))?)\b[^.!?:,]{0,30}?"
    r"(?:\b(?:is|are|was|were|include|includes|feels?|seems?|appears?|looks?|sounds?)\b|:)\s*:?\s*(.+)$",
    re.IGNORECASE | re.DOTALL,
)
_CHINESE_STATED = re.compile(
    r"^[^。！？]{0,30}?(?:情绪|情感|状态|心情|标签)[^。！？，、]{0,8}?(?:是|为|：|:|包括|有)[：:]?\s*(.+)$", re.DOTALL
)
_SEPARATOR = re.compile(r"[,;，、；/|\n]+|\b(?:and|or|as well as|with)\b|(?:以及|和|与)")
_LEADING = re.compile(
    r"^(?:[-*•\d.)\s]+|(?:to be|a|an|the|both|also|likely|probably|possibly|maybe|perhaps|very|quite|rather|slightly|somewhat|"
    r"most likely|(?:mixture|mix|blend|combination|hint|touch|trace|tinge|feelings?|expression) of|feelings|"
    r"mostly|mainly|generally|extremely|really|feeling|being|a bit|a little|a sense of|sense of|a feeling of|one of|"
    r"that of|emotion of|more|so|even|just|only|simply|but|instead|including|includes?|such as|like|namely|e\.g\.|particularly|"
    r"especially|primarily|(?:(?:wide |broad |whole )?(?:range|mix|mixture|blend|lot|lots|variety|number|combination) of )?"
    r"(?:(?:various|several|multiple|many|different|mixed|strong|negative|positive|complex|intense) )?"
    r"(?:emotions?|feelings?),? (?:such as|including|like|of|ranging from))\s+)+"
)
_NO_LABEL = re.compile(
    r"(?:(?:range|mix|mixture|blend|lots?|variety|number|combination) of )?"
    r"(?:(?:various|several|multiple|many|different|mixed|strong|complex|intense) )?(?:emotions|feelings)"
)
_THEN_AND_NOW = re.compile(
    r"\b(?:was|were|felt)\b[^.!?]*[;,]\s*(?:but |and )?now\b", re.IGNORECASE
)  # he was calm; now sad
_LIST_BELOW = re.compile(r"\w[.!。]\s*\n\s*(?:\d{1,2}[.)]|[-*•])[ \t]*[^\W\d_]")
_SET_ASIDE = re.compile(r"(?:but )?(?:instead of|rather than|as opposed to|and not)\b")
_CLAUSE = re.compile(  # a short clause of prose is no label
    r"^(?:she|he|they|we|i|you|it|this|that|there|(?:the )?\w+) "
    r"(?:is|are|was|were|looks?|seems?|sounds?|feels?|felt|appears?|shows?)\b"
    r"|^(?:she|he|they|it|that|there)['’](?:s|re)\b|^(?:but )?(?:i|we)['’]d\b"
    r"|^(?:i|we) (?:\w+ )?(?:choose|pick|select|think|believe|guess)\b"
    r"|^(?:his|her|their|its|my) \w+ \w+|^(?:she|he|they) \w+"
    r"|^(?:at|to|into|towards?|away|down|up|directly|straight) "
    r"|^(?:among|ruling out|excluding)\b|\bthan\b|\bas opposed to\b"
)
_SHOWING = {
    "looks",
    "look",
    "seems",
    "seem",
    "appears",
    "appear",
    "sounds",
    "sound",
    "feels",
    "feel",
    "becomes",
    "then",
}
_GRADING = {
    "looks", "look", "seems", "seem", "appears", "appear", "sounds", "sound", "feels", "feel", "becomes", "become", "turns",
    "then", "now", "one", "of", "torn", "between", "deep", "great", "overwhelming", "slight", "quiet", "strong", "intense",
    "genuine", "mild", "profound", "visible", "clear", "growing", "a", "an", "the", "and", "his", "her", "their",
}  # fmt: skip
_GIVING_REASONS = frozenset({"because", "since", "accuses", "accused"})
_NAMES_OF_ANSWERS = frozenset({"answer", "rating", "label", "class", "output", "score", "arousal", "valence"})
_EVERY_WORD = re.compile(r"\w+")
_WORDS = re.compile(r"[a-z]+(?:['’ -][a-z]+)*")


def listed_labels(response: str) -> list[str] | None:
    """Labels of a response that is a list, in order; None if the response is prose.

    Args:
        response: The whole response.
    """
    text = response.strip()
    bracketed = _BRACKETED.match(text)
    if bracketed:
        return _items(bracketed[1], strict=False)
    if _LIST_BELOW.search(text):
        return None  # "She is angry.\n\n1. Furrowed brows"
    stated = _STATED.match(text) or _CHINESE_STATED.match(simplified(text))
    items = _items(stated[1] if stated else text, strict=True)
    if stated and items is not None and (_is_doubted(text[: stated.start(1)]) or _THEN_AND_NOW.search(text)):
        return None
    return items


def _is_doubted(lead: str) -> bool:
    """Whether the words before a list deny it, or make it a reason, a condition, a wish, the past or a thing's."""
    plain = plain_text(lead)
    words = frozenset(_EVERY_WORD.findall(plain))
    if not words.isdisjoint(_GIVING_REASONS) or meant_mentions(lead):
        return True  # "She's sad because he was angry", "his happiness seems genuine"
    if is_negated(plain) or any(
        doubt.holds(plain, "") for doubt in CLAUSE_DOUBTS if doubt.before and not doubt.marks.isdisjoint(words)
    ):
        return True
    return not lead.isascii() and not is_meant_in_chinese(lead, Mention("", len(lead), len(lead)))


def _items(text: str, strict: bool) -> list[str] | None:
    labels: list[str] = []
    known = is_clause = False
    denied = ""
    for separator, part in _parts(text.strip().lower()):
        item = part.strip(" \t\"'`.。!“”‘’")
        if not item or _SET_ASIDE.match(item):
            continue
        if denied and (separator in ("or", "nor") or (separator == "and" and _are_alike(denied, item))):
            continue  # "not angry or afraid", "isn't happy and excited"
        label = chinese_labels().get(simplified(item)) or _LEADING.sub("", item).strip()
        whole, label = label, _last_word(label)
        is_clause = is_clause or whole.partition(" ")[0] in _SHOWING
        fits = bool(_WORDS.fullmatch(label)) and len(label.split()) <= MAX_ITEM_WORDS
        if strict and (not fits or _CLAUSE.search(label)):
            return None
        if strict and _NO_LABEL.fullmatch(label):  # "a range of emotions, such as sadness"
            continue
        if strict and separator == "with" and label in word_group("not_in_prose"):  # content with the result
            continue
        known = known or label in builtin_valences()
        denied = label if fits and is_negated(f"{label} ") else ""
        if fits and len(label) <= MAX_LABEL_CHARACTERS and not denied and label not in labels:
            labels.append(label)
    if strict and (not known or (is_clause and any(label not in builtin_valences() for label in labels))):
        return None  # `"Calm down", he says and seems sad` is no list
    left_out = word_group("nothing") | word_group("speech_act") | _NAMES_OF_ANSWERS
    return [label for label in labels if label not in left_out]


def _are_alike(denied: str, item: str) -> bool:
    """Whether a bare word behind a denied one is as pleasant or as unpleasant: "isn't happy and excited" denies both."""
    valences = builtin_valences()
    first, second = valences.get(denied.rsplit(maxsplit=1)[-1]), valences.get(item)
    return first is not None and second is not None and first * second > 0


def _last_word(label: str) -> str:
    """The emotion behind words that only grade or introduce it; other labels as they are.

    >>> _last_word("looks sad"), _last_word("genuinely happy"), _last_word("cautiously optimistic mood")
    ('sad', 'happy', 'cautiously optimistic mood')
    """
    *before, last = label.split() or [""]
    known = builtin_valences()
    if not before or label in known or last not in known or last in word_group("not_in_prose"):
        return label
    return last if all(word in _GRADING or word.endswith("ly") for word in before) else label


def _parts(text: str) -> Iterator[tuple[str, str]]:
    """Each part with the separator before it; prose is seldom looked through, because its first part is no label."""
    start, before = 0, ""
    for separator in _SEPARATOR.finditer(text):
        yield before, text[start : separator.start()]
        start, before = separator.end(), separator[0].strip()
    yield before, text[start:]


TAIL_SENTENCES = 5  # a conclusion stands in the last sentences; our choice, like the weights, tuned on reference/emer


@dataclass(frozen=True)
class Weights:
    """How much a mention counts by its place; our choice, tuned on the 166 descriptions of reference/emer.

    Attributes:
        concluded: After words of inference in a closing sentence.
        closing: In a closing sentence without such words.
        ground: Before the words of inference.
        cue: In an earlier sentence.
        enough: Sum from which an emotion is taken; without words of inference, a short text's mentions all count.
        share: Share of the strongest emotion's sum from which an emotion is taken.
    """

    concluded: float = 1.0
    closing: float = 0.7
    ground: float = 0.5
    cue: float = 0.25
    enough: float = 1.0
    share: float = 0.3


@dataclass(frozen=True)
class _Language:
    """How a language ends sentences and infers, and which words name an emotion in it.

    `sentence_end` is a mark and the blanks behind it; a sentence keeps the mark. `inference` is for plain texts.
    """

    sentence_end: re.Pattern[str]
    inference: re.Pattern[str]
    meant_mentions: Callable[[str], list[Mention]]

    def sentences(self, text: str) -> list[str]:
        """The sentences of a text; a line break ends one too."""
        found: list[str] = []
        for line in text.split("\n"):
            start = 0
            for end in self.sentence_end.finditer(line):
                found.append(line[start : end.start() + 1])
                start = end.end()
            found.append(line[start:])
        return [sentence for sentence in found if sentence.strip()]

    def inferred_from(self, sentence: str) -> int | None:
        """Where the words of inference begin; None where there are none."""
        found = self.inference.search(plain_text(sentence))
        return None if found is None else found.start()


# What is said; between single quotes apostrophes belong to words ('I'm happy')
_QUOTED = re.compile(
    r"\"[^\"]*\"|“[^”]*”|「[^」]*」|《[^》]*》"
    r"|(?<![A-Za-z0-9'’])['‘](?=\w)(?:[^'‘’\n]|(?<=[A-Za-z])['’](?=[A-Za-z])){1,400}(?<=\S)['’](?![A-Za-z0-9])"
)
_REASON_IN_BRACKETS = re.compile(
    r"[(（](?:because|since|due to|given|based on|因为|由于)[^()（）]*[)）]", re.IGNORECASE
)
_LISTED_REASONS = re.compile(  # "He is angry. Here is why:\n1. His voice is tense"
    r"\b(?:here(?:['’]s| is| are) (?:why|(?:the|my|some|a few) (?:reasons?|cues?|clues?|signs?|observations?))"
    r"|(?:the|my|some|key|main) (?:\w+ )?(?:reasons?|cues?|clues?|signs?|indicators?)(?: for this)?(?: are| include)?"
    r"|(?:as )?(?:evidenced|shown|indicated|seen|suggested|supported) by(?: the following(?: \w+)?)?"
    r"|(?:based on|because of|due to|for) the following(?: \w+)?)(?: as follows)?\s*:\s*\n+"
    r"(?:[ \t]*(?:\d{1,2}[.)]|[-*•])[ \t]*[^\n]*(?:\n+|$))+",
    re.IGNORECASE,
)
_SINGLE, _DOUBLE = "'‘", '"“「'
_SAYING = re.compile(
    r"(?:\b(?:(?:called|addressed)(?: \w+){0,2}|sa(?:y|ys|id|ying)"
    r"|shout\w*|ask\w*|repl\w+|whisper\w*|yell\w*|subtitles?|words?|line|sentence|phrase|lyrics?)\b\W*"
    r"|[说說道喊问問叫讲講]|字幕\S{0,2}|台词)\W*$",
    re.IGNORECASE,
)
_SAYING_REACH = 30  # characters before a quote in which such a word stands; our choice
_CHINESE_CHARACTERS = re.compile(r"[\u4e00-\u9fff]+")
_LETTERS = re.compile(r"[A-Za-z]+")
_ENGLISH = _Language(
    sentence_end=re.compile(r"(?<!^\d)[.!?]\s*(?=[A-Z])"),  # "1. His brows are furrowed" is one
    inference=re.compile(
        r"\b(?:infer|deduc|speculat|conclud|assum|surmis|suggest|therefore|overall|in summary|in conclusion|to sum up|"
        r"thus|hence)"
    ),
    meant_mentions=meant_mentions,
)
_CHINESE = _Language(
    sentence_end=re.compile(r"[。！？；]\s*"),
    inference=re.compile("推断|推测|推论|因此|所以|总的来说|总体|综上|综合来看|得出|说明|表明|可见"),
    meant_mentions=meant_chinese_mentions,
)


def _is_chinese(text: str) -> bool:
    """Whether more of its letters are Chinese than English."""
    if text.isascii():
        return False
    chinese = sum(map(len, _CHINESE_CHARACTERS.findall(text)))
    return chinese > 0 and chinese > sum(map(len, _LETTERS.findall(text)))


def concluded_words(text: str, weights: Weights | None = None) -> list[str]:
    """Emotion words that a text concludes on, in order of appearance; of a Chinese text, their English labels.

    Args:
        text: One or several sentences, English or Chinese; quoted speech is left out.
        weights: By default ours.
    """
    text = _without_asides(text)
    unquoted = _QUOTED.sub(lambda quoted: _without_speech(quoted, _SINGLE), text)
    found = _concluded_in(simplified(unquoted), weights or Weights())
    if found or unquoted == text:
        return found
    terms = _QUOTED.sub(lambda quoted: _without_speech(quoted, _SINGLE + _DOUBLE), text)  # described as "sad"
    return _concluded_in(simplified(terms), weights or Weights())


def _concluded_in(text: str, weights: Weights) -> list[str]:
    if text.isascii():
        return _concluded(text, _ENGLISH, weights)
    main, other = (_CHINESE, _ENGLISH) if _is_chinese(text) else (_ENGLISH, _CHINESE)
    return _concluded(text, main, weights) or _concluded(text, other, weights)  # "the person seems 开心"


def _without_asides(text: str) -> str:
    """Without a reason in brackets ("sad (because her happy days are over)") and without reasons in a list below the answer."""
    text = _REASON_IN_BRACKETS.sub(" ", text) if "(" in text or "（" in text else text
    reasons = _LISTED_REASONS.search(text) if ":" in text else None
    if reasons and _ENGLISH.meant_mentions(text[: reasons.start()]):
        return text[: reasons.start()] + "\n" + text[reasons.end() :]
    return text


def _without_speech(quoted: re.Match[str], marks: str) -> str:
    """A blank for what is said; an emotion word alone between such quotes is none, unless a word of saying leads to it."""
    if quoted[0][0] not in marks:
        return " "
    inner = quoted[0][1:-1].strip(" ,.，。")
    is_term = inner.lower() in builtin_valences() or simplified(inner) in chinese_labels()
    said = _SAYING.search(quoted.string[max(0, quoted.start() - _SAYING_REACH) : quoted.start()])
    return f" {inner} " if is_term and not said else " "


def _concluded(text: str, language: _Language, weights: Weights) -> list[str]:
    """The words of one language that the text concludes on."""
    sentences = language.sentences(text)
    sums: dict[Hashable, float] = {}
    words: dict[str, Hashable] = {}
    has_inferred = False
    telling = told = 0  # sentences that name an emotion, and mentions in them
    for index, sentence in enumerate(sentences):
        mentions = language.meant_mentions(sentence)
        if not mentions:
            continue
        telling, told = telling + 1, told + len(mentions)
        closing = len(sentences) - index <= TAIL_SENTENCES
        inference = language.inferred_from(sentence) if closing else None
        if inference is None and has_inferred and (language is _ENGLISH or len(sentences) <= TAIL_SENTENCES):
            inference = -1  # what comes after a conclusion is one: "The tone suggests anger. The person is sad."
        has_inferred = has_inferred or inference is not None
        for mention in mentions:
            emotion = words.setdefault(mention.word, _emotion_of(mention.word))
            sums[emotion] = sums.get(emotion, 0.0) + _weight(weights, closing, inference, mention.start)
    if not sums:
        return []
    if telling == 1 and len(sentences) <= TAIL_SENTENCES and told == len(words):
        return list(words)  # "it's an expression of loneliness, anxiety, and sadness": none of them is a mere cue
    strongest = max(sums.values())
    is_vote = told == len(text.split())  # "happy happy calm"
    states = not (is_vote or has_inferred) and len(sentences) <= TAIL_SENTENCES
    least = weights.closing if states else weights.enough
    enough = min(max(least, weights.share * strongest), strongest)
    return [word for word, emotion in words.items() if sums[emotion] >= enough]


def _weight(weights: Weights, closing: bool, inference: int | None, start: int) -> float:
    if not closing:
        return weights.cue
    if inference is None:
        return weights.closing
    return weights.concluded if start > inference else weights.ground


@lru_cache(maxsize=10_000)
def _emotion_of(word: str) -> Hashable:
    """Words of the same sector on every wheel count as one emotion; a word on no wheel stands for itself."""
    taxonomy = Taxonomy.builtin()
    if not taxonomy.knows(word):
        return word
    return tuple(taxonomy.sector(word, wheel) for wheel in range(1, len(taxonomy.wheels) + 1))
