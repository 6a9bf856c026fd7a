"""Plugin `rules`: emotion words and sentiment out of free-form responses, without a language model.

Stands in for the LLM of the paper's Appendix E: deterministic, offline, fast. A response that lists words gives them as
they stand (`listed_labels.py`); prose, English or Chinese, gives the words that it concludes on (`evidence.py`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import lru_cache
from importlib import resources

from affect_lightning.contracts import LabelExtractor
from affect_lightning.contracts.labels import Sentiment
from affect_lightning.metrics.builtin import builtin_valences
from affect_lightning_plugins.label_extractors.evidence import concluded_words
from affect_lightning_plugins.label_extractors.listed_labels import listed_labels

_SOURCES = (
    "rules.py",
    "listed_labels.py",
    "evidence.py",
    "english_mentions.py",
    "chinese_mentions.py",
    "chinese_words.tsv",
)


class RulesLabelExtractor(LabelExtractor):
    """Rules and a vocabulary of emotion words; English and Chinese; needs no model."""

    def extract(self, responses: Sequence[str]) -> list[list[str]]:
        """Emotion words of each response, in order of appearance, without repeats; see the contract."""
        return [_labels_of(response) for response in responses]

    def sentiment(self, labels: Sequence[Sequence[str]]) -> list[Sentiment]:
        """Majority of the words' valences; of as many positive as negative words, the first decides; see the contract."""
        return [_sentiment_of(words) for words in labels]

    def identity(self) -> str:
        """`rules` with a hash of the rules and of the vocabulary."""
        return f"rules-{_content_hash()[:12]}"


def _labels_of(response: str) -> list[str]:
    text = response.replace("</s>", " ").strip()
    listed = listed_labels(text)
    return concluded_words(text) if listed is None else listed


def _sentiment_of(words: Sequence[str]) -> Sentiment:
    signs = [sign for word in words if (sign := valence_of(word))]
    balance = sum(signs) or (signs[0] if signs else 0)
    return "positive" if balance > 0 else "negative" if balance < 0 else "neutral"


def valence_of(label: str) -> int:
    """Valence of a label: +1, -1 or 0; of a phrase outside the vocabulary, that of its last known word, minus if negated.

    Examples:
        >>> valence_of("joyful"), valence_of("not happy"), valence_of("neutral")
        (1, -1, 0)
    """
    valences, text = builtin_valences(), label.strip().lower()
    if text in valences:
        return valences[text]
    words = text.replace("-", " ").split()
    sign = -1 if words and words[0] in ("not", "no", "lack", "lacking", "without", "un", "non") else 1
    return sign * next((valences[word] for word in reversed(words) if valences.get(word)), 0)


@lru_cache(maxsize=1)
def _content_hash() -> str:
    digest = hashlib.sha256()
    for package, names in ((__package__, _SOURCES), ("affect_lightning.metrics.builtin", ("forms.tsv", "words.tsv"))):
        for name in names:
            digest.update(resources.files(package).joinpath(name).read_bytes())
    return digest.hexdigest()
