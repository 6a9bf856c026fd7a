"""A clone is all that is needed: no file of the tree names one outside of it, and the reference data has one way in."""

from __future__ import annotations

import os
import re
import runpy
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("src", "plugins", "tests", "benchmarks", "docs", "experiments", "notebooks", "requirements")
TEXTS = {".py", ".yaml", ".md", ".ipynb", ".cfg", ".toml", ".txt", ".template", ".html", ".json"}
# What a clone lacks: the folder beside it, and pages that only its authors have. Written so that this file has none.
OUTSIDE = re.compile(r"(?<![\w-])(?:\.\./)+shar[e]d\b|\bshar[e]d/reference\b|\b(?:PAPER|DESIGN|STACK|RELEASED)\.m[d]\b")
PAGE = re.compile(r"(?:docs/)?\b[a-z_]+\.md\b")
WRITTEN = {"datasheet.md", "gpu_check.md", "report.md"}  # a page that the program writes


def texts(*folders: str) -> Iterator[Path]:
    for folder in folders:
        for path in sorted((ROOT / folder).rglob("*")):
            if path.suffix in TEXTS and "__pycache__" not in path.parts and ".egg-info" not in str(path):
                yield path


def test_no_file_names_what_a_clone_lacks() -> None:
    files = [*texts(*FOLDERS), *(path for path in ROOT.iterdir() if path.suffix in TEXTS)]
    assert len(files) > 300
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in files
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if OUTSIDE.search(line)
    ]
    assert not found, "\n".join(found)


@pytest.mark.parametrize("line", ["a: ../shar{}d/labels", "see PAP{}R.md", "(../../shar{}d/reference)", "DESIGN.m{}"])
def test_such_names_are_found(line: str) -> None:
    assert OUTSIDE.search(line.format("d" if "m{" in line else "E" if "PAP" in line else "e"))


def test_pages_named_in_code_and_experiments_exist() -> None:
    missing = {
        f"{path.relative_to(ROOT)}: {name}"
        for path in texts("src", "plugins", "experiments", "benchmarks")
        for name in PAGE.findall(path.read_text(encoding="utf-8"))
        if name not in WRITTEN and not (ROOT / "docs" / name.removeprefix("docs/")).is_file()
    }
    assert not missing


def values(node: Any) -> Iterator[Any]:
    """All values of a YAML document."""
    if isinstance(node, dict | list):
        for item in node.values() if isinstance(node, dict) else node:
            yield from values(item)
    else:
        yield node


@pytest.mark.parametrize("path", sorted((ROOT / "experiments").glob("*.yaml")), ids=lambda path: path.stem)
def test_no_experiment_points_out_of_the_folder_it_runs_in(path: Path) -> None:
    outside = [
        value
        for value in values(yaml.safe_load(path.read_text(encoding="utf-8")))
        if isinstance(value, str) and (value.startswith(("/", "~")) or ".." in Path(value).parts)
    ]
    assert not outside


def asked(environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("AFFECT_REFERENCE_DIR", "AFFECT_REQUIRE_REFERENCE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return runpy.run_path(str(ROOT / "benchmarks" / "reference_data.py"))["reference_folder"]()


def test_the_reference_data_is_where_the_variable_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert asked({"AFFECT_REFERENCE_DIR": str(tmp_path)}, monkeypatch) == tmp_path
    with pytest.raises(Exception, match=r"^Set AFFECT_REFERENCE_DIR to .*; there is no folder .*nowhere\.$"):
        asked({"AFFECT_REFERENCE_DIR": str(tmp_path / "nowhere")}, monkeypatch)
    with pytest.raises(Exception, match=r"^Set AFFECT_REFERENCE_DIR to .*; it is not set\.$"):
        asked({}, monkeypatch)


@pytest.mark.parametrize(("required", "code", "told"), [("0", 0, "SKIPPED [1]"), ("1", 1, "ERROR at setup of")])
def test_missing_reference_data_skips_or_fails(required: str, code: int, told: str, tmp_path: Path) -> None:
    test = "tests/test_readers.py::test_the_real_label_files_are_read_whole[meld-2610]"
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-rs", "-p", "no:cacheprovider", test],
        env={**os.environ, "AFFECT_REFERENCE_DIR": str(tmp_path / "nowhere"), "AFFECT_REQUIRE_REFERENCE": required},
        cwd=ROOT,
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == code, done.stdout
    assert told in done.stdout
    assert "Set AFFECT_REFERENCE_DIR" in done.stdout
