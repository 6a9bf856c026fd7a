"""`predict --segments`: parts of a long video, cut by time, speech or scene, answered, and drawn as a timeline."""

from __future__ import annotations

import csv
import itertools
import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from affect_lightning.clip_answers.segments import cut_into_segments, joined, windows_of
from affect_lightning.command_line.program import main
from affect_lightning.command_line.timeline_results import with_segments
from affect_lightning.contracts import ClipRecord
from affect_lightning.corpora.predicted_clips import predicted_clips
from affect_lightning.data.decoding import decode_clip
from affect_lightning.data.span_decoding import decode_span, span_sound
from affect_lightning.errors import ConfigurationError, DataError
from affect_lightning.model import AffectGPT
from clip_making import grey_at, tone, write_clip
from run_cases import words, write_tables

SECONDS = 4


@pytest.fixture(scope="module")
def talk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A video of four seconds, whose grey grows with time, with a tone that changes every second."""
    sound = np.concatenate([tone(1.0, 200 + 150 * second) for second in range(SECONDS)])
    return write_clip(tmp_path_factory.mktemp("talk") / "talk.mp4", range(0, 1000 * SECONDS, 40), waveform=sound)


def loudest(sound: np.ndarray) -> float:
    """Frequency of the strongest part, in Hz."""
    return float(np.argmax(np.abs(np.fft.rfft(sound))) * 16_000 / len(sound))


# --- reading a part ---


def test_a_part_has_the_frames_and_the_sound_of_its_time(talk: Path) -> None:
    found = decode_span(talk, None, (2.0, 3.0), frame_count=4, sample_rate=16_000)
    assert found.frames is not None
    assert found.frame_mask is not None
    assert found.frame_times == pytest.approx([0.12, 0.36, 0.6, 0.84], abs=0.041)
    for frame, time in zip(found.frames, found.frame_times, strict=True):
        assert frame[24:].mean() == pytest.approx(grey_at(2.0 + time), abs=4)  # below the white bar
    assert found.frame_mask.all()
    assert found.waveform is not None
    assert len(found.waveform) == 16_000
    assert loudest(found.waveform) == pytest.approx(500, abs=5)


def test_the_whole_span_gives_the_frames_of_the_whole_clip(talk: Path) -> None:
    whole = decode_clip(talk, None, frame_count=8, sample_rate=16_000)
    part = decode_span(talk, None, (0.0, float(SECONDS)), frame_count=8, sample_rate=16_000)
    assert np.array_equal(whole.frames, part.frames)
    assert np.array_equal(whole.frame_mask, part.frame_mask)
    assert whole.waveform is not None
    assert part.waveform is not None
    assert np.abs(whole.waveform[:60_000] - part.waveform[:60_000]).max() < 1e-4


def test_first_frames_few_frames_and_a_span_past_the_end(talk: Path) -> None:
    first = decode_span(talk, None, (2.0, 4.0), frame_count=2, sample_rate=None, frame_choice="first")
    assert first.frame_times == pytest.approx([0.0, 1.0], abs=0.001)
    few = decode_span(talk, None, (1.0, 1.1), frame_count=8, sample_rate=None)
    assert few.frame_mask is not None
    assert few.frame_mask.tolist() == [True] * 3 + [False] * 5
    assert len(span_sound(talk, (3.0, 6.0), 16_000)) == pytest.approx(16_000, abs=1100)
    for part in ((7.0, 8.0), (3.0, 3.0)):
        with pytest.raises(DataError, match=r"talk\.mp4 cannot be read"):
            decode_span(talk, None, part, frame_count=2, sample_rate=None)
    with pytest.raises(DataError, match="it has no sound from 9 to 10 s"):
        span_sound(talk, (9.0, 10.0), 16_000)


# --- cutting ---


@pytest.mark.parametrize(
    ("how", "message"),
    [("5", "takes a length such as 5s, or speech or scene"), ("0.01s", "a length of 0.1 s or more")],
)
def test_an_unknown_way_to_cut_is_refused(how: str, message: str, talk: Path) -> None:
    with pytest.raises(ConfigurationError, match=message):
        cut_into_segments(ClipRecord("talk", "own", talk), how)


def test_windows_cover_the_whole_and_gaps_are_joined(talk: Path) -> None:
    found = cut_into_segments(ClipRecord("talk", "own", talk), "2.5s")
    assert found[0] == (0.0, 2.5)
    assert [end for _, end in found[:-1]] == [start for start, _ in found[1:]]
    assert found[-1][1] == pytest.approx(SECONDS, abs=0.1)
    assert windows_of(600.0, 600.0) == [(0.0, 600.0)]
    assert joined([(0.0, 1.0), (1.6, 2.0)]) == [(0.0, 1.0), (1.6, 2.0)]


@pytest.mark.parametrize(
    ("how", "module", "library"),
    [("speech", "silero_vad", "silero-vad"), ("scene", "scenedetect", "PySceneDetect")],
)
def test_a_missing_library_is_named_with_its_extra(
    how: str, module: str, library: str, talk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ConfigurationError, match=rf"Install {library} .*affect-lightning\[{how}\]"):
        cut_into_segments(ClipRecord("talk", "own", talk), how)


def test_what_speech_and_scene_libraries_find_becomes_parts(talk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[int] = []

    def timestamps(sound: Any, model: str, sampling_rate: int) -> list[dict[str, int]]:
        heard.append(len(sound))
        return [{"start": 16_000, "end": 24_000}, {"start": 25_600, "end": 32_000}, {"start": 64_000, "end": 72_000}]

    silero = SimpleNamespace(load_silero_vad=lambda: "model", get_speech_timestamps=timestamps)
    monkeypatch.setitem(sys.modules, "silero_vad", silero)
    clip = ClipRecord("talk", "own", talk)
    assert cut_into_segments(clip, "speech") == [(1.0, 2.0), (4.0, 4.5)]
    assert heard[0] == pytest.approx(SECONDS * 16_000, abs=1100)
    changes = [(SimpleNamespace(seconds=0.0), SimpleNamespace(seconds=2.5))]
    found = SimpleNamespace(AdaptiveDetector=lambda: "detector", detect=lambda path, detector: changes)
    monkeypatch.setitem(sys.modules, "scenedetect", found)
    assert cut_into_segments(clip, "scene") == [(0.0, 2.5)]
    changes.clear()
    assert cut_into_segments(clip, "scene") == [(0.0, pytest.approx(SECONDS, abs=0.1))]


def test_scenes_of_a_clip_with_cuts_and_of_one_without(tmp_path: Path) -> None:
    """The cuts are drawn, so where they are is known: 1.6 s and 2.8 s at 25 pictures a second."""
    cuts = tmp_path / "cuts.mp4"
    write_clip(
        cuts, range(0, 4000, 40), waveform=tone(4.0), grey=lambda at: 40 if at < 1.6 else 200 if at < 2.8 else 90
    )
    found = cut_into_segments(ClipRecord("cuts", "own", cuts), "scene")
    assert [start for start, _ in found] == pytest.approx([0.0, 1.6, 2.8], abs=0.001)
    assert [end for _, end in found] == pytest.approx([1.6, 2.8, 4.0], abs=0.05)
    calm = tmp_path / "calm.mp4"
    write_clip(calm, range(0, 4000, 40), waveform=tone(4.0))
    assert cut_into_segments(ClipRecord("calm", "own", calm), "scene") == [(0.0, pytest.approx(4.0, abs=0.05))]


def test_silero_hears_no_speech_in_tones_and_finds_it_in_the_real_recording(talk: Path, reference: Path) -> None:
    with pytest.raises(DataError, match="Nobody speaks in"):
        cut_into_segments(ClipRecord("talk", "own", talk), "speech")
    speakers = reference / "real_clips" / "two_speakers.wav"
    found = cut_into_segments(ClipRecord("speakers", "own", None, speakers), "speech")
    assert 15.0 < sum(end - start for start, end in found) < 30.0  # of 30 s, in which two people talk
    assert all(after > before for (_, before), (after, _) in itertools.pairwise(found))


# --- the command ---


def test_the_table_of_parts_is_read_as_it_was_written(
    talk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AFFECT_LIGHTNING_CACHE", str(tmp_path / "cache"))
    *kept, table = with_segments(["predict", "--json", f'--data.predict_video=["{talk}"]', "--segments=2s"])
    assert kept == ["predict", "--json"]
    clips = predicted_clips(None, None, None, table.partition("=")[2])
    assert [clip.name for clip in clips][:2] == ["talk@0.00-2.00", "talk@2.00-4.00"]
    assert (clips[1].video, clips[1].span) == (talk, (2.0, 4.0))
    assert with_segments(["fit", "--segments=2s"]) == ["fit", "--segments=2s"]
    with pytest.raises(ConfigurationError, match="Give the long videos with --clips"):
        with_segments(["predict", "--segments=2s"])
    (tmp_path / "t.csv").write_text("name,video,segment_start,segment_end\na,a.mp4,3,2\n", encoding="utf-8")
    with pytest.raises(DataError, match="expected an end behind the start"):
        predicted_clips(None, None, None, tmp_path / "t.csv")


def test_a_timeline_is_written_and_drawn(
    talk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AFFECT_LIGHTNING_CACHE", str(tmp_path / "cache"))
    heard: dict[str, float] = {}

    def generate(self: AffectGPT, batch: Any, **options: Any) -> list[str]:
        for index, name in enumerate(batch.names):
            heard[name] = loudest(batch.streams["audio"].values[index].numpy())
        return ["She is happy." if "0.00-" in name else "She is angry." for name in batch.names]

    monkeypatch.setattr(AffectGPT, "generate", generate)
    root = write_tables(tmp_path / "tables")
    options = words(root, None, "--model.inputs", "[audio, face, text]", "--clips", str(talk), "--segments", "1s")
    assert main(["predict", *options, "--out", str(tmp_path / "out")]) == 0
    assert f"Timeline: {tmp_path / 'out' / 'timeline.png'}" in capsys.readouterr().out
    assert sorted(heard.values()) == pytest.approx([200 + 150 * second for second in range(SECONDS)], abs=5)
    lines = [
        json.loads(line) for line in (tmp_path / "out" / "timeline.jsonl").read_text(encoding="utf-8").splitlines()
    ]
    assert [(line["clip"], line["start"]) for line in lines] == [("talk", float(second)) for second in range(SECONDS)]
    assert [line["labels"] for line in lines][:2] == [["happy"], ["angry"]]
    with (tmp_path / "out" / "timeline.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert (rows[0]["end"], rows[0]["labels"], rows[1]["sentiment"]) == ("1.0", "happy", "negative")
    assert (tmp_path / "out" / "timeline.png").read_bytes().startswith(b"\x89PNG")
