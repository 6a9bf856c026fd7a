"""Plugin `qwen2.5-released`: labels and sentiment as the authors' released code extracts them, with its noise (Appendix E).

Two worked examples a step, an answer without quotation marks, sampling, and a lenient reading of answers.
docs/label_extractors.md has the facts, `prompting/extraction_prompts.py` the prompts. Use it for scores like the
paper's; for comparisons use a deterministic extractor (`causal_lm.py`, `rules.py`). `local_model.py` or
`chat_server.py` answers.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

from affect_lightning.contracts import LabelExtractor, OpenQuestions, Sentiment
from affect_lightning.errors import ConfigurationError
from affect_lightning.prompting import RELEASED_PROMPTS
from affect_lightning_plugins.asked_models.chat_server import ChatServer
from affect_lightning_plugins.asked_models.leaving import texts
from affect_lightning_plugins.asked_models.local_model import DType, LocalModel
from affect_lightning_plugins.label_extractors.prompted_extraction import AnswerCache, PromptedExtraction, Reading
from affect_lightning_plugins.language_models.response_decoding import DecodingOptions

TEMPERATURE, TOP_P, REPETITION_PENALTY, LONGEST_ANSWER = 0.7, 0.8, 1.05, 512  # the authors' code

_PREFIX = re.compile(r"^(?:\s*(?:Output|Input)\b\s*:?)+")
_SEPARATORS = re.compile(r"[\"',]")
_SENTIMENTS: dict[str, Sentiment] = {"positive": "positive", "negative": "negative", "neutral": "neutral"}


def released_text(answer: str) -> str:
    """An answer as the released code goes on with it: without leading "Output" or "Input", colons and line breaks.

    >>> released_text("Output: [happy, a bit shy]")
    '[happy, a bit shy]'
    """
    return _PREFIX.sub("", answer.strip()).replace(":", "").replace("\n", "").strip()


def released_labels(answer: str) -> list[str] | None:
    """Whatever stands between quotation marks and commas; None if that is nothing, and the answer is not an empty list.

    >>> released_labels("Output: [happy, a bit shy]"), released_labels("[]"), released_labels("None of them")
    (['happy', 'a bit shy'], [], ['None of them'])
    """
    text = released_text(answer)
    parts = (part.strip() for part in _SEPARATORS.split(text.removeprefix("[").removesuffix("]")))
    words = list(dict.fromkeys(part for part in parts if part))
    return words if words or text == "[]" else None


def released_sentiment(answer: str) -> Sentiment | None:
    """The sentiment if the answer is exactly one of the three words in any case; None for anything else.

    >>> released_sentiment("Output: Positive"), released_sentiment("positive."), released_sentiment("It is positive")
    ('positive', None, None)
    """
    return _SENTIMENTS.get(released_text(answer).lower())


RELEASED_READING = Reading(released_labels, released_sentiment, asks_about_nothing=True)


class ReleasedLabelExtractor(LabelExtractor):
    """Qwen2.5 as the authors' released code asks it: worked examples, sampling, and answers taken as they come."""

    def __init__(
        self,
        *,
        model: str = "Qwen/Qwen2.5-7B-Instruct",
        base_url: str | None = None,
        texts_may_leave: bool = False,
        seed: int = 0,
        revision: str | None = None,
        dtype: DType = "auto",
        device: str = "auto",
        batch_size: int = 16,
        max_new_tokens: int = LONGEST_ANSWER,
        chat_template: str | None = None,
        api_key_variable: str = "OPENAI_API_KEY",
        concurrency: int = 16,
        timeout: float = 60.0,
        attempts: int = 6,
        pause: float = 1.0,
        cache_dir: str | None = None,
    ) -> None:
        """Check options and tokenizer; weights are loaded, or the server is asked, at the first question.

        Args:
            model: Folder or hub name, or the name that the server knows; the default is the authors' model.
            base_url: Address of a vLLM server up to and with /v1, as the authors use vLLM; None means the model in this
                process.
            texts_may_leave: Set this to true to let texts leave this machine for a server that is not on a loopback address;
                without it such a server is not asked.
            seed: Of the sampling. The authors' code has none; ours is 0, so that a score can be made again. Other seeds
                show how much of a score is noise.
            revision: Commit, tag or branch on the hub; with a server, what you know of its model's version.
            dtype: Number type of the weights in this process; `auto` is bfloat16 on a GPU that has it, else float32.
            device: Such as `cuda:1` or `cpu`; `auto` is the first GPU if there is one (our choice).
            batch_size: Prompts decoded at once in this process; 16 is our choice.
            max_new_tokens: Longest answer in tokens; 512 in the authors' code.
            chat_template: Jinja text that replaces the tokenizer's chat template in this process; None keeps that.
            api_key_variable: Environment variable that holds the server's key; unset means no key.
            concurrency: Requests in flight at once; 16 is our choice, vLLM batches many more.
            timeout: Seconds to wait for a connection and for an answer; our choice.
            attempts: Tries for one question when the server is busy or breaks off; our choice, as in `openai`.
            pause: Seconds before the second try, doubled for each further one up to a minute; our choice.
            cache_dir: Folder of the kept answers; None means label_extractors in the user's cache.

        Raises:
            ConfigurationError: An option is out of range, the address is none, or the tokenizer cannot be read or has no
                chat template.
        """
        self._seed, self._model, self._revision, self._cache_dir = seed, model, revision, cache_dir
        self._server: ChatServer | None = None
        if base_url is not None:
            if chat_template is not None:
                raise ConfigurationError(
                    "Remove `chat_template`, or remove `base_url`: a server applies the chat template that it was started with."
                )
            self._server = ChatServer(
                base_url=base_url.rstrip("/"),
                key=os.environ.get(api_key_variable, "").strip(),
                key_variable=api_key_variable,
                request=_request(model, max_new_tokens, seed),
                concurrency=concurrency,
                timeout=timeout,
                attempts=attempts,
                pause=pause,
                leaving=texts(texts_may_leave),
            )
            return
        self._local = LocalModel(
            model,
            DecodingOptions(max_new_tokens, TEMPERATURE, TOP_P, seed, REPETITION_PENALTY),
            revision=revision,
            dtype=dtype,
            device=device,
            batch_size=batch_size,
            chat_template=chat_template,
        )

    @property
    def unparsable(self) -> Mapping[str, int]:
        """Answers that could not be read, by step."""
        return self._extraction.unparsable

    def extract(self, responses: Sequence[str]) -> list[list[str]]:
        """Emotion words of each response; see the contract.

        Raises:
            ConfigurationError: The model cannot be read or filled completely, or the server refuses key, model or address.
            ServerError: The server gives no answer; asking again goes on where it was.
            DataError: A prompt is too long for the model, or the cache cannot be read or written.
        """
        return self._extraction.extract(responses)

    def sentiment(self, labels: Sequence[Sequence[str]]) -> list[Sentiment]:
        """Overall sentiment of each list of emotion words; see the contract. Raises as `extract` does."""
        return self._extraction.sentiment(labels)

    def check(self) -> None:
        """Whether texts may be sent to the server; see `check_leaving`."""
        if self._server is not None:
            self._server.check()

    def open_questions(self, responses: Sequence[str]) -> Mapping[str, OpenQuestions]:
        """See the contract."""
        return self._extraction.open_questions(responses)

    def identity(self) -> str:
        """`qwen2.5-released` with model, revision, the sampling, and hashes of the prompts and of all settings."""
        if self._server is None:
            model, revision = self._local.name, self._local.revision
        else:
            model, revision = f"{self._model} at {self._server.base_url}", self._revision or "unstated"
        return (
            f"qwen2.5-released {model}, revision {revision}, sampled (temperature {TEMPERATURE}, top-p {TOP_P}, "
            f"repetition {REPETITION_PENALTY}, seed {self._seed}), prompts {RELEASED_PROMPTS.sha256[:12]}, "
            f"settings {self._extraction.cache.sha256[:12]}"
        )

    @cached_property
    def _extraction(self) -> PromptedExtraction:
        settings: dict[str, Any] = {"plugin": "qwen2.5-released", "prompts": RELEASED_PROMPTS.sha256}
        if self._server is None:
            sampling = {"temperature": TEMPERATURE, "top_p": TOP_P, "repetition_penalty": REPETITION_PENALTY}
            settings |= {**self._local.settings(), **sampling, "seed": self._seed}
            name, ask = self._local.name, self._local.ask
        else:
            settings |= {
                "server": self._server.base_url,
                "revision": self._revision,
                "request": dict(self._server.request),
            }
            name, ask = self._model, self._server.ask_all
        cache = AnswerCache(self._cache_dir, f"qwen2.5-released-{name}", settings)
        return PromptedExtraction(RELEASED_PROMPTS, cache, ask, RELEASED_READING)


def _request(model: str, max_new_tokens: int, seed: int) -> dict[str, Any]:
    """Fields of every request to a vLLM server."""
    return {
        "model": model,
        "temperature": TEMPERATURE,
        "top_p": TOP_P,
        "repetition_penalty": REPETITION_PENALTY,
        "max_tokens": max_new_tokens,
        "seed": seed,
    }
