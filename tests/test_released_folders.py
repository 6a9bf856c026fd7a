"""The authors' folders, to the letter: a generated tree is read by the readers, `doctor`, `test` and `score` as it is."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from affect_lightning.command_line.program import main
from affect_lightning.corpora import MER_UNIBENCH
from affect_lightning.corpora.official_folders import read_benchmark_set, read_training_set
from affect_lightning.data.faces import FaceCropper
from affect_lightning.errors import ConfigurationError, DataError
from affect_lightning.inspection.annotations import find_sets
from affect_lightning.inspection.sources import sources_of
from affect_lightning.safe_npz import read_npz
from affect_lightning.sandbox.emotions import ClipScript
from affect_lightning.sandbox.generation import generate_sandbox
from clip_making import tone, write_clip, write_wav
from training_runs import TINY

FRAMES = 50
FOLDERS = {
    "mer2023": "mer2023-dataset-process",
    "mer2024": "mer2024-dataset-process",
    "meld": "meld-process",
    "iemocap": "iemocap-process",
    "cmumosi": "cmumosi-process",
    "cmumosei": "cmumosei-process",
    "sims": "sims-process",
    "simsv2": "simsv2-process",
    "ovmerdplus": "ovmerdplus-process",
}
LABELS = {"mer2023": "label-6way.npz", "mer2024": "label-6way.npz", "iemocap": "label_4way.npz"}
LABELS |= {"ovmerdplus": "ovlabel.csv"}
SUBTITLES = {"mer2024": "transcription_merge.csv", "ovmerdplus": "subtitle_eng.csv"}
VIDEO = {"meld": "subvideo", "iemocap": "subvideo-tgt", "cmumosi": "subvideo", "cmumosei": "subvideo_new"}
VIDEO |= {"simsv2": "video_new"}
AUDIO = dict.fromkeys(("meld", "iemocap", "cmumosi", "cmumosei"), "subaudio")


@dataclass(frozen=True)
class Measure:
    seconds: float
    frames: int
    face_boxes: np.ndarray | None


def small_performer(script: ClipScript, video_path: Path, audio_path: Path) -> Measure:
    write_clip(video_path, range(0, 40 * FRAMES, 40))
    write_wav(audio_path, tone(FRAMES / 25))
    return Measure(FRAMES / 25, FRAMES, np.tile(np.array([[20.0, 12.0, 44.0, 40.0]]), (FRAMES, 1)))


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("released") / "tree"
    generate_sandbox(root, clips=3, test_clips=2, seed=1, workers=1, layout="released", performer=small_performer)
    return root


def first_line(path: Path) -> list[str]:
    with path.open(encoding="utf-8", newline="") as file:
        return next(csv.reader(file))


def test_the_tree_is_that_of_the_authors(released: Path) -> None:
    for key, folder in FOLDERS.items():
        place = released / folder
        expected = {LABELS.get(key, "label.npz"), SUBTITLES.get(key, "transcription-engchi-polish.csv")}
        expected |= {VIDEO.get(key, "video"), AUDIO.get(key, "audio"), "openface_face"}
        assert {path.name for path in place.iterdir()} == expected, key
        names = {path.stem for path in (place / VIDEO.get(key, "video")).iterdir()}
        assert {path.name for path in (place / "openface_face").iterdir()} == {f"{name}.npy" for name in names}
        crops = np.load(next((place / "openface_face").iterdir()))
        assert (crops.dtype, crops.shape) == (np.uint8, (16, 96, 96, 3))
    assert first_line(released / FOLDERS["mer2024"] / "transcription_merge.csv") == ["name", "chinese"]
    assert first_line(released / FOLDERS["ovmerdplus"] / "subtitle_eng.csv") == ["name", "sentence"]
    assert list(read_npz(released / FOLDERS["mer2024"] / "label-6way.npz")) == ["test1_corpus"]
    training = released / "mer2025-dataset"
    crops = sorted(path.relative_to(training / "openface_face") for path in training.rglob("*.npy"))
    assert crops
    assert all(path == Path(path.stem, f"{path.stem}.npy") for path in crops)


@pytest.mark.parametrize("key", FOLDERS)
def test_every_part_is_read(released: Path, key: str) -> None:
    place = released / FOLDERS[key]
    clips = read_benchmark_set(released, key)
    assert len(clips) == 2
    for clip in clips:
        assert clip.video == place / VIDEO.get(key, "video") / f"{clip.name}.mp4"
        assert clip.audio == place / AUDIO.get(key, "audio") / f"{clip.name}.wav"
        assert clip.face == place / "openface_face" / f"{clip.name}.npy"
        assert clip.video.is_file()
        assert clip.face.is_file()
        assert (clip.sentiment is not None) == (MER_UNIBENCH.sets[key].metric == "waf")
        assert clip.subtitle_english
        assert (clip.subtitle_english == clip.subtitle_chinese) == (key in SUBTITLES)
        assert clip.subtitle_english.isascii() == (key != "mer2024")


def test_the_training_set_is_found_in_its_shared_folder(released: Path) -> None:
    clips = read_training_set(released)
    assert len(clips) == 3
    assert {clip.face.parent.name for clip in clips if clip.face} == {clip.name for clip in clips}
    assert read_training_set(released / "mer2025-dataset") == clips


def test_doctor_says_where_each_part_came_from(released: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--data", str(released), "--workers", "1", "--json"]) == 0
    found = {item["corpus"]: item for item in json.loads(capsys.readouterr().out)["sets"]}
    assert {key: (item["clips"], item["checked"], item["released_faces"]) for key, item in found.items()} == {
        "mer-caption-plus": (3, 3, 3),
        **dict.fromkeys(FOLDERS, (2, 2, 2)),
    }
    assert found["mer2024"]["sources"] == {
        "labels": "label-6way.npz",
        "subtitles": "transcription_merge.csv (chinese)",
        "video": "video",
        "sound": "audio",
        "faces": "openface_face/NAME.npy",
    }
    assert found["ovmerdplus"]["sources"]["clip list"] == "subtitle_eng.csv"
    assert found["ovmerdplus"]["sources"]["subtitles"] == "subtitle_eng.csv (sentence)"
    assert found["cmumosei"]["sources"]["video"] == "subvideo_new"
    assert found["mer-caption-plus"]["sources"]["faces"] == "openface_face/NAME/NAME.npy"
    main(["doctor", "--data", str(released), "--no-media"])
    said = capsys.readouterr().out
    assert "video: video_new" in said
    assert "openface_face/NAME/NAME.npy" in said


def test_the_tree_is_tested_and_scored_as_it_is(
    released: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    def refuse(*_: object) -> None:
        raise AssertionError("a face was detected although there are released crops")

    monkeypatch.setattr(FaceCropper, "crop", refuse)
    words = ["--config", str(TINY), "--data.benchmark_root", str(released), "--trainer.logger.init_args.version", "v0"]
    assert main(["test", *words]) == 0
    run = next(tmp_path.rglob("predictions")).parent
    outcomes = [json.loads(line) for line in (run / "outcomes.jsonl").read_text(encoding="utf-8").splitlines()]
    assert len(outcomes) >= 2 * len(FOLDERS)
    for key in FOLDERS:
        capsys.readouterr()
        asked = ["score", "--dataset", key, "--labels", str(released), "--predictions", str(run)]
        assert main([*asked, "--taxonomy", "builtin", "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["clips"] == 2


def write_table(path: Path, header: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([header, *rows])


def ovmerdplus(root: Path, listed: Sequence[str], labelled: Sequence[str]) -> Path:
    folder = root / "ovmerdplus-process"
    write_table(folder / "subtitle_eng.csv", ("name", "sentence"), [(name, f"Said in {name}.") for name in listed])
    write_table(folder / "ovlabel.csv", ("name", "openset"), [(name, "['calm']") for name in labelled])
    return folder


def test_the_clip_list_says_which_labels_count(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = ovmerdplus(tmp_path, ["b", "a"], ["a", "b", "other"])
    clips = read_benchmark_set(tmp_path, "ovmerdplus", expected_count=2)
    assert [(clip.name, clip.subtitle_english) for clip in clips] == [("a", "Said in a."), ("b", "Said in b.")]
    write_table(tmp_path / "said.csv", ("name", "labels"), [("a", "calm"), ("b", "calm")])
    words = ["--predictions", str(tmp_path / "said.csv"), "--taxonomy", "builtin", "--out", str(tmp_path / "out")]
    assert main(["score", "--dataset", "ovmerdplus", "--labels", str(tmp_path), *words, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["clips"] == 2
    write_table(folder / "subtitle_eng.csv", ("name", "sentence"), [("a", "Well."), ("lost", "Oh.")])
    with pytest.raises(DataError, match=r"ovlabel.csv has no label for lost \(1 of the 2 clips that subtitle_eng.csv"):
        read_benchmark_set(tmp_path, "ovmerdplus", expected_count="any")


def test_released_crops_win_over_detection_in_either_place(tmp_path: Path) -> None:
    names = ["both", "flat", "gone", "nested", "none"]
    folder = ovmerdplus(tmp_path, names, names)
    crops = folder / "openface_face"
    for name in ("both", "nested", "none"):
        (crops / name).mkdir(parents=True)
    for path in ("both.npy", "flat.npy", "both/both.npy", "nested/nested.npy", "none/other.npy"):
        (crops / path).touch()
    (crops / "gone.npy").symlink_to(tmp_path / "nowhere.npy")
    clips = read_benchmark_set(tmp_path, "ovmerdplus", expected_count="any")
    places = [None if clip.face is None else clip.face.relative_to(crops).as_posix() for clip in clips]
    assert places == ["both.npy", "flat.npy", "gone.npy", "nested/nested.npy", None]
    (found,) = find_sets(tmp_path)
    where = "openface_face/NAME.npy (3 clips), openface_face/NAME/NAME.npy (1 clips)"
    assert sources_of(found, clips)["faces"] == where


def test_doctor_names_the_clips_whose_faces_will_be_detected(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = ovmerdplus(tmp_path, ["a", "b"], ["a", "b"])
    (folder / "openface_face").mkdir()
    (folder / "openface_face" / "a.npy").touch()
    assert main(["doctor", "--data", str(tmp_path), "--no-media", "--expected-counts", "any", "--json"]) == 0
    content = json.loads(capsys.readouterr().out)
    assert [(finding["check"], finding["level"], finding["names"]) for finding in content["findings"]] == [
        ("missing-face", "note", ["b"])
    ]
    assert content["sets"][0]["released_faces"] == 1
    (folder / "openface_face" / "a.npy").unlink()
    assert main(["doctor", "--data", str(tmp_path), "--no-media", "--expected-counts", "any"]) == 0
    assert "none: faces are detected" in capsys.readouterr().out


def test_the_authors_names_win_where_both_are_there(tmp_path: Path) -> None:
    folder = tmp_path / "mer2024-dataset-process"
    write_table(folder / "reference-semi.csv", ("name", "discrete"), [("a", "sad"), ("b", "sad")])
    write_table(folder / "transcription-engchi-polish.csv", ("name", "chinese", "english"), [("a", "好", "Good.")])
    np_entry: Any = {"a": {"emo": "happy", "val": -10}}
    np.savez(folder / "label-6way.npz", test1_corpus=np_entry, train_corpus={"t": {"emo": "sad", "val": 1}})
    write_table(folder / "transcription_merge.csv", ("name", "chinese"), [("a", "你好")])
    (clip,) = read_benchmark_set(tmp_path, "mer2024", expected_count="any")
    assert (clip.labels, clip.subtitle_english, clip.subtitle_chinese) == (("happy",), "你好", "你好")
    write_table(folder / "transcription_merge.csv", ("name", "english"), [("a", "Hello.")])
    with pytest.raises(DataError, match=r"transcription_merge.csv lacks the column chinese; its columns are name, eng"):
        read_benchmark_set(tmp_path, "mer2024", expected_count="any")


def test_another_layout_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"The layout 'official' was asked for; give one of plain, released"):
        generate_sandbox(tmp_path, layout="official")  # type: ignore[arg-type]
    assert not list(tmp_path.iterdir())
