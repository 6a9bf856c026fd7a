"""docs/plugins.md, followed to the letter: its code blocks are written and run in an environment of their own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import venv
from dataclasses import dataclass
from pathlib import Path

import pytest

from affect_lightning.plugin_loading import GROUPS
from affect_lightning.plugin_templates import KINDS
from affect_lightning.testing.suite import CHECKS

PAGE = Path(__file__).resolve().parents[1] / "docs" / "plugins.md"
_FENCE = re.compile(r"^```(\w+) ?(\S*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, what stands behind that (a path, or `exit=1`), its text."""

    language: str
    note: str
    text: str

    def commands(self) -> list[tuple[str, list[str]]]:
        """Commands of a console block, each with the lines that it should print."""
        found: list[tuple[str, list[str]]] = []
        for line in self.text.splitlines():
            if line.startswith("$ "):
                found.append((line[2:], []))
            elif line.strip():
                found[-1][1].append(line)
        return found


def blocks(walk: str) -> list[Block]:
    """The blocks of a walk: of its section; of the fusion's, whatever the page has beside other walks."""
    page = PAGE.read_text(encoding="utf-8")
    sections = re.split(r"^(?=## )", page, flags=re.MULTILINE)
    chosen = [section for section in sections if section.startswith(f"## {walk}\n")]
    assert len(chosen) == 1, f"docs/plugins.md has no section {walk!r}"
    if walk == "A fusion in 15 minutes":
        chosen = [section for section in sections if not section.startswith("## A stream of your own\n")]
    return [Block(*match.groups()) for match in _FENCE.finditer("".join(chosen))]


@pytest.fixture
def environment(tmp_path: Path, repository: Path, corpus: Path) -> dict[str, str]:
    """A new environment that sees the packages of this one, with the command `affect-lightning`; and a small experiment."""
    home = tmp_path / "environment"
    venv.create(home, with_pip=False)
    site = next((home / "lib").glob("python*/site-packages"))
    paths = [path for path in sys.path if path and not path.endswith(".zip") and path != str(repository / "tests")]
    paths += [str(repository / name) for name in ("src", "plugins")]  # whatever else is tested in this process
    (site / "dependencies.pth").write_text("\n".join(paths), encoding="utf-8")
    command = home / "bin" / "affect-lightning"
    command.write_text(f'#!/bin/sh\nexec "{home}/bin/python" -m affect_lightning "$@"\n', encoding="utf-8")
    command.chmod(0o755)
    work = tmp_path / "work"
    work.mkdir()
    tiny = (repository / "tests" / "tiny.yaml").read_text(encoding="utf-8").replace("max_steps: 4", "max_steps: 2")
    (work / "sandbox-data").symlink_to(corpus, target_is_directory=True)
    (work / "sandbox").write_text(tiny.replace("sandbox-data", str(corpus)), encoding="utf-8")
    path = os.pathsep.join([str(home / "bin"), os.environ["PATH"]])
    return {**os.environ, "PATH": path, "OMP_NUM_THREADS": "1", "VIRTUAL_ENV": str(home), "COLUMNS": "200"}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("walk", "groups", "own"),
    [
        ("A fusion in 15 minutes", ("pre_fusions",), 0),
        ("A stream of your own", ("streams", "series_encoders"), 1),
    ],
)
def test_following_the_page(
    environment: dict[str, str], tmp_path: Path, walk: str, groups: tuple[str, ...], own: int
) -> None:
    """The walk's commands and files, then the package's tests: the contract suite of each group and `own` more."""
    place = package = tmp_path / "work"
    for block in blocks(walk):
        if block.language == "python":
            (package / block.note).write_text(block.text, encoding="utf-8")
            continue
        for command, expected in block.commands():
            if command.startswith("cd "):
                place = (place / command[3:]).resolve()
                package = place if (place / "pyproject.toml").is_file() else package
                continue
            done = subprocess.run(
                command,
                shell=True,
                cwd=place,
                env=environment,
                capture_output=True,
                text=True,
                check=False,
                encoding="utf-8",
            )
            failing = block.note == "exit=1" and "plugins check" in command
            assert done.returncode == int(failing), f"{command}\n{done.stdout}\n{done.stderr}"
            printed = [" ".join(line.split()) for line in done.stdout.splitlines()]
            for line in expected:
                wanted = " ".join(line.split())
                assert any(one.startswith(wanted) for one in printed), f"{command}\n{wanted}\n{done.stdout}"
    done = subprocess.run(
        ["python", "-m", "pytest", "-q", "-p", "no:cacheprovider"],
        cwd=package, env=environment, capture_output=True, text=True, check=False,encoding="utf-8")  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{sum(len(CHECKS[group]) for group in groups) + own} passed" in done.stdout
    assert list(tmp_path.rglob("last.ckpt"))
    written = {str(path.relative_to(package)) for path in package.rglob("*.*") if path.is_file()}
    touched = {path for path in written if not re.search(r"egg-info|__pycache__|make_joints|kept", path)}
    assert len(touched) == 4, touched


def test_the_page_knows_every_kind_and_every_check() -> None:
    page = PAGE.read_text(encoding="utf-8")
    for kind in KINDS.values():
        assert f"| `{kind.name}` | `{kind.group}` | `{GROUPS[kind.group].contract}` |" in page
    named = {check.name for checks in CHECKS.values() for check in checks}
    assert [name for name in named if f"`{name}`" not in page] == []
    for group in ("pre_fusions", "streams", "series_encoders"):
        assert f"{len(CHECKS[group])} passed, 0 failed, 0 skipped" in page
