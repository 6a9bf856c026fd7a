"""Checks of encoders beside those of every network (contracts: `contracts.encoders`; paper, Section 3.1).

Neighbours: `module_checks.py`, `inputs.py`.
Legend: B clips, T frames or rows, S audio samples, N feature tokens, D feature width.
"""

from __future__ import annotations

from typing import Any

import torch

from affect_lightning.contracts.conformance import check_features, check_finite
from affect_lightning.testing.comparing import require
from affect_lightning.testing.inputs import SoundInputs, StepInputs
from affect_lightning.testing.subject import Subject


@torch.no_grad()
def video_shapes(subject: Subject) -> str:
    """Tokens [B, N, feature_width] for any number of clips, frames and pixels; N is T times a constant; finite."""
    encoder, inputs = subject.part, StepInputs.pictures()
    _require_sizes(encoder, "feature_width", "image_size")
    per_frame = set()
    for clips, frames, height, width in ((3, 4, 52, 44), (1, 1, 30, 64), (2, 3, 70, 33)):
        pictures = torch.nn.functional.interpolate(
            inputs.values[:clips, :frames].flatten(0, 1).float(), (height, width)
        )
        batch = pictures.to(torch.uint8).view(clips, frames, 3, height, width)
        found = check_features(
            encoder(batch, torch.ones(clips, frames, dtype=torch.bool)), clips=clips, width=encoder.feature_width
        )
        require(found.mask.all(), "every token real where every frame is", "masked tokens")
        check_finite(found.tokens, "tokens")
        per_frame.add(found.tokens.shape[1] / frames)
    require(
        len(per_frame) == 1 and next(iter(per_frame)).is_integer() and min(per_frame) >= 1,
        "N to be T times a constant",
        f"N / T of {sorted(per_frame)}",
    )
    _check_real_frames(subject, int(next(iter(per_frame))))
    return f"{int(next(iter(per_frame)))} tokens a frame, {encoder.feature_width} wide"


def _check_real_frames(subject: Subject, per_frame: int) -> None:
    inputs = StepInputs.pictures()
    found = subject.part(inputs.values, inputs.mask)
    wanted = inputs.mask.sum(dim=1) * per_frame
    require(
        torch.equal(found.mask.sum(dim=1), wanted),
        f"{wanted.tolist()} real tokens for {inputs.mask.sum(dim=1).tolist()} real frames",
        f"{found.mask.sum(dim=1).tolist()}",
    )
    empty = subject.part(inputs.values, torch.zeros_like(inputs.mask))
    require(not empty.mask.any(), "no real token in a clip without real frames", f"{int(empty.mask.sum())} of them")


@torch.no_grad()
def audio_shapes(subject: Subject) -> str:
    """Tokens [B, N, feature_width] for any number of clips and samples; none real for a clip of length 0; finite."""
    encoder = subject.part
    _require_sizes(encoder, "feature_width", "sample_rate")
    inputs = SoundInputs.random(encoder.sample_rate)
    lengths = inputs.lengths.clone()
    lengths[2] = 0
    for waveform, real in (
        (inputs.waveform, inputs.lengths),
        (inputs.waveform, lengths),
        (inputs.waveform[:1], lengths[:1]),
    ):
        found = check_features(encoder(waveform, real), clips=len(real), width=encoder.feature_width)
        check_finite(found.tokens[found.mask], "real tokens")
        counts = found.mask.sum(dim=1)
        require(
            bool(((counts > 0) == (real > 0)).all()),
            f"real tokens in the clips with sound, of lengths {real.tolist()}",
            f"{counts.tolist()} real tokens",
        )
    silent = encoder(torch.zeros(1, encoder.sample_rate), torch.tensor([encoder.sample_rate]))
    check_finite(silent.tokens[silent.mask], "tokens of silence")
    return f"{encoder.feature_width} wide at {encoder.sample_rate} Hz"


@torch.no_grad()
def series_shapes(subject: Subject) -> str:
    """Tokens [B, N, feature_width] for any number of clips and rows; none real in a clip without real rows; finite."""
    encoder = subject.part
    _require_sizes(encoder, "feature_width", "input_width")
    inputs = StepInputs.series(encoder.input_width)
    empty = inputs.mask.clone()
    empty[2] = False
    for values, mask in ((inputs.values, inputs.mask), (inputs.values, empty), (inputs.values[:1, :1], empty[:1, :1])):
        found = check_features(encoder(values, mask), clips=len(mask), width=encoder.feature_width)
        check_finite(found.tokens[found.mask], "real tokens")
        counts, real = found.mask.sum(dim=1), mask.any(dim=1)
        wanted = f"real tokens in the clips with real rows, {real.tolist()}"
        require(bool(((counts > 0) == real).all()), wanted, f"{counts.tolist()} real tokens")
    return f"{encoder.input_width} values a row to {encoder.feature_width}"


def _require_sizes(encoder: Any, *names: str) -> None:
    for name in names:
        value = getattr(encoder, name)
        require(isinstance(value, int) and value > 0, f"{name} to be a positive int", repr(value))
