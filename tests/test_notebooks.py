"""Every notebook runs in a kernel of its own, at tiny size, and is the pair of its script.

The scripts (`notebooks/*.py`, jupytext's percent format) are what is written and checked; the notebooks beside them are made
by `jupytext --sync` and hold no outputs. nbmake runs them as a reader does, cell by cell.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).resolve().parents[1] / "notebooks"
NAMES = ("first_look", "own_captions", "score_outputs", "swap_encoder", "write_fusion")


def read(name: str) -> Any:
    return json.loads((FOLDER / f"{name}.ipynb").read_text(encoding="utf-8"))


def ran(notebook: Path) -> subprocess.CompletedProcess[str]:
    """Run a notebook with nbmake in its folder."""
    settings = ("-c", os.devnull, f"--rootdir={notebook.parent}", "-p", "no:cacheprovider", "-p", "no:xdist")
    return subprocess.run(
        [sys.executable, "-m", "pytest", "--nbmake", "--nbmake-timeout=600", *settings, str(notebook)],
        cwd=notebook.parent,
        env={**os.environ, "AFFECT_NOTEBOOK_SMALL": "1", "MPLBACKEND": "agg", "IPYTHONDIR": str(notebook.parent / ".ipython")},
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )  # fmt: skip


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_runs(name: str, tmp_path: Path) -> None:
    notebook = tmp_path / f"{name}.ipynb"
    notebook.write_bytes((FOLDER / notebook.name).read_bytes())
    done = ran(notebook)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed" in done.stdout


def test_a_cell_that_fails_is_told(tmp_path: Path) -> None:
    """nbmake runs the cells at all."""
    notebook = tmp_path / "broken.ipynb"
    cell = {"cell_type": "code", "metadata": {}, "source": "assert 1 > 2", "outputs": [], "execution_count": None}
    notebook.write_text(json.dumps({**read("write_fusion"), "cells": [cell]}), encoding="utf-8")
    done = ran(notebook)
    assert done.returncode == 1
    assert "AssertionError" in done.stdout


def test_these_are_all_notebooks() -> None:
    assert sorted(path.stem for path in FOLDER.glob("*.ipynb")) == sorted(NAMES)
    assert sorted(path.stem for path in FOLDER.glob("*.py")) == sorted(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_is_the_pair_of_its_script(name: str) -> None:
    import jupytext

    script = jupytext.read(FOLDER / f"{name}.py")
    notebook = read(name)
    cells = [(cell["cell_type"], "".join(cell["source"])) for cell in notebook["cells"]]
    assert cells == [(cell.cell_type, cell.source) for cell in script.cells], "run `jupytext --sync notebooks/*.py`"
    assert not [cell for cell in notebook["cells"] if cell.get("outputs") or cell.get("execution_count")]
    assert notebook["metadata"]["kernelspec"]["name"] == "python3"
