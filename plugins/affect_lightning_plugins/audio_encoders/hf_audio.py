"""Audio encoder `hf-audio`: any speech model of transformers that hears samples.

Paper, Figure 4: any audio encoder may stand here. The class that config.json names is loaded, so that its weights fill
it exactly, and its body is used without the head. Models that hear spectrograms are not taken; `whisper` is one of its
own.
Neighbour: `raw_sound.py` (options, windows, layers).
"""

from __future__ import annotations

from typing import Any

from affect_lightning.errors import ConfigurationError
from affect_lightning_plugins.audio_encoders.raw_sound import DISPENSABLE, RawSoundEncoder
from affect_lightning_plugins.pretrained_models import ModelSource


class HuggingFaceAudioEncoder(RawSoundEncoder):
    """Any speech model of transformers that hears samples (UniSpeech, WavLM, ...) by folder or hub name; frozen."""

    def __init__(self, *, model: str, **options: Any) -> None:
        """Load the model.

        Args:
            model: Folder with config.json and weights, or hub name with `revision`.
            options: See `PretrainedSpeechEncoder`.

        Raises:
            ConfigurationError: The model cannot be read or filled completely, hears something else than samples, or
                an option is out of range.
        """
        super().__init__(build=_build, model=model, **options)


def _build(source: ModelSource) -> Any:
    import transformers

    configuration = source.configuration(transformers.AutoConfig, ())
    named = (configuration.architectures or ["AutoModel"])[0]
    hears = hasattr(configuration, "conv_kernel") and hasattr(configuration, "conv_stride")
    if not hears or not hasattr(transformers, named) or getattr(configuration, "add_adapter", False):
        raise ConfigurationError(
            f"{source.model!r} is a {named} of the type {configuration.model_type!r}; hf-audio takes models of "
            f"transformers {transformers.__version__} that read samples through convolutions and have no "
            f"adapter after them. Use `whisper` for Whisper, or write a plugin."
        )
    model_class = getattr(transformers, named)
    if named == "AutoModel":
        model_class = transformers.MODEL_MAPPING[type(configuration)]
    return source.network(model_class, configuration, dispensable=DISPENSABLE).base_model
