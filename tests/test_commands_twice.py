"""The commands of README and docs, twice in one folder: nothing of the first time is lost or changed by the second.

A command may refuse its second time, with one sentence, as `export` does to a folder that is there. The parts are tiny and
random, so a training takes a second; what the commands print is looked at in `test_readme_commands.py`.
"""

from __future__ import annotations

import shlex
import shutil
from functools import partial
from pathlib import Path

import pytest

from run_cases import contents
from test_readme_commands import ELSEWHERE, TINY, as_a_user, page_commands, place_of
from training_runs import Run

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

# Not run here: several processes (`test_two_processes.py`), other packages (`test_reports_columns.py`), a dialogue of the page.
SKIPPED = ("torchrun", "--trainer.devices", "longest-list", "test ...", *ELSEWHERE)
# Kept between runs on purpose, and only added to.
CACHES = ("face_boxes", "user-cache")
EXPERIMENTS = ("sandbox", "affectgpt")
PAGES = {
    "README.md": 20,
    "docs/training.md": 4,
    "docs/reports.md": 3,
    "docs/python.md": 1,
}  # least number of commands that are run


def in_small(command: str, folder: Path) -> list[str]:
    """The command's words, with tiny parts in the place of the experiments and of the demo's sizes."""
    words = [place_of(word, folder) for word in shlex.split(command)][1:]
    small = [
        f"{word}.yaml" if before == "--config" and word in EXPERIMENTS else word
        for before, word in zip(["", *words], words, strict=False)
    ]
    sizes = {
        "sandbox": ["--clips", "6", "--test-clips", "2"],
        "demo": ["--config", "sandbox.yaml", "--clips", "6", "--test-clips", "2", "--steps", "2"],
    }
    return [*small, *sizes.get(words[0], [])]


def prepared(folder: Path) -> None:
    """Experiments with tiny parts, the reader's own table, and a corpus."""
    tiny = TINY.read_text(encoding="utf-8")
    for name in EXPERIMENTS:
        text = tiny.replace("name: tiny}", f"name: {name}}}").replace("max_steps: 4", "max_steps: 2")
        (folder / f"{name}.yaml").write_text(text, encoding="utf-8")
    rows = "name,text,description,video\nt1,Hello.,She is happy.,clip.mp4\nt2,No.,He is sad.,clip.mp4\n"
    (folder / "talks.csv").write_text(rows, encoding="utf-8")
    for name, column in (("labels", "labels"), ("predictions", "response")):
        words = "".join(f"t{number},{word}\n" for number, word in enumerate(("happy", "sad", "angry")))
        (folder / f"{name}.csv").write_text(f"name,{column}\n{words}", encoding="utf-8")


def ends_well(command: str, folder: Path, log: Path, codes: tuple[int, ...]) -> None:
    environment = {"AFFECT_CPU_BF16": "off", "AFFECT_LIGHTNING_CACHE": str(folder / "user-cache")}
    run = Run(in_small(command, folder), log, environment, partial(as_a_user, str(folder)))
    code = run.end()
    assert code in codes, f"{command}: exit code {code}\n{run.text()}"
    assert code == 0 or "affect-lightning: error: " in run.text()
    assert "Traceback" not in run.text()


def set_up(page: str, folder: Path, log: Path) -> None:
    """What a page takes for granted: a corpus and, to compare runs, two tested ones in each of its experiments."""
    prepared(folder)
    ends_well("affect-lightning sandbox --out sandbox-data", folder, log, (0,))
    shutil.copy(next((folder / "sandbox-data" / "mer-caption-plus" / "video").glob("*.mp4")), folder / "clip.mp4")
    if page == "docs/training.md":
        return
    for number in (0, 1):
        ends_well("affect-lightning fit --config sandbox", folder, log, (0,))
        checkpoint = f"runs/sandbox/version_{number}/checkpoints/last.ckpt"
        ends_well(f"affect-lightning test --config sandbox --ckpt_path {checkpoint}", folder, log, (0,))
    if page == "docs/reports.md":
        for name in "ab":
            shutil.copytree(folder / "runs" / "sandbox" / "version_0", folder / "runs" / name / "version_0")


@pytest.mark.parametrize("page", PAGES)
def test_a_second_time_changes_nothing_of_the_first(page: str, tmp_path: Path) -> None:
    folder, logs = tmp_path / "folder", tmp_path / "logs"
    folder.mkdir()
    logs.mkdir()
    set_up(page, folder, logs / "set-up")
    commands = [line for line in page_commands(page) if not any(word in line for word in SKIPPED)]
    assert len(commands) >= PAGES[page]
    for number, command in enumerate(commands):
        refuses = "sandbox --out" in command  # the corpus of the set-up
        # A page shows some commands twice, such as a report into one folder.
        twice = any(in_small(command, folder) == in_small(other, folder) for other in commands[:number])
        writes_out = "--out comparison" in command and any("--out comparison" in other for other in commands[:number])
        ends_well(command, folder, logs / f"first-{number}", (0, 2) if refuses or twice or writes_out else (0,))
    before = contents(folder)
    for number, command in enumerate(commands):
        ends_well(command, folder, logs / f"second-{number}", (0, 2))
    after = contents(folder)
    lost = [name for name, value in before.items() if after.get(name) != value and not any(c in name for c in CACHES)]
    assert lost == []
