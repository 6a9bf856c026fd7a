"""The generator of the sandbox: official layouts, same bytes, resumption, refusals.

Clips are performed by a fake that writes a few bytes; the real performer has tests of its own.
"""

from __future__ import annotations

import ast
import csv
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from affect_lightning.errors import ConfigurationError, DataError
from affect_lightning.sandbox.emotions import ClipScript, label_words
from affect_lightning.sandbox.generation import GeneratedCorpus, generate_sandbox
from affect_lightning.sandbox.layouts import places_of
from affect_lightning.sandbox.priors import TEST_CORPORA

TRAINING_PEOPLE = range(24)
TEST_PEOPLE = range(24, 32)
FACE_BOXES = np.array([[1.0, 2.0, 30.04, 40.0]])


@dataclass(frozen=True)
class FakeMeasure:
    seconds: float
    frames: int
    face_boxes: np.ndarray | None


def fake_performer(script: ClipScript, video_path: Path, audio_path: Path) -> FakeMeasure:
    video_path.write_text(f"{script.name} {script.seed}", encoding="utf-8")
    if script.fault != "no_audio":
        audio_path.write_text(script.sentence_english, encoding="utf-8")
    return FakeMeasure(2.5, 62, None if script.fault == "no_face" else FACE_BOXES)


def failing_performer(script: ClipScript, video_path: Path, audio_path: Path) -> FakeMeasure:
    if script.name == "samplenew3_00000003":
        raise OSError(28, "No space left on device")
    return fake_performer(script, video_path, audio_path)


@pytest.fixture(scope="module", autouse=True)
def people() -> Iterator[None]:
    stub = SimpleNamespace(TRAINING_IDENTITIES=TRAINING_PEOPLE, TEST_IDENTITIES=TEST_PEOPLE)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "affect_lightning.sandbox.identities", stub)
        yield


@pytest.fixture(scope="module")
def corpus(people: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return generate(tmp_path_factory.mktemp("sandbox"), test_clips=20).root


def generate(out: Path, **options: object) -> GeneratedCorpus:
    settings: dict[str, object] = {"clips": 12, "test_clips": 4, "seed": 3, "workers": 1, "performer": fake_performer}
    return generate_sandbox(out, **{**settings, **options})  # type: ignore[arg-type]


def annotation_bytes(root: Path) -> dict[str, bytes]:
    files = [path for path in root.rglob("*") if path.suffix in {".csv", ".npz", ".json", ".jsonl"}]
    return {str(path.relative_to(root)): path.read_bytes() for path in files}


def test_same_seed_gives_the_same_bytes_with_one_and_three_workers(tmp_path: Path) -> None:
    first = generate(tmp_path / "one", faults=0.5)
    generate(tmp_path / "three", faults=0.5, workers=3)
    generate(tmp_path / "other", faults=0.5, seed=4)
    assert annotation_bytes(tmp_path / "one") == annotation_bytes(tmp_path / "three")
    assert annotation_bytes(tmp_path / "one") != annotation_bytes(tmp_path / "other")
    assert not list(tmp_path.rglob(".*"))
    content = json.loads((tmp_path / "one" / "corpus.json").read_text(encoding="utf-8"))
    assert len(content["faults"]) == 6 == len(first.faults)
    assert content["faults"][0]["kind"] == "truncated"
    assert set(content["bounds"]["scores"]) == {*TEST_CORPORA, "mean"}


def read_csv(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_training_layout(corpus: Path) -> None:
    folder = corpus / "mer-caption-plus"
    subtitles = read_csv(folder / "subtitle_chieng.csv")
    labels = read_csv(folder / "track2_train_mercaptionplus.csv")
    reasons = read_csv(folder / "track3_train_mercaptionplus.csv")
    assert [list(rows[0]) for rows in (subtitles, labels, reasons)] == [
        ["name", "chinese", "english"],
        ["name", "openset"],
        ["name", "reason"],
    ]
    names = [row["name"] for row in subtitles]
    assert names == [row["name"] for row in labels] == [row["name"] for row in reasons]
    assert len(names) == 12
    assert set(ast.literal_eval(labels[0]["openset"])) <= set(label_words())
    for name in names:
        assert all(path.exists() for path in places_of(corpus, "mer-caption-plus").media_of(name))
    truth = [json.loads(line) for line in (corpus / "clip_truth.jsonl").read_text(encoding="utf-8").splitlines()]
    assert len(truth) == 12 + 9 * 20
    assert truth[0]["face_boxes"] == [[1.0, 2.0, 30.0, 40.0]]


@pytest.mark.parametrize("key", [key for key in TEST_CORPORA if places_of(Path(), key).labels.suffix == ".npz"])
def test_layout_of_sets_with_pickled_labels(corpus: Path, key: str) -> None:
    specification = TEST_CORPORA[key]
    official = specification.official
    folder = corpus / official.folder
    with np.load(folder / official.label_files[0], allow_pickle=True) as archive:
        assert archive.files == [official.corpus_key]
        array = archive[official.corpus_key]
    assert (array.dtype, array.shape) == (np.dtype(object), ())
    labels = array.item()
    transcript = {row["name"] for row in read_csv(folder / "transcription-engchi-polish.csv")}
    assert set(labels) == transcript
    scored = [name for name in labels if key != "iemocap" or name.startswith("Ses05")]
    assert len(scored) == 20
    assert len(labels) - len(scored) == (6 if key == "iemocap" else 0)
    assert all(path.exists() for name in scored for path in places_of(corpus, key).media_of(name))
    assert not any(places_of(corpus, key).media_of(name)[0].exists() for name in set(labels) - set(scored))
    if official.metric == "waf":
        values = [labels[name]["val"] for name in scored]
        assert max(map(abs, values)) <= specification.sentiment_limit
        assert {labels[name]["emo"] for name in scored} == {0}
        assert 0 < sum(value > 0 for value in values) < 20
        assert type(values[0]) is (np.float32 if key == "cmumosei" else np.float64)
    else:
        assert {labels[name]["emo"] for name in scored} <= set(
            range(7) if official.labels_as_index else official.labels
        )


def test_layout_of_sets_with_csv_labels(corpus: Path) -> None:
    semi = read_csv(corpus / "mer2024-dataset-process" / "reference-semi.csv")
    assert {row["discrete"] for row in semi} <= {"worried", "happy", "neutral", "angry", "surprise", "sad"}
    openset = read_csv(corpus / "ovmerdplus-process" / "ovlabel.csv")
    assert all(1 <= len(ast.literal_eval(row["openset"])) <= 4 for row in openset)
    assert (corpus / "iemocap-process" / "subvideo-tgt").is_dir()


def test_a_finished_corpus_is_left_alone_and_another_one_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert not generate(tmp_path).already_there
    before = annotation_bytes(tmp_path)
    assert generate(tmp_path, performer=failing_performer).already_there
    assert "already has this corpus" in capsys.readouterr().err
    assert annotation_bytes(tmp_path) == before
    with pytest.raises(DataError, match="other parameters: seed 3 instead of 9"):
        generate(tmp_path, seed=9)


def test_an_interrupted_run_goes_on(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"could not be finished: .*No space left.*run the same command again"):
        generate(tmp_path / "resumed", performer=failing_performer)
    assert not (tmp_path / "resumed" / "corpus.json").exists()
    with pytest.raises(DataError, match="an unfinished sandbox corpus with other parameters: clips 12 instead of 13"):
        generate(tmp_path / "resumed", clips=13)
    done = tmp_path / "resumed" / "mer-caption-plus" / "video" / "samplenew3_00000000.mp4"
    stamp = done.stat().st_mtime_ns
    generate(tmp_path / "resumed")
    assert done.stat().st_mtime_ns == stamp
    generate(tmp_path / "straight")
    assert annotation_bytes(tmp_path / "resumed") == annotation_bytes(tmp_path / "straight")


def test_foreign_folders_and_files_are_refused_untouched(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("mine", encoding="utf-8")
    with pytest.raises(DataError, match=r"is not empty \(it holds thesis.tex\)"):
        generate(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]
    with pytest.raises(DataError, match="is a file"):
        generate(tmp_path / "thesis.tex")
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "corpus.json").write_text("{", encoding="utf-8")
    with pytest.raises(DataError, match="cannot be read"):
        generate(tmp_path / "broken")


def test_impossible_numbers_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="0 training clips"):
        generate(tmp_path, clips=0)
    with pytest.raises(ConfigurationError, match="0 workers"):
        generate(tmp_path, workers=0)
    with pytest.raises(ConfigurationError, match="choose one or more"):
        generate(tmp_path, faults=0.1, fault_kinds=[])
    assert list(tmp_path.iterdir()) == []


def test_faults_that_leave_out_a_file_are_kept(tmp_path: Path) -> None:
    generate(tmp_path, faults=1.0, fault_kinds=["no_audio", "no_face"])
    rows = [json.loads(line) for line in (tmp_path / "clip_truth.jsonl").read_text(encoding="utf-8").splitlines()]
    for row in rows[:12]:
        video, audio = places_of(tmp_path, row["corpus"]).media_of(row["name"])
        assert video.exists()
        assert audio.exists() == (row["fault"] != "no_audio")
        assert (row["face_boxes"] is None) == (row["fault"] == "no_face")
    assert {row["fault"] for row in rows[12:]} == {None}
