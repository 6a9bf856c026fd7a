"""Plain WAV files without FFmpeg: the same numbers as with it, and nothing but whole plain files."""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np
import pytest

from affect_lightning.data.decoding import _decode_sound_file, decode_clip
from affect_lightning.data.media_files import PackedFile
from affect_lightning.data.plain_wav import read_plain_wav
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


def with_size(path: Path, offset: int, value: int) -> Path:
    content = bytearray(path.read_bytes())
    content[offset : offset + 4] = value.to_bytes(4, "little")
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    "kind",
    [
        "rate",
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
        write_wav(path, tone(0.02 if kind == "short" else 1.0, rate=16_000), 8_000 if kind == "rate" else 16_000)
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
