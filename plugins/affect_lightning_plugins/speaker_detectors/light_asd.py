"""Speaker detector `light-asd`: Light-ASD (Liao et al., CVPR 2023) with its published weights, given by the user.

Paper, Section 2: MER-Caption keeps clips whose speaker is seen, found by active-speaker detection. The published file of
4 MB (`finetuning_TalkSet.model`, MIT) is trained on TalkSet: pictures of faces with their own and with other voices. Nothing
is downloaded. `light_asd_network.py` is the network, `cepstral.py` makes its sound features. Legend: T pictures.
"""

from __future__ import annotations

import hashlib
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from affect_lightning.contracts import FaceWithSound, SpeakerDetector, SpeakerScore
from affect_lightning.contracts.speakers import CROP_SIDE
from affect_lightning.errors import ConfigurationError
from affect_lightning.weights import compare_weights
from affect_lightning_plugins.speaker_detectors.cepstral import coefficients
from affect_lightning_plugins.speaker_detectors.light_asd_network import SIDE, STEPS_PER_PICTURE, LightASD
from affect_lightning_plugins.weights_files import read_weights

PUBLISHED = "finetuning_TalkSet.model"
_VERSION = 1  # of how crops and sound enter and how scores of pictures become one
# The released demonstration cuts the middle half of a crop that reaches from half a face above the face's middle to 0.9 below
# it. In our crops, which are 1.4 faces wide, that is a square of exactly 112 pixels, 0.2 of a face below the middle.
_LEFT = (CROP_SIDE - SIDE) // 2
_TOP = _LEFT + round(0.2 * CROP_SIDE / 1.4)
SPEAKING_SHARE = 0.25  # our choice: whoever speaks in a quarter of the pictures is the speaker; people pause
LEAST_PICTURES = 5  # our choice: the network looks at two pictures on either side of each
MOST_PICTURES = 500  # at once: 20 s; bounds the memory
TOO_SHORT = "shorter than 0.2 seconds"


class LightASDDetector(SpeakerDetector):
    """Light-ASD, a trained network: how surely the face speaks in its best quarter of the pictures, in logits."""

    def __init__(self, *, weights: str, threshold: float = 0.0, device: str = "cpu") -> None:
        """Name the weights; they are read at the first clip.

        Args:
            weights: The published file finetuning_TalkSet.model (docs/annotation.md says where it is), or one with the same
                tensors.
            threshold: Least score of a speaker; 0 means as sure as not, the released program's.
            device: Where it computes: cpu or cuda.

        Raises:
            ConfigurationError: There is no such file.
        """
        self.threshold, self._device = threshold, device
        self._file = Path(weights).expanduser()
        if not self._file.is_file():
            raise ConfigurationError(
                f"Give the file {PUBLISHED} of the Light-ASD repository as `weights`: there is no file {weights}. "
                f"docs/annotation.md says where it is."
            )

    @cached_property
    def _network(self) -> LightASD:
        stored = read_weights(self._file)
        network = LightASD()
        differences = compare_weights(stored, network.state_dict())
        differences.refuse(str(self._file), "Light-ASD", f"Give the published {PUBLISHED}.", ConfigurationError)
        network.load_state_dict(stored)
        return network.eval().to(self._device)

    def score(self, clip: FaceWithSound) -> SpeakerScore:
        """The score that a quarter of the pictures reaches; see the contract."""
        logits = self.picture_scores(clip)
        if len(logits) < LEAST_PICTURES:
            return SpeakerScore(None, TOO_SHORT)
        return SpeakerScore(float(np.quantile(logits, 1 - SPEAKING_SHARE)))

    def picture_scores(self, clip: FaceWithSound) -> np.ndarray:
        """Logits of speaking against silent for each picture that has sound, float32 [T]; above 0 for speaking."""
        sound = clip.waveform[round(clip.start * clip.sample_rate) :]
        features = coefficients(sound) if len(sound) else np.zeros((0, 1), np.float32)
        pictures = min(len(clip.crops), len(features) // STEPS_PER_PICTURE, MOST_PICTURES)
        if not pictures:
            return np.zeros(0, np.float32)
        grey = torch.from_numpy(grey_faces(clip.crops[:pictures]))
        heard = torch.from_numpy(features[: pictures * STEPS_PER_PICTURE])
        with torch.inference_mode():
            logits: Tensor = self._network(grey[None].to(self._device), heard[None].to(self._device))[0]
        return (logits[:, 1] - logits[:, 0]).float().cpu().numpy()

    def identity(self) -> str:
        """`light-asd` with its version and the weights' digest."""
        return f"light-asd {_VERSION} {hashlib.sha256(self._file.read_bytes()).hexdigest()[:12]}"


def grey_faces(crops: np.ndarray) -> np.ndarray:
    """The part of crops that the network looks at, float32 [T, SIDE, SIDE], 0 to 255."""
    import cv2

    cut = crops[:, _TOP : _TOP + SIDE, _LEFT : _LEFT + SIDE]
    return np.stack([cv2.cvtColor(np.ascontiguousarray(crop), cv2.COLOR_RGB2GRAY) for crop in cut]).astype(np.float32)
