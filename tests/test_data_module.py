"""ClipDataModule: official folders in, loaders out; only what a stage needs; every mistake one paragraph."""

from __future__ import annotations

import ast
import inspect
import json
import subprocess
import sys
import textwrap
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from affect_lightning.command_line import faces_command
from affect_lightning.data.clip_data_module import ClipDataModule
from affect_lightning.data.clip_sources import ClipSources
from affect_lightning.data.dataset import ReadingOptions
from affect_lightning.data.faces import FacePolicy
from affect_lightning.data.quarantine import BadClipOptions
from affect_lightning.data.questions import OneQuestion, QuestionDraw
from affect_lightning.data.reading_workers import ReadingWorkers
from affect_lightning.errors import AffectLightningError, DataError, PluginError
from affect_lightning.feature_cache.source import FeatureOptions
from affect_lightning.packed_sets.packed_source import PackedSource
from affect_lightning.prompting import question_text
from clip_making import write_clip, write_test_set, write_training_set

NAMES = [f"sample_{index:03}" for index in range(6)]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six training clips, and MER2024 with two."""
    root = tmp_path_factory.mktemp("corpus")
    write_training_set(root, NAMES)
    folder = write_test_set(root, ["test_1", "test_2"])
    (folder / "label.csv").write_text("name,discrete\ntest_1,happy\ntest_2,sad\n", encoding="utf-8")
    return root


def make_module(**options: Any) -> ClipDataModule:
    plain: dict[str, Any] = {
        "face_detector": "none",
        "frames": 2,
        "crop_size": 16,
        "batch_size": 2,
        "validation_share": 0.0,
    }
    plain["expected_counts"] = "any"
    return ClipDataModule(**{**plain, **options})


# The groups of options, each with the name that the data module has for a field; None for one that is no option of its own.
GROUPS: dict[type, dict[str, str | None]] = {
    ClipSources: {"validation_share": None},  # the data module's own default: packing and the cache have no validation
    PackedSource: {"place": "packed", "cache_folder": "packed_cache_folder", "cache_size": "packed_cache_size"}
    | {"window": "shuffle_window"},
    ReadingOptions: {"frame_count": "frames", "streams": None, "face_policy": None, "readers": None},
    FacePolicy: {"frame": "frame_without_face", "clip": "clip_without_face"},
    FeatureOptions: {"mode": "features", "precision": "feature_precision", "folder": None, "encoders": None}
    | {"address": None},
    QuestionDraw: {"seed": None},  # that of the run, unless it is given
    OneQuestion: {"kind": "test_question"},
    ReadingWorkers: {},
    BadClipOptions: {"policy": "on_bad_clip"},
}


def test_a_default_stands_in_its_group_of_options_only() -> None:
    source = textwrap.dedent(inspect.getsource(ClipDataModule.__init__))
    function = ast.parse(source).body[0]
    assert isinstance(function, ast.FunctionDef)
    written = dict(zip((item.arg for item in function.args.kwonlyargs), function.args.kw_defaults, strict=True))
    parameters = inspect.signature(ClipDataModule).parameters
    for group, names in GROUPS.items():
        for field in fields(group):
            name = names.get(field.name, field.name)
            if name is not None:
                assert parameters[name].default == field.default
                if field.default is not None:
                    assert ast.unparse(written[name] or ast.Constant(None)) == f"{group.__name__}.{field.name}", name


def test_the_faces_command_has_the_default_detector_of_the_data_module() -> None:
    assert inspect.signature(ClipDataModule).parameters["face_detector"].default == faces_command._DEFAULT_DETECTOR


def test_training(corpus: Path) -> None:
    module = make_module(train_root=corpus, subtitle_language="chinese", describe_share=1.0)
    module.setup("fit")
    batches = list(module.train_dataloader())
    assert [len(batch) for batch in batches] == [2, 2, 2]
    assert module.val_dataloader() == []
    rows = {
        name: row for batch in batches for name, *row in zip(batch.names, batch.responses, batch.subtitles, strict=True)
    }
    assert rows["sample_000"] == ["reasons of sample_000", "中文sample_000"]
    assert "happy" in rows["sample_005"][0]  # the last has no description: its names are asked for
    assert module.counts()["train"] == {
        "clips": 6,
        "frames": 12,
        "frames_without_face": 0,
        "clips_without_face": 0,
        "lost_batches": 0,
        "quarantined": 0,
    }


def test_the_split_is_stable(corpus: Path) -> None:
    module = make_module(train_root=corpus, validation_share=0.4)
    module.setup("fit")
    training, validation = ({clip.name for clip in module.records[split]} for split in ("train", "validation"))
    assert training | validation == set(NAMES)
    assert not training & validation
    limited = make_module(train_root=corpus, validation_share=0.4, limit_train_clips=4)
    limited.setup("validate")
    assert {clip.name for clip in limited.records["train"]} < training
    assert sum(len(clips) for clips in limited.records.values()) == 4
    if validation:
        loader = module.val_dataloader()
        assert not isinstance(loader, list)
        assert {name for batch in loader for name in batch.names} == validation


@pytest.mark.parametrize(
    ("inputs", "read"),
    [
        (["audio", "text"], {"audio"}),
        (["face"], {"face"}),
        (["frame", "text"], {"frame"}),
        (["multi"], {"audio", "face"}),
        (["text"], set()),
    ],
)
def test_only_what_the_inputs_need_is_read(corpus: Path, inputs: list[str], read: set[str]) -> None:
    module = make_module(benchmark_root=corpus, inputs=inputs)
    module.setup("test")
    batch = next(iter(module.test_dataloader()))
    assert set(batch.streams) == read


def test_testing_needs_no_training_data(corpus: Path) -> None:
    module = make_module(benchmark_root=corpus, limit_test_clips=1, test_question="describe")
    module.setup("test")
    (batch,) = list(module.test_dataloader())
    assert len(batch) == 1
    assert batch.records[0].corpus == "mer2024"
    assert batch.questions == [question_text("describe")]
    assert batch.responses == [""]


def test_test_and_predict_take_the_longest_subtitles_first(tmp_path: Path) -> None:
    lengths = {"first": [3, 30, 7], "second": [12, 1, 30]}
    for name, counts in lengths.items():
        rows = [
            json.dumps({"name": f"{name}_{index}", "text": "x" * count, "labels": ["happy"]})
            for index, count in enumerate(counts)
        ]
        (tmp_path / f"{name}.jsonl").write_text("\n".join(rows), encoding="utf-8")
    tables = [str(tmp_path / f"{name}.jsonl") for name in lengths]
    for name in "abc":
        (tmp_path / f"{name}.mp4").write_bytes(b"not opened")
    options: dict[str, Any] = {
        "benchmark_root": tmp_path,
        "test_sets": tables,
        "inputs": ["text"],
        "predict_video": [str(tmp_path / f"{name}.mp4") for name in "abc"],
        "predict_subtitle": ["no", "certainly not", "perhaps"],
    }

    def lengths_read(**more: Any) -> list[list[int]]:
        module = make_module(**options, **more)
        module.setup("test")
        module.setup("predict")
        loaders = module.test_dataloader(), module.predict_dataloader()
        return [[len(text) for batch in loader for text in batch.subtitles] for loader in loaders]

    assert lengths_read(eval_batch_size=2) == [[30, 30, 12, 7, 3, 1], [13, 7, 2]]
    assert lengths_read(eval_batch_size=4, length_pool=1) == [[30, 30, 12, 7, 3, 1], [13, 7, 2]]
    assert lengths_read(longest_first=False) == [[3, 30, 7, 12, 1, 30], [2, 13, 7]]


def test_predict_reads_the_users_clip(tmp_path: Path) -> None:
    video = write_clip(tmp_path / "my clip.mp4", range(0, 400, 40))
    module = make_module(predict_video=str(video), predict_subtitle="hello", inputs=["face", "text"])
    module.setup("predict")
    (batch,) = list(module.predict_dataloader())
    assert (batch.names, batch.subtitles) == (["my clip"], ["hello"])
    silent = make_module(predict_video=[str(video)], inputs=["audio"])
    with pytest.raises(DataError, match=r"none of them could, .*my clip.mp4 \(audio\): the file has no audio track"):
        silent.setup("predict")
    (left_out,) = silent.quarantined("predict")
    assert left_out["reason"] == "the file has no audio track."


def test_bad_clips_are_named(corpus: Path, tmp_path: Path) -> None:
    root = write_training_set(
        tmp_path, NAMES, lambda path: path.write_bytes(b"") if "_003" in path.name else write_clip(path)
    )
    module = make_module(train_root=root, quarantine_file=tmp_path / "quarantine.jsonl", max_bad_share=0.2)
    module.setup("fit")
    assert sum(len(batch) for batch in module.train_dataloader()) == 5
    assert [clip["name"] for clip in module.quarantined("train")] == ["sample_003"]
    assert json.loads((tmp_path / "quarantine.jsonl").read_text(encoding="utf-8"))["stage"] == "video"
    assert module.counts()["train"]["quarantined"] == 1


@pytest.mark.parametrize(
    ("stage", "options", "expected"),
    [
        ("fit", {}, "data.train_root is not set.*affect-lightning sandbox"),
        ("fit", {"train_root": "/nowhere"}, "/nowhere is missing"),
        ("fit", {"train_root": "CORPUS", "limit_train_clips": 0}, "at least 1; got 0"),
        ("fit", {"train_root": "CORPUS", "validation_share": 0.9999}, "is left for training"),
        ("test", {}, "data.benchmark_root is not set"),
        ("test", {"benchmark_root": "/nowhere"}, "/nowhere .data.benchmark_root. is missing"),
        ("test", {"benchmark_root": "CORPUS/mer-caption-plus"}, "has no test set. Expected one or more of mer2023"),
        ("test", {"benchmark_root": "CORPUS", "test_sets": ["meld"]}, "MELD is missing"),
        ("fit", {"train_sets": ["meldd"]}, "no training set 'meldd'.*meld"),
        ("fit", {"train_sets": ["mer2024"], "train_root": "CORPUS"}, "MER2024 has no training split"),
        ("test", {"test_sets": ["mer-caption-plus"]}, "no benchmark set 'mer-caption-plus'"),
        ("fit", {"train_sets": []}, "train_sets must name at least one set"),
        ("fit", {"expected_counts": "some"}, "expected_counts must be official, any, or numbers by set"),
        ("fit", {"expected_counts": {"medl": 3}}, "no benchmark set 'medl'. Did you mean 'meld'"),
        ("test", {"benchmark_root": "CORPUS", "expected_counts": "official"}, "lists 2 clips of MER2024; Table 11"),
        (
            "test",
            {"benchmark_root": "CORPUS", "expected_counts": {"mer2024": 3}},
            "option expected_counts says 3, so 1 is",
        ),
        ("test", {"benchmark_root": "CORPUS", "expected_counts": {"mer2024": 0}}, "a positive number; got 0"),
        ("fit", {"neutral_share": 1.5}, "neutral_share must be between 0 and 1; got 1.5"),
        ("fit", {"set_balance": "fair"}, "set_balance must be one of natural, square_root, equal; got 'fair'"),
        ("fit", {"train_root": "CORPUS", "length_pool": -1}, "length_pool must be 0 or more batches; got -1"),
        ("fit", {"test_overlap": "keep"}, "test_overlap must be error or drop; got 'keep'"),
        ("fit", {"train_sets": ["none.csv"]}, "The table none.csv is missing"),
        ("test", {"test_sets": ["meldd"]}, "no benchmark set 'meldd'.*meld"),
        ("predict", {}, "Set data.predict_video"),
        ("predict", {"predict_video": ["a.mp4", "b.mp4"], "predict_audio": "a.wav"}, "1 entries for 2 clips"),
        ("fit", {"inputs": ["sound"]}, "inputs"),
        ("fit", {"validation_share": 1.0}, "validation_share must be at least 0 and below 1"),
        ("fit", {"on_bad_clip": "skip"}, "quarantine, error; got 'skip'"),
        (
            "fit",
            {"test_question": "why"},
            "test_question must be one of describe, name, sentiment, task, or your own question; got 'why'",
        ),
        ("fit", {"frames": 0}, "frame_count must be at least 1"),
        ("fit", {"missing_subtitle": "no"}, "error or empty"),
    ],
)
def test_mistakes(corpus: Path, stage: str, options: dict[str, Any], expected: str) -> None:
    given = {
        key: value.replace("CORPUS", str(corpus)) if isinstance(value, str) else value for key, value in options.items()
    }
    with pytest.raises(AffectLightningError, match=expected) as caught:
        make_module(**given).setup(stage)
    assert "\n" not in str(caught.value)


def test_an_unknown_detector_is_refused_before_reading(corpus: Path) -> None:
    module = make_module(train_root=corpus, face_detector="center-face")
    module.setup("fit")
    with pytest.raises(PluginError, match="Did you mean 'centerface'"):
        module.train_dataloader()


def test_importing_data_is_light() -> None:
    code = (
        "import sys, affect_lightning.data; print([m for m in ('lightning', 'av', 'cv2', 'torch') if m in sys.modules])"
    )
    assert (
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True, encoding="utf-8"
        ).stdout
        == "[]\n"
    )
    code = (
        "import sys, affect_lightning.data.dataset, affect_lightning.data.loading; "
        "print([m for m in ('lightning', 'transformers', 'torchvision') if m in sys.modules])"
    )
    assert (
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True, encoding="utf-8"
        ).stdout
        == "[]\n"
    )
