"""A tiny exported network that sees and hears, and clips to ask it about."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from affect_lightning import AffectGPT, ClipDataModule
from affect_lightning.model import ModelConfiguration
from clip_making import tone, write_clip, write_wav

PARTS: dict[str, Any] = {
    "video_encoder": "tiny-video",
    "audio_encoder": "tiny-audio",
    "language_model": "tiny-lm",
    "pre_fusion": "attention",
    "projector_init_scale": 3.0,  # so that an answer depends on what is seen
    "inputs": ["multi", "audio", "face", "frame", "text"],
}


def write_answer_case(folder: Path, **parts: Any) -> Path:
    """Write `exported`, `clips` (one.mp4, two.mkv, broken.mp4) and `sound.wav` into a folder.

    Args:
        folder: To write into.
        parts: Of the network, over `PARTS`.
    """
    torch.manual_seed(1)
    chosen = {**PARTS, **parts}
    data = ClipDataModule(frames=3, crop_size=32, face_detector="none", inputs=chosen["inputs"])
    options = {"model": {"max_new_tokens": 12}, "data": data.response_options()}
    AffectGPT.from_configuration(ModelConfiguration.resolve(**chosen)).save_pretrained(folder / "exported", options)
    (folder / "clips").mkdir()
    for number, name in enumerate(("one.mp4", "two.mkv")):
        write_clip(
            folder / "clips" / name, range(0, 1200 + 400 * number, 40), waveform=tone(1.0 + number, 300 + 90 * number)
        )
    (folder / "clips" / "broken.mp4").write_bytes(b"nothing that plays")
    write_wav(folder / "sound.wav", tone(1.2, rate=44_100), rate=44_100)
    return folder
