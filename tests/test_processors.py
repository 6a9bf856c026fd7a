"""Commands start a process on each processor that they may use, not on each that the machine has."""

from __future__ import annotations

import os

import pytest

from affect_lightning.command_line import doctor_command
from affect_lightning.processors import usable_processors
from affect_lightning.sandbox import generation


@pytest.mark.parametrize("count", [1, 2, 16])
def test_those_that_the_process_may_use_count(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(count)), raising=False)
    assert usable_processors() == count
    assert generation._checked_workers(None) == count
    assert generation._checked_workers(3) == 3
    assert doctor_command._parser().parse_args(["--data", "DIR"]).workers == count


def test_elsewhere_those_of_the_machine_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 6)
    assert usable_processors() == 6
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert usable_processors() == 1
