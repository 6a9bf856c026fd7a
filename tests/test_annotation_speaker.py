"""The stage `speaker`: clips read at a steady rate, bad input of every kind, resumption, and the command."""

from __future__ import annotations

import importlib.util
import json
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from affect_lightning.annotation.catalogue import build_stage
from affect_lightning.annotation.speaker import SpeakerOptions, SpeakerStage
from affect_lightning.annotation.stages import StageWork
from affect_lightning.annotation.tables import ClipTable, read_clip_table
from affect_lightning.command_line.program import main
from affect_lightning.contracts import FaceBox, FaceDetector, FaceWithSound, SpeakerDetector, SpeakerScore
from affect_lightning.contracts.speakers import CROP_PER_FACE, CROP_SIDE
from affect_lightning.data import face_tracks
from affect_lightning.data.face_tracks import MissingPart, SteadyFrames, cut_crop, follow_face, read_face_with_sound
from affect_lightning.data.quarantine import UnreadableClipError
from affect_lightning.errors import ConfigurationError, ContractError, DataError
from clip_making import tone, write_clip, write_wav
from face_cases import box, needs_centerface

WIDE = (160, 120)
needs_silero = pytest.mark.skipif(importlib.util.find_spec("silero_vad") is None, reason="silero-vad is not installed")


class MiddleFaces(FaceDetector):
    """A face in the middle of every picture, or several where told."""

    def __init__(self, *centres: float, side: float = 60.0) -> None:
        self.centres, self.side = centres or (80.0,), side

    def detect(self, frames: np.ndarray) -> list[list[FaceBox]]:
        return [[box(x, 60.0, self.side) for x in self.centres] for _ in frames]

    def identity(self) -> str:
        return f"middle {self.centres}"


class NoFaces(MiddleFaces):
    """Finds nothing."""

    def detect(self, frames: np.ndarray) -> list[list[FaceBox]]:
        return [[] for _ in frames]


class Loudness(SpeakerDetector):
    """The score is the loudness; it notes what it was given."""

    threshold = 0.1

    def __init__(self) -> None:
        self.given: list[FaceWithSound] = []

    def score(self, clip: FaceWithSound) -> SpeakerScore:
        self.given.append(clip)
        loudness = float(np.sqrt(np.mean(clip.waveform**2))) if len(clip.waveform) else 0.0
        return SpeakerScore(loudness) if loudness > 0.001 else SpeakerScore(None, "no speech")

    def identity(self) -> str:
        return "loudness"


def read(path: Path, faces: FaceDetector | None = None, **more: object) -> FaceWithSound | MissingPart:
    return read_face_with_sound(path, faces or MiddleFaces(), frame_rate=25.0, sample_rate=16_000, **more)  # type: ignore[arg-type]


def stage(
    detector: SpeakerDetector | None = None, faces: FaceDetector | None = None, **options: object
) -> SpeakerStage:
    chosen = SpeakerOptions(**options)  # type: ignore[arg-type]
    return SpeakerStage(chosen, detector=detector or Loudness(), faces=faces or MiddleFaces())


def table_of(**media: Path) -> ClipTable:
    return ClipTable.of_columns({"name": list(media), "media": [str(path) for path in media.values()]})


# --- clips at a steady rate ---


def test_a_clip_of_25_pictures_a_second_gives_each_once(tmp_path: Path) -> None:
    clip = read(write_clip(tmp_path / "a.mp4", range(0, 2000, 40), size=WIDE, waveform=tone(2.0)))
    assert isinstance(clip, FaceWithSound)
    assert (clip.crops.shape, clip.frame_rate, clip.start) == ((50, CROP_SIDE, CROP_SIDE, 3), 25.0, 0.0)
    middles = clip.crops[:, 112, 112, 0].astype(float)
    np.testing.assert_allclose(middles, 30 + 50 * np.arange(50) * 0.04, atol=4)  # what `write_clip` paints
    assert len(clip.waveform) == 32_000


@pytest.mark.parametrize("step", [20, 33, 80])
def test_other_rates_show_what_a_player_shows(tmp_path: Path, step: int) -> None:
    clip = read(write_clip(tmp_path / "a.mp4", range(0, 2000, step), size=WIDE, waveform=tone(2.0)))
    assert isinstance(clip, FaceWithSound)
    shown = np.arange(len(clip.crops)) * 0.04 + 0.02
    expected = 30 + 50 * (shown // (step / 1000)) * step / 1000
    np.testing.assert_allclose(clip.crops[:, 112, 112, 0].astype(float), expected, atol=4)


@pytest.mark.parametrize(("rate", "channels"), [(8_000, 1), (44_100, 2)])
def test_sound_of_other_rates_and_of_two_channels_comes_as_the_detector_asks(
    tmp_path: Path, rate: int, channels: int
) -> None:
    video = write_clip(tmp_path / "a.mp4", range(0, 2000, 40), size=WIDE)
    wave = tone(2.0, rate=rate)
    sound = write_wav(tmp_path / "a.wav", wave if channels == 1 else np.stack([wave, 0 * wave], axis=1), rate)
    clip = read(video, audio=sound)
    assert isinstance(clip, FaceWithSound)
    assert abs(len(clip.waveform) - 32_000) <= 16
    spectrum = np.abs(np.fft.rfft(clip.waveform))
    assert np.argmax(spectrum) / 2.0 == pytest.approx(440, abs=1)
    assert np.abs(clip.waveform[1000:-1000]).max() == pytest.approx(0.5 / channels, abs=0.02)


def test_what_a_clip_lacks_is_said(tmp_path: Path) -> None:
    silent_film = write_clip(tmp_path / "film.mp4", size=WIDE)
    clip = write_clip(tmp_path / "clip.mp4", size=WIDE, waveform=tone(2.0))
    assert read(silent_film) == MissingPart(face_tracks.NO_SOUND)
    assert read(write_wav(tmp_path / "radio.wav", tone(1.0))) == MissingPart(face_tracks.NO_PICTURE)
    assert read(clip, NoFaces()) == MissingPart(face_tracks.NO_FACE)
    assert read(clip, MiddleFaces(side=10.0)) == MissingPart(face_tracks.SMALL_FACE)


def test_a_single_picture_is_one_crop(tmp_path: Path) -> None:
    clip = read(write_clip(tmp_path / "a.mp4", [0], size=WIDE, waveform=tone(2.0)))
    assert isinstance(clip, FaceWithSound)
    assert len(clip.crops) == 1


def test_a_broken_file_is_unreadable(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.mp4", size=WIDE, waveform=tone(2.0))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(UnreadableClipError):
        read(path)


def test_sound_and_pictures_have_one_clock(tmp_path: Path) -> None:
    """Pictures that begin 0.4 s after the sound."""
    path = tmp_path / "late.mp4"
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=25)
        video.width, video.height, video.pix_fmt, video.codec_context.time_base = *WIDE, "yuv420p", Fraction(1, 1000)
        audio = container.add_stream("aac", rate=16_000, layout="mono")
        for time in range(400, 2000, 40):
            frame = av.VideoFrame.from_ndarray(np.full((*WIDE[::-1], 3), time // 10, np.uint8), format="rgb24")
            frame.pts, frame.time_base = time, Fraction(1, 1000)
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        for start in range(0, 32_000, 1024):
            piece = av.AudioFrame.from_ndarray(tone(2.0)[None, start : start + 1024].astype(np.float32), "fltp", "mono")
            piece.sample_rate, piece.pts, piece.time_base = 16_000, start, Fraction(1, 16_000)
            container.mux(audio.encode(piece))
        container.mux(audio.encode(None))
    clip = read(path)
    assert isinstance(clip, FaceWithSound)
    assert clip.start == pytest.approx(0.4, abs=0.05)
    assert len(clip.crops) == 40


def test_pictures_of_large_clips_are_made_smaller(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_clip(tmp_path / "a.mp4", range(0, 400, 40), size=(320, 240), waveform=tone(0.4))
    monkeypatch.setattr(face_tracks, "PICTURE_BYTES", 10 * 3 * 160 * 120)
    frames = face_tracks.read_steady_frames(path, 25.0)
    assert frames.pictures.nbytes <= 10 * 3 * 160 * 120
    assert frames.pictures.shape[1:3] == (120, 160)


def test_long_clips_are_looked_at_for_twenty_seconds(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(face_tracks, "SECONDS", 1.0)
    clip = read(write_clip(tmp_path / "a.mp4", range(0, 2000, 40), size=WIDE, waveform=tone(2.0)))
    assert isinstance(clip, FaceWithSound)
    assert (len(clip.crops), len(clip.waveform)) == (25, 16_000)


def test_of_two_faces_the_one_that_talks_is_followed() -> None:
    """As in the stream `face`: equally large, and the right one moves its mouth."""
    pictures = np.full((25, 120, 160, 3), 120, np.uint8)
    for index in range(25):
        pictures[index, 72:84, 110:130] = 40 if index % 6 < 3 else 200
    frames = SteadyFrames(pictures, np.arange(25), 0.0)
    boxes = follow_face(frames, MiddleFaces(40.0, 120.0), 25.0)
    assert isinstance(boxes, list)
    assert {round((one.x0 + one.x1) / 2) for one in boxes} == {120}


def test_a_face_that_is_seldom_seen_is_nobody() -> None:
    class Once(MiddleFaces):
        def detect(self, frames: np.ndarray) -> list[list[FaceBox]]:
            return [found if not index else [] for index, found in enumerate(super().detect(frames))]

    frames = SteadyFrames(np.zeros((25, 120, 160, 3), np.uint8), np.arange(25), 0.0)
    assert follow_face(frames, Once(), 25.0) == MissingPart(face_tracks.SOME_FACES)


@pytest.mark.parametrize("side", [20.0, 150.0, 480.0])
def test_a_crop_has_the_face_in_its_middle_whatever_its_size(side: float) -> None:
    rows, columns = np.mgrid[:900, :900]
    dot = (np.hypot(rows - 450.3, columns - 449.1) < side * 0.1) * 200
    crop = cut_crop(np.repeat(dot[..., None].astype(np.uint8), 3, axis=2), box(449.6, 450.8, side))
    seen = np.argwhere(crop[..., 0] > 100)
    np.testing.assert_allclose(seen.mean(axis=0), (CROP_SIDE - 1) / 2, atol=1.0 + 10 / side)
    assert len(seen) == pytest.approx(np.pi * (0.1 * CROP_SIDE / CROP_PER_FACE) ** 2, rel=0.12)


def test_beyond_the_picture_a_crop_is_grey() -> None:
    crop = cut_crop(np.full((100, 100, 3), 250, np.uint8), box(0.0, 50.0, 60.0))
    assert crop[112, 20].tolist() == [face_tracks.BEYOND] * 3
    assert crop[112, 200].tolist() == [250] * 3


# --- the stage ---


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("clips")
    return {
        "loud": write_clip(folder / "loud.mp4", range(0, 1000, 40), size=WIDE, waveform=tone(1.0)),
        "soft": write_clip(folder / "soft.mp4", range(0, 1000, 40), size=WIDE, waveform=0.1 * tone(1.0)),
        "quiet": write_clip(folder / "quiet.mp4", range(0, 1000, 40), size=WIDE, waveform=0 * tone(1.0)),
        "film": write_clip(folder / "film.mp4", range(0, 1000, 40), size=WIDE),
        "radio": write_wav(folder / "radio.wav", tone(1.0)),
    }


def test_clips_are_kept_by_their_score_and_reasons_are_told(clips: dict[str, Path]) -> None:
    done = stage().run(table_of(**clips))
    scores = done.column("speaker_score")
    assert scores[0] > 0.1 > scores[1]
    assert scores[2:] == [None] * 3
    assert done.column("speaker_reason") == [None, None, "no speech", "no sound track", "no picture track"]
    assert done.column("kept.speaker") == [True, False, True, True, False]
    record = done.records[-1]
    assert record.parts == {"detector": "loudness", "faces": "middle (80.0,)", "threshold": "0.1"}
    assert record.options == {"threshold": None, "drops_undecided": False}


def test_undecided_clips_go_where_that_is_wanted_and_a_threshold_of_the_user_counts(clips: dict[str, Path]) -> None:
    done = stage(threshold=0.01, drops_undecided=True).run(table_of(**clips))
    assert done.column("kept.speaker") == [True, True, False, False, False]
    assert done.records[-1].parts["threshold"] == "0.01"


def test_a_clip_without_a_face_does_not_stay(clips: dict[str, Path]) -> None:
    done = stage(faces=NoFaces()).run(table_of(loud=clips["loud"]))
    assert (done.column("speaker_reason"), done.column("kept.speaker")) == (["no face"], [False])


def test_an_unreadable_clip_is_named_and_does_not_stay(clips: dict[str, Path], tmp_path: Path) -> None:
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(clips["loud"].read_bytes()[:3000])
    done = stage().run(table_of(loud=clips["loud"], broken=broken))
    assert done.column("kept.speaker") == [True, False]
    assert done.column("speaker_reason")[1].startswith("cannot be read (video): ")
    with pytest.raises(DataError, match=r"raise max_bad_share .*: 2 of 2 clips cannot be read.*\[b\] cannot be read"):
        stage().run(table_of(b=broken, c=tmp_path / "absent.mp4"))


def test_a_killed_run_measures_no_clip_twice(clips: dict[str, Path], tmp_path: Path) -> None:
    class Killed(Loudness):
        def score(self, clip: FaceWithSound) -> SpeakerScore:
            if self.given:
                raise KeyboardInterrupt
            return super().score(clip)

    table = table_of(loud=clips["loud"], soft=clips["soft"], quiet=clips["quiet"])
    work = StageWork(tmp_path)
    first, second, third = stage(Killed()), stage(Loudness()), stage(Loudness())
    first.work = second.work = third.work = work
    with pytest.raises(KeyboardInterrupt):
        first.run(table)
    done = second.run(table)
    assert len(second._detector.given) == 2  # type: ignore[attr-defined]
    assert third.run(table).data.equals(done.data)
    assert third._detector.given == []  # type: ignore[attr-defined]
    assert done.data.equals(stage().run(table).data)


def test_scores_of_another_detector_are_not_taken(clips: dict[str, Path], tmp_path: Path) -> None:
    class Other(Loudness):
        def identity(self) -> str:
            return "other"

    table = table_of(loud=clips["loud"])
    for detector in (Loudness(), Other()):
        one = stage(detector)
        one.work = StageWork(tmp_path)
        one.run(table)
        assert len(detector.given) == 1


def test_a_detector_that_breaks_its_contract_is_named(clips: dict[str, Path]) -> None:
    class Wrong(Loudness):
        def score(self, clip: FaceWithSound) -> SpeakerScore:
            return SpeakerScore(float("nan"))

    with pytest.raises(ContractError, match=r"Wrong.*SpeakerDetector.*finite value"):
        stage(Wrong()).run(table_of(loud=clips["loud"]))


def test_options_are_checked() -> None:
    with pytest.raises(ConfigurationError, match="a threshold that is a number; got nan"):
        SpeakerOptions(threshold=float("nan"))
    with pytest.raises(ConfigurationError, match="max_bad_share from 0 to 1; got 2"):
        SpeakerOptions(max_bad_share=2.0)
    with pytest.raises(ConfigurationError, match="Choose a speaker detector"):
        SpeakerStage(SpeakerOptions(), detector=None, faces=MiddleFaces())


@needs_silero
@needs_centerface
def test_faces_of_none_are_refused() -> None:
    for choice in ("none", {"name": "none"}):
        with pytest.raises(ConfigurationError, match="Choose a face detector as `faces`, such as centerface"):
            build_stage("speaker", {"detector": "sync", "faces": choice})


# --- the command ---


@needs_silero
@needs_centerface
def test_the_command_writes_a_table_and_says_how_many_stay(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], clips: dict[str, Path]
) -> None:
    """With the real parts on clips without a face."""
    (tmp_path / "in").mkdir()
    for name in ("loud", "film"):
        (tmp_path / "in" / f"{name}.mp4").write_bytes(clips[name].read_bytes())
    words = ["annotate", "speaker", "--clips", str(tmp_path / "in"), "--out", str(tmp_path / "out.parquet"), "--json"]
    assert main([*words, "--detector.threshold", "0.5"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["stages"][0]["clips"], told["stages"][0]["kept"]) == (2, 1)
    table = read_clip_table(tmp_path / "out.parquet")
    reasons = dict(zip(table.names, table.column("speaker_reason"), strict=True))
    assert reasons == {"film": "no sound track", "loud": "no face"}
    assert table.records[-1].parts["threshold"] == "0.5"
    assert main(words) == 2
    assert "no table is overwritten" in capsys.readouterr().err


def test_the_help_explains_the_parts(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["annotate", "speaker", "--help"]) == 0
    assert "--detector.weights FILE" in capsys.readouterr().out
    assert main(["annotate", "speaker", "--detector.help", "light-asd"]) == 0
    assert "weights" in capsys.readouterr().out
