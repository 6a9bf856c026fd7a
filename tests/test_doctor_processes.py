"""The doctor's processes: a crash, a hang or a kill names its clip and nothing else; SIGKILL loses and repeats nothing."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from affect_lightning.contracts import ClipRecord
from affect_lightning.errors import ConfigurationError, DataError
from affect_lightning.inspection.clip_checks import CheckJournal, ClipCheck, clip_key
from affect_lightning.inspection.fault_tolerant_pool import FaultTolerantPool
from killable_work import dangerous
from patience import LONGEST

KILLS = int(os.environ.get("AFFECT_DOCTOR_KILLS", "1"))  # 20 take minutes
CLIPS = 20 * KILLS


@pytest.mark.timeout(1800)
def test_a_dying_process_names_its_piece() -> None:
    pieces = ["a", "segfault", "b", "killed", "hang", "c", "exit", "defect", "memory", "d", *"efgh"]
    outcomes = list(FaultTolerantPool(dangerous, workers=2, seconds=30.0, start="forkserver").run(pieces))
    assert sorted(outcome.piece for outcome in outcomes) == sorted(pieces)
    failures = {outcome.piece: outcome.failure for outcome in outcomes if outcome.failure}
    assert {outcome.piece: outcome.result for outcome in outcomes if not outcome.failure} == {
        piece: piece.upper() for piece in pieces if len(piece) == 1
    }
    assert failures == {
        "segfault": "the process that read it was ended by SIGSEGV, a crash in a decoder",
        "killed": "the process that read it was ended by SIGKILL, probably for want of memory",
        "hang": "it took longer than 30 seconds, and was ended",
        "exit": "the process that read it ended with exit code 3",
        "defect": "IndexError: list index out of range",
        "memory": "MemoryError: ",
    }


def test_an_error_of_all_clips_stops() -> None:
    with pytest.raises(ConfigurationError, match="the detector cannot start"):
        list(FaultTolerantPool(dangerous, workers=1, seconds=LONGEST).run(["a", "everybody", "b"]))


class Unstartable:
    """Cannot be unpickled on the other side."""

    def __reduce__(self) -> tuple[object, tuple[int]]:
        return os._exit, (1,)


def test_processes_that_cannot_start_are_an_error() -> None:
    with pytest.raises(DataError, match="3 processes died before they could read a clip.*exit code 1"):
        list(FaultTolerantPool(Unstartable(), workers=1, seconds=LONGEST).run(["a"]))  # type: ignore[arg-type]


def _start(folder: Path, halt: int = CLIPS + 1) -> subprocess.Popen[bytes]:
    program = Path(__file__).with_name("killable_work.py")
    return subprocess.Popen([sys.executable, str(program), str(folder), str(CLIPS), str(halt)], start_new_session=True)


def _lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines() if path.is_file() else []


def _processes_of(sessions: set[int]) -> list[int]:
    """Processes that are left of the sessions."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            with contextlib.suppress(OSError):
                if os.getsid(int(entry.name)) in sessions:
                    found.append(int(entry.name))
    return found


@pytest.mark.timeout(1800)
@pytest.mark.skipif(not Path("/proc/self").exists(), reason="looks for left processes in /proc")
def test_killed_at_random_moments(tmp_path: Path) -> None:
    draw = random.Random(4)
    sessions: set[int] = set()
    for _ in range(KILLS):
        before = len(_lines(tmp_path / "journal.jsonl"))
        wanted = min(before + draw.randint(0, CLIPS // (KILLS + 1)), CLIPS - 7)
        # It never gets through before it is killed, however late this process comes to it.
        process = _start(tmp_path, min(wanted + 3, CLIPS - 4))
        sessions.add(process.pid)
        while len(_lines(tmp_path / "journal.jsonl")) < wanted and process.poll() is None:
            time.sleep(0.005)
        time.sleep(draw.random() * 0.05)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert not (tmp_path / "done.txt").exists()
    assert _start(tmp_path).wait() == 0
    names = [f"clip{number:03}" for number in range(CLIPS)]
    kept = [json.loads(line)["check"]["name"] for line in _lines(tmp_path / "journal.jsonl")]
    assert sorted(kept) == names
    assert [line.split()[0] for line in _lines(tmp_path / "done.txt")] == names
    times = Counter(_lines(tmp_path / "checked.log"))
    assert set(times) == set(names)
    # Only what was in a process's hands at a kill is read again: two processes, and a line not yet taken in.
    assert times.total() <= CLIPS + 2 * KILLS * 2
    for _ in range(int(10 * LONGEST)):  # the processes of a killed check end by themselves
        if not _processes_of(sessions):
            break
        time.sleep(0.1)
    assert not _processes_of(sessions)


def test_a_line_that_was_cut_off_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    journal = CheckJournal(path)
    journal.add("1", ClipCheck("片段", "made", "video", "broken", "/x.mp4", seconds_given=3.0))
    journal.add("2", ClipCheck("b", "made", frames=8))
    whole = path.read_bytes()
    path.write_bytes(whole + b"\x00garbage\n" + whole[:-5])
    assert CheckJournal(path).known == {
        "1": ClipCheck("片段", "made", "video", "broken", "/x.mp4", seconds_given=3.0),
        "2": ClipCheck("b", "made", frames=8),
    }
    assert path.read_bytes() == whole


def test_a_changed_clip_is_another_clip(tmp_path: Path) -> None:
    video = tmp_path / "a.mp4"
    video.write_bytes(b"1")
    record = ClipRecord("a", "made", video=video, labels=("happy",))
    keys = {clip_key(record, "x"), clip_key(record, "y")}
    video.write_bytes(b"22")
    keys.add(clip_key(record, "x"))
    keys.add(clip_key(ClipRecord("a", "made", video=video), "x"))
    video.unlink()
    keys.add(clip_key(record, "x"))
    assert len(keys) == 5


def test_a_journal_that_cannot_be_written_is_told_of(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(DataError, match="The journal .* cannot be used: File exists.*--cache"):
        CheckJournal(tmp_path / "file" / "journal.jsonl")
