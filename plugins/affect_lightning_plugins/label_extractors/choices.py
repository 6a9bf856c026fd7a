"""Plugin `choices`: which class of a closed set a response names; not in the paper, for questions of one's own (ours).

Rules come first: a response that names one class, by its name or by another word for it, and does not deny it, has that
class. A response that names none or several is put to a language model, if `asks` names one: `causal-lm` or `openai` with
their options, their cache of answers and their counts. What neither can tell has no class, and is counted as such.
`mentions.py` knows what is denied; `affect_lightning.prompting` has what is asked.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import re
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

from affect_lightning.contracts import LabelExtractor, OpenQuestions, Sentiment
from affect_lightning.errors import ConfigurationError
from affect_lightning.prompting import choice_prompt
from affect_lightning_plugins.label_extractors.mention import REACH
from affect_lightning_plugins.label_extractors.mentions import is_negated, plain_text

_ASKED = {
    "causal-lm": ("causal_lm", "CausalLMLabelExtractor"),
    "openai": ("openai_server", "OpenAILabelExtractor"),
}
_REPLIES = {"yes", "no"}  # only as a whole answer or before a comma: "no idea" is no answer
_DENYING = ("not-", "non-", "不", "并不", "不太", "没", "没有", "未", "无", "非")  # straight before the word


class ChoicesLabelExtractor(LabelExtractor):
    """Maps a response to one class of a closed set, or to none."""

    def __init__(
        self,
        *,
        classes: Sequence[str],
        words: Mapping[str, Sequence[str]] | None = None,
        asks: Mapping[str, Any] | None = None,
    ) -> None:
        """Check the classes; a language model is loaded at the first response that the rules cannot read.

        Args:
            classes: Names of the classes, such as [hesitant, certain].
            words: Further words for a class, such as {hesitant: [hesitates, "yes"], certain: ["no"]}; `yes` and `no` count
                where a response begins with them as its answer.
            asks: Language model for what the rules leave open: {name: causal-lm, model: ...} or {name: openai, model: ...},
                with the options of these label extractors; None asks nobody.

        Raises:
            ConfigurationError: There are fewer than two classes, a word belongs to two, or the model is unknown.
        """
        self._words = _words_of_classes(list(classes), dict(words or {}))
        self._classes = [name.strip() for name in classes]
        self._asks = dict(asks) if asks is not None else None
        if self._asks is not None and self._asks.get("name") not in _ASKED:
            raise ConfigurationError(f"`asks` takes a mapping with name {' or '.join(_ASKED)}; got {asks!r}.")
        replies = "|".join(re.escape(word) for word in self._words if word in _REPLIES)
        self._reply = re.compile(rf"\s*({replies})\s*(?:[,.;:!]|$)") if replies else None
        listed = "|".join(re.escape(word) for word in sorted(self._words.keys() - _REPLIES, key=len, reverse=True))
        # Letters and digits of any script end a word, but Chinese words stand side by side.
        self._pattern = re.compile(rf"(?<![^\W_一-鿿])(?:{listed or '(?!)'})(?![^\W_一-鿿])")

    def extract(self, responses: Sequence[str]) -> list[list[str]]:
        """The class of each response as its only label; an empty list where it is none, or not clear.

        Raises:
            AffectLightningError: The language model cannot be asked; see its plugin.
        """
        found = [self._by_rules(response) for response in responses]
        asked = [index for index, name in enumerate(found) if name is None and responses[index].strip()]
        if asked and self._model is not None:
            for index, labels in zip(asked, self._model.extract([responses[index] for index in asked]), strict=True):
                found[index] = self._by_rules("; ".join(labels))
        return [[] if name is None else [name] for name in found]

    def sentiment(self, labels: Sequence[Sequence[str]]) -> list[Sentiment]:
        """Always neutral: a class has no sentiment."""
        return ["neutral"] * len(labels)

    def open_questions(self, responses: Sequence[str]) -> Mapping[str, OpenQuestions]:
        """What the rules leave open; a class has no sentiment, so the second step asks nothing."""
        if self._model is None:
            return {}
        left = [response for response in responses if response.strip() and self._by_rules(response) is None]
        return {"labels": self._model.open_questions(left)["labels"]}

    def check(self) -> None:
        """Whether the language model may be asked; see the contract."""
        if self._model is not None:
            self._model.check()

    def identity(self) -> str:
        """`choices` with the classes, a hash of all words, and the language model that is asked."""
        digest = hashlib.sha256(json.dumps(self._words, sort_keys=True).encode()).hexdigest()
        asked = "rules alone" if self._model is None else self._model.identity()
        return f"choices {'|'.join(self._classes)}, words {digest[:12]}, {asked}"

    @property
    def unparsable(self) -> Mapping[str, int]:
        """Answers of the language model that could not be read, by step."""
        return getattr(self._model, "unparsable", {})

    def _by_rules(self, response: str) -> str | None:
        """The only class that the text names and does not deny."""
        plain = plain_text(response)
        reply = self._reply.match(plain) if self._reply is not None else None
        named = {self._words[reply[1]]} if reply is not None else set()
        named |= {
            self._words[found[0]]
            for found in self._pattern.finditer(plain)
            if not is_negated(plain[max(0, found.start() - REACH) : found.start()])
            and not plain[: found.start()].endswith(_DENYING)
        }
        return named.pop() if len(named) == 1 else None

    @cached_property
    def _model(self) -> LabelExtractor | None:
        if self._asks is None:
            return None
        options = {name: value for name, value in self._asks.items() if name != "name"}
        module, name = _ASKED[self._asks["name"]]
        plugin = getattr(importlib.import_module(f"{__package__}.{module}"), name)
        try:
            built: LabelExtractor = plugin(**{"labels_prompt": choice_prompt(self._classes), **options})
        except TypeError as error:
            raise ConfigurationError(f"`asks` has a wrong option for {self._asks['name']}: {error}.") from error
        return built


def _words_of_classes(classes: list[str], words: dict[str, Sequence[str]]) -> dict[str, str]:
    """Every word for a class, in lower case, with its class."""
    names = [name.strip() for name in classes if isinstance(name, str) and name.strip()]
    if len(names) < 2 or len(names) < len(classes) or len({name.lower() for name in names}) < len(names):
        raise ConfigurationError(f"Give two or more different classes, such as [hesitant, certain]; got {classes!r}.")
    unknown = sorted(words.keys() - set(names))
    if unknown:
        raise ConfigurationError(f"`words` has words for {', '.join(unknown)}; the classes are {', '.join(names)}.")
    found: dict[str, str] = {}
    for name in names:
        for word in (name, *words.get(name, ())):
            plain = plain_text(str(word)).strip()
            if not plain or found.setdefault(plain, name) != name:
                raise ConfigurationError(f"Give each word to one class: {word!r} is empty, or stands for two.")
    return found
