"""A causal model of transformers from a folder or the hub, or of published sizes without weights (paper, Section 5).

`CausalLM` is the plugin for any of them, `published_models.py` has those of the known families. `model_files.py` reads
weights, `transformers_model.py` does the work.

Under `with torch.device("meta")` no weight, tokenizer or hub is needed: that is how `affect-lightning summary` counts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from affect_lightning.errors import ConfigurationError
from affect_lightning.weights import builds_without_weights
from affect_lightning_plugins.language_models.adapters import SEVEN_PROJECTIONS, AdapterOptions
from affect_lightning_plugins.language_models.model_files import (
    apply_liger_kernels,
    check_liger,
    empty_causal_model,
    four_bit_options,
    load_causal_model,
    load_tokenizer,
)
from affect_lightning_plugins.language_models.transformers_model import AdaptedCausalLM, default_dtype
from affect_lightning_plugins.language_models.vllm_engine import VllmEngine, VllmSettings, check_vllm


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

    def __init__(
        self,
        origin: ModelOrigin,
        *,
        dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto",
        adapter: str | dict[str, Any] = "lora",
        lora_rank: int = 16,
        lora_alpha: float = 32,
        lora_dropout: float = 0.05,
        lora_target_modules: list[str] | None = None,
        system_prompt: str | None = None,
        chat_template: str | None = None,
        attn_implementation: str = "sdpa",
        generation_backend: Literal["transformers", "vllm"] = "transformers",
        vllm_options: dict[str, Any] | None = None,
        liger_kernels: bool = False,
    ) -> None:
        """Load the model, or build it without weights, and attach the adapter.

        Args:
            origin: Which model.
            dtype: Number type of the frozen base; `auto` is bfloat16 on a GPU that has it, else float32 (our choice).
            adapter: lora (the paper's), rslora, dora, qlora (base in four bits), or any method of peft by its
                configuration with peft_type: a mapping, or the path of a JSON or YAML file.
            lora_rank: 16 (paper, Table 8); 0 means no adapter.
            lora_alpha: 32 (authors' recipe).
            lora_dropout: 0.05 (authors' recipe).
            lora_target_modules: Names of the adapted linear layers; None means the seven projections (authors' recipe).
            system_prompt: Text of the system turn; None leaves it to the chat template.
            chat_template: Jinja text that replaces the tokenizer's chat template; None keeps that.
            attn_implementation: Attention kernel of transformers; `sdpa` comes with torch (our choice).
            generation_backend: What decodes responses: the model itself, or vLLM from the same prompt embeddings.
            vllm_options: Further arguments of `vllm.LLM`, such as max_model_len; only with that backend.
            liger_kernels: Use Liger's kernels for RMSNorm, SwiGLU and RoPE; off, since not measured (our choice).

        Raises:
            ConfigurationError: The model cannot be read or filled completely, an option is out of range, or a package or
                device that an option needs is missing.
        """
        options: dict[str, Any] = {
            "dtype": default_dtype() if dtype == "auto" else dtype,
            "attn_implementation": attn_implementation,
        }
        lora = AdapterOptions(
            lora_rank, lora_alpha, lora_dropout, tuple(lora_target_modules or SEVEN_PROJECTIONS), adapter
        )
        engine = _engine(origin, options["dtype"], lora, generation_backend, vllm_options)
        tokenizer = None
        if builds_without_weights():
            model = empty_causal_model(origin.place, origin.revision, origin.config, **options)
        else:
            _check_pinned(origin)
            if liger_kernels:
                check_liger()
            options |= {"revision": origin.revision, **four_bit_options(adapter if lora_rank else "", options["dtype"])}
            model = load_causal_model(origin.place, **options)
            tokenizer = load_tokenizer(origin.place, revision=origin.revision)
            chat_template = chat_template or (None if tokenizer.chat_template else origin.chat_template)
        _check_family(origin, model)
        if liger_kernels and tokenizer is not None:
            apply_liger_kernels(model)
        super().__init__(
            model,
            tokenizer,
            lora,
            system_prompt=system_prompt,
            chat_template=chat_template,
            template_options=origin.template_options,
        )
        self.engine = engine


class CausalLM(HubCausalLM):
    """Any Hugging Face causal language model by folder or hub name, frozen, with an adapter."""

    def __init__(self, *, model: str, revision: str | None = None, **options: Any) -> None:
        """Load the model and attach the adapter.

        Args:
            model: Folder or hub name.
            revision: Commit on the hub; a hub name needs one, so that a result can be had again.
            options: See `HubCausalLM`.

        Raises:
            ConfigurationError: The model cannot be read or filled completely, or an option is out of range.
        """
        super().__init__(ModelOrigin(model, revision), **options)


def _engine(
    origin: ModelOrigin, dtype: str, lora: AdapterOptions, backend: str, options: dict[str, Any] | None
) -> VllmEngine | None:
    """What generates instead of the model itself; checked here, so that no training ends in a missing package."""
    if backend != "vllm":
        if options:
            raise ConfigurationError(
                f"vllm_options is set ({', '.join(options)}) and generation_backend is {backend}. Set generation_backend "
                f"to vllm, or leave vllm_options out."
            )
        return None
    if builds_without_weights():
        return None  # to be counted, nothing needs to be installed
    check_vllm()
    settings = VllmSettings(origin.place, None if origin.is_folder else origin.revision, dtype, lora, options or {})
    return VllmEngine(settings)


def _check_pinned(origin: ModelOrigin) -> None:
    """Refuse what may be another model tomorrow."""
    if not origin.is_folder and not origin.revision:
        raise ConfigurationError(
            f"The language model {origin.model!r} is no folder, so it is taken from the hub, and there it needs a pinned "
            f"revision, so that its weights cannot change under a result: give `revision: COMMIT` (the model's page shows "
            f"it under 'Files and versions', 'History'; `main` follows the newest), or a local folder as `model`."
        )


def _check_family(origin: ModelOrigin, model: Any) -> None:
    if origin.model_type is not None and model.config.model_type != origin.model_type:
        raise ConfigurationError(
            f"{origin.model} holds a model of type {model.config.model_type!r}; this plugin takes {origin.model_type!r}. "
            f"Choose the plugin of its family, or `causal-lm`, which takes any."
        )
