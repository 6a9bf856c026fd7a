"""Sets of third parties: the walk of docs/architecture.md from outside, any metric, the mean, and every refusal."""

from __future__ import annotations

import csv
import json
import logging
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from affect_lightning.command_line.program import main
from affect_lightning.corpora import MER_UNIBENCH, BenchmarkSet, find_benchmark_set, known_sets
from affect_lightning.corpora.official_folders import read_benchmark_set
from affect_lightning.corpora.own_clips import read_own_table
from affect_lightning.data.clip_sources import ClipSources
from affect_lightning.errors import DataError
from affect_lightning.unibench.report.content import Report, ReportRow
from installed_parts import distribution
from report_cases import generated_suite

_FENCE = re.compile(r"^```(\w+) (\S+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
TALKS = (("b", "Leave me!", "angry"), ("a", "How nice.", "Happy"), ("c", "Hm.", "neutral"))
PLAYS = (("b", "No.", -1.5), ("a", "Yes!", 2), ("c", "Perhaps.", 0))


def write_table(path: Path, column: str, rows: Sequence[tuple[Any, ...]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("name", "text", column), *rows])


def blocks(repository: Path) -> dict[str, str]:
    """The files of the walk, by path."""
    page = (repository / "docs" / "architecture.md").read_text(encoding="utf-8")
    walk = page.split("## A new benchmark set: one file\n")[1].split("\n## ")[0]
    return {path: text for _, path, text in _FENCE.findall(walk)}


def talks_folder(root: Path, repository: Path) -> Path:
    write_table(root / "talks" / "labels.csv", "labels", TALKS)
    (root / "talks" / "benchmark_set.yaml").write_text(blocks(repository)["talks/benchmark_set.yaml"], encoding="utf-8")
    return root


@contextmanager
def plays_package(folder: Path, repository: Path) -> Iterator[None]:
    files = blocks(repository)
    folder.mkdir()
    (folder / "plays_set.py").write_text(files["plays_set.py"], encoding="utf-8")
    group, name, target = re.findall(r'"affect_lightning\.(\w+)"\]\n(\w+) = "(.*)"', files["pyproject.toml"])[0]
    with distribution(folder, "plays-set", {group: {name: target}}):
        yield


def score_json(capsys: pytest.CaptureFixture[str], *words: object) -> dict[str, Any]:
    capsys.readouterr()
    code = main(["score", *map(str, words), "--taxonomy", "builtin", "--json"])
    captured = capsys.readouterr()
    assert code == 0, captured.err
    assert "no set of MER-UniBench" not in captured.err
    return json.loads(captured.out)


def test_a_tenth_set_is_beside_the_mean_not_in_it(tmp_path: Path, repository: Path) -> None:
    nine = generated_suite(1, 0.6, 40, list(MER_UNIBENCH.sets))
    with plays_package(tmp_path / "package", repository):
        assert list(known_sets()) == [*MER_UNIBENCH.sets, "plays"]
        ten = generated_suite(1, 0.6, 40, [*MER_UNIBENCH.sets, "plays"])
    assert (ten.mean, ten.mean_interval) == (nine.mean, nine.mean_interval)
    assert (ten.sets_in_mean, ten.complete, len(ten.sets)) == (9, True, 10)
    assert list(ten.sets)[-1] == "plays"
    report = Report("", (ReportRow("one", ten), ReportRow("two", nine))).with_paired_tests()
    assert report.set_keys() == [*MER_UNIBENCH.sets, "plays"]
    assert [test.sets for test in report.tests if test.key == "mean"] == [9]
    assert ten.to_json()["suite"] == "MER-UniBench"


def test_the_sets_of_a_suite_cannot_be_changed() -> None:
    with pytest.raises(TypeError):
        MER_UNIBENCH.sets["tenth"] = MER_UNIBENCH.sets["meld"]  # type: ignore[index]
    assert MER_UNIBENCH.mean({"meld": None, "tenth": 5.0}) is None
    assert MER_UNIBENCH.in_order(["plays", "sims", "acts", "meld"]) == ["meld", "sims", "acts", "plays"]


def test_the_walk_in_a_folder(
    tmp_path: Path, repository: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    root = talks_folder(tmp_path / "sets", repository)
    clips = read_benchmark_set(root, "talks")
    assert [(clip.name, clip.corpus, clip.labels, clip.subtitle_english) for clip in clips] == [
        ("a", "talks", ("happy",), "How nice."),
        ("b", "talks", ("angry",), "Leave me!"),
        ("c", "talks", ("neutral",), "Hm."),
    ]
    assert {clip.video for clip in clips} == {None}
    assert ClipSources(benchmark_root=root).test_clips() == clips, "all sets that are there, without an option"
    assert ClipSources(benchmark_root=root, test_sets=("talks",), expected_counts={"talks": 3}).test_clips() == clips
    (root / "talks" / "video").mkdir()
    (root / "talks" / "video" / "b.mp4").touch()
    videos = [clip.video for clip in read_benchmark_set(root / "talks", "talks")]
    assert videos == [root / "talks" / "video" / f"{name}.mp4" for name in "abc"]
    write_table(tmp_path / "answers.csv", "labels", [("a", "", "joyful, sad"), ("b", "", "sad"), ("c", "", "calm")])
    result = score_json(capsys, "--dataset", "talks", "--labels", root, "--predictions", "answers.csv")
    # Neutral stands on no wheel. Of two clips one hits; it names two of the classes' sectors: M-score (1/2 + 0) / 2.
    assert (result["metric"], result["score"], result["clips"], result["scored"]) == ("hit rate", 50.0, 3, 2)
    assert result["secondary"]["M-score"] == pytest.approx(25.0)
    assert main(["doctor", "--data", str(root), "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert "talks" in json.dumps(found)
    assert "missing-file" in json.dumps(found)


def test_the_walk_in_a_package(
    tmp_path: Path, repository: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_table(tmp_path / "sets" / "plays-v1" / "labels.csv", "sentiment", PLAYS)
    write_table(tmp_path / "answers.csv", "sentiment", [("a", "", "positive"), ("b", "", 1), ("c", "", "neutral")])
    with plays_package(tmp_path / "package", repository):
        clips = ClipSources(benchmark_root=tmp_path / "sets").test_clips()
        assert [(clip.name, clip.corpus, clip.sentiment) for clip in clips] == [
            ("a", "plays", 2.0),
            ("b", "plays", -1.5),
            ("c", "plays", 0.0),
        ]
        result = score_json(capsys, "--dataset", "plays", "--labels", "sets", "--predictions", "answers.csv")
        assert (result["metric"], result["scored"], result["secondary"]["ACC"]) == ("WAF", 2, 50.0)
        assert result["score"] == pytest.approx(100 / 3)  # F1 of the positive clip 2/3, of the negative one 0
        write_table(tmp_path / "sets" / "plays-v1" / "labels.csv", "sentiment", [*PLAYS, ("d", "", 3)])
        with pytest.raises(
            DataError, match=r"line 5, column sentiment, clip d: the sentiment '3' is no number in \[-2"
        ):
            read_benchmark_set(tmp_path / "sets", "plays")
    with pytest.raises(DataError, match=r"There is no benchmark set 'plays'"):
        find_benchmark_set("plays")
    assert "plays_set" not in sys.modules


def test_test_clips_of_such_a_set_are_never_trained_on(tmp_path: Path, repository: Path) -> None:
    root = talks_folder(tmp_path, repository)
    write_table(tmp_path / "mine.csv", "labels", [("b", "Leave me!", "angry"), ("z", "Oh.", "sad")])
    sources = ClipSources(train_root=root, train_sets=("mine.csv",), benchmark_root=root)
    with pytest.raises(DataError, match=r"b \(1 of 2 training clips\) are test clips of Talks"):
        sources.training_clips()


def test_a_set_in_the_official_layout(tmp_path: Path) -> None:
    folder = tmp_path / "acts-process"
    write_table(folder / "label.csv", "emotion", [("a", "", 1), ("b", "", "sad")])
    (folder / "said.csv").write_text("name,chinese,english\na,好,Well.\nb,,No.\n", encoding="utf-8")
    text = (
        "{metric: hit_rate, labels: [happy, sad], label_files: [label.csv], label_columns: [emotion],"
        " subtitle_files: [said.csv]}"
    )
    (folder / "benchmark_set.yaml").write_text(text, encoding="utf-8")
    first, second = read_benchmark_set(tmp_path, "acts-process")
    assert (first.labels, first.subtitle_chinese, second.labels) == (("sad",), "好", ("sad",))
    (folder / "benchmark_set.yaml").write_text(text.replace("}", ", clips: 3}"), encoding="utf-8")
    with pytest.raises(DataError, match=r"2 clips of acts-process; the set's description says 3, so 1 is missing"):
        read_benchmark_set(tmp_path, "acts-process")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("metric: [", r"benchmark_set.yaml cannot be read as YAML"),
        ("- metric", r"benchmark_set.yaml must be a mapping such as `metric: f_s`; found list"),
        ("title: Talks", r"benchmark_set.yaml needs the entry `metric`: hit_rate, waf or f_s"),
        ("metric: f_s\nlabel_file: x.csv", r"unknown entry 'label_file'\. Did you mean 'label_files'\?"),
        ("metric: f_s\nkey: other", r"unknown entry 'key'"),
        ("metric: wafs", r"has the metric 'wafs'\. Expected one of hit_rate, waf, f_s"),
        ("metric: hit_rate", r"Name the classes in `labels` for hit_rate"),
        ("metric: waf\nlabels: [sad]", r"and for no other metric"),
        ("metric: hit_rate\nlabels: [yes, no]", r"has labels: \(True, False\)\. Expected a list of texts"),
        ("metric: hit_rate\nlabels: [sad, Sad]", r"names a label twice"),
        ("metric: f_s\nclips: 0", r"has clips: 0\. Expected a whole number above 0"),
        ("metric: waf\nsentiment_range: [1]", r"has sentiment_range: \(1,\)\. Expected two numbers"),
        ("metric: f_s\nlabel_files: []", r"at least one name in `label_files` and in `video_folders`"),
        ("metric: f_s\nlabel_files: [a.npz]", r"Give `corpus_key` and `subtitle_files` for .npz files"),
        ("metric: f_s\ntrain_corpus_key: train", r"neither entry for tables"),
    ],
)
def test_slips_in_a_description_are_explained(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "talks").mkdir()
    (tmp_path / "talks" / "benchmark_set.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=message) as raised:
        known_sets(tmp_path)
    assert str(tmp_path / "talks" / "benchmark_set.yaml") in str(raised.value)


def test_a_name_stands_for_one_set(tmp_path: Path, repository: Path, caplog: pytest.LogCaptureFixture) -> None:
    for key in ("meld", "ovmerd"):
        (tmp_path / key / key).mkdir(parents=True)
        (tmp_path / key / key / "benchmark_set.yaml").write_text("metric: f_s", encoding="utf-8")
        with pytest.raises(DataError, match=rf"describes the set {key}, which exists already\. Rename its folder"):
            known_sets(tmp_path / key)
    root = talks_folder(tmp_path / "sets", repository)
    write_table(root / "talks.csv", "labels", TALKS)
    with pytest.raises(DataError, match=r"talks.csv is named like the official set talks"):
        read_own_table(root / "talks.csv")
    points = {"benchmark_sets": {"meld": "rival:SET"}}
    with distribution(tmp_path / "rival", "rival-set", points), caplog.at_level(logging.WARNING):
        assert known_sets()["meld"] is MER_UNIBENCH.sets["meld"]
    assert "'meld' of rival-set 1.0 has the name of another set" in caplog.text
    with plays_package(tmp_path / "package", repository):
        assert find_benchmark_set("plays").title == "Plays"
        with distribution(tmp_path / "second", "second-set", {"benchmark_sets": {"plays": "second:SET"}}):
            assert "plays" not in known_sets()
            with pytest.raises(DataError, match=r"'plays' of second-set 1.0 has the name of another set"):
                find_benchmark_set("plays")


def test_a_linked_folder_has_the_name_of_the_link(tmp_path: Path, repository: Path) -> None:
    talks_folder(tmp_path / "disk", repository)
    (tmp_path / "sets").mkdir()
    (tmp_path / "sets" / "linked").symlink_to(tmp_path / "disk" / "talks")
    assert {clip.corpus for clip in read_benchmark_set(tmp_path / "sets", "linked")} == {"linked"}


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("import nowhere_to_be_found", r"'odd' of odd-set 1.0 cannot be used: No module named 'nowhere_to_be_found'"),
        ("SET = 3", r"odd_set:SET must be a BenchmarkSet with the key 'odd'; found 3"),
        (
            "from affect_lightning.corpora import BenchmarkSet\nSET = BenchmarkSet('even', 'Even', 'f_s', 'even')",
            r"must be a BenchmarkSet with the key 'odd'; found BenchmarkSet\(key='even'",
        ),
    ],
)
def test_a_broken_package_leaves_the_other_sets_alone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, source: str, message: str
) -> None:
    (tmp_path / "odd_set.py").write_text(source, encoding="utf-8")
    known_sets()  # another state of the installed sets in between
    with distribution(tmp_path, "odd-set", {"benchmark_sets": {"odd": "odd_set:SET"}}):
        with caplog.at_level(logging.WARNING):
            assert known_sets() == dict(MER_UNIBENCH.sets)
        assert re.search(message, caplog.text)
        with pytest.raises(DataError, match=message):
            find_benchmark_set("odd")


def test_a_set_needs_values_that_a_set_can_have() -> None:
    assert BenchmarkSet("one.two-3", "One", "f_s", "folder").label_files == ("labels.csv", "labels.jsonl")
    for key in ("mean", "../up", "", "a b"):
        with pytest.raises(DataError, match=r"needs another key|has key"):
            BenchmarkSet(key, "One", "f_s", "folder")
