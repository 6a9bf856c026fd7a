"""`benchmarks/annotate_faults.py` and `filtering_table.py`: their figures, on tables worked out by hand."""

from __future__ import annotations

import csv
import importlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from affect_lightning.annotation.rater_statistics import wilson_interval
from affect_lightning.annotation.tables import ClipTable, write_clip_table
from affect_lightning.corpora.official_folders import read_training_set
from affect_lightning.errors import DataError
from affect_lightning.sandbox.generation import generate_sandbox
from affect_lightning.sandbox.layouts import places_of
from affect_lightning.sandbox.performing import ClipMeasure

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"
FAULTS = {
    "a": "unseen_voice",
    "b": "unseen_voice",
    "c": "wrong_description",
    "d": "wrong_description",
    "e": "short_description",
    "f": "",
    "g": "",
    "h": "",
}
KEPT = {
    "kept.speaker": [False, True, True, True, True, False, True, True],  # finds a, misses b, loses f
    "kept.length": [True, True, True, True, False, False, True, True],  # finds e; f was gone before
    "kept.agree": [
        False,
        True,
        False,
        None,
        False,
        True,
        False,
        True,
    ],  # finds c, cannot tell of d, loses g; a and e were gone
}


@pytest.fixture(scope="module")
def benchmarks() -> Iterator[tuple[ModuleType, ModuleType]]:
    """The modules `annotate_faults` and `filtering_table`."""
    sys.path.insert(0, str(BENCHMARKS))
    try:
        yield importlib.import_module("annotate_faults"), importlib.import_module("filtering_table")
    finally:
        sys.path.remove(str(BENCHMARKS))


def table(**columns: list[object]) -> ClipTable:
    return ClipTable.of_columns({"name": list(FAULTS), **KEPT, **columns})


def test_each_filter_is_measured_on_the_clips_that_reach_it(benchmarks: tuple[ModuleType, ModuleType]) -> None:
    speaker, length, agree = benchmarks[0].measure(table(), FAULTS)
    assert (speaker.stage, speaker.reached, speaker.planted, speaker.dropped, speaker.found) == ("speaker", 8, 2, 2, 1)
    assert (speaker.precision, speaker.recall, speaker.missed, speaker.wrongly) == (0.5, 0.5, ("b",), {"": 1})
    assert (length.reached, length.planted, length.dropped, length.found) == (6, 1, 1, 1)
    assert (length.precision, length.recall) == (1.0, 1.0)
    assert (agree.reached, agree.planted, agree.dropped, agree.found) == (5, 2, 2, 1)
    assert (agree.missed, agree.wrongly) == (("d",), {"": 1})


def test_what_cannot_be_measured_is_refused(benchmarks: tuple[ModuleType, ModuleType]) -> None:
    with pytest.raises(DataError, match="The truth lacks 1 clips of the table, such as h"):
        benchmarks[0].measure(table(), {name: kind for name, kind in FAULTS.items() if name != "h"})
    with pytest.raises(DataError, match="no filter that looks for a planted fault"):
        benchmarks[0].measure(ClipTable.of_columns({"name": list(FAULTS)}), FAULTS)


def test_the_last_table_of_a_folder_is_printed(
    benchmarks: tuple[ModuleType, ModuleType], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    truth = tmp_path / "raw_faults.csv"
    with truth.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("name", "fault"), *FAULTS.items()])
    assert benchmarks[0].main([str(tmp_path), "--truth", str(truth)]) == 2
    assert "no table of clips" in capsys.readouterr().err
    write_clip_table(tmp_path / "01_speaker.parquet", ClipTable.of_columns({"name": list(FAULTS)}))
    write_clip_table(tmp_path / "02_agree.parquet", table())
    assert benchmarks[0].main([str(tmp_path), "--truth", str(truth), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["speaker"]["recall_interval"] == list(wilson_interval(1, 2) or ())
    assert told["length"]["found"] == 1
    assert benchmarks[0].main([str(tmp_path), "--truth", str(truth)]) == 0
    assert "0.500 [0.095, 0.905]" in capsys.readouterr().out


def test_the_random_set_has_as_many_clips_as_the_filtered_one(benchmarks: tuple[ModuleType, ModuleType]) -> None:
    labels: list[object] = [["happy"], ["sad"], ["sad"], ["sad"], [], ["happy"], ["happy"], ["sad"]]
    arms = benchmarks[1].arms_of(table(labels=labels), [0, 1])
    assert arms["unfiltered"] == ["a", "b", "c", "d", "f", "g", "h"]
    assert arms["filtered"] == ["b", "d", "h"]
    for seed in (0, 1):
        drawn = arms[f"random-{seed}"]
        assert len(set(drawn)) == 3
        assert set(drawn) <= set(arms["unfiltered"])
    assert arms == benchmarks[1].arms_of(table(labels=labels), [0, 1])
    everything = ClipTable.of_columns({"name": ["a"], "labels": [["sad"]], "kept.agree": [True]})
    with pytest.raises(DataError, match="The filters keep 1 of 1 clips"):
        benchmarks[1].arms_of(everything, [0])


def perform(script: object, video: Path, audio: Path) -> ClipMeasure:
    for path in (video, audio):
        path.write_bytes(b"clip")
    return ClipMeasure(2.0, 50, None)


def test_a_training_set_is_read_as_mer_caption_plus(benchmarks: tuple[ModuleType, ModuleType], tmp_path: Path) -> None:
    corpus = generate_sandbox(tmp_path / "corpus", 1, 1, workers=1, raw_clips=4, raw_faults=0.0, performer=perform).root
    names = [f"raw_{number:08d}" for number in range(4)]
    words = [["sad", "lonely"], ["happy"], ["angry"], ["afraid"]]
    made = ClipTable.of_columns({"name": names, "labels": words, "subtitle": list("abcd"), "description": ["text"] * 4})
    digests = {
        count: benchmarks[1].write_training_set(tmp_path / str(count), names[:count], made, corpus) for count in (2, 3)
    }
    assert digests[2] != digests[3]
    clips = read_training_set(tmp_path / "2", "mer-caption-plus")
    assert [(clip.name, tuple(clip.labels), clip.subtitle_english) for clip in clips] == [
        (names[0], ("sad", "lonely"), "a"),
        (names[1], ("happy",), "b"),
    ]
    video = places_of(tmp_path / "2", "mer-caption-plus").media_of(names[0])[0]
    assert video.samefile(places_of(corpus, "raw").media_of(names[0])[0])


def test_students_interval_of_three_seeds(benchmarks: tuple[ModuleType, ModuleType]) -> None:
    low, high = benchmarks[1].student_interval([1.0, 2.0, 3.0])
    assert (low, high) == pytest.approx((2 - 4.303 / 3**0.5, 2 + 4.303 / 3**0.5))
    assert benchmarks[1].student_interval([1.0]) is None
