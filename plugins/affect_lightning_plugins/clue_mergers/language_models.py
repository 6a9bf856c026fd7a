"""Plugins `openai` and `causal-lm`: a language model writes one description from what was heard, seen and said.

Paper, Section 2.1: a text model merges the cues with the subtitle. `prompting.merging_prompt` has what it is asked,
`asked_models` asks; `template.py` needs no model.
"""

from __future__ import annotations

import hashlib
import json
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from affect_lightning.contracts import ClueMerger
from affect_lightning.prompting import MergingPrompt
from affect_lightning.prompting.cleaning import clean_response
from affect_lightning_plugins.asked_models.chat_server import ChatServer
from affect_lightning_plugins.asked_models.leaving import texts
from affect_lightning_plugins.asked_models.local_model import DType, LocalModel
from affect_lightning_plugins.language_models.response_decoding import DecodingOptions


class _PromptedMerger(ClueMerger):
    """What both share: the prompt, equal clues asked about once, thoughts and chat marks taken off the answer."""

    _prompt: MergingPrompt

    @abstractmethod
    def _ask(self, prompts: Sequence[str]) -> Iterator[Mapping[int, str]]:
        """Answers by position, in any order."""

    def merge(self, audio: Sequence[str], visual: Sequence[str], subtitles: Sequence[str]) -> list[str]:
        """One text a clip; a clip of which nothing is known is not asked about."""
        texts = {index: text for found in self.merges(audio, visual, subtitles) for index, text in found.items()}
        return [texts[index] for index in range(len(audio))]

    def merges(
        self, audio: Sequence[str], visual: Sequence[str], subtitles: Sequence[str]
    ) -> Iterator[Mapping[int, str]]:
        """Texts by position, each as soon as the model gives it."""
        places: dict[tuple[str, str, str], list[int]] = {}
        for index, clues in enumerate(zip(audio, visual, subtitles, strict=True)):
            places.setdefault(clues, []).append(index)
        asked = [clues for clues in places if any(text.strip() for text in clues)]
        unknown = [index for clues, found in places.items() if not any(map(str.strip, clues)) for index in found]
        if unknown:
            yield dict.fromkeys(unknown, "")
        for found in self._ask([self._prompt.about(*clues) for clues in asked]) if asked else ():
            for position, answer in found.items():
                yield dict.fromkeys(places[asked[position]], clean_response(answer).text.strip())


class OpenAIMerger(_PromptedMerger):
    """A language model behind any OpenAI-compatible server (vLLM and others), asked about many clips at once."""

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
        max_new_tokens: int = 256,
        prompt: str | None = None,
        extra_body: dict[str, Any] | None = None,
    ) -> None:
        """Check the options; the server is asked when there is something to merge.

        Args:
            model: Name of the model on the server.
            base_url: Address up to and with /v1; the default is vLLM's on this machine. Only texts are sent there.
            texts_may_leave: Set this to true to let texts leave this machine for a server that is not on a loopback address;
                without it such a server is not asked.
            revision: What you know of the model's version, such as a commit or a date.
            api_key_variable: Environment variable that holds the key; unset means no key.
            concurrency: Requests in flight at once; 16 is our choice.
            timeout: Seconds to wait for a connection and for an answer; our choice.
            attempts: Tries for one clip when the server is busy or breaks off; our choice.
            pause: Seconds before the second try, doubled for each further try up to a minute, unless the server names a
                time (Retry-After); our choice.
            max_new_tokens: Longest text in tokens; our choice: 120 words have about 160.
            prompt: Your own text with the placeholders {audio}, {visual} and {subtitle}, or a file with one; None means ours.
            extra_body: Further fields of every request, added to ours (model, temperature 0, max_tokens); null removes one.

        Raises:
            ConfigurationError: An option is out of range, the address is none, or the prompt lacks a placeholder.
        """
        self._prompt, self._revision = MergingPrompt.read(prompt), revision
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

    def check(self) -> None:
        """Whether texts may be sent to the server; see `check_leaving`."""
        self._server.check()

    def _ask(self, prompts: Sequence[str]) -> Iterator[Mapping[int, str]]:
        return self._server.ask_all(prompts)

    def identity(self) -> str:
        """`openai` with model, server, revision, and hashes of the prompt and the request."""
        request = hashlib.sha256(json.dumps(dict(self._server.request), sort_keys=True).encode()).hexdigest()
        return (
            f"openai {self._server.request['model']} at {self._server.base_url}, revision {self._revision or 'unstated'}, "
            f"prompt {self._prompt.sha256[:12]}, request {request[:12]}"
        )


class CausalLMMerger(_PromptedMerger):
    """Any Hugging Face causal language model by folder or hub name, asked in batches, decoded greedily."""

    def __init__(
        self,
        *,
        model: str,
        revision: str | None = None,
        dtype: DType = "auto",
        device: str = "auto",
        batch_size: int = 8,
        max_new_tokens: int = 256,
        chat_template: str | None = None,
        attn_implementation: str = "sdpa",
        prompt: str | None = None,
    ) -> None:
        """Check options and tokenizer; the weights are loaded when there is something to merge.

        Args:
            model: Folder or hub name of an instruction-tuned model.
            revision: Commit, tag or branch on the hub; pin a commit for a result that you publish.
            dtype: Number type of the weights; `auto` is bfloat16 on a GPU that has it, else float32 (our choice).
            device: Such as `cuda:1` or `cpu`; `auto` is the first GPU if there is one (our choice).
            batch_size: Prompts decoded at once; 8 is our choice.
            max_new_tokens: Longest text in tokens; our choice: 120 words have about 160.
            chat_template: Jinja text that replaces the tokenizer's chat template; None keeps that.
            attn_implementation: Attention kernel of transformers; `sdpa` comes with torch (our choice).
            prompt: Your own text with the placeholders {audio}, {visual} and {subtitle}, or a file with one; None means ours.

        Raises:
            ConfigurationError: The tokenizer cannot be read or has no chat template, an option is out of range, or the
                prompt lacks a placeholder.
        """
        self._prompt = MergingPrompt.read(prompt)
        self._local = LocalModel(
            model,
            DecodingOptions(max_new_tokens),
            revision=revision,
            dtype=dtype,
            device=device,
            batch_size=batch_size,
            chat_template=chat_template,
            attn_implementation=attn_implementation,
        )

    def _ask(self, prompts: Sequence[str]) -> Iterator[Mapping[int, str]]:
        return self._local.ask(prompts)

    def identity(self) -> str:
        """`causal-lm` with model, revision, and hashes of the prompt and of everything that answers depend on."""
        settings = hashlib.sha256(json.dumps(self._local.settings(), sort_keys=True).encode()).hexdigest()
        return (
            f"causal-lm {self._local.name}, revision {self._local.revision}, prompt {self._prompt.sha256[:12]}, "
            f"settings {settings[:12]}"
        )
