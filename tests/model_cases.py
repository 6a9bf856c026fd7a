"""Tiny configurations and random batches that the tests of the model share."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch

from affect_lightning.contracts import ClipBatch, ClipRecord, StreamInput

SENTENCES = ["I won!", "They are late again and nobody told me.", "", "It is Tuesday."]
RESPONSES = ["The person feels happy.", "The person feels angry and hurt.", "The person feels calm.", "No."]
TINY_PARTS: dict[str, Any] = {
    "video_encoder": "tiny-video",
    "audio_encoder": "tiny-audio",
    "pre_fusion": "attention",
    "language_model": {"name": "tiny-lm", "lora_dropout": 0.0},
    "inputs": ["multi", "audio", "face", "text"],
}


def random_batch(clips: int = 4, seed: int = 0, frames: int = 3, samples: int = 12_000) -> ClipBatch:
    """Random clips of different length, with questions and responses."""
    generator = torch.Generator().manual_seed(seed)
    pictures = torch.randint(0, 256, (2, clips, frames, 3, 40, 40), generator=generator, dtype=torch.uint8)
    lengths = torch.tensor([samples - 1500 * index for index in range(clips)])
    waveform = torch.rand(clips, samples, generator=generator) * 2 - 1
    waveform[torch.arange(samples) >= lengths.unsqueeze(1)] = 0.0
    mask = torch.ones(clips, frames, dtype=torch.bool)
    mask[-1, -1] = False
    return ClipBatch(
        records=[ClipRecord(name=f"clip{i}", corpus="random", labels=("happy",)) for i in range(clips)],
        questions=["How is it?" if i % 2 else "Which emotions does the person feel?" for i in range(clips)],
        responses=[RESPONSES[i % 4] for i in range(clips)],
        subtitles=[SENTENCES[i % 4] for i in range(clips)],
        streams={
            "face": StreamInput(pictures[0], mask),
            "frame": StreamInput(pictures[1], mask),
            "audio": StreamInput.of_sound(waveform, lengths, 16_000),
        },
    )


def stream_values(batch: ClipBatch) -> dict[str, list[Any]]:
    """Everything in the batch's streams, for comparison."""
    return {name: [stream.values.tolist(), stream.mask.tolist()] for name, stream in batch.streams.items()}


def pick(batch: ClipBatch, order: list[int]) -> ClipBatch:
    """The clips of a batch in another order, or some of them."""
    index = torch.tensor(order)
    texts: dict[str, Any] = {
        name: [getattr(batch, name)[i] for i in order] for name in ("records", "questions", "responses", "subtitles")
    }
    streams = {name: stream.with_each(lambda value: value[index]) for name, stream in batch.streams.items()}
    return ClipBatch(**texts, streams=streams, valid=batch.valid[index])


def with_streams(batch: ClipBatch, **changed: StreamInput) -> ClipBatch:
    """The batch with some streams replaced."""
    return replace(batch, streams={**batch.streams, **changed})


def without_streams(batch: ClipBatch, *names: str) -> ClipBatch:
    """The batch without some streams; without any if none is named."""
    return replace(batch, streams={name: batch.streams[name] for name in batch.streams if names and name not in names})


def perturb(module: torch.nn.Module, seed: int = 0) -> None:
    """Move every trained weight away from its start, so that nothing hides behind a zero (LoRA's B is zero)."""
    torch.manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            if parameter.requires_grad:
                parameter.add_(0.1 * torch.randn_like(parameter))
