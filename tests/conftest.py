"""What every test may use: where the reference data is, and a quiet environment."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

REPOSITORY = Path(__file__).resolve().parents[1]


def reference_folder() -> Path | None:
    """The folder of reference data, or None where it is absent."""
    named = os.environ.get("AFFECT_REFERENCE_DIR")
    folder = Path(named) if named else REPOSITORY.parent / "shared" / "reference"
    return folder if folder.is_dir() else None


@pytest.fixture
def reference() -> Path:
    """The folder of reference data; skips the test where it is absent."""
    folder = reference_folder()
    if folder is None:
        pytest.skip("reference data absent: set AFFECT_REFERENCE_DIR or put it at ../shared/reference")
    return folder


@pytest.fixture
def repository() -> Path:
    """Root of the repository."""
    return REPOSITORY
