"""Folds of a cross-validation in which every class has its share, and the part of a training that watches it.

Seeded and free of any library, so that the same clips in the same order have the same folds everywhere.
"""

from __future__ import annotations

import random
from collections.abc import Hashable, Sequence


def stratified_folds(strata: Sequence[Hashable], folds: int, seed: int) -> list[int]:
    """The fold of each clip; in every two folds the clips of a stratum differ by at most one, and so do all clips.

    Args:
        strata: What must be spread evenly, such as the class; one a clip.
        folds: Number of folds.
        seed: Of the shuffling.

    >>> sorted(stratified_folds(["sad"] * 2 + ["happy"] * 2, 2, seed=0)[:2])
    [0, 1]
    """
    places: dict[Hashable, list[int]] = {}
    for place, stratum in enumerate(strata):
        places.setdefault(stratum, []).append(place)
    draw = random.Random(seed)
    fold_of = [0] * len(strata)
    dealt = 0
    for stratum in sorted(places, key=repr):
        draw.shuffle(places[stratum])
        for place in places[stratum]:  # dealt like cards: the next stratum begins where this one ended
            fold_of[place] = dealt % folds
            dealt += 1
    return fold_of


def watched_part(strata: Sequence[Hashable], folds: int, seed: int) -> tuple[list[int], list[int]]:
    """Positions that are learnt from and positions that only decide when to stop: one of `folds` parts of each stratum.

    A stratum with fewer clips than folds is learnt from whole, because nothing else would know it. If that leaves nothing
    to watch, one clip is watched.

    >>> learnt, watched = watched_part(["sad"] * 10 + ["rare"], 5, seed=0)
    >>> len(learnt), len(watched), 10 in learnt
    (9, 2, True)
    """
    places: dict[Hashable, list[int]] = {}
    for place, stratum in enumerate(strata):
        places.setdefault(stratum, []).append(place)
    draw = random.Random(seed)
    watched: list[int] = []
    for stratum in sorted(places, key=repr):
        draw.shuffle(places[stratum])
        watched += places[stratum][: len(places[stratum]) // folds]
    watched = watched or [draw.randrange(len(strata))]
    kept = set(watched)
    return [place for place in range(len(strata)) if place not in kept], sorted(watched)
