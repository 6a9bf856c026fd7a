"""The training sets of Table 3: their layouts, the filter by emotion words, pictures, and streams that a clip does not have."""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from affect_lightning.command_line.program import main
from affect_lightning.contracts import ClipRecord
from affect_lightning.corpora.own_clips import read_own_table
from affect_lightning.data.dataset import ClipDataset, ClipSample, ReadingOptions
from affect_lightning.data.decoding import decode_clip
from affect_lightning.data.faces import FaceCropper
from affect_lightning.data.ordering import SampleKey
from affect_lightning.data.own_descriptions import with_emotion_words
from affect_lightning.data.quarantine import BadClip, UnreadableClipError
from affect_lightning.data.questions import QuestionDraw
from affect_lightning.errors import DataError
from affect_lightning.plugin_loading import build_part
from affect_lightning.prompting import FIRST_PLACEHOLDER
from clip_making import write_clip, write_wav

TINY = Path(__file__).parent / "tiny.yaml"


def saved(path: Path, content: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


def picture(path: Path, height: int = 40, width: int = 60) -> Path:
    """Red at the left, blue at the right."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[:, : width // 2, 2], pixels[:, width // 2 :, 0] = 200, 200
    assert cv2.imwrite(str(path), pixels)
    return path


def told(clips: list[ClipRecord]) -> list[tuple[str, str, str]]:
    return [(clip.name, clip.question, clip.description) for clip in clips]


# --- the layouts ---


def test_minigpt4_is_pictures_with_captions(tmp_path: Path) -> None:
    table = saved(tmp_path / "filter_cap.json", {"annotations": [{"image_id": "2", "caption": "A man smiles."}]})
    shown = picture(tmp_path / "image" / "2.jpg")
    assert read_own_table(table) == [ClipRecord("2", "filter_cap", video=shown, description="A man smiles.")]


def test_llava_and_emovit_are_conversations_about_pictures(tmp_path: Path) -> None:
    turns = [
        {"from": "human", "value": "<image>\nWhat is\nshown?"},
        {"from": "gpt", "value": "A bus."},
        {"from": "human", "value": "Is anybody glad?"},
        {"from": "gpt", "value": "The driver looks happy."},
    ]
    rows = [
        {"id": "000000033471", "image": "000000033471.jpg", "conversations": turns},
        {"id": "00001", "image": "anger_00001.jpg", "conversations": turns[2:]},
        {"id": "00001", "image": "awe_00001.jpg", "conversations": turns[2:]},
        {"id": "00001", "image": "awe_00001.jpg", "conversations": turns[:2]},
    ]
    shown = picture(tmp_path / "train2017" / "000000033471.jpg")
    clips = read_own_table(saved(tmp_path / "llava.json", rows))
    assert told(clips) == [
        ("000000033471", "What is\nshown?", "A bus."),
        ("000000033471#2", "Is anybody glad?", "The driver looks happy."),
        ("anger_00001", "Is anybody glad?", "The driver looks happy."),
        ("awe_00001", "Is anybody glad?", "The driver looks happy."),
        ("awe_00001#2", "What is\nshown?", "A bus."),
    ]
    assert clips[0].video == clips[1].video == shown
    assert clips[2].video == tmp_path / "anger_00001.jpg"  # where it should be: such a clip goes to quarantine


def test_videochat_is_questions_about_videos(tmp_path: Path) -> None:
    path = saved(tmp_path / "webvid" / "1.mp4", "")
    row = {
        "video": "webvid/1.mp4",
        "QA": [{"i": "Look.", "q": "What happens?", "a": "A dog runs."}, {"q": "Why?", "a": "Joy."}],
    }
    clips = read_own_table(saved(tmp_path / "videochat.json", [row]))
    assert told(clips) == [("1", "What happens?", "A dog runs."), ("1#2", "Why?", "Joy.")]
    assert {clip.video for clip in clips} == {path}


def test_wavcaps_is_sounds_with_captions(tmp_path: Path) -> None:
    data = [
        {"id": "17", "caption": "Wind blows.", "duration": 3.0, "download_link": "x"},
        {"id": "Yab.wav", "caption": "A man cries.", "duration": 3.0},
    ]
    here = saved(tmp_path / "sounds" / "17.flac", "")
    clips = read_own_table(saved(tmp_path / "sb_final.json", {"num_captions_per_audio": 1, "data": data}))
    assert told(clips) == [("17", "", "Wind blows."), ("Yab", "", "A man cries.")]
    assert [clip.audio for clip in clips] == [here, tmp_path / "Yab.wav"]
    assert {clip.video for clip in clips} == {None}


@pytest.mark.parametrize("column", ["caption", "smp_reason_caption"])
def test_merr_is_clips_by_name(tmp_path: Path, column: str) -> None:
    content = {f"sample_0{n}": {"text": "No!", "pseu_emotion": "angry", column: f"She shouts {n}."} for n in (1, 2)}
    clips = read_own_table(saved(tmp_path / "merr.json", content))
    assert told(clips) == [("sample_01", "", "She shouts 1."), ("sample_02", "", "She shouts 2.")]
    assert clips[0].video == tmp_path / "sample_01.mp4"
    assert clips[0].subtitle_english == "No!"


def test_any_other_table_is_read_by_the_names_of_its_columns(tmp_path: Path) -> None:
    """As MAFW's, whose table of clips and descriptions has no subtitles."""
    table = saved(tmp_path / "mafw.csv", "clip,how,picture\n00001.mp4,He frowns.,a.png\n")
    columns = {"name": "clip", "description": "how", "video": "picture", "text": ""}
    assert read_own_table(table, columns) == [
        ClipRecord("00001.mp4", "mafw", video=tmp_path / "a.png", description="He frowns.")
    ]
    with pytest.raises(DataError, match="the column text is missing"):
        read_own_table(table, {name: theirs for name, theirs in columns.items() if theirs})


def test_a_table_of_ours_stays_ours(tmp_path: Path) -> None:
    """Whoever has labels and calls another column `caption` has no table of MERR."""
    table = saved(tmp_path / "mine.csv", "name,text,labels,caption\na,Well.,sad,He sits.\n")
    assert read_own_table(table) == [
        ClipRecord("a", "mine", subtitle_english="Well.", subtitle_chinese="Well.", labels=("sad",))
    ]
    asked = saved(tmp_path / "asked.csv", "name,text,description,question\na,Well.,He waits.,What does he do?\n")
    assert told(read_own_table(asked)) == [("a", "What does he do?", "He waits.")]
    counted = saved(tmp_path / "counted.csv", "name,text,description,question\na,Well.,None,How many smile?\n")
    assert told(read_own_table(counted)) == [("a", "How many smile?", "None")]
    with pytest.raises(DataError, match="expected a sentence, found 'None'"):
        read_own_table(saved(tmp_path / "lost.csv", "name,text,description\na,Well.,None\n"))


@pytest.mark.parametrize("turns", ["What?", [{"from": "human"}], [3]])
def test_a_conversation_of_another_form_is_named(tmp_path: Path, turns: Any) -> None:
    table = saved(tmp_path / "llava.json", [{"id": "7", "image": "7.jpg", "conversations": turns}])
    with pytest.raises(DataError, match=r"llava.json, row 1, column conversations.*'from' and 'value'"):
        read_own_table(table)


# --- questions and the filter ---


def test_a_clip_that_brings_its_question_is_asked_it() -> None:
    clip = ClipRecord("a", "mine", description="A bus.", question=f"What is\n shown?{chr(FIRST_PLACEHOLDER)}")
    for describe_share in (0.0, 1.0):
        draw = QuestionDraw(describe_share, no_words="neutral")
        assert draw.ask(clip, 0, 0) == ("What is shown?", "A bus.")
    assert draw.ask(replace(clip, question=""), 0, 0)[1] != "A bus." or describe_share == 1.0


def test_samples_without_an_emotion_word_are_left_out_and_counted(caplog: pytest.LogCaptureFixture) -> None:
    clips = [
        ClipRecord("bus", "mine", description="A red bus stands at a stop.", question="What is shown?"),
        ClipRecord("glad", "mine", description="The woman looks happy.", question="What is shown?"),
        ClipRecord("angry", "mine", description="A man shouts because he is very angry."),
        ClipRecord("named", "mine", labels=("calm",)),
        ClipRecord("rated", "mine", sentiment=0.3),
    ]
    with caplog.at_level(logging.INFO):
        kept = with_emotion_words(clips, "rules")
    assert [clip.name for clip in kept] == ["glad", "angry", "named", "rated"]
    assert "1 of 5 training clips are left out, because they have no emotion word." in caplog.text


# --- pictures and streams that are not there ---


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".bmp"])
def test_a_picture_is_a_clip_of_one_frame(tmp_path: Path, suffix: str) -> None:
    clip = decode_clip(picture(tmp_path / f"a{suffix}"), None, frame_count=4, sample_rate=None)
    assert clip.frames is not None
    assert clip.frame_mask is not None
    assert clip.frames.shape == (4, 40, 60, 3)
    assert clip.frame_mask.tolist() == [True, False, False, False]
    assert np.abs(clip.frames[0, 20, 5].astype(int) - [200, 0, 0]).max() < 12
    assert np.abs(clip.frames[0, 20, 55].astype(int) - [0, 0, 200]).max() < 12


def test_a_picture_says_its_kind_itself_and_a_video_s_name_makes_no_clip_of_it(tmp_path: Path) -> None:
    renamed = picture(tmp_path / "a.png").rename(tmp_path / "b.jpg")  # as some of LLaVA's are
    assert decode_clip(renamed, None, frame_count=1, sample_rate=None).frames is not None
    with pytest.raises(UnreadableClipError):
        decode_clip(renamed.rename(tmp_path / "c.mp4"), None, frame_count=1, sample_rate=None)
    playlist = saved(tmp_path / "d.jpg", "#EXTM3U\nhttp://127.0.0.1/x.ts\n")
    with pytest.raises(UnreadableClipError, match="no JPEG, PNG, WebP or BMP"):
        decode_clip(playlist, None, frame_count=1, sample_rate=None)


def mixed_set(folder: Path) -> list[ClipRecord]:
    """A picture, a video without sound, a sound alone, and a clip with both."""
    sound = 0.3 * np.sin(np.arange(16_000) / 9)
    write_clip(folder / "both.mp4", range(0, 1000, 40), waveform=sound)
    write_clip(folder / "mute.mp4", range(0, 1000, 40))
    write_wav(folder / "heard.wav", sound, 16_000)
    records = {"both": {"video": "both.mp4"}, "mute": {"video": "mute.mp4"}, "heard": {"audio": "heard.wav"}}
    records["seen"] = {"video": picture(folder / "seen.jpg").name}
    return [
        ClipRecord(
            name, "mixed", description="He looks happy.", **{kind: folder / file for kind, file in files.items()}
        )
        for name, files in records.items()
    ]


def test_missing_streams_are_masked_where_the_option_says_so(tmp_path: Path) -> None:
    records = mixed_set(tmp_path)
    streams = frozenset({"audio", "face", "frame"})
    cropper = FaceCropper(build_part("face_detectors", "none"), 32)
    strict, lenient = (
        ClipDataset(records, ReadingOptions(streams, 2, 32, missing_streams=how), QuestionDraw(), cropper)  # type: ignore[arg-type]
        for how in ("quarantine", "mask")
    )
    assert [type(strict[SampleKey(n)]) for n in range(4)] == [ClipSample, BadClip, BadClip, BadClip]
    real = {}
    for index, record in enumerate(records):
        sample = lenient[SampleKey(index)]
        assert isinstance(sample, ClipSample)
        real[record.name] = {name: bool(stream.mask.any()) for name, stream in sample.streams.items()}
        assert sample.streams["face"].values.shape == sample.streams["frame"].values.shape == (2, 32, 32, 3)
    whole = dict.fromkeys(sorted(streams), True)
    assert real == {
        "both": whole,
        "mute": {**whole, "audio": False},
        "heard": {"audio": True, "face": False, "frame": False},
        "seen": {**whole, "audio": False},
    }
    lost = ClipDataset([replace(records[0], video=tmp_path / "lost.mp4")], lenient.options, QuestionDraw(), cropper)
    assert isinstance(lost[SampleKey(0)], BadClip)


def test_pictures_and_sounds_alone_are_trained_on(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    turns = [
        [{"from": "human", "value": "How is he?"}, {"from": "gpt", "value": told}] for told in ("Happy.", "A wall.")
    ]
    rows = [{"id": "a", "image": "seen.jpg", "conversations": conversation} for conversation in turns]
    sounds = [{"id": "heard", "caption": "A man sounds sad.", "duration": 1.0, "audio": "heard.wav"}]
    mixed_set(tmp_path)
    saved(tmp_path / "llava.json", rows)
    saved(tmp_path / "wavcaps.json", sounds)
    words = [
        *("--config", str(TINY), "--data.train_root", str(tmp_path), "--data.train_sets", "[llava.json, wavcaps.json]"),
        *("--data.missing_streams", "mask", "--data.emotion_filter", "rules", "--data.validation_share", "0"),
        *("--trainer.max_steps", "2", "--trainer.logger.init_args.save_dir", str(tmp_path / "runs")),
        *("--data.cache_folder", str(tmp_path / "boxes")),
    ]
    with caplog.at_level(logging.INFO):
        assert main(["fit", *words]) == 0
    assert "1 of 3 training clips are left out, because they have no emotion word." in caplog.text
    assert list((tmp_path / "runs").rglob("last.ckpt"))
    assert not list((tmp_path / "runs").rglob("quarantine.jsonl"))
