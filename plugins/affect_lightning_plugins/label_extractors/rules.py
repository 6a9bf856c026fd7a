"""Plugin `rules`: emotion words and sentiment from free-form responses, without a language model.

Replaces the LLM of the paper's Appendix E: deterministic, offline, fast. If a response lists words, these are its
labels. Prose, English or Chinese, gives the words that it concludes on (`labels_in_text.py`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import lru_cache
from importlib import resources

from affect_lightning.contracts import LabelExtractor, Sentiment
from affect_lightning.metrics.builtin import builtin_valences
from affect_lightning.prompting.cleaning import clean_response
from affect_lightning_plugins.label_extractors.corrections import corrected
from affect_lightning_plugins.label_extractors.labels_in_text import concluded_words, listed_labels
from affect_lightning_plugins.label_extractors.mentions import word_group

_SOURCES = (
    "rules.py",
    "labels_in_text.py",
    "mention.py",
    "mentions.py",
    "chinese_mentions.py",
    "clause_doubts.py",
    "corrections.py",
    "english_words.tsv",
    "chinese_words.tsv",
)

_CLEANING = (
    *("responses.py", "thoughts.py", "structure.py", "keyed_lines.py", "refusals.py", "traditional_chinese.py"),
    *(
        "chat_objects.py",
        "error_messages.py",
        "set_aside.py",
        "loose_objects.py",
        "nested_scores.py",
        "weights_in_words.py",
        "chosen_parts.py",
        "tables.py",
    ),
)
_STRINGS = ("label_strings.py", "plain_characters.py", "sentiment_strings.py", "sentiment_forms.py")

NEUTRAL_WEIGHT = 0.75  # our choice, tuned on the saved outputs of reference/affectgpt_outputs
_BOTH_SIDES = frozenset({"positive", "negative"})
_NEGATING = frozenset({"not", "no", "lack", "lacking", "without", "un", "non"})


class RulesLabelExtractor(LabelExtractor):
    """Rules and a vocabulary of emotion words; English and Chinese; needs no model."""

    def extract(self, responses: Sequence[str]) -> list[list[str]]:
        """Emotion words of each response, in order of appearance, without repeats; see the contract."""
        return [_labels_of(response) for response in responses]

    def sentiment(self, labels: Sequence[Sequence[str]]) -> list[Sentiment]:
        """Sign of each list's summed valences; a list without valence is neutral; see the contract."""
        return [_sentiment_of(words) for words in labels]

    def identity(self) -> str:
        """`rules` with a hash of the rules and of the vocabulary."""
        return f"rules-{_content_hash()[:12]}"


def _labels_of(response: str) -> list[str]:
    text = corrected(clean_response(response).text.strip())
    listed = listed_labels(text)
    return concluded_words(text) if listed is None else listed


def _sentiment_of(words: Sequence[str]) -> Sentiment:
    """Sign of the summed valences, which words of neutrality must be outweighed by; of a balance, the last word's.

    A balance in which both sides are called by their names is neutral: ["positive", "negative"] takes none.
    """
    neutral = word_group("neutral")
    valences = [valence_of(word) for word in words]
    balance = sum(valences)
    reserve = NEUTRAL_WEIGHT * sum(word.strip().lower() in neutral for word in words)
    if balance == 0 and not reserve and not _BOTH_SIDES.issubset(word.strip().lower() for word in words):
        balance = next((valence for valence in reversed(valences) if valence), 0)
    if abs(balance) <= reserve:
        return "neutral"
    return "positive" if balance > 0 else "negative"


def valence_of(label: str) -> float:
    """Valence of a label, from -1.5 (negative) to 1; an unknown phrase has that of its last known word.

    A leading negation turns the sign of such a phrase.

    Examples:
        >>> valence_of("joyful"), valence_of("not happy"), valence_of("neutral")
        (1.0, -1.0, 0.0)
    """
    valences, text = builtin_valences(), label.strip().lower()
    if text in valences:
        return valences[text]
    words = text.replace("-", " ").split()
    sign = -1 if words and words[0] in _NEGATING else 1
    return sign * next((valences[word] for word in reversed(words) if valences.get(word)), 0.0)


@lru_cache(maxsize=1)
def _content_hash() -> str:
    digest = hashlib.sha256()
    for package, names in (
        (__package__, _SOURCES),
        ("affect_lightning.metrics.builtin", ("forms.tsv", "words.tsv")),
        ("affect_lightning.prompting.cleaning", _CLEANING),
        ("affect_lightning", _STRINGS),
    ):
        for name in names:
            digest.update(resources.files(package).joinpath(name).read_bytes())
    return digest.hexdigest()
