"""Tables of the user's own: every column, both formats, and an error with file, row and column for each slip."""

from __future__ import annotations

from pathlib import Path

import pytest

from affect_lightning.contracts import ClipRecord
from affect_lightning.corpora.own_clips import is_own_table, read_own_table
from affect_lightning.errors import DataError

CSV = """name,text,labels,sentiment,description,video,audio,face,recorded
b,"Well, no.","['sad', 'tired']",-0.4,She sighs.,media/b.mp4,/sound/b.wav,,monday
a,,happy,,,,,faces/a.npy,
"""


def records(folder: Path) -> list[ClipRecord]:
    return [
        ClipRecord("a", "mine", face=folder / "faces" / "a.npy", labels=("happy",)),
        ClipRecord(
            "b",
            "mine",
            video=folder / "media" / "b.mp4",
            audio=Path("/sound/b.wav"),
            subtitle_english="Well, no.",
            subtitle_chinese="Well, no.",
            labels=("sad", "tired"),
            description="She sighs.",
            sentiment=-0.4,
        ),
    ]


def test_csv_and_json_lines_give_the_same_clips(tmp_path: Path) -> None:
    (tmp_path / "mine.csv").write_text(CSV, encoding="utf-8-sig")
    assert read_own_table(tmp_path / "mine.csv") == records(tmp_path)
    lines = [
        '{"name": "b", "text": "Well, no.", "labels": ["sad", "tired", "sad"], "sentiment": -0.4,'
        ' "description": "She sighs.", "video": "media/b.mp4", "audio": "/sound/b.wav", "take": 3}',
        "",
        '{"name": "a", "text": null, "labels": "[happy]", "face": "faces/a.npy", "sentiment": null}',
    ]
    (tmp_path / "mine.jsonl").write_text("\n".join(lines), encoding="utf-8")
    assert read_own_table(tmp_path / "mine.jsonl") == records(tmp_path)


def test_a_sentiment_is_enough(tmp_path: Path) -> None:
    (tmp_path / "mine.csv").write_text("name,text,sentiment\na,Hm.,0\nb,Ah.,2\n", encoding="utf-8")
    assert [clip.sentiment for clip in read_own_table(tmp_path / "mine.csv")] == [0.0, 2.0]
    assert [is_own_table(entry) for entry in ("mine.csv", "a/b.JSONL", "meld", "a.npz")] == [True, True, False, False]


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        (
            "mine.csv",
            "name,text,label\na,b,c\n",
            r"mine.csv, line 2: one of the columns labels, class, sentiment, description is ",
        ),
        (
            "mine.csv",
            "name,text,label\na,b,c\n",
            r"the column label is unknown \(did you mean labels\?\)\. It has name, ",
        ),
        ("mine.csv", "clip,text,labels\na,b,c\n", r"mine.csv, line 2: the column name is missing"),
        (
            "mine.csv",
            "name,labels\na,b\n",
            r"mine.csv, line 2: the column text is missing\. It has name, labels; expected",
        ),
        ("mine.csv", "name,text,labels\n", r"mine.csv lists no clips"),
        ("mine.csv", "", r"mine.csv lists no clips"),
        (
            "mine.csv",
            "name,text,labels\na,b,[c\n",
            r"mine.csv, line 2, column labels, clip a: the emotion words cannot be",
        ),
        (
            "mine.csv",
            "name,text,sentiment\na,b,1\n\nc,d,soon\n",
            r"line 4, column sentiment, clip c: 'soon' is not a number",
        ),
        ("mine.csv", "name,text,sentiment\na,b,nan\n", r"line 2, column sentiment, clip a: 'nan' is not a number"),
        (
            "mine.csv",
            "name,text,labels,sentiment\na,b,,\n",
            r"line 2, columns labels, class, sentiment, description: all are em",
        ),
        (
            "mine.csv",
            "name,text,labels\na,b,c\na,d,e\n",
            r"more than one row for the clip 'a': lines 2 and 3, column name",
        ),
        ("mine.csv", "name,text,labels\n,b,c\n", r"a row without a name: line 2, column name"),
        ("mine.csv", "name,text,labels\na,b, no, c\n", r"line 2: 4 cells, but the header has 3"),
        ("mine.jsonl", '{"name": "a"\n', r"mine.jsonl, line 1 is not JSON: "),
        ("mine.jsonl", '\n["a"]\n', r"mine.jsonl, line 2 holds a list. Name the file .json"),
        (
            "mine.jsonl",
            '{"name": 5.5, "text": "b", "labels": ["c"]}',
            r"line 1, column name: expected a text, found 5.5",
        ),
        (
            "mine.jsonl",
            '{"name": "a", "text": 5, "labels": ["c"]}',
            r"line 1, column text, clip a: expected a text, found 5",
        ),
        ("mine.jsonl", '{"name": "a", "text": "b", "labels": [1]}', r"column labels, clip a: expected a list of words"),
        (
            "mine.jsonl",
            '{"name": "a", "text": "b", "sentiment": true}',
            r"column sentiment, clip a: True is not a number",
        ),
        ("meld.csv", "name,text,labels\na,b,c\n", r"has the name of the official set meld, .* Rename the file"),
    ],
)
def test_slips_are_explained(tmp_path: Path, file: str, text: str, message: str) -> None:
    (tmp_path / file).write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=message):
        read_own_table(tmp_path / file)


def test_a_missing_or_foreign_file_is_explained(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"The table .*none.csv is missing\. Give the path of a \.csv or \.jsonl file"):
        read_own_table(tmp_path / "none.csv")
    (tmp_path / "mine.csv").write_bytes("name,text,labels\na,早,b\n".encode("gbk"))
    with pytest.raises(DataError, match=r"mine.csv, line 2 cannot be read as UTF-8"):
        read_own_table(tmp_path / "mine.csv")
