"""What every test may use: where the reference data is, and a quiet environment."""

from __future__ import annotations

import atexit
import gc
import multiprocessing
import os
import tempfile
from pathlib import Path

import pytest

from grounds import report_ground, set_warning_filters

os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

# No test depends on, or fills, what the user has fetched. Only the language model that the installation unpacked is
# taken from there: unpacking it again is half a minute.
_users = Path(os.environ.get("AFFECT_LIGHTNING_CACHE") or Path.home() / ".cache" / "affect-lightning")
_cache = tempfile.TemporaryDirectory(prefix="affect-lightning-cache-")
atexit.register(_cache.cleanup)
for _unpacked in _users.glob("smollm2-135m-*"):
    Path(_cache.name, _unpacked.name).symlink_to(_unpacked.resolve())
os.environ["AFFECT_LIGHTNING_CACHE"] = _cache.name

# Processes of the method `forkserver` begin as copies of one that has imported all this: not one import each.
multiprocessing.set_forkserver_preload(
    [
        "affect_lightning.command_line.trainer_commands",
        "affect_lightning.data.inspection.clip_check",
        "affect_lightning.data.streaming.packing",
        "affect_lightning_plugins.language_models.tiny",
        "affect_lightning_plugins.video_encoders.tiny_video",
        "affect_lightning_plugins.audio_encoders.tiny_audio",
        "affect_lightning_plugins.pre_fusions.attention",
        "affect_lightning_plugins.label_extractors.rules",
        "litdata.streaming.downloader",
        "litdata.streaming.writer",
        "tensorboard.summary.writer.event_file_writer",
        "transformers.models.qwen2.modeling_qwen2",
    ]
)


# Files that take a minute or more, the longest first: started last, each would keep one processor waiting for it.
LONG_FILES = (
    "test_contract_suite", "test_docs_plugins", "test_training_failures", "test_plugins_new", "test_packaging",
    "test_training_parts", "test_experiments", "test_figure4", "test_resume_kills", "test_feature_cache_training",
    "test_doctor_processes", "test_streaming_memory", "test_two_processes", "test_feature_cache_kills", "test_faces_speaker",
)  # fmt: skip


def pytest_configure(config: pytest.Config) -> None:
    """Warnings are errors on the locked ground only."""
    set_warning_filters(config)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """What differs from the lock, and what other packages warned of, where that fails nothing."""
    report_ground(terminalreporter, config)


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
