"""Plugin `causal-lm`: labels and sentiment from any Hugging Face causal language model in this process (Appendix E).

The paper uses Qwen2.5 for it. `local_model.py` loads and decodes, `prompted_extraction.py` has the two steps and the
cache. `openai_server.py` is for a model behind a server, `rules.py` needs no model.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Literal

from affect_lightning.contracts import LabelExtractor, OpenQuestions, Sentiment
from affect_lightning.prompting import read_extraction_prompts
from affect_lightning_plugins.asked_models.local_model import LocalModel
from affect_lightning_plugins.label_extractors.prompted_extraction import AnswerCache, PromptedExtraction
from affect_lightning_plugins.language_models.response_decoding import DecodingOptions


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
        self._prompts = read_extraction_prompts(labels_prompt, sentiment_prompt)
        self._cache_dir = cache_dir
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

    def open_questions(self, responses: Sequence[str]) -> Mapping[str, OpenQuestions]:
        """See the contract."""
        return self._extraction.open_questions(responses)

    def identity(self) -> str:
        """`causal-lm` with model, revision, and hashes of the prompts and of everything that answers depend on."""
        return (
            f"causal-lm {self._local.name}, revision {self._local.revision}, prompts {self._prompts.sha256[:12]}, "
            f"settings {self._extraction.cache.sha256[:12]}"
        )

    @cached_property
    def _extraction(self) -> PromptedExtraction:
        settings = {"plugin": "causal-lm", "prompts": self._prompts.sha256, **self._local.settings()}
        cache = AnswerCache(self._cache_dir, f"causal-lm-{self._local.name}", settings)
        return PromptedExtraction(self._prompts, cache, self._local.ask)
