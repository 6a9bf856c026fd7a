"""Decodes a part of a file, such as ten seconds of a talk of an hour, and nothing else of it (ours).

The frames are spread uniformly over the part by time, as `decoding.py` does it over a clip; its bounds hold for the part, not
for the file. FFmpeg seeks to the key frame before the part. `dataset.py` calls `decode_files`, which also knows whole files
(`decoding.py`) and clips in memory (`held_media.py`).
Legend: T frames, S audio samples.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from affect_lightning.data.decoding import (
    MAX_SECONDS,
    MIN_SOUND_SECONDS,
    DecodedClip,
    decode_clip,
    open_container,
    track_of,
)
from affect_lightning.data.frame_choice import FrameChoice, uniform_times
from affect_lightning.data.held_media import decode_held
from affect_lightning.data.media_files import MediaFile, MediaFiles
from affect_lightning.data.picture_conversion import UprightPictures
from affect_lightning.data.quarantine import UnreadableClipError

_MICROSECONDS = 1_000_000  # FFmpeg's unit for a place in a container
Span = tuple[float, float]


def decode_files(files: MediaFiles, **wanted: Any) -> DecodedClip:
    """Decode a clip, wherever it is: in memory, in a part of its files, or in whole files.

    Args:
        files: Of the clip.
        wanted: The keywords of `decode_clip`.

    Raises:
        UnreadableClipError: What is wanted is missing or broken.
    """
    if files.held is not None:
        return decode_held(files.held, **wanted)
    if files.span is not None:
        return decode_span(files.video, files.audio, files.span, **wanted)
    return decode_clip(files.video, files.audio, **wanted)


def decode_span(
    video: MediaFile | None,
    audio: MediaFile | None,
    span: Span,
    *,
    frame_count: int | None,
    sample_rate: int | None,
    frame_choice: FrameChoice = "middle",
) -> DecodedClip:
    """What `decode_clip` gives, of a part of the files.

    Args:
        video: See `decode_clip`.
        audio: See `decode_clip`.
        span: Where the part starts and ends, in seconds from the start of the file.
        frame_count: T, or None to leave the pictures unread.
        sample_rate: Of the waveform in Hz, or None to leave the sound unread.
        frame_choice: Which frame of each of T equal parts of the span.

    Raises:
        UnreadableClipError: A file is missing, broken, or has nothing in the span.
    """
    if not 0 < span[1] - span[0] <= MAX_SECONDS:
        seconds = f"{span[0]:g} to {span[1]:g} s"
        raise UnreadableClipError(video or audio, "video", f"expected a part of 0 to {MAX_SECONDS:g} s; got {seconds}.")
    frames = mask = times = None
    if frame_count is not None:
        frames, mask, times = _frames(video, span, frame_count, frame_choice)
    sound = None if sample_rate is None else span_sound(audio or video, span, sample_rate)
    return DecodedClip(frames, mask, times, sound)


def _frames(
    video: MediaFile | None, span: Span, count: int, choice: FrameChoice
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """T frames, which of them are real, and their times from the start of the span, in seconds."""
    wanted = uniform_times(*span, count)
    if choice == "first":
        wanted = span[0] + (span[1] - span[0]) * np.arange(count) / count
    pictures: list[np.ndarray] = []
    times: list[float] = []
    with open_container(video, "video") as container:
        stream = track_of(container, "video", video)
        convert = UprightPictures(stream.sample_aspect_ratio)
        for time, frame in _shown_frames(container, stream, span, wanted):
            pictures.append(convert(frame))
            times.append(time - span[0])
    if not pictures:
        raise UnreadableClipError(video, "video", f"it shows nothing from {span[0]:g} to {span[1]:g} s.")
    if any(picture.shape != pictures[0].shape for picture in pictures):
        raise UnreadableClipError(video, "video", "the size of its frames changes within the part.")
    frames = np.zeros((count, *pictures[0].shape), dtype=np.uint8)
    frames[: len(pictures)] = pictures
    padded = np.full(count, times[-1])
    padded[: len(times)] = times
    return frames, np.arange(count) < len(pictures), padded


def _shown_frames(container: Any, stream: Any, span: Span, wanted: np.ndarray) -> Iterator[tuple[float, Any]]:
    """The frame that is on the screen at each wanted time, each frame once, with its time."""
    open_times = wanted.tolist()
    before: tuple[float, Any] | None = None
    for time, frame in _decoded(container, stream, span):
        if before is not None and open_times and time > open_times[0]:
            yield before
            open_times = [at for at in open_times if at >= time]
        if not open_times:
            return
        before = (time, frame)
    if before is not None and open_times and before[0] >= span[0]:
        yield before


def _decoded(container: Any, stream: Any, span: Span) -> Iterator[tuple[float, Any]]:
    """Decoded frames from the key frame before the span to its end, with their times from the start of the file."""
    origin = (container.start_time or 0) / _MICROSECONDS
    container.seek(int((span[0] + origin) * _MICROSECONDS))
    for frame in container.decode(stream):
        if frame.time is None:
            continue
        if frame.is_corrupt:
            raise ValueError(f"the frame at {frame.time:.2f} s is damaged")
        time = float(frame.time) - origin
        if time >= span[1]:
            return
        yield time, frame


def span_sound(path: MediaFile | None, span: Span, sample_rate: int) -> np.ndarray:
    """Mono waveform [S] of a part of a file, shorter where the file ends within it.

    Raises:
        UnreadableClipError: There is no sound in the span, or it is broken.
    """
    import av

    pieces: list[np.ndarray] = []
    begin: float | None = None
    with open_container(path, "audio") as container:
        stream = track_of(container, "audio", path)
        resampler = av.AudioResampler(format="fltp", rate=sample_rate)
        for time, frame in _decoded(container, stream, span):
            begin = time if begin is None else begin
            frame.pts = None  # the resampler then counts samples, and fills no gap before the first
            pieces += [piece.to_ndarray().mean(axis=0) for piece in resampler.resample(frame)]
        if begin is not None:
            pieces += [piece.to_ndarray().mean(axis=0) for piece in resampler.resample(None)]
    waveform = np.concatenate(pieces) if pieces else np.zeros(0, np.float32)
    shift = round((span[0] - (begin or 0.0)) * sample_rate)
    waveform = waveform[shift:] if shift >= 0 else np.concatenate([np.zeros(-shift, np.float32), waveform])
    waveform = waveform[: round((span[1] - span[0]) * sample_rate)]
    if len(waveform) < MIN_SOUND_SECONDS * sample_rate or not np.isfinite(waveform).all():
        raise UnreadableClipError(path, "audio", f"it has no sound from {span[0]:g} to {span[1]:g} s.")
    return np.clip(waveform, -1.0, 1.0).astype(np.float32)
