"""Storage: whole files, append-only logs and locks, with failures at every step of the system."""

from __future__ import annotations

import errno
import itertools
import logging
import multiprocessing
import os
import random
import signal
import stat
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from affect_lightning.storage import (
    DamagedLineError,
    LineLog,
    file_lock,
    whole_path,
    write_whole,
    write_whole_files,
)

UNICODE = ["片段 🎭.json", "ä" * 126, "🎭" * 63, "\udcff not UTF-8"]  # names of up to 255 bytes, the most that there is


def refuse(*unused: Any, **options: Any) -> Any:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def failing_at(number: int, real: Callable[..., Any]) -> Callable[..., Any]:
    """A call of the system that fails at its n-th use."""
    count = itertools.count(1)

    def call(*given: Any, **options: Any) -> Any:
        return (refuse if next(count) == number else real)(*given, **options)

    return call


# --- whole files ---


@pytest.mark.parametrize("name", UNICODE)
@pytest.mark.parametrize("content", ["líne\r\nline", b"\x00\xff", memoryview(b"view"), lambda file: file.write(b"own")])
def test_contents_of_every_kind_are_written_as_they_are(tmp_path: Path, name: str, content: Any) -> None:
    path = tmp_path / "a" / "b" / name
    for _ in range(2):
        write_whole(path, content)
    wanted = b"own" if callable(content) else content.encode() if isinstance(content, str) else bytes(content)
    assert path.read_bytes() == wanted
    assert os.listdir(path.parent) == [name]


@pytest.mark.parametrize("call", ["open", "fsync", "replace"])
@pytest.mark.parametrize("number", [1, 2, 3])
def test_whatever_the_system_refuses_no_file_is_half_written(
    call: str, number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [tmp_path / name for name in "abc"]
    write_whole_files(dict.fromkeys(paths, "old" * 100))
    with monkeypatch.context() as full:
        target = Path if call == "open" else os
        full.setattr(target, call, failing_at(number, getattr(target, call)))
        with pytest.raises(OSError, match="No space left") as caught:
            write_whole_files(dict.fromkeys(paths, "new"))
    assert caught.value.errno == errno.ENOSPC
    assert caught.value.filename == str(paths[number - 1])
    assert sorted(os.listdir(tmp_path)) == ["a", "b", "c"]
    renamed = number - 1 if call == "replace" else 0
    assert [path.read_text(encoding="utf-8") for path in paths] == ["new"] * renamed + ["old" * 100] * (3 - renamed)


def test_an_error_half_way_through_leaves_the_file_before(tmp_path: Path) -> None:
    path = tmp_path / "a"
    write_whole(path, "old")

    def cut_off(file: Any) -> None:
        file.write(b"ne")
        raise ValueError("no more")

    with pytest.raises(ValueError, match="no more"):
        write_whole(path, cut_off)
    assert path.read_text(encoding="utf-8") == "old"
    assert os.listdir(tmp_path) == ["a"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_full_device_is_told_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("affect_lightning.storage.whole_files._place_beside", lambda path: Path("/dev/full"))
    monkeypatch.setattr("affect_lightning.storage.whole_files._remove", lambda path: None)
    with pytest.raises(OSError, match="No space left") as caught:
        write_whole(tmp_path / "a", b"text")
    assert caught.value.filename == str(tmp_path / "a")


def test_a_folder_that_is_a_file_is_told_of(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="exists|Not a directory"):
        write_whole(tmp_path / "file" / "a", "text")
    (tmp_path / "folder" / "inside").mkdir(parents=True)
    with pytest.raises(IsADirectoryError):
        write_whole(tmp_path / "folder", "text")
    assert sorted(os.listdir(tmp_path)) == ["file", "folder"]


def test_rights_are_those_of_the_system_or_of_the_file_before(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write_whole(tmp_path / "new", "text")
        (tmp_path / "old").touch(0o600)
        write_whole(tmp_path / "old", "text")
        with whole_path(tmp_path / "folder") as place:
            place.mkdir()
    finally:
        os.umask(before)
    found = [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("new", "old", "folder")]
    assert found == [0o640, 0o600, 0o750]


def test_what_is_not_whole_may_lie_in_another_folder(tmp_path: Path) -> None:
    (tmp_path / "staging").mkdir()
    seen = []
    path = tmp_path / "set" / "a"
    write_whole_files({path: lambda file: seen.append(Path(file.name).parent)}, staging=tmp_path / "staging")
    assert seen == [tmp_path / "staging"]
    assert path.is_file()
    assert os.listdir(tmp_path / "staging") == []


def test_a_folder_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    target = tmp_path / "made" / "片段"

    def make(text: str, error: Exception | None = None) -> None:
        with whole_path(target) as place:
            assert place.parent == target.parent
            (place / "below").mkdir(parents=True)
            (place / "below" / "file").write_text(text, encoding="utf-8")
            if error:
                raise error

    with pytest.raises(KeyError):
        make("cut off", KeyError())
    assert os.listdir(target.parent) == []
    target.mkdir()  # an empty one may be there
    make("first")
    with pytest.raises(OSError, match="not empty"):
        make("second")
    assert (target / "below" / "file").read_text(encoding="utf-8") == "first"
    assert os.listdir(target.parent) == [target.name]


def write_without_end(path: str) -> None:
    for number in itertools.count():
        write_whole(Path(path), str(number % 10) * 300_000, durable=False)


def test_a_file_is_whole_after_a_kill_at_any_moment(tmp_path: Path) -> None:
    path, draw = tmp_path / "a", random.Random(0)
    for _ in range(8):
        process = in_another_process(write_without_end, str(path))
        wait_until(path.is_file)
        time.sleep(draw.uniform(0.0, 0.01))
        kill(process)
        content = path.read_text(encoding="utf-8")
        assert len(content) == 300_000
        assert len(set(content)) == 1
        path.unlink()


def in_another_process(work: Callable[..., None], *arguments: Any) -> multiprocessing.process.BaseProcess:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 warns of fork beside threads
        process = multiprocessing.get_context("fork").Process(target=work, args=arguments)
        process.start()
    return process


def kill(process: multiprocessing.process.BaseProcess) -> None:
    assert process.pid is not None
    assert process.is_alive()
    os.kill(process.pid, signal.SIGKILL)
    process.join()


def wait_until(happened: Callable[[], bool]) -> None:
    end = time.monotonic() + 300.0  # against a hang only
    while not happened():
        assert time.monotonic() < end
        time.sleep(0.001)


# --- logs ---

VALUES = [{"name": "片段", "loss": 0.5}, ["\udcff", "\ud83c"], None, "two\nlines\u2028", float("inf"), {}]


@pytest.mark.parametrize("checksums", [False, True])
def test_what_was_added_is_read(tmp_path: Path, checksums: bool) -> None:
    log = LineLog(tmp_path / "new" / "日.jsonl", checksums=checksums)
    assert log.records() == list(log.new_records()) == []
    assert not log.path.parent.exists()
    log.add(*VALUES[:2])
    assert list(log.new_records()) == VALUES[:2]
    for value in VALUES[2:]:
        LineLog(log.path, checksums=checksums).add(value)
    assert list(log.new_records()) == VALUES[2:]
    assert list(log.new_records()) == []
    assert log.records() == VALUES
    assert log.path.read_bytes().count(b"\n") == len(VALUES)


def test_lines_are_found_again_by_their_place(tmp_path: Path) -> None:
    log = LineLog(tmp_path / "log", checksums=True)
    log.append(b"", b"one", "zwölf".encode())
    lines = list(log.new_lines())
    assert [(line.number, line.body) for line in lines] == [(1, b""), (2, b"one"), (3, "zwölf".encode())]
    assert [log.line_at(line.offset) for line in lines] == [line.body for line in lines]
    assert log.line_at(lines[1].offset + 1) is None
    assert log.line_at(lines[-1].end) is None
    assert log.read_to == lines[-1].end == log.path.stat().st_size


@pytest.mark.parametrize("checksums", [False, True])
@pytest.mark.parametrize("shared", [False, True])
def test_a_torn_last_line_is_left_out_and_told_of(
    tmp_path: Path, checksums: bool, shared: bool, caplog: pytest.LogCaptureFixture
) -> None:
    log = LineLog(tmp_path / "log", checksums=checksums, shared=shared)
    log.add("one", "two")
    whole = log.path.read_bytes()
    log.add({"three": "片" * 5})
    content = log.path.read_bytes()
    for cut in range(
        len(whole) + 1, len(content) - shared
    ):  # where only the line's end lacks, the next one gives it that
        log.path.write_bytes(content[:cut])
        caplog.clear()
        again = LineLog(log.path, checksums=checksums, shared=shared)
        assert again.records() == ["one", "two"]
        assert not caplog.records
        again.add("four")
        assert [record.levelno for record in caplog.records] == [logging.WARNING]
        assert f"The last line of {log.path} was cut off" in caplog.text
        assert list(again.new_records()) == ["one", "two", "four"]
        assert again.damaged == (1 if shared else 0)
        if not shared:
            assert again.records() == ["one", "two", "four"]


def test_every_changed_bit_is_noticed_with_checksums(tmp_path: Path) -> None:
    log = LineLog(tmp_path / "log", checksums=True)
    log.add("one", "two", "three")
    whole = log.path.read_bytes()
    second = range(whole.index(b"\n") + 1, whole.index(b"\n", whole.index(b"\n") + 1) + 1)
    for position in second:
        for bit in range(8):
            log.path.write_bytes(whole[:position] + bytes([whole[position] ^ 1 << bit]) + whole[position + 1 :])
            with pytest.raises(
                DamagedLineError, match=rf"^Line 2 of {log.path} is damaged \(its checksum is wrong\)\.$"
            ):
                log.records()
            tolerant = LineLog(log.path, checksums=True)
            assert [value for value in tolerant.new_records() if value != "three"] == ["one"]
            assert tolerant.damaged >= 1


def test_foreign_lines_are_passed_over_or_refused(tmp_path: Path) -> None:
    log = LineLog(tmp_path / "log")
    log.path.write_bytes(b'1\n\xff\xfe\n\n{"a":\n2\n')
    assert list(log.new_records()) == [1, 2]
    assert log.damaged == 3
    with pytest.raises(DamagedLineError, match=r"Line 2 of .*log is damaged"):
        log.records()


def short_writes(lengths: list[int]) -> Callable[[int, bytes], int]:
    """A stand-in for `os.write` that writes so many bytes and no more; afterwards all."""
    real, left = os.write, iter(lengths)
    return lambda descriptor, content: real(descriptor, content[: next(left, len(content))])


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("length", range(13))
def test_a_short_write_is_written_again(
    tmp_path: Path, shared: bool, length: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = LineLog(tmp_path / "log", shared=shared)
    log.add("one")
    with monkeypatch.context() as short:
        short.setattr(os, "write", short_writes([length]))
        log.add("two", "three")
    found = list(LineLog(log.path).new_records())
    # What other processes have read already cannot be taken back: the first line may stand there twice.
    assert found == ["one", *["two"] * (2 if shared and length > 4 else 1), "three"]


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("length", range(7))
def test_a_full_disk_costs_no_line_before_and_none_after(
    tmp_path: Path, shared: bool, length: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = LineLog(tmp_path / "log", shared=shared)
    log.add("one")
    before = log.path.read_bytes()
    with monkeypatch.context() as full:
        full.setattr(os, "write", refuse if length == 0 else short_writes([length] * 2))
        with pytest.raises(OSError, match="No space left") as caught:
            log.add("is lost")
    assert caught.value.errno == errno.ENOSPC
    if not shared:
        assert log.path.read_bytes() == before
    log.add("two")
    assert list(LineLog(log.path).new_records()) == ["one", "two"]


def test_a_line_behind_one_that_a_kill_cut_off_in_between_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process begins a line after the writer has looked at the file's end, and dies inside it."""
    log, write = LineLog(tmp_path / "log", shared=True), os.write
    log.add("one")

    def behind_a_torn_line(descriptor: int, content: bytes) -> int:
        monkeypatch.setattr(os, "write", write)
        write(descriptor, b'"never who')
        return write(descriptor, content)

    monkeypatch.setattr(os, "write", behind_a_torn_line)
    log.add("two")
    log.add("three")
    assert list(log.new_records()) == ["one", "two", "three"]
    assert log.damaged == 1


def test_a_durable_log_is_on_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flushed: list[int] = []
    monkeypatch.setattr(os, "fsync", flushed.append)
    LineLog(tmp_path / "a").add(1)
    assert not flushed
    LineLog(tmp_path / "b", durable=True).add(1)
    assert len(flushed) == 1


def test_a_log_is_rewritten_in_one_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = LineLog(tmp_path / "log", checksums=True)
    log.add(*range(9))
    with monkeypatch.context() as full:
        full.setattr(os, "replace", refuse)
        with pytest.raises(OSError, match="No space left"):
            log.rewrite([1])
    assert log.records() == list(range(9))
    log.rewrite(value for value in log.records() if value % 2)
    assert log.records() == [1, 3, 5, 7]
    assert os.listdir(tmp_path) == ["log"]


def add_without_end(path: str, writer: int) -> None:
    log = LineLog(Path(path), shared=True)
    for number in itertools.count():
        log.add([writer, number, "x" * (number % 50_000)])


def test_killed_writers_lose_nothing_that_was_whole(tmp_path: Path) -> None:
    """Several processes append to one file; a kill tears its own last line only, and nobody's number is left out."""
    path, draw = tmp_path / "log", random.Random(1)
    log = LineLog(path, shared=True)
    seen: dict[int, list[int]] = {}

    def read() -> bool:
        for writer, number, text in log.new_records():
            assert len(text) == number % 50_000
            seen.setdefault(writer, []).append(number)
        return all(len(seen.get(writer, [])) > 20 for writer in range(started))

    started = 0
    for _ in range(3):
        processes = [in_another_process(add_without_end, str(path), started + more) for more in range(2)]
        started += 2
        wait_until(read)
        time.sleep(draw.uniform(0.0, 0.02))
        for process in processes:
            kill(process)
    log.add([started, 0, ""])
    read()
    assert seen.pop(started) == [0]
    assert all(numbers == list(range(len(numbers))) for numbers in seen.values())
    assert log.damaged <= started


# --- locks ---


def hold(path: str, seen: str) -> None:
    with file_lock(Path(path)):
        LineLog(Path(seen), shared=True).add("in")
        time.sleep(600)


def add_under_lock(path: str, count: str, turns: int) -> None:
    for _ in range(turns):
        with file_lock(Path(path)):
            number = int(Path(count).read_text(encoding="utf-8"))
            time.sleep(0.0005)
            write_whole(Path(count), str(number + 1), durable=False)


def test_processes_take_turns_under_a_lock(tmp_path: Path) -> None:
    write_whole(tmp_path / "count", "0")
    processes = [in_another_process(add_under_lock, str(tmp_path / "lock"), str(tmp_path / "count"), 40) for _ in "ab"]
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0]
    assert (tmp_path / "count").read_text(encoding="utf-8") == "80"


def test_a_lock_ends_with_its_process(tmp_path: Path) -> None:
    process = in_another_process(hold, str(tmp_path / "lock"), str(tmp_path / "seen"))
    wait_until(lambda: LineLog(tmp_path / "seen").records() == ["in"])
    with pytest.raises(TimeoutError):
        file_lock(tmp_path / "lock", wait_seconds=0.05).acquire()
    kill(process)
    with file_lock(tmp_path / "lock", wait_seconds=60):
        pass


def test_threads_take_turns_too(tmp_path: Path) -> None:
    inside: list[int] = []
    most: list[int] = []

    def work() -> None:
        for _ in range(10):
            with file_lock(tmp_path / "lock"):
                inside.append(1)
                most.append(len(inside))
                inside.pop()

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1] * 30


# --- imports ---


def test_storage_loads_the_standard_library_only() -> None:
    program = "import sys, affect_lightning.storage; print(*{name.split('.')[0] for name in sys.modules})"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, encoding="utf-8")
    assert not {"torch", "numpy", "filelock", "asyncio"} & set(done.stdout.split())
