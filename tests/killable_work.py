"""Work that crashes, hangs or dies at certain clips, for the tests of the doctor's processes; run as a program, a check
that is to be killed."""

from __future__ import annotations

import ctypes
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from affect_lightning.contracts import ClipRecord
from affect_lightning.errors import ConfigurationError
from affect_lightning.inspection.clip_checks import ClipCheck


def dangerous(piece: str) -> str:
    """Does what the piece says."""
    if piece == "segfault":
        ctypes.string_at(0)
    elif piece == "killed":
        os.kill(os.getpid(), 9)
    elif piece == "exit":
        os._exit(3)
    elif piece == "hang":
        time.sleep(3600)
    elif piece == "defect":
        raise IndexError("list index out of range")
    elif piece == "memory":
        raise MemoryError
    elif piece == "everybody":
        raise ConfigurationError("the detector cannot start")
    return piece.upper()


@dataclass(frozen=True)
class SlowChecker:
    """Notes each clip that it checks; once the journal has `halt` lines it waits to be killed, or for its parent's end."""

    log: Path
    halt: int
    parent: int

    def __call__(self, record: ClipRecord) -> ClipCheck:
        with self.log.open("a", encoding="utf-8") as stream:
            stream.write(record.name + "\n")
        time.sleep(0.02)
        journal = self.log.with_name("journal.jsonl")
        while os.getppid() == self.parent and journal.is_file() and journal.read_bytes().count(b"\n") >= self.halt:
            time.sleep(0.02)
        return ClipCheck(record.name, record.corpus, "video" if record.name.endswith("7") else "", "broken")


def main(folder: Path, count: int, halt: int) -> None:
    """Check `count` clips, with a journal in `folder`; `halt` more than `count` for going through."""
    from affect_lightning.inspection.clip_checks import Checking, CheckJournal, check_clips

    clips = [ClipRecord(f"clip{number:03}", "made", video=folder / f"clip{number:03}.mp4") for number in range(count)]
    checking = Checking(SlowChecker(folder / "checked.log", halt, os.getpid()), "settings", 2, 600.0)  # type: ignore[arg-type]
    checks = check_clips(clips, checking, CheckJournal(folder / "journal.jsonl"))
    (folder / "done.txt").write_text("\n".join(f"{check.name} {check.stage}" for check in checks), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
