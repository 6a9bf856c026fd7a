"""From drawn frames and a waveform to the bytes of an MP4 (H.264, AAC) and of a WAV.

The official corpora hold exactly such pairs (`video/NAME.mp4`, `audio/NAME.wav`), so that the code that reads the
sandbox is the code that reads them. One encoder thread, no dates in the file: the same input gives the same bytes.
"""

from __future__ import annotations

import io
import wave
from collections.abc import Iterable, Sequence
from fractions import Fraction

import av
import cv2
import numpy as np

from affect_lightning.sandbox.action_units import FRAMES_PER_SECOND
from affect_lightning.sandbox.speech import SAMPLE_RATE

_MILLISECOND = Fraction(1, 1000)
_AUDIO_FRAME = 1024  # samples in one AAC frame


def encode_mp4(
    pictures: Iterable[np.ndarray],
    times: Sequence[int],
    waveform: np.ndarray | None,
    picture_size: tuple[int, int],
    rotation: int = 0,
) -> bytes:
    """Encode a clip.

    Args:
        pictures: T pictures, uint8 [height, width, 3], blue, green, red; consumed one by one.
        times: [T] milliseconds at which they are shown, increasing.
        waveform: [S] float in -1 to 1 at 16000 Hz; no audio track when None.
        picture_size: Width and height of the pictures, both even.
        rotation: Degrees, counter-clockwise, by which a player turns the pictures; written to the display matrix.

    Returns:
        The file's bytes. The index is at the end, as phones write it: a cut file cannot be opened.
    """
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as container:
        video = container.add_stream("libx264", rate=FRAMES_PER_SECOND)
        video.width, video.height = picture_size
        video.pix_fmt = "yuv420p"
        video.options = {"preset": "ultrafast", "crf": "24", "g": "25", "threads": "1"}
        video.codec_context.time_base = _MILLISECOND
        video.codec_context.thread_count = 1
        if rotation:
            video.set_display_rotation(rotation)
        audio = None
        if waveform is not None:
            audio = container.add_stream("aac", rate=SAMPLE_RATE, layout="mono")
            audio.bit_rate = 64000
            audio.options = {"aac_coder": "fast"}
            _encode_audio(container, audio, waveform)
        for picture, time in zip(pictures, times, strict=True):
            planes = np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2YUV_I420), np.uint8)
            frame = av.VideoFrame.from_ndarray(planes, format="yuv420p")
            frame.pts, frame.time_base = int(time), _MILLISECOND
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
    return buffer.getvalue()


def _encode_audio(container: av.container.OutputContainer, stream: av.AudioStream, waveform: np.ndarray) -> None:
    """Encode the whole waveform into the stream."""
    for start in range(0, len(waveform), _AUDIO_FRAME):
        block = np.ascontiguousarray(waveform[None, start : start + _AUDIO_FRAME], np.float32)
        frame = av.AudioFrame.from_ndarray(block, format="fltp", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = SAMPLE_RATE, start, Fraction(1, SAMPLE_RATE)
        container.mux(stream.encode(frame))
    container.mux(stream.encode(None))


def encode_wav(waveform: np.ndarray) -> bytes:
    """Encode [S] float samples in -1 to 1 at 16000 Hz as 16-bit mono WAV."""
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(SAMPLE_RATE)
        writer.writeframes(np.rint(np.clip(waveform, -1.0, 1.0) * 32767.0).astype("<i2").tobytes())
    return buffer.getvalue()
