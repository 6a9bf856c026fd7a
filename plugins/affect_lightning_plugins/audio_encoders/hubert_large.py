"""Audio encoder `hubert-large`: HuBERT-Large of English audio books, and any other HuBERT of transformers.

Paper, Figure 4 (HuBERT-L).
Neighbours: `raw_sound.py` (options, windows, layers), `chinese_hubert_large.py` (the paper's default).
"""

from __future__ import annotations

from typing import Any

from affect_lightning_plugins.audio_encoders.raw_sound import DISPENSABLE, HEADS, RawSoundEncoder
from affect_lightning_plugins.pretrained_models import ModelSource, Release

_MODEL = "facebook/hubert-large-ll60k"
HUBERT_LARGE = {  # arXiv 2106.07447, Table 1; the rest as in the published config.json
    "hidden_size": 1024,
    "intermediate_size": 4096,
    "num_hidden_layers": 24,
    "num_attention_heads": 16,
    "feat_extract_norm": "layer",
    "do_stable_layer_norm": True,
    "conv_bias": True,
}


class HubertLargeAudioEncoder(RawSoundEncoder):
    """HuBERT-Large (LibriLight 60k hours), or any HuBERT by folder or hub name; frozen."""

    release = Release(_MODEL, "ff022d095678a2995f3c49bab18a96a9e553f782", HUBERT_LARGE)

    def __init__(self, *, model: str = _MODEL, **options: Any) -> None:
        """Load the model.

        Args:
            model: Folder with config.json and weights, or hub name; HuBERT-L as in the paper (Figure 4).
            options: See `PretrainedSpeechEncoder`.

        Raises:
            ConfigurationError: The model cannot be read or filled completely, or an option is out of range.
        """
        super().__init__(build=build_hubert, model=model, **options)


def build_hubert(source: ModelSource) -> Any:
    """The HuBERT of a source.

    Raises:
        ConfigurationError: It cannot be read or filled completely.
    """
    from transformers import HubertConfig, HubertModel

    configuration = source.configuration(HubertConfig, ("hubert",))
    return source.network(HubertModel, configuration, surplus=HEADS, dispensable=DISPENSABLE)
