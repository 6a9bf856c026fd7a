"""Broken and hostile files: a bound and a sentence, never a traceback, a full memory or an escape sequence."""

from __future__ import annotations

import io
import json
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from affect_lightning.checkpoints.reading import read_checkpoint
from affect_lightning.command_line.experiments_command import find_experiment
from affect_lightning.command_line.terminal import format_table
from affect_lightning.corpora import file_texts
from affect_lightning.corpora.annotation_tables import read_row_file, shown
from affect_lightning.corpora.own_clips import read_own_table
from affect_lightning.corpora.truths import read_truths
from affect_lightning.data.decoding import decode_clip
from affect_lightning.data.faces import read_face_file
from affect_lightning.data.quarantine import UnreadableClipError
from affect_lightning.errors import CheckpointError, ConfigurationError, DataError
from affect_lightning.model.exported_folder import read_exported
from affect_lightning.safe_npz import load_plain_pickle, read_npz
from affect_lightning.unibench.scoring.prediction_files import read_answers

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n"


def write(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8"))
    return path


def doubled(depth: int) -> list[Any]:
    """Lists that hold each other twice: 2 ** depth leaves when written out."""
    value: list[Any] = [0]
    for _ in range(depth):
        value = [value, value]
    return value


@pytest.mark.parametrize("depth", [30, 90])
def test_shared_objects_that_expand_are_refused(depth: int) -> None:
    content = pickle.dumps(doubled(depth))
    assert len(content) < 1000
    with pytest.raises(
        DataError, match=r"x holds a broken pickle: ValueError: data that expands to more than 20,000,000 v"
    ):
        load_plain_pickle(content, "x")


def paired(depth: int) -> tuple[Any, ...]:
    """Tuples that hold each other twice: as a key they would be hashed 2 ** depth times."""
    value: tuple[Any, ...] = (0,)
    for _ in range(depth):
        value = (value, value)
    return value


class Unhashed:
    """Becomes a dict whose key is hashed only where the pickle is read."""

    def __init__(self, depth: int) -> None:
        self.pairs = paired(depth)

    def __reduce__(self) -> tuple[Any, ...]:
        return dict, (), None, None, iter([(self.pairs, 1)])


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_tuples_that_expand_are_refused_before_anything_hashes_them(protocol: int, tmp_path: Path) -> None:
    content = pickle.dumps(Unhashed(60), protocol).replace(b"c__builtin__\ndict\n", b"ccollections\nOrderedDict\n")
    assert len(content) < 2000
    with pytest.raises(DataError, match=r"x holds a broken pickle: \w+: a tuple that expands to more than 10,000 v"):
        load_plain_pickle(content, "x")
    with zipfile.ZipFile(tmp_path / "a.ckpt", "w") as archive:
        archive.writestr("a/data.pkl", content)
        archive.writestr("a/version", "3\n")
    start = b"".join(map(pickle.dumps, (119547037146038801333356, 1001, {})))  # of torch's older form
    write(tmp_path / "old.ckpt", start + content)
    for name in ("a.ckpt", "old.ckpt"):
        with pytest.raises(
            CheckpointError, match=f"^Take another checkpoint: .*{name} holds a tuple that expands to more"
        ):
            read_checkpoint(tmp_path / name)


def test_tuples_as_keys_are_read() -> None:
    pair = ("a", ("b", 1))
    found = {pair: 1, (pair, pair): [pair], "set": {pair}, "frozen": frozenset({pair})}
    for protocol in range(2, 6):
        assert load_plain_pickle(pickle.dumps(found, protocol), "x") == found


def test_shared_objects_that_do_not_expand_are_read_once() -> None:
    found = load_plain_pickle(pickle.dumps(doubled(4)), "x")
    assert found == doubled(4)
    assert found[0] is found[1]
    array = np.array([{"a": (1, "b")}, None], dtype=object)
    assert load_plain_pickle(pickle.dumps({"x": array, "y": array}), "x")["y"].tolist() == array.tolist()


def test_data_that_contains_itself_is_refused() -> None:
    value: list[Any] = []
    value.append(value)
    with pytest.raises(DataError, match="contains itself or nests more than 100 deep"):
        load_plain_pickle(pickle.dumps(value), "x")
    with pytest.raises(DataError, match="contains itself or nests more than 100 deep"):
        load_plain_pickle(pickle.dumps(doubled(120)), "x")


def test_zeros_in_an_archive_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("affect_lightning.safe_npz.MAX_UNPACKED_BYTES", 100_000)
    path = tmp_path / "zeros.npz"
    np.savez_compressed(path, zeros=np.zeros(1_000_000, np.uint8))
    assert path.stat().st_size < 10_000
    with pytest.raises(DataError, match=r"zeros.npz unpacks to 1,000,128 bytes; at most 100,000 are accepted"):
        read_npz(path)


HUGE_SHAPE = b"{'descr': '|u1', 'fortran_order': False, 'shape': (%d, 1, 1, 3)}" % 10**25
HEADERS = [b"{'descr': '|u1', 'shape': (1, ", b"'''", b"{'descr': 'u9' * 9999}", b"(" * 200, b"\\", HUGE_SHAPE]


def damaged(header: bytes) -> bytes:
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + b"\0" * 64


@pytest.mark.parametrize("header", HEADERS)
def test_a_damaged_header_is_quarantined_or_a_sentence(tmp_path: Path, header: bytes) -> None:
    with pytest.raises(UnreadableClipError, match=r"x.npy cannot be read \(stage face\)"):
        read_face_file(write(tmp_path / "x.npy", damaged(header)), 8, 32)
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
        archive.writestr("a.npy", damaged(header))
    with pytest.raises(DataError, match="x.npz, member a.npy is not a valid numpy array"):
        read_npz(tmp_path / "x.npz")


@pytest.mark.parametrize("name", ["x.mp4", "x.webm", "x.wav"])
def test_a_pointer_instead_of_media_is_called_so(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / name, POINTER)
    video, audio = (None, path) if name == "x.wav" else (path, None)
    with pytest.raises(UnreadableClipError, match="it is a Git LFS pointer, not the file itself. Run `git lfs pull`"):
        decode_clip(video, audio, frame_count=None if audio else 2, sample_rate=16_000 if audio else None)
    with pytest.raises(UnreadableClipError, match="it is a Git LFS pointer"):
        read_face_file(path, 8, 32)
    with pytest.raises(DataError, match="It is a Git LFS pointer"):
        read_npz(path)


HUGE = "1" + "0" * 400


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"name": "a", "text": ' + "[" * 200_000 + "]" * 200_000 + "}", "x.jsonl, line 1 nests too deeply"),
        (
            f'{{"name": "a", "text": "", "sentiment": {HUGE}}}',
            "line 1, column sentiment, clip a: 1000.* is not a number",
        ),
        (f'{{"name": "a", "text": "", "sentiment": 1{HUGE * 12}}}', "line 1 has a number with too many digits"),
        ('{"name": "a", "text": "", "sentiment": 1e400}', "column sentiment, clip a: inf is not a number"),
        ('{"name": "a", "text": "", "sentiment": NaN}', "column sentiment, clip a: nan is not a number"),
    ],
)
def test_json_that_no_program_writes_is_one_sentence(tmp_path: Path, line: str, message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        read_own_table(write(tmp_path / "x.jsonl", line))
    assert len(str(caught.value)) < 400
    assert "sys." not in str(caught.value)


@pytest.mark.parametrize("name", ["sentiment", "truth_sentiment"])
def test_numbers_of_400_digits_in_predictions(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / "x.jsonl", f'{{"name": "a", "labels": "x", "{name}": {HUGE}}}')
    with pytest.raises(DataError, match=f"column {name}, clip a: (expected|write) .*number"):
        read_answers([path], "mine")
    index = write(tmp_path / "y.csv", f"name,emo\na,{HUGE * 12}\n")
    from affect_lightning.corpora import known_sets

    with pytest.raises(DataError, match="is not one of the emotions of MELD"):
        read_truths(index, "meld", known_sets()["meld"])


def test_half_a_character_is_replaced(tmp_path: Path) -> None:
    lines = ['{"name": "a", "text": "\\ud83d hi \\ud83d\\ude00", "labels": ["ha\\udc00ppy"]}']
    (clip,) = read_own_table(write(tmp_path / "x.jsonl", "\n".join(lines)))
    assert clip.subtitle_english == "\ufffd hi \U0001f600"
    assert clip.labels == ("ha\ufffdppy",)


def test_long_cells_are_read_and_endless_ones_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    long = "happy " * 30_000
    path = write(tmp_path / "x.csv", f"name,response\na,{long}\n")
    assert read_answers([path], "mine")["a"].response == long.strip()
    monkeypatch.setattr(file_texts, "MAX_CELL", 1000)
    monkeypatch.setattr("affect_lightning.corpora.annotation_tables.MAX_CELL", 1000)
    too_long = "has more than 1,000 characters, which is the most that is read"
    with pytest.raises(DataError, match=rf"x.csv, line 2 {too_long}"):
        read_row_file(path)
    with pytest.raises(DataError, match=rf"x.jsonl, line 1 {too_long}"):
        read_row_file(write(tmp_path / "x.jsonl", json.dumps({"name": "a", "response": long})))
    with pytest.raises(
        DataError, match=r"y.csv, line 168 cannot be read as csv: field larger than field limit \(1000\)"
    ):
        read_row_file(write(tmp_path / "y.csv", 'name,response\na,"' + "happy\n" * 300 + '"\n'))
    monkeypatch.setattr(file_texts, "MAX_FILE_BYTES", 100)
    with pytest.raises(DataError, match="x.csv is larger than"):
        read_row_file(path)


BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{chr(98 + i)}: &{chr(98 + i)} [{', '.join([f'*{chr(97 + i)}'] * 9)}]\n" for i in range(20)
)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (BOMB, r"x.yaml has 180 references \(\*name\); at most 100 are read"),
        ("", "x.yaml is empty; expected options such as"),
        ("# a comment\n", "x.yaml is empty"),
        ("- a\n", "x.yaml holds a list"),
        ("a: [", "The configuration .*x.yaml cannot be read"),
        (b"a: \xff\n", "The configuration .*x.yaml cannot be read"),
        ("a: " + "[" * 5000, "The configuration .*x.yaml cannot be read"),
        ("#" * 1_100_000, "x.yaml has more than 1 MiB"),
    ],
)
def test_a_configuration_that_is_none_is_refused_before_it_is_parsed(
    tmp_path: Path, content: str | bytes, message: str
) -> None:
    with pytest.raises(ConfigurationError, match=message):
        find_experiment(str(write(tmp_path / "x.yaml", content)))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            {"state_dict": {}, "hyper_parameters": "text"},
            "expected the entries state_dict and hyper_parameters, each a map",
        ),
        ({"state_dict": [1], "hyper_parameters": {}}, "each a mapping"),
        ({"state_dict": {"a": "text"}, "hyper_parameters": {}}, "has weights that are no tensors, such as 'a'"),
        ([1, 2], "is not a checkpoint of this package"),
        ({"state_dict": {}, "hyper_parameters": {"x": Path("y")}}, "holds the pickled object|cannot be read as plain"),
    ],
)
def test_a_foreign_checkpoint_is_a_sentence_without_bad_advice(tmp_path: Path, content: Any, message: str) -> None:
    import torch

    torch.save(content, tmp_path / "x.ckpt")
    with pytest.raises(CheckpointError, match=message) as caught:
        read_checkpoint(tmp_path / "x.ckpt")
    assert "weights_only" not in str(caught.value)


@pytest.mark.parametrize("content", ["[]", '"text"', '{"configuration": []}', "[" * 200_000, "{"])
def test_a_foreign_export_is_a_sentence(tmp_path: Path, content: str) -> None:
    from safetensors.torch import save_file

    write(tmp_path / "config.json", content)
    save_file({}, tmp_path / "projectors.safetensors")
    with pytest.raises(CheckpointError, match="Export the checkpoint again|is not an exported folder"):
        read_exported(tmp_path)


def test_names_reach_the_terminal_without_escape_sequences() -> None:
    name = "a\x1b[2J\x9b\u202eb\x07"
    for text in (format_table(("name",), [(name,)]), shown([name])):
        assert not any(sign in text for sign in "\x1b\x9b\u202e\x07")
        assert r"a\x1b[2J\x9b\u202eb\x07" in text


def test_no_message_advises_to_execute_a_file() -> None:
    with pytest.raises(DataError) as caught:
        load_plain_pickle(pickle.dumps(io.BytesIO), "x")
    assert "allow_pickle" not in str(caught.value)
