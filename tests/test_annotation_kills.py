"""Killed with SIGKILL at random moments, `annotate --config` makes the same tables, and asks for no finished answer again.

The server also fails, hangs, limits, answers nonsense, refuses and says nothing. It counts the answers that it gave.
"""

from __future__ import annotations

import os
import random
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from annotation_cases import REFUSAL, asked_server, key_of, part_kinds, raw_clips, written_config
from language_model_server import hang_up, refuse, serving, silent_until
from patience import LONGEST
from training_runs import Run

KILLS = int(os.environ.get("AFFECT_ANNOTATE_KILLS", "4"))  # 20 take minutes
CLIPS = 5 * KILLS
CONCURRENCY = 3
ENVIRONMENT = {"SOURCE_DATE_EPOCH": "1700000000", "no_proxy": "127.0.0.1"}


class _MoodyServer:
    """What a server does wrong, by the number of the request; and how often it has answered each question."""

    def __init__(self) -> None:
        self.released = threading.Event()
        self.answered: Counter[str] = Counter()
        self.faults: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._asked = 0

    def __call__(self, prompt: Any, earlier: int) -> Any:
        with self._lock:
            self._asked += 1
            number = self._asked
        moods = {
            4: ("fails", refuse(503)),
            5: ("limits", refuse(429, "slow down", Retry_After="0.02")),
            7: ("talks nonsense", refuse(200, "<html>nonsense</html>")),
            11: ("hangs up", hang_up),
            23: ("hangs", silent_until(self.released)),
        }
        for period, (name, fault) in moods.items():
            if number % period == 0:
                self.faults[name] += 1
                return fault
        time.sleep(0.01)  # so that kills meet requests in flight
        return self._answer(prompt)

    def _answer(self, prompt: Any) -> str:
        """Depends on the question alone, but for the first answer about some clips, which says nothing."""
        key = key_of(prompt)
        with self._lock:
            self.answered[key] += 1
            first = self.answered[key] == 1
        which = sum(key.encode()) % 7
        if which == 0:
            return REFUSAL
        if which == 1 and first:
            return ""
        kind = "The description" if part_kinds(prompt) == "merge" else "The voice"
        return f"{kind} number {sum(key.encode())} trembles."


def killed_while_asking(command: list[str], log: Path, asked: Any, draw: random.Random) -> bool:
    """Run, kill some moments after some more questions; whether it was still running then."""
    before = asked()
    run = Run(command, log, ENVIRONMENT)
    end, wanted = time.monotonic() + LONGEST, draw.randint(1, 9)
    while asked() < before + wanted and run.process.is_alive():
        assert time.monotonic() < end, "nothing was asked"
        time.sleep(0.001)
    time.sleep(draw.uniform(0.0, 0.02))
    alive = run.process.is_alive()
    run.kill()
    return alive


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_kills_change_no_table_and_repeat_no_finished_answer(tmp_path: Path) -> None:
    clips = raw_clips(tmp_path / "raw", CLIPS, videos=range(CLIPS))
    draw = random.Random(0)
    moody = _MoodyServer()
    with serving(moody) as server:
        asked = asked_server(server.base_url, concurrency=CONCURRENCY, timeout=1.5, attempts=30)
        describe = {"audio": asked, "visual": {**asked, "frames": 1}, "merger": asked, "max_bad_share": 1.0}
        stages: list[Any] = [{"describe": {**describe, "batch_size": 4}}, "length"]
        whole = written_config(tmp_path / "whole.yaml", clips, tmp_path / "whole", stages)
        killed = written_config(tmp_path / "killed.yaml", clips, tmp_path / "killed", stages)
        assert Run(["annotate", "--config", str(whole)], tmp_path / "whole.log", ENVIRONMENT).end() == 0
        needed = Counter(moody.answered)
        moody.answered.clear()
        alive = [
            killed_while_asking(
                ["annotate", "--config", str(killed)], tmp_path / f"{number}.log", lambda: len(server.prompts), draw
            )
            for number in range(KILLS)
        ]
        assert sum(alive) >= KILLS / 2, "most kills met the program at work"
        last = Run(["annotate", "--config", str(killed)], tmp_path / "last.log", ENVIRONMENT)
        assert last.end() == 0, last.text()
        moody.released.set()
    found = {path.name: path.read_bytes() for path in (tmp_path / "killed").glob("*.parquet")}
    assert found == {path.name: path.read_bytes() for path in (tmp_path / "whole").glob("*.parquet")}
    assert len(found) == 3
    assert set(moody.faults) == {"fails", "limits", "talks nonsense", "hangs up", "hangs"}
    assert set(moody.answered) == set(needed)
    repeated = sum(max(0, count - needed[key]) for key, count in moody.answered.items())
    assert repeated <= CONCURRENCY * KILLS
    assert server.most_at_once <= 2 * CONCURRENCY + 2, "those of a killed run may still be there, and those that hang"
