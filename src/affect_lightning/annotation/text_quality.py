"""How good a description looks without a reference: length, language, repetition, distinct words, use of the cues.

Paper: Section 2 filters descriptions by length and by agreement; these figures are ours, for a look before that. A model
that repeats itself, answers in another language, or leaves out what it was told shows in them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from affect_lightning.annotation.lengths import words_in

REPEATED = 4  # words in a row that count as one piece for the repetition; our choice: shorter ones recur in good prose
_SCRIPTS = (
    ("ja", re.compile(r"[\u3040-\u30ff]")),  # kana: before Chinese, whose characters Japanese has too
    ("zh", re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]")),
    ("ko", re.compile(r"[\uac00-\ud7af]")),
    ("ru", re.compile(r"[\u0400-\u04ff]")),
    ("ar", re.compile(r"[\u0600-\u06ff]")),
)
_COMMON = {  # function words that are common in one language and rare in the others
    "en": {
        "the", "and", "of", "to", "is", "that", "with", "his", "her", "their", "this", "are", "it", "she", "he", "they",
        "while", "which", "by", "not", "or", "has", "be", "from", "at", "an", "but",
    },
    "de": {"der", "die", "das", "und", "ist", "nicht", "mit", "ein", "eine", "auf", "sich", "ihre", "den", "sie", "er"},
    "fr": {"le", "les", "et", "est", "une", "des", "dans", "pas", "elle", "il", "du", "qui", "avec", "sa", "son"},
    "es": {"el", "los", "y", "es", "una", "que", "con", "las", "del", "por", "su", "ella", "no", "muy"},
}  # fmt: skip
_LEAST = 0.05  # of the words that must be common ones for a language to be named; our choice
_SCRIPT_SHARE = 0.2  # of the letters; our choice


def language_of(text: str) -> str:
    """Code of the language, by the script and by common words: en, de, fr, es, zh, ja, ko, ru, ar; empty if none is clear.

    >>> language_of("The voice is calm, and she smiles."), language_of("她的声音很轻。"), language_of("Hm.")
    ('en', 'zh', '')
    """
    letters = sum(character.isalpha() for character in text)
    for code, script in _SCRIPTS:
        if letters and len(script.findall(text)) >= _SCRIPT_SHARE * letters:
            return code
    words = [word.lower() for word in words_in(text)]
    shares = {code: sum(word in common for word in words) for code, common in _COMMON.items()}
    best = max(shares, key=lambda code: shares[code])
    return best if words and shares[best] >= max(1, _LEAST * len(words)) else ""


def repetition_of(words: Sequence[str]) -> float:
    """Share of the pieces of four words that stood there before: 0 for prose, near 1 for a model in a loop.

    >>> repetition_of("he is sad he is sad he is sad".split())
    0.5
    """
    pieces = [tuple(words[start : start + REPEATED]) for start in range(len(words) - REPEATED + 1)]
    return 1 - len(set(pieces)) / len(pieces) if pieces else 0.0


def distinct_share(words: Sequence[str]) -> float | None:
    """Share of the words that differ; None where there are none.

    >>> distinct_share(["a", "b", "a", "a"])
    0.5
    """
    return len(set(words)) / len(words) if words else None


def share_used(cue: str, description: str) -> float | None:
    """Share of a cue's different content words that stand in the description; None for a cue without any.

    A word of one or two letters and a common function word are no content; each Chinese character is.

    >>> share_used("The voice trembles softly", "Her voice is soft and trembles.")
    0.6666666666666666
    """
    content = {word for word in map(str.lower, words_in(cue)) if _is_content(word)}
    there = {word.lower() for word in words_in(description)}
    return len(content & there) / len(content) if content else None


def _is_content(word: str) -> bool:
    if len(word) > 2:
        return all(word not in common for common in _COMMON.values())
    return not word.isascii()
