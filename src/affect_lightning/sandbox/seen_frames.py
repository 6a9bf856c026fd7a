"""What a number of frames can show of a face, from the timeline of the generator: said before anything is trained.

Paper: Figure 10 (the number of sampled frames). `action_units.py` has the timeline: an expression rises within 0.4 s, stays
at its apex, and falls in the last 0.4 s, but never below a quarter. `data.frame_choice` chooses the frames. `generation.py`
writes the statement into `corpus.json`, beside the bounds of `priors.py`.
"""

from __future__ import annotations

from functools import cache
from typing import Any, get_args

import numpy as np

from affect_lightning.data.frame_choice import FrameChoice, uniform_indices
from affect_lightning.sandbox.action_units import (
    FRAMES_PER_SECOND,
    LONGEST_FRAMES,
    OFFSET_DELAYS,
    ONSET_STARTS,
    RAMP_SECONDS,
    SHORTEST_FRAMES,
    expression_strength,
    pose_of,
)
from affect_lightning.sandbox.priors import score_bounds

FRAME_COUNTS = (1, 2, 4, 8, 16, 32, 64)
"""Of the statement: those of Figure 10, and one frame."""
STATEMENT = (
    "A face shows its expression in every frame, at the strength given here or more: the least strength, as a share of the "
    "apex, of the best of the chosen frames, in the shortest to the longest clip and at the latest onset. So the bounds "
    "of each subset of the modalities are the same for every number of frames: more frames can make an expression easier "
    "to learn or to read, but they show nothing that one frame does not."
)


@cache
def least_strength(count: int, choice: FrameChoice) -> float:
    """The strength that the best of the chosen frames has at least, as a share of the apex.

    Args:
        count: T, the frames that are chosen.
        choice: Which frame of each of T equal parts.

    Example:
        >>> least_strength(1, "middle"), least_strength(1, "first")
        (1.0, 0.25)
    """
    late = (ONSET_STARTS[1], RAMP_SECONDS[1]), (OFFSET_DELAYS[0], RAMP_SECONDS[1])  # least of every moment
    strengths = []
    for frames in range(SHORTEST_FRAMES, LONGEST_FRAMES + 1):
        shown = [pose_of(int(frame)) for frame in uniform_indices(frames, count, choice)]
        strength = expression_strength(np.array(shown) / FRAMES_PER_SECOND, frames / FRAMES_PER_SECOND, *late)
        strengths.append(float(strength.max()))
    return min(strengths)


def frames_report() -> dict[str, Any]:
    """The statement with its figures, as it stands in `corpus.json`.

    Returns:
        `least_strength` by choice and number of frames, and `mean_scores`: the best mean of each subset of the modalities,
        by number of frames. A number that might show no expression at all would have no scores.
    """
    strengths = {choice: {str(count): least_strength(count, choice) for count in FRAME_COUNTS} for choice in _CHOICES}
    mean = {name: round(score, 6) for name, score in score_bounds()["mean"].items()}
    seen = [str(count) for count in FRAME_COUNTS if all(least_strength(count, choice) > 0.0 for choice in _CHOICES)]
    return {
        "statement": STATEMENT,
        "least_strength": {
            choice: {count: round(strength, 6) for count, strength in row.items()} for choice, row in strengths.items()
        },
        "mean_scores": dict.fromkeys(seen, mean),
    }


_CHOICES: tuple[FrameChoice, ...] = get_args(FrameChoice)
