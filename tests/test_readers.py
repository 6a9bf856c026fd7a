"""The readers of the official layouts: tiny folders of all nine sets, the real label files, and every error."""

from __future__ import annotations

import csv
import shutil
from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from affect_lightning.corpora import MER_UNIBENCH, BenchmarkSet, find_benchmark_set
from affect_lightning.corpora.official_folders import read_benchmark_set as read_counted_set
from affect_lightning.corpora.official_folders import read_training_set
from affect_lightning.corpora.table_cells import true_labels
from affect_lightning.errors import DataError
from affect_lightning.label_strings import parse_labels

SUBTITLES = "transcription-engchi-polish.csv"
TRAINING_FILES = ("subtitle_chieng.csv", "track2_train_mercaptionplus.csv", "track3_train_mercaptionplus.csv")

read_benchmark_set = partial(read_counted_set, expected_count="any")  # the made sets have three clips


def write_csv(path: Path, header: list[str], rows: list[list[str]], encoding: str = "utf-8") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding=encoding, newline="") as file:
        csv.writer(file).writerows([header, *rows])


def official_truth(item: BenchmarkSet, position: int) -> tuple[Any, tuple[str, ...], float | None]:
    """The label as the official file stores it, and the words and sentiment that a reader should find."""
    if item.metric == "f_s":
        return "['calm', 'slightly amused']", ("calm", "slightly amused"), None
    if item.metric == "waf":
        value = float(item.sentiment_range[position % 2])
        return {"emo": 0, "val": np.float32(value)}, (), value
    word = item.labels[position % len(item.labels)]
    stored: Any = item.labels.index(word) if item.labels_as_index else word
    return {"emo": stored, "val": -10}, (word,), None


def write_set(root: Path, key: str, label_file: str | None = None) -> tuple[Path, list[str]]:
    """A folder of three clips in the official layout; the names are written unsorted."""
    item = MER_UNIBENCH.sets[key]
    folder = root / item.folder
    names = [f"{item.name_prefix}clip{number}" for number in (2, 1, 3)]
    truths = {name: official_truth(item, position)[0] for position, name in enumerate(names)}
    path = folder / (label_file or item.label_files[0])
    folder.mkdir(parents=True)
    if path.suffix == ".npz":
        others = {"Ses01clip": {"emo": 0, "val": -10}} if item.name_prefix else {}
        np.savez_compressed(path, **{item.corpus_key: {**truths, **others}, "train_corpus": {"other": {"emo": 0}}})
    elif item.metric == "hit_rate":
        write_csv(path, ["name", "discrete"], [[name, truth["emo"]] for name, truth in truths.items()])
    else:
        write_csv(path, ["name", "openset"], [[name, truth] for name, truth in truths.items()])
    rows = [[name, f"你好 {name}", f"hello, {name}"] for name in names]
    write_csv(folder / SUBTITLES, ["name", "chinese", "english"], rows, encoding="utf-8-sig")
    for name in names:
        (folder / "subvideo").mkdir(exist_ok=True)
        (folder / "subvideo" / f"{name}.mp4").touch()
        (folder / "audio").mkdir(exist_ok=True)
        (folder / "audio" / f"{name}.wav").touch()
    return folder, names


def write_training_set(root: Path, key: str = "mercaptionplus", folder_name: str = "mer-caption-plus") -> Path:
    folder = root / folder_name
    write_csv(folder / "subtitle_chieng.csv", ["name", "chinese", "english"], [["b", "乙", "B."], ["a", "甲", "A."]])
    openset = [["b", "['angry', 'hurt']"], ["a", "[joyful]"]]
    write_csv(folder / f"track2_train_{key}.csv", ["name", "openset"], openset)
    reasons = [["a", 'He says "yes", smiling.'], ["b", "A loud voice."]]
    write_csv(folder / f"track3_train_{key}.csv", ["name", "reason"], reasons)
    (folder / "video").mkdir()
    (folder / "video" / "a.mp4").touch()
    return folder


@pytest.mark.parametrize("key", MER_UNIBENCH.sets)
def test_each_set_is_read_from_its_official_layout(tmp_path: Path, key: str) -> None:
    folder, names = write_set(tmp_path, key)
    records = read_benchmark_set(tmp_path, key)
    assert [record.name for record in records] == sorted(names)
    for record in records:
        _, labels, sentiment = official_truth(MER_UNIBENCH.sets[key], names.index(record.name))
        assert (record.corpus, record.labels, record.sentiment) == (key, labels, sentiment)
        assert record.subtitle_english == f"hello, {record.name}"
        assert record.subtitle_chinese == f"你好 {record.name}"
        assert record.video == folder / "subvideo" / f"{record.name}.mp4"
        assert record.audio == folder / "audio" / f"{record.name}.wav"
        assert record.face is None
    assert read_benchmark_set(folder, key) == records, "the set's own folder may be given as well"


def test_the_table_of_the_sets_is_that_of_the_paper() -> None:
    rows = [
        (key, item.title, item.clips, item.metric, item.folder, item.label_files[0], item.corpus_key)
        for key, item in MER_UNIBENCH.sets.items()
    ]
    test, dataset = "test_corpus", "dataset-process"
    assert rows == [
        ("mer2023", "MER2023", 411, "hit_rate", f"mer2023-{dataset}", "label-6way.npz", "test1_corpus"),
        ("mer2024", "MER2024", 1169, "hit_rate", f"mer2024-{dataset}", "label-6way.npz", "test1_corpus"),
        ("meld", "MELD", 2610, "hit_rate", "meld-process", "label.npz", test),
        ("iemocap", "IEMOCAP", 1241, "hit_rate", "iemocap-process", "label_4way.npz", "whole_corpus"),
        ("cmumosi", "CMU-MOSI", 686, "waf", "cmumosi-process", "label.npz", test),
        ("cmumosei", "CMU-MOSEI", 4659, "waf", "cmumosei-process", "label.npz", test),
        ("sims", "CH-SIMS", 457, "waf", "sims-process", "label.npz", test),
        ("simsv2", "CH-SIMS v2", 1034, "waf", "simsv2-process", "label.npz", test),
        ("ovmerdplus", "OV-MERD+", 532, "f_s", "ovmerdplus-process", "ovlabel.csv", None),
    ]
    media = {key: (item.video_folders[0], item.audio_folders[0]) for key, item in MER_UNIBENCH.sets.items()}
    sub = dict.fromkeys(("meld", "cmumosi"), ("subvideo", "subaudio"))
    plain = dict.fromkeys(("mer2023", "mer2024", "sims", "ovmerdplus"), ("video", "audio"))
    new = {"cmumosei": ("subvideo_new", "subaudio"), "simsv2": ("video_new", "audio")}
    assert media == {**sub, **plain, **new, "iemocap": ("subvideo-tgt", "subaudio")}
    with pytest.raises(DataError, match=r"no benchmark set 'medl'. Did you mean 'meld'\? The sets are mer2023,"):
        find_benchmark_set("medl")


@pytest.mark.parametrize("label_file", ["label.csv", "reference-semi.csv", "label-semi.csv"])
@pytest.mark.parametrize("column", ["discrete", "emo", "label", "emotion"])
def test_the_csv_of_mer2024_may_have_any_known_name_and_column(tmp_path: Path, label_file: str, column: str) -> None:
    folder, _ = write_set(tmp_path, "mer2024", label_file)
    write_csv(folder / label_file, ["name", column], [["clip1", "worried"]])
    assert [record.labels for record in read_benchmark_set(tmp_path, "mer2024")] == [("worried",)]


def test_missing_media_are_listed_where_they_should_be(tmp_path: Path) -> None:
    folder, _ = write_set(tmp_path, "sims")
    (folder / "subvideo" / "clip1.mp4").unlink()
    (folder / "audio" / "clip1.wav").unlink()
    (folder / "openface_face" / "clip1").mkdir(parents=True)
    (folder / "openface_face" / "clip1" / "clip1.npy").touch()
    first, second, _ = read_benchmark_set(tmp_path, "sims")
    assert first.video == folder / "subvideo" / "clip1.mp4"
    assert first.audio == folder / "audio" / "clip1.wav"
    assert not first.video.exists()
    assert first.face == folder / "openface_face" / "clip1" / "clip1.npy"
    assert second.face is None
    shutil.rmtree(folder / "audio")
    assert read_benchmark_set(tmp_path, "sims")[0].audio is None, "no folder of sound files: the video's own track"


@pytest.mark.parametrize(("key", "first"), [("sims", "video/clip2.avi"), ("meld", "subvideo/clip2.mp4")])
def test_media_folders_and_suffixes_have_an_order(tmp_path: Path, key: str, first: str) -> None:
    """The set's official folder wins, then the suffix."""
    folder, _ = write_set(tmp_path, key)
    (folder / "video").mkdir()
    (folder / "video" / "clip2.avi").touch()
    (folder / "subvideo" / "clip3.avi").touch()
    videos = [record.video.relative_to(folder).as_posix() for record in read_benchmark_set(tmp_path, key)]
    assert videos == ["subvideo/clip1.mp4", first, "subvideo/clip3.mp4"]


class Planted:
    """Unpickled by numpy's own reader, it makes a file."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.mark,)


def plant_pickle(path: Path, mark: Path) -> None:
    np.savez(path, test_corpus=np.array({"clip1": {"emo": 0, "val": Planted(mark)}}, dtype=object))


def break_file(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")


BENCHMARK_FAULTS: Mapping[str, tuple[str, Callable[[Path], object], str]] = {
    "folder": ("meld", shutil.rmtree, r"MELD is missing: .* has no folder meld-process; it has none"),
    "label file": (
        "meld",
        lambda folder: (folder / "label.npz").rename(folder / "labels.npz"),
        r"There is no file with the labels of MELD in .*meld-process: expected label.npz, found labels.npz, transcription",
    ),
    "subtitle file": (
        "sims",
        lambda folder: (folder / SUBTITLES).unlink(),
        r"There is no file with the subtitles of CH-SIMS in .*: expected transcription-engchi-polish.csv, found label.npz",
    ),
    "corpus": (
        "sims",
        lambda folder: np.savez(folder / "label.npz", train_corpus={"a": {"emo": 0, "val": 0.0}}),
        r"label.npz has no entry 'test_corpus'; it has train_corpus",
    ),
    "corpus type": (
        "sims",
        lambda folder: np.savez(folder / "label.npz", test_corpus=np.zeros(3)),
        r"test_corpus must be a dictionary of clips, found ndarray",
    ),
    "field": (
        "sims",
        lambda folder: np.savez(folder / "label.npz", test_corpus={"clip1": {"emo": 0}}),
        r"label.npz, entry test_corpus, clip clip1: the label has no field 'val'; found emo",
    ),
    "range": (
        "sims",
        lambda folder: np.savez(folder / "label.npz", test_corpus={"clip1": {"val": -10}}),
        r"clip clip1, field val: the sentiment -10 is not a number in \[-1, 1\], the range of CH-SIMS",
    ),
    "integer": (
        "iemocap",
        lambda folder: np.savez(folder / "label_4way.npz", whole_corpus={"Ses05clip1": {"emo": 4}}),
        r"the label 4 is not one of the emotions of IEMOCAP \(0 happy, 1 sad, 2 neutral, 3 angry\)",
    ),
    "prefix": (
        "iemocap",
        lambda folder: np.savez(folder / "label_4way.npz", whole_corpus={"Ses01clip1": {"emo": 3}}),
        r"lists no clips of IEMOCAP whose names start with 'Ses05'",
    ),
    "empty set": (
        "ovmerdplus",
        lambda folder: break_file(folder / "ovlabel.csv", "name,openset\n"),
        r"ovlabel.csv lists no clips of OV-MERD\+\.",
    ),
    "empty file": (
        "ovmerdplus",
        lambda folder: break_file(folder / "ovlabel.csv", ""),
        r"ovlabel.csv lacks the column name, openset; its columns are none \(the file is empty\)",
    ),
    "column": (
        "mer2024",
        lambda folder: break_file(folder / "reference-semi.csv", "name,valence\nclip1,3\n"),
        r"reference-semi.csv lacks the column discrete or emo or label or emotion; its columns are name, valence",
    ),
    "word": (
        "mer2024",
        lambda folder: break_file(folder / "reference-semi.csv", "name,discrete\nclip1,joyful\n"),
        r"reference-semi.csv, line 2, column discrete, clip clip1: the label 'joyful' is not one of the emotions of "
        r"MER2024 \(0 wor",
    ),
    "openset": (
        "ovmerdplus",
        lambda folder: break_file(folder / "ovlabel.csv", "name,openset\nclip1,\"['calm'\"\n"),
        r"line 2, column openset, clip clip1: the emotion words cannot be read from \"\['calm'\"; expected a list",
    ),
    "twice": (
        "ovmerdplus",
        lambda folder: break_file(folder / "ovlabel.csv", "name,openset\nclip1,[calm]\nclip1,[sad]\n"),
        r"ovlabel.csv has more than one row for the clip 'clip1': lines 2 and 3, column name",
    ),
    "nameless": (
        "ovmerdplus",
        lambda folder: break_file(folder / "ovlabel.csv", "name,openset\n,[calm]\n"),
        r"ovlabel.csv has a row without a name: line 2, column name",
    ),
    "short row": (
        "meld",
        lambda folder: break_file(folder / SUBTITLES, "name,chinese,english\nclip1,b\n"),
        r"transcription-engchi-polish.csv, line 2: 2 cells, but the header has 3",
    ),
    "long row": (
        "meld",
        lambda folder: break_file(folder / SUBTITLES, "name,chinese,english\nclip1,b,Well, no\n"),
        r"transcription-engchi-polish.csv, line 2: 4 cells, but the header has 3 .* Put quotes around texts",
    ),
    "quotes": (
        "meld",
        lambda folder: break_file(folder / SUBTITLES, 'name,chinese,english\nclip1,b,"Well" no\n'),
        r"transcription-engchi-polish.csv, line 2 cannot be read as csv: ",
    ),
    "same column twice": (
        "meld",
        lambda folder: break_file(folder / SUBTITLES, "name,chinese,english,english\nclip1,b,c,d\n"),
        r"transcription-engchi-polish.csv, line 1 has the column english more than once",
    ),
    "both splits": (
        "meld",
        lambda folder: np.savez(folder / "label.npz", test_corpus={"a": {"emo": 0}}, train_corpus={"a": {"emo": 0}}),
        r"lists a \(1\) as test clips \(test_corpus\) and as training clips \(train_corpus\). Every clip must be in one",
    ),
    "pickle": (
        "sims",
        lambda folder: plant_pickle(folder / "label.npz", folder / "planted"),
        r"label.npz, member test_corpus.npy holds a pickle that asks for .*nothing of it was run",
    ),
    "subtitle column": (
        "meld",
        lambda folder: break_file(folder / SUBTITLES, "name,chinese\nclip1,b\n"),
        r"transcription-engchi-polish.csv lacks the column english; its columns are name, chinese",
    ),
    "encoding": (
        "meld",
        lambda folder: (folder / SUBTITLES).write_bytes("name,chinese,english\nclip1,甲,A\n".encode("gbk")),
        r"transcription-engchi-polish.csv, line 2 cannot be read as UTF-8",
    ),
    "subtitle row": (
        "meld",
        lambda folder: break_file(folder / SUBTITLES, "name,chinese,english\nclip1,b,c\n"),
        r"has no row for clip2, clip3 \(2 of 3 clips\)\. Add the rows, or allow empty subtitles",
    ),
}


@pytest.mark.parametrize("fault", BENCHMARK_FAULTS)
def test_faults_of_a_benchmark_folder_are_explained(tmp_path: Path, fault: str) -> None:
    key, spoil, message = BENCHMARK_FAULTS[fault]
    folder, _ = write_set(tmp_path, key, "reference-semi.csv" if key == "mer2024" else None)
    spoil(folder)
    with pytest.raises(DataError, match=message):
        read_benchmark_set(tmp_path, key)
    assert not (folder / "planted").exists()


def test_the_planted_pickle_would_run(tmp_path: Path) -> None:
    plant_pickle(tmp_path / "label.npz", tmp_path / "planted")
    assert not (tmp_path / "planted").exists()
    np.load(tmp_path / "label.npz", allow_pickle=True)["test_corpus"]
    assert (tmp_path / "planted").exists()


def test_a_missing_root_is_explained(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nowhere is missing. Give the folder that contains meld-process \(MELD\)"):
        read_benchmark_set(tmp_path / "nowhere", "meld")
    with pytest.raises(
        DataError,
        match=r"nowhere is missing. Give the folder that contains mer-caption-plus "
        r"\(MER-Caption\+\)",
    ):
        read_training_set(tmp_path / "nowhere")


def test_missing_subtitles_may_be_allowed_and_are_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder, _ = write_set(tmp_path, "meld")
    break_file(folder / SUBTITLES, "name,chinese,english\nclip1,甲,\n")
    counts: Counter[str] = Counter()
    records = read_benchmark_set(tmp_path, "meld", missing_subtitle="empty", counts=counts)
    assert [record.subtitle_chinese for record in records] == ["甲", "", ""]
    assert counts == {"without subtitle": 2}
    assert "2 clips are without subtitle: clip2, clip3" in caplog.text


def test_the_training_set_is_read(tmp_path: Path) -> None:
    folder = write_training_set(tmp_path)
    first, second = read_training_set(tmp_path)
    assert (first.name, first.corpus, first.labels) == ("a", "mer-caption-plus", ("joyful",))
    assert first.description == 'He says "yes", smiling.'
    assert (first.subtitle_english, first.subtitle_chinese) == ("A.", "甲")
    assert first.video == folder / "video" / "a.mp4"
    assert first.audio is None
    assert second.labels == ("angry", "hurt")
    assert read_training_set(folder) == [first, second], "the set's own folder may be given as well"


def test_the_other_training_sets_are_read(tmp_path: Path) -> None:
    folder = write_training_set(tmp_path, "ovmerd", "ovmerd")
    assert [record.corpus for record in read_training_set(tmp_path, "ovmerd")] == ["ovmerd", "ovmerd"]
    write_csv(folder / "track2_train_human.csv", ["name", "openset"], [["a", "['proud']"]])
    (human,) = read_training_set(folder, "mer2026-human")
    assert (human.name, human.labels, human.description) == ("a", ("proud",), "")
    with pytest.raises(
        DataError, match=r"no training set 'mer2023'. Did you mean 'mer2026-human'\? The sets are mer-caption-plus"
    ):
        read_training_set(tmp_path, "mer2023")


def test_clips_without_words_or_description_are_counted(tmp_path: Path) -> None:
    folder = write_training_set(tmp_path)
    break_file(folder / TRAINING_FILES[1], "name,openset\na,[]\nb,[sad]\n")
    break_file(folder / TRAINING_FILES[2], "name,reason\na,She laughs.\n")
    counts: Counter[str] = Counter()
    records = read_training_set(tmp_path, counts=counts)
    assert [(record.labels, record.description) for record in records] == [((), "She laughs."), (("sad",), "")]
    assert counts == {"without emotion words": 1, "without description": 1}


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        (
            TRAINING_FILES[0],
            None,
            r"There is no file with the subtitles of MER-Caption\+ in .*: expected subtitle_chieng.csv",
        ),
        (
            TRAINING_FILES[1],
            None,
            r"There is no file with the emotion words of MER-Caption\+ in .*: expected track2_train_mercaptionplus",
        ),
        (
            TRAINING_FILES[2],
            None,
            r"There is no file with the descriptions of MER-Caption\+ in .*: expected track3_train_mercapt",
        ),
        (TRAINING_FILES[0], "name,chinese,english\na,b,c\n", r"has no row for b \(1 of 2 clips\)"),
        (TRAINING_FILES[1], "name,labels\na,b\n", r"mercaptionplus.csv lacks the column openset; its columns are name"),
        (
            TRAINING_FILES[1],
            "name,openset\na,[?]\n",
            r"line 2, column openset, clip a: the emotion words cannot be read from '\[\?\]'",
        ),
        (TRAINING_FILES[2], "name,text\na,b\n", r"mercaptionplus.csv lacks the column reason"),
    ],
)
def test_faults_of_the_training_folder_are_explained(tmp_path: Path, name: str, text: str | None, message: str) -> None:
    folder = write_training_set(tmp_path)
    if text is None:
        (folder / name).unlink()
    else:
        break_file(folder / name, text)
    with pytest.raises(DataError, match=message):
        read_training_set(tmp_path)


def test_an_empty_training_set_and_a_foreign_folder_are_explained(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"MER-Caption\+ is missing: .* has neither a folder mer-caption-plus nor"):
        read_training_set(tmp_path)
    folder = write_training_set(tmp_path)
    break_file(folder / TRAINING_FILES[1], "name,openset\n")
    break_file(folder / TRAINING_FILES[2], "name,reason\n")
    with pytest.raises(DataError, match=r"lists no clips of MER-Caption\+"):
        read_training_set(tmp_path)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("['angry', 'hurt']", ("angry", "hurt")),
        ("[angry, hurt]", ("angry", "hurt")),
        ('["angry"]', ("angry",)),
        ("angry, angry", ("angry",)),
        ("['愤怒', '委屈']", ("愤怒", "委屈")),
        ("高兴，激动", ("高兴", "激动")),
        ("[高兴、激动，, 平静]", ("高兴", "激动", "平静")),
        ("[]", ()),
        ("", ()),
    ],
)
def test_lists_of_words_are_read_as_the_official_metric_reads_them(text: str, words: tuple[str, ...]) -> None:
    assert true_labels(text, "here") == words
    assert tuple(dict.fromkeys(parse_labels(text))) == words, "predictions are split alike"


@pytest.mark.parametrize(
    ("key", "clips"), [("mer2023", 411), ("meld", 2610), ("cmumosi", 686), ("cmumosei", 4659), ("sims", 457)]
)
def test_the_real_label_files_are_read_whole(reference: Path, tmp_path: Path, key: str, clips: int) -> None:
    item = MER_UNIBENCH.sets[key]
    folder = tmp_path / item.folder
    shutil.copytree(reference / "labels" / item.folder, folder)
    if not (folder / SUBTITLES).exists():
        write_csv(folder / SUBTITLES, ["name", "chinese", "english"], [])
    counts: Counter[str] = Counter()
    records = read_counted_set(tmp_path, key, missing_subtitle="empty", counts=counts)
    assert len(records) == clips == item.clips
    assert counts["without subtitle"] == (clips if key == "cmumosei" else 0)
    if item.metric == "waf":
        assert all(record.sentiment is not None and record.labels == () for record in records)
    else:
        assert {record.labels[0] for record in records} == set(item.labels)
