"""Makes the sandbox corpus on the disk: scripts, media by several processes, annotations, and `corpus.json`.

Stands in for MER-Caption+ and the nine sets of MER-UniBench (paper, Sections 2 and 4) where the licensed data is
absent. `authoring.py` decides what every clip is, in one process, so that the annotations do not depend on the number
of workers; `performing.py` draws and speaks; `layouts.py` writes the annotations; `priors.py` gives the best scores.
`corpus.json` is written last: a folder that has it is complete.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from affect_lightning.corpora.corpus_file import CORPUS_FILE
from affect_lightning.errors import ConfigurationError, DataError
from affect_lightning.processors import usable_processors
from affect_lightning.sandbox.authoring import (
    AuthoredClip,
    author_test_set,
    author_training,
    checked_fault_kinds,
    planted_faults,
)
from affect_lightning.sandbox.emotions import ClipScript, label_words
from affect_lightning.sandbox.layouts import (
    LAYOUTS,
    Layout,
    places_of,
    write_json,
    write_json_lines,
    write_test_annotations,
    write_training_annotations,
)
from affect_lightning.sandbox.priors import RAW_CLIPS, TEST_CORPORA, TRAINING_PRIOR, TRAINING_SET, bounds_report
from affect_lightning.sandbox.raw_clips import DEFAULT_SHARE, author_raw_clips, write_raw_tables
from affect_lightning.sandbox.seen_frames import frames_report

Performer = Callable[[ClipScript, Path, Path], Any]

TRUTH_FILE = "clip_truth.jsonl"
FORMAT = "affect-lightning sandbox"
FORMAT_VERSION = 1
_WORKSHOP = ".unfinished"
_PARAMETERS_FILE = "parameters.json"


@dataclass(frozen=True)
class GeneratedCorpus:
    """What `generate_sandbox` made or found.

    Attributes:
        root: Folder of the corpus.
        training_clips: Clips in its MER-Caption+ folder.
        test_clips: Clips in each of its nine test sets.
        faults: Planted faults, name and kind.
        raw_clips: Clips without annotations, in a folder of their own.
        already_there: True when the folder held the same finished corpus before, and nothing was done.
    """

    root: Path
    training_clips: int
    test_clips: int
    faults: tuple[dict[str, str], ...]
    raw_clips: int
    already_there: bool


@dataclass(frozen=True)
class _Task:
    """One clip to perform: the script, its final files and where its measure is noted; no crops in a layout without."""

    script: ClipScript
    video: Path
    audio: Path
    crops: Path | None
    measure: Path


def generate_sandbox(
    out: str | Path,
    clips: int = 600,
    test_clips: int = 20,
    seed: int = 0,
    workers: int | None = None,
    *,
    faults: float = 0.0,
    fault_kinds: Sequence[str] | None = None,
    layout: Layout = "plain",
    raw_clips: int = 0,
    raw_faults: float = DEFAULT_SHARE,
    performer: Performer | None = None,
) -> GeneratedCorpus:
    """Make the sandbox corpus, or continue with one that was interrupted.

    All defaults are our choice: as many clips as two cores perform in a few minutes, and no faults.

    Args:
        out: Folder of the corpus; it must be absent, empty, or hold a sandbox of the same parameters.
        clips: Training clips.
        test_clips: Clips of each of the nine test sets.
        seed: Of everything drawn. The same seed gives the same bytes of annotation with any number of workers.
        workers: Processes that perform clips; None means one for every processor.
        faults: Share of training clips with a planted fault, 0 to 1. Test sets have none.
        fault_kinds: Kinds planted in turn; None means all of `script.Fault`.
        layout: `released` writes the tree of the authors' code with its face crops; see `layouts.py`.
        raw_clips: Clips for `affect-lightning annotate` besides; see `raw_clips.py`.
        raw_faults: Share of these with a planted fault, 0 to 1.
        performer: Performs a script into an MP4 and a WAV and returns a measure with `seconds`, `frames` and
            `face_boxes`; None means the sandbox's own. It must be importable by other processes.

    Returns:
        What was made; `already_there` tells whether anything had to be done.

    Raises:
        ConfigurationError: A number, fault kind or layout is out of range.
        DataError: The folder holds something else, or cannot be written.

    With more than one worker a calling script needs `if __name__ == "__main__":`, for the workers import it again.
    """
    root = Path(out)
    parameters = _checked_parameters(clips, test_clips, seed, faults, fault_kinds, layout)
    if raw_clips:  # a corpus from before the raw clips has none
        parameters |= {"raw_clips": raw_clips, "raw_faults": float(raw_faults)}
    workers = _checked_workers(workers)
    finished = _finished_corpus(root, parameters)
    if finished is not None:
        print(f"{root} already has this corpus. There is nothing to do.", file=sys.stderr)
        return _summary(root, finished, already_there=True)
    training, tests, raw = _author_everything(parameters)
    with _disk_errors(root):
        _open_workshop(root, parameters)
        everybody = [*training, *(clip for key in tests for clip in tests[key]), *raw]
        tasks = [_task(root, clip, layout) for clip in everybody]
        _perform_all(tasks, performer or _own_performer(), workers)
        write_training_annotations(root, training, layout)
        for key, authored in tests.items():
            write_test_annotations(root, key, authored, layout)
        if raw:
            write_raw_tables(root, raw)
        write_json_lines(root / TRUTH_FILE, _truth_rows(everybody, tasks))
        content = _corpus_content(parameters, training)
        write_json(root / CORPUS_FILE, content)
        shutil.rmtree(root / _WORKSHOP)
    return _summary(root, content, already_there=False)


def _checked_parameters(
    clips: int, test_clips: int, seed: int, faults: float, fault_kinds: Sequence[str] | None, layout: Layout
) -> dict[str, Any]:
    if clips < 1 or test_clips < 1:
        raise ConfigurationError(
            f"{clips} training clips and {test_clips} clips a test set were asked for; give at least 1 of each."
        )
    if layout not in LAYOUTS:
        raise ConfigurationError(f"The layout {layout!r} was asked for; give one of {', '.join(LAYOUTS)}.")
    return {
        "clips": clips,
        "test_clips": test_clips,
        "seed": seed,
        "faults": float(faults),
        "fault_kinds": list(checked_fault_kinds(faults, fault_kinds)),
        **({} if layout == "plain" else {"layout": layout}),  # a corpus from before the layouts is a plain one
    }


def _checked_workers(workers: int | None) -> int:
    if workers is None:
        return usable_processors()
    if workers < 1:
        raise ConfigurationError(f"{workers} workers were asked for; give at least 1, or none for one a processor.")
    return workers


def _finished_corpus(root: Path, parameters: dict[str, Any]) -> dict[str, Any] | None:
    """Content of `corpus.json` if the folder holds this very corpus, None if the corpus is still to be made."""
    if root.exists() and not root.is_dir():
        raise DataError(f"{root} is a file; the sandbox needs a folder. Give another path.")
    present = sorted(item.name for item in root.iterdir()) if root.exists() else []
    if CORPUS_FILE in present:
        content = _read_json(root / CORPUS_FILE)
        if content.get("format") != FORMAT:
            raise DataError(f"{root / CORPUS_FILE} is not a sandbox corpus. Give an empty or new folder.")
        found = {"version": content.get("version"), **content.get("parameters", {})}
        _demand_equal(root, found, {"version": FORMAT_VERSION, **parameters}, "a finished")
        return content
    if _WORKSHOP in present:
        found = _read_json(root / _WORKSHOP / _PARAMETERS_FILE)
        _demand_equal(root, found, {"version": FORMAT_VERSION, **parameters}, "an unfinished")
    elif present:
        raise DataError(
            f"{root} is not empty (it holds {', '.join(present[:5])}) and is not a sandbox corpus. Give an "
            "empty or new folder. Nothing was written."
        )
    return None


def _demand_equal(root: Path, found: dict[str, Any], wanted: dict[str, Any], state: str) -> None:
    if found != wanted:
        differing = [name for name in sorted({*found, *wanted}) if found.get(name) != wanted.get(name)]
        details = ", ".join(f"{name} {found.get(name)} instead of {wanted.get(name)}" for name in differing)
        raise DataError(
            f"{root} holds {state} sandbox corpus with other parameters: {details}. Give another folder, delete this "
            "one, or give the same parameters."
        )


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read ({error}). Delete its folder or give another one.") from error
    if not isinstance(content, dict):
        raise DataError(f"{path} holds {type(content).__name__}, not an object. Delete its folder or give another one.")
    return content


def _author_everything(
    parameters: dict[str, Any],
) -> tuple[list[AuthoredClip], dict[str, list[AuthoredClip]], list[AuthoredClip]]:
    """The training set, the test sets and the raw clips."""
    from affect_lightning.sandbox.identities import TEST_IDENTITIES, TRAINING_IDENTITIES

    training = author_training(
        parameters["clips"],
        seed=parameters["seed"],
        identities=list(TRAINING_IDENTITIES),
        faults=parameters["faults"],
        fault_kinds=parameters["fault_kinds"],
    )
    tests = {
        key: author_test_set(key, parameters["test_clips"], seed=parameters["seed"], identities=list(TEST_IDENTITIES))
        for key in TEST_CORPORA
    }
    raw = author_raw_clips(
        parameters.get("raw_clips", 0),
        seed=parameters["seed"],
        identities=list(TRAINING_IDENTITIES),
        faults=parameters.get("raw_faults", 0.0),
    )
    return training, tests, raw


def _own_performer() -> Performer:
    from affect_lightning.sandbox.performing import perform

    return perform


def _open_workshop(root: Path, parameters: dict[str, Any]) -> None:
    """Make the folders and note the parameters, so that an interrupted run can be told from a foreign folder."""
    write_json(root / _WORKSHOP / _PARAMETERS_FILE, {"version": FORMAT_VERSION, **parameters})
    for corpus in (TRAINING_SET.key, *TEST_CORPORA, *([RAW_CLIPS] if parameters.get("raw_clips") else [])):
        for path in places_of(root, corpus, parameters.get("layout", "plain")).media_of("any"):
            path.parent.mkdir(parents=True, exist_ok=True)
        (root / _WORKSHOP / corpus).mkdir(exist_ok=True)


def _task(root: Path, clip: AuthoredClip, layout: Layout) -> _Task:
    places = places_of(root, clip.corpus, layout)
    video, audio = places.media_of(clip.script.name)
    crops = places.crops_of(clip.script.name)
    return _Task(clip.script, video, audio, crops, root / _WORKSHOP / clip.corpus / f"{clip.script.name}.json")


def _perform_all(tasks: Sequence[_Task], performer: Performer, workers: int) -> None:
    """Perform every clip that has no measure yet, with a progress bar (rate, time left)."""
    from tqdm import tqdm

    open_tasks = [task for task in tasks if not task.measure.exists()]
    with tqdm(total=len(tasks), initial=len(tasks) - len(open_tasks), desc="sandbox clips", unit="clip") as progress:
        for _ in _performed(open_tasks, performer, min(workers, len(open_tasks))):
            progress.update()


def _performed(tasks: Sequence[_Task], performer: Performer, workers: int) -> Iterator[None]:
    if workers <= 1:
        for task in tasks:
            _perform_one(task, performer)
            yield
        return
    # Spawned, not forked: a forked child would inherit locks of the threads of torch, PyAV and OpenCV.
    pool = ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn"))
    try:
        futures: list[Future[None]] = [pool.submit(_perform_one, task, performer) for task in tasks]
        for future in as_completed(futures):
            future.result()
            yield
    except BrokenProcessPool as error:
        raise DataError(
            f"One of {workers} processes was killed while it made clips, perhaps because memory ran out. Run "
            "the same command again with fewer workers to continue."
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def _perform_one(task: _Task, performer: Performer) -> None:
    """Perform next to the final place, then move: media under a final name is complete. The measure comes last."""
    video = task.measure.with_suffix(task.video.suffix)
    audio = task.measure.with_suffix(task.audio.suffix)
    measure = performer(task.script, video, audio)
    if task.crops is not None and measure.face_boxes is not None and task.script.fault != "truncated":
        from affect_lightning.sandbox.performing import write_face_crops

        write_face_crops(video, measure.face_boxes, task.crops)
    for made, final in ((audio, task.audio), (video, task.video)):
        if made.exists():  # a planted fault may leave one of them out
            os.replace(made, final)
    write_json(task.measure, _plain_measure(measure))


def _plain_measure(measure: Any) -> dict[str, Any]:
    boxes = measure.face_boxes
    return {
        "seconds": round(float(measure.seconds), 3),
        "frames": int(measure.frames),
        "face_boxes": None if boxes is None else [[round(float(edge), 1) for edge in box] for box in boxes],
    }


def _truth_rows(clips: Sequence[AuthoredClip], tasks: Sequence[_Task]) -> Iterable[dict[str, Any]]:
    """What the generator knows about every clip: for checks and benchmarks, never for training or testing."""
    for clip, task in zip(clips, tasks, strict=True):
        script = asdict(clip.script)
        yield {
            **{name: script[name] for name in ("name", "identity", "face", "voice", "topic", "intensity", "fault")},
            "corpus": clip.corpus,
            "emotion": clip.emotion,
            "agreement": clip.agreement,
            "conflict": clip.conflict,
            **_read_json(task.measure),
        }


def _corpus_content(parameters: dict[str, Any], training: Sequence[AuthoredClip]) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "version": FORMAT_VERSION,
        "parameters": parameters,
        "training": {
            "corpus": TRAINING_SET.key,
            "folder": places_of(Path(), TRAINING_SET.key, parameters.get("layout", "plain")).folder.name,
            "clips": parameters["clips"],
            "prior": dict(TRAINING_PRIOR),
        },
        "test_sets": {
            key: {
                "folder": specification.official.folder,
                "clips": parameters["test_clips"],
                "metric": specification.official.metric,
                "prior": dict(specification.prior),
            }
            for key, specification in TEST_CORPORA.items()
        },
        "label_words": list(label_words()),
        "faults": planted_faults(training),
        "bounds": bounds_report(),
        "frames": frames_report(),
    }


def _summary(root: Path, content: dict[str, Any], *, already_there: bool) -> GeneratedCorpus:
    return GeneratedCorpus(
        root=root,
        training_clips=content["parameters"]["clips"],
        test_clips=content["parameters"]["test_clips"],
        faults=tuple(content["faults"]),
        raw_clips=content["parameters"].get("raw_clips", 0),
        already_there=already_there,
    )


@contextmanager
def _disk_errors(root: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise DataError(
            f"The sandbox corpus in {root} could not be finished: {error}. Check free space and write permission, then run "
            "the same command again. It continues with the clip where it stopped."
        ) from error
