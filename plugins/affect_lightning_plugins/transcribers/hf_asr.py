"""Plugin `hf-asr`: what is said, by any speech recogniser that transformers has a class for, such as Whisper.

For clips without a subtitle, which the prompt shows (paper, Section 3.1). Sequence-to-sequence models write word by word,
CTC models (wav2vec 2.0, HuBERT) by frames. `faster_whisper_model.py` runs Whisper faster. Legend: S audio samples.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
import torch

from affect_lightning.contracts import ClipBatch, Transcriber, Transcript
from affect_lightning.errors import ConfigurationError
from affect_lightning_plugins.asked_models.local_model import DType, chosen_device, model_revision
from affect_lightning_plugins.language_models.transformers_model import default_dtype
from affect_lightning_plugins.pretrained_models import ModelSource
from affect_lightning_plugins.transcribers.sounds import clip_sounds, resampled
from affect_lightning_plugins.transformers_versions import loading_differences


class HuggingFaceTranscriber(Transcriber):
    """A speech recogniser of transformers by folder or pinned hub name, such as Whisper or a CTC model."""

    def __init__(
        self,
        *,
        model: str,
        revision: str | None = None,
        language: str | None = None,
        max_new_tokens: int = 200,
        dtype: DType = "auto",
        device: str = "auto",
    ) -> None:
        """Read the processor; the weights are loaded at the first clip.

        Args:
            model: Folder with config.json, weights and processor, or hub name.
            revision: Commit on the hub; needed for a hub name.
            language: Code of the language that is spoken, such as zh; None lets a multilingual Whisper find it.
            max_new_tokens: Longest transcript in tokens; our choice: half a minute of speech has about 120.
            dtype: Number type of the weights; `auto` is bfloat16 on a GPU that has it, else float32 (our choice).
            device: Such as `cuda:1` or `cpu`; `auto` is the first GPU if there is one (our choice).

        Raises:
            ConfigurationError: The processor cannot be read, or hears nothing.
        """
        from transformers import AutoProcessor

        self._source, self._language, self._max_new_tokens = ModelSource(model, revision), language, max_new_tokens
        self._device = chosen_device(device)
        self._dtype = default_dtype() if dtype == "auto" else dtype
        self._processor = self._source.read(AutoProcessor.from_pretrained, trust_remote_code=False)
        if getattr(self._processor, "feature_extractor", None) is None or not hasattr(self._processor, "tokenizer"):
            raise ConfigurationError(
                f"{model!r} is no speech recogniser: its processor is {type(self._processor).__name__}, expected one with a "
                f"feature extractor and a tokenizer. Choose another model."
            )

    @cached_property
    def _model(self) -> Any:
        from transformers import AutoConfig, AutoModelForCTC, AutoModelForSpeechSeq2Seq

        config = self._source.read(AutoConfig.from_pretrained, trust_remote_code=False)
        writes = type(config) in AutoModelForSpeechSeq2Seq._model_mapping
        model, report = self._source.read(
            (AutoModelForSpeechSeq2Seq if writes else AutoModelForCTC).from_pretrained,
            config=config,
            trust_remote_code=False,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # so that all of them are named below
            dtype=getattr(torch, self._dtype),
        )
        self._source.refuse(loading_differences(report), type(model).__name__)
        return model.eval().requires_grad_(False).to(self._device)

    def transcribe(self, batch: ClipBatch) -> list[Transcript]:
        """What is said in each clip; one by one, because their lengths differ."""
        rate = int(self._processor.feature_extractor.sampling_rate)
        return [
            self._heard(resampled(sound, found, rate), rate) if len(sound) else Transcript("")
            for sound, found in clip_sounds(batch)
        ]

    @torch.inference_mode()
    def _heard(self, sound: np.ndarray, rate: int) -> Transcript:
        model = self._model
        given = self._processor.feature_extractor(sound, sampling_rate=rate, return_tensors="pt")
        name = model.main_input_name
        values = given[name].to(self._device, model.dtype)
        language = self._language or ""
        if model.can_generate():
            options: dict[str, Any] = {"do_sample": False, "max_new_tokens": self._max_new_tokens}
            if getattr(model.generation_config, "is_multilingual", False):
                language = language or self._found_language(values)
                options |= {"language": language or None, "task": "transcribe"}
            ids = model.generate(**{name: values}, **options)
        else:
            ids = model(**{name: values}).logits.argmax(dim=-1)
        text = " ".join(self._processor.tokenizer.batch_decode(ids, skip_special_tokens=True)[0].split())
        return Transcript(text, language if text else "")

    def _found_language(self, values: torch.Tensor) -> str:
        """The language that a multilingual Whisper hears."""
        ids = self._model.detect_language(input_features=values)
        return self._processor.tokenizer.convert_ids_to_tokens(int(ids[0])).strip("<|>")

    def identity(self) -> str:
        """`hf-asr` with model, revision and options."""
        name = self._source.model.rstrip("/").rpartition("/")[2]
        revision = model_revision(self._source.model, self._source.revision)
        return (
            f"hf-asr {name}, revision {revision}, language={self._language or 'found'} "
            f"max_new_tokens={self._max_new_tokens} dtype={self._dtype}"
        )
