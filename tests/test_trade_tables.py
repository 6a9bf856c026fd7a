"""Tables as other projects write them: each is read where it is given, and what is no table is called what it is."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest

from affect_lightning.contracts import ClipRecord
from affect_lightning.corpora import known_sets
from affect_lightning.corpora.clip_names import plain_name, same_clips
from affect_lightning.corpora.own_clips import read_own_table
from affect_lightning.corpora.truths import Truth, read_truths
from affect_lightning.errors import ConfigurationError, DataError
from affect_lightning.unibench.scoring.prediction_files import Answer, read_answers
from affect_lightning.unibench.scoring.suite_scoring import pair

MELD = (
    "Sr No.,Utterance,Speaker,Emotion,Sentiment,Dialogue_ID,Utterance_ID,Season,Episode,StartTime,EndTime\n"
    '1,"It\u2019s me\u2026 no?",Zo\u00eb,joy,positive,0,1,4,7,"00:20:57,256","00:21:00,049"\n'
    "2,Oh.,Ross,sadness,negative,0,2,4,7,x,y\n"
)
MMSA = (
    "video_id,clip_id,text,label,label_T,label_A,label_V,annotation,mode\n"
    "video_0001,0001,\u55ef,-0.4,0,0,0,Negative,test\n"
    "video_0001,0002,b,0.6,0,0,0,Positive,train\n"
    "video_0002,0001,c,0.2,0,0,0,Positive,valid\n"
)


def write(path: Path, content: str | bytes, encoding: str = "utf-8") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode(encoding))
    return path


def write_sheet(path: Path, rows: list[list[Any]]) -> Path:
    from openpyxl import Workbook

    book = Workbook()
    for row in rows:
        book.active.append(row)
    book.save(path)
    return path


def test_melds_own_table_in_its_own_encoding(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = write(tmp_path / "test_sent_emo.csv", MELD, "cp1252")
    video = write(tmp_path / "output_repeated_splits_test" / "dia0_utt1.mp4", b"")
    with caplog.at_level(logging.WARNING):
        first, second = read_own_table(path)
    assert first == ClipRecord(
        "dia0_utt1", "test_sent_emo", video=video, labels=("joy",),
        subtitle_english="It\u2019s me\u2026 no?", subtitle_chinese="It\u2019s me\u2026 no?",
    )  # fmt: skip
    assert second.video is None
    assert "is read as Windows-1252" in caplog.text
    assert read_truths(path, "meld", known_sets()["meld"]) == {
        "dia0_utt1": Truth(("joy",)), "dia0_utt2": Truth(("sadness",)),
    }  # fmt: skip


def test_mmsas_table_has_a_split_and_one_sentiment(tmp_path: Path) -> None:
    path = write(tmp_path / "label.csv", MMSA)
    video = write(tmp_path / "Raw" / "video_0001" / "0001.mp4", b"")
    write(tmp_path / "Raw" / "video_0002" / "0001.mp4", b"")
    (clip,) = read_own_table(path, split="test")
    assert (clip.name, clip.sentiment, clip.labels, clip.video) == ("video_0001$_$0001", -0.4, (), video)
    assert [clip.sentiment for clip in read_own_table(path, split="train")] == [0.6]
    assert len(read_own_table(path)) == 3
    assert read_truths(path, "sims", known_sets()["sims"]) == {"video_0001$_$0001": Truth((), -0.4)}
    write(path, MMSA.replace("test", "train"))
    with pytest.raises(DataError, match=r"label.csv has no row with the mode test; found train, valid"):
        read_truths(path, "sims", known_sets()["sims"])


def test_iemocaps_codes_are_words_and_disagreement_is_no_emotion(tmp_path: Path) -> None:
    path = write(tmp_path / "codes.csv", "name,label\na,exc\nb,neu\nc,fru\nd,ang\n")
    words = {"a": "excited", "b": "neutral", "c": "frustrated", "d": "angry"}
    assert read_truths(path, "mine", None) == {name: Truth((word,)) for name, word in words.items()}
    write(path, "name,label\na,exc\nb,xxx\n")
    with pytest.raises(
        DataError, match=r"codes.csv, line 3, column label, clip b: IEMOCAP's code 'xxx' means no agree"
    ):
        read_truths(path, "mine", None)
    write(path, "name,label\na,sad\nb,sad\n")
    assert read_truths(path, "mine", None)["a"] == Truth(("sad",))
    write(path, "name,label\na,exc\nb,thrilled\n")  # one word that is no code: nothing is translated
    assert read_truths(path, "mine", None)["a"] == Truth(("exc",))


def test_a_table_of_the_mer_challenges_needs_no_text(tmp_path: Path) -> None:
    path = write(tmp_path / "submission.csv", "name,discrete\nsample_00000001,happy\n")
    (clip,) = read_own_table(path)
    assert (clip.name, clip.labels, clip.subtitle_english) == ("sample_00000001", ("happy",), "")
    assert read_truths(path, "mine", None) == {"sample_00000001": Truth(("happy",))}
    assert read_answers([path], "mine") == {"sample_00000001": Answer(labels=("happy",))}


LMMS = {"doc_id": 0, "doc": {"video": "clips/a.mp4"}, "target": "sad", "resps": [["She is happy."]]}
SWIFT = {"response": "She is happy.", "labels": "sad", "messages": [{"role": "user", "content": "?"}]}


@pytest.mark.parametrize(
    ("row", "name"),
    [
        (LMMS, "a"),
        ({**LMMS, "resps": [["no"]], "filtered_resps": ["She is happy."]}, "a"),
        ({**LMMS, "doc": {"question": "What?"}}, "0"),
        ({**SWIFT, "videos": ["/data/a.mp4"]}, "a"),
        ({**SWIFT, "videos": "a.mp4"}, "a"),
        ({**SWIFT, "audios": [{"path": "a.wav", "bytes": None}]}, "a"),
        ({**SWIFT, "name": "b", "videos": ["a.mp4"]}, "b"),
    ],
)
@pytest.mark.parametrize("form", ["lines", "list", "logs"])
def test_result_files_of_other_programs_give_the_responses(
    tmp_path: Path, row: dict[str, Any], name: str, form: str
) -> None:
    whole: dict[str, str] = {"lines": json.dumps(row), "list": json.dumps([row]), "logs": json.dumps({"logs": [row]})}
    path = write(tmp_path / ("x.jsonl" if form == "lines" else "x.json"), whole[form])
    (answer,) = read_answers([path], "mine", from_responses=True).items()
    assert (answer[0], answer[1].response) == (name, "She is happy.")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("x.csv", "name;text;labels\na;Hi, you;happy\n"),
        ("x.csv", "sep=;\nname;text;labels\na;Hi, you;happy\n"),
        ("x.csv", '"sep=|"\r\nname|text|labels\r\na|Hi, you|happy\r\n'),
        ("x.csv", "name\ttext\tlabels\na\tHi, you\thappy\n"),
        ("x.tsv", "name\ttext\tlabels\na\tHi, you\thappy\n"),
        ("x.csv", 'name,text,labels\na,"Hi, you",happy\n'.encode("utf-16")),
        ("x.csv", b"\xef\xbb\xbf" + b'name,text,labels\na,"Hi, you",happy\n'),
        ("x.json", '[{"name": "a", "text": "Hi, you", "labels": ["happy"]}]'),
    ],
)
def test_every_form_of_a_table_gives_the_same_clip(tmp_path: Path, name: str, content: str | bytes) -> None:
    (clip,) = read_own_table(write(tmp_path / name, content))
    assert (clip.name, clip.subtitle_english, clip.labels) == ("a", "Hi, you", ("happy",))


def test_a_spreadsheet_is_a_table_and_its_numbers_are_names(tmp_path: Path) -> None:
    path = write_sheet(
        tmp_path / "x.xlsx", [["name", "text", "labels", None], [17, "Hi, you", "happy"], [], ["b", None, "sad"]]
    )
    assert [(clip.name, clip.labels) for clip in read_own_table(path)] == [("17", ("happy",)), ("b", ("sad",))]
    write_sheet(path, [["name", "text", "labels"], ["b", "", "sad", "surplus"]])
    with pytest.raises(DataError, match=r"x.xlsx, line 2: 4 cells, but the header has 3"):
        read_own_table(path)


@pytest.mark.parametrize(
    ("others", "stops"),
    [
        ({"Qwen": [["name", "response"], ["a", "sad"]]}, True),
        ({"Legend": [["label", "meaning"], ["1", "happy"]], "test": [["Clip", "labels"], ["b", "sad"]]}, True),
        ({"Legend": [["label", "meaning"], ["1", "happy"]], "Sheet2": [], "Sheet3": [["name", "labels"]]}, False),
    ],
)
def test_a_spreadsheet_with_several_tables_of_clips_is_refused(
    tmp_path: Path, others: dict[str, list[list[str]]], stops: bool
) -> None:
    from openpyxl import load_workbook

    path = write_sheet(tmp_path / "x.xlsx", [["name", "labels"], ["a", "happy"]])
    book = load_workbook(path)
    for title, rows in others.items():
        sheet = book.create_sheet(title)
        for row in rows:
            sheet.append(row)
    book.save(path)
    if not stops:
        assert read_truths(path, "mine", None) == {"a": Truth(("happy",))}
        assert read_answers([path], "mine") == {"a": Answer(labels=("happy",))}
        return
    message = (
        rf"Save the sheet that you want in a file of its own: .*x.xlsx .*'Sheet', and '{[*others][-1]}' may list clips"
    )
    with pytest.raises(DataError, match=message):
        read_truths(path, "mine", None)
    with pytest.raises(DataError, match=message):
        read_answers([path], "mine")


def test_a_line_is_counted_from_the_first_of_the_file(tmp_path: Path) -> None:
    path = write(tmp_path / "x.csv", "sep=;\nname;text;labels\na;b\n")
    with pytest.raises(DataError, match=r"x.csv, line 3: 2 cells, but the header has 3"):
        read_own_table(path)


def test_columns_can_be_named(tmp_path: Path) -> None:
    path = write(tmp_path / "x.csv", "clip,said,emotion,name\na,Hi,happy,the speaker's\n")
    (clip,) = read_own_table(path, {"name": "clip", "text": "said", "labels": "emotion"})
    assert (clip.name, clip.subtitle_english, clip.labels) == ("a", "Hi", ("happy",))
    with pytest.raises(DataError, match=r"x.csv has no column 'label'; its columns are clip, said, emotion, name"):
        read_own_table(path, {"labels": "label"})
    with pytest.raises(ConfigurationError, match=r"no kind of column 'emotions'. Use one of name, text, labels"):
        read_own_table(path, {"emotions": "emotion"})


def test_media_next_to_a_table_are_found_by_name(tmp_path: Path) -> None:
    path = write(tmp_path / "x.csv", "name,text,labels\n007,Hi,happy\nb.mp4,Ho,sad\nc,He,angry\n")
    files = [write(tmp_path / name, b"") for name in ("7.webm", "deep/er/b.mp4", "b.wav", ".hidden/c.mp4")]
    found = {clip.name: (clip.video, clip.audio) for clip in read_own_table(path)}
    assert found == {"007": (files[0], None), "b.mp4": (files[1], files[2]), "c": (None, None)}
    for folder in ("one", "two"):
        write(tmp_path / folder / "c.mp4", b"")
    with pytest.raises(
        DataError, match=r"The clip 'c' can mean .*one.c.mp4 and .*two.c.mp4. Name its file in a column `v"
    ):
        read_own_table(path)


def test_windows_separators_mean_folders(tmp_path: Path) -> None:
    path = write(tmp_path / "x.csv", "name,text,labels,video\na,Hi,happy,clips\\de\\a.mp4\n")
    assert read_own_table(path)[0].video == tmp_path / "clips/de/a.mp4"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (
            "x.csv",
            "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n",
            "is a Git LFS pointer, .*git lfs p",
        ),
        ("x.jsonl", "/annex/objects/SHA256E-s1", "is a git-annex pointer, not the file itself. Run `git annex get`"),
        (
            "x.csv",
            "\ufeff <!DOCTYPE html><html><title>Sign in",
            "is a web page, not the file itself. Download it again",
        ),
        ("x.csv", b"PK\x03\x04\x14\x00", "is a zip archive"),
        ("x.csv", b"\x1f\x8b\x08", "is a gzip archive. Unpack it with `gunzip`"),
        ("x.csv", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "is an old Excel file"),
        ("x.xlsx", "<html>", "x.xlsx is a web page"),
        ("x.xlsx", "", "x.xlsx is empty. Copy or download it again"),
        ("x.csv", "", "x.csv lists no clips"),
        ("x.json", "", "x.json lists no clips"),
        ("x.json", '"a"', "x.json must be one list of objects .*; found str"),
        ("x.csv", "name,text,labels\na,\u65e9\u4e0a\u597d,b\n".encode("gb18030"), "line 2 cannot be read as UTF-8"),
        ("x.csv", b"name,text,labels\na,\xc3,b\n", "line 2 cannot be read as UTF-8"),  # half of an umlaut
    ],
)
def test_what_is_no_table_is_called_what_it_is(tmp_path: Path, name: str, content: str | bytes, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_own_table(write(tmp_path / name, content))


def test_names_are_joined_across_endings_folders_and_zeros(caplog: pytest.LogCaptureFixture) -> None:
    truths = {name: Truth(("happy",)) for name in ("00017", "b", "test_dia0_utt1", "video_0001_0002", "same")}
    given = ("17", "clips\\b.MP4", "dia0_utt1.mp4", "video_0001$_$0002", "same")
    answers = {name: Answer(response=name) for name in given}
    with caplog.at_level(logging.WARNING):
        joined = pair("mine", truths, answers)
    assert {row.name: row.response for row in joined.predictions} == dict(zip(truths, given, strict=True))
    assert not joined.missing
    assert not joined.surplus
    assert "mine: 4 clips are written in another way and were joined: 17 for 00017" in caplog.text


def test_a_form_that_could_mean_two_clips_means_none() -> None:
    assert same_clips(["a", "c"], ["1/a.mp4", "2/a.mp4", "c.wav"]) == {"c.wav": "c"}
    assert same_clips(["01", "1"], ["001"]) == {}
    assert same_clips(["01", "1"], ["1", "001"]) == {"001": "01"}
    assert plain_name("talk.2.final") == "talk.2.final"


EXAMPLES = {
    "Sr No.": ("dia0_utt1", Truth(("surprise",))),
    "video_id": ("video_0001$_$0002", Truth((), -0.4)),
    "name,label": ("Ses05F_impro01_F000", Truth(("excited",))),
    "name,discrete": ("samplenew3_00000019", Truth(("happy",))),
    '{"doc_id"': ("talk_1", Answer(response="The person sounds sad.")),
    '{"response"': ("talk_1", Answer(response="The person sounds sad.")),
}


def test_every_example_of_the_docs_is_read(tmp_path: Path, repository: Path) -> None:
    page = (repository / "docs" / "data.md").read_text(encoding="utf-8")
    section = page.split("## Files of other projects")[1].split("\n## ")[0]
    blocks = [
        "\n".join(line[4:] for line in block.splitlines())
        for block in section.split("\n\n")
        if block.startswith("    ")
    ]
    tables = [block for block in blocks if not block.startswith("affect-lightning")]
    assert len(tables) == len(EXAMPLES)
    for block, (beginning, (name, wanted)) in zip(tables, EXAMPLES.items(), strict=True):
        assert block.startswith(beginning)
        path = write(tmp_path / ("x.jsonl" if block.startswith("{") else "x.csv"), block)
        found: Any = (
            read_answers([path], "mine", from_responses=True)
            if isinstance(wanted, Answer)
            else read_truths(path, "mine", None)
        )
        assert found == {name: wanted}


@pytest.mark.parametrize(
    ("header", "cells", "stops"),
    [
        ("id,video_name,emotion", "1,3.mp4,happy 2,1.mp4,sad 3,2.mp4,angry", True),
        ("sample_id,path,emotion", "0,clips/3,happy 1,clips/2,sad 2,clips/1,angry", True),
        ("id,what,emotion", "1,D:\\\\out\\\\3,happy 2,D:\\\\out\\\\1,sad", True),
        ("id,media,emotion", "1,x/001.wav,happy 2,x/002.wav,sad 3,x/3.wav,angry", False),
        ("id,video_name,emotion", "17,a.mp4,happy 4,b.mp4,sad", False),
        ("id,second,emotion", "1,happy/sad,happy 2,sad/angry,sad", False),
        ("id,seconds,emotion", "1,3,happy 2,1,sad", False),
    ],
)
def test_row_numbers_beside_paths_are_no_names(tmp_path: Path, header: str, cells: str, stops: bool) -> None:
    path = write(tmp_path / "l.csv", "\n".join([header, *cells.replace("\\\\", "\\").split()]))
    name, other, _ = header.split(",")
    answers = write(tmp_path / "p.csv", path.read_text(encoding="utf-8").replace("emotion", "response", 1))
    if not stops:
        assert read_truths(path, "mine", None).keys() == read_answers([answers], "mine").keys()
        return
    with pytest.raises(
        DataError, match=rf"l.csv has the clips' names: `--column truth-name={other}` or .*{name!r} counts"
    ):
        read_truths(path, "mine", None)
    with pytest.raises(
        DataError, match=rf"p.csv has the clips' names: `--column name={other}` or `--column name={name}`"
    ):
        read_answers([answers], "mine")
    assert len(read_truths(path, "mine", None, {"truth-name": name})) == len(cells.split())
    assert len(read_answers([answers], "mine", columns={"name": other})) == len(cells.split())
