"""Killed with SIGKILL at random moments, `affect-lightning cache` loses and repeats no clip."""

from __future__ import annotations

import os
import random
import time
from pathlib import Path

import pytest

from affect_lightning.command_line.program import main
from clip_making import write_clip, write_training_set
from feature_cache_cases import all_entries, words
from patience import LONGEST
from training_runs import Run

KILLS = int(os.environ.get("AFFECT_CACHE_KILLS", "2"))  # 20 take minutes
CLIPS = 6 * KILLS


def written(folder: Path) -> int:
    """Bytes in all files of the shards."""
    return sum(path.stat().st_size for path in folder.glob("features/*/shard-*"))


def kill_in_the_middle(command: list[str], log: Path, folder: Path, draw: random.Random) -> bool:
    """Run, kill some moments after the first or a later batch; whether it was still running then."""
    before = written(folder)
    run = Run(command, log)
    end = time.monotonic() + LONGEST
    for _ in range(draw.randint(1, 2)):  # so many changes of the files; then some moments more
        while written(folder) == before and run.process.is_alive():
            assert time.monotonic() < end, "nothing was written"
            time.sleep(0.001)
        before = written(folder)
    time.sleep(draw.uniform(0.0, 0.06))
    alive = run.process.is_alive()
    run.kill()
    return alive


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_kills_lose_and_repeat_nothing(tmp_path: Path) -> None:
    names = [f"sample_{index:03}" for index in range(CLIPS)]
    corpus = write_training_set(tmp_path / "corpus", names, lambda path: write_clip(path, range(0, 400, 40)))
    (corpus / "mer-caption-plus" / "video" / "sample_001.mp4").write_bytes(b"")
    options = ("--batch-size", "2", "--data.max_bad_share", "0.5")
    killed = tmp_path / "killed"
    command = ["cache", *words(corpus, killed), *options]
    draw = random.Random(0)
    alive = [
        kill_in_the_middle(
            [*command, "--devices", "2" if kill % 3 == 1 else "1"], tmp_path / f"{kill}.log", killed, draw
        )
        for kill in range(KILLS)
    ]
    assert sum(alive) >= KILLS / 2  # most kills met the program at work
    (place,) = (killed / "features").iterdir()
    assert 0 < sum(map(len, all_entries(place).values())) <= CLIPS
    assert Run(command, tmp_path / "end.log").end() == 0
    found = all_entries(place)
    assert sorted(name for _, name in found) == names
    assert all(len(entries) == 1 for entries in found.values())

    assert main(["cache", *words(corpus, tmp_path / "at_once"), *options]) == 0
    (other,) = (tmp_path / "at_once" / "features").iterdir()
    assert all_entries(other) == found
