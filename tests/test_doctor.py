"""`affect-lightning doctor`: what is planted is found and named, a clean set passes, mistakes are one paragraph."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from affect_lightning.command_line.program import main
from affect_lightning.inspection.findings import CHECKS
from broken_clips import KINDS, write_broken_set
from clip_making import tone, write_clip, write_test_set, write_training_set, write_wav

NAMES = [f"sample_{index:02}" for index in range(14)]
TRAINING = "mer-caption-plus"


def write_clean(root: Path, names: list[str] = NAMES) -> Path:
    """A training set and MER2024, as a generated corpus that declares its numbers."""

    def make(path: Path) -> None:
        write_clip(path, range(0, 40 * (25 + 2 * names.index(path.stem)), 40))  # as long as its sound

    folder = write_training_set(root, names, make) / TRAINING
    with (folder / "track3_train_mercaptionplus.csv").open("a", encoding="utf-8") as table:
        table.write(f"{names[-1]},reasons\n")
    test = write_test_set(root, ["test_1", "test_2"])
    (test / "label.csv").write_text("name,discrete\ntest_1,happy\ntest_2,sad\n", encoding="utf-8")
    declared = {
        "training": {"corpus": TRAINING, "clips": len(names)},
        "test_sets": {"mer2024": {"clips": 2}},
    }
    (root / "corpus.json").write_text(json.dumps(declared), encoding="utf-8")
    return root


def change(path: Path, before: str, after: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert before in text
    path.write_text(text.replace(before, after), encoding="utf-8")


def doctor(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str, str]:
    capsys.readouterr()
    code = main(["doctor", *map(str, words)])
    printed = capsys.readouterr()
    return code, printed.out, printed.err


PLANTED: dict[str, tuple[str, ...]] = {
    "missing-file": ("sample_00",),
    "unreadable": ("sample_01", "sample_02"),
    "lengths-differ": ("sample_03",),
    "silent": ("sample_04",),
    "missing-subtitle": ("sample_05",),
    "missing-description": ("sample_06",),
    "unknown-word": ("flabbergrumpy",),
    "too-short": ("sample_08",),
    "too-long": ("sample_13",),
    "missing-words": ("sample_09",),
    "surplus-file": ("audio/stray.wav", "video/stray.mp4"),
}


def plant(root: Path) -> None:
    folder = root / TRAINING
    video, audio = folder / "video", folder / "audio"
    (video / "sample_00.mp4").unlink()
    (video / "sample_01.mp4").write_bytes(b"no clip")
    (audio / "sample_02.wav").write_bytes(b"")
    write_wav(audio / "sample_03.wav", tone(4.0))
    write_wav(audio / "sample_04.wav", np.zeros(22_400))
    change(folder / "subtitle_chieng.csv", "sample_05,中文sample_05,words of sample_05\n", "")
    change(folder / "track3_train_mercaptionplus.csv", "sample_06,reasons of sample_06\n", "")
    change(folder / "track2_train_mercaptionplus.csv", "sample_07,\"['happy'", "sample_07,\"['flabbergrumpy'")
    write_clip(video / "sample_08.mp4", range(0, 120, 40))
    write_wav(audio / "sample_08.wav", tone(0.12))
    change(folder / "track2_train_mercaptionplus.csv", "sample_09,\"['happy', 'calm']\"", 'sample_09,"[]"')
    write_clip(video / "stray.mp4", range(0, 200, 40))
    write_wav(audio / "stray.wav", tone(0.2))


def test_a_clean_set_passes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_clean(tmp_path / "data")
    words = ("--data", tmp_path / "data", "--cache", tmp_path, "--workers", 1, "--face-detector", "none")
    code, out, err = doctor(capsys, *words)
    assert code == 0, out
    assert "Nothing is wrong." in out
    assert f"{TRAINING}  training  clips" in out
    assert "14 read; 1.0 to 2.3 s" in out
    assert "16/16" in err
    assert "clip/s" in err
    # Kept: the second time no clip is opened, which a clip that is gone but unchanged in the journal cannot hide.
    code, out, _ = doctor(capsys, *words, "--json")
    assert code == 0
    assert json.loads(out)["ok"] is True
    (tmp_path / "data" / TRAINING / "video" / "sample_03.mp4").write_bytes(b"changed since")
    code, out, _ = doctor(capsys, *words, "--json")
    assert code == 1
    assert [finding["names"] for finding in json.loads(out)["findings"]] == [["sample_03"]]


@pytest.fixture(scope="module")
def faulty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = write_clean(tmp_path_factory.mktemp("faulty") / "data")
    plant(root)
    return root


def test_what_is_planted_is_found(faulty: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("--data", faulty, "--cache", tmp_path, "--workers", 2, "--max-seconds", 2.2, "--min-seconds", 0.2)
    words = (*words, "--face-detector", "none", "--taxonomy", "builtin")
    code, out, _ = doctor(capsys, *words, "--json")
    content = json.loads(out)
    assert code == 1
    assert content["ok"] is False
    found = {finding["check"]: tuple(finding["names"]) for finding in content["findings"]}
    long = found.pop("too-long")
    assert {**found, "too-long": tuple(name for name in long if name != "sample_03")} == PLANTED
    assert content["problems"] == len(PLANTED) - 1  # surplus files in a training set are usual: a note
    details = {finding["check"]: finding["details"] for finding in content["findings"]}
    assert details["unreadable"]["sample_02"]["stage"] == "audio"
    assert details["unreadable"]["sample_01"]["path"].endswith("sample_01.mp4")
    assert details["missing-file"]["sample_00"]["paths"][0].endswith("sample_00.mp4")
    assert details["unknown-word"]["flabbergrumpy"]["clips"] == ["sample_07"]
    code, table, _ = doctor(capsys, *words)
    assert code == 1
    for check, names in PLANTED.items():
        (line,) = [line for line in table.splitlines() if f"  {check}  " in line]
        assert all(name in line for name in names)
    allowed = [word for check in PLANTED for word in ("--allow", check)]
    assert doctor(capsys, *words, *allowed)[0] == 0


def test_every_broken_file_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_broken_set(tmp_path / "data")
    words = ("--data", tmp_path / "data", "--cache", tmp_path, "--workers", 2, "--face-detector", "none")
    code, out, _ = doctor(capsys, *words, "--expected-counts", "any", "--json")
    assert code == 1
    findings = {finding["check"]: finding for finding in json.loads(out)["findings"]}
    assert "worker-died" not in findings
    named = set(findings["unreadable"]["names"])
    # A link to nothing and a link to itself are files that are there, and cannot be read.
    expected = {kind.name for kind in KINDS if kind.outcome == "bad"}
    doubtful = {kind.name for kind in KINDS if kind.outcome == "either"}
    assert expected <= named <= expected | doubtful
    table = doctor(capsys, *words, "--expected-counts", "any")[1]
    (line,) = [line for line in table.splitlines() if "  unreadable  " in line]
    assert f"and {len(named) - 10} more (--json names all)" in line
    assert sum(f"{name}, " in f"{line}, " or f"{name} and" in line for name in named) >= 10


def test_faces_are_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("onnxruntime")
    write_training_set(tmp_path / "data", ["sample_00"])
    words = ("--data", tmp_path / "data", "--cache", tmp_path, "--workers", 1, "--expected-counts", "any", "--json")
    code, out, _ = doctor(capsys, *words, "--allow", "missing-description")
    content = json.loads(out)
    assert code == 1
    assert [finding["check"] for finding in content["findings"] if finding["level"] == "problem"] == ["no-face"]
    assert content["sets"][0]["frames"] == content["sets"][0]["frames_without_face"] == 8


def edit(file: str, before: str, after: str) -> Callable[[Path], Any]:
    return lambda root: change(root / TRAINING / file, before, after)


def encoded(file: str, encoding: str) -> Callable[[Path], Any]:
    def write(root: Path) -> None:
        path = root / TRAINING / file
        path.write_bytes(path.read_text(encoding="utf-8").encode(encoding))

    return write


def cut_utf_16(root: Path) -> None:
    path = root / TRAINING / SUBTITLES
    path.write_bytes(path.read_text(encoding="utf-8").encode("utf-16")[:-1])


LABELS, SUBTITLES = "track2_train_mercaptionplus.csv", "subtitle_chieng.csv"


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (encoded(SUBTITLES, "gbk"), r"subtitle_chieng.csv, line 2 cannot be read as UTF-8"),
        (cut_utf_16, r"subtitle_chieng.csv, line \d+ cannot be read as UTF-16 \(truncated data"),
        (edit(LABELS, "sample_03,", "sample\x0003,"), r"track2_train_mercaptionplus.csv, line 5.*NUL"),
        (edit(LABELS, 'sample_03,"', 'sample_03,\'""'), r"track2_train_mercaptionplus.csv, line 5"),
        (edit(LABELS, "sample_03,", "sample_02,"), r"more than one row for the clip 'sample_02': lines 4 and 5"),
        (edit(LABELS, "name,openset", "name,labels"), r"lacks the column openset; its columns are name, labels"),
        (edit(LABELS, "sample_03,", ","), r"row without a name: line 5, column name"),
        (
            edit(LABELS, "sample_03,\"['happy', 'calm']\"", 'sample_03,"[happy"'),
            r"line 5, column openset, clip sample_03",
        ),
        (lambda root: (root / TRAINING / SUBTITLES).unlink(), r"There is no file with the subtitles of MER-Caption\+"),
        (
            lambda root: (root / TRAINING / LABELS).write_bytes(b""),
            r"lacks the column name, openset.*the file is empty",
        ),
    ],
)
def test_broken_tables(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], spoil: Callable[[Path], Any], message: str
) -> None:
    import re

    root = write_clean(tmp_path / "data", NAMES[:5])
    spoil(root)
    code, out, _ = doctor(capsys, "--data", root, "--no-media", "--json")
    assert code == 1
    (finding,) = json.loads(out)["findings"]
    assert (finding["set"] if "set" in finding else finding["corpus"], finding["check"]) == (
        TRAINING,
        "annotation-file",
    )
    assert re.search(message, finding["text"]), finding["text"]


def test_a_byte_order_mark_is_no_fault(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = write_clean(tmp_path / "data", NAMES[:5])
    encoded(SUBTITLES, "utf-8-sig")(root)
    assert doctor(capsys, "--data", root, "--no-media")[0] == 0


def test_counts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = write_clean(tmp_path / "data", NAMES[:5])
    (root / "corpus.json").unlink()
    code, out, _ = doctor(capsys, "--data", root, "--no-media", "--json")
    texts = {finding["corpus"]: finding["text"] for finding in json.loads(out)["findings"]}
    assert code == 1
    assert "5 clips are annotated, expected 31327" in texts[TRAINING]
    assert "lists 2 clips of MER2024; Table 11 of the paper says 1169" in texts["mer2024"]
    assert doctor(capsys, "--data", root, "--no-media", "--expected-counts", "any")[0] == 0
    # One set's own folder will do.
    code, out, _ = doctor(capsys, "--data", root / "mer2024-dataset-process", "--no-media", "--json")
    assert [item["corpus"] for item in json.loads(out)["sets"]] == ["mer2024"]


def test_a_configuration_says_what_is_checked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], repository: Path
) -> None:
    root = write_clean(tmp_path / "data", NAMES[:5])
    config = tmp_path / "experiment.yaml"
    config.write_text(
        f"model: {{inputs: [text]}}\ndata: {{train_root: {root}, benchmark_root: {root}, test_sets: [mer2024]}}\n"
        "benchmark: {taxonomy: builtin}\n",
        encoding="utf-8",
    )
    (root / TRAINING / "video" / "sample_00.mp4").unlink()
    code, out, _ = doctor(capsys, "--config", config, "--json")
    content = json.loads(out)
    assert code == 0, content  # text only: no media need exist
    assert [(item["corpus"], item["role"]) for item in content["sets"]] == [(TRAINING, "training"), ("mer2024", "test")]
    assert content["journal"] is None
    shipped = repository / "experiments" / "sandbox.yaml"
    assert doctor(capsys, "--config", shipped, "--data", root, "--no-media")[0] == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "Give --data DIR, the folder that holds the sets"),
        (("--data", "/nowhere"), "There is no folder /nowhere"),
        (("--data", "EMPTY"), "holds no official set. Expected one or more of the folders mer-caption-plus"),
        (("--data", "EMPTY", "--workers", "0"), "--workers must be at least 1"),
        (("--data", "EMPTY", "--min-seconds", "9", "--max-seconds", "3"), "--min-seconds must be at least 0 and below"),
        (("--data", "EMPTY", "--allow", "nonsense"), "invalid choice: 'nonsense'"),
        (("--config", "/nowhere.yaml"), "There is no file '/nowhere.yaml' and no experiment of that name"),
        (("--config", "LIST"), "LIST holds a list; expected options such as"),
        (("--config", "ODD"), "The data section of .* is not valid: .*'no_such_option'"),
        (("--config", "BARE"), "names no folder. Set data.train_root"),
    ],
)
def test_mistakes(tmp_path: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], message: str) -> None:
    import re

    texts = {"LIST": "- a\n", "ODD": "data: {no_such_option: 1}\n", "BARE": "data: {}\n"}
    for name, text in texts.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    given = [str(tmp_path / word) if word in texts else str(tmp_path) if word == "EMPTY" else word for word in words]
    (tmp_path / "empty").mkdir()
    given = [str(tmp_path / "empty") if word == str(tmp_path) else word for word in given]
    code, _, err = doctor(capsys, *given)
    assert code == 2
    assert re.search(message, err), err
    assert "Traceback" not in err


def test_the_page_lists_every_check(repository: Path) -> None:
    page = (repository / "docs" / "doctor.md").read_text(encoding="utf-8")
    assert [check for check in CHECKS if f"`{check}`" not in page] == []
