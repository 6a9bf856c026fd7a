"""Figures of a study with raters: Wilson's interval, Bradley and Terry's strengths, Krippendorff's alpha.

Paper: Table 7 gives shares of wins, losses and ties of one data set against another, without intervals; these are added here.
`preferences.py` brings the verdicts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

NORMAL_95 = 1.959963984540054  # standard deviations of a Gaussian on each side that hold 95%
_PRIOR = 0.5  # wins added to each side of each pair of sources that met, so that a source that never loses has a finite strength
_STEPS = 1000  # of the iteration, at most; two sources need one
_SMALL = 1e-12  # change of a strength from which on the iteration has ended


def wilson_interval(successes: int, trials: int) -> tuple[float, float] | None:
    """Wilson's 95% interval of a share (1927); None without trials.

    >>> tuple(round(bound, 4) for bound in wilson_interval(226, 286))
    (0.7393, 0.8334)
    """
    if not trials:
        return None
    share, squared = successes / trials, NORMAL_95**2
    centre = (share + squared / (2 * trials)) / (1 + squared / trials)
    half = NORMAL_95 / (1 + squared / trials) * (share * (1 - share) / trials + squared / (4 * trials**2)) ** 0.5
    return max(0.0, centre - half), min(1.0, centre + half)


def bradley_terry(games: Sequence[tuple[str, str, str | None]]) -> dict[str, dict[str, Any]]:
    """Strengths of sources out of comparisons of two (Bradley and Terry 1952; iteration of Hunter 2004).

    Args:
        games: Two sources, and the better one; None for a tie, which is half a win for each.

    Returns:
        By source: `strength`, the natural logarithm with mean 0 over the sources, and `interval`, 95% from the curvature of the
        likelihood. The chance that one beats another is 1 / (1 + exp(their difference)). Half a win is added to each
        side of each two sources that met. Sources that were never compared, not even through others, have no common
        scale; the figures then hold within each group.
    """
    names = sorted({name for game in games for name in game[:2]})
    place = {name: number for number, name in enumerate(names)}
    wins = np.zeros((len(names), len(names)))
    for first, second, winner in games:
        one, two = place[first], place[second]
        wins[one, two] += 0.5 if winner is None else float(winner == first)
        wins[two, one] += 0.5 if winner is None else float(winner == second)
    met = (wins + wins.T) > 0
    wins[met] += _PRIOR
    logs = np.log(_strengths(wins))
    deviations = np.sqrt(np.diag(_covariance(wins, logs)))
    return {
        name: {
            "strength": float(logs[number]),
            "interval": (
                float(logs[number] - NORMAL_95 * deviations[number]),
                float(logs[number] + NORMAL_95 * deviations[number]),
            ),
        }
        for name, number in place.items()
    }


def _strengths(wins: np.ndarray[Any, np.dtype[np.float64]]) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Strengths with geometric mean 1 of which the wins are likeliest."""
    games, total = wins + wins.T, wins.sum(1)
    strengths = np.ones(len(wins))
    for _ in range(_STEPS):
        expected = games / (strengths[:, None] + strengths[None, :])
        new = total / expected.sum(1)
        new /= np.exp(np.log(new).mean())
        change = np.abs(np.log(new) - np.log(strengths)).max()
        strengths = new
        if change < _SMALL:
            break
    return strengths


def _covariance(
    wins: np.ndarray[Any, np.dtype[np.float64]], logs: np.ndarray[Any, np.dtype[np.float64]]
) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Covariance of the logarithms, whose mean is held at 0: pseudo-inverse of the information."""
    chance = 1 / (1 + np.exp(logs[None, :] - logs[:, None]))
    weight = (wins + wins.T) * chance * (1 - chance)
    return np.asarray(np.linalg.pinv(np.diag(weight.sum(1)) - weight))


def krippendorff_alpha(units: Sequence[Sequence[str]]) -> float | None:
    """Krippendorff's alpha of nominal values (2011): 1 is full agreement, 0 what chance gives.

    Args:
        units: The values that each unit got, one a rater who judged it.

    Returns:
        None where no unit has two values, or all values are the same.

    >>> krippendorff_alpha([["a", "a"], ["b", "b"]]), krippendorff_alpha([["a"], ["b"]])
    (1.0, None)
    """
    pairable = [Counter(values) for values in units if len(values) > 1]
    totals: Counter[str] = Counter()
    differing = 0.0
    for counts in pairable:
        number = counts.total()
        totals.update(counts)
        differing += (number**2 - sum(count**2 for count in counts.values())) / (number - 1)
    number = totals.total()
    expected = (number**2 - sum(count**2 for count in totals.values())) / (number - 1) if number else 0.0
    return 1.0 - differing / expected if expected else None
