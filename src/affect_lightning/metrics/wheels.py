"""Emotion wheels: rings of emotion words, from a few inner sectors to many outer words.

MER-UniBench scores on five published wheels (paper, section 4 and Appendix K) at two levels: level 1 takes the inner
ring's names as sectors, level 2 the middle ring's. `taxonomy.py` combines the wheels with word forms and synonyms.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from affect_lightning.errors import DataError

LEVELS = (1, 2)
# One colour for one feeling on all wheels, so that they can be compared.
_COLOURS = {
    "happy": "#f2b632",
    "joyful": "#f2b632",
    "joy": "#f2b632",
    "sad": "#4f83cc",
    "mad": "#d9503f",
    "angry": "#d9503f",
    "anger": "#d9503f",
    "fearful": "#8e63b8",
    "scared": "#8e63b8",
    "fear": "#8e63b8",
    "disgusted": "#6d9a4a",
    "disgust": "#6d9a4a",
    "surprised": "#ee8a3c",
    "powerful": "#c65b93",
    "genius": "#c65b93",
    "peaceful": "#3fa79b",
    "bad": "#8a8f98",
}
_OTHER_COLOURS = ("#b08968", "#5f9ea0", "#a2a83a", "#c08497")


def sector_colours(sectors: Sequence[str]) -> dict[str, str]:
    """A colour for each inner sector of a wheel, to draw it: a feeling has the same one on every wheel.

    >>> sector_colours(["mad", "curious"])
    {'mad': '#d9503f', 'curious': '#b08968'}
    """
    unnamed = iter(_OTHER_COLOURS * len(sectors))
    return {name: _COLOURS.get(name) or next(unnamed) for name in sectors}


@dataclass(frozen=True)
class Wheel:
    """One wheel as the two maps that scoring needs.

    Attributes:
        inner: Every word of the wheel to the name of its inner sector (level 1).
        middle: Every word of the wheel to the name of its middle sector (level 2).
    """

    inner: Mapping[str, str]
    middle: Mapping[str, str]
    _sector_numbers: tuple[dict[str, int], ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if set(self.inner) != set(self.middle) or not self.inner:
            only = sorted(set(self.inner) ^ set(self.middle))[:5]
            raise DataError(f"A wheel must have every word on both levels; got words on one level only: {only}.")
        numbers = tuple(
            {name: number for number, name in enumerate(sorted(set(sectors.values())))}
            for sectors in (self.inner, self.middle)
        )
        object.__setattr__(self, "_sector_numbers", numbers)

    @classmethod
    def from_rows(cls, rows: Iterable[tuple[str, str, str]]) -> Wheel:
        """Build a wheel from its outer words.

        Args:
            rows: `(inner, middle, outer)` name of each outer word, in the wheel's order.

        Returns:
            The wheel. A word that stands in several places belongs to the last of them; an inner name taken on level
            2 goes to its alphabetically first middle name (the authors' released metric).
        """
        inner: dict[str, str] = {}
        middle: dict[str, str] = {}
        middles_of: dict[str, set[str]] = {}
        for row in rows:
            names = tuple(name.strip().lower() for name in row)
            inner.update(dict.fromkeys(names, names[0]))
            middle.update(dict.fromkeys(names[1:], names[1]))
            middles_of.setdefault(names[0], set()).add(names[1])
        middle.update({name: min(middles) for name, middles in middles_of.items()})
        return cls(inner=inner, middle=middle)

    def sector_of(self, word: str, level: int) -> str | None:
        """Name of the sector that a wheel word belongs to on `level` (1 or 2); None if it is not on the wheel."""
        return (self.inner if level == 1 else self.middle).get(word)

    def sector_numbers(self, level: int) -> Mapping[str, int]:
        """Sector names of `level` (1 or 2), sorted, each with its number from 0."""
        return self._sector_numbers[level - 1]
