"""Taxonomy: from an emotion word to its sector on each emotion wheel.

Place in the paper: section 4 and Appendix K, where open-vocabulary labels are grouped before they are compared. A label
is a word form; forms lead to base words, base words to wheel words, and the first wheel word that is on a wheel
gives the sector. Two sources exist: our own table (`builtin/`) and the authors' releases (`official_tables.py`).
`functional.py` and the metrics next to this file score with a taxonomy.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from affect_lightning.errors import ConfigurationError, DataError
from affect_lightning.label_strings import LabelList, label_key, parse_labels
from affect_lightning.metrics import official_tables
from affect_lightning.metrics.builtin import read_builtin_tables
from affect_lightning.metrics.wheels import LEVELS, Wheel

_TEXT = {str}
_UNKNOWN = 0  # integer id of all labels that the taxonomy does not know
MAX_SECTORS = 62  # sectors of one wheel and level; a set of them is kept as the bits of one int64


class Taxonomy:
    """Word forms, synonyms and wheels; immutable.

    Args:
        name: Written next to every score.
        forms: Word form to its base words.
        synonyms: Base word to its wheel words.
        wheels: The wheels.
        ranked: Whether the order of a base word's wheel words is a ranking of ours. Otherwise all wheel words of a
            label are sorted alphabetically, as the official metric does.

    Raises:
        DataError: A table is empty or a wheel has too many sectors.
    """

    def __init__(
        self,
        name: str,
        forms: Mapping[str, Sequence[str]],
        synonyms: Mapping[str, Sequence[str]],
        wheels: Sequence[Wheel],
        ranked: bool = False,
    ) -> None:
        if not forms or not synonyms or not wheels:
            raise DataError(
                f"The taxonomy {name!r} has {len(forms)} word forms, {len(synonyms)} base words and {len(wheels)} "
                "wheels; each must be at least 1."
            )
        for number, wheel in enumerate(wheels, start=1):
            if max(len(wheel.sector_numbers(level)) for level in LEVELS) > MAX_SECTORS:
                raise DataError(f"Wheel {number} of the taxonomy {name!r} has more than {MAX_SECTORS} sectors.")
        self.name = name
        self.wheels = tuple(wheels)
        self.ranked = ranked
        self._forms = {form: tuple(bases) for form, bases in forms.items()}
        self._synonyms = {base: tuple(words) for base, words in synonyms.items()}
        self._sha256: str | None = None
        self._rows = {"": _UNKNOWN}  # label to its integer id, a row of the tables below
        self._bits = {level: np.zeros((1, len(self.wheels)), np.int64) for level in LEVELS}

    @classmethod
    def builtin(cls) -> Taxonomy:
        """Our own table, checked in with the package (`builtin/`); loaded once a process."""
        return _builtin()

    @classmethod
    def from_official(cls, folder: str | Path, release: str | None = None) -> Taxonomy:
        """The authors' taxonomy.

        Args:
            folder: Folder of the 2025 release, or a folder with the 2026 `.npz`, or that file itself.
            release: `2025` or `2026`; by default 2025, which the paper's numbers need, if the folder has it.

        Returns:
            The taxonomy `official-2025` or `official-2026`.

        Raises:
            DataError: A file is missing or is not as published.
            ConfigurationError: Another release is asked for.
        """
        path = Path(folder)
        release = release or official_tables.release_of(path)
        return cls(f"official-{release}", *official_tables.read_release(path, release))

    @property
    def sha256(self) -> str:
        """Hash of all tables: two taxonomies with the same hash give the same scores."""
        if self._sha256 is None:
            content = json.dumps(
                {
                    "forms": self._forms,
                    "synonyms": self._synonyms,
                    "wheels": [[dict(wheel.inner), dict(wheel.middle)] for wheel in self.wheels],
                    "ranked": self.ranked,
                },
                sort_keys=True,
            )
            self._sha256 = hashlib.sha256(content.encode()).hexdigest()
        return self._sha256

    @property
    def forms(self) -> Mapping[str, tuple[str, ...]]:
        """Word form to its base words."""
        return self._forms

    @property
    def synonyms(self) -> Mapping[str, tuple[str, ...]]:
        """Base word to its wheel words."""
        return self._synonyms

    def __repr__(self) -> str:
        return f"Taxonomy({self.name!r}, sha256={self.sha256[:12]!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Taxonomy) and self.sha256 == other.sha256

    def __hash__(self) -> int:
        return hash(self.sha256)

    def __deepcopy__(self, memo: dict[int, Any]) -> Taxonomy:
        return self

    def wheel_words(self, word: str) -> tuple[str, ...]:
        """Wheel words that a label leads to, first choice first; empty when the taxonomy does not know it."""
        bases = self._forms.get(label_key(word), ())
        words = dict.fromkeys(wheel_word for base in bases for wheel_word in self._synonyms.get(base, ()))
        return tuple(words) if self.ranked else tuple(sorted(words))

    def sector(self, word: str, wheel: int, level: int = 1) -> str | None:
        """Sector of one label.

        Args:
            word: The label, in any case.
            wheel: Number of the wheel, from 1.
            level: 1 for the inner ring, 2 for the middle ring.

        Returns:
            The sector's name, or None if the label leads to no word of this wheel.

        Raises:
            ConfigurationError: No such wheel or level.
        """
        chosen = self._wheel(wheel, level)
        deciding = self.deciding_word(word, wheel)
        return None if deciding is None else chosen.sector_of(deciding, level)

    def deciding_word(self, word: str, wheel: int) -> str | None:
        """The first of a label's wheel words that is on a wheel, which gives the sector; see `sector`."""
        chosen = self._wheel(wheel, 1)
        return next((wheel_word for wheel_word in self.wheel_words(word) if wheel_word in chosen.inner), None)

    def nearest_forms(self, word: str, count: int = 5) -> list[str]:
        """Known word forms that are spelled most like `word`, best first; for messages (5 is our choice)."""
        return get_close_matches(label_key(word), list(self._forms), n=count, cutoff=0.6)

    def sectors(self, words: LabelList, wheel: int, level: int = 1) -> frozenset[str]:
        """Sectors of a label list (or of a single label given as text); see `sector` for the arguments."""
        found = (self.sector(word, wheel, level) for word in parse_labels(words))
        return frozenset(sector for sector in found if sector is not None)

    def sector_names(self, wheel: int, level: int = 1) -> tuple[str, ...]:
        """All sectors of one wheel, sorted; see `sector` for the arguments."""
        return tuple(self._wheel(wheel, level).sector_numbers(level))

    def knows(self, word: str) -> bool:
        """Whether the label is on at least one wheel."""
        return any(word in wheel.inner for word in self.wheel_words(word) for wheel in self.wheels)

    def _wheel(self, wheel: int, level: int) -> Wheel:
        check_level(level)
        if wheel not in range(1, len(self.wheels) + 1):
            raise ConfigurationError(
                f"There is no wheel {wheel!r}; the taxonomy {self.name!r} has the wheels 1 to {len(self.wheels)}."
            )
        return self.wheels[wheel - 1]

    def encode(self, label_lists: Iterable[LabelList], level: int = 1) -> np.ndarray[Any, np.dtype[np.int64]]:
        """Sectors of many label lists as sets of bits.

        Each distinct list is read once in a call, and each distinct label is looked up once in the life of the taxonomy.

        Args:
            label_lists: B label lists, each a sequence of words or a text.
            level: 1 or 2.

        Returns:
            int64 [B, W] for W wheels: bit n is set when a label lies in the sector numbered n of that wheel, counted in
            the order of `sector_names`.
        """
        check_level(level)
        distinct: list[LabelList] = []
        numbers: dict[object, int] = {}
        order: list[int] = []
        for labels in label_lists:
            key = labels if labels is None or isinstance(labels, str) else _texts(labels)
            number = numbers.setdefault(key, len(distinct))
            if number == len(distinct):
                distinct.append(key)
            order.append(number)
        return self._encode_each(distinct, level)[np.asarray(order, dtype=np.int64)]

    def _encode_each(self, label_lists: Sequence[LabelList], level: int) -> np.ndarray[Any, np.dtype[np.int64]]:
        rows: list[int] = []
        counts: list[int] = []
        for labels in label_lists:
            words = parse_labels(labels)
            counts.append(len(words))
            rows.extend(self._row_of(word) for word in words)
        encoded = np.zeros((len(counts), len(self.wheels)), np.int64)
        filled = np.flatnonzero(counts)
        if filled.size:
            starts = np.concatenate([[0], np.cumsum(counts)[:-1]])[filled]
            encoded[filled] = np.bitwise_or.reduceat(self._bit_table(level)[np.asarray(rows)], starts, axis=0)
        return encoded

    def _row_of(self, word: str) -> int:
        """Integer id of a label; only labels that the taxonomy knows get one of their own."""
        label = label_key(word)
        if label not in self._forms:
            return _UNKNOWN
        return self._rows.setdefault(label, len(self._rows))

    def _bit_table(self, level: int) -> np.ndarray[Any, np.dtype[np.int64]]:
        table = self._bits[level]
        if len(self._rows) > len(table):
            added = np.zeros((len(self._rows) - len(table), len(self.wheels)), np.int64)
            for index, word in enumerate(list(self._rows)[len(table) :]):
                for number, wheel in enumerate(self.wheels, start=1):
                    sector = self.sector(word, number, level)
                    if sector is not None:
                        added[index, number - 1] = 1 << wheel.sector_numbers(level)[sector]
            table = self._bits[level] = np.concatenate([table, added])
        return table


def _texts(labels: Iterable[object]) -> tuple[str, ...]:
    words = tuple(labels)
    if {*map(type, words)} <= _TEXT:
        return words  # type: ignore[return-value]
    return tuple(word if isinstance(word, str) else "" if word is None else str(word) for word in words)


def check_level(level: int) -> None:
    """Refuse levels that the metric does not define.

    Raises:
        ConfigurationError: `level` is neither 1 nor 2.
    """
    if level not in LEVELS:
        raise ConfigurationError(f"A wheel is scored on level 1 (inner ring) or 2 (middle ring); got {level!r}.")


@lru_cache(maxsize=1)
def _builtin() -> Taxonomy:
    return Taxonomy("builtin", *read_builtin_tables(), ranked=True)
