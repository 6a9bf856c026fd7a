"""Forty and more files that are broken, hostile or merely odd, made by hand and always the same: for the data path's tests.

Each is one clip of a MER-Caption+ folder whose video, sound or face file is replaced; `Kind.outcome` says what must
become of it: `bad` (quarantine, with that stage and reason), `reads`, or `either` where that is FFmpeg's to say.
"""

from __future__ import annotations

import os
import pickle
import random
import socket
import struct
import sys
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

import av
import numpy as np

from clip_making import tone, write_clip, write_wav

Outcome = Literal["bad", "reads", "either"]
TIMES = range(0, 600, 40)  # fifteen pictures
SECRET = "the payload ran"


@dataclass(frozen=True)
class Kind:
    """One broken file.

    Attributes:
        name: Of the clip.
        replaced: Which file `make` writes: `video`, `audio` or `face`.
        make: Writes it.
        outcome: What must become of the clip.
        reason: Regular expression that a bad clip's reason must match.
    """

    name: str
    replaced: Literal["video", "audio", "face"]
    make: Callable[[Path], Any]
    outcome: Outcome = "bad"
    reason: str = ""


def _whole(path: Path, *, faststart: bool = True, **options: Any) -> bytes:
    made = path.with_suffix(".made.mp4")
    container_options = {"movflags": "faststart"} if faststart else {}
    content = write_clip(made, TIMES, container_options=container_options, **options).read_bytes()
    made.unlink()
    return content


def _bytes_of(content: bytes) -> Callable[[Path], Any]:
    return lambda path: path.write_bytes(content)


def _changed(change: Callable[[bytes], bytes], **options: Any) -> Callable[[Path], Any]:
    return lambda path: path.write_bytes(change(_whole(path, **options)))


def _garbage(size: int) -> bytes:
    return random.Random(size).randbytes(size)


def _flipped(seed: int) -> Callable[[bytes], bytes]:
    """Sixteen bits of the second half turned over: coded pictures, where the index stands at the front."""

    def flip(content: bytes) -> bytes:
        changed, draw = bytearray(content), random.Random(seed)
        for _ in range(16):
            changed[draw.randrange(len(changed) // 2, len(changed))] ^= 1 << draw.randrange(8)
        return bytes(changed)

    return flip


def _endless_frame(content: bytes) -> bytes:
    """The time-to-sample table with steps of hours: a video that announces centuries."""
    place = content.index(b"stts") + 12
    count = struct.unpack(">I", content[place : place + 4])[0]
    return content[:place] + struct.pack(">II", count, 2**30) + content[place + 8 :]


def _announced_hours(content: bytes) -> bytes:
    """The movie header's duration alone; what the tracks say stays true."""
    place = content.index(b"mvhd") + 4 + 16
    return content[:place] + struct.pack(">I", 2**31 - 1) + content[place + 4 :]


def _video_in(
    path: Path, codec: str, pixel_format: str, size: tuple[int, int], format_name: str = "avi", frames: int = 3
) -> bytes:
    """Flat grey pictures in another codec and container."""
    made = path.with_suffix(".made")
    with av.open(str(made), "w", format=format_name) as container:
        stream = container.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = *size, pixel_format
        picture = av.VideoFrame.from_ndarray(np.full((size[1], size[0], 3), 90, np.uint8), format="rgb24")
        for index in range(frames):
            picture.pts = index
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    content = made.read_bytes()
    made.unlink()
    return content


def _announced_size(content: bytes, width: int, height: int) -> bytes:
    """Another width and height in the header of an AVI."""
    place = content.index(b"strf") + 12
    return content[:place] + struct.pack("<ii", width, height) + content[place + 8 :]


def _sound_only(path: Path) -> None:
    with av.open(str(path), "w", format="mp4") as container:
        stream = container.add_stream("aac", rate=16_000, layout="mono")
        container.mux(stream.encode(_piece(tone(0.064))))
        container.mux(stream.encode(None))


def _piece(waveform: np.ndarray, rate: int = 16_000) -> av.AudioFrame:
    piece = av.AudioFrame.from_ndarray(waveform[None].astype(np.float32), format="fltp", layout="mono")
    piece.sample_rate, piece.pts, piece.time_base = rate, 0, Fraction(1, rate)
    return piece


def _no_frames(path: Path) -> None:
    """A track of pictures without pictures, beside a sound track."""
    with av.open(str(path), "w", format="mp4") as container:
        video = container.add_stream("libx264", rate=25)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        sound = container.add_stream("aac", rate=16_000, layout="mono")
        container.mux(sound.encode(_piece(tone(0.064))))
        container.mux(sound.encode(None))


def _two_sizes(path: Path) -> None:
    """Pictures that change their size: two transport streams, one after the other."""
    path.write_bytes(
        b"".join(_video_in(path, "mpeg2video", "yuv420p", size, "mpegts", 15) for size in ((64, 48), (160, 128)))
    )


def _wav(values: np.ndarray, *, rate: int = 16_000, channels: int = 1, announced: int | None = None) -> bytes:
    """A WAV of 32-bit floats, header by hand."""
    data = values.astype("<f4").tobytes()
    layout = struct.pack("<HHIIHH", 3, channels, rate, min(rate * 4, 2**32 - 1), 4, 32)
    body = b"WAVE" + b"fmt " + struct.pack("<I", len(layout)) + layout
    body += b"data" + struct.pack("<I", len(data) if announced is None else announced) + data
    return b"RIFF" + struct.pack("<I", len(body)) + body


def _hours_of_silence(path: Path) -> None:
    """Two hours in a few kilobytes."""
    with av.open(str(path), "w", format="flac") as container:
        stream = container.add_stream("flac", rate=8_000, layout="mono")
        for index in range(120):
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 480_000), np.int16), format="s16", layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = 8_000, 480_000 * index, Fraction(1, 8_000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def _png(side: int) -> bytes:
    """A picture, not a clip."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = zlib.compress((b"\0" + bytes(side)) * side)
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def _socket(path: Path) -> None:
    """A socket is bound by a short name: the system takes 108 bytes."""
    here = os.getcwd()
    os.chdir(path.parent)
    try:
        with socket.socket(socket.AF_UNIX) as bound:
            bound.bind(path.name)
    finally:
        os.chdir(here)


def _unreadable(path: Path) -> None:
    write_clip(path, TIMES)
    path.chmod(0)


class Payload:
    """Would write a file beside the face crops if a pickle of it were read."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, tuple[str, str]]:
        return _leave_mark, (str(self.path), SECRET)


def _leave_mark(path: str, text: str) -> None:
    Path(path).write_text(text, encoding="utf-8")


def _pickled_faces(path: Path) -> None:
    header = b"{'descr': '|O', 'fortran_order': False, 'shape': (1,), }"
    header += b" " * (63 - (len(header) + 10) % 64) + b"\n"
    content = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header
    path.write_bytes(content + pickle.dumps([Payload(path.with_suffix(".ran"))]))


def _faces(*shape: int, kind: Any = np.uint8) -> Callable[[Path], Any]:
    return lambda path: np.save(path, np.zeros(shape, kind))


def _cut_faces(path: Path) -> None:
    np.save(path, np.zeros((8, 16, 16, 3), np.uint8))
    path.write_bytes(path.read_bytes()[:1000])


def _absurd_faces(path: Path) -> None:
    header = b"{'descr': '|u1', 'fortran_order': False, 'shape': (1000000, 100000, 100000, 3), }"
    header += b" " * (63 - (len(header) + 10) % 64) + b"\n"
    path.write_bytes(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + bytes(100))


def _healthy(path: Path) -> None:
    write_clip(path, TIMES)


MEDIA = "expected a media file"
PLAYLIST = b"#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1:9/a.ts\n#EXT-X-ENDLIST\n"

VIDEOS = [
    Kind("zero_bytes", "video", _bytes_of(b""), reason="it is empty"),
    Kind("text_file", "video", _bytes_of(b"name,openset\na,b\n" * 50), reason=MEDIA),
    Kind("garbage", "video", _bytes_of(_garbage(20_000)), reason=MEDIA),
    Kind("web_page", "video", _bytes_of(b"<!DOCTYPE html><html>404 not found</html>"), reason="a web page"),
    Kind("playlist", "video", _bytes_of(PLAYLIST), reason=MEDIA),
    Kind("picture", "video", _bytes_of(_png(64)), reason=MEDIA),
    Kind("sound_in_mp4", "video", lambda path: write_wav(path, tone(0.5)), reason="no video track"),
    Kind("sound_track_only", "video", _sound_only, reason="no video track"),
    Kind(
        "matroska_in_mp4",
        "video",
        lambda path: path.write_bytes(_video_in(path, "mpeg4", "yuv420p", (64, 48), "matroska", 15)),
        "reads",
    ),
    Kind("no_frames", "video", _no_frames, reason="no video track|empty|expected a media file"),
    Kind("first_box_only", "video", _changed(lambda whole: whole[:28]), reason="no video track|expected a media"),
    Kind("cut_header", "video", _changed(lambda whole: whole[:200]), reason="no video track|expected a media"),
    Kind("cut_in_the_data", "video", _changed(lambda whole: whole[: len(whole) * 2 // 3]), reason="truncated"),
    Kind(
        "cut_before_the_index", "video", _changed(lambda whole: whole[: len(whole) // 2], faststart=False), reason=MEDIA
    ),
    Kind("last_byte_of_the_index", "video", _changed(lambda whole: whole[:-1], faststart=False), "either"),
    Kind("zeros_inside", "video", _changed(lambda whole: whole[:1200] + bytes(len(whole) - 1200))),
    Kind("random_inside", "video", _changed(lambda whole: whole[:1200] + _garbage(len(whole) - 1200))),
    *(Kind(f"flipped_bits_{seed}", "video", _changed(_flipped(seed)), "either") for seed in range(6)),
    Kind(
        "absurd_size",
        "video",
        lambda path: path.write_bytes(_announced_size(_video_in(path, "rawvideo", "bgr24", (64, 48)), 8000, 8000)),
        reason="declares 8000x8000",
    ),
    Kind(
        "impossible_size",
        "video",
        lambda path: path.write_bytes(_announced_size(_video_in(path, "rawvideo", "bgr24", (64, 48)), 30_000, 30_000)),
        reason="declares 0x0",  # FFmpeg forgets it at once
    ),
    Kind(
        "negative_size",
        "video",
        lambda path: path.write_bytes(_announced_size(_video_in(path, "rawvideo", "bgr24", (64, 48)), -64, 0)),
    ),
    Kind(
        "huge_pictures",
        "video",
        lambda path: path.write_bytes(_video_in(path, "png", "rgb24", (4000, 4000), frames=1)),
        reason="4000x4000",
    ),
    Kind(
        "huge_pictures_small_header",
        "video",
        lambda path: path.write_bytes(_announced_size(_video_in(path, "png", "rgb24", (4000, 4000), frames=1), 64, 48)),
        reason="4000x4000",
    ),
    Kind("endless_frames", "video", _changed(_endless_frame), reason="declare .* seconds; expected 0 to 1800"),
    Kind("announced_hours", "video", _changed(_announced_hours), "either"),
    Kind("size_changes", "video", _two_sizes, reason="size|truncated|damaged|media"),
    Kind("negative_times", "video", lambda path: write_clip(path, range(-280, 320, 40)), "reads"),
    Kind(
        "all_before_the_start", "video", lambda path: write_clip(path, range(-600, 0, 40)), reason="no frame could be"
    ),
    Kind("folder", "video", lambda path: path.mkdir(), reason="not a regular file"),
    Kind("link_to_itself", "video", lambda path: path.symlink_to(path.name), reason="does not exist"),
    Kind("link_to_nothing", "video", lambda path: path.symlink_to("nowhere.mp4"), reason="does not exist"),
    Kind("link_to_zeros", "video", lambda path: path.symlink_to("/dev/zero"), reason="not a regular file"),
    Kind("pipe", "video", os.mkfifo, reason="not a regular file"),
    Kind("socket", "video", _socket, reason="not a regular file"),
    Kind("no_permission", "video", _unreadable, "reads" if os.geteuid() == 0 else "bad", "Permission denied"),
]

SOUNDS = [
    Kind("sound_zero_bytes", "audio", _bytes_of(b""), reason="it is empty"),
    Kind("sound_text", "audio", _bytes_of(b"not a sound " * 90), reason=MEDIA),
    Kind("sound_folder", "audio", lambda path: path.mkdir(), reason="not a regular file"),
    Kind("sound_pipe", "audio", os.mkfifo, reason="not a regular file"),
    Kind("sound_no_samples", "audio", lambda path: write_wav(path, np.zeros(0)), reason="empty"),
    Kind("sound_one_sample", "audio", lambda path: write_wav(path, np.full(1, 0.5)), reason="lasts 0.0001 s"),
    Kind("sound_not_a_number", "audio", _bytes_of(_wav(np.full(8000, np.nan))), reason="NaN or infinite values"),
    Kind("sound_infinite", "audio", _bytes_of(_wav(np.full(8000, np.inf))), reason="NaN or infinite values"),
    Kind("sound_cut", "audio", _bytes_of(_wav(tone(1.0))[:20_000]), reason="truncated"),
    Kind("sound_header_only", "audio", _bytes_of(_wav(np.zeros(0), announced=64_000)), reason="empty|truncated"),
    Kind("sound_one_hertz", "audio", _bytes_of(_wav(np.zeros(90_000), rate=1)), reason="1 samples a second"),
    Kind("sound_billions_of_hertz", "audio", _bytes_of(_wav(np.zeros(8000), rate=2**32 - 1))),
    Kind("sound_no_channels", "audio", _bytes_of(_wav(np.zeros(8000), channels=0))),
    Kind("sound_of_hours", "audio", _hours_of_silence, reason="more than 1800 seconds"),
    Kind("video_without_sound", "audio", _healthy, reason="no audio track"),
]

FACES = [
    Kind("faces_zero_bytes", "face", _bytes_of(b""), reason="it is empty"),
    Kind("faces_text", "face", _bytes_of(b"not an array"), reason="expected a NumPy file"),
    Kind("faces_pickled", "face", _pickled_faces, reason="pickled objects or no array; expected a NumPy file"),
    Kind("faces_cut", "face", _cut_faces, reason="expected a NumPy file"),
    Kind("faces_absurd", "face", _absurd_faces, reason="expected a NumPy file"),
    Kind("faces_of_floats", "face", _faces(8, 16, 16, 3, kind=np.float32), reason="float32 .*expected uint8"),
    Kind("faces_without_colour", "face", _faces(8, 16, 16), reason="expected uint8"),
    Kind("faces_none", "face", _faces(0, 16, 16, 3), reason="T at least 1"),
]

ODD_NAMES = [
    Kind(name, "video", _healthy, "reads")
    for name in (
        "a name with spaces",
        "it's a clip",
        'the "quoted" clip',
        "片段_零一",
        "clip_😀🎬",
        "100%_#1_[a]{b}&c;d",
        "-dash",
        "émotion_ñ",
        "x" * 200,
    )
]
if sys.getfilesystemencoding() == "ascii":  # LC_ALL=C with Python's UTF-8 mode off: no such file can be named
    ODD_NAMES = [kind for kind in ODD_NAMES if kind.name.isascii()]
HEALTHY = [Kind(f"healthy_{index}", "video", _healthy, "reads") for index in range(4)]
KINDS = (*VIDEOS, *SOUNDS, *FACES, *ODD_NAMES, *HEALTHY)


def write_broken_set(root: Path, kinds: tuple[Kind, ...] = KINDS) -> Path:
    """MER-Caption+ in its official layout, with these clips; returns `root`."""
    folder = root / "mer-caption-plus"
    for part in ("video", "audio", "openface_face"):
        (folder / part).mkdir(parents=True)
    healthy = _whole(root / "healthy")
    for kind in kinds:
        video, audio = folder / "video" / f"{kind.name}.mp4", folder / "audio" / f"{kind.name}.wav"
        face = folder / "openface_face" / kind.name / f"{kind.name}.npy"
        if kind.replaced != "video":
            video.write_bytes(healthy)
        if kind.replaced != "audio":
            write_wav(audio, tone(0.6))
        if kind.replaced == "face":
            face.parent.mkdir()
        kind.make({"video": video, "audio": audio, "face": face}[kind.replaced])
    names = [kind.name for kind in kinds]
    tables = {
        "subtitle_chieng.csv": ("name,chinese,english", "你好,hello"),
        "track2_train_mercaptionplus.csv": ("name,openset", "\"['happy']\""),
        "track3_train_mercaptionplus.csv": ("name,reason", "because"),
    }
    for file, (header, cells) in tables.items():
        rows = "".join('"{}",{}\n'.format(name.replace('"', '""'), cells) for name in names)
        (folder / file).write_text(f"{header}\n{rows}", encoding="utf-8")
    return root
