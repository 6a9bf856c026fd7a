"""Checks of speaker detectors: what they give for faces with sound, and that a score depends on its clip alone.

`suite.py` lists them. The faces are drawn, so a check says nothing of how good a detector is. Legend: T pictures, S samples.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np

from affect_lightning.contracts import FaceWithSound, SpeakerScore
from affect_lightning.contracts.conformance import check_speaker_score
from affect_lightning.contracts.speakers import CROP_SIDE
from affect_lightning.testing.subject import Subject, require


def drawn_face(part: Any, seconds: float = 2.0, seed: int = 0) -> FaceWithSound:
    """A drawn face whose mouth opens as a voice of many tones grows louder, at the rates that the detector asks for."""
    random = np.random.default_rng(seed)
    pictures, samples = round(seconds * part.frame_rate), round(seconds * part.sample_rate)
    times = np.arange(samples) / part.sample_rate
    syllables = 0.5 - 0.5 * np.cos(2 * np.pi * (3.0 + seed) * times)
    voice = sum(np.sin(2 * np.pi * 120 * tone * times) / tone for tone in range(1, 20))
    waveform = (0.2 * syllables * voice + 0.002 * random.standard_normal(samples)).astype(np.float32)
    rows, columns = np.mgrid[:CROP_SIDE, :CROP_SIDE] / CROP_SIDE
    crops = np.empty((pictures, CROP_SIDE, CROP_SIDE, 3), np.uint8)
    for index in range(pictures):
        place = min(round((index + 0.5) / part.frame_rate * part.sample_rate), samples - 1)
        picture = 90.0 + 60.0 * (((columns - 0.5) / 0.33) ** 2 + ((rows - 0.5) / 0.42) ** 2 < 1)
        for side in (0.36, 0.64):
            picture[((columns - side) / 0.06) ** 2 + ((rows - 0.42) / 0.03) ** 2 < 1] = 30
        picture[((columns - 0.5) / 0.12) ** 2 + ((rows - 0.7) / (0.01 + 0.05 * syllables[place])) ** 2 < 1] = 20
        crops[index] = np.clip(picture + random.normal(0, 2, picture.shape), 0, 255)[..., None]
    return FaceWithSound(crops, 0.0, part.frame_rate, waveform, part.sample_rate)


def speaker_shapes(subject: Subject) -> str:
    """A finite score or a reason for every clip, a single picture and silence too; clips are not written to."""
    part = subject.part
    for name in ("frame_rate", "sample_rate"):
        require(getattr(part, name) > 0, f"a {name} above 0", repr(getattr(part, name)))
    require(math.isfinite(part.threshold), "a threshold that is a number", repr(part.threshold))
    clip = drawn_face(part)
    before = clip.crops.copy(), clip.waveform.copy()
    told = []
    for changed, what in (
        (clip, "a clip of 2 s"),
        (replace(clip, crops=clip.crops[:1]), "a single picture"),
        (replace(clip, waveform=np.zeros_like(clip.waveform)), "silence"),
        (replace(clip, waveform=clip.waveform[:0]), "no sound"),
        (replace(clip, waveform=clip.waveform[: len(clip.waveform) // 2]), "sound of half the length"),
        (replace(clip, start=0.4), "pictures that begin later"),
    ):
        score = check_speaker_score(part.score(changed))
        told.append(f"{what}: {score.reason or f'{score.value:.2f}'}")
    same = np.array_equal(clip.crops, before[0]) and np.array_equal(clip.waveform, before[1])
    require(same, "a clip as it was", "a clip that was written to")
    return "; ".join(told[:3])


def speaker_batches(subject: Subject) -> None:
    """A clip gets the same score again, after another clip, and from a newly built part."""
    part, clip, other = subject.part, drawn_face(subject.part), drawn_face(subject.part, seconds=1.6, seed=1)
    wanted = part.score(clip)
    part.score(other)
    for found, how in ((part.score(clip), "after another clip"), (subject.build().score(clip), "from a new part")):
        require(_is_near(wanted, found), f"the same score {how}: {wanted}", f"{found}")


def _is_near(first: SpeakerScore, second: SpeakerScore) -> bool:
    if first.value is None or second.value is None:
        return first == second
    return abs(first.value - second.value) <= 1e-4 * max(1.0, abs(first.value))
