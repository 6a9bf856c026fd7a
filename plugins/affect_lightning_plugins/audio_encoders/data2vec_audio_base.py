"""Audio encoder `data2vec-audio-base`: data2vec of speech, base size, and any other data2vec-audio of transformers.

Paper, Figure 4 (data2vec-base). Its positions come from five convolutions, one after the other, so a mask cannot keep
padding out of the last frames: sounds of one length are encoded together.
Neighbour: `raw_sound.py` (options, windows, layers).
"""

from __future__ import annotations

from typing import Any

from affect_lightning_plugins.audio_encoders.raw_sound import DISPENSABLE, HEADS, RawSoundEncoder
from affect_lightning_plugins.pretrained_models import ModelSource, Release

_MODEL = "facebook/data2vec-audio-base"


class Data2VecAudioBaseEncoder(RawSoundEncoder):
    """data2vec-audio base (LibriSpeech), or any data2vec-audio by folder or hub name; frozen."""

    # The library's defaults are this model's sizes (arXiv 2202.03555, Section 4).
    release = Release(_MODEL, configuration={"num_conv_pos_embeddings": 5, "num_conv_pos_embedding_groups": 16})

    def __init__(self, *, model: str = _MODEL, **options: Any) -> None:
        """Load the model.

        Args:
            model: Folder with config.json and weights, or hub name; data2vec-base as in the paper (Figure 4). No
                commit of it is known for sure here, so a hub name needs `revision`.
            options: See `PretrainedSpeechEncoder`.

        Raises:
            ConfigurationError: The model cannot be read or filled completely, or an option is out of range.
        """
        super().__init__(build=_build, model=model, **options)


def _build(source: ModelSource) -> Any:
    from transformers import Data2VecAudioConfig, Data2VecAudioModel

    configuration = source.configuration(Data2VecAudioConfig, ("data2vec-audio",))
    return source.network(Data2VecAudioModel, configuration, surplus=HEADS, dispensable=DISPENSABLE)
