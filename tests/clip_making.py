"""Small clips whose pictures tell the time, made with PyAV: for the tests of the data path."""

from __future__ import annotations

import wave
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

MILLISECOND = Fraction(1, 1000)
GREY_AT_ZERO, GREY_PER_SECOND = 30, 50


def grey_at(seconds: float) -> float:
    """What a pixel of the lower half shows at that time."""
    return GREY_AT_ZERO + GREY_PER_SECOND * seconds


def write_clip(
    path: Path,
    times: Sequence[int] = range(0, 2000, 40),
    *,
    size: tuple[int, int] = (64, 48),
    waveform: np.ndarray | None = None,
    rate: int = 16_000,
    rotation: int = 0,
    options: dict[str, str] | None = None,
    container_options: dict[str, str] | None = None,
    grey: Callable[[float], float] = grey_at,
) -> Path:
    """Write an MP4 of grey pictures, brighter with time, with a white bar at the top.

    Args:
        path: To write.
        times: Milliseconds at which the pictures are shown.
        size: Width and height.
        waveform: Sound in [-1, 1]; None for a clip without a sound track.
        rate: Of the sound in Hz.
        rotation: Counter-clockwise degrees in the display matrix.
        options: For x264.
        container_options: For the muxer.
        grey: What a pixel shows at a time in seconds.
    """
    width, height = size
    with av.open(str(path), "w", format="mp4", options=container_options or {}) as container:
        video = container.add_stream("libx264", rate=25)
        video.width, video.height, video.pix_fmt = width, height, "yuv420p"
        video.options = {"threads": "1", "crf": "10", **(options or {})}
        video.codec_context.time_base = MILLISECOND
        if rotation:
            video.set_display_rotation(rotation)
        sound = None
        if waveform is not None:
            sound = container.add_stream("aac", rate=rate, layout="mono")
        for time in times:
            picture = np.full((height, width, 3), round(grey(time / 1000)), np.uint8)
            picture[: height // 4] = 255
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = time, MILLISECOND
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        if sound is not None and waveform is not None:
            for start in range(0, len(waveform), 1024):
                piece = av.AudioFrame.from_ndarray(
                    waveform[None, start : start + 1024].astype(np.float32), format="fltp", layout="mono"
                )
                piece.sample_rate, piece.pts, piece.time_base = rate, start, Fraction(1, rate)
                container.mux(sound.encode(piece))
            container.mux(sound.encode(None))
    return path


def write_wav(path: Path, waveform: np.ndarray, rate: int = 16_000) -> Path:
    """Write sound [S] or [S, channels] in [-1, 1] as 16-bit PCM."""
    channels = 1 if waveform.ndim == 1 else waveform.shape[1]
    with wave.open(str(path), "wb") as stream:
        stream.setnchannels(channels)
        stream.setsampwidth(2)
        stream.setframerate(rate)
        stream.writeframes((np.clip(waveform, -1, 1) * 32767).astype("<i2").tobytes())
    return path


def tone(seconds: float, frequency: float = 440.0, rate: int = 16_000) -> np.ndarray:
    """A sine of half the full amplitude."""
    return 0.5 * np.sin(2 * np.pi * frequency * np.arange(round(seconds * rate)) / rate)


def write_training_set(root: Path, names: Sequence[str], make: Callable[[Path], object] = write_clip) -> Path:
    """MER-Caption+ in its official layout; the last clip has no description."""
    folder = root / "mer-caption-plus"
    (folder / "video").mkdir(parents=True)
    (folder / "audio").mkdir()
    for index, name in enumerate(names):
        make(folder / "video" / f"{name}.mp4")
        write_wav(folder / "audio" / f"{name}.wav", tone(1.0 + 0.1 * index))
    subtitles = "".join(f"{name},中文{name},words of {name}\n" for name in names)
    labels = "".join(f"{name},\"['happy', 'calm']\"\n" for name in names)
    reasons = "".join(f"{name},reasons of {name}\n" for name in names[:-1])
    (folder / "subtitle_chieng.csv").write_text("name,chinese,english\n" + subtitles, encoding="utf-8")
    (folder / "track2_train_mercaptionplus.csv").write_text("name,openset\n" + labels, encoding="utf-8")
    (folder / "track3_train_mercaptionplus.csv").write_text("name,reason\n" + reasons, encoding="utf-8")
    return root


def write_test_set(root: Path, names: Sequence[str]) -> Path:
    """MER2024 in its official layout."""
    folder = root / "mer2024-dataset-process"
    (folder / "video").mkdir(parents=True)
    (folder / "audio").mkdir()
    for name in names:
        write_clip(folder / "video" / f"{name}.mp4", range(0, 800, 40))
        write_wav(folder / "audio" / f"{name}.wav", tone(0.8))
    subtitles = "".join(f"{name},中文,words\n" for name in names)
    (folder / "transcription-engchi-polish.csv").write_text("name,chinese,english\n" + subtitles, encoding="utf-8")
    return folder
