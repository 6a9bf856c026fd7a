"""Audio encoder `wavlm-large`: WavLM-Large, and any other WavLM of transformers.

Paper, Figure 4 (WavLM-L).
Neighbour: `raw_sound.py` (options, windows, layers).
"""

from __future__ import annotations

from typing import Any

from affect_lightning_plugins.audio_encoders.raw_sound import DISPENSABLE, HEADS, RawSoundEncoder
from affect_lightning_plugins.pretrained_models import ModelSource, Release

_MODEL = "microsoft/wavlm-large"


class WavLMLargeAudioEncoder(RawSoundEncoder):
    """WavLM-Large (94k hours), or any WavLM by folder or hub name; frozen."""

    release = Release(
        _MODEL,
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

    def __init__(self, *, model: str = _MODEL, **options: Any) -> None:
        """Load the model.

        Args:
            model: Folder with config.json and weights, or hub name; WavLM-L as in the paper (Figure 4).
            options: See `PretrainedSpeechEncoder`.

        Raises:
            ConfigurationError: The model cannot be read or filled completely, or an option is out of range.
        """
        super().__init__(build=_build, model=model, **options)


def _build(source: ModelSource) -> Any:
    from transformers import WavLMConfig, WavLMModel

    configuration = source.configuration(WavLMConfig, ("wavlm",))
    return source.network(WavLMModel, configuration, surplus=HEADS, dispensable=DISPENSABLE)
