"""Plugin `causal-lm`: labels and sentiment from any Hugging Face causal language model in this process (Appendix E).

The paper uses Qwen2.5 for it. Loading and decoding are those of the trained model's plugins (`language_models`),
`prompted_extraction.py` has the two steps and the cache. An answer belongs to a revision of the model: the hub's commit,
or a hash of a folder's files.
Neighbours: `openai_server.py` for a model behind a server, `rules.py` without a model.
Legend: B prompts of a batch, L text tokens.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import torch

from affect_lightning.contracts import LabelExtractor, Sentiment
from affect_lightning.errors import ConfigurationError, DataError
from affect_lightning.prompting import read_extraction_prompts
from affect_lightning_plugins.label_extractors.prompted_extraction import AnswerCache, PromptedExtraction
from affect_lightning_plugins.language_models.model_files import load_causal_model, load_tokenizer
from affect_lightning_plugins.language_models.response_decoding import DecodingOptions, decode_responses
from affect_lightning_plugins.language_models.transformers_model import checked_tokenizer, default_dtype, end_ids

# What a model's behaviour depends on: settings, tokenizer, chat template and weights.
_PATTERNS = ("*.json", "*.jinja", "*.model", "*.txt", "*.safetensors", "*.bin")
_CHUNK = 1 << 22  # bytes read at once


class CausalLMLabelExtractor(LabelExtractor):
    """Any Hugging Face causal language model by folder or hub name, asked in batches, decoded greedily."""

    def __init__(
        self,
        *,
        model: str,
        revision: str | None = None,
        dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto",
        device: str = "auto",
        batch_size: int = 16,
        max_new_tokens: int = 128,
        chat_template: str | None = None,
        attn_implementation: str = "sdpa",
        labels_prompt: str | None = None,
        sentiment_prompt: str | None = None,
        cache_dir: str | None = None,
    ) -> None:
        """Check options and tokenizer; the weights are loaded at the first question that the cache cannot answer.

        Args:
            model: Folder or hub name of an instruction-tuned model; the paper uses Qwen2.5.
            revision: Commit, tag or branch on the hub; pin a commit for a result that you publish.
            dtype: Number type of the weights; `auto` is bfloat16 on a GPU that has it, else float32 (our choice).
            device: Such as `cuda:1` or `cpu`; `auto` is the first GPU if there is one (our choice).
            batch_size: Prompts decoded at once; 16 is our choice. A killed run loses one batch.
            max_new_tokens: Longest answer in tokens; our choice: a list of ten words has about 40.
            chat_template: Jinja text that replaces the tokenizer's chat template; None keeps that.
            attn_implementation: Attention kernel of transformers; `sdpa` comes with torch (our choice).
            labels_prompt: Your own text with the placeholder {response}, or a file with one; None means ours.
            sentiment_prompt: Your own text with the placeholder {labels}, or a file with one; None means ours.
            cache_dir: Folder of the kept answers; None means label_extractors in the user's cache.

        Raises:
            ConfigurationError: The tokenizer cannot be read or has no chat template, an option is out of range, or a
                prompt lacks its placeholder.
        """
        if batch_size < 1:
            raise ConfigurationError(f"batch_size must be 1 or more prompts; got {batch_size}.")
        self._source, self._revision, self._batch_size = model, revision, batch_size
        self._decoding = DecodingOptions(max_new_tokens)
        self._prompts = read_extraction_prompts(labels_prompt, sentiment_prompt)
        self._device = _device(device)
        self._loading = {
            "dtype": default_dtype() if dtype == "auto" else dtype,
            "attn_implementation": attn_implementation,
        }
        self._cache_dir = cache_dir
        self._tokenizer = checked_tokenizer(load_tokenizer(model, revision=revision), chat_template)

    @property
    def unparsable(self) -> Mapping[str, int]:
        """Answers that could not be read, by step."""
        return self._extraction.unparsable

    def extract(self, responses: Sequence[str]) -> list[list[str]]:
        """Emotion words of each response; see the contract.

        Raises:
            ConfigurationError: The model cannot be read or filled completely.
            DataError: A prompt is too long for the model, or the cache cannot be read or written.
        """
        return self._extraction.extract(responses)

    def sentiment(self, labels: Sequence[Sequence[str]]) -> list[Sentiment]:
        """Overall sentiment of each list of emotion words; see the contract. Raises as `extract` does."""
        return self._extraction.sentiment(labels)

    def identity(self) -> str:
        """`causal-lm` with model, revision, and hashes of the prompts and of everything that answers depend on."""
        name = self._source.rstrip("/").rpartition("/")[2]
        return (
            f"causal-lm {name}, revision {self._model_revision}, prompts {self._prompts.sha256[:12]}, "
            f"settings {self._extraction.cache.sha256[:12]}"
        )

    @cached_property
    def _model_revision(self) -> str:
        return model_revision(self._source, self._revision)

    @cached_property
    def _extraction(self) -> PromptedExtraction:
        settings = {
            "plugin": "causal-lm",
            "revision": self._model_revision,
            "prompts": self._prompts.sha256,
            "chat_template": self._tokenizer.chat_template,
            "max_new_tokens": self._decoding.max_new_tokens,
            "dtype": self._loading["dtype"],
        }
        title = f"causal-lm-{self._source.rstrip('/').rpartition('/')[2]}"
        return PromptedExtraction(self._prompts, AnswerCache(self._cache_dir, title, settings), self._ask)

    @cached_property
    def _model(self) -> Any:
        known = self._model_revision  # of the hub, exactly the commit that the scores will name
        revision = known.removeprefix("commit-") if known.startswith("commit-") else None
        model = load_causal_model(self._source, revision=revision, **self._loading)
        return model.requires_grad_(False).to(self._device)

    def _ask(self, prompts: Sequence[str]) -> Iterator[Mapping[int, str]]:
        """Answers by position, a batch at a time; prompts of like length stand together, so little is padding."""
        ids = [self._ids(prompt) for prompt in prompts]
        order = sorted(range(len(ids)), key=lambda index: len(ids[index]), reverse=True)
        for start in range(0, len(order), self._batch_size):
            batch = order[start : start + self._batch_size]
            yield dict(zip(batch, self._answers([ids[index] for index in batch]), strict=True))

    def _ids(self, prompt: str) -> list[int]:
        """Tokens of one question as a chat turn; marks of the chat format inside a response lose their meaning."""
        for mark in self._tokenizer.all_special_tokens:
            prompt = prompt.replace(mark, " ")
        turn = [{"role": "user", "content": prompt}]
        # Qwen3 and its like would think aloud first; templates that do not know the name pass over it.
        text = self._tokenizer.apply_chat_template(
            turn, tokenize=False, add_generation_prompt=True, enable_thinking=False
        )
        return self._tokenizer(text, add_special_tokens=False)["input_ids"]

    def _answers(self, ids: Sequence[Sequence[int]]) -> list[str]:
        """Answers of one batch, padded on the left."""
        model, longest = self._model, max(map(len, ids))
        room = getattr(model.config, "max_position_embeddings", None)
        if room is not None and longest + self._decoding.max_new_tokens > room:
            raise DataError(
                f"A prompt has {longest} tokens and its answer up to {self._decoding.max_new_tokens}, but "
                f"{self._source} takes {room} in all. Shorten the response or the prompt, or choose another model."
            )
        pad = self._tokenizer.pad_token_id
        rows = torch.tensor([[pad] * (longest - len(row)) + list(row) for row in ids], device=self._device)  # [B, L]
        mask = torch.tensor([[0] * (longest - len(row)) + [1] * len(row) for row in ids], device=self._device)
        embedded = model.get_input_embeddings()(rows)
        answers = decode_responses(model, embedded, mask, end_ids(model, self._tokenizer), self._decoding)
        return [self._tokenizer.decode(answer, skip_special_tokens=True).strip() for answer in answers]


def _device(name: str) -> torch.device:
    """The device of that name.

    Raises:
        ConfigurationError: There is none.
    """
    gpu = torch.cuda.is_available()
    try:
        device = torch.device(("cuda" if gpu else "cpu") if name == "auto" else name)
    except RuntimeError:
        device = None
    if device is None or (device.type == "cuda" and not gpu):
        raise ConfigurationError(
            f"There is no device {name!r}; expected auto, cpu{', cuda or a GPU such as cuda:1' if gpu else ''}."
        )
    return device


def model_revision(model: str, revision: str | None = None) -> str:
    """The revision of a model as text, for scores and cache names.

    Args:
        model: Folder or hub name.
        revision: Commit, tag or branch on the hub.

    Returns:
        `files-` and a hash of a folder's files, or `commit-` and the hub's commit.

    Raises:
        ConfigurationError: The folder cannot be read, or the hub tells no commit.
    """
    folder = Path(model).expanduser()
    return f"files-{_hash_of(folder)[:16]}" if folder.is_dir() else f"commit-{_hub_commit(model, revision)}"


def _hash_of(folder: Path) -> str:
    digest = hashlib.sha256()
    try:
        for path in sorted({path for pattern in _PATTERNS for path in folder.glob(pattern)}):
            digest.update(f"{path.name}\0{path.stat().st_size}\0".encode())
            with path.open("rb") as file:
                while chunk := file.read(_CHUNK):
                    digest.update(chunk)
    except OSError as error:
        raise ConfigurationError(
            f"The model's folder {folder} cannot be read: {error}. Fix its permissions."
        ) from error
    return digest.hexdigest()


def _hub_commit(model: str, revision: str | None) -> str:
    """The commit is the name of the folder in which the hub's cache has the configuration."""
    from transformers.utils import cached_file

    try:
        path = cached_file(model, "config.json", revision=revision)
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split())[:300].rstrip(".")
        raise ConfigurationError(
            f"The language model {model!r} cannot be read: {reason}. Give a folder with config.json, weights and "
            f"tokenizer, or a hub name with network access."
        ) from error
    commit = re.search(r"/snapshots/([0-9a-f]{40})/", Path(str(path)).as_posix())
    if commit is None:
        raise ConfigurationError(
            f"Download the model {model!r} into a folder and give that folder: the hub gives no commit, so answers of "
            f"different revisions could be mixed."
        )
    return commit[1]
