"""What a describer is shown of each clip of a batch: frames, sound, subtitle and question, without padding.

`hf_chat.py` and `openai_server.py` show it to a model, `signal.py` measures it. Legend: T frames, S audio samples.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from affect_lightning.contracts import ClipBatch
from affect_lightning.contracts.describers import Modality
from affect_lightning.prompting import assemble_user_text


@dataclass(frozen=True)
class ClipParts:
    """One clip.

    Attributes:
        frames: RGB, uint8 [T, H, W, 3]; None where there is no picture, or none is shown.
        sound: float32 [S] in [-1, 1]; None where there is no sound, or none is shown.
        sample_rate: Of the sound, in Hz.
        subtitle: What is said, if it is shown; else empty.
        question: What is asked.
    """

    frames: np.ndarray | None
    sound: np.ndarray | None
    sample_rate: int
    subtitle: str
    question: str

    @property
    def form(self) -> tuple[int, bool]:
        """Number of frames, and whether there is sound: models take clips of one form together."""
        return 0 if self.frames is None else len(self.frames), self.sound is not None


def parts_of(batch: ClipBatch, modality: Modality, pictures: str = "frame") -> list[ClipParts]:
    """The clips of a batch, one by one.

    Args:
        batch: With the streams `audio` and `pictures`, as far as the modality needs them.
        modality: What is shown.
        pictures: Stream of the pictures.
    """
    seen = batch.streams.get(pictures) if modality != "audio" else None
    heard = batch.streams.get("audio") if modality != "video" else None
    parts = []
    for index in range(len(batch)):
        frames = sound = None
        if seen is not None and bool(seen.mask[index].any()):
            frames = seen.values[index][seen.mask[index]].permute(0, 2, 3, 1).cpu().numpy()
        if heard is not None and bool(heard.mask[index].any()):
            sound = heard.values[index][heard.mask[index]].float().cpu().numpy()
        rate = heard.sample_rate or 0 if heard is not None else 0
        parts.append(ClipParts(frames, sound, rate, batch.subtitles[index], batch.questions[index]))
    return parts


def asked_text(clip: ClipParts) -> str:
    """The subtitle, if there is one to show, and the question."""
    return assemble_user_text(("text",) if clip.subtitle.strip() else (), clip.subtitle, clip.question)
