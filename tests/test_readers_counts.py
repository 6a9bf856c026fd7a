"""Table 11's counts: the official folders pass, a clip more or less is named, other corpora declare themselves."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from affect_lightning.corpora import MER_UNIBENCH, TRAINING_SETS
from affect_lightning.corpora.corpus_file import ExpectedCount
from affect_lightning.corpora.official_folders import benchmark_names, read_benchmark_set
from affect_lightning.errors import DataError
from affect_lightning.safe_npz import read_npz

SUBTITLES = "transcription-engchi-polish.csv"
# Clips of the training splits, counted in the official files with numpy alone.
TRAINING_CLIPS = {"mer2023": 3373, "meld": 9989, "cmumosi": 1284, "sims": 1368}


def write_set(root: Path, labelled: Sequence[str], transcribed: Sequence[str], filmed: Sequence[str]) -> Path:
    """CH-SIMS with clips of these names."""
    folder = root / MER_UNIBENCH.sets["sims"].folder
    (folder / "video").mkdir(parents=True)
    labels: Any = {name: {"emo": 0, "val": 0.5} for name in labelled}
    np.savez(folder / "label.npz", test_corpus=labels, train_corpus={"train1": {"emo": 0, "val": -0.5}})
    with (folder / SUBTITLES).open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("name", "chinese", "english"), *((name, "", "Hm.") for name in transcribed)])
    for name in filmed:
        (folder / "video" / f"{name}.mp4").touch()
    return folder


def test_missing_and_surplus_clips_are_named(tmp_path: Path) -> None:
    names = [f"clip{number:03}" for number in range(455)]
    write_set(tmp_path, [*names, "odd"], [*names, "lost1", "train1"], [*names, "lost2"])
    message = (
        r"label.npz lists 456 clips of CH-SIMS; Table 11 of the paper says 457, so 1 is missing\. Without a label, "
        r"but with a transcript or media: lost1, lost2 \(2\)\. With a label, but with neither transcript nor media: "
        r"odd \(1\)\. Restore the official files, or accept .* expected_counts: any, or \{sims: 456\}\.$"
    )
    with pytest.raises(DataError, match=message):
        read_benchmark_set(tmp_path, "sims", missing_subtitle="empty")


def test_a_surplus_without_evidence_says_so(tmp_path: Path) -> None:
    names = [f"clip{number:03}" for number in range(459)]
    write_set(tmp_path, names, names, ())
    with pytest.raises(DataError, match=r"so 2 are too many\. Labels, transcripts and media agree with each other"):
        read_benchmark_set(tmp_path, "sims")
    accepted: ExpectedCount
    for accepted in ("any", 459):
        assert len(read_benchmark_set(tmp_path, "sims", expected_count=accepted)) == 459
    with pytest.raises(DataError, match=r"the option expected_counts says 458, so 1 is too many"):
        read_benchmark_set(tmp_path, "sims", expected_count=458)


def test_a_generated_corpus_declares_its_own_number(tmp_path: Path) -> None:
    write_set(tmp_path, ["a", "b"], ["a", "b"], ())
    declaration = tmp_path / "corpus.json"
    declaration.write_text(json.dumps({"test_sets": {"sims": {"clips": 2}}}), encoding="utf-8")
    assert len(read_benchmark_set(tmp_path, "sims")) == 2
    assert len(read_benchmark_set(tmp_path / "sims-process", "sims")) == 2
    declaration.write_text(json.dumps({"test_sets": {"sims": {"clips": 3}}}), encoding="utf-8")
    with pytest.raises(DataError, match=r"corpus.json says 3, so 1 is missing"):
        read_benchmark_set(tmp_path, "sims")
    declaration.write_text(json.dumps({"test_sets": {"meld": {"clips": 2}}}), encoding="utf-8")
    with pytest.raises(DataError, match=r"Table 11 of the paper says 457"):
        read_benchmark_set(tmp_path, "sims")
    for broken in ("{", json.dumps({"test_sets": {"sims": {"clips": "two"}}}), json.dumps([])):
        declaration.write_text(broken, encoding="utf-8")
        with pytest.raises(DataError, match=r"corpus.json (cannot be read|should declare the clips of sims)"):
            read_benchmark_set(tmp_path, "sims")


def test_the_sandbox_declares_itself(corpus: Path) -> None:
    for key in MER_UNIBENCH.sets:
        assert len(read_benchmark_set(corpus, key)) == 2


def test_the_training_split_has_no_number_to_match(tmp_path: Path) -> None:
    folder = write_set(tmp_path, ["a"], ["a", "train1"], ())
    (clip,) = read_benchmark_set(tmp_path, "sims", split="train")
    assert (clip.name, clip.corpus, clip.sentiment) == ("train1", "sims", -0.5)
    np.savez(folder / "label.npz", test_corpus={"a": {"emo": 0, "val": 0.5}})
    with pytest.raises(DataError, match=r"label.npz has no entry 'train_corpus'; it has test_corpus"):
        read_benchmark_set(tmp_path, "sims", split="train")
    np.savez(folder / "label.npz", test_corpus={"a": {"emo": 0, "val": 0.5}}, train_corpus={})
    with pytest.raises(DataError, match=r"lists no training clips of CH-SIMS"):
        read_benchmark_set(tmp_path, "sims", split="train")


@pytest.mark.parametrize("key", ["mer2024", "ovmerdplus"])
def test_some_sets_are_for_testing_only(corpus: Path, key: str) -> None:
    with pytest.raises(DataError, match=r"has no training split: MER-UniBench uses it only for testing"):
        read_benchmark_set(corpus, key, split="train")


def test_sessions_of_iemocap_are_its_splits(tmp_path: Path) -> None:
    folder = tmp_path / "iemocap-process"
    folder.mkdir()
    sessions = {f"Ses0{session}F_impro01_F000": {"emo": session % 4, "val": -10} for session in range(1, 6)}
    np.savez(folder / "label_4way.npz", whole_corpus=sessions)
    rows = "".join(f"{name},,Hm.\n" for name in sessions)
    (folder / SUBTITLES).write_text("name,chinese,english\n" + rows, encoding="utf-8")
    assert benchmark_names(tmp_path, "iemocap") == {"Ses05F_impro01_F000"}
    training = read_benchmark_set(tmp_path, "iemocap", split="train")
    assert [clip.name[:5] for clip in training] == ["Ses01", "Ses02", "Ses03", "Ses04"]


@pytest.mark.parametrize("key", TRAINING_CLIPS)
def test_real_splits_are_whole_and_share_no_clip(reference: Path, key: str) -> None:
    item = MER_UNIBENCH.sets[key]
    test = read_benchmark_set(reference / "labels", key)
    training = read_benchmark_set(reference / "labels", key, split="train")
    assert (len(test), len(training)) == (item.clips, TRAINING_CLIPS[key])
    assert not {clip.name for clip in test} & {clip.name for clip in training}
    assert benchmark_names(reference / "labels", key) == {clip.name for clip in test}
    raw = read_npz(reference / "labels" / item.folder / item.label_files[0])
    assert {clip.name for clip in training} == set(raw["train_corpus"])


def test_a_real_label_file_that_lost_clips_is_noticed(reference: Path, tmp_path: Path) -> None:
    source = reference / "labels" / "meld-process"
    folder = tmp_path / "meld-process"
    folder.mkdir()
    shutil.copy(source / SUBTITLES, folder / SUBTITLES)
    content = read_npz(source / "label.npz")
    lost = sorted(content["test_corpus"])[:2]
    for name in lost:
        del content["test_corpus"][name]
    np.savez(folder / "label.npz", **content)
    with pytest.raises(
        DataError, match=rf"lists 2608 clips of MELD; .* 2 are missing\. .*media: {', '.join(lost)} \(2\)"
    ):
        read_benchmark_set(tmp_path, "meld")


def test_keys_of_training_and_test_sets_differ() -> None:
    assert not TRAINING_SETS.keys() & MER_UNIBENCH.sets.keys()
