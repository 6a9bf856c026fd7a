"""Causal models of transformers from a folder or the hub, or of published sizes without weights (paper, Section 5).

`causal-lm` is the plugin for any of them; each published family (Figure 4(a)) has one of its own. `published_models.json`
next to this file is the families' table. A family has its type, its values that all sizes share, and what its prompts need:
a chat template where the tokenizer brings none (Vicuna's is the form that it was trained with), and values for the template
(Qwen3 is told not to think, since responses alone are learnt; Llama 3 gets a fixed date instead of the day's). A size has
its commit on the hub and the values of its configuration that decide how large it is.

Under `with torch.device("meta")` no weight, tokenizer or hub is needed: that is how `affect-lightning summary` counts.
`model_files.py` reads weights, `transformers_model.py` does the work; `smollm2.py` is the one out of a pip
package.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, Literal

from affect_lightning.errors import ConfigurationError
from affect_lightning.weights import builds_without_weights, waits_for_weights
from affect_lightning_plugins.language_models.adapters import AdapterOptions
from affect_lightning_plugins.language_models.model_files import (
    apply_liger_kernels,
    check_liger,
    empty_causal_model,
    four_bit_options,
    load_causal_model,
    load_tokenizer,
    waiting_causal_model,
)
from affect_lightning_plugins.language_models.transformers_model import AdaptedCausalLM, default_dtype
from affect_lightning_plugins.language_models.vllm_engine import VllmEngine, VllmSettings, check_vllm
from affect_lightning_plugins.pretrained_models import refuse_revision_of_folder


@dataclass(frozen=True)
class ModelOrigin:
    """Where a model comes from, and how it is spoken to.

    Attributes:
        model: Folder or hub name.
        revision: On the hub: commit, tag or branch.
        config: Published values of its configuration, from which it is built where no weights are wanted.
        model_type: What its `config.json` must call it; None takes any.
        chat_template: Jinja text for a tokenizer that brings none.
        template_options: Values for the chat template.
    """

    model: str
    revision: str | None = None
    config: Mapping[str, Any] | None = None
    model_type: str | None = None
    chat_template: str | None = None
    template_options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_folder(self) -> bool:
        """Whether the model is read from a folder; else it is a hub name."""
        return Path(self.model).expanduser().is_dir()

    @property
    def place(self) -> str:
        """Folder with `~` resolved, or hub name."""
        return str(Path(self.model).expanduser()) if self.is_folder else self.model


class HubCausalLM(AdaptedCausalLM):
    """A causal model from a folder or the hub, frozen, with an adapter. Plugins derive from it and say which one."""

    loads_four_bits = True
    receives_weights = True

    def __init__(
        self,
        origin: ModelOrigin,
        *,
        dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto",
        system_prompt: str | None = None,
        chat_template: str | None = None,
        attn_implementation: str = "sdpa",
        generation_backend: Literal["transformers", "vllm"] = "transformers",
        vllm_options: dict[str, Any] | None = None,
        liger_kernels: bool = False,
        merge_adapter: bool = True,
        cuda_graphs: bool = True,
        **lora: Any,
    ) -> None:
        """Load the model, or build it without weights, and attach the adapter.

        Args:
            origin: Which model.
            dtype: Number type of the frozen base; `auto` is bfloat16 on a GPU that has it, else float32 (our choice).
            system_prompt: Text of the system turn; None leaves it to the chat template.
            chat_template: Jinja text that replaces the tokenizer's chat template; None keeps that.
            attn_implementation: Attention kernel of transformers; `sdpa` comes with torch (our choice).
            generation_backend: What writes the responses: the model itself, or vLLM from the same prompt embeddings.
            vllm_options: Further arguments of `vllm.LLM`, such as max_model_len; only with that backend.
            liger_kernels: Use Liger's kernels for RMSNorm, SwiGLU and RoPE; off, because they are not measured (our choice).
            merge_adapter: Add the adapter to the weights while responses are made, where peft can and memory is left for a copy
                of the adapted weights; on, because it saves several kernels for each layer and token (our choice).
            cuda_graphs: Replay each decoding step as one CUDA graph, on a GPU and where a graph gives the logits of the step
                without it; on, because a GPU otherwise waits for Python (our choice).
            lora: See `AdapterOptions`.

        Raises:
            ConfigurationError: The model cannot be read or filled completely, an option is out of range, or a package or
                device that an option needs is missing.
        """
        options: dict[str, Any] = {
            "dtype": default_dtype() if dtype == "auto" else dtype,
            "attn_implementation": attn_implementation,
        }
        adapter = AdapterOptions(**lora)
        engine = _engine(origin, options["dtype"], adapter, generation_backend, vllm_options)
        tokenizer = None
        if builds_without_weights() and not waits_for_weights():
            model = empty_causal_model(origin.place, origin.revision, origin.config, **options)
        else:
            _check_pinned(origin)
            if liger_kernels:
                check_liger()
            kind = adapter.adapter if adapter.lora_rank else ""
            if waits_for_weights():
                model = waiting_causal_model(origin.place, origin.revision, kind, **options)
            else:
                options |= {"revision": origin.revision, **four_bit_options(kind, options["dtype"])}
                model = load_causal_model(origin.place, **options)
            tokenizer = load_tokenizer(origin.place, revision=origin.revision)
            chat_template = chat_template or (None if tokenizer.chat_template else origin.chat_template)
        _check_family(origin, model)
        if liger_kernels and tokenizer is not None:
            apply_liger_kernels(model)
        super().__init__(
            model,
            tokenizer,
            adapter,
            system_prompt=system_prompt,
            chat_template=chat_template,
            template_options=origin.template_options,
            merge_adapter=merge_adapter,
            cuda_graphs=cuda_graphs,
        )
        self.engine = engine


class CausalLM(HubCausalLM):
    """Any Hugging Face causal language model by folder or hub name, frozen, with an adapter."""

    def __init__(self, *, model: str, revision: str | None = None, **options: Any) -> None:
        """Load the model and attach the adapter.

        Args:
            model: Folder or hub name.
            revision: Commit on the hub; a hub name needs one, so that a result can be reproduced.
            options: See `HubCausalLM`.

        Raises:
            ConfigurationError: The model cannot be read or filled completely, or an option is out of range.
        """
        refuse_revision_of_folder(model, revision)
        super().__init__(ModelOrigin(model, revision), **options)


def _engine(
    origin: ModelOrigin, dtype: str, lora: AdapterOptions, backend: str, options: dict[str, Any] | None
) -> VllmEngine | None:
    """What generates instead of the model itself; checked here, so that no training ends in a missing package."""
    if backend != "vllm":
        if options:
            raise ConfigurationError(
                f"vllm_options is set ({', '.join(options)}) and generation_backend is {backend}. Set generation_backend "
                f"to vllm, or remove vllm_options."
            )
        return None
    if builds_without_weights() and not waits_for_weights():
        return None  # to be counted, nothing needs to be installed
    check_vllm()
    settings = VllmSettings(origin.place, None if origin.is_folder else origin.revision, dtype, lora, options or {})
    return VllmEngine(settings)


def _check_pinned(origin: ModelOrigin) -> None:
    """Refuse what may be another model tomorrow."""
    if not origin.is_folder and not origin.revision:
        raise ConfigurationError(
            f"The language model {origin.model!r} is not a folder, so it is a hub name and needs a pinned revision. Otherwise "
            f"its weights could change under a result. Give `revision: COMMIT` (the model's page shows "
            f"it under 'Files and versions', 'History'; `main` follows the newest), or a local folder as `model`."
        )


def _check_family(origin: ModelOrigin, model: Any) -> None:
    if origin.model_type is not None and model.config.model_type != origin.model_type:
        raise ConfigurationError(
            f"{origin.model} holds a model of type {model.config.model_type!r}; this plugin needs {origin.model_type!r}. "
            f"Choose the plugin of its family, or `causal-lm`, which takes any."
        )


@cache
def published_families() -> dict[str, Any]:
    """The table."""
    text = resources.files(__package__).joinpath("published_models.json").read_text(encoding="utf-8")
    return json.loads(text)


def published_origin(family: str, size: str, model: str | None = None, revision: str | None = None) -> ModelOrigin:
    """Where a published model comes from.

    Args:
        family: Key of the table, such as `qwen2.5`.
        size: One of the family's sizes.
        model: Folder or hub name that replaces the published one; None takes that.
        revision: Commit on the hub; None takes the one that is pinned in the table.

    Raises:
        ConfigurationError: The family has no such size, or a revision is asked of a folder.
    """
    if model is not None:
        refuse_revision_of_folder(model, revision)
    table = published_families()[family]
    if size not in table["sizes"]:
        raise ConfigurationError(f"{family} has the sizes {', '.join(table['sizes'])}; got {size!r}.")
    entry = table["sizes"][size]
    return ModelOrigin(
        model=entry["hub"] if model is None else model,
        revision=entry["revision"] if revision is None and model is None else revision,
        config={"model_type": table["model_type"], **table["shared"], **entry["config"]} if model is None else None,
        model_type=table["model_type"],
        chat_template=table.get("chat_template"),
        template_options=table.get("template_options", {}),
    )


class PublishedModel(HubCausalLM):
    """A model of a published family. Plugins derive from it and say which family, and which sizes it has."""

    def __init__(
        self, family: str, size: str, *, model: str | None = None, revision: str | None = None, **options: Any
    ) -> None:
        """Load the model and attach the adapter.

        Args:
            family: Key of the table.
            size: One of the family's sizes.
            model: Folder that holds it, or another hub name; None takes the published one from the hub.
            revision: Commit on the hub; None takes the one that this package pins for the size.
            options: See `HubCausalLM`.

        Raises:
            ConfigurationError: The model cannot be read or filled completely, or an option is out of range.
        """
        super().__init__(published_origin(family, size, model, revision), **options)


class Qwen25(PublishedModel):
    """Qwen2.5-Instruct from 0.5B to 72B (the paper's language model is 7B), frozen, with an adapter.

    Args:
        size: Parameters; 7B is the paper's.
        options: See `PublishedModel`.
    """

    def __init__(self, *, size: Literal["0.5B", "1.5B", "3B", "7B", "14B", "32B", "72B"] = "7B", **options: Any):
        super().__init__("qwen2.5", size, **options)


class Qwen3(PublishedModel):
    """Qwen3 from 0.6B to 32B without its thinking part, frozen, with an adapter.

    Args:
        size: Parameters; 8B is our choice, nearest to the paper's 7B.
        options: See `PublishedModel`.
    """

    def __init__(self, *, size: Literal["0.6B", "1.7B", "4B", "8B", "14B", "32B"] = "8B", **options: Any):
        super().__init__("qwen3", size, **options)


class Llama3(PublishedModel):
    """Llama 3 Instruct: 1B and 3B (3.2), 8B (3.1), 70B (3.3), frozen, with an adapter.

    Args:
        size: Parameters; 8B is our choice, nearest to the paper's 7B.
        options: See `PublishedModel`.
    """

    def __init__(self, *, size: Literal["1B", "3B", "8B", "70B"] = "8B", **options: Any):
        super().__init__("llama3", size, **options)


class Vicuna(PublishedModel):
    """Vicuna v1.5 of 7B or 13B, frozen, with an adapter; its hub folder needs sentencepiece to be read.

    Args:
        size: Parameters; 7B is the size of the paper's own model.
        options: See `PublishedModel`.
    """

    def __init__(self, *, size: Literal["7B", "13B"] = "7B", **options: Any):
        super().__init__("vicuna", size, **options)


class SmolLM2FromHub(PublishedModel):
    """SmolLM2-Instruct of 135M, 360M or 1.7B from a folder or the hub, frozen, with an adapter.

    Args:
        size: Parameters; 1.7B is our choice. `smollm2-135m` is the one that needs no hub.
        options: See `PublishedModel`.
    """

    def __init__(self, *, size: Literal["135M", "360M", "1.7B"] = "1.7B", **options: Any):
        super().__init__("smollm2", size, **options)
