"""`predict`: which clips it takes, what it leaves out, what it writes (docs/data.md, "Clips to answer")."""

from __future__ import annotations

import json
import logging
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from affect_lightning.command_line.program import main
from affect_lightning.corpora.predicted_clips import check_predicted, predicted_clips
from affect_lightning.data.dataset import ReadingOptions
from affect_lightning.data.header_checks import readable_clips
from affect_lightning.data.quarantine import Quarantine
from affect_lightning.errors import ConfigurationError, DataError
from affect_lightning.model import AffectGPT
from clip_making import write_clip
from run_cases import contents, words, write_tables
from training_runs import Run, ranks

HEARD = ("--model.inputs", "[audio, text]", "--data.frames", "1", "--data.predict_subtitle", "[one, two]")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tables(tmp_path_factory.mktemp("tables"))


def rows_of(folder: Path) -> list[dict[str, object]]:
    lines = (folder / "predictions" / "own.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def touch(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x")
    return path


# --- which clips ---


def test_folders_patterns_and_files_are_taken_in_order(tmp_path: Path) -> None:
    for name in ("in/b.mp4", "in/a.MOV", "in/notes.txt", "x1.mp4", "x2.mp4", "alone.mkv"):
        touch(tmp_path / name)
    given = [str(tmp_path / "alone.mkv"), str(tmp_path / "in"), str(tmp_path / "x*.mp4")]
    assert [clip.name for clip in predicted_clips(given, None, None)] == ["alone", "a", "b", "x1", "x2"]
    with pytest.raises(ConfigurationError, match=r"data.predict_video: .*y\*.mp4' has no file"):
        predicted_clips(str(tmp_path / "y*.mp4"), None, None)


def test_clips_of_one_name_are_told_apart_and_one_clip_twice_is_refused(tmp_path: Path) -> None:
    paths = [str(touch(tmp_path / name)) for name in ("p/a/1.mp4", "p/b/1.mp4", "q/a/1.mp4", "2.mp4", "2.mov")]
    names = [clip.name for clip in predicted_clips(paths, None, None)]
    assert names == ["p/a/1", "b/1", "q/a/1", "2.mp4", "2.mov"]
    with pytest.raises(ConfigurationError, match="Name each clip once"):
        predicted_clips([paths[0], str(tmp_path / "p" / "b" / ".." / "a" / "1.mp4")], None, None)


def test_a_table_names_clips_without_truth(tmp_path: Path) -> None:
    (tmp_path / "clips.csv").write_text("name,video,text\ns1,in/a.mp4,Hello\ns2,in/b.mp4,\n", encoding="utf-8")
    first, second = predicted_clips(None, None, None, tmp_path / "clips.csv")
    assert (first.name, first.video, first.subtitle_english) == ("s1", tmp_path / "in" / "a.mp4", "Hello")
    assert (second.corpus, second.subtitle_english, second.labels) == ("own", "", ())
    with pytest.raises(ConfigurationError, match="Give data.predict_table alone"):
        predicted_clips("a.mp4", None, None, tmp_path / "clips.csv")


def test_missing_and_empty_files_are_named_and_a_missing_text_is_warned_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    there = touch(tmp_path / "there.mp4")
    (tmp_path / "empty.mp4").touch()
    with pytest.raises(DataError, match=r"gone.mp4 \(1 of 2 files\) is not there"):
        check_predicted(predicted_clips([str(there), str(tmp_path / "gone.mp4")], None, None), shows_text=False)
    with pytest.raises(DataError, match=r"empty.mp4 \(1 of 1 files\) is empty"):
        check_predicted(predicted_clips(str(tmp_path / "empty.mp4"), None, None), shows_text=False)
    with caplog.at_level(logging.WARNING):
        check_predicted(predicted_clips(str(there), None, "Hello"), shows_text=True)
        check_predicted(predicted_clips(str(there), None, None), shows_text=False)
        assert not caplog.records
        check_predicted(predicted_clips(str(there), None, None), shows_text=True)
    assert "the prompt shows text, and 1 of 1 clips have none" in caplog.text


# --- the command, on inputs that failed ---


def test_a_bad_clip_is_left_out_and_named(
    root: Path, tmp_path: Path, reference: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = reference / "outside_cases" / "F12"
    clips = f"[{place / 's51.mp4'}, {place / 'noaudio.mp4'}]"
    options = ("--data.predict_video", clips, *HEARD, "--out", str(tmp_path / "out"), "--json")
    assert main(["predict", *words(root, None, *options)]) == 0
    result = json.loads(capsys.readouterr().out)
    assert [row["name"] for row in result["responses"]] == ["s51"]
    assert set(result["responses"][0]) == {"name", "response", "labels", "sentiment"}
    assert [(clip["name"], clip["stage"]) for clip in result["left_out"]] == [("noaudio", "audio")]
    (row,) = rows_of(tmp_path / "out")
    assert (row["labels"], row["sentiment"]) == (
        result["responses"][0]["labels"],
        result["responses"][0]["sentiment"],
    )
    assert (tmp_path / "out" / "quarantine.jsonl").is_file()

    alone = ("--data.predict_video", str(place / "noaudio.mp4"), *HEARD[:-2], "--out", str(tmp_path / "none"))
    assert main(["predict", *words(root, None, *alone)]) == 2
    assert "none of them could, so nothing was answered" in capsys.readouterr().err


@pytest.mark.timeout(900)
def test_the_bad_clips_of_every_process_are_told(root: Path, tmp_path: Path, reference: Path) -> None:
    place = reference / "outside_cases" / "F12"
    files = {"good0": "s51", "good1": "s51", "bad0": "noaudio", "bad1": "noaudio"}  # two processes take every other one
    for name, kind in files.items():
        shutil.copy(place / f"{kind}.mp4", tmp_path / f"{name}.mp4")
    clips = f"[{', '.join(str(tmp_path / f'{name}.mp4') for name in files)}]"
    heard = (*HEARD[:-1], "[one, two, three, four]")
    two = ("--trainer.devices", "2", "--trainer.strategy", "ddp", "--data.eval_batch_size", "1")
    command = [
        "predict",
        *words(root, None, "--data.predict_video", clips, *heard, *two, "--out", str(tmp_path / "out")),
    ]
    runs = [Run([*command, "--json"], tmp_path / f"{rank}.log", name) for rank, name in enumerate(ranks(2))]
    assert [run.end() for run in runs] == [0, 0], runs[0].text() + runs[1].text()
    said = runs[0].text()
    result = json.loads(said[said.index('{"command"') :].splitlines()[0])
    assert sorted(row["name"] for row in result["responses"]) == ["good0", "good1"]
    assert sorted(clip["name"] for clip in result["left_out"]) == ["bad0", "bad1"]
    kept = (tmp_path / "out" / "quarantine.jsonl").read_text(encoding="utf-8").splitlines()
    assert sorted(json.loads(line)["name"] for line in kept) == ["bad0", "bad1"]


def test_two_clips_of_one_file_name_are_both_answered(root: Path, tmp_path: Path, reference: Path) -> None:
    place = reference / "outside_cases" / "F13"
    clips = f"[{place / 'a' / '1.mp4'}, {place / 'b' / '1.mp4'}]"
    assert main(["predict", *words(root, None, "--data.predict_video", clips, "--out", str(tmp_path / "out"))]) == 0
    assert [row["name"] for row in rows_of(tmp_path / "out")] == ["a/1", "b/1"]


def test_a_second_prediction_keeps_the_first_and_goes_where_it_is_told(
    root: Path, tmp_path: Path, reference: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    place = reference / "outside_cases" / "F14"
    assert main(["predict", *words(root, None, "--data.predict_video", str(place / "s51.mp4"))]) == 0
    (first,) = (tmp_path / "runs" / "tiny" / "predict").iterdir()
    assert capsys.readouterr().out.splitlines()[-1] == f"Responses: {first.relative_to(tmp_path)}/predictions/own.jsonl"
    before = contents(tmp_path / "runs")
    new = words(root, tmp_path / "new", "--data.predict_video", str(place / "stereo44.mp4"))
    assert main(["predict", *new]) == 0
    (second,) = (tmp_path / "new" / "tiny" / "predict").iterdir()
    assert [row["name"] for row in rows_of(second)] == ["stereo44"]
    assert contents(tmp_path / "runs") == before


def test_every_response_is_kept_as_it_comes(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a process finds on the disk that is killed in the third batch."""
    found: list[int] = []
    kept = tmp_path / "out" / "responses.jsonl"

    def generate(self: AffectGPT, batch: object, **options: object) -> list[str]:
        found.append(len(kept.read_text(encoding="utf-8").splitlines()) if kept.exists() else 0)
        return ["She is happy."] * len(batch)  # type: ignore[arg-type]

    monkeypatch.setattr(AffectGPT, "generate", generate)
    table = tmp_path / "clips.csv"
    table.write_text("name,text\n" + "".join(f"c{number},Hello\n" for number in range(5)), encoding="utf-8")
    options = ("--data.predict_table", str(table), "--out", str(tmp_path / "out"))
    assert main(["predict", *words(root, None, *options)]) == 0
    assert found == [0, 2, 4]
    assert not kept.exists()
    assert [(row["labels"], row["sentiment"]) for row in rows_of(tmp_path / "out")] == [(["happy"], "positive")] * 5


def test_what_is_not_there_is_told_of_before_a_model_is_built(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def built(*arguments: object, **options: object) -> torch.nn.Module:
        raise AssertionError("a model was built")

    monkeypatch.setattr(AffectGPT, "from_configuration", built)
    write_clip(tmp_path / "a.mp4")
    clips = f"[{tmp_path / 'a.mp4'}, {tmp_path / 'b.mp4'}]"
    assert main(["predict", *words(root, tmp_path, "--data.predict_video", clips)]) == 2
    assert f"{tmp_path / 'b.mp4'} (1 of 2 files) is not there" in capsys.readouterr().err


def test_a_file_that_does_not_open_is_told_of_before_a_model_is_built(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    class Built(Exception):
        """A model was about to be built."""

    def built(*arguments: object, **options: object) -> torch.nn.Module:
        assert "1 of 2 clips cannot be read and are left out" in caplog.text
        assert "page.mp4 (video): it is a web page" in caplog.text
        raise Built

    monkeypatch.setattr(AffectGPT, "from_configuration", built)
    write_clip(tmp_path / "a.mp4")
    (tmp_path / "page.mp4").write_text("<!DOCTYPE html><title>Sign in</title>", encoding="utf-8")
    (tmp_path / "noise.mp4").write_bytes(bytes(range(256)) * 40)
    clips = f"[{tmp_path / 'a.mp4'}, {tmp_path / 'page.mp4'}]"
    shown = ("--model.inputs", "[frame, text]", "--data.predict_video")
    with pytest.raises(Built), caplog.at_level(logging.WARNING):
        main(["predict", *words(root, tmp_path, *shown, clips)])
    broken = f"[{tmp_path / 'noise.mp4'}, {tmp_path / 'page.mp4'}]"
    assert main(["predict", *words(root, tmp_path / "b", *shown, broken)]) == 2
    said = capsys.readouterr().err
    assert "Give clips that can be read: none of them could, so nothing was answered." in said
    assert f"{tmp_path / 'noise.mp4'} (video)" in said
    stops = (*shown, clips, "--data.on_bad_clip", "error")
    assert main(["predict", *words(root, tmp_path / "c", *stops)]) == 2
    assert "Fix or remove it, or set on_bad_clip to quarantine" in capsys.readouterr().err


def test_only_tracks_that_are_read_must_be_there_and_many_clips_wait_for_their_turn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_clip(tmp_path / "silent.mp4")
    (tmp_path / "noise.mp4").write_bytes(bytes(range(256)) * 40)
    clips = predicted_clips([str(tmp_path / name) for name in ("silent.mp4", "noise.mp4")], None, None)
    kept = {}
    for streams in (("frame",), ("audio",), ()):
        quarantine = Quarantine(max_bad_share=1.0)
        options = replace(ReadingOptions(), streams=frozenset(streams))
        try:
            kept[streams] = [clip.name for clip in readable_clips(clips, options, quarantine)]
        except DataError as error:
            kept[streams] = [str(error)]
    assert kept[("frame",)] == ["silent"]
    assert "none of them could" in kept[("audio",)][0]
    assert "the file has no audio track" in kept[("audio",)][0]
    assert kept[()] == ["silent", "noise"]
    monkeypatch.setattr("affect_lightning.data.header_checks.MOST_OPENED", 1)
    options = replace(ReadingOptions(), streams=frozenset({"frame"}))
    assert readable_clips(clips, options, Quarantine()) == clips


def test_a_table_with_other_column_names_and_no_media_columns(tmp_path: Path) -> None:
    table = tmp_path / "clips.csv"
    table.write_text("sep=;\nclip;said\n007;Hi, you\nb;Ho\n", encoding="utf-8")
    (tmp_path / "7.mp4").write_bytes(b"")
    first, second = predicted_clips(None, None, None, table, {"name": "clip", "text": "said"})
    assert (first.name, first.subtitle_english, first.video) == ("007", "Hi, you", tmp_path / "7.mp4")
    assert (second.name, second.video, second.labels) == ("b", None, ())
