"""The speech models that hear samples, a plugin for each: the paper's Chinese HuBERT-Large and those of its Figure 4.

- `chinese-hubert-large`: the paper's default (Appendix B), HuBERT-Large of 10,000 hours of Chinese (WenetSpeech).
- `hubert-large`, `wavlm-large` and `data2vec-audio-base`: HuBERT-L, WavLM-L and data2vec-base of Figure 4. The positions
  of data2vec come from five convolutions, one after the other, so a mask cannot keep padding out of the last frames:
  sounds of one length are encoded together.
- `wav2vec2`: not in Figure 4; the usual baseline of speech emotion recognition. The base model normalises over time, so
  sounds of one length are encoded together; the large ones take masks.
- `hf-audio`: any other speech model of transformers. The class that config.json names is loaded, so that its weights
  fill it exactly, and its body is used without the head. Models that hear spectrograms are refused; Whisper has a
  plugin of its own.

Each takes other models of its family by folder or hub name.
Neighbour: `raw_sound.py` (options, windows, layers).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from affect_lightning.errors import ConfigurationError
from affect_lightning_plugins.audio_encoders.raw_sound import DISPENSABLE, HEADS, RawSoundEncoder
from affect_lightning_plugins.pretrained_models import ModelSource, Release

_CHINESE_HUBERT = "TencentGameMate/chinese-hubert-large"
_HUBERT = "facebook/hubert-large-ll60k"
_WAVLM = "microsoft/wavlm-large"
_DATA2VEC = "facebook/data2vec-audio-base"
_WAV2VEC2 = "facebook/wav2vec2-base"
_HUBERT_LARGE = {  # arXiv 2106.07447, Table 1; the rest as in the published config.json
    "hidden_size": 1024,
    "intermediate_size": 4096,
    "num_hidden_layers": 24,
    "num_attention_heads": 16,
    "feat_extract_norm": "layer",
    "do_stable_layer_norm": True,
    "conv_bias": True,
}


def _family(name: str, model_type: str) -> Callable[[ModelSource], Any]:
    """From a source to a model of one family of transformers, such as `Hubert` of the type `hubert`."""

    def build(source: ModelSource) -> Any:
        import transformers

        configuration = source.configuration(getattr(transformers, f"{name}Config"), (model_type,))
        network = getattr(transformers, f"{name}Model")
        return source.network(network, configuration, surplus=HEADS, dispensable=DISPENSABLE)

    return build


class ChineseHubertLargeAudioEncoder(RawSoundEncoder):
    """The paper's Chinese HuBERT-Large, or any HuBERT by folder or hub name; frozen."""

    release = Release(_CHINESE_HUBERT, "90cb660492214f687e60f5ca509b20edae6e75bd", _HUBERT_LARGE)

    def __init__(self, *, model: str = _CHINESE_HUBERT, **options: Any) -> None:
        """Load the model.

        Args:
            model: Folder with config.json and weights, or hub name; Chinese HuBERT-Large as in the paper (Appendix B).
            options: See `PretrainedSpeechEncoder`.

        Raises:
            ConfigurationError: The model cannot be read or filled completely, or an option is out of range.
        """
        super().__init__(build=_family("Hubert", "hubert"), model=model, **options)


class HubertLargeAudioEncoder(RawSoundEncoder):
    """HuBERT-Large (LibriLight 60k hours), or any HuBERT by folder or hub name; frozen."""

    release = Release(_HUBERT, "ff022d095678a2995f3c49bab18a96a9e553f782", _HUBERT_LARGE)

    def __init__(self, *, model: str = _HUBERT, **options: Any) -> None:
        """Load the model.

        Args:
            model: Folder with config.json and weights, or hub name; HuBERT-L as in the paper (Figure 4).
            options: See `PretrainedSpeechEncoder`.

        Raises:
            ConfigurationError: The model cannot be read or filled completely, or an option is out of range.
        """
        super().__init__(build=_family("Hubert", "hubert"), model=model, **options)


class WavLMLargeAudioEncoder(RawSoundEncoder):
    """WavLM-Large (94k hours), or any WavLM by folder or hub name; frozen."""

    release = Release(
        _WAVLM,
        "c1423ed94bb01d80a3f5ce5bc39f6026a0f4828c",
        {  # arXiv 2110.13900, Section IV; the rest as in the published config.json
            "hidden_size": 1024,
            "intermediate_size": 4096,
            "num_hidden_layers": 24,
            "num_attention_heads": 16,
            "num_buckets": 320,
            "max_bucket_distance": 800,
            "feat_extract_norm": "layer",
            "do_stable_layer_norm": True,
            "conv_bias": False,
        },
    )

    def __init__(self, *, model: str = _WAVLM, **options: Any) -> None:
        """Load the model.

        Args:
            model: Folder with config.json and weights, or hub name; WavLM-L as in the paper (Figure 4).
            options: See `PretrainedSpeechEncoder`.

        Raises:
            ConfigurationError: The model cannot be read or filled completely, or an option is out of range.
        """
        super().__init__(build=_family("WavLM", "wavlm"), model=model, **options)


class Data2VecAudioBaseEncoder(RawSoundEncoder):
    """data2vec-audio base (LibriSpeech), or any data2vec-audio by folder or hub name; frozen."""

    # The library's defaults are this model's sizes (arXiv 2202.03555, Section 4).
    release = Release(_DATA2VEC, configuration={"num_conv_pos_embeddings": 5, "num_conv_pos_embedding_groups": 16})

    def __init__(self, *, model: str = _DATA2VEC, **options: Any) -> None:
        """Load the model.

        Args:
            model: Folder with config.json and weights, or hub name; data2vec-base as in the paper (Figure 4). No
                commit of it is known for sure here, so a hub name needs `revision`.
            options: See `PretrainedSpeechEncoder`.

        Raises:
            ConfigurationError: The model cannot be read or filled completely, or an option is out of range.
        """
        super().__init__(build=_family("Data2VecAudio", "data2vec-audio"), model=model, **options)


class Wav2Vec2AudioEncoder(RawSoundEncoder):
    """wav2vec 2.0 base, or any wav2vec 2.0 by folder or hub name (XLSR and Chinese ones too); frozen."""

    # The library's defaults are this model's sizes (arXiv 2006.11477, Section 4.2).
    release = Release(_WAV2VEC2, "0b5b8e868dd84f03fd87d01f9c4ff0f080fecfe8", {"feat_extract_norm": "group"})

    def __init__(self, *, model: str = _WAV2VEC2, **options: Any) -> None:
        """Load the model.

        Args:
            model: Folder with config.json and weights, or hub name; the base model is our choice.
            options: See `PretrainedSpeechEncoder`.

        Raises:
            ConfigurationError: The model cannot be read or filled completely, or an option is out of range.
        """
        super().__init__(build=_family("Wav2Vec2", "wav2vec2"), model=model, **options)


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
        super().__init__(build=_any_model, model=model, **options)


def _any_model(source: ModelSource) -> Any:
    import transformers

    configuration = source.configuration(transformers.AutoConfig, ())
    named = (configuration.architectures or ["AutoModel"])[0]
    hears = hasattr(configuration, "conv_kernel") and hasattr(configuration, "conv_stride")
    if not hears or not hasattr(transformers, named) or getattr(configuration, "add_adapter", False):
        raise ConfigurationError(
            f"{source.model!r} is a {named} of the type {configuration.model_type!r}; hf-audio takes models of "
            f"transformers {transformers.__version__} that hear samples through convolutions, without an adapter "
            f"behind them. Use `whisper` for Whisper, or write a plugin."
        )
    model_class = getattr(transformers, named)
    if named == "AutoModel":
        model_class = transformers.MODEL_MAPPING[type(configuration)]
    return source.network(model_class, configuration, dispensable=DISPENSABLE).base_model
