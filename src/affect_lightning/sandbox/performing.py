"""The performer: a ClipScript becomes an MP4 (H.264, AAC) and a WAV of a drawn person who speaks, and face crops.

Picture and sound are drawn from separate random streams of the script's seed: the picture depends on face code,
intensity, identity and the speech's loudness envelope, the sound on voice code, intensity and identity. `authoring.py`
writes scripts, `generation.py` calls `perform` in several processes. Faults for later stages are planted here. The
official corpora hold exactly such pairs of files (`video/NAME.mp4`, `audio/NAME.wav`). One encoder thread, no dates in
the file: the same input gives the same bytes. The layout `released` has face crops next to the clips, as the authors
release them: uint8 [T, H, W, 3] in a `.npy` file, written by OpenCV, so the channels are blue, green, red
(docs/faces.md). The face is cut at its true box, which stands for what OpenFace finds.
"""

from __future__ import annotations

import io
import wave
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np

from affect_lightning.errors import DataError
from affect_lightning.sandbox.action_units import (
    FRAMES_PER_SECOND,
    LONGEST_FRAMES,
    SHORTEST_FRAMES,
    ActionUnits,
    perform_face_code,
    pose_of,
)
from affect_lightning.sandbox.emotions import ClipScript, Fault, LengthFault
from affect_lightning.sandbox.face_features import FaceArtist, jaw_drop
from affect_lightning.sandbox.identities import IDENTITIES, Identity
from affect_lightning.sandbox.scenery import (
    PICTURE_HEIGHT,
    PICTURE_WIDTH,
    Placement,
    draw_background,
    draw_body,
    draw_light,
    face_box,
    paste_head,
    place_head,
)
from affect_lightning.sandbox.speech import SAMPLE_RATE, mouth_opening, room_noise, speak
from affect_lightning.storage import write_whole

_MILLISECOND = Fraction(1, 1000)
_AUDIO_FRAME = 1024  # samples in one AAC frame
_SAMPLES_PER_FRAME = SAMPLE_RATE // FRAMES_PER_SECOND
_FRAME_MILLISECONDS = 1000 // FRAMES_PER_SECOND
#: A truncated file keeps this share of its bytes; the index at the end is lost.
_TRUNCATED_SHARE = 0.6
#: A rotated clip is stored as a phone's sensor sees it, turned clockwise; players turn it back counter-clockwise.
_ROTATION = 90


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


@dataclass(frozen=True)
class ClipMeasure:
    """What is known about a performed clip.

    Attributes:
        seconds: Length of the clip (of its sound where the picture is a single frame).
        frames: T, pictures stored in the MP4; of a truncated file: before it was cut.
        face_boxes: [T, 4] x0, y0, x1, y1 of the speaker's face (hairline to chin) in pixels of the upright picture, or
            None where no face is shown.
    """

    seconds: float
    frames: int
    face_boxes: np.ndarray | None


@dataclass(frozen=True)
class _Actor:
    """One person in the picture: how to draw them, where they are and what their face does, T frames each."""

    artist: FaceArtist
    placement: Placement
    units: list[ActionUnits]


def perform(script: ClipScript, video_path: Path, audio_path: Path) -> ClipMeasure:
    """Draw, speak and write one clip.

    The planted faults:

    - `truncated`: the MP4 is cut after 60% of its bytes and cannot be opened; the WAV is whole.
    - `no_audio`: the MP4 has no audio track and no WAV is written.
    - `no_face`: background only. `two_faces`: a second person next to the speaker, silent, lips barely moving.
    - `one_frame`: the MP4 holds one picture, with the whole sound.
    - `rotated`: pictures are stored turned by 90 degrees clockwise with a display matrix that turns them back, as
      phones do; PyAV gives the stored pictures and tells the angle as `VideoFrame.rotation`.
    - `variable_frame_rate`: about 30% of the pictures are left out and the others come up to 19 ms late.
    - `silent`: audio track and WAV hold digital silence; the lips move.
    - `unseen_voice`: somebody else's voice; the visible person's lips rest, or speak the sentence `lips` meanwhile.
    - `wrong_description` and the others of a description: faults of the annotation; performed like any other clip.

    Args:
        script: What to perform.
        video_path: MP4 to write; its folder must exist.
        audio_path: WAV to write (not for the fault `no_audio`); its folder must exist.

    Returns:
        Length, number of frames and true face boxes.

    Raises:
        DataError: The script names an identity that does not exist, or its sentence does not fit into a clip.
        ConfigurationError: The speech synthesiser is missing or broken.
        OSError: The files cannot be written.
    """
    identity = _identity(script.identity)
    picture_random, sound_random = (np.random.default_rng([script.seed, stream]) for stream in (1, 2))
    speech, waveform = _perform_sound(script, sound_random)
    frames = len(waveform) // _SAMPLES_PER_FRAME
    times = _frame_times(script.fault, frames, np.random.default_rng([script.seed, 3]))
    lips = _foreign_speech(script, len(waveform)) if script.fault == "unseen_voice" else speech
    opening = mouth_opening(lips, frames)
    actors = _cast(script, identity, opening, picture_random)
    background, light = draw_background(picture_random), draw_light(picture_random)
    shown = [time // _FRAME_MILLISECONDS for time in times]
    pictures = _draw_pictures(actors, background, light, shown)
    size, rotation = (PICTURE_WIDTH, PICTURE_HEIGHT), 0
    if script.fault == "rotated":
        pictures = (cv2.rotate(picture, cv2.ROTATE_90_CLOCKWISE) for picture in pictures)
        size, rotation = (PICTURE_HEIGHT, PICTURE_WIDTH), _ROTATION
    content = encode_mp4(pictures, times, None if script.fault == "no_audio" else waveform, size, rotation)
    if script.fault == "truncated":
        content = content[: int(len(content) * _TRUNCATED_SHARE)]
    if script.fault != "no_audio":
        write_whole(audio_path, encode_wav(waveform), durable=False)
    write_whole(video_path, content, durable=False)
    return ClipMeasure(frames / FRAMES_PER_SECOND, len(times), _true_boxes(identity, actors, shown))


def _identity(index: int) -> Identity:
    """The person of this index."""
    if not 0 <= index < len(IDENTITIES):
        raise DataError(
            f"The script names identity {index}. Expected 0 to {len(IDENTITIES) - 1}: choose from TRAINING_IDENTITIES "
            "or TEST_IDENTITIES of affect_lightning.sandbox.identities."
        )
    return IDENTITIES[index]


def _perform_sound(script: ClipScript, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """The clean speech placed in the clip, and the clip's sound; both [S], whole frames, 2 to 5 s."""
    speaker = script.identity
    if script.fault == "unseen_voice":
        speaker = (script.identity + int(generator.integers(1, len(IDENTITIES)))) % len(IDENTITIES)
    spoken = speak(script.sentence_english, IDENTITIES[speaker].voice, script.voice, script.intensity, generator)
    lead_in, lead_out = (round(SAMPLE_RATE * generator.uniform(0.15, 0.27)) for _ in range(2))
    frames = -(-(lead_in + len(spoken) + lead_out) // _SAMPLES_PER_FRAME)
    frames = min(max(frames, SHORTEST_FRAMES), LONGEST_FRAMES)
    speech = np.zeros(frames * _SAMPLES_PER_FRAME, np.float32)
    start = lead_in + max(0, len(speech) - lead_in - len(spoken) - lead_out) // 2
    speech[start : start + len(spoken)] = spoken
    sound = np.zeros_like(speech) if script.fault == "silent" else speech + room_noise(len(speech), generator)
    return speech, sound


def _foreign_speech(script: ClipScript, samples: int) -> np.ndarray:
    """What the visible person says while an unseen one is heard: [S], silence where the lips rest."""
    speech = np.zeros(samples, np.float32)
    if script.lips is None:
        return speech
    generator = np.random.default_rng([script.seed, 4])
    spoken = speak(script.lips, _identity(script.identity).voice, script.voice, script.intensity, generator)
    start = round(SAMPLE_RATE * generator.uniform(0.15, 0.27))
    spoken = spoken[: samples - start]
    speech[start : start + len(spoken)] = spoken
    return speech


def _frame_times(fault: Fault | LengthFault | None, frames: int, generator: np.random.Generator) -> list[int]:
    """When each picture is shown, in milliseconds: evenly, once, or irregularly."""
    times = np.arange(frames) * _FRAME_MILLISECONDS
    if fault == "one_frame":
        times = times[:1]
    elif fault == "variable_frame_rate":
        kept = generator.uniform(size=frames) < 0.7
        kept[0] = kept[-1] = True
        jitter = generator.integers(0, _FRAME_MILLISECONDS // 2, frames)
        jitter[0] = 0
        times = (times + jitter)[kept]
    return [int(time) for time in times]


def _cast(script: ClipScript, identity: Identity, opening: np.ndarray, generator: np.random.Generator) -> list[_Actor]:
    """The people in the picture, the speaker last; nobody for the fault `no_face`."""
    frames = len(opening)
    if script.fault == "no_face":
        return []
    if script.fault != "two_faces":
        placement = place_head(frames, generator)
        units = perform_face_code(script.face, script.intensity, opening, generator)
        return [_Actor(FaceArtist(identity), placement, units)]
    side = 1 if generator.uniform() < 0.5 else -1
    placement = place_head(frames, generator, PICTURE_WIDTH / 2 + side * 70, largest=125.0)
    units = perform_face_code(script.face, script.intensity, opening, generator)
    beside = (script.identity + int(generator.integers(1, len(IDENTITIES)))) % len(IDENTITIES)
    murmur = 0.12 * np.abs(np.sin(np.arange(frames) * generator.uniform(0.2, 0.4)))
    other = _Actor(
        FaceArtist(IDENTITIES[beside]),
        place_head(frames, generator, PICTURE_WIDTH / 2 - side * 75, largest=108.0),
        perform_face_code("rest", 0.4, murmur, generator),
    )
    return [other, _Actor(FaceArtist(identity), placement, units)]


def _draw_pictures(
    actors: list[_Actor], background: np.ndarray, light: np.ndarray, shown: list[int]
) -> Iterator[np.ndarray]:
    """The pictures of the frames shown, uint8 [height, width, 3] each."""
    still = background.copy()
    for actor in actors:
        draw_body(still, actor.artist.identity, actor.placement)
    posed, heads = -1, []
    for frame in shown:
        if pose_of(frame) != posed:
            posed = pose_of(frame)
            heads = [actor.artist.draw(actor.units[posed]) for actor in actors]
        picture = still.copy()
        for actor, head in zip(actors, heads, strict=True):
            paste_head(picture, head, actor.placement.transforms[frame], actor.artist.extent)
        yield cv2.multiply(picture, light, scale=1 / 128)


def _true_boxes(identity: Identity, actors: list[_Actor], shown: list[int]) -> np.ndarray | None:
    """The speaker's face boxes [T, 4], or None without a speaker."""
    if not actors:
        return None
    speaker = actors[-1]
    boxes = [
        face_box(identity, speaker.placement.transforms[frame], jaw_drop(speaker.units[pose_of(frame)]))
        for frame in shown
    ]
    return np.stack(boxes).astype(np.float32)


CROPS = 16  # of a clip, spread evenly over it; our choice: twice the 8 that the model sees
SIZE = 96  # pixels a side; our choice: a drawn face is about 100 high, and a clip's crops take 0.4 MB
_MARGIN = 0.1  # of the box on each side; our choice


def write_face_crops(video: Path, boxes: Sequence[Sequence[float]], path: Path) -> None:
    """Cut the speaker's face out of a clip's pictures.

    Args:
        video: The MP4.
        boxes: x0, y0, x1, y1 of the face in each of its T pictures, in pixels of the upright picture.
        path: The file to write; its folder is made.

    Raises:
        av.FFmpegError: The video cannot be read.
        OSError: The file cannot be written.
    """
    wanted = {round(place) for place in np.linspace(0, len(boxes) - 1, min(CROPS, len(boxes)))}
    crops = []
    with av.open(str(video)) as container:
        for index, frame in enumerate(container.decode(video=0)):
            if index in wanted:
                picture = np.rot90(frame.to_ndarray(format="bgr24"), round(frame.rotation / 90) % 4)
                crops.append(_crop(picture, boxes[index]))
    write_whole(path, lambda file: np.save(file, np.stack(crops)), durable=False)


def _crop(picture: np.ndarray, box: Sequence[float]) -> np.ndarray:
    """A square around the box [SIZE, SIZE, 3]; black where it sticks out of the picture [H, W, 3]."""
    x0, y0, x1, y1 = box
    side = max(x1 - x0, y1 - y0) * (1 + 2 * _MARGIN)
    left, top = (x0 + x1 - side) / 2, (y0 + y1 - side) / 2
    scale = SIZE / side
    shift = np.array([[scale, 0, -left * scale], [0, scale, -top * scale]])
    return np.asarray(cv2.warpAffine(np.ascontiguousarray(picture), shift, (SIZE, SIZE)), np.uint8)
