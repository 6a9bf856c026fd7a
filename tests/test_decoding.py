"""Decoding: frames spread uniformly by time, sound in step with them, every fault a clear error."""

from __future__ import annotations

import pickle
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from affect_lightning.data import decoding
from affect_lightning.data.decoding import decode_clip
from affect_lightning.data.frame_choice import decoding_runs
from affect_lightning.data.quarantine import UnreadableClipError
from clip_making import grey_at, tone, write_clip, write_wav

UNEVEN = [0, 40, 80, 120, 160, 200, 1000, 1040, 2400, 2440]  # the last picture is shown 40 ms


def shown_greys(frames: np.ndarray) -> np.ndarray:
    return frames[:, frames.shape[1] * 3 // 4, frames.shape[2] // 2].mean(axis=-1)


def test_frames_are_the_middles_of_equal_parts(tmp_path: Path) -> None:
    clip = decode_clip(write_clip(tmp_path / "a.mp4"), None, frame_count=8, sample_rate=None)
    assert clip.frames is not None
    assert clip.frames.shape == (8, 48, 64, 3)
    assert clip.frames.dtype == np.uint8
    assert clip.frame_mask is not None
    assert clip.frame_mask.all()
    middles = (np.arange(8) + 0.5) * 2.0 / 8
    assert np.all((clip.frame_times <= middles + 1e-9) & (clip.frame_times > middles - 0.04))
    assert np.allclose(shown_greys(clip.frames), [grey_at(time) for time in clip.frame_times], atol=3)
    assert clip.waveform is None


def test_variable_frame_rate_is_sampled_by_time(tmp_path: Path) -> None:
    clip = decode_clip(write_clip(tmp_path / "a.mp4", UNEVEN), None, frame_count=4, sample_rate=None)
    # Middles of four parts of 2.48 s: 0.31, 0.93, 1.55, 2.17 s; by index it would have been 0.04, 0.16, 1.0, 2.4.
    assert np.allclose(clip.frame_times, [0.2, 0.2, 1.04, 1.04])
    assert np.allclose(shown_greys(clip.frames), [grey_at(time) for time in clip.frame_times], atol=3)


@pytest.mark.parametrize(("rotation", "bar"), [(90, np.s_[:, :10]), (180, np.s_[-10:]), (-90, np.s_[:, -10:])])
def test_rotation_is_applied(tmp_path: Path, rotation: int, bar: tuple[slice, ...]) -> None:
    clip = decode_clip(write_clip(tmp_path / "a.mp4", rotation=rotation), None, frame_count=2, sample_rate=None)
    assert clip.frames is not None
    assert clip.frames.shape[1:3] == ((48, 64) if rotation == 180 else (64, 48))
    assert clip.frames[0][bar].mean() > 240
    assert clip.frames[0].mean() < 150


@pytest.mark.parametrize("count", [1, 3])
def test_short_clips_show_each_frame_once(tmp_path: Path, count: int) -> None:
    clip = decode_clip(write_clip(tmp_path / "a.mp4", range(0, 40 * count, 40)), None, frame_count=8, sample_rate=None)
    assert clip.frame_mask is not None
    assert clip.frame_mask.tolist() == [True] * count + [False] * (8 - count)
    assert clip.frames is not None
    assert not clip.frames[count:].any()


@pytest.mark.parametrize(
    "x264", ["bframes=3:keyint=250:scenecut=0", "bframes=3:keyint=12:open-gop=1:scenecut=0", "keyint=1"]
)
def test_skipped_packets_change_no_picture(tmp_path: Path, x264: str) -> None:
    path = write_clip(tmp_path / "a.mp4", options={"x264-params": x264})
    with av.open(str(path)) as container:
        everything = {round(frame.time, 3): frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)}
    clip = decode_clip(path, None, frame_count=6, sample_rate=None)
    assert clip.frames is not None
    assert clip.frame_times is not None
    for frame, time in zip(clip.frames, clip.frame_times, strict=True):
        assert np.array_equal(frame, everything[round(float(time), 3)])


@pytest.mark.parametrize(
    ("x264", "groups"), [("bframes=0:keyint=250:scenecut=0", 1), ("bframes=0:keyint=10:scenecut=0", 10)]
)
def test_only_what_is_wanted_is_decoded(tmp_path: Path, x264: str, groups: int) -> None:
    """Straight decoding up to the last wanted frame with one key frame; with many, the wanted groups only, each once."""
    path = write_clip(tmp_path / "a.mp4", range(0, 4000, 40), options={"x264-params": x264})
    with av.open(str(path)) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
    keys = [index for index, packet in enumerate(packets) if packet.is_keyframe]
    assert len(keys) == groups
    wanted = [12, 37, 62, 87]  # the middles of four parts of 100 pictures
    runs = decoding_runs(packets, {packets[index].pts for index in wanted})
    if groups == 1:
        assert runs == [(0, 88)]
    else:
        assert runs == [(10, 13), (30, 38), (60, 63), (80, 88)]  # 22 of 100 packets
    assert all(first in keys for first, _ in runs)
    both = decoding_runs(packets, {packets[25].pts, packets[27].pts})
    assert both == [(keys[min(2, groups - 1)], 28)]  # two wanted frames of a group are one run


def test_a_late_track_is_padded_and_an_early_one_cut(tmp_path: Path) -> None:
    """Sound stays in step with the pictures, whichever of the two starts first."""
    for delay in (500, 0):
        path = tmp_path / f"{delay}.mkv"
        with av.open(str(path), "w") as container:
            video = container.add_stream("mpeg4", rate=25)
            video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
            sound = container.add_stream("pcm_s16le", rate=16_000, layout="mono")
            for index in range(25):
                frame = av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), np.uint8), format="rgb24")
                frame.pts, frame.time_base = index, Fraction(1, 25)
                container.mux(video.encode(frame))
            container.mux(video.encode(None))
            piece = av.AudioFrame.from_ndarray(np.full((1, 8000), 9000, np.int16), format="s16", layout="mono")
            piece.sample_rate, piece.time_base, piece.pts = 16_000, Fraction(1, 16_000), 16 * delay
            container.mux(sound.encode(piece))
            container.mux(sound.encode(None))
        waveform = decode_clip(path, None, frame_count=None, sample_rate=16_000).waveform
        assert waveform is not None
        assert abs(int(np.flatnonzero(waveform)[0]) - 16 * delay) <= 32
        assert abs(len(waveform) - (16 * delay + 8000)) <= 32


def test_containers_without_presentation_times(tmp_path: Path) -> None:
    path = tmp_path / "a.avi"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for index in range(50):
            picture = np.full((48, 64, 3), round(grey_at(index / 25)), np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
    clip = decode_clip(path, None, frame_count=4, sample_rate=None)
    assert np.allclose(shown_greys(clip.frames), [grey_at(time) for time in (0.24, 0.72, 1.24, 1.72)], atol=4)


def test_own_track_starts_and_ends_with_the_clip(tmp_path: Path) -> None:
    late = np.concatenate([np.zeros(44_100), tone(1.0, rate=44_100)])
    path = write_clip(tmp_path / "a.mp4", waveform=late, rate=44_100)
    clip = decode_clip(path, None, frame_count=None, sample_rate=16_000)
    assert clip.frames is None
    assert clip.waveform is not None
    assert clip.waveform.dtype == np.float32
    assert abs(len(clip.waveform) - 32_000) <= 160  # the encoder's padding is gone
    onset = np.flatnonzero(np.abs(clip.waveform) > 0.1)[0] / 16_000
    assert abs(onset - 1.0) < 0.01


def test_wav_is_mixed_down_and_resampled(tmp_path: Path) -> None:
    stereo = np.stack([tone(1.5, rate=48_000)] * 2, axis=1)
    sound = decode_clip(None, write_wav(tmp_path / "a.wav", stereo, 48_000), frame_count=None, sample_rate=16_000)
    assert sound.waveform is not None
    assert len(sound.waveform) == 24_000
    spectrum = np.abs(np.fft.rfft(sound.waveform))
    assert abs(spectrum.argmax() / 1.5 - 440) < 1
    assert abs(np.abs(sound.waveform).max() - 0.5) < 0.05


def test_odd_names(tmp_path: Path) -> None:
    path = write_clip(tmp_path / 'it\'s "a" clip, 片段 🎬 #1%20.mp4', range(0, 400, 40))
    assert decode_clip(path, None, frame_count=2, sample_rate=None).frames is not None


def broken_video(kind: str, folder: Path) -> Path:
    path = folder / "broken.mp4"
    if kind == "folder":
        path.mkdir()
    elif kind == "loop":
        path.symlink_to(path)
    elif kind == "playlist":
        path.write_text("#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1:9/a.ts\n#EXT-X-ENDLIST\n", encoding="utf-8")
    elif kind != "missing":
        whole = write_clip(folder / "whole.mp4", container_options={"movflags": "faststart"}).read_bytes()
        late_index = write_clip(folder / "late.mp4").read_bytes()
        contents = {
            "empty": b"",
            "text": b"not a clip" * 50,
            "cut header": whole[:200],
            "cut": whole[: len(whole) * 2 // 3],
            "cut index": late_index[: len(late_index) // 2],
            "zeros": whole[:1500] + bytes(len(whole) - 1500),
        }
        path.write_bytes(contents[kind])
    return path


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("missing", "does not exist"),
        ("folder", "not a regular file"),
        ("loop", "does not exist"),
        ("playlist", "expected a media file"),
        ("empty", "it is empty"),
        ("text", "expected a media file"),
        ("cut header", "no video track"),
        ("cut", "truncated"),
        ("cut index", "expected a media file"),
        ("zeros", ""),
    ],
)
def test_broken_videos(tmp_path: Path, kind: str, expected: str) -> None:
    path = broken_video(kind, tmp_path)
    with pytest.raises(UnreadableClipError) as caught:
        decode_clip(path, None, frame_count=8, sample_rate=None)
    assert caught.value.stage == "video"
    assert caught.value.path == str(path)
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)
    again = pickle.loads(pickle.dumps(caught.value))
    assert (str(again), again.reason) == (str(caught.value), caught.value.reason)


def test_absurd_dimensions_are_refused_before_decoding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding, "MAX_PIXELS", 64 * 48 - 1)
    with pytest.raises(UnreadableClipError, match="declares 64x48 pixels"):
        decode_clip(write_clip(tmp_path / "a.mp4"), None, frame_count=2, sample_rate=None)


def test_a_file_without_end_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding, "MAX_PACKET_BYTES", 200)
    with pytest.raises(UnreadableClipError, match="cut it into clips"):
        decode_clip(write_clip(tmp_path / "a.mp4"), None, frame_count=2, sample_rate=None)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [("no track", "no audio track"), ("no samples", "empty"), ("not a number", "NaN"), ("cut", "truncated")],
)
def test_broken_sound(tmp_path: Path, kind: str, expected: str) -> None:
    path = tmp_path / "a.wav"
    if kind == "no track":
        path = write_clip(tmp_path / "a.mp4")
    elif kind == "no samples":
        write_wav(path, np.zeros(0))
    elif kind == "not a number":
        with av.open(str(path), "w") as container:
            stream = container.add_stream("pcm_f32le", rate=16_000, layout="mono")
            frame = av.AudioFrame.from_ndarray(np.full((1, 1600), np.nan, np.float32), format="flt", layout="mono")
            frame.sample_rate = 16_000
            container.mux(stream.encode(frame))
    else:
        content = write_wav(path, tone(2.0)).read_bytes()
        path.write_bytes(content[: len(content) // 2])
    with pytest.raises(UnreadableClipError, match=expected) as caught:
        decode_clip(None, path, frame_count=None, sample_rate=16_000)
    assert caught.value.stage == "audio"


def test_missing_paths() -> None:
    with pytest.raises(UnreadableClipError, match="the inputs need a video file"):
        decode_clip(None, None, frame_count=8, sample_rate=16_000)


def test_a_title_in_another_encoding_is_no_fault(tmp_path: Path) -> None:
    path = write_wav(tmp_path / "a.wav", tone(1.0))
    content = path.read_bytes()
    title = b"INFOINAM\x04\x00\x00\x00caf\xe9"  # Latin-1
    listed = b"LIST" + len(title).to_bytes(4, "little") + title
    size = (len(content) + len(listed) - 8).to_bytes(4, "little")
    path.write_bytes(content[:4] + size + content[8:36] + listed + content[36:])
    options = {"metadata_encoding": "latin-1"} if int(av.__version__.split(".")[0]) < 19 else {}
    with av.open(str(path), **options) as container:
        assert container.metadata["title"].startswith("caf")  # FFmpeg does read it
    assert len(decoding._decode_sound_file(path, 16_000)) == 16_000
