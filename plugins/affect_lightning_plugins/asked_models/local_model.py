"""A causal language model in this process that answers prompts, in batches: for extractors and mergers that ask one.

Loading and decoding are those of the trained model's plugins (`language_models`). The plugins `causal-lm` ask it greedily,
`qwen2.5-released` samples. An answer belongs to a revision of the model: the hub's commit, or a hash of a folder's
files. Legend: B prompts of a batch, L text tokens.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import torch

from affect_lightning.errors import ConfigurationError, DataError
from affect_lightning_plugins.language_models.model_files import load_causal_model, load_tokenizer
from affect_lightning_plugins.language_models.response_decoding import DecodingOptions, decode_responses
from affect_lightning_plugins.language_models.transformers_model import checked_tokenizer, default_dtype, end_ids
from affect_lightning_plugins.pretrained_models import refuse_revision_of_folder
from affect_lightning_plugins.transformers_versions import context_length

# What a model's behaviour depends on: settings, tokenizer, chat template and weights.
_PATTERNS = ("*.json", "*.jinja", "*.model", "*.txt", "*.safetensors", "*.bin")
_CHUNK = 1 << 22  # bytes read at once

DType = Literal["auto", "float32", "bfloat16", "float16"]


class LocalModel:
    """Tokenizer now, weights at the first prompt.

    Attributes:
        name: Last part of the folder's or hub name.
        tokenizer: With a chat template.
    """

    def __init__(
        self,
        source: str,
        decoding: DecodingOptions,
        *,
        revision: str | None = None,
        dtype: DType = "auto",
        device: str = "auto",
        batch_size: int = 16,
        chat_template: str | None = None,
        attn_implementation: str = "sdpa",
    ) -> None:
        """Check options and tokenizer; see `CausalLMLabelExtractor` for what they mean.

        Raises:
            ConfigurationError: The tokenizer cannot be read or has no chat template, or an option is out of range.
        """
        if batch_size < 1:
            raise ConfigurationError(f"batch_size must be 1 or more prompts; got {batch_size}.")
        refuse_revision_of_folder(source, revision)
        self.name = source.rstrip("/").rpartition("/")[2]
        self._source, self._revision, self._batch_size, self._decoding = source, revision, batch_size, decoding
        self._device = chosen_device(device)
        self._loading = {
            "dtype": default_dtype() if dtype == "auto" else dtype,
            "attn_implementation": attn_implementation,
        }
        self.tokenizer = checked_tokenizer(load_tokenizer(source, revision=revision), chat_template)

    @cached_property
    def revision(self) -> str:
        """Which weights these are; see `model_revision`."""
        return model_revision(self._source, self._revision)

    def settings(self) -> dict[str, Any]:
        """What an answer depends on besides the prompts and the sampling: for the cache of answers."""
        return {
            "revision": self.revision,
            "chat_template": self.tokenizer.chat_template,
            "max_new_tokens": self._decoding.max_new_tokens,
            "dtype": self._loading["dtype"],
        }

    @cached_property
    def _model(self) -> Any:
        known = self.revision  # of the hub, exactly the commit that the scores will name
        revision = known.removeprefix("commit-") if known.startswith("commit-") else None
        model = load_causal_model(self._source, revision=revision, **self._loading)
        return model.requires_grad_(False).to(self._device)

    def ask(self, prompts: Sequence[str]) -> Iterator[Mapping[int, str]]:
        """Answers by position, a batch at a time; prompts of like length stand together, so little is padding."""
        ids = [self._ids(prompt) for prompt in prompts]
        order = sorted(range(len(ids)), key=lambda index: len(ids[index]), reverse=True)
        for start in range(0, len(order), self._batch_size):
            batch = order[start : start + self._batch_size]
            yield dict(zip(batch, self._answers([ids[index] for index in batch]), strict=True))

    def _ids(self, prompt: str) -> list[int]:
        """Tokens of one question as a chat turn; marks of the chat format inside a response lose their meaning."""
        for mark in self.tokenizer.all_special_tokens:
            prompt = prompt.replace(mark, " ")
        turn = [{"role": "user", "content": prompt}]
        # Qwen3 and its like would think aloud first; templates that do not know the name pass over it.
        text = self.tokenizer.apply_chat_template(
            turn, tokenize=False, add_generation_prompt=True, enable_thinking=False
        )
        return self.tokenizer(text, add_special_tokens=False)["input_ids"]

    def _answers(self, ids: Sequence[Sequence[int]]) -> list[str]:
        """Answers of one batch, padded on the left."""
        model, longest = self._model, max(map(len, ids))
        room = context_length(model)
        if room is not None and longest + self._decoding.max_new_tokens > room:
            raise DataError(
                f"A prompt has {longest} tokens and its answer up to {self._decoding.max_new_tokens}, but "
                f"{self._source} takes {room} in all. Shorten the response or the prompt, or choose another model."
            )
        pad = self.tokenizer.pad_token_id
        rows = torch.tensor([[pad] * (longest - len(row)) + list(row) for row in ids], device=self._device)  # [B, L]
        mask = torch.tensor([[0] * (longest - len(row)) + [1] * len(row) for row in ids], device=self._device)
        embedded = model.get_input_embeddings()(rows)
        ends = end_ids(model, self.tokenizer)
        answers = decode_responses(model, embedded, mask, ends, self._decoding, prompt_ids=ids)
        return [self.tokenizer.decode(answer, skip_special_tokens=True).strip() for answer in answers]


def chosen_device(name: str) -> torch.device:
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
