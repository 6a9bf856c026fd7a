"""What a face does over time: FACS action units with onset, apex and offset, blinks and head motion.

The cues that MER-Caption's descriptions cite are of this kind ("raised brows", "corners of the mouth turned up"). A
face code of the script becomes one `ActionUnits` a frame; `face_features.py` draws them. The amplitudes are our choice:
bold, so that an image encoder trained on photographs sees them on a crop of 112 pixels at the weakest intensity.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from affect_lightning.sandbox.emotions import FaceCode

FRAMES_PER_SECOND = 25
SHORTEST_FRAMES, LONGEST_FRAMES = 2 * FRAMES_PER_SECOND, 5 * FRAMES_PER_SECOND
"""Of a clip (our choice)."""
FRAMES_PER_POSE = 2
"""Heads are drawn again for every second picture, as animators do, and moved in every one; this saves a third of the time."""
LEAST_STRENGTH = 0.25
"""Of an expression at the ends of a clip, as a share of its apex (our choice)."""
ONSET_STARTS = (-0.15, 0.0)
"""Seconds from the clip's start, drawn evenly (our choice)."""
OFFSET_DELAYS = (0.0, 0.15)
"""Seconds from the clip's end, drawn evenly (our choice)."""
RAMP_SECONDS = (0.2, 0.4)
"""Length of onset and offset, drawn evenly (our choice)."""


@dataclass(frozen=True)
class ActionUnits:
    """Activations of one frame, 0 (absent) to about 1 (extreme), by their numbers in the Facial Action Coding System.

    Attributes:
        au1: Inner brow raiser.
        au2: Outer brow raiser.
        au4: Brow lowerer.
        au5: Upper lid raiser.
        au6: Cheek raiser.
        au7: Lid tightener.
        au9: Nose wrinkler.
        au12: Lip corner puller.
        au15: Lip corner depressor.
        au26: Jaw drop.
        au45: Blink.
        speech: Opening of the mouth by speech, 0 to 1.
        asymmetry: Share by which the left half of the face does more than the right half.
    """

    au1: float = 0.0
    au2: float = 0.0
    au4: float = 0.0
    au5: float = 0.0
    au6: float = 0.0
    au7: float = 0.0
    au9: float = 0.0
    au12: float = 0.0
    au15: float = 0.0
    au26: float = 0.0
    au45: float = 0.0
    speech: float = 0.0
    asymmetry: float = 0.0


#: Action units of each face code at full intensity. EMFACS combinations; the finer amplitudes are our choice.
FACE_CODES: dict[FaceCode, dict[str, float]] = {
    "rest": {},
    "distressed": {"au1": 1.0, "au4": 0.75, "au7": 0.25, "au15": 1.0},
    "smile": {"au6": 1.0, "au9": 0.1, "au12": 1.0},
    "wide": {"au1": 0.9, "au2": 1.0, "au5": 1.0, "au26": 1.0},
}


def expression_strength(
    times: np.ndarray, end: float, onset: tuple[float, float], offset: tuple[float, float]
) -> np.ndarray:
    """Strength of an expression at some moments of a clip, as a share of its apex.

    Args:
        times: [T] in seconds from the clip's start.
        end: Of the clip, in seconds.
        onset: When the rise starts, and how long it lasts, in seconds.
        offset: How long after the clip's end the fall ends, and how long it lasts, in seconds.

    Returns:
        [T] in `LEAST_STRENGTH` to 1.
    """
    rise = np.clip((times - onset[0]) / onset[1], 0.0, 1.0)
    fall = np.clip((end + offset[0] - times) / offset[1], 0.0, 1.0)
    ramp = np.minimum(rise, fall)
    return LEAST_STRENGTH + (1.0 - LEAST_STRENGTH) * 0.5 * (1.0 - np.cos(np.pi * ramp))


def apex_envelope(frames: int, generator: np.random.Generator) -> np.ndarray:
    """Strength of an expression over a clip: a quick onset, a long apex, a partial offset at the end.

    The ramps and the strength left at the ends are our choice: most of the clip, and so nearly all of the eight frames
    that the model sees (section 3.3 of the paper), lies in the apex. `seen_frames.py` says what follows for other numbers.

    Args:
        frames: T, the clip's frames.
        generator: Source of the moments.

    Returns:
        [T] in 0.25 to 1.
    """
    times = np.arange(frames) / FRAMES_PER_SECOND
    onset = generator.uniform(*ONSET_STARTS), generator.uniform(*RAMP_SECONDS)
    offset = generator.uniform(*OFFSET_DELAYS), generator.uniform(*RAMP_SECONDS)
    return expression_strength(times, frames / FRAMES_PER_SECOND, onset, offset)


def pose_of(frame: int) -> int:
    """The frame whose face is seen in this frame."""
    return frame - frame % FRAMES_PER_POSE


def blink_track(frames: int, generator: np.random.Generator) -> np.ndarray:
    """Closure of the lids by blinks of about 0.2 s, one every 1.5 to 4 s.

    Args:
        frames: T.
        generator: Source of the moments.

    Returns:
        [T] in 0 to 1.
    """
    track = np.zeros(frames)
    moment = generator.uniform(0.3, 2.5) * FRAMES_PER_SECOND
    while moment < frames:
        track = np.maximum(track, np.clip(1.35 - np.abs(np.arange(frames) - moment) / 2.0, 0.0, 1.0))
        moment += generator.uniform(1.5, 4.0) * FRAMES_PER_SECOND
    return track


def smooth_sway(frames: int, generator: np.random.Generator) -> np.ndarray:
    """A slow random motion made of three sines of 0.15 to 0.9 Hz.

    Args:
        frames: T.
        generator: Source of frequencies and phases.

    Returns:
        [T] within -1 to 1.
    """
    times = np.arange(frames) / FRAMES_PER_SECOND
    track = np.zeros(frames)
    for weight, low, high in ((0.55, 0.15, 0.3), (0.3, 0.3, 0.55), (0.15, 0.55, 0.9)):
        frequency, phase = generator.uniform(low, high), generator.uniform(0.0, 2.0 * np.pi)
        track += weight * np.sin(2.0 * np.pi * frequency * times + phase)
    return track


def perform_face_code(
    code: FaceCode, intensity: float, speech: np.ndarray, generator: np.random.Generator
) -> list[ActionUnits]:
    """The action units of every frame of a clip.

    Args:
        code: What the face shows.
        intensity: Strength, 0.4 to 1; the drawn strength is 0.5 + 0.5 * intensity (our choice).
        speech: [T] opening of the mouth by speech, 0 to 1.
        generator: Source of timing, blinks and of the small differences between two performances.

    Returns:
        T activations.
    """
    frames = len(speech)
    envelope = apex_envelope(frames, generator) * (0.5 + 0.5 * intensity)
    blinks = blink_track(frames, generator)
    asymmetry = float(generator.uniform(-0.08, 0.08))
    variation = {f"au{number}": float(generator.uniform(0.9, 1.1)) for number in (1, 2, 4, 5, 6, 7, 9, 12, 15, 26)}
    peaks = {unit: peak * variation[unit] for unit, peak in FACE_CODES[code].items()}
    return [
        ActionUnits(
            **{unit: peak * float(envelope[frame]) for unit, peak in peaks.items()},
            au45=float(blinks[frame]),
            speech=float(speech[frame]),
            asymmetry=asymmetry,
        )
        for frame in range(frames)
    ]
