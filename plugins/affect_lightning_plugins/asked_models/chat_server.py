"""Asking an OpenAI-compatible server (vLLM, llama.cpp, Ollama, OpenAI ...) many questions at once.

The transport is the client of the package `openai`. When to try again, when to stop and what to say is ours, because
runs of hours depend on it. Busy servers (429, 5xx), timeouts, broken connections and answers that are not JSON are
tried again with growing pauses. A wrong key, model or address ends the run with what to do. The key is never part of a
message. The plugins `openai` of several groups ask here: label extractors and clue mergers in words, cue describers with
pictures and sound. Nothing leaves this machine unless the user has agreed (`leaving.py`).
"""

from __future__ import annotations

import importlib.util
import json
import os
import random
import threading
import weakref
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from typing import Any
from urllib.parse import urlsplit

from affect_lightning.errors import AffectLightningError, ConfigurationError
from affect_lightning_plugins.asked_models.leaving import Leaving, check_leaving, texts

LONGEST_PAUSE = 60.0  # seconds between two tries at most; our choice
_BUSY = frozenset({408, 409, 425, 429})  # besides every 5xx: the same request may succeed later
_SHOWN = 300  # characters of a server's own message that an error repeats


Content = str | Sequence[Mapping[str, Any]]
"""What is asked: words, or parts of words, pictures and sound as the chat completions of OpenAI have them."""


class ServerError(AffectLightningError):
    """The server did not answer in spite of all tries, or refused the question."""


@dataclass(frozen=True)
class ChatServer:
    """Where to ask, and how patiently.

    Attributes:
        base_url: Up to and with `/v1`.
        key: Sent as bearer token; empty for none.
        key_variable: The environment variable that the key came from, for messages.
        request: Fields of every request besides the messages: model, temperature and so on.
        concurrency: Requests in flight at once.
        timeout: Seconds to wait for a connection, and for each part of an answer.
        attempts: Tries for one question before the run ends.
        pause: Seconds before the second try; doubled for each further one, up to `LONGEST_PAUSE`.
        leaving: What is sent, and whether it may leave this machine.
    """

    base_url: str
    key: str = field(repr=False)
    key_variable: str
    request: Mapping[str, Any]
    concurrency: int
    timeout: float
    attempts: int
    pause: float
    leaving: Leaving = field(default_factory=texts)

    @classmethod
    def of_model(
        cls,
        model: str,
        *,
        base_url: str,
        api_key_variable: str,
        max_new_tokens: int,
        extra_body: Mapping[str, Any] | None,
        leaving: Leaving,
        **patience: Any,
    ) -> ChatServer:
        """As the plugins `openai` ask: greedily, with the key of an environment variable.

        Args:
            model: Its name on the server.
            base_url: Up to and with `/v1`.
            api_key_variable: Environment variable that holds the key; unset means no key.
            max_new_tokens: Longest answer.
            extra_body: Further fields of every request, which count before ours.
            leaving: What is sent, and whether it may leave this machine.
            patience: `concurrency`, `timeout`, `attempts` and `pause`.
        """
        return cls(
            base_url=base_url.rstrip("/"),
            key=os.environ.get(api_key_variable, "").strip(),
            key_variable=api_key_variable,
            request={"model": model, "temperature": 0, "max_tokens": max_new_tokens, **(extra_body or {})},
            leaving=leaving,
            **patience,
        )

    def __post_init__(self) -> None:
        if self.concurrency < 1 or self.timeout <= 0 or self.attempts < 1 or self.pause < 0:
            raise ConfigurationError(
                f"Asking a server needs concurrency >= 1, timeout > 0, attempts >= 1 and pause >= 0; got "
                f"{self.concurrency}, {self.timeout}, {self.attempts} and {self.pause}."
            )
        check_address(self.base_url)
        if not self.key.isascii() or any(character.isspace() for character in self.key):
            raise ConfigurationError(
                f"The environment variable {self.key_variable} holds no key: a key has no blanks and only "
                f"ASCII characters. Put only the key there."
            )
        fixed = sorted({"messages", "stream"} & set(self.request))
        if fixed:
            raise ConfigurationError(f"extra_body sets {', '.join(fixed)}, which are set here. Remove it.")
        if importlib.util.find_spec("openai") is None:
            raise ConfigurationError(
                "Asking a server needs the package openai: run `pip install 'affect-lightning[openai]'`, or "
                "choose another plugin."
            )

    def check(self) -> None:
        """Refuse to send what may not leave this machine; see `check_leaving`."""
        check_leaving(self.base_url, self.leaving)

    @cached_property
    def _client(self) -> Any:
        """Made at the first question, closed when nobody has this server any more. Redirects would carry the key away."""
        import openai

        hooks = {"request": [] if self.key else [_drop_authorization]}
        client = openai.OpenAI(
            api_key=self.key or "none",  # it needs one
            base_url=self.base_url,
            timeout=self.timeout,
            max_retries=0,
            http_client=openai.DefaultHttpxClient(timeout=self.timeout, follow_redirects=False, event_hooks=hooks),
        )
        weakref.finalize(self, client.close)
        return client

    def ask_all(self, prompts: Sequence[Content]) -> Iterator[Mapping[int, str]]:
        """Answers by position, each as soon as it is there.

        A question is sent when an earlier answer was taken and dealt with. So at most `concurrency` questions are sent
        whose answers the caller has not kept, and a killed run repeats no more.

        Raises:
            ConfigurationError: The server refuses the key, or does not know the model or address; or what is asked may not
                leave this machine.
            ServerError: One question stayed without an answer; the answers before it have been given out.
        """
        self.check()
        run = _Run(self._client)
        pool = ThreadPoolExecutor(self.concurrency, thread_name_prefix="ask")
        waiting = iter(enumerate(prompts))
        asked: dict[Future[str | None], int] = {}
        try:
            for index, prompt in islice(waiting, self.concurrency):
                asked[pool.submit(self._ask, prompt, run)] = index
            while asked:
                future = next(iter(wait(asked, return_when=FIRST_COMPLETED).done))
                position, answer = asked.pop(future), future.result()
                if answer is not None:
                    yield {position: answer}
                for index, prompt in islice(waiting, 0 if run.stop.is_set() else 1):
                    asked[pool.submit(self._ask, prompt, run)] = index
        finally:
            run.stop.set()
            pool.shutdown(wait=False, cancel_futures=True)
        if run.failure is not None:
            raise run.failure

    def _ask(self, prompt: Content, run: _Run) -> str | None:
        """Try until there is an answer; None once one question of the run has failed for good."""
        trouble: _Trouble | None = None
        for attempt in range(self.attempts):
            if run.stop.wait(_pause(self.pause, attempt, trouble.wait) if trouble else 0.0):
                return None
            try:
                return self._ask_once(prompt, run.client)
            except _Trouble as error:
                trouble = error
            except AffectLightningError as error:
                run.fail(error)
                return None
        message = (
            f"{self.base_url} gave no answer in {self.attempts} tries; the last time: {trouble}. Run the same "
            f"command again when the server works: earlier answers are kept. Use a lower concurrency (now "
            f"{self.concurrency}) if it is overloaded, or a longer timeout (now {self.timeout:g} s)."
        )
        run.fail(ServerError(message))
        return None

    def _ask_once(self, prompt: Content, client: Any) -> str:
        import openai

        fields = {name: value for name, value in self.request.items() if value is not None}
        failure: Exception
        try:
            reply = client.chat.completions.with_raw_response.create(
                model=fields.pop("model", ""), messages=[{"role": "user", "content": prompt}], extra_body=fields
            )
            return self._text_of(reply.content)
        except openai.APIStatusError as error:
            failure = self._refusal(error.status_code, error.response.headers, error.response.text)
        except openai.APIConnectionError as error:  # timeouts too
            reason = _root(error)
            failure = _Trouble(self._without_key(f"{type(reason).__name__}: {reason}"))
        raise failure  # outside of the handlers: the client's own error may repeat the key

    def _text_of(self, content: bytes) -> str:
        """The model's words out of a reply."""
        try:
            message = json.loads(content)["choices"][0]["message"]["content"]
        except (ValueError, KeyError, IndexError, TypeError):
            shown = self._without_key(content.decode("utf-8", errors="replace"))[:_SHOWN]
            raise _Trouble(f"the reply is not a chat completion: {shown!r}") from None
        return message if isinstance(message, str) else ""  # None: the model wrote nothing

    def _refusal(self, status: int, headers: Mapping[str, str], said: str) -> Exception:
        said = self._without_key(" ".join(said.split()))[:_SHOWN] or "nothing more"
        if status in _BUSY or status >= 500:
            return _Trouble(f"status {status}: {said}", _seconds(headers.get("Retry-After")))
        if status in (401, 403):
            held = "holds a key that it does not accept" if self.key else "is not set"
            return ConfigurationError(
                f"{self.base_url} rejects the key (status {status}): {said}. The environment variable "
                f"{self.key_variable} {held}; put a valid key there, or name another one with api_key_variable."
            )
        if status == 404 or 300 <= status < 400:
            target = self._without_key(headers.get("Location", ""))
            moved = f" It points to {target}." if target else ""
            return ConfigurationError(
                f"{self.base_url}/chat/completions does not answer (status {status}): {said}.{moved} "
                f"Check base_url, which ends with /v1 on most servers, and the model {self.request.get('model')!r}, "
                f"which must be one of those listed at {self.base_url}/models."
            )
        return ServerError(
            f"{self.base_url} rejects the request (status {status}): {said}. Set or remove (null) request fields with "
            f"extra_body, raise the server's context length, or choose another model."
        )

    def _without_key(self, text: str) -> str:
        return text.replace(self.key, "***") if self.key else text


def check_address(base_url: str) -> None:
    """Refuse an address that cannot be asked, or that would show a password in every report.

    Raises:
        ConfigurationError: No http or https address, or one with a user name.
    """
    try:
        parts = urlsplit(base_url)
        good = parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        good = False
    if not good or parts.query or parts.fragment:
        raise ConfigurationError(
            f"Expected base_url to be an address such as http://localhost:8000/v1; got {base_url!r}."
        )
    if parts.username or parts.password:
        raise ConfigurationError(
            "base_url holds a user name or password, which every report would show. Put the key into an environment "
            "variable, and name the variable with api_key_variable."
        )


class _Run:
    """What the threads of one call share: the client, whether to stop, and the first failure, which stops them."""

    def __init__(self, client: Any) -> None:
        self.client = client
        self.stop = threading.Event()
        self.failure: AffectLightningError | None = None
        self._lock = threading.Lock()

    def fail(self, failure: AffectLightningError) -> None:
        """Keep the first failure; questions not yet asked stay unasked."""
        with self._lock:
            self.failure = self.failure or failure
        self.stop.set()


class _Trouble(Exception):
    """Something that may be better at the next try."""

    def __init__(self, what: str, wait: float = 0.0) -> None:
        super().__init__(what)
        self.wait = wait


def _pause(first: float, attempt: int, wanted: float) -> float:
    """Seconds before a try: what the server asks for, else doubling, a little scattered so that threads part."""
    if wanted:
        return min(wanted, LONGEST_PAUSE)
    return min(first * 2 ** (attempt - 1), LONGEST_PAUSE) * random.uniform(0.75, 1.25)


def _seconds(header: str | None) -> float:
    """`Retry-After` in seconds; 0 where it is absent or a date."""
    try:
        return max(0.0, float(header or 0))
    except ValueError:
        return 0.0


def _drop_authorization(request: Any) -> None:
    request.headers.pop("Authorization", None)


def _root(error: BaseException) -> BaseException:
    """What the system said first."""
    while (earlier := error.__cause__ or error.__context__) is not None:
        error = earlier
    return error
