"""What a stream of a third party must provide, such as body pose or heart rate (ours; the paper has four streams).

Neighbours: `streams.py` has the table, `encoders.py` the contract of the encoder that the stream needs.
Legend: T steps of the stream, H height and W width in pixels, C values a step.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from affect_lightning.contracts.clips import ClipRecord
from affect_lightning.contracts.streams import StreamKind


class StreamReader(ABC):
    """Reads one stream of a clip. It runs in the loader's worker processes: it must pickle before its first use.

    The name of the entry point is the name of the stream.

    Attributes:
        kind: `series` for rows of numbers, such as the joints of a body in each frame, or `pictures`. It decides which
            encoders fit; see `streams.ENCODER_GROUPS`.
    """

    kind: StreamKind = "series"

    @abstractmethod
    def files(self, record: ClipRecord) -> Mapping[str, Path]:
        """The files that `read` opens, by a short role such as `joints`.

        A missing file is named where it should be. Cached features of a clip are made anew when one of them changes.
        """

    @abstractmethod
    def read(self, record: ClipRecord) -> np.ndarray:
        """The stream of one clip.

        Returns:
            A series float32 [T, C], or pictures uint8 [T, H, W, 3] in RGB. T may differ from clip to clip, and is 0 for a
            clip that has nothing of this stream; C, H and W are the same for all clips.

        Raises:
            OSError: A file cannot be read. The clip goes to quarantine.
            ValueError: A file has another content than expected; the text says which. The clip goes to quarantine.
        """

    @abstractmethod
    def identity(self) -> str:
        """Name and options in one line: cached features are only reused under the same identity."""
