"""Speaker detector `talknet`: TalkNet (Tao et al., ACM Multimedia 2021) with its published weights, given by the user.

Paper, Section 2: MER-Caption keeps clips whose speaker is seen, found by active-speaker detection. TalkNet looks at whole
seconds instead of single moments. Its authors publish `pretrain_TalkSet.model` (for any video) and `pretrain_AVA.model`; both
fill the same network. Nothing is downloaded. `talknet_network.py` is the network; `trained_inputs.py` prepares pictures and
sound. Legend: T pictures, F = 4 T steps of sound.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from affect_lightning.contracts import FaceWithSound, SpeakerDetector, SpeakerScore
from affect_lightning.errors import ConfigurationError
from affect_lightning_plugins.speaker_detectors.published_networks import PublishedNetwork
from affect_lightning_plugins.speaker_detectors.talknet_network import TalkNet
from affect_lightning_plugins.speaker_detectors.trained_inputs import (
    MOST_PICTURES,
    STEPS_PER_PICTURE,
    picture_scores,
    score_of,
)

PUBLISHED = "pretrain_TalkSet.model"
PLACE = "the Google Drive folder to which demoTalkNet.py of the repository TaoRuijie/TalkNet-ASD links"
PIECES = (1, 2, 3, 4, 5, 6)  # seconds, as in the released demonstration
_VERSION = 1  # of how crops and sound enter and how scores of pictures become one
_LONGEST = MOST_PICTURES // 25  # seconds


class TalkNetDetector(SpeakerDetector):
    """TalkNet, a trained network: how surely the face speaks in its best quarter of the pictures, in logits."""

    def __init__(
        self,
        *,
        weights: str | None = None,
        threshold: float = 0.0,
        pieces: Sequence[int] = PIECES,
        device: str = "cpu",
    ) -> None:
        """Name the weights; they are read at the first clip.

        Args:
            weights: The published file pretrain_TalkSet.model (docs/annotation.md says where it is), or one with the same
                tensors. It must be given.
            threshold: Least score of a speaker; 0 means as sure as not, the released program's.
            pieces: Lengths in whole seconds. The clip is judged in pieces of each length, and the scores of a picture are
                averaged. 1 to 6 are the released program's; one length alone is several times faster.
            device: Where it computes: cpu or cuda.

        Raises:
            ConfigurationError: There is no such file, or a length is no number of seconds from 1 to 20.
        """
        if not pieces or not all(1 <= seconds <= _LONGEST for seconds in pieces):
            raise ConfigurationError(
                f"talknet: pieces must be lengths from 1 to {_LONGEST} seconds, such as [1, 2, 3]; got {list(pieces)}."
            )
        self.threshold, self._device, self._pieces = threshold, device, tuple(pieces)
        self._published = PublishedNetwork(TalkNet, "TalkNet", PUBLISHED, PLACE, weights, device)

    def score(self, clip: FaceWithSound) -> SpeakerScore:
        """The score that a quarter of the pictures reaches; see the contract."""
        return score_of(self.picture_scores(clip))

    def picture_scores(self, clip: FaceWithSound) -> np.ndarray:
        """Logits of speaking against silent for each picture that has sound, float32 [T]; above 0 for speaking."""
        return picture_scores(clip, self._judged)

    def _judged(self, pictures: Tensor, sound: Tensor) -> Tensor:
        """The mean logits [T, 2] over the lengths of the pieces; a length that is longer than the clip is the whole clip."""
        lengths = [min(round(seconds * self.frame_rate), len(pictures)) for seconds in self._pieces]
        judged = {length: self._in_pieces(pictures, sound, length) for length in dict.fromkeys(lengths)}
        return torch.stack([judged[length] for length in lengths]).mean(dim=0)

    def _in_pieces(self, pictures: Tensor, sound: Tensor, length: int) -> Tensor:
        """Logits [T, 2] from pieces of so many pictures, each with its own sound."""
        seen = pictures.split(length)
        heard = sound.split(length * STEPS_PER_PICTURE)
        network, device = self._published.network, self._device
        return torch.cat([network(p[None].to(device), s[None].to(device))[0] for p, s in zip(seen, heard, strict=True)])

    def identity(self) -> str:
        """`talknet` with its version, the lengths of its pieces and the weights' digest."""
        return f"talknet {_VERSION} pieces={','.join(map(str, self._pieces))} {self._published.digest}"
