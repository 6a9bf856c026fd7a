"""Work in parts: each of several machines does its share of one piece of work, and a last command joins the shares.

    PLACE/2-of-8/part.json    what this part was asked for; once it is finished, what it says of its share
    PLACE/2-of-8/part.lock    held while it works
    PLACE/2-of-8/...          its own files, such as a journal, with which it goes on after a kill

`Part` says which share is whose: by position (`of`) or by a stable hash of a name (`has`). `WorkInParts` keeps the folders
and refuses to join a share that is missing, unfinished, or of another piece of work. It starts no processes: SLURM, a
shell or a Trainer does. docs/many_machines.md shows users the commands that take `--part` and `--merge`.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from affect_lightning.errors import ConfigurationError, DataError
from affect_lightning.storage.whole_files import file_lock, write_whole

Item = TypeVar("Item")
_RECORD, _LOCK = "part.json", "part.lock"
_FOLDER = re.compile(r"([1-9]\d*)-of-([1-9]\d*)")
_SHOWN = 60  # characters of a value in a message (our choice: a path fits)


class PartError(DataError):
    """A part is missing, unfinished, at work elsewhere, or of another piece of work."""


@dataclass(frozen=True, order=True)
class Part:
    """One of several parts.

    Attributes:
        number: Which one, from 1 on.
        count: How many there are.
    """

    number: int
    count: int

    @classmethod
    def parse(cls, text: str) -> Part:
        """The part that a user names.

        Raises:
            ConfigurationError: It is none.

        >>> Part.parse("2/8")
        Part(number=2, count=8)
        """
        found = re.fullmatch(r"\s*(\d+)\s*/\s*(\d+)\s*", text)
        number, count = (int(found[1]), int(found[2])) if found else (0, 0)
        if not 1 <= number <= count:
            raise ConfigurationError(f"--part must be I/N with I from 1 to N, such as 2/8; got {text!r}.")
        return cls(number, count)

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"

    @property
    def folder_name(self) -> str:
        """Of its folder.

        >>> Part(2, 8).folder_name
        '2-of-8'
        """
        return f"{self.number}-of-{self.count}"

    def of(self, items: Sequence[Item]) -> list[Item]:
        """The items of this part by position: every `count`-th, so that long and short ones are spread evenly.

        >>> Part(2, 3).of("abcdefg")
        ['b', 'e']
        """
        return list(items[self.number - 1 :: self.count])

    def has(self, name: str) -> bool:
        """Whether a name is of this part, whatever other names there are.

        >>> [Part(number, 2).has("clip_1") for number in (1, 2)]
        [True, False]
        """
        digest = hashlib.sha256(name.encode("utf-8", "surrogateescape")).digest()
        return int.from_bytes(digest[:8], "big") % self.count == self.number - 1


@dataclass(frozen=True)
class FinishedPart:
    """A part that is done.

    Attributes:
        part: Which one.
        folder: With its files.
        result: What it says of its share.
    """

    part: Part
    folder: Path
    result: Mapping[str, Any] = field(default_factory=dict)


class WorkInParts:
    """The parts of one piece of work, which share a folder.

    Args:
        place: The folder, made when the first part begins.
        request: Everything that all parts must agree on, such as options and a hash of the list of clips; JSON values
            by names that a user understands.
    """

    def __init__(self, place: Path, request: Mapping[str, Any]) -> None:
        self.place = place
        self.request: dict[str, Any] = json.loads(json.dumps(request))

    def folder(self, part: Part) -> Path:
        """Of a part."""
        return self.place / part.folder_name

    @property
    def known(self) -> list[Part]:
        """Parts that have begun, whatever they were asked for, in their order."""
        if not self.place.is_dir():
            return []
        names = [path.name for path in self.place.iterdir() if (path / _RECORD).is_file()]
        return sorted(Part(int(found[1]), int(found[2])) for name in names if (found := _FOLDER.fullmatch(name)))

    def check_none_waits(self) -> None:
        """Refuse to do the whole work while there are parts of it.

        Raises:
            PartError: There are.
        """
        if self.known:
            raise PartError(
                f"Add --merge to join the parts in {self.place}, or delete that folder to do the work without them."
            )

    @contextmanager
    def begun(self, part: Part) -> Iterator[Path]:
        """Do a part, or go on with it; nobody else does it meanwhile.

        Yields:
            Its folder, with what an earlier try left there.

        Raises:
            PartError: It is at work elsewhere, it began with another request, the work is divided otherwise, or the
                folder cannot be written.
        """
        divided = [other for other in self.known if other.count != part.count]
        if divided:
            raise PartError(
                f"Delete {self.place} to divide the work anew, or go on with parts of {divided[0].count}: {divided[0]} was "
                f"begun there, and this is {part}."
            )
        folder = self.folder(part)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            held = file_lock(folder / _LOCK, wait_seconds=0).acquire()
        except TimeoutError as error:
            raise PartError(f"Wait for its end: another process does part {part} in {folder}.") from error
        except OSError as error:
            raise self._refused(folder, error) from error
        with held:
            before = self._record(part)
            if before is None:
                self._write(part, {"finished": False})
            elif changed := self._differences(before):
                raise PartError(
                    f"Give part {part} the options and clips with which it began, or delete {folder} and run it again: "
                    f"{changed}."
                )
            yield folder

    def finish(self, part: Part, result: Mapping[str, Any] | None = None) -> None:
        """Note that a part is done.

        Args:
            part: Which one; to be called inside of `begun`.
            result: JSON values that the merge needs.

        Raises:
            PartError: The folder cannot be written.
        """
        self._write(part, {"finished": True, "result": dict(result or {})})

    def finished(self) -> list[FinishedPart]:
        """All parts, in their order.

        Raises:
            PartError: One is missing, unfinished, or was asked for something else; the message names each.
        """
        known = self.known
        counts = sorted({part.count for part in known})
        if not counts:
            raise PartError(f"Run the parts first, with --part 1/N to --part N/N: {self.place} has none.")
        if len(counts) > 1:
            raise PartError(
                f"Delete the parts of one division: {self.place} has parts of {' and of '.join(map(str, counts))}."
            )
        problems, done = [], []
        for part in (Part(number, counts[0]) for number in range(1, counts[0] + 1)):
            record = self._record(part)
            if record is None:
                problems.append(f"{part} is missing")
            elif changed := self._differences(record):
                problems.append(
                    f"{part} was made with other options or clips ({changed}), so delete {self.folder(part)} first"
                )
            elif not record.get("finished"):
                problems.append(f"{part} is not finished")
            else:
                done.append(FinishedPart(part, self.folder(part), record.get("result") or {}))
        if problems:
            raise PartError(
                f"Run these parts with the options of this command, then merge again: {'; '.join(problems)}. What the "
                f"others did is kept in {self.place}."
            )
        return done

    def remove(self) -> None:
        """Delete what the parts left; for the merge, when its own result is on the disk."""
        shutil.rmtree(self.place, ignore_errors=True)

    def _record(self, part: Part) -> dict[str, Any] | None:
        path = self.folder(part) / _RECORD
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise PartError(
                f"Delete {path.parent} and run part {part} again: {path} cannot be read ({error})."
            ) from error
        return dict(record) if isinstance(record, dict) else {}

    def _write(self, part: Part, state: Mapping[str, Any]) -> None:
        record = {"part": str(part), "request": self.request, **state}
        path = self.folder(part) / _RECORD
        try:
            write_whole(path, json.dumps(record, indent=1) + "\n")
        except OSError as error:
            raise self._refused(path, error) from error

    @staticmethod
    def _refused(path: Path, error: OSError) -> PartError:
        return PartError(
            f"Free space, or choose a folder that you may write, then run the command again: {path} cannot be written "
            f"({error.strerror or error})."
        )

    def _differences(self, record: Mapping[str, Any]) -> str:
        before = record.get("request")
        before = before if isinstance(before, dict) else {}
        return "; ".join(
            f"{key} is {_shown(before.get(key))} there, {_shown(self.request.get(key))} here"
            for key in {**before, **self.request}
            if before.get(key) != self.request.get(key)
        )


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
