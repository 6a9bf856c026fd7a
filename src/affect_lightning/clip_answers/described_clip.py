"""What a network says about a clip, and what it saw of the clip (ours).

`describing_network.py` makes these out of a batch. Legend: T frames, S samples, H height and W width in pixels.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from affect_lightning.contracts import ClipBatch, StreamInput


@dataclass(frozen=True)
class DescribedClip:
    """The answer about one clip.

    Attributes:
        name: Of the clip, from its file.
        text: What the network answers.
        labels: Emotion words in the answer.
        sentiment: `positive`, `negative` or `neutral`; empty where the answer has no emotion word.
        question: What was asked.
        subtitle: What the prompt said that the person says.
        frames: Whole frames that the network saw, RGB, uint8 [T, H, W, 3]; None if it sees none.
        crops: Face crops that it saw, in the same form.
        waveform: Sound that it heard, float32 [S]; None if it hears none.
        sample_rate: Of the sound, in Hz.
        fusion_weights: How much each token of each fused stream counts, float32 [N] by stream; their sum is the weight of the
            stream. Empty where the pre-fusion shows none (`PreFusion.stream_weights`).
        problem: Why the clip could not be read; None if it could. The other attributes are empty then.
    """

    name: str
    text: str = ""
    labels: tuple[str, ...] = ()
    sentiment: str = ""
    question: str = ""
    subtitle: str = ""
    frames: np.ndarray | None = field(default=None, repr=False)
    crops: np.ndarray | None = field(default=None, repr=False)
    waveform: np.ndarray | None = field(default=None, repr=False)
    sample_rate: int | None = None
    fusion_weights: Mapping[str, np.ndarray] = field(default_factory=dict, repr=False)
    problem: str | None = None

    def __str__(self) -> str:
        return self.text if self.problem is None else f"{self.name} cannot be read: {self.problem}"


def seen_of(batch: ClipBatch, index: int) -> dict[str, Any]:
    """What the network sees and hears of a clip: the attributes of `DescribedClip`, without what only fills up."""
    sound = batch.streams.get("audio")
    return {
        "frames": _pictures(batch.streams.get("frame"), index),
        "crops": _pictures(batch.streams.get("face"), index),
        "waveform": None if sound is None else _real_steps(sound, index),
        "sample_rate": None if sound is None else sound.sample_rate,
    }


def _pictures(stream: StreamInput | None, index: int) -> np.ndarray | None:
    pictures = None if stream is None else _real_steps(stream, index)
    return None if pictures is None else np.ascontiguousarray(pictures.transpose(0, 2, 3, 1))


def _real_steps(stream: StreamInput, index: int) -> np.ndarray | None:
    """None for a stream without a real step, such as one that is switched off."""
    mask = stream.mask[index]
    return stream.values[index][mask].cpu().numpy() if bool(mask.any()) else None
