"""What trained speaker detectors get and give: grey mouths, sound in step with them, one score out of many (ours).

Light-ASD took its demonstration program from TalkNet, so both cut the same square out of a face and hear the same
coefficients. `light_asd.py` and `talknet.py` ask here. Legend: T pictures, F = 4 T steps of sound.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from affect_lightning.contracts import FaceWithSound, SpeakerScore
from affect_lightning.contracts.speakers import CROP_SIDE
from affect_lightning_plugins.speaker_detectors.cepstral import coefficients

SIDE = 112  # pixels of a picture
COEFFICIENTS = 13  # MFCCs of a step of sound
STEPS_PER_PICTURE = 4  # 100 steps of sound and 25 pictures a second
_MEAN, _DEVIATION = 0.4161, 0.1688  # of grey values in [0, 1], the released settings of both
# The released demonstrations cut the middle half of a crop that reaches from half a face above the face's middle to 0.9 below
# it. In our crops, which are 1.4 faces wide, that is a square of exactly 112 pixels, 0.2 of a face below the middle.
LEFT = (CROP_SIDE - SIDE) // 2
TOP = LEFT + round(0.2 * CROP_SIDE / 1.4)
SPEAKING_SHARE = 0.25  # our choice: whoever speaks in a quarter of the pictures is the speaker; people pause
LEAST_PICTURES = 5  # our choice: the networks look at two pictures on either side of each
MOST_PICTURES = 500  # 20 s, as many as the stage follows a face; bounds the memory
TOO_SHORT = "shorter than 0.2 seconds"

Judge = Callable[[Tensor, Tensor], Tensor]
"""Grey pictures [T, SIDE, SIDE] and coefficients [F, COEFFICIENTS] to logits of silent and speaking [T, 2]."""


def normalised(pictures: Tensor) -> Tensor:
    """Grey values of 0 to 255 as both networks were trained on them; any shape."""
    return (pictures / 255.0 - _MEAN) / _DEVIATION


def picture_scores(clip: FaceWithSound, judge: Judge) -> np.ndarray:
    """Log odds of speaking for each picture that has sound, float32 [T]; above 0 for speaking."""
    sound = clip.waveform[round(clip.start * clip.sample_rate) :]
    features = coefficients(sound) if len(sound) else np.zeros((0, COEFFICIENTS), np.float32)
    pictures = min(len(clip.crops), len(features) // STEPS_PER_PICTURE, MOST_PICTURES)
    if not pictures:
        return np.zeros(0, np.float32)
    grey = torch.from_numpy(grey_faces(clip.crops[:pictures]))
    heard = torch.from_numpy(features[: pictures * STEPS_PER_PICTURE])
    with torch.inference_mode():
        logits = judge(grey, heard)
    return (logits[:, 1] - logits[:, 0]).float().cpu().numpy()


def score_of(log_odds: np.ndarray) -> SpeakerScore:
    """The log odds that a quarter of the pictures reaches; none for fewer than LEAST_PICTURES of them."""
    if len(log_odds) < LEAST_PICTURES:
        return SpeakerScore(None, TOO_SHORT)
    return SpeakerScore(float(np.quantile(log_odds, 1 - SPEAKING_SHARE)))


def grey_faces(crops: np.ndarray) -> np.ndarray:
    """The part of crops that the networks look at, float32 [T, SIDE, SIDE], 0 to 255."""
    import cv2

    cut = crops[:, TOP : TOP + SIDE, LEFT : LEFT + SIDE]
    return np.stack([cv2.cvtColor(np.ascontiguousarray(crop), cv2.COLOR_RGB2GRAY) for crop in cut]).astype(np.float32)
