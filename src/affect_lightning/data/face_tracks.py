"""The visible person of a clip at a steady rate, and the sound: what speaker detectors get (paper, Section 2).

Models that read eight frames a clip cannot see whether lips fit the words. So a clip is decoded once more, at 25 pictures a
second; a face detector sees some of the pictures, `speaker.py` chooses the face, and its box is followed between them.
`decoding.py` decodes, `contracts.speakers` has the form. Legend: T pictures, S audio samples, H height and W width in pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from affect_lightning.contracts import FaceBox, FaceDetector
from affect_lightning.contracts.conformance import check_boxes
from affect_lightning.contracts.speakers import CROP_PER_FACE, CROP_SIDE, FaceWithSound
from affect_lightning.data.decoding import (
    MAX_CLIP_PIXELS,
    check_span,
    decode_by_order,
    decode_clip,
    decode_wanted,
    open_container,
    read_packets,
    track_of,
)
from affect_lightning.data.media_files import MediaFile
from affect_lightning.data.quarantine import UnreadableClipError
from affect_lightning.data.speaker import centre_of, choose_speaker, side_of
from affect_lightning.plugin_loading import held_to_contract

SECONDS = 20.0  # of a clip that are looked at; our choice: who speaks is clear by then, and clips last seconds
PICTURE_BYTES = 256 * 2**20  # of all pictures of a clip, our choice: larger ones are made smaller
LOOKS_PER_SECOND = 8.0  # pictures in which the face is searched; our choice: a head moves little in 1/8 s
SMOOTHED = 5  # boxes over which the median is taken, our choice: 0.6 s
SMALLEST_FACE = 24.0  # pixels, our choice: the mouth of a smaller face has three or four pixels
BEYOND = 110  # grey beyond the edge of the picture, as in the demonstration programs of TalkNet and Light-ASD
NO_PICTURE, NO_SOUND, NO_FACE = "no picture track", "no sound track", "no face"
SMALL_FACE, SOME_FACES = "face too small", "face in few pictures"
SEEN_SHARE = 0.5  # of the pictures that were searched; our choice: a face seen less often is not the clip's person
NOBODY = frozenset({NO_PICTURE, NO_FACE, SMALL_FACE, SOME_FACES})
"""Reasons that say that no person can be seen well enough."""


@dataclass(frozen=True)
class SteadyFrames:
    """Pictures at a steady rate.

    Attributes:
        pictures: The different ones, RGB, uint8 [K, H, W, 3].
        shown: Which of them is shown at each step [T].
        start: When the first is shown, in seconds of the sound.
    """

    pictures: np.ndarray
    shown: np.ndarray
    start: float


@dataclass(frozen=True)
class MissingPart:
    """Why a clip that can be read gives no face with sound.

    Attributes:
        reason: One of the constants of this module.
    """

    reason: str


def read_face_with_sound(
    video: MediaFile, detector: FaceDetector, *, frame_rate: float, sample_rate: int, audio: MediaFile | None = None
) -> FaceWithSound | MissingPart:
    """Read a clip for a speaker detector.

    Args:
        video: The clip.
        detector: Finds the faces.
        frame_rate: Pictures a second.
        sample_rate: Of the sound in Hz.
        audio: Its sound if that is a file of its own.

    Returns:
        The face and the sound, or what the clip lacks.

    Raises:
        UnreadableClipError: A file is missing, broken, truncated or empty.
    """
    with open_container(video, "video") as container:
        tracks = container.streams
        if not tracks.video:
            return MissingPart(NO_PICTURE)
        if audio is None and not tracks.audio:
            return MissingPart(NO_SOUND)
    frames = read_steady_frames(video, frame_rate)
    waveform = decode_clip(video, audio, frame_count=None, sample_rate=sample_rate).waveform
    assert waveform is not None
    boxes = follow_face(frames, detector, frame_rate)
    if isinstance(boxes, MissingPart):
        return boxes
    crops = np.stack([cut_crop(frames.pictures[index], box) for index, box in zip(frames.shown, boxes, strict=True)])
    end = round((frames.start + len(crops) / frame_rate) * sample_rate)
    return FaceWithSound(crops, frames.start, frame_rate, waveform[:end], sample_rate)


def read_steady_frames(video: MediaFile, rate: float) -> SteadyFrames:
    """The pictures that a player shows at `rate` times a second, for the first `SECONDS`.

    Raises:
        UnreadableClipError: The file is missing, broken or empty.
    """
    with open_container(video, "video") as container:
        stream = track_of(container, "video", video)
        packets = read_packets(container, [stream], video)[stream.index]
        if stream.width * stream.height * len(packets) > MAX_CLIP_PIXELS:
            raise UnreadableClipError(video, "video", "it has more pixels than a clip may have; cut it into clips.")
        origin = (container.start_time or 0) / 1e6
        shown = [packet for packet in packets if not packet.is_discard]
        timed = bool(shown) and all(packet.pts is not None for packet in packets)
        if timed:
            check_span(stream, packets, video)
            starts = np.unique([packet.pts for packet in shown])
            unit = float(stream.time_base)
            last = max(shown, key=lambda packet: packet.pts)
            length = (starts[-1] - starts[0] + (last.duration or _step(starts))) * unit
            which = _shown_at((starts - starts[0]) * unit, length, rate)
            wanted = starts[np.unique(which)]
            pictures = decode_wanted(stream, packets, set(wanted.tolist()), _side(stream, len(wanted)))
            if all(pts in pictures for pts in wanted.tolist()):
                places = np.searchsorted(wanted, starts[which])
                begin = max(0.0, float(starts[0] * unit) - origin)
                return SteadyFrames(_stacked([pictures[pts] for pts in wanted.tolist()], video), places, begin)
        by_order, times = decode_by_order(stream, packets, len(packets) + 1, "middle", _side(stream, len(packets)))
        if not by_order:
            raise UnreadableClipError(video, "video", "no frame could be decoded.")
        length = times[-1] + (times[-1] / (len(times) - 1) if len(times) > 1 else 1 / rate)
        return SteadyFrames(_stacked(by_order, video), _shown_at(times, length, rate), 0.0)


def _step(starts: np.ndarray) -> int:
    return int(np.median(np.diff(starts))) if len(starts) > 1 else 1


def _shown_at(starts: np.ndarray, length: float, rate: float) -> np.ndarray:
    """Index of the picture that is shown at each step [T]; half a step's tolerance keeps equal rates one to one."""
    steps = max(1, round(min(length, SECONDS) * rate))
    return np.maximum(np.searchsorted(starts, (np.arange(steps) + 0.5) / rate, side="right") - 1, 0)


def _side(stream: Any, pictures: int) -> int | None:
    """Longest side at which so many pictures keep within `PICTURE_BYTES`; None if they do as they are."""
    share = PICTURE_BYTES / (3 * stream.width * stream.height * pictures)
    return None if share >= 1.0 else max(32, int(max(stream.width, stream.height) * share**0.5))


def _stacked(pictures: Sequence[np.ndarray], video: MediaFile) -> np.ndarray:
    if any(picture.shape != pictures[0].shape for picture in pictures):
        raise UnreadableClipError(video, "video", "the size of its frames changes within the clip.")
    return np.stack(pictures)


def follow_face(frames: SteadyFrames, detector: FaceDetector, rate: float) -> list[FaceBox] | MissingPart:
    """The chosen person's box at each step [T]: searched in some pictures, smoothed, straight lines between them.

    The face is chosen as that of the stream `face` (`speaker.choose_speaker`), so it is the person whom a model sees.
    """
    steps = np.arange(0, len(frames.shown), max(1, round(rate / LOOKS_PER_SECOND)))
    looked = frames.pictures[frames.shown[steps]]
    with held_to_contract(detector):
        found = check_boxes(detector.detect(looked), frames=len(looked))
    chosen = choose_speaker(found, looked)
    known = [index for index, box in enumerate(chosen) if box is not None]
    if not known:
        return MissingPart(NO_FACE)
    if len(known) < SEEN_SHARE * len(chosen):
        return MissingPart(SOME_FACES)
    rows = np.array([[*centre_of(box), side_of(box)] for box in chosen if box is not None])
    if np.median(rows[:, 2]) < SMALLEST_FACE:
        return MissingPart(SMALL_FACE)
    half = SMOOTHED // 2
    padded = np.pad(rows, ((half, half), (0, 0)), mode="edge")
    smooth = np.median(np.lib.stride_tricks.sliding_window_view(padded, SMOOTHED, axis=0), axis=-1)
    everywhere = np.arange(len(frames.shown))
    x, y, side = (np.interp(everywhere, steps[known], column) for column in smooth.T)
    edges = zip(x - side / 2, y - side / 2, x + side / 2, y + side / 2, strict=True)
    return [FaceBox(float(x0), float(y0), float(x1), float(y1), score=1.0) for x0, y0, x1, y1 in edges]


def cut_crop(picture: np.ndarray, box: FaceBox) -> np.ndarray:
    """The crop of a face as `contracts.speakers` describes it: RGB, uint8 [CROP_SIDE, CROP_SIDE, 3].

    Places between pixels are interpolated, so that a face that moves slowly does not jump.
    """
    import cv2

    (x, y), side = centre_of(box), side_of(box) * CROP_PER_FACE
    scale = CROP_SIDE / side
    factor = int(1 / scale)
    if factor >= 2:  # average first: interpolation alone would skip pixels
        height, width = picture.shape[:2]
        size = (max(1, width // factor), max(1, height // factor))
        picture = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
        x, y, scale = x * size[0] / width, y * size[1] / height, scale * factor
    middle = (CROP_SIDE - 1) / 2
    # A pixel's middle is half a pixel from its edge.
    matrix = np.array([[scale, 0.0, middle - scale * (x - 0.5)], [0.0, scale, middle - scale * (y - 0.5)]])
    grey = (BEYOND, BEYOND, BEYOND)
    return np.asarray(
        cv2.warpAffine(picture, matrix, (CROP_SIDE, CROP_SIDE), borderMode=cv2.BORDER_CONSTANT, borderValue=grey)
    )
