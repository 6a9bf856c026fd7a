"""Work in parts: shares are disjoint and whole, and a merge names what is missing, unfinished, or of other work."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from affect_lightning.errors import ConfigurationError
from affect_lightning.storage import Part, PartError, WorkInParts, write_whole

PAGE = Path(__file__).resolve().parents[1] / "docs" / "many_machines.md"
SCRIPTS = dict(re.findall(r"```bash (\w+)\.sbatch\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL))
REQUEST = {"--batch-size": 4, "number of clips": 9}


@pytest.mark.parametrize("text", ["0/3", "4/3", "1", "1/0", "a/b", "-1/3", "1/3/5", ""])
def test_what_is_no_part_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match=r"--part must be I/N with I from 1 to N, such as 2/8; got "):
        Part.parse(text)


@pytest.mark.parametrize("count", [1, 2, 3, 7, 20])
def test_every_item_is_of_one_part(count: int) -> None:
    items = [f"clip {number} 片\udce9" for number in range(10)]
    parts = [Part.parse(f"{number} / {count}") for number in range(1, count + 1)]
    assert sorted(item for part in parts for item in part.of(items)) == sorted(items)
    assert [parts[place % count].of(items)[place // count] for place in range(len(items))] == items
    assert [sum(part.has(item) for part in parts) for item in items] == [1] * len(items)


def finish(work: WorkInParts, *parts: str) -> None:
    for text in parts:
        with work.begun(Part.parse(text)) as folder:
            write_whole(folder / "journal", text)
            work.finish(Part.parse(text), {"of": text})


def test_finished_parts_come_in_their_order(tmp_path: Path) -> None:
    work = WorkInParts(tmp_path / "parts", REQUEST)
    work.check_none_waits()
    finish(work, "3/3", "1/3", "2/3", "1/3")
    done = WorkInParts(tmp_path / "parts", dict(REQUEST)).finished()
    assert [
        (str(one.part), one.result["of"], (one.folder / "journal").read_text(encoding="utf-8")) for one in done
    ] == [(text, text, text) for text in ("1/3", "2/3", "3/3")]
    with pytest.raises(PartError, match=r"Add --merge to join the parts in .*parts, or delete that folder"):
        work.check_none_waits()
    work.remove()
    work.check_none_waits()


def test_a_merge_names_what_it_lacks(tmp_path: Path) -> None:
    work = WorkInParts(tmp_path, REQUEST)
    with pytest.raises(PartError, match=r"Run the parts first, with --part 1/N to --part N/N: .* has none"):
        work.finished()
    finish(work, "1/4")
    with work.begun(Part(3, 4)):
        pass
    other = WorkInParts(tmp_path, {**REQUEST, "number of clips": 8})
    with other.begun(Part(4, 4)):
        other.finish(Part(4, 4))
    with pytest.raises(PartError) as told:
        work.finished()
    assert "2/4 is missing; 3/4 is not finished; 4/4 was made with other options or clips" in str(told.value)
    assert f"(number of clips is 8 there, 9 here), so delete {tmp_path / '4-of-4'} first" in str(told.value)


def test_one_part_is_done_by_one_process_with_one_request(tmp_path: Path) -> None:
    work = WorkInParts(tmp_path, REQUEST)
    with work.begun(Part(1, 2)):
        with (
            pytest.raises(PartError, match="Wait for its end: another process does part 1/2 in"),
            WorkInParts(tmp_path, REQUEST).begun(Part(1, 2)),
        ):
            pass
        with WorkInParts(tmp_path, REQUEST).begun(Part(2, 2)):
            pass
    changed = WorkInParts(tmp_path, {**REQUEST, "--batch-size": 5})
    with (
        pytest.raises(
            PartError, match=r"Give part 1/2 the options .* it began, or delete .*: --batch-size is 4 there, 5 here"
        ),
        changed.begun(Part(1, 2)),
    ):
        pass
    with (
        pytest.raises(PartError, match=r"or go on with parts of 2: 1/2 was begun there, and this is 2/3"),
        work.begun(Part(2, 3)),
    ):
        pass
    (tmp_path / "2-of-2" / "part.json").write_text("{", encoding="utf-8")
    with pytest.raises(PartError, match=r"Delete .*2-of-2 and run part 2/2 again: .*part.json cannot be read"):
        work.finished()
    (tmp_path / "file").touch()
    with (
        pytest.raises(PartError, match="Free space, or choose a folder"),
        WorkInParts(tmp_path / "file", {}).begun(Part(1, 1)),
    ):
        pass


def test_a_finished_part_stays_finished_when_it_runs_again(tmp_path: Path) -> None:
    work = WorkInParts(tmp_path, REQUEST)
    finish(work, "1/1")
    with work.begun(Part(1, 1)):
        assert len(work.finished()) == 1


def test_the_page_has_a_script_for_each_command() -> None:
    assert sorted(SCRIPTS) == ["cache", "doctor", "pack", "test"]


@pytest.mark.parametrize("command", sorted(SCRIPTS))
def test_the_jobs_of_an_array_do_all_parts(command: str, tmp_path: Path) -> None:
    """The scripts of docs/many_machines.md, run by bash as SLURM runs them; a program that notes its words is called."""
    script, program = tmp_path / f"{command}.sbatch", tmp_path / "bin" / "affect-lightning"
    script.write_text(SCRIPTS[command], encoding="utf-8")
    program.parent.mkdir()
    program.write_text(f'#!/bin/bash\necho "$@" >> {tmp_path / "words"}\n', encoding="utf-8")
    program.chmod(0o755)
    first, last = re.search(r"#SBATCH --array=(\d+)-(\d+)", SCRIPTS[command]).groups()  # type: ignore[union-attr]
    path = f"{program.parent}:{os.environ['PATH']}"
    for number in range(int(first), int(last) + 1):
        environment = {"PATH": path, "SLURM_ARRAY_TASK_ID": str(number)}
        subprocess.run(["bash", str(script)], env=environment, check=True)
    calls = [line.split() for line in (tmp_path / "words").read_text(encoding="utf-8").splitlines()]
    assert {call[0] for call in calls} == {command}
    parts = [Part.parse(call[call.index("--part") + 1]) for call in calls]
    assert parts == [Part(number, int(last)) for number in range(1, int(last) + 1)]
