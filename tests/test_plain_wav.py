"""Plain WAV files without FFmpeg: the same numbers as with it, at other rates nearly, and nothing but whole plain files."""

from __future__ import annotations

import os
import subprocess
import sys
import wave
from pathlib import Path

import numpy as np
import pytest

from affect_lightning.data.decoding import _decode_sound_file, decode_clip
from affect_lightning.data.media_files import PackedFile
from affect_lightning.data.plain_wav import _give_numba_a_folder, read_plain_wav
from clip_making import tone, write_wav


def plain(path: Path | PackedFile, rate: int = 16_000) -> np.ndarray | None:
    return read_plain_wav(path, rate, least_seconds=0.025, most_seconds=1800.0)


@pytest.mark.parametrize("channels", [1, 2, 6])
@pytest.mark.parametrize("samples", [400, 16_000, 54_321])
def test_the_numbers_are_those_of_ffmpeg(tmp_path: Path, channels: int, samples: int) -> None:
    noise = np.random.default_rng(samples).uniform(-1, 1, (samples, channels))
    noise[:2] = [[-1.0], [1.0]]
    path = write_wav(tmp_path / "a sound.WAV", noise)
    ours = plain(path)
    assert ours is not None
    assert ours.dtype == np.float32
    np.testing.assert_array_equal(ours, _decode_sound_file(path, 16_000))
    packed = plain(PackedFile(path, path.read_bytes()))
    assert packed is not None
    np.testing.assert_array_equal(packed, ours)


def test_decode_clip_does_not_open_ffmpeg_for_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_wav(tmp_path / "a.wav", tone(1.0))
    monkeypatch.setattr("av.open", None)
    waveform = decode_clip(None, path, frame_count=None, sample_rate=16_000).waveform
    assert waveform is not None
    np.testing.assert_allclose(waveform, tone(1.0), atol=1e-4)


def tones(seconds: float, rate: int, hertz: tuple[int, ...]) -> np.ndarray:
    time = np.arange(round(seconds * rate)) / rate
    return np.sum([0.2 * np.sin(2 * np.pi * one * time) for one in hertz], axis=0)


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("rate", [8_000, 11_025, 22_050, 24_000, 44_100, 48_000, 96_000])
def test_at_another_rate_the_sound_is_that_of_ffmpeg(tmp_path: Path, rate: int, channels: int) -> None:
    sound = tones(1.003, rate, (150, 440, 2_100, 3_300))
    path = write_wav(tmp_path / "a.wav", np.stack([sound] * channels, axis=1), rate)
    ours, theirs = plain(path), _decode_sound_file(path, 16_000)
    assert ours is not None
    assert ours.dtype == np.float32
    assert len(ours) == round(len(sound) * 16_000 / rate)
    assert abs(len(ours) - len(theirs)) <= 1
    inner = slice(200, min(len(ours), len(theirs)) - 200)  # both filters ring at the ends, each in its own way
    np.testing.assert_allclose(ours[inner], theirs[inner], atol=2e-3)
    expected = tones(1.003, 16_000, (150, 440, 2_100, 3_300))
    np.testing.assert_allclose(ours[200:-200], expected[200 : len(ours) - 200], atol=1e-3)


def test_what_the_new_rate_cannot_hold_is_filtered_out(tmp_path: Path) -> None:
    path = write_wav(tmp_path / "a.wav", tones(1.0, 48_000, (9_000, 15_000)), 48_000)
    ours = plain(path)
    assert ours is not None
    assert np.abs(ours[400:-400]).max() < 1e-4  # of 0.4; measured: 1e-5, with FFmpeg 1.6e-4


def test_resampling_stays_within_full_scale(tmp_path: Path) -> None:
    path = write_wav(
        tmp_path / "a.wav", np.sign(tones(1.0, 44_100, (300,))), 44_100
    )  # its edges make the filter overshoot
    ours = plain(path)
    assert ours is not None
    assert np.abs(ours).max() == 1.0


def test_another_rate_is_read_without_ffmpeg_and_from_a_packed_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_wav(tmp_path / "a.wav", tones(1.0, 44_100, (440,)), 44_100)
    packed = plain(PackedFile(path, path.read_bytes()))
    monkeypatch.setattr("av.open", None)
    waveform = decode_clip(None, path, frame_count=None, sample_rate=16_000).waveform
    assert waveform is not None
    assert packed is not None
    np.testing.assert_array_equal(waveform, packed)


def test_librosa_waits_for_a_file_that_needs_it(tmp_path: Path) -> None:
    slow, wanted = write_wav(tmp_path / "a.wav", tone(1.0), 16_000), write_wav(tmp_path / "b.wav", tone(1.0), 22_050)
    program = (
        "import sys\nfrom pathlib import Path\nfrom affect_lightning.data.decoding import decode_clip\n"
        "decode_clip(None, Path(sys.argv[1]), frame_count=None, sample_rate=16_000)\n"
        "assert 'librosa' not in sys.modules\n"
        "decode_clip(None, Path(sys.argv[2]), frame_count=None, sample_rate=16_000)\n"
        "assert 'librosa' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program, str(slow), str(wanted)], check=True)


@pytest.mark.parametrize("home", ["writable", "none"])
def test_librosa_is_imported_where_its_folder_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, home: str
) -> None:
    monkeypatch.setenv("NUMBA_CACHE_DIR", "")  # so that what is set below is taken back after the test
    monkeypatch.delenv("NUMBA_CACHE_DIR")
    monkeypatch.setattr("os.access", lambda path, mode: False)
    file = tmp_path / "file"
    file.write_text("", encoding="utf-8")
    monkeypatch.setenv("AFFECT_LIGHTNING_CACHE", str(tmp_path if home == "writable" else file))
    _give_numba_a_folder()
    given = Path(os.environ["NUMBA_CACHE_DIR"])
    assert given.is_dir()
    assert (given == tmp_path / "numba") == (home == "writable")
    monkeypatch.setattr("tempfile.mkdtemp", None)
    _give_numba_a_folder()  # what is set stays
    assert Path(os.environ["NUMBA_CACHE_DIR"]) == given


def with_size(path: Path, offset: int, value: int) -> Path:
    content = bytearray(path.read_bytes())
    content[offset : offset + 4] = value.to_bytes(4, "little")
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    "kind",
    [
        "odd rate",
        "long and another rate",
        "8 bits",
        "short",
        "cut",
        "cut header",
        "data size",
        "stream",
        "no channels",
        "text",
        "empty",
        "folder",
        "gone",
    ],
)
def test_others_are_left_to_ffmpeg(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "a.wav"
    if kind == "folder":
        path.mkdir()
    elif kind == "8 bits":
        with wave.open(str(path), "wb") as stream:
            stream.setparams((1, 1, 16_000, 0, "NONE", ""))
            stream.writeframes(bytes(16_000))
    elif kind in ("text", "empty"):
        path.write_bytes(b"sound?" * 200 if kind == "text" else b"")
    elif kind != "gone":
        seconds = {"short": 0.02, "long and another rate": 400.0}.get(kind, 1.0)
        rate = {"odd rate": 4_000, "long and another rate": 96_000}.get(kind, 16_000)
        write_wav(path, tone(seconds, rate=rate), rate)
        content = path.read_bytes()
        if kind.startswith("cut"):
            path.write_bytes(content[: 30 if kind == "cut header" else len(content) // 2])
        elif kind in ("data size", "stream"):
            with_size(path, 40, 10**6 if kind == "data size" else 2**32 - 1)
        elif kind == "no channels":
            path.write_bytes(content[:22] + b"\0\0" + content[24:])
    assert plain(path) is None


def test_other_endings_are_left_to_ffmpeg(tmp_path: Path) -> None:
    path = write_wav(tmp_path / "a.wav", tone(1.0)).rename(tmp_path / "a.wave")
    assert plain(path) is None
