"""Audio encoder `chinese-hubert-large`: the paper's default, HuBERT-Large of 10,000 hours of Chinese (WenetSpeech).

Paper, Appendix B: 16 kHz, 8 windows of 2 seconds, mean of the last four hidden layers, mean over time.
Neighbours: `raw_sound.py` (options, windows, layers), `hubert_large.py` (the same class, of English).
"""

from __future__ import annotations

from typing import Any

from affect_lightning_plugins.audio_encoders.hubert_large import HUBERT_LARGE, build_hubert
from affect_lightning_plugins.audio_encoders.raw_sound import RawSoundEncoder
from affect_lightning_plugins.pretrained_models import Release

_MODEL = "TencentGameMate/chinese-hubert-large"


class ChineseHubertLargeAudioEncoder(RawSoundEncoder):
    """The paper's Chinese HuBERT-Large, or any HuBERT by folder or hub name; frozen."""

    release = Release(_MODEL, "90cb660492214f687e60f5ca509b20edae6e75bd", HUBERT_LARGE)

    def __init__(self, *, model: str = _MODEL, **options: Any) -> None:
        """Load the model.

        Args:
            model: Folder with config.json and weights, or hub name; Chinese HuBERT-Large as in the paper (Appendix B).
            options: See `PretrainedSpeechEncoder`.

        Raises:
            ConfigurationError: The model cannot be read or filled completely, or an option is out of range.
        """
        super().__init__(build=build_hubert, model=model, **options)
