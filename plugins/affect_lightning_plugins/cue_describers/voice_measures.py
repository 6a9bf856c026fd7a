"""How a voice sounds, in numbers: pitch, loudness, syllables a second, pauses (for the describer `signal`; ours).

Pitch is YIN's (de Cheveigne and Kawahara 2002) by librosa; a frame counts as voice where it is loud enough and its pitch
is inside the range of speech. Syllables are peaks of loudness (Mermelstein 1975), pauses are silences inside speech.
Legend: S audio samples, F analysis frames.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

FRAME, HOP = 1024, 256  # samples: 64 and 16 ms at 16 kHz
LOWEST, HIGHEST = 65.0, 500.0  # Hz, pitch of speech
SILENT = -55.0  # dB of full scale, below which nothing is a voice
BELOW_LOUDEST = 25.0  # dB under the clip's loud parts from which on a frame is silence
SHORTEST_PAUSE = 0.25  # seconds; stops inside words are shorter
PEAK = 3.0  # dB that a syllable stands out


@dataclass(frozen=True)
class VoiceMeasures:
    """What was measured.

    Attributes:
        level: Median loudness of the voice in dB of full scale.
        pitch: Median in Hz; None where there is no voice.
        spread: Standard deviation of the pitch in semitones.
        slope: Semitones from the first to the last third of the voice.
        rate: Syllables a second of speech, pauses left out.
        pauses: Number of silences inside the speech.
        longest_pause: In seconds.
    """

    level: float
    pitch: float | None
    spread: float
    slope: float
    rate: float
    pauses: int
    longest_pause: float


def measure_voice(sound: np.ndarray, sample_rate: int) -> VoiceMeasures:
    """Measure a clip's sound.

    Args:
        sound: float32 [S] in [-1, 1].
        sample_rate: In Hz.
    """
    import librosa

    padded = np.pad(sound.astype(np.float32), (0, max(0, 2 * FRAME - len(sound))))
    power = librosa.feature.rms(y=padded, frame_length=FRAME, hop_length=HOP)[0]
    levels = 20 * np.log10(np.maximum(power, 1e-6))  # [F]
    active = levels > max(SILENT, float(np.percentile(levels, 95)) - BELOW_LOUDEST)
    pitches = librosa.yin(padded, fmin=LOWEST, fmax=HIGHEST, sr=sample_rate, frame_length=2 * FRAME, hop_length=HOP)
    count = min(len(levels), len(pitches))
    levels, active, pitches = levels[:count], active[:count], pitches[:count]
    voiced = active & (pitches > LOWEST * 1.03) & (pitches < HIGHEST * 0.97)
    if voiced.sum() < 3:
        return VoiceMeasures(float(levels.max()), None, 0.0, 0.0, 0.0, 0, 0.0)
    semitones = 12 * np.log2(pitches[voiced] / LOWEST)
    third = max(1, len(semitones) // 3)
    seconds = HOP / sample_rate
    silences = _silences(active)
    pauses = [length for length in silences if length * seconds >= SHORTEST_PAUSE]
    return VoiceMeasures(
        level=float(np.median(levels[active])),
        pitch=float(np.median(pitches[voiced])),
        spread=float(np.std(semitones)),
        slope=float(np.median(semitones[-third:]) - np.median(semitones[:third])),
        rate=_peaks(levels, active) / max(float(active.sum()) * seconds, seconds),
        pauses=len(pauses),
        longest_pause=max(pauses, default=0) * seconds,
    )


def _silences(active: np.ndarray) -> list[int]:
    """Lengths in frames of what is silent between the first and the last active frame."""
    places = np.flatnonzero(active)
    return [int(step) - 1 for step in np.diff(places) if step > 1]


def _peaks(levels: np.ndarray, active: np.ndarray) -> int:
    """Peaks of loudness that stand out from the dips on both sides."""
    peaks, lowest, highest, rising = 0, float(levels[0]), float(levels[0]), True
    for level, is_active in zip(levels.tolist(), active.tolist(), strict=True):
        if rising:
            highest = max(highest, level)
            if level < highest - PEAK:
                peaks += 1
                rising, lowest = False, level
        else:
            lowest = min(lowest, level)
            if is_active and level > lowest + PEAK:
                rising, highest = True, level
    return peaks + int(rising and highest - lowest > PEAK)
