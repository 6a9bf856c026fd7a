"""Preferences between two descriptions of one clip, and what they say of the sources of the descriptions.

Paper: Table 7 (people prefer descriptions of MER-Caption+). `rater_statistics.py` has the figures; verdicts come from a
file, here, or from the study in the browser (`review_store.py`). People like long texts, so a warning says when length
alone explains the choices.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from affect_lightning.annotation.lengths import length_of
from affect_lightning.annotation.rater_statistics import bradley_terry, krippendorff_alpha, wilson_interval
from affect_lightning.corpora.annotation_tables import RowFile, TableRow, columns_of, refuse
from affect_lightning.errors import ConfigurationError, DataError
from affect_lightning.storage import write_whole

PAIR_COLUMNS = ("name", "model1", "a1", "model2", "a2")
VERDICT = "preference"
_FIRST = frozenset({"a1", "1", "first"})
_SECOND = frozenset({"a2", "2", "second"})
_TIE = frozenset({"same", "tie", "equal", "both", "neither", "0"})


@dataclass(frozen=True)
class Pair:
    """Two descriptions of one clip.

    Attributes:
        name: Of the clip.
        first: Source of the first text, such as a model or a data set.
        first_text: The first description.
        second: Source of the second text.
        second_text: The second description.
    """

    name: str
    first: str
    first_text: str
    second: str
    second_text: str

    @property
    def key(self) -> tuple[str, frozenset[tuple[str, str]]]:
        """What makes it the same pair, whichever text stands first."""
        return self.name, frozenset({(self.first, self.first_text), (self.second, self.second_text)})


@dataclass(frozen=True)
class Judgement:
    """What a rater says of a pair.

    Attributes:
        pair: The pair.
        rater: Who says it; empty if a file does not tell.
        winner: The preferred source; None for a tie.
        is_repeat: Whether the rater saw the pair before, with the sides swapped.
    """

    pair: Pair
    rater: str
    winner: str | None
    is_repeat: bool = False


def read_pairs(path: Path) -> list[Pair]:
    """The pairs of a table with the columns PAIR_COLUMNS, each once.

    Raises:
        DataError: The file is missing or damaged, lacks a column, or a row names one source twice.
    """
    pairs = [_pair(row) for row in _rows(path, PAIR_COLUMNS)]
    return list({pair.key: pair for pair in pairs}.values())


def read_judgements(path: Path) -> list[Judgement]:
    """The verdicts of a table: PAIR_COLUMNS, `preference` (a1, a2, same, or a source's name), and perhaps `rater` and `repeat`.

    Raises:
        DataError: The file is missing or damaged, lacks a column, a verdict cannot be read, or a rater judges a pair twice.
    """
    found = []
    first_lines: dict[Any, int] = {}
    codes: dict[str, TableRow] = {}
    for row in _rows(path, (*PAIR_COLUMNS, VERDICT)):
        is_repeat = str(row.get("repeat") or "").strip().lower() in {"1", "true", "yes"}
        one = Judgement(_pair(row), str(row.get("rater") or "").strip(), _winner(row), is_repeat)
        key = (one.pair.key, one.rater, is_repeat)
        if key in first_lines:
            refuse(
                row,
                VERDICT,
                f"the pair was judged before, in {row.kind} {first_lines[key]}. Keep one row, or name each "
                f"rater in a column `rater`.",
            )
        first_lines[key] = row.line
        found.append(one)
        codes.setdefault(str(row.get(VERDICT)).strip().removesuffix(".0"), row)
    if {"0", "1"} <= codes.keys() <= {"0", "1"}:
        refuse(
            codes["0"],
            VERDICT,
            "write a1 or a2 instead: all verdicts are 0 or 1, which may count the two texts from 0. As codes, 1 means a1, 2 "
            "means a2 and 0 means same.",
        )
    return found


def _rows(path: Path, columns: Sequence[str]) -> Iterable[TableRow]:
    rows = RowFile(path)
    present = columns_of(rows)
    missing = [column for column in columns if column not in present]
    if missing:
        raise DataError(
            f"{path} lacks the column {', '.join(missing)}; its columns are {', '.join(present)}. "
            f"Give {', '.join(PAIR_COLUMNS)}: the clip, and two sources with their texts."
        )
    return rows


def _pair(row: TableRow) -> Pair:
    cells = {}
    for column in PAIR_COLUMNS:
        value = row.get(column)
        cells[column] = value.strip() if isinstance(value, str) else "" if value is None else str(value)
        if not cells[column]:
            refuse(row, column, "the cell is empty. A pair needs the clip, and two sources with their texts.")
    if cells["model1"] == cells["model2"]:
        refuse(row, "model2", f"both texts are of {cells['model1']!r}. Give two sources, or name them differently.")
    return Pair(cells["name"], cells["model1"], cells["a1"], cells["model2"], cells["a2"])


def _winner(row: TableRow) -> str | None:
    said = str(row.get(VERDICT) if row.get(VERDICT) is not None else "").strip()
    said = (
        said.removesuffix(".0") if said in {"0.0", "1.0", "2.0"} else said
    )  # as pandas writes whole numbers with a gap
    pair = _pair(row)
    if said in (pair.first, pair.second):
        return said
    if said.lower() in _FIRST:
        return pair.first
    if said.lower() in _SECOND:
        return pair.second
    if said.lower() not in _TIE:
        refuse(
            row,
            VERDICT,
            f"expected a1 (or 1), a2 (or 2), same (or 0), {pair.first} or {pair.second}; found {said!r:.60}. Fix the cell.",
        )
    return None


def summarise(judgements: Sequence[Judgement], source: str | None = None) -> dict[str, Any]:
    """What the verdicts say, as plain values; repeats only tell the consistency.

    Args:
        judgements: Of any number of raters.
        source: Whose wins are counted; by default the first one that is named.

    Returns:
        `wins`, `losses` and `ties` of the source, `interval` of its share of the decided pairs (Wilson), `strengths`
        (Bradley and Terry), `longer_wins` of `decided_lengths` and `length_warning`, `alpha` (Krippendorff) and
        `swap_consistency`, each None where it cannot be told.

    Raises:
        DataError: There are no verdicts.
        ConfigurationError: No pair has the source.
    """
    first = [one for one in judgements if not one.is_repeat]
    if not first:
        raise DataError("There are no verdicts yet. Let a rater judge at least one pair.")
    source = source or first[0].pair.first
    own = [one for one in first if source in (one.pair.first, one.pair.second)]
    if not own:
        names = sorted({name for one in first for name in (one.pair.first, one.pair.second)})
        raise ConfigurationError(f"No pair has a text of {source!r}; the sources are {', '.join(names)}.")
    wins = sum(one.winner == source for one in own)
    ties = sum(one.winner is None for one in own)
    losses = len(own) - wins - ties
    games = [(one.pair.first, one.pair.second, one.winner) for one in first]
    return {
        "source": source,
        "pairs": len({one.pair.key for one in first}),
        "raters": sorted({one.rater for one in first} - {""}),
        "wins": wins,
        "losses": losses,
        "ties": ties,
        "win_share": wins / (wins + losses) if wins + losses else None,
        "interval": wilson_interval(wins, wins + losses),
        "strengths": bradley_terry(games),
        **_lengths(own, source, wins, losses),
        "alpha": krippendorff_alpha(_units(first)),
        "swap_consistency": _consistency(judgements),
    }


def _lengths(own: Sequence[Judgement], source: str, wins: int, losses: int) -> dict[str, Any]:
    """Whether length explains the choices: it does if the longer text wins beyond chance, and as often as the better source."""
    longer_wins = longer_of_source = decided = 0
    for one in own:
        pair = one.pair
        lengths = {pair.first: length_of(pair.first_text), pair.second: length_of(pair.second_text)}
        if one.winner is None or lengths[pair.first] == lengths[pair.second]:
            continue
        longer = max(lengths, key=lambda name: lengths[name])
        decided += 1
        longer_wins += one.winner == longer
        longer_of_source += longer == source
    interval = wilson_interval(longer_wins, decided)
    warning = ""
    if interval is not None and interval[0] > 0.5 and longer_wins >= max(wins, losses):
        warning = (
            f"Do not read the choices as quality alone: the longer text won {longer_wins} of {decided} decided pairs, and the "
            f"text of {source} was the longer one in {longer_of_source} of them. Length alone explains the "
            f"choices as well as the source does. Compare texts of equal length."
        )
    return {
        "longer_wins": longer_wins,
        "decided_lengths": decided,
        "longer_interval": interval,
        "longer_of_source": longer_of_source,
        "length_warning": warning,
    }


def _units(judgements: Sequence[Judgement]) -> list[list[str]]:
    """The verdicts of all raters on each pair."""
    units: dict[Any, list[str]] = {}
    for one in judgements:
        units.setdefault(one.pair.key, []).append(one.winner or "")
    return list(units.values())


def _consistency(judgements: Sequence[Judgement]) -> dict[str, Any] | None:
    """Of the pairs that a rater saw twice with swapped sides, those with the same verdict."""
    before = {(one.pair.key, one.rater): one.winner for one in judgements if not one.is_repeat}
    again = [one for one in judgements if one.is_repeat and (one.pair.key, one.rater) in before]
    if not again:
        return None
    same = sum(before[one.pair.key, one.rater] == one.winner for one in again)
    return {
        "same": same,
        "pairs": len(again),
        "share": same / len(again),
        "interval": wilson_interval(same, len(again)),
    }


def write_judgements(path: Path, judgements: Sequence[Judgement]) -> None:
    """Write verdicts as a csv file that `read_judgements` reads.

    Raises:
        ConfigurationError: The file is there already.
        DataError: The system refuses.
    """
    if path.exists():
        raise ConfigurationError(
            f"Choose another name, or move the file away: {path} is there, and nothing is overwritten."
        )
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*PAIR_COLUMNS, VERDICT, "rater", "repeat"])
    for one in judgements:
        pair = one.pair
        said = "same" if one.winner is None else "a1" if one.winner == pair.first else "a2"
        cells = (pair.name, pair.first, pair.first_text, pair.second, pair.second_text)
        writer.writerow([*cells, said, one.rater, int(one.is_repeat)])
    try:
        write_whole(path, text.getvalue())
    except OSError as error:
        raise DataError(f"{path} could not be written: {error.strerror or error}.") from error
