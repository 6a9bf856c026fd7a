"""Plugin `openai`: labels and sentiment from any OpenAI-compatible server, such as vLLM (paper, Appendix E).

The paper serves Qwen2.5 for it. `chat_server.py` asks, `prompted_extraction.py` has the two steps and the cache.
`causal_lm.py` is for a model in this process, `rules.py` needs no model.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from affect_lightning.contracts import LabelExtractor, OpenQuestions, Sentiment
from affect_lightning.prompting import read_extraction_prompts
from affect_lightning_plugins.asked_models.chat_server import ChatServer
from affect_lightning_plugins.asked_models.leaving import texts
from affect_lightning_plugins.label_extractors.prompted_extraction import AnswerCache, PromptedExtraction


class OpenAILabelExtractor(LabelExtractor):
    """A language model behind any OpenAI-compatible server (vLLM and others), asked many questions at once."""

    def __init__(
        self,
        *,
        model: str,
        base_url: str = "http://localhost:8000/v1",
        texts_may_leave: bool = False,
        revision: str | None = None,
        api_key_variable: str = "OPENAI_API_KEY",
        concurrency: int = 16,
        timeout: float = 60.0,
        attempts: int = 6,
        pause: float = 1.0,
        max_new_tokens: int = 128,
        extra_body: dict[str, Any] | None = None,
        labels_prompt: str | None = None,
        sentiment_prompt: str | None = None,
        cache_dir: str | None = None,
    ) -> None:
        """Check the options; the server is asked when there is something to ask.

        Args:
            model: Name of the model on the server; the paper uses Qwen2.5.
            base_url: Address up to and with /v1; the default is vLLM's on this machine.
            texts_may_leave: Set this to true to let texts leave this machine for a server that is not on a loopback address;
                without it such a server is not asked.
            revision: What you know of the model's version, such as a commit or a date; every report shows it, and
                another revision does not use earlier answers.
            api_key_variable: Environment variable that holds the key; unset means no key. The key itself is never an
                option, so no configuration, checkpoint or report holds it.
            concurrency: Requests in flight at once; 16 is our choice, vLLM batches many more.
            timeout: Seconds to wait for a connection and for an answer; our choice.
            attempts: Tries for one question when the server is busy or breaks off; 6, over half a minute, is our choice.
            pause: Seconds before the second try, doubled for each further try up to a minute, unless the server names a
                time; our choice.
            max_new_tokens: Longest answer in tokens; our choice: a list of ten words has about 40.
            extra_body: Further fields of every request, added to ours (model, temperature 0, max_tokens); null removes one.
                For a thinking Qwen3 on vLLM {chat_template_kwargs: {enable_thinking: false}}.
            labels_prompt: Your own text with the placeholder {response}, or a file with one; None means ours.
            sentiment_prompt: Your own text with the placeholder {labels}, or a file with one; None means ours.
            cache_dir: Folder of the kept answers; None means label_extractors in the user's cache.

        Raises:
            ConfigurationError: An option is out of range, the address is none, or a prompt lacks its placeholder.
        """
        self._model, self._revision = model, revision
        prompts = read_extraction_prompts(labels_prompt, sentiment_prompt)
        self._server = ChatServer.of_model(
            model,
            base_url=base_url,
            api_key_variable=api_key_variable,
            max_new_tokens=max_new_tokens,
            extra_body=extra_body,
            leaving=texts(texts_may_leave),
            concurrency=concurrency,
            timeout=timeout,
            attempts=attempts,
            pause=pause,
        )
        settings = {
            "plugin": "openai",
            "server": self._server.base_url,
            "revision": revision,
            "request": self._server.request,
            "prompts": prompts.sha256,
        }
        cache = AnswerCache(cache_dir, f"openai-{model}", settings)
        self._extraction = PromptedExtraction(prompts, cache, self._server.ask_all)

    @property
    def unparsable(self) -> Mapping[str, int]:
        """Answers that could not be read, by step."""
        return self._extraction.unparsable

    def extract(self, responses: Sequence[str]) -> list[list[str]]:
        """Emotion words of each response; see the contract.

        Raises:
            ConfigurationError: The server refuses the key, or does not know the model or address.
            ServerError: The server gives no answer; ask again to continue.
            DataError: The cache cannot be read or written.
        """
        return self._extraction.extract(responses)

    def sentiment(self, labels: Sequence[Sequence[str]]) -> list[Sentiment]:
        """Overall sentiment of each list of emotion words; see the contract. Raises as `extract` does."""
        return self._extraction.sentiment(labels)

    def check(self) -> None:
        """Whether texts may be sent to the server; see `check_leaving`."""
        self._server.check()

    def open_questions(self, responses: Sequence[str]) -> Mapping[str, OpenQuestions]:
        """See the contract."""
        return self._extraction.open_questions(responses)

    def identity(self) -> str:
        """`openai` with model, server, revision, and hashes of the prompts and of everything that answers depend on."""
        revision = self._revision or "unstated"
        return (
            f"openai {self._model} at {self._server.base_url}, revision {revision}, "
            f"prompts {self._extraction.prompts.sha256[:12]}, settings {self._extraction.cache.sha256[:12]}"
        )
