"""What an encoder must provide: of pictures, of sound (paper, Section 3.1 and Appendix B) and of series (ours).

Legend: B clips, T frames or rows, S audio samples, C values a row, N feature tokens, D feature width.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TypeAlias

from torch import Tensor, nn

from affect_lightning.contracts.features import FeatureSequence


class VideoEncoder(nn.Module, ABC):
    """Turns frames into feature tokens. Frozen by the model: it never trains and is never in a checkpoint.

    Attributes:
        feature_width: D of the tokens it returns.
        image_size: Side in pixels to which it resizes frames by itself.

    A constructor that cannot load its weights raises `affect_lightning.errors.ConfigurationError` with the remedy.
    """

    feature_width: int
    image_size: int

    @abstractmethod
    def forward(self, frames: Tensor, mask: Tensor) -> FeatureSequence:
        """Encode frames; resizing and normalisation happen here, so that the data side knows no encoder.

        Args:
            frames: uint8 [B, T, 3, H, W], RGB, any H and W.
            mask: True where a frame is real [B, T], bool. What stands in other frames changes nothing.

        Returns:
            Tokens [B, N, D]; N is T times a constant.

        Raises:
            ContractError: `frames` or `mask` has another type or shape.
        """


class AudioEncoder(nn.Module, ABC):
    """Turns sound into feature tokens. Frozen by the model, as the video encoder is.

    Attributes:
        feature_width: D of the tokens it returns.
        sample_rate: In Hz; the data side resamples to it.
    """

    feature_width: int
    sample_rate: int

    @abstractmethod
    def forward(self, waveform: Tensor, lengths: Tensor) -> FeatureSequence:
        """Encode sound.

        Args:
            waveform: float [B, S] in [-1, 1] at `sample_rate`. What stands beyond a clip's length changes nothing.
            lengths: Real samples a clip [B], int64; 0 is allowed and gives a clip without real tokens.

        Returns:
            Tokens [B, N, D].

        Raises:
            ContractError: `waveform` or `lengths` has another type or shape.
        """


class SeriesEncoder(nn.Module, ABC):
    """Turns a series, such as body pose or heart rate, into feature tokens. Frozen by the model, as the others are.

    Attributes:
        feature_width: D of the tokens it returns.
        input_width: C of the series that it takes.
    """

    feature_width: int
    input_width: int

    @abstractmethod
    def forward(self, values: Tensor, mask: Tensor) -> FeatureSequence:
        """Encode a series.

        Args:
            values: float [B, T, C]. What stands in rows that are not real changes nothing.
            mask: True where a row is real [B, T], bool; a clip without real rows gives no real token.

        Returns:
            Tokens [B, N, D].

        Raises:
            ContractError: `values` or `mask` has another type or shape.
        """


Encoder: TypeAlias = VideoEncoder | AudioEncoder | SeriesEncoder
