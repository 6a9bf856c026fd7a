"""Plugin `hf-chat`: any multimodal chat model that transformers has a class for (paper, Table 9 and Section 2.1).

Video-LLaVA, LLaVA-NeXT-Video, Qwen2-Audio, Qwen2.5-VL, Qwen2.5-Omni, Qwen3-Omni and their like: a folder with model and
processor, or a hub name at a pinned commit. The processor says what the model takes, and its chat template puts clip and
question into words. Code from either is never run. `hf_chat_classes.py` finds the class and the prompt's parts.
Legend: B clips, T frames, L text tokens.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any, Literal

import torch

from affect_lightning.contracts import ClipBatch, CueDescriber
from affect_lightning.contracts.describers import Modality
from affect_lightning.errors import ConfigurationError
from affect_lightning_plugins.asked_models.local_model import DType, chosen_device, model_revision
from affect_lightning_plugins.cue_describers.clip_parts import ClipParts, asked_text, parts_of
from affect_lightning_plugins.cue_describers.hf_chat_classes import (
    chat_class,
    heard_and_seen,
    processor_inputs,
)
from affect_lightning_plugins.language_models.transformers_model import default_dtype
from affect_lightning_plugins.pretrained_models import ModelSource, names_without
from affect_lightning_plugins.transformers_versions import loading_differences

# Whatever the model's own generation_config.json says: the same clip gets the same answer.
_GREEDY = {"do_sample": False, "num_beams": 1, "temperature": None, "top_p": None, "top_k": None}


class HuggingFaceChatDescriber(CueDescriber):
    """Any multimodal chat model of transformers by folder or pinned hub name, asked in batches, decoded greedily."""

    def __init__(
        self,
        *,
        model: str,
        revision: str | None = None,
        modality: Literal["auto", "audio", "video", "both"] = "auto",
        frames: int = 8,
        max_new_tokens: int = 256,
        system: str | None = None,
        chat_template: str | None = None,
        dtype: DType = "auto",
        device: str = "auto",
        attn_implementation: str = "sdpa",
    ) -> None:
        """Read the processor; the weights are loaded at the first clip.

        Args:
            model: Folder with config.json, weights and processor, or hub name.
            revision: Commit on the hub; needed for a hub name.
            modality: What is shown: audio, video, both; auto is all that the processor takes (our choice).
            frames: Frames of a clip (8, as the paper shows its own model, Appendix B).
            max_new_tokens: Longest answer in tokens; our choice: a description has 100 to 200.
            system: Text of a system turn; None for none.
            chat_template: Jinja text that replaces the processor's chat template; None keeps that.
            dtype: Number type of the weights; `auto` is bfloat16 on a GPU that has it, else float32 (our choice).
            device: Such as `cuda:1` or `cpu`; `auto` is the first GPU if there is one (our choice).
            attn_implementation: Attention kernel of transformers; `sdpa` comes with torch (our choice).

        Raises:
            ConfigurationError: The processor cannot be read, has no chat template, or does not take what is to be shown;
                or an option is out of range.
        """
        if frames < 1 or max_new_tokens < 1:
            raise ConfigurationError(f"frames and max_new_tokens must be 1 or more; got {frames} and {max_new_tokens}.")
        self._source = ModelSource(model, revision)
        self._frames, self._max_new_tokens, self._system = frames, max_new_tokens, system
        self._device = chosen_device(device)
        self._loading = {
            "dtype": default_dtype() if dtype == "auto" else dtype,
            "attn_implementation": attn_implementation,
        }
        self._processor = self._read_processor(chat_template)
        self.modality: Modality = self._shown(modality)

    def _read_processor(self, chat_template: str | None) -> Any:
        from transformers import AutoProcessor

        processor = self._source.read(AutoProcessor.from_pretrained, trust_remote_code=False)
        tokenizer = getattr(processor, "tokenizer", None)
        if tokenizer is None:
            raise ConfigurationError(
                f"{self._source.model!r} has no processor with a tokenizer; found {type(processor).__name__}. Choose a "
                f"multimodal chat model."
            )
        if chat_template is not None:
            processor.chat_template = chat_template
        elif not getattr(processor, "chat_template", None):
            processor.chat_template = tokenizer.chat_template
        if not processor.chat_template:
            raise ConfigurationError(f"{self._source.model!r} has no chat template. Give one as chat_template.")
        tokenizer.padding_side = "left"
        if tokenizer.pad_token is None:
            tokenizer.pad_token = tokenizer.eos_token
        return processor

    def _shown(self, wanted: str) -> Modality:
        hears, sees = heard_and_seen(self._processor)
        able: Modality = "both" if hears and sees else "audio" if hears else "video"
        if wanted == "auto":
            return able
        if able not in ("both", wanted):
            raise ConfigurationError(
                f"{self._source.model!r} takes {able}; modality is {wanted!r}. Set modality: {able}, or choose another model."
            )
        return wanted  # type: ignore[return-value]  # one of the three by now

    @property
    def reading(self) -> Mapping[str, Any]:
        """The number of frames, and the sample rate that the processor hears at."""
        found: dict[str, Any] = {"frames": self._frames} if self.modality != "audio" else {}
        if self.modality != "video":
            found["sample_rate"] = int(self._processor.feature_extractor.sampling_rate)
        return found

    @cached_property
    def _model(self) -> Any:
        from transformers import AutoConfig

        config = self._source.read(AutoConfig.from_pretrained, trust_remote_code=False)
        chosen = chat_class(config, self._source.model)
        loading = {**self._loading, "dtype": getattr(torch, self._loading["dtype"])}
        model, report = self._source.read(
            chosen.model_class.from_pretrained,
            config=chosen.config,
            trust_remote_code=False,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # so that all of them are named below
            **loading,
        )
        found = loading_differences(report)
        kept = replace(found, surplus=names_without(found.surplus, chosen.surplus))
        self._source.refuse(kept, type(model).__name__)
        return model.eval().requires_grad_(False).to(self._device)

    def describe(self, batch: ClipBatch) -> list[str]:
        """The model's answers; an empty text for a clip that has nothing of what the model takes."""
        texts = {index: text for found in self.answers(batch) for index, text in found.items()}
        return [texts[index] for index in range(len(batch))]

    def answers(self, batch: ClipBatch) -> Iterator[Mapping[int, str]]:
        """See the contract; clips of like form are decoded together, because models stack frames."""
        groups: dict[tuple[int, bool], list[int]] = {}
        clips = parts_of(batch, self.modality)
        for index, clip in enumerate(clips):
            groups.setdefault(clip.form, []).append(index)
        for (frames, sounds), members in groups.items():
            if not frames and not sounds:
                yield dict.fromkeys(members, "")
            else:
                yield dict(zip(members, self._ask([clips[index] for index in members]), strict=True))

    @torch.inference_mode()
    def _ask(self, clips: Sequence[ClipParts]) -> list[str]:
        """Answers of clips with the same number of frames, all or none with sound."""
        prompts = [self._prompt(clip) for clip in clips]
        inputs = processor_inputs(self._processor, prompts, clips)
        model = self._model
        prepared = {
            name: value.to(self._device, model.dtype if value.is_floating_point() else None)
            for name, value in inputs.items()
            if isinstance(value, torch.Tensor)
        }
        length = prepared["input_ids"].shape[1]
        found = model.generate(**prepared, max_new_tokens=self._max_new_tokens, **_GREEDY)
        answers = self._processor.tokenizer.batch_decode(found[:, length:], skip_special_tokens=True)
        return [answer.strip() for answer in answers]

    def _prompt(self, clip: ClipParts) -> str:
        """The clip and its question in the model's own chat format."""
        content: list[dict[str, Any]] = [{"type": "video"}] if clip.frames is not None else []
        if clip.sound is not None:
            content.append({"type": "audio"})
        content.append({"type": "text", "text": self._without_marks(asked_text(clip))})
        turns = [{"role": "user", "content": content}]
        if self._system is not None:
            turns.insert(0, {"role": "system", "content": [{"type": "text", "text": self._system}]})
        return self._processor.apply_chat_template(turns, add_generation_prompt=True, tokenize=False)

    def _without_marks(self, text: str) -> str:
        """Marks of the chat format inside a subtitle lose their meaning."""
        for mark in self._processor.tokenizer.all_special_tokens:
            text = text.replace(mark, " ")
        return text

    @cached_property
    def _settings(self) -> str:
        values = {
            "system": self._system,
            "chat_template": self._processor.chat_template,
            "frames": self._frames,
            "max_new_tokens": self._max_new_tokens,
            **self._loading,
        }
        return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:12]

    @cached_property
    def _revision(self) -> str:
        return model_revision(self._source.model, self._source.revision)

    def identity(self) -> str:
        """`hf-chat` with model, revision, modality, and a hash of template and options."""
        name = self._source.model.rstrip("/").rpartition("/")[2]
        return f"hf-chat {name}, revision {self._revision}, {self.modality}, settings {self._settings}"
