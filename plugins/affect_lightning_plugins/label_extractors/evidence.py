"""Which of the mentioned emotions a reasoned description concludes on.

Descriptions in the manner of MER-Caption list visual, acoustic and textual cues and then infer the emotion (paper,
section 2). A mention after "we can infer" tells more than one among the cues, and what is said twice more than what is
said once, so mentions are weighted by where they stand and summed over words of the same sectors.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from functools import lru_cache

from affect_lightning.metrics import Taxonomy
from affect_lightning_plugins.label_extractors.chinese_mentions import find_chinese_mentions, is_meant_in_chinese
from affect_lightning_plugins.label_extractors.english_mentions import Mention, find_mentions, is_meant

TAIL_SENTENCES = 5  # a conclusion stands in the last sentences; our choice, like the weights, tuned on reference/emer


@dataclass(frozen=True)
class Weights:
    """How much a mention counts by its place; our choice, tuned on the 166 descriptions of reference/emer.

    Attributes:
        concluded: After words of inference in a closing sentence.
        closing: In a closing sentence without such words.
        ground: Before the words of inference.
        cue: In an earlier sentence.
        enough: Sum from which an emotion is taken.
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
    sentence_end: re.Pattern[str]
    inference: re.Pattern[str]
    find: Callable[[str], list[Mention]]
    is_meant: Callable[[str, Mention], bool]


_QUOTED = re.compile(r"\"[^\"]*\"|“[^”]*”|「[^」]*」|《[^》]*》")
_CHINESE_CHARACTER = re.compile(r"[\u4e00-\u9fff]")
_LETTER = re.compile(r"[A-Za-z]")
_ENGLISH = _Language(
    sentence_end=re.compile(r"(?<=[.!?])\s*(?=[A-Z])|\n+"),
    inference=re.compile(
        r"\b(?:infer|deduc|speculat|conclud|assum|surmis|suggest|therefore|overall|in summary|in conclusion|to sum up|"
        r"thus|hence)",
        re.IGNORECASE,
    ),
    find=find_mentions,
    is_meant=is_meant,
)
_CHINESE = _Language(
    sentence_end=re.compile(r"(?<=[。！？；])\s*|\n+"),
    inference=re.compile("推断|推测|推论|因此|所以|总的来说|总体|综上|综合来看|得出|说明|表明|可见"),
    find=find_chinese_mentions,
    is_meant=is_meant_in_chinese,
)


def concluded_words(text: str, weights: Weights | None = None) -> list[str]:
    """Emotion words that a text concludes on, in order of appearance; of a Chinese text, their English labels.

    Args:
        text: One or several sentences, English or Chinese; quoted speech is left out.
        weights: By default ours.
    """
    weights, text = weights or Weights(), _QUOTED.sub(" ", text)
    language = _CHINESE if len(_CHINESE_CHARACTER.findall(text)) > len(_LETTER.findall(text)) else _ENGLISH
    sentences = [part for part in language.sentence_end.split(text) if part and part.strip()]
    sums: dict[Hashable, float] = {}
    words: dict[str, Hashable] = {}
    for index, sentence in enumerate(sentences):
        closing = len(sentences) - index <= TAIL_SENTENCES
        inference = language.inference.search(sentence) if closing else None
        for mention in language.find(sentence):
            if language.is_meant(sentence, mention):
                emotion = words.setdefault(mention.word, _emotion_of(mention.word))
                sums[emotion] = sums.get(emotion, 0.0) + _weight(weights, closing, inference, mention.start)
    if not sums:
        return []
    strongest = max(sums.values())
    enough = min(max(weights.enough, weights.share * strongest), strongest)
    return [word for word, emotion in words.items() if sums[emotion] >= enough]


def _weight(weights: Weights, closing: bool, inference: re.Match[str] | None, start: int) -> float:
    if not closing:
        return weights.cue
    if inference is None:
        return weights.closing
    return weights.concluded if start > inference.start() else weights.ground


@lru_cache(maxsize=10_000)
def _emotion_of(word: str) -> Hashable:
    """Words of the same sector on every wheel count as one emotion; a word on no wheel stands for itself."""
    taxonomy = Taxonomy.builtin()
    if not taxonomy.knows(word):
        return word
    return tuple(taxonomy.sector(word, wheel) for wheel in range(1, len(taxonomy.wheels) + 1))
