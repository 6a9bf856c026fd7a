"""Speaker detector `sync`: does the mouth move with the sound of the speech? No weights but those of a speech detector.

For the filter of paper, Section 2. The loudness of speech follows the opening of the mouth (Chandrasekaran et al., 2009, "The
natural statistics of audiovisual speech"). So loudness is predicted from what the mouth does, each eighth of the clip from
the others, and the score is how well that works. What is predicted was not learnt from, so it cannot profit from chance, as
a plain correlation with the best of many signals would. A mouth that hardly moves may fit by chance, so its score is
lowered. `mouth_motion.py` looks at the mouth, `speech_probability.py` listens. Legend: T pictures, K components, L lags.
"""

from __future__ import annotations

import numpy as np

from affect_lightning.contracts import FaceWithSound, SpeakerDetector, SpeakerScore
from affect_lightning.errors import ConfigurationError
from affect_lightning_plugins.speaker_detectors.mouth_motion import measure_mouth, quick_changes
from affect_lightning_plugins.speaker_detectors.speech_probability import CARRIER, FRAME, RATE, SpeechProbability

_VERSION = 1  # of the measurement
COMPONENTS = 4  # K, our choice: opening, width, and two for what differs between people
FOLDS = 8  # our choice
MARGIN = 3  # steps on either side of a part that are not learnt from, our choice: neighbours are nearly the same
RIDGE = 0.05  # of the components' mean energy, our choice
LEAST_SECONDS = 1.0  # of picture and sound together, our choice: three or four syllables
LEAST_SPEECH = 0.5  # seconds of speech, our choice: one syllable fits anything
# share of the contrast by which a talking mouth changes in 1/25 s at least; our choice (docs/annotation.md)
LIVELY = 0.035
SPEECH = 0.5  # probability from which on a moment is speech, the usual one of Silero VAD
TOO_SHORT, NO_SPEECH = "shorter than a second", "no speech"


class SyncDetector(SpeakerDetector):
    """Mouth motion against speech loudness: the correlation of loudness with what the mouth predicts, up to 1."""

    carrier = CARRIER

    def __init__(self, *, threshold: float = 0.65, most_lag: float = 0.2) -> None:
        """Find the speech detector's weights.

        Args:
            threshold: Least score of a speaker. 0.65 is between the two kinds of clips of the sandbox (docs/annotation.md);
                look at the scores of your own clips.
            most_lag: Seconds by which sound may be early or late; 0.2 is our choice: recordings are off by less.

        Raises:
            ConfigurationError: A package is missing, or an option is out of range.
        """
        if not -1.0 <= threshold <= 1.0:
            raise ConfigurationError(f"sync: threshold must be from -1 to 1; got {threshold:g}.")
        if not 0.0 <= most_lag <= 0.5:
            raise ConfigurationError(f"sync: most_lag must be from 0 to 0.5 seconds; got {most_lag:g}.")
        self.threshold, self._most_lag = threshold, most_lag
        self._speech = SpeechProbability()

    def score(self, clip: FaceWithSound) -> SpeakerScore:
        """The best correlation over the lags, less for a still mouth; see the contract."""
        lags = round(self._most_lag * clip.frame_rate)
        heard_pictures = int((len(clip.waveform) / clip.sample_rate - clip.start) * clip.frame_rate)
        pictures = min(len(clip.crops), heard_pictures)
        if pictures < LEAST_SECONDS * clip.frame_rate:
            return SpeakerScore(None, TOO_SHORT)
        probability = self._speech(clip.waveform)
        if (probability >= SPEECH).sum() * FRAME / RATE < LEAST_SPEECH:
            return SpeakerScore(None, NO_SPEECH)
        loudness = speech_loudness(clip, probability, pictures)
        mouth = measure_mouth(clip.crops[:pictures], COMPONENTS, clip.frame_rate)
        fit = float(np.max(lagged_fit(mouth.components, quick_changes(loudness, clip.frame_rate), lags)))
        return SpeakerScore(fit * min(1.0, mouth.liveliness / LIVELY))

    def identity(self) -> str:
        """`sync` with its version, options and the speech detector's weights."""
        return f"sync {_VERSION} most_lag={self._most_lag:g} {self._speech.identity()}"


def speech_loudness(clip: FaceWithSound, probability: np.ndarray, pictures: int) -> np.ndarray:
    """Loudness of the speech while each picture is shown [T]: the root of the amplitude, times the probability of speech.

    The root is near to how loud sounds seem; a plain amplitude would hear the loudest syllable only.
    """
    begins = np.round((clip.start + np.arange(pictures + 1) / clip.frame_rate) * clip.sample_rate).astype(int)
    energy = np.concatenate([[0.0], np.cumsum(clip.waveform.astype(np.float64) ** 2)])
    first, last = (np.minimum(edges, len(clip.waveform)) for edges in (begins[:-1], begins[1:]))
    amplitude = np.sqrt(np.maximum(energy[last] - energy[first], 0.0) / np.maximum(last - first, 1))
    middles = (first + last) / 2 / clip.sample_rate
    surely = np.interp(middles, (np.arange(len(probability)) + 0.5) * FRAME / RATE, probability)
    return np.asarray(np.sqrt(amplitude) * surely)


def lagged_fit(mouth: np.ndarray, loudness: np.ndarray, lags: int) -> np.ndarray:
    """How well the mouth predicts the loudness of other parts of the clip, at each lag.

    Args:
        mouth: Components [T, K].
        loudness: [T].
        lags: Most steps by which the sound may be early or late.

    Returns:
        Correlations, -1 to 1, from the earliest sound to the latest [L], L = 2 * lags + 1; 0 where either is constant.
    """
    steps = len(mouth)
    around = np.pad(loudness, lags, mode="edge")
    wanted = np.stack([around[lag : lag + steps] for lag in range(2 * lags + 1)], axis=1)
    predicted = np.zeros_like(wanted)
    ridge = RIDGE * float((mouth**2).sum()) / mouth.shape[1] + 1e-12
    for part in np.array_split(np.arange(steps), FOLDS):
        learnt = np.concatenate([np.arange(max(0, part[0] - MARGIN)), np.arange(part[-1] + MARGIN + 1, steps)])
        known, middle = mouth[learnt], mouth[learnt].mean(axis=0)
        known = known - middle
        square = known.T @ known + ridge * np.eye(mouth.shape[1])
        weights = np.linalg.solve(square, known.T @ (wanted[learnt] - wanted[learnt].mean(axis=0)))
        predicted[part] = (mouth[part] - middle) @ weights
    return _correlation(predicted, wanted)


def _correlation(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Of each column of two tables [T, L]."""
    first, second = first - first.mean(axis=0), second - second.mean(axis=0)
    sizes = np.sqrt((first**2).sum(axis=0) * (second**2).sum(axis=0))
    return np.asarray(np.where(sizes > 1e-9, (first * second).sum(axis=0) / np.maximum(sizes, 1e-9), 0.0))
