"""A stand-in for vLLM 0.33 with its names and rules, computed by transformers and peft: what reaches it is what counts.

It takes the arguments that vLLM's sources know and no others, reads the adapter from its folder and, like vLLM, reads
none twice whose number it has seen.
"""

from __future__ import annotations

import sys
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, ClassVar

import pytest
import torch

LORA_RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)
FUSED = {"qkv_proj": ("q_proj", "k_proj", "v_proj"), "gate_up_proj": ("gate_proj", "up_proj")}


class VLLMError(Exception):
    """The root of its errors; it is no ValueError."""


class VLLMValidationError(VLLMError):
    """A prompt or argument that it refuses."""


@dataclass
class SamplingParams:
    """The fields that are used, with vLLM's defaults."""

    temperature: float = 1.0
    top_p: float = 1.0
    seed: int | None = None
    max_tokens: int | None = 16
    stop_token_ids: list[int] = field(default_factory=list)
    ignore_eos: bool = False
    detokenize: bool = True
    skip_special_tokens: bool = True


@dataclass
class LoRARequest:
    lora_name: str
    lora_int_id: int
    lora_path: str

    def __post_init__(self) -> None:
        if self.lora_int_id < 1:
            raise ValueError(f"id must be > 0, got {self.lora_int_id}")


class LLM:
    """One base, adapters by number."""

    built: ClassVar[list[LLM]] = []

    def __init__(
        self,
        model: str,
        *,
        revision: str | None = None,
        tokenizer_revision: str | None = None,
        dtype: str = "auto",
        enable_prompt_embeds: bool = False,
        enable_lora: bool = False,
        max_loras: int = 1,
        max_lora_rank: int = 16,
        lora_target_modules: list[str] | None = None,
        generation_config: str = "auto",
        gpu_memory_utilization: float = 0.92,
        tensor_parallel_size: int = 1,
        max_model_len: int = 512,
        enforce_eager: bool = False,
    ) -> None:
        if max_lora_rank not in LORA_RANKS:
            raise ValueError(f"max_lora_rank must be one of {LORA_RANKS}, got {max_lora_rank}")
        if not 0 < gpu_memory_utilization <= 1:
            raise RuntimeError("Engine core initialization failed.")
        self.arguments = {name: value for name, value in locals().items() if name != "self"}
        self.base_folder, self.dtype, self.lora = model, getattr(torch, dtype), enable_lora
        self.takes_embeddings, self.longest = enable_prompt_embeds, max_model_len
        self.rank, self.targets = max_lora_rank, lora_target_modules
        self.models: dict[int, Any] = {}
        self.calls: list[SimpleNamespace] = []
        self.shut_down = 0
        self.llm_engine = SimpleNamespace(engine_core=SimpleNamespace(shutdown=self._shut_down))
        LLM.built.append(self)

    def _shut_down(self) -> None:
        self.shut_down += 1

    def generate(
        self,
        prompts: list[dict[str, torch.Tensor]],
        sampling_params: list[SamplingParams],
        *,
        use_tqdm: bool = True,
        lora_request: LoRARequest | None = None,
    ) -> list[Any]:
        assert self.takes_embeddings
        assert self.shut_down == 0
        model = self._model(lora_request)
        self.calls.append(SimpleNamespace(prompts=prompts, parameters=sampling_params, request=lora_request))
        return [
            SimpleNamespace(outputs=[SimpleNamespace(token_ids=self._decode(model, prompt, parameters), text="")])
            for prompt, parameters in zip(prompts, sampling_params, strict=True)
        ]

    def _model(self, request: LoRARequest | None) -> Any:
        from peft import PeftModel
        from transformers import AutoModelForCausalLM

        number = 0 if request is None else request.lora_int_id
        if number not in self.models:
            base: Any = AutoModelForCausalLM.from_pretrained(self.base_folder, dtype=self.dtype)
            if request is not None:
                assert self.lora
                with warnings.catch_warnings():  # peft 0.21 asks transformers 5 by an attribute's old name
                    warnings.filterwarnings("ignore", message=".*is_gradient_checkpointing.*", category=FutureWarning)
                    base = PeftModel.from_pretrained(base, request.lora_path)
                config = base.active_peft_config
                assert config.r <= self.rank
                assert self.targets is None or set(config.target_modules) <= set(self.targets)
            self.models[number] = base.eval()
        return self.models[number]

    def _decode(self, model: Any, prompt: dict[str, torch.Tensor], parameters: SamplingParams) -> list[int]:
        embeddings = prompt["prompt_embeds"]
        assert embeddings.ndim == 2
        assert (embeddings.dtype, embeddings.device.type) == (self.dtype, "cpu")
        room = self.longest - len(embeddings)
        if room < 1:
            raise VLLMValidationError(f"The decoder prompt (length {len(embeddings)}) is longer than {self.longest}.")
        stops = sorted(parameters.stop_token_ids) if parameters.ignore_eos else None
        with torch.no_grad():
            ids = model.generate(
                inputs_embeds=embeddings.unsqueeze(0),
                attention_mask=torch.ones(1, len(embeddings), dtype=torch.long),
                max_new_tokens=min(parameters.max_tokens or room, room),
                do_sample=False,
                eos_token_id=stops,
            )
        return ids[0].tolist()  # with the token that ended it, as vLLM gives them


def install(monkeypatch: pytest.MonkeyPatch, folder: Path, version: str = "0.33.0") -> type[LLM]:
    """Make `import vllm` this module, and a package of that version of it installed.

    Args:
        monkeypatch: Takes it back.
        folder: An empty one, for the package's metadata.
        version: That it claims.
    """
    metadata = folder / f"vllm-{version}.dist-info" / "METADATA"
    metadata.parent.mkdir(parents=True)
    metadata.write_text(f"Metadata-Version: 2.1\nName: vllm\nVersion: {version}\n", encoding="utf-8")
    monkeypatch.syspath_prepend(str(folder))
    names = ("vllm", "vllm.exceptions", "vllm.lora", "vllm.lora.request")
    package, exceptions, _, request = modules = tuple(map(ModuleType, names))
    exceptions.VLLMError = VLLMError  # type: ignore[attr-defined]
    package.LLM, package.SamplingParams, request.LoRARequest = LLM, SamplingParams, LoRARequest  # type: ignore[attr-defined]
    for module in modules:
        monkeypatch.setitem(sys.modules, module.__name__, module)
    LLM.built = []
    return LLM
