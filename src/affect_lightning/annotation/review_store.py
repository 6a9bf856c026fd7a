"""The blind pairwise study in one SQLite file: pairs, who sees which of them in which order on which side, and the verdicts.

Paper: Table 7 (four experts see two descriptions of a clip and choose the more accurate one). The sides are drawn for
each rater, so that neither a source nor a side can be told; some pairs come again with the sides swapped.
`review_server.py` shows them, `preferences.py` reads what comes out.
"""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from affect_lightning.annotation.preferences import Judgement, Pair
from affect_lightning.annotation.tables import now
from affect_lightning.errors import ConfigurationError, DataError
from affect_lightning.storage import whole_path

SIDES = ("left", "right", "tie")
_WAIT_SECONDS = 30.0  # for a file that another request writes to; our choice
_VERSION = 1
_TABLES = """
CREATE TABLE study (version INTEGER, seed INTEGER, repeats REAL);
CREATE TABLE pairs (pair INTEGER PRIMARY KEY, name TEXT, first TEXT, first_text TEXT, second TEXT, second_text TEXT);
CREATE TABLE showings (
    rater TEXT, place INTEGER, pair INTEGER REFERENCES pairs (pair), first_is_left INTEGER, is_repeat INTEGER,
    verdict TEXT, time TEXT, PRIMARY KEY (rater, place)
);
"""


@dataclass(frozen=True)
class Showing:
    """A pair as a rater sees it.

    Attributes:
        place: In the rater's order, from 0.
        pair: Number of the pair.
        name: Of the clip.
        left: Text on the left.
        right: Text on the right.
        done: Pairs that the rater has judged.
        total: Pairs that the rater is to judge.
    """

    place: int
    pair: int
    name: str
    left: str
    right: str
    done: int
    total: int


class ReviewStore:
    """A study in a file; each call opens it anew, so that several threads may ask."""

    def __init__(self, path: Path) -> None:
        """Open a study.

        Raises:
            DataError: There is none in the file.
        """
        self.path = path
        if not path.is_file():
            raise DataError(f"There is no study {path}. Begin one with --pairs FILE.")
        try:
            with self._open() as connection:
                version, self.seed, self.repeats = connection.execute(
                    "SELECT version, seed, repeats FROM study"
                ).fetchone()
        except (sqlite3.DatabaseError, TypeError) as error:
            raise DataError(f"{path} is not a study of descriptions: {error}. Name another file.") from error
        if version != _VERSION:
            raise DataError(
                f"{path} is a study of version {version}; expected {_VERSION}. Export it with the release that made it."
            )

    @classmethod
    def create(cls, path: Path, pairs: Sequence[Pair], *, seed: int = 0, repeats: float = 0.1) -> ReviewStore:
        """Begin a study.

        Args:
            path: New file.
            pairs: To judge.
            seed: Of the orders and sides.
            repeats: Part of the pairs that come again with swapped sides; 0.1, our choice.

        Raises:
            ConfigurationError: The file is there already, or `repeats` is no part.
            DataError: There are no pairs, or the system refuses.
        """
        if path.exists():
            raise ConfigurationError(
                f"Leave out --pairs to go on with {path}, or name a new file: it is there already."
            )
        if not 0 <= repeats <= 1:
            raise ConfigurationError(f"Give the part of the pairs that come again from 0 to 1; got {repeats:g}.")
        if not pairs:
            raise DataError("There are no pairs to judge.")
        try:
            with whole_path(path) as place, closing(sqlite3.connect(place)) as connection, connection:
                connection.executescript(_TABLES)
                connection.execute("INSERT INTO study VALUES (?, ?, ?)", (_VERSION, seed, repeats))
                rows = [(n, p.name, p.first, p.first_text, p.second, p.second_text) for n, p in enumerate(pairs)]
                connection.executemany("INSERT INTO pairs VALUES (?, ?, ?, ?, ?, ?)", rows)
        except (sqlite3.OperationalError, OSError) as error:
            raise DataError(f"{path} could not be written: {error}. Name another file.") from error
        return cls(path)

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        connection = sqlite3.connect(self.path, timeout=_WAIT_SECONDS)
        try:
            with connection:
                yield connection
        finally:
            connection.close()

    def enter(self, rater: str) -> None:
        """Draw order and sides for a rater who is new; nothing changes for one who comes back.

        Raises:
            ConfigurationError: The name is empty.
        """
        if not rater.strip():
            raise ConfigurationError("Give a name, so that your verdicts stay together.")
        with self._open() as connection:
            connection.execute("BEGIN IMMEDIATE")
            if connection.execute("SELECT 1 FROM showings WHERE rater = ?", (rater,)).fetchone():
                return
            count = connection.execute("SELECT COUNT(*) FROM pairs").fetchone()[0]
            draw = random.Random(f"{self.seed}/{rater}")
            order = draw.sample(range(count), count)
            sides = {pair: draw.random() < 0.5 for pair in order}
            again = draw.sample(order, round(self.repeats * count))
            rows = [(rater, place, pair, sides[pair], False) for place, pair in enumerate(order)]
            rows += [(rater, count + place, pair, not sides[pair], True) for place, pair in enumerate(again)]
            connection.executemany("INSERT INTO showings VALUES (?, ?, ?, ?, ?, NULL, NULL)", rows)

    def knows(self, rater: str) -> bool:
        """Whether the rater has entered."""
        with self._open() as connection:
            return connection.execute("SELECT 1 FROM showings WHERE rater = ?", (rater,)).fetchone() is not None

    def next_of(self, rater: str) -> Showing | None:
        """The pair that a rater is to judge next; None after the last."""
        with self._open() as connection:
            total, done = connection.execute(
                "SELECT COUNT(*), COUNT(verdict) FROM showings WHERE rater = ?", (rater,)
            ).fetchone()
            row = connection.execute(
                "SELECT place, pair, first_is_left, name, first_text, second_text FROM showings JOIN pairs USING (pair) "
                "WHERE rater = ? AND verdict IS NULL ORDER BY place LIMIT 1",
                (rater,),
            ).fetchone()
        if row is None:
            return None
        place, pair, first_is_left, name, *texts = row
        left, right = texts if first_is_left else reversed(texts)
        return Showing(place, pair, name, left, right, done, total)

    def judge(self, rater: str, place: int, side: str) -> bool:
        """Keep a verdict; the first one stays, also if a page is sent twice.

        Args:
            rater: Who judges.
            place: Of the showing.
            side: `left`, `right` or `tie`.

        Returns:
            Whether it was kept now.

        Raises:
            ConfigurationError: There is no such side.
        """
        if side not in SIDES:
            raise ConfigurationError(f"Choose {', '.join(SIDES)}; got {side!r:.40}.")
        with self._open() as connection:
            changed = connection.execute(
                "UPDATE showings SET verdict = ?, time = ? WHERE rater = ? AND place = ? AND verdict IS NULL",
                (side, now(), rater, place),
            )
            return changed.rowcount == 1

    def clips(self) -> dict[int, str]:
        """Name of the clip of each pair."""
        with self._open() as connection:
            return dict(connection.execute("SELECT pair, name FROM pairs").fetchall())

    def judgements(self) -> list[Judgement]:
        """All verdicts so far, by rater and in each rater's order."""
        with self._open() as connection:
            rows = connection.execute(
                "SELECT rater, first_is_left, is_repeat, verdict, name, first, first_text, second, second_text "
                "FROM showings JOIN pairs USING (pair) WHERE verdict IS NOT NULL ORDER BY rater, place"
            ).fetchall()
        found = []
        for rater, first_is_left, is_repeat, verdict, *cells in rows:
            pair = Pair(*cells)
            left, right = (pair.first, pair.second) if first_is_left else (pair.second, pair.first)
            winner = {"left": left, "right": right, "tie": None}[verdict]
            found.append(Judgement(pair, rater, winner, bool(is_repeat)))
        return found
