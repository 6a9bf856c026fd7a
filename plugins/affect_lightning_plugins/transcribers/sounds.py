"""The sound of each clip of a batch, without padding, at the rate that a model hears. Legend: S audio samples."""

from __future__ import annotations

import numpy as np

from affect_lightning.contracts import ClipBatch


def clip_sounds(batch: ClipBatch) -> list[tuple[np.ndarray, int]]:
    """Sound float32 [S] of each clip and its rate in Hz; S is 0 for a clip without sound."""
    sound = batch.streams["audio"]
    rate = sound.sample_rate or 16_000
    return [(values[mask].float().cpu().numpy(), rate) for values, mask in zip(sound.values, sound.mask, strict=True)]


def resampled(sound: np.ndarray, rate: int, wanted: int) -> np.ndarray:
    """The sound at another rate in Hz."""
    if rate == wanted:
        return sound
    import librosa

    return librosa.resample(sound, orig_sr=rate, target_sr=wanted)
