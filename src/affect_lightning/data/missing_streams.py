"""Clips that have no sound, or no pictures: what stands for the missing stream, with a mask that hides all of it (ours).

Paper: Table 3 trains the network, which hears and sees, on sets of pictures (MiniGPT-4, LLaVA, EmoVIT), of videos without
sound (VideoChat) and of sounds alone (WavCaps). `dataset.py` asks here where `missing_streams` is `mask`. A file that is
broken or lost stays a bad clip. Legend: T frames, S samples, H height and W width in pixels.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Literal

import numpy as np

from affect_lightning.data.decoding import MIN_SOUND_SECONDS, open_container
from affect_lightning.data.media_files import MediaFiles

MissingStreams = Literal["quarantine", "mask"]


def has_pictures(files: MediaFiles) -> bool:
    """Whether a clip has pictures: it names a video, or names nothing, which is a fault and no sound alone."""
    return files.video is not None or files.audio is None


def has_sound(files: MediaFiles) -> bool:
    """Whether a clip has sound: a file of it, or a track in its video.

    Raises:
        UnreadableClipError: The video is missing or broken.
    """
    if files.audio is not None or files.video is None:
        return True
    with open_container(files.video, "video") as container:
        return bool(container.streams.audio)


def absent_streams(
    files: MediaFiles, streams: Collection[str], needs_pictures: bool, count: int, size: int, sample_rate: int
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """The wanted streams that a clip's files cannot have: values, and a mask that is False everywhere.

    Args:
        files: Of the clip.
        streams: That are wanted.
        needs_pictures: Whether any of them is made of the video's pictures.
        count: T.
        size: H and W.
        sample_rate: In Hz.

    Returns:
        Black pictures uint8 [T, H, W, 3] for `face` and `frame`, and silence float32 [S] for `audio`.

    Raises:
        UnreadableClipError: The video is missing or broken.
    """
    absent: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    if files.held is not None or files.encoded is not None:
        return absent
    if needs_pictures and not has_pictures(files):
        shown = {"frame"} if files.face is not None else {"face", "frame"}
        pictures = np.zeros((count, size, size, 3), np.uint8), np.zeros(count, np.bool_)
        absent = dict.fromkeys(sorted(shown.intersection(streams)), pictures)
    if "audio" in streams and not has_sound(files):
        samples = round(MIN_SOUND_SECONDS * sample_rate)
        absent["audio"] = np.zeros(samples, np.float32), np.zeros(samples, np.bool_)
    return absent
