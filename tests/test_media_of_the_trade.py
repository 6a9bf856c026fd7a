"""Media as they come: AV1, sound from pipes, narrow pixels, covers, other endings; a bad file among good ones."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from affect_lightning.command_line.program import main
from affect_lightning.corpora.media_folders import MediaFolders
from affect_lightning.corpora.sets import MER_UNIBENCH
from affect_lightning.data.decoding import decode_clip
from affect_lightning.data.quarantine import UnreadableClipError
from clip_making import grey_at, tone, write_clip, write_wav
from face_cases import needs_centerface


def decoded(path: Path, count: int = 4) -> tuple[np.ndarray, np.ndarray]:
    clip = decode_clip(path, None, frame_count=count, sample_rate=None)
    assert clip.frames is not None
    assert clip.frame_times is not None
    return clip.frames, clip.frame_times


def write_av1(path: Path, times: list[int]) -> Path:
    encoder = next((name for name in ("libsvtav1", "libaom-av1") if name in av.codecs_available), None)
    if encoder is None:
        pytest.skip("this PyAV has no AV1 encoder")
    with av.open(str(path), "w") as container:
        video = container.add_stream(encoder, rate=25)
        video.width, video.height, video.pix_fmt = 128, 96, "yuv420p"
        video.codec_context.time_base = Fraction(1, 1000)
        for time in times:
            picture = np.full((96, 128, 3), round(grey_at(time / 1000)), np.uint8)
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = time, Fraction(1, 1000)
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
    return path


@pytest.mark.parametrize("ending", ["mp4", "mkv", "webm"])
def test_av1_at_a_variable_rate_is_sampled_by_time(tmp_path: Path, ending: str) -> None:
    times = [*range(0, 400, 20), *range(400, 4000, 200)]
    frames, seconds = decoded(write_av1(tmp_path / f"clip.{ending}", times), 8)
    middles = range(240, 3840, 480)  # the last picture is shown for 40 ms, as the encoder's rate says
    wanted = [max(time for time in times if time <= middle) / 1000 for middle in middles]
    assert seconds == pytest.approx(wanted, abs=0.02)
    assert frames[:, 48, 64, 0] == pytest.approx([grey_at(second) for second in seconds], abs=4)


def test_the_outside_case_of_av1(reference: Path) -> None:
    folder = reference / "outside_cases" / "F10"
    wanted = [0.56, 1.0, 2.8, 3.7, 4.6, 5.5, 7.3, 8.2]
    for name in ("av1_vfr.mp4", "h264_vfr.mp4"):
        assert decoded(folder / name, 8)[1] == pytest.approx(wanted), name


@pytest.mark.parametrize("sizes", [b"\0\0\0\0", b"\xff\xff\xff\xff"])
@pytest.mark.parametrize("rate", [16_000, 44_100])
def test_sound_from_a_pipe_has_no_length_in_its_header(tmp_path: Path, sizes: bytes, rate: int) -> None:
    path = write_wav(tmp_path / "a.wav", tone(1.3, rate=rate), rate)
    whole = path.read_bytes()
    place = whole.index(b"data") + 4
    expected = decode_clip(None, path, frame_count=None, sample_rate=16_000).waveform
    path.write_bytes(whole[:4] + sizes + whole[8:place] + sizes + whole[place + 4 :])
    found = decode_clip(None, path, frame_count=None, sample_rate=16_000).waveform
    assert found is not None
    assert expected is not None
    assert abs(len(found) - len(expected)) < 20
    assert found[:20_000] == pytest.approx(expected[:20_000], abs=0.02)


def test_a_torn_sound_file_is_still_torn(tmp_path: Path) -> None:
    path = write_wav(tmp_path / "a.wav", tone(1.3, rate=44_100), 44_100)
    path.write_bytes(path.read_bytes()[:-40_001])
    with pytest.raises(UnreadableClipError, match="truncated"):
        decode_clip(None, path, frame_count=None, sample_rate=16_000)


@pytest.mark.parametrize(
    ("aspect", "shape"), [((2, 1), (48, 128)), ((1, 2), (96, 64)), ((1, 1), (48, 64)), ((0, 1), (48, 64))]
)
def test_pixels_are_square(tmp_path: Path, aspect: tuple[int, int], shape: tuple[int, int]) -> None:
    path = tmp_path / "clip.mkv"
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=25)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        if aspect[0]:
            video.codec_context.sample_aspect_ratio = Fraction(*aspect)
        for _ in range(8):
            container.mux(video.encode(av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), np.uint8), format="rgb24")))
        container.mux(video.encode(None))
    assert decoded(path)[0].shape[1:3] == shape


def test_the_largest_track_is_the_clip(tmp_path: Path) -> None:
    path = tmp_path / "clip.mkv"
    with av.open(str(path), "w") as container:
        tracks = []
        for width, height in ((32, 32), (96, 64), (64, 64)):
            track = container.add_stream("libx264", rate=25)
            track.width, track.height, track.pix_fmt = width, height, "yuv420p"
            tracks.append(track)
        for track in tracks:
            for _ in range(8):
                picture = np.zeros((track.height, track.width, 3), np.uint8)
                container.mux(track.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
            container.mux(track.encode(None))
    assert decoded(path)[0].shape[1:3] == (64, 96)


@pytest.mark.parametrize("ending", [".webm", ".MOV", ".mkv", ".m4v"])
def test_other_endings_are_found_in_official_folders(tmp_path: Path, ending: str) -> None:
    item = MER_UNIBENCH.sets["meld"]
    path = tmp_path / item.video_folders[0] / f"a{ending}"
    path.parent.mkdir()
    path.touch()
    assert MediaFolders(tmp_path, item).record("a", "meld", "", "").video == path


@needs_centerface
def test_faces_goes_on_past_a_bad_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good = write_clip(tmp_path / "good.mp4", range(0, 400, 40))
    bad = tmp_path / "bad.mp4"
    bad.write_bytes(b"<html>not found</html>")
    assert main(["faces", str(bad), str(good), "--json"]) == 1
    printed = capsys.readouterr()
    content = json.loads(printed.out)
    assert [Path(clip["clip"]).name for clip in content["left_out"]] == ["bad.mp4"]
    assert len(content["clips"]) == 1
    assert "Left out: " in printed.err
    assert "it is a web page" in printed.err
    assert main(["faces", str(bad), "--json"]) == 2
    assert "None of the 1 files can be read" in capsys.readouterr().err
