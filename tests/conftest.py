"""What every test may use: where the reference data is, and a quiet environment."""

from __future__ import annotations

import atexit
import csv
import gc
import multiprocessing
import os
import random
import runpy
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from affect_lightning.storage import keep_libraries_out_of_a_home_that_cannot_be_written, user_cache_folder
from grounds import report_ground, set_warning_filters

os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

# No test depends on, or fills, what the user has fetched. Only the language model that the installation unpacked is
# taken from there: unpacking it again is half a minute.
_users = user_cache_folder()
_cache = tempfile.TemporaryDirectory(prefix="affect-lightning-cache-")
atexit.register(_cache.cleanup)
for _unpacked in _users.glob("smollm2-135m-*"):
    Path(_cache.name, _unpacked.name).symlink_to(_unpacked.resolve())
os.environ["AFFECT_LIGHTNING_CACHE"] = _cache.name
keep_libraries_out_of_a_home_that_cannot_be_written()

# The processor does not decide what is tested: 32 bits, except where a test asks for bf16 (docs/training.md).
os.environ.setdefault("AFFECT_CPU_BF16", "off")

# Nothing of the suite resolves a name or reaches another machine: not this process and none that a test starts.
GUARD = Path(__file__).parent / "network_guard"
NETWORK_LOG = Path(_cache.name, "network.log")
NETWORK_LOG.touch()
os.environ["AFFECT_NETWORK_LOG"] = str(NETWORK_LOG)
os.environ["PYTHONPATH"] = os.pathsep.join([str(GUARD), *filter(None, [os.environ.get("PYTHONPATH")])])
runpy.run_path(str(GUARD / "sitecustomize.py"))

# Processes of the method `forkserver` begin as copies of one that has imported all this: not one import each.
multiprocessing.set_forkserver_preload(
    [
        "affect_lightning.command_line.trainer_commands",
        "affect_lightning.inspection.clip_checks",
        "affect_lightning.packed_sets.packing",
        "affect_lightning_plugins.language_models.tiny",
        "affect_lightning_plugins.video_encoders.tiny_video",
        "affect_lightning_plugins.audio_encoders.tiny_audio",
        "affect_lightning_plugins.pre_fusions.published",
        "affect_lightning_plugins.label_extractors.rules",
        "litdata.streaming.downloader",
        "litdata.streaming.writer",
        "tensorboard.summary.writer.event_file_writer",
        "transformers.models.qwen2.modeling_qwen2",
    ]
)


# Files that take a minute or more, the longest first: started last, each would keep one processor waiting for it.
LONG_FILES = (
    "test_commands_twice", "test_notebooks", "test_every_experiment", "test_readme_commands", "test_contract_suite",
    "test_docs_plugins", "test_training_failures", "test_plugins_new", "test_packaging", "test_training_parts",
    "test_experiments", "test_figure4", "test_resume_kills", "test_feature_cache_training", "test_doctor_processes",
    "test_streaming_memory", "test_two_processes", "test_feature_cache_kills", "test_faces_speaker",
    "test_many_machines", "test_executors", "test_reinforcement_runs", "test_serving", "test_playground_page",
)  # fmt: skip


def pytest_configure(config: pytest.Config) -> None:
    """Warnings are errors on the locked ground only."""
    set_warning_filters(config)
    # Tests read with two workers also where a single processor may be used; torch then advises against it.
    config.addinivalue_line("filterwarnings", "ignore:This DataLoader will create:UserWarning")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """What differs from the lock, what other packages warned of where that fails nothing, and what `-k oracle` compared."""
    report_ground(terminalreporter, config)
    if "oracle" in config.option.keyword:
        reports = [report for kind in ("passed", "failed") for report in terminalreporter.stats.get(kind, ())]
        for report in reports:
            for name, text in getattr(report, "user_properties", ()):
                if name == "compared" and report.when == "call":
                    terminalreporter.write_line(f"compared: {text}")


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


@pytest.fixture
def reference() -> Path:
    """The folder of reference data. Where it is absent the test is skipped, with AFFECT_REQUIRE_REFERENCE=1 it fails."""
    found = runpy.run_path(str(REPOSITORY / "benchmarks" / "reference_data.py"))  # the one place that looks for it
    try:
        return found["reference_folder"]()
    except found["ReferenceMissingError"] as error:
        if os.environ.get("AFFECT_REQUIRE_REFERENCE") == "1":
            pytest.fail(str(error))
        pytest.skip(str(error))


@pytest.fixture(autouse=True, scope="module")
def same_draws() -> None:
    """Every file begins with the same random numbers, whichever files ran before it in the process.

    A part that is built by itself draws its adapter from torch's generator; a module of ours seeds it (`model.seed`).
    """
    random.seed(0)
    if "torch" in sys.modules:  # else it begins with a seed of its own, always the same
        sys.modules["torch"].manual_seed(0)


@pytest.fixture(autouse=True, scope="module")
def same_process(same_draws: None) -> Iterator[None]:
    """What a file sets for the whole process ends with it: `trainer.deterministic` on a page, the longest cell of a table."""
    variable = "CUBLAS_WORKSPACE_CONFIG"
    before, longest_cell = os.environ.get(variable), csv.field_size_limit()
    yield
    csv.field_size_limit(longest_cell)
    if before is None:
        os.environ.pop(variable, None)
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.use_deterministic_algorithms(False)
        torch.set_float32_matmul_precision("highest")
        torch.set_default_dtype(torch.float32)


@pytest.fixture(autouse=True)
def no_network(request: pytest.FixtureRequest) -> Iterator[None]:
    """A test that resolves a name or connects to another machine fails, unless it is marked `reaches_out`."""
    before = NETWORK_LOG.stat().st_size
    yield
    tried = NETWORK_LOG.read_text(encoding="utf-8")[before:]
    if tried and request.node.get_closest_marker("reaches_out") is None:
        pytest.fail(f"The test reached out of this machine; mark it `reaches_out` if it must:\n{tried}")


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
