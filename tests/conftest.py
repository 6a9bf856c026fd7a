"""What every test may use: where the reference data is, and a quiet environment."""

from __future__ import annotations

import atexit
import gc
import os
import tempfile
from pathlib import Path

import pytest

os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

# No test depends on, or fills, what the user has fetched.
_cache = tempfile.TemporaryDirectory(prefix="affect-lightning-cache-")
atexit.register(_cache.cleanup)
os.environ["AFFECT_LIGHTNING_CACHE"] = _cache.name


# Files that take a minute or more, the longest first: started last, each would keep one processor waiting for it.
LONG_FILES = (
    "test_contract_suite", "test_docs_plugins", "test_training_failures", "test_plugins_new", "test_packaging",
    "test_training_parts", "test_experiments", "test_figure4", "test_resume_kills", "test_feature_cache_training",
    "test_doctor_processes", "test_streaming_memory", "test_two_processes", "test_feature_cache_kills", "test_faces_speaker",
)  # fmt: skip


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long files first, for `--dist loadfile --no-loadscope-reorder`; else the order stays."""
    place = {name: position for position, name in enumerate(LONG_FILES)}
    items.sort(key=lambda item: place.get(item.path.stem, len(place)))


def pytest_collection_finish() -> None:
    """What is there now stays to the end: the collector of garbage need not look through it a thousand times."""
    gc.collect()
    gc.freeze()


def pytest_unconfigure() -> None:
    """At the end all of it may go; libraries that count their objects would complain otherwise."""
    gc.unfreeze()


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


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small sandbox corpus: 8 training clips and 2 clips in each of the nine test sets."""
    from affect_lightning.sandbox.generation import generate_sandbox

    folder = tmp_path_factory.mktemp("sandbox") / "corpus"
    generate_sandbox(folder, clips=8, test_clips=2, seed=0, workers=1)
    return folder
