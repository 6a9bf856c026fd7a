"""Speaker detectors that each break one promise, and one that keeps all; see broken_networks.py."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from affect_lightning.contracts import FaceWithSound, SpeakerDetector, SpeakerScore

BROKEN: dict[str, dict[str, str]] = {
    "speaker_detectors": {
        "ScoresAsNumbers": "shapes",
        "NeverSays": "shapes",
        "NoThreshold": "shapes",
        "Silences": "shapes",
        "GrowsSurer": "batch-invariance",
    },
}
GOOD = {"speaker_detectors": "GoodWatcher"}


class GoodWatcher(SpeakerDetector):
    """Compares how much the picture changes with how loud it is."""

    threshold = 0.5

    def score(self, clip: FaceWithSound) -> SpeakerScore:
        if len(clip.crops) < 2 or not np.any(clip.waveform):
            return SpeakerScore(None, "too little")
        return SpeakerScore(float(np.diff(clip.crops[:, ::8, ::8].astype(float), axis=0).std()))

    def identity(self) -> str:
        return "watcher"


class ScoresAsNumbers(GoodWatcher):
    """Gives plain numbers."""

    def score(self, clip: FaceWithSound) -> Any:
        return super().score(clip).value


class NeverSays(GoodWatcher):
    """Has neither a score nor a reason."""

    def score(self, clip: FaceWithSound) -> SpeakerScore:
        return SpeakerScore(None)


class NoThreshold(GoodWatcher):
    """Lets no clip pass."""

    threshold = float("nan")


class Silences(GoodWatcher):
    """Writes into the sound."""

    def score(self, clip: FaceWithSound) -> SpeakerScore:
        found = super().score(clip)
        clip.waveform[:100] = 0
        return found


class GrowsSurer(GoodWatcher):
    """Is surer with each clip."""

    asked = 0

    def score(self, clip: FaceWithSound) -> SpeakerScore:
        self.asked += 1
        found = super().score(clip)
        return replace(found, value=found.value and found.value + self.asked)
