"""Responses by vLLM from our prompt embeddings: paged cache, continuous batching, LoRA kernels (not in the paper).

If `generation_backend: vllm` is set, `hub_models.py` builds a `VllmEngine`, and `transformers_model.py` decodes with it
instead of `response_decoding.py`. vLLM is imported at the first response and never otherwise. Written against the
sources of vLLM 0.33.
Legend: B clips, L prompt tokens, E embedding width.
"""

from __future__ import annotations

import gc
import math
import os
import shutil
import tempfile
import weakref
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from affect_lightning.errors import ConfigurationError
from affect_lightning_plugins.language_models.adapters import AdapterOptions, save_adapter
from affect_lightning_plugins.language_models.model_files import cuda_is_there
from affect_lightning_plugins.language_models.response_decoding import DecodingOptions, rooms_for_responses

# The version whose sources were read; earlier ones may know other names.
OLDEST_VLLM = (0, 33)
ADAPTERS = ("lora", "rslora")  # what its LoRA kernels compute; DoRA it refuses, prompt tuning it does not know
LORA_TYPES: tuple[str, ...] = ("bfloat16", "float16")  # number types of its LoRA kernels
_RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)  # values of its max_lora_rank
# Ours to set: they follow from the plugin's other options, or would run code out of a model's folder.
_RESERVED = {
    *("model", "revision", "tokenizer", "tokenizer_revision", "hf_config_path", "dtype", "trust_remote_code"),
    *("enable_prompt_embeds", "enable_lora", "max_lora_rank", "lora_dtype", "lora_target_modules", "runner", "convert"),
}
_SHARE_OF_FREE_MEMORY = 0.9  # of what is free besides our own copy of the weights; our choice


@dataclass(frozen=True)
class VllmSettings:
    """What the engine is built from.

    Attributes:
        model: Folder or hub name of the base.
        revision: On the hub.
        dtype: Number type of the base.
        lora: The adapter.
        options: Further arguments of `vllm.LLM`.
    """

    model: str
    revision: str | None
    dtype: str
    lora: AdapterOptions
    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        surplus = sorted(_RESERVED & self.options.keys())
        if surplus:
            raise ConfigurationError(
                f"vllm_options sets {', '.join(surplus)}, but other options of the language model set them. Remove "
                f"them; vllm_options is for other arguments of vllm.LLM, such as max_model_len, tensor_parallel_size or "
                f"gpu_memory_utilization."
            )
        wrong = sorted(name for name, value in self.options.items() if not _is_plain(value))
        if wrong:
            raise ConfigurationError(
                f"vllm_options takes plain values (text, numbers, true, false, null, lists and mappings of them); got "
                f"others for {', '.join(wrong)}."
            )
        if not self.lora.lora_rank:
            return
        if not isinstance(self.lora.adapter, str) or self.lora.adapter not in ADAPTERS:
            raise ConfigurationError(
                f"vLLM runs the adapters {' and '.join(ADAPTERS)} here; got {self.lora.adapter!r}. Choose one of them, or "
                f"generation_backend: transformers, which generates with every adapter."
            )
        if self.lora.lora_rank > _RANKS[-1]:
            raise ConfigurationError(f"vLLM runs LoRA up to rank {_RANKS[-1]}; lora_rank is {self.lora.lora_rank}.")
        if self.dtype not in LORA_TYPES:
            raise ConfigurationError(
                f"vLLM computes LoRA in {' or '.join(LORA_TYPES)}, and the language model is in {self.dtype}. Set its "
                f"dtype to bfloat16, or generation_backend to transformers."
            )


def check_vllm() -> None:
    """Whether vLLM can run here, asked before anything is loaded or trained; it is not imported.

    Raises:
        ConfigurationError: It is not installed, too old, or there is no CUDA device.
    """
    try:
        installed = version("vllm")
    except PackageNotFoundError:
        raise ConfigurationError(
            "generation_backend: vllm needs the package vllm, which is not installed. Remove generation_backend "
            "(the default, transformers, needs nothing more), or install vllm: docs/language_models.md says how. "
            "vllm needs Linux, an NVIDIA GPU and its own versions of torch and transformers."
        ) from None
    if _leading_numbers(installed) < OLDEST_VLLM:
        raise ConfigurationError(
            f"generation_backend: vllm needs vLLM {'.'.join(map(str, OLDEST_VLLM))} or newer; {installed} is installed. "
            f"Run `pip install --upgrade vllm`, or set generation_backend to transformers."
        )
    if not cuda_is_there():
        raise ConfigurationError(
            "generation_backend: vllm needs a CUDA device, and torch sees none. Check the driver and "
            "CUDA_VISIBLE_DEVICES, or set generation_backend to transformers, the default, which runs everywhere."
        )


class VllmEngine:
    """One vLLM engine with the current adapter. It is built at the first response and freed at exit."""

    def __init__(self, settings: VllmSettings) -> None:
        """Only remember; see `decode`.

        Args:
            settings: See `VllmSettings`.
        """
        self.settings = settings
        self._held = _Held()
        # Runs when this object goes and at exit, whichever comes first.
        self._finalizer = weakref.finalize(self, _Held.release, self._held)

    def decode(
        self,
        network: Any,
        inputs_embeds: Tensor,
        attention_mask: Tensor,
        end_ids: Collection[int],
        options: DecodingOptions,
    ) -> list[list[int]]:
        """Decode a batch.

        Args:
            network: The peft model, or the transformers model at rank 0.
            inputs_embeds: [B, L, E]; where the padding stands does not matter.
            attention_mask: [B, L], 0 for padding.
            end_ids: Tokens after which a response ends.
            options: See `DecodingOptions`.

        Returns:
            Token ids of each response, without the end token.

        Raises:
            ConfigurationError: The weights are sharded or several processes run, vLLM refuses its options or a prompt,
                or a response was cut because `max_model_len` is too small.
            DataError: A prompt leaves no room in the model's context; responses end with it, as in our own loop.
        """
        _check_one_whole_model(network)
        rooms = rooms_for_responses(network, attention_mask.sum(dim=1).tolist(), options.max_new_tokens)
        engine = self._engine()
        import vllm
        from vllm.exceptions import VLLMError

        parameters = [
            vllm.SamplingParams(
                temperature=options.temperature,
                top_p=options.top_p,
                seed=seed,
                max_tokens=room,
                stop_token_ids=sorted(end_ids),
                ignore_eos=True,  # the end tokens are ours and no others
                detokenize=False,  # our tokenizer does it
                skip_special_tokens=True,
            )
            for room, seed in zip(rooms, options.seeds(len(rooms)), strict=True)
        ]
        rows = inputs_embeds.detach().to(getattr(torch, self.settings.dtype)).cpu()
        prompts = [{"prompt_embeds": row[real]} for row, real in zip(rows, attention_mask.bool().cpu(), strict=True)]
        try:
            outputs = engine.generate(prompts, parameters, lora_request=self._adapter(network), use_tqdm=False)
        except (ValueError, VLLMError) as error:
            raise ConfigurationError(
                f"vLLM rejected a prompt: {_reason(error)}. Set vllm_options.max_model_len to the length of the longest "
                f"prompt plus max_new_tokens."
            ) from error
        return [
            _response(output.outputs[0].token_ids, end_ids, room) for output, room in zip(outputs, rooms, strict=True)
        ]

    def close(self) -> None:
        """Stop the engine and delete the adapter's folder; the next response builds both again."""
        self._held.release()

    def _engine(self) -> Any:
        if self._held.engine is None:
            self._held.engine = _build(self.settings)
        return self._held.engine

    def _adapter(self, network: Any) -> Any:
        """The request for the adapter as it is now; None without one. Changed weights are a new adapter to vLLM."""
        if not self.settings.lora.lora_rank:
            return None
        held, now = self._held, _weights_now(network)
        if held.request is None or now != held.weights:
            from vllm.lora.request import LoRARequest

            held.number += 1
            name = f"adapter-{held.number}"
            folder = held.new_folder(name)
            save_adapter(network, folder)
            held.request, held.weights = LoRARequest(name, held.number, folder), now
        return held.request


class _Held:
    """What must be freed: the engine with its processes, and the folder of the adapter that it reads."""

    def __init__(self) -> None:
        self.engine: Any = None
        self.request: Any = None  # of the adapter in the folder
        self.weights: list[int] = []  # what `_weights_now` gave for it
        self.number = 0  # of adapters so far: vLLM knows an adapter by name and number
        self._folder: Path | None = None

    def new_folder(self, name: str) -> str:
        """An empty folder instead of the last one."""
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="affect-lightning-vllm-"))
        for old in self._folder.iterdir():
            shutil.rmtree(old, ignore_errors=True)
        (self._folder / name).mkdir()
        return str(self._folder / name)

    def release(self) -> None:
        """Free both."""
        engine, self.engine, self.request = self.engine, None, None
        if engine is not None:
            engine.llm_engine.engine_core.shutdown()
            del engine
            gc.collect()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None


def _build(settings: VllmSettings) -> Any:
    # Standard output is for tables and JSON; vLLM reads this when it is imported.
    os.environ.setdefault("VLLM_LOGGING_STREAM", "ext://sys.stderr")
    import vllm
    from vllm.exceptions import VLLMError

    arguments: dict[str, Any] = {
        "model": settings.model,
        "revision": settings.revision,
        "tokenizer_revision": settings.revision,
        "dtype": settings.dtype,
        "enable_prompt_embeds": True,
        "generation_config": "vllm",  # nothing of the model's generation_config.json slips into a score
        "gpu_memory_utilization": _free_share(),
    }
    if settings.lora.lora_rank:
        arguments |= {
            "enable_lora": True,
            "max_loras": 1,
            "max_lora_rank": next(rank for rank in _RANKS if rank >= settings.lora.lora_rank),
            # Without this vLLM wraps Llama's embedding too, and one of its two model runners then reads past an array
            # where prompts are embeddings (vllm-project/vllm issue 51122; still so in the sources of 0.33.0).
            "lora_target_modules": settings.lora.target_modules,
        }
    try:
        return vllm.LLM(**(arguments | dict(settings.options)))
    except (TypeError, ValueError, RuntimeError, VLLMError) as error:
        raise ConfigurationError(
            f"vLLM cannot be started on {settings.model} with vllm_options {dict(settings.options)}: {_reason(error)}. "
            f"Fix vllm_options, or set generation_backend to transformers. If memory is too small, lower max_model_len or "
            f"gpu_memory_utilization: our own copy of the weights needs memory too."
        ) from error


def _free_share() -> float:
    """Share of the device's memory that vLLM may take: most of what our own copy of the weights leaves."""
    free, whole = torch.cuda.mem_get_info() if torch.cuda.is_available() else (1, 1)
    return math.floor(100 * _SHARE_OF_FREE_MEMORY * free / whole) / 100


def _weights_now(network: Any) -> list[int]:
    """A hash of the values of each weight of the adapter."""
    weights = [weight.detach() for name, weight in network.named_parameters() if "lora_" in name]
    return torch.stack([torch.hash_tensor(weight).view(torch.int64) for weight in weights]).tolist()


def _check_one_whole_model(network: Any) -> None:
    from torch import distributed
    from torch.distributed.tensor import DTensor

    sharded = any(isinstance(parameter, DTensor) for parameter in network.parameters())
    processes = distributed.get_world_size() if distributed.is_available() and distributed.is_initialized() else 1
    if sharded or processes > 1:
        raise ConfigurationError(
            f"generation_backend: vllm needs one process with whole weights; got {processes} processes"
            f"{' and sharded weights (fsdp)' if sharded else ''}. Generate with trainer.devices 1 and trainer.strategy "
            f"auto (vllm_options.tensor_parallel_size spreads vLLM over GPUs), or with generation_backend transformers."
        )


def _response(ids: Collection[int], end_ids: Collection[int], longest: int) -> list[int]:
    """The ids before the end token."""
    tokens = list(ids)
    kept = next((place for place, token in enumerate(tokens) if token in end_ids), None)
    if kept is not None:
        return tokens[:kept]
    if len(tokens) < longest:
        raise ConfigurationError(
            f"vLLM stopped a response after {len(tokens)} of {longest} tokens without an end token, because prompt "
            "and response exceed max_model_len. Set vllm_options.max_model_len to the length of both together."
        )
    return tokens


def _is_plain(value: Any) -> bool:
    if isinstance(value, Mapping):
        return all(isinstance(name, str) and _is_plain(inner) for name, inner in value.items())
    if isinstance(value, list | tuple):
        return all(map(_is_plain, value))
    return value is None or isinstance(value, str | int | float | bool)


def _leading_numbers(text: str) -> tuple[int, ...]:
    """(0, 33) of "0.33.0rc1+cu130"."""
    parts = text.partition("+")[0].split(".")[:2]
    return tuple(int(part) if part.isdigit() else 0 for part in parts)


def _reason(error: Exception) -> str:
    return " ".join(str(error).split())[:300].rstrip(".")
