"""The paper's two steps with any language model: labels from responses, then sentiment from labels (Appendix E).

Each distinct text is asked once, unless the cache has its answer. Every batch of answers is kept before the next is
asked, and answers that cannot be read are counted. So a killed run continues where it was: answers are on disk as they
come, one file of JSON lines for each combination of model revision and prompts. A line has the step (`labels` or
`sentiment`), what was judged and the model's raw answer. Processes share the file; a line that a crash cut off harms no
other line and is asked again. `causal_lm.py` and `openai_server.py` give it a way to ask; `answer_parsing.py` reads the
answers.
"""

from __future__ import annotations

import hashlib
import json
import logging
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm.auto import tqdm

from affect_lightning.contracts import OpenQuestions, Sentiment
from affect_lightning.errors import DataError
from affect_lightning.prompting import ExtractionPrompts
from affect_lightning.prompting.cleaning import clean_response
from affect_lightning.storage import LineLog, user_cache_folder
from affect_lightning_plugins.label_extractors.answer_parsing import labels_in_answer, sentiment_in_answer

_FOLDER = "label_extractors"


@dataclass(frozen=True)
class Reading:
    """How answers are read, and what is asked about.

    Attributes:
        labels: Reads the first step's answer; None for one that is not a list of labels.
        sentiment: Reads the second step's; None for one that is not a sentiment.
        asks_about_nothing: Whether an empty list of labels is asked about, too.
    """

    labels: Callable[[str], list[str] | None] = labels_in_answer
    sentiment: Callable[[str], Sentiment | None] = sentiment_in_answer
    asks_about_nothing: bool = False


# Gives answers by the position of their prompt, a batch at a time, in any order.
AskModel = Callable[[Sequence[str]], Iterator[Mapping[int, str]]]

DEFAULT_READING = Reading()
_BAR_FROM = 32  # questions from which progress is shown; our choice
_LOG = logging.getLogger(__name__)


class AnswerCache:
    """Answers by step and judged text, shared with other processes through one file.

    Attributes:
        sha256: Hash of the settings.
    """

    def __init__(self, folder: str | Path | None, title: str, settings: Mapping[str, Any]) -> None:
        """Name the file; nothing is read or made yet.

        Args:
            folder: Where the file is; None means `label_extractors` in the user's cache folder.
            title: Beginning of the file's name, for people.
            settings: Everything that an answer depends on besides the judged text; plain values. Other settings mean
                another file.
        """
        self.sha256 = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()
        readable = re.sub(r"[^A-Za-z0-9.]+", "-", title).strip("-.")[:80]
        place = Path(folder).expanduser() if folder is not None else user_cache_folder(_FOLDER)
        self._log = LineLog(place / f"{readable}-{self.sha256[:16]}.jsonl", shared=True)
        self._foreign = 0
        self._answers: dict[tuple[str, str], str] = {}

    @property
    def path(self) -> Path:
        """Of the file."""
        return self._log.path

    @property
    def spoilt_lines(self) -> int:
        """Lines that could not be used, such as one that a crash cut off."""
        return self._log.damaged + self._foreign

    def find(self, step: str, judged: Iterable[str]) -> dict[str, str]:
        """Answers that are there, by judged text; also those that other processes have added meanwhile.

        Raises:
            DataError: The file cannot be read.
        """
        try:
            for record in self._log.new_records():
                self._take(record)
        except OSError as error:
            raise DataError(
                f"The cache of answers {self.path} cannot be read: {error.strerror or error}. Fix its permissions, or give "
                f"the label extractor another cache_dir."
            ) from error
        return {text: self._answers[step, text] for text in judged if (step, text) in self._answers}

    def add(self, step: str, answers: Mapping[str, str]) -> None:
        """Keep answers by judged text; they outlive this process when this returns.

        Raises:
            DataError: The file cannot be written.
        """
        if not answers:
            return
        try:
            self._log.add(*({"step": step, "judged": judged, "answer": answer} for judged, answer in answers.items()))
        except OSError as error:
            raise DataError(
                f"The answers of the language model cannot be kept in {self.path}: {error.strerror or error}. Free "
                f"space, or give the label extractor another cache_dir."
            ) from error
        self._answers.update(((step, judged), answer) for judged, answer in answers.items())

    def _take(self, record: Any) -> None:
        entry = record if isinstance(record, dict) else {}
        step, judged, answer = entry.get("step"), entry.get("judged"), entry.get("answer")
        if isinstance(step, str) and isinstance(judged, str) and isinstance(answer, str):
            self._answers[step, judged] = answer
        else:
            self._foreign += 1


class PromptedExtraction:
    """Labels and sentiments by asking a language model.

    A response whose answer is no list of labels has no label. A label list whose answer is no sentiment is neutral,
    which the sentiment metric takes as not positive, as the authors' metric does. Both are counted.

    Attributes:
        asked: Questions that the cache could not answer.
    """

    def __init__(
        self, prompts: ExtractionPrompts, cache: AnswerCache, ask: AskModel, reading: Reading = DEFAULT_READING
    ) -> None:
        """Take the parts.

        Args:
            prompts: The texts of both steps.
            cache: For this model and these prompts.
            ask: Answers prompts.
            reading: How answers are read.
        """
        self.prompts = prompts
        self.cache = cache
        self.asked = 0
        self._ask, self._reading = ask, reading
        self._unread: dict[str, set[str]] = {"labels": set(), "sentiment": set()}

    @property
    def unparsable(self) -> dict[str, int]:
        """Distinct texts whose answer could not be read, by step: `labels` and `sentiment`."""
        return {step: len(judged) for step, judged in self._unread.items()}

    def extract(self, responses: Sequence[str]) -> list[list[str]]:
        """See `LabelExtractor.extract`; a response that says nothing (`prompting.cleaning`) is not asked about."""
        texts = [clean_response(response).text.strip() for response in responses]
        answers = self._answers("labels", {text: self.prompts.about_response(text) for text in texts if text})
        found = {text: self._reading.labels(answer) for text, answer in answers.items()}
        self._unread["labels"] |= _report_unread(found, answers, "not a list of labels; these responses have no label")
        return [list(found.get(text) or ()) for text in texts]

    def sentiment(self, labels: Sequence[Sequence[str]]) -> list[Sentiment]:
        """See `LabelExtractor.sentiment`; an empty list is neutral and is not asked about, unless `Reading` says so."""
        texts = [", ".join(words) for words in labels]
        asked = {
            text: words for text, words in zip(texts, labels, strict=True) if text or self._reading.asks_about_nothing
        }
        prompts = {text: self.prompts.about_labels(words) for text, words in asked.items()}
        answers = self._answers("sentiment", prompts)
        found = {text: self._reading.sentiment(answer) for text, answer in answers.items()}
        self._unread["sentiment"] |= _report_unread(
            found, answers, "not a sentiment; these label lists count as neutral"
        )
        return [found.get(text) or "neutral" for text in texts]

    def open_questions(self, responses: Sequence[str]) -> dict[str, OpenQuestions]:
        """See the contract. A response whose labels are open counts once for its sentiment, so that is an upper bound."""
        texts = {clean_response(response).text.strip() for response in responses} - {""}
        known = self.cache.find("labels", texts)
        lists = {", ".join(self._reading.labels(answer) or ()) for answer in known.values()}
        lists -= set() if self._reading.asks_about_nothing else {""}
        judged = self.cache.find("sentiment", lists)
        missing = len(texts) - len(known)
        return {
            "labels": OpenQuestions(missing, len(known), sum(map(len, known.values()))),
            "sentiment": OpenQuestions(missing + len(lists) - len(judged), len(judged), sum(map(len, judged.values()))),
        }

    def _answers(self, step: str, prompts: Mapping[str, str]) -> dict[str, str]:
        """Answers by judged text; what the cache lacks is asked and kept."""
        known = self.cache.find(step, prompts)
        missing = [judged for judged in prompts if judged not in known]
        self.asked += len(missing)
        with tqdm(total=len(missing), desc=f"asking for {step}", disable=len(missing) < _BAR_FROM, leave=False) as bar:
            for batch in self._ask([prompts[judged] for judged in missing]) if missing else ():
                answers = {missing[index]: answer for index, answer in batch.items()}
                self.cache.add(step, answers)
                known.update(answers)
                bar.update(len(answers))
        return known


def _report_unread(found: Mapping[str, object], answers: Mapping[str, str], meaning: str) -> set[str]:
    """Judged texts whose answer could not be read; named in the log."""
    unread = [judged for judged, reading in found.items() if reading is None]
    if unread:
        first = answers[unread[0]]
        _LOG.warning("%d answers of the language model are %s. The first: %.120r", len(unread), meaning, first)
    return set(unread)
