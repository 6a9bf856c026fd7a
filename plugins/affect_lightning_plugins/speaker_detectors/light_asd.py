"""Speaker detector `light-asd`: Light-ASD (Liao et al., CVPR 2023) with its published weights, given by the user.

Paper, Section 2: MER-Caption keeps clips whose speaker is seen, found by active-speaker detection. The published file of
4 MB (`finetuning_TalkSet.model`, MIT) is trained on TalkSet: pictures of faces with their own and with other voices. Nothing
is downloaded. `light_asd_network.py` is the network; `trained_inputs.py` prepares pictures and sound. Legend: T pictures.
"""

from __future__ import annotations

import numpy as np
from torch import Tensor

from affect_lightning.contracts import FaceWithSound, SpeakerDetector, SpeakerScore
from affect_lightning_plugins.speaker_detectors.light_asd_network import LightASD
from affect_lightning_plugins.speaker_detectors.published_networks import PublishedNetwork
from affect_lightning_plugins.speaker_detectors.trained_inputs import picture_scores, score_of

PUBLISHED = "finetuning_TalkSet.model"
PLACE = "the folder `weight` of the repository Junhua-Liao/Light-ASD"
_VERSION = 1  # of how crops and sound enter and how scores of pictures become one


class LightASDDetector(SpeakerDetector):
    """Light-ASD, a trained network: how surely the face speaks in its best quarter of the pictures, in logits."""

    def __init__(self, *, weights: str | None = None, threshold: float = 0.0, device: str = "cpu") -> None:
        """Name the weights; they are read at the first clip.

        Args:
            weights: The published file finetuning_TalkSet.model (docs/annotation.md says where it is), or one with the same
                tensors. It must be given.
            threshold: Least score of a speaker; 0 means as sure as not, the released program's.
            device: Where it computes: cpu or cuda.

        Raises:
            ConfigurationError: There is no such file.
        """
        self.threshold, self._device = threshold, device
        self._published = PublishedNetwork(LightASD, "Light-ASD", PUBLISHED, PLACE, weights, device)

    def score(self, clip: FaceWithSound) -> SpeakerScore:
        """The score that a quarter of the pictures reaches; see the contract."""
        return score_of(self.picture_scores(clip))

    def picture_scores(self, clip: FaceWithSound) -> np.ndarray:
        """Logits of speaking against silent for each picture that has sound, float32 [T]; above 0 for speaking."""
        return picture_scores(clip, self._judged)

    def _judged(self, pictures: Tensor, sound: Tensor) -> Tensor:
        logits: Tensor = self._published.network(pictures[None].to(self._device), sound[None].to(self._device))
        return logits[0]

    def identity(self) -> str:
        """`light-asd` with its version and the weights' digest."""
        return f"light-asd {_VERSION} {self._published.digest}"
