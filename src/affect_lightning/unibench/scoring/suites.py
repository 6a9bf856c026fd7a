"""Suites: folders with the saved outputs of several models on several sets.

Paper: Tables 2 and 12 (rows are models, columns are sets). Two layouts are understood. Ours:

    SUITE/labels/...                          labels of all sets, as `truths.py` finds them
    SUITE/predictions/MODEL/SET.EXT           one output a set, or
    SUITE/predictions/MODEL/SET/NAME.EXT      several checkpoints a set

with EXT one of npz, csv, jsonl and parquet; and that of the authors' released outputs:

    SUITE/labels/SET-process/...              official label files
    SUITE/ovmerd/check-openset.csv            truths of OV-MERD (332 clips)
    SUITE/affectgpt_outputs/SET/NAME.npz      several checkpoints a set
    SUITE/baseline_outputs/MODEL/NAME.npz     other models on OV-MERD

Files NAME, NAME-openset and NAME-openset-sentiment tell of the same answers: responses, labels and sentiments.
`suite_scoring.py` scores what is found here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from affect_lightning.corpora import BenchmarkSet, known_sets
from affect_lightning.corpora.known_sets import canonical_key, near_hint, unknown_hint
from affect_lightning.errors import DataError
from affect_lightning.unibench.scoring.prediction_files import OUTPUT_SUFFIXES

LABEL_FOLDER = "labels"
PREDICTION_FOLDER = "predictions"
_OUTPUTS = "_outputs"
_RELEASED_OTHERS = "ovmerd"  # the set of the released outputs of other models
_TITLES = {"affectgpt": "AffectGPT"}
_COMPANIONS = ("-openset-sentiment", "-openset")

Checkpoints = dict[str, tuple[Path, ...]]


@dataclass(frozen=True)
class SavedModel:
    """The saved outputs of one model.

    Attributes:
        name: Of its row.
        outputs: Files by set and checkpoint; the name of an only output stands for its checkpoint.
        union: Further outputs by set and name, whose labels are united with those of the checkpoint.
    """

    name: str
    outputs: dict[str, Checkpoints]
    union: dict[str, Checkpoints] = field(default_factory=dict)


def find_models(folder: Path) -> list[SavedModel]:
    """The models of a suite, by name within each of its folders.

    Raises:
        DataError: The folder is missing, has neither layout, or a model in it has no outputs.
    """
    if not folder.is_dir():
        raise DataError(f"There is no folder {folder} with the outputs of models.")
    sets = known_sets(folder, folder / LABEL_FOLDER)
    models: dict[str, dict[str, Checkpoints]] = {}
    for place in _subfolders(folder / PREDICTION_FOLDER):
        models[place.name] = _outputs_of_model(place, sets)
    for outputs in _subfolders(folder):
        if outputs.name.endswith(_OUTPUTS):
            for place in _subfolders(outputs):
                name, key = place.name, _RELEASED_OTHERS
                known = canonical_key(place.name, sets)
                if known in sets:
                    name, key = outputs.name.removesuffix(_OUTPUTS), known
                models.setdefault(_TITLES.get(name, name), {})[key] = _checkpoints(_files(place), place)
    if not models:
        raise DataError(
            f"{folder} is not a suite: it has neither {PREDICTION_FOLDER}/MODEL/SET.csv (or .npz, .jsonl, .parquet) nor "
            f"the authors' folders affectgpt_outputs/SET and baseline_outputs/MODEL. `affect-lightning score --help` "
            f"shows both layouts."
        )
    return [SavedModel(name, outputs) for name, outputs in models.items()]


def label_roots(folder: Path, labels: Path | None = None) -> tuple[Path, ...]:
    """Where the truths of a suite are looked for; empty where it has none and its predictions must carry them.

    Args:
        folder: The suite.
        labels: The user's own choice, which then is the only place.

    Raises:
        DataError: `labels` is a file, which cannot be the truth of several sets.
    """
    if labels is not None:
        if labels.is_file():
            raise DataError(f"{labels} is one file. Give the folder with the labels of all sets of the suite.")
        return (labels,)
    return (folder / LABEL_FOLDER, folder) if (folder / LABEL_FOLDER).is_dir() else ()


def find_checkpoints(path: Path, dataset: str, sets: Mapping[str, BenchmarkSet]) -> Checkpoints:
    """The outputs of one model on one set.

    Args:
        path: A file; a folder with a file (and its companions) a checkpoint; or a run's folder, or its
            `predictions/`, in which the file is named after the set.
        dataset: Key of the set.
        sets: The known sets, by whose names files are found.

    Raises:
        DataError: There is nothing, or no file that can be read.
    """
    if path.is_dir():
        for folder in (path / PREDICTION_FOLDER, path):
            named = (
                [file for file in _files(folder) if canonical_key(_stem(file), sets) == dataset]
                if folder.is_dir()
                else []
            )
            if named:
                return {dataset: tuple(named)}
        return _checkpoints(_files(path), path)
    if not path.is_file():
        hint = unknown_hint(dataset, sets) if near_hint(dataset, sets) else ""
        raise DataError(f"There is no file {path} with predictions. Give a file or a folder that is there.{hint}")
    return {path.stem: (path,)}


def _outputs_of_model(place: Path, sets: Mapping[str, BenchmarkSet]) -> dict[str, Checkpoints]:
    outputs: dict[str, Checkpoints] = {}
    for folder in _subfolders(place):
        _add(outputs, canonical_key(folder.name, sets), _checkpoints(_files(folder), folder), place)
    files: dict[str, list[Path]] = {}
    for path in _files(place):
        files.setdefault(_stem(path), []).append(path)
    for stem, paths in files.items():
        key = canonical_key(stem, sets)
        _add(outputs, key, {key: tuple(paths)}, place)
    if not outputs:
        raise DataError(f"{place} has no outputs; expected SET.EXT or SET/NAME.EXT ({', '.join(OUTPUT_SUFFIXES)}).")
    return outputs


def _add(outputs: dict[str, Checkpoints], key: str, found: Checkpoints, place: Path) -> None:
    if key in outputs:
        raise DataError(f"{place} has two files or folders for the set {key}. Keep one of them.")
    outputs[key] = found


def _checkpoints(files: Iterable[Path], place: Path) -> Checkpoints:
    found: dict[str, list[Path]] = {}
    for path in files:
        found.setdefault(_stem(path), []).append(path)
    if not found:
        raise DataError(f"{place} has no outputs of a model; expected files that end in {', '.join(OUTPUT_SUFFIXES)}.")
    return {name: tuple(paths) for name, paths in found.items()}


def _stem(path: Path) -> str:
    return next((path.stem.removesuffix(end) for end in _COMPANIONS if path.stem.endswith(end)), path.stem)


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_file() and path.suffix.lower() in OUTPUT_SUFFIXES)


def _subfolders(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
