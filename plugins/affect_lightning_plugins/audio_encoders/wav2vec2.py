"""Audio encoder `wav2vec2`: wav2vec 2.0 base, and any other wav2vec 2.0 of transformers.

Not in the paper's Figure 4; the usual baseline of speech emotion recognition. The base model normalises over time, so
sounds of one length are encoded together; the large ones take masks.
Neighbour: `raw_sound.py` (options, windows, layers).
"""

from __future__ import annotations

from typing import Any

from affect_lightning_plugins.audio_encoders.raw_sound import DISPENSABLE, HEADS, RawSoundEncoder
from affect_lightning_plugins.pretrained_models import ModelSource, Release

_MODEL = "facebook/wav2vec2-base"


class Wav2Vec2AudioEncoder(RawSoundEncoder):
    """wav2vec 2.0 base, or any wav2vec 2.0 by folder or hub name (XLSR and Chinese ones too); frozen."""

    # The library's defaults are this model's sizes (arXiv 2006.11477, Section 4.2).
    release = Release(_MODEL, "0b5b8e868dd84f03fd87d01f9c4ff0f080fecfe8", {"feat_extract_norm": "group"})

    def __init__(self, *, model: str = _MODEL, **options: Any) -> None:
        """Load the model.

        Args:
            model: Folder with config.json and weights, or hub name; the base model is our choice.
            options: See `PretrainedSpeechEncoder`.

        Raises:
            ConfigurationError: The model cannot be read or filled completely, or an option is out of range.
        """
        super().__init__(build=_build, model=model, **options)


def _build(source: ModelSource) -> Any:
    from transformers import Wav2Vec2Config, Wav2Vec2Model

    configuration = source.configuration(Wav2Vec2Config, ("wav2vec2",))
    return source.network(Wav2Vec2Model, configuration, surplus=HEADS, dispensable=DISPENSABLE)
