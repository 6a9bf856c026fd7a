"""The clip of a request as files and pictures in memory (ours): `data:` URLs, and other places only where they are allowed.

What is sent is never written to a disk. Files of a folder that is allowed are read in place. `chat_requests.py` has the parts,
`clip_model.py` shows the clip to the network. Legend: N pictures, S samples, H height and W width in pixels.
"""

from __future__ import annotations

import base64
import binascii
import mimetypes
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import numpy as np

from affect_lightning.data.decoding import MAX_PIXELS, decode_clip
from affect_lightning.data.media_files import HeldMedia, MediaFile, MediaFiles, PackedFile
from affect_lightning.serving.chat_requests import ChatRequest, MediaPart, RequestError, kinds_of

MOST_PICTURES = 256  # of a request; our choice
MOST_PIXELS = 2**26  # of all pictures of a request: 192 MB; our choice
_FRAMES_IN_ONE = "video/jpeg"  # vLLM's form of a video as JPEG pictures, joined by commas
_SILENCE_SECONDS = 1.0


@dataclass(frozen=True)
class MediaRules:
    """Where parts may come from.

    Attributes:
        folders: Below which `file:` may point; none by default.
        hosts: Of `http(s):`; none by default.
        most_bytes: Of one part.
        timeout: Seconds to wait for another machine.
    """

    folders: tuple[Path, ...] = ()
    hosts: frozenset[str] = frozenset()
    most_bytes: int = 64 * 2**20
    timeout: float = 20.0


@dataclass(frozen=True)
class WantedStreams:
    """What the network takes of a clip.

    Attributes:
        pictures: Whether it sees.
        sound: Whether it hears.
        sample_rate: Of the sound, in Hz.
        silence_for_none: Whether silence stands in for sound that is not sent.
    """

    pictures: bool
    sound: bool
    sample_rate: int = 16_000
    silence_for_none: bool = False


def media_of(request: ChatRequest, rules: MediaRules, wanted: WantedStreams) -> tuple[MediaFiles, list[str]]:
    """Fetch the clip of a request.

    Returns:
        The clip, and the names of the streams that were not sent and that silence stands in for.

    Raises:
        RequestError: Parts do not go together, may not be fetched, are too large or cannot be decoded.
        UnreadableClipError: The sound cannot be decoded.
    """
    kinds = kinds_of(request.media)
    _check_parts(kinds, wanted)
    audio = next((fetched(part, rules) for part in kinds["audio"]), None)
    frames = None
    if kinds["video"]:
        part = kinds["video"][0]
        if not part.url.startswith(f"data:{_FRAMES_IN_ONE}"):
            return MediaFiles(video=fetched(part, rules), audio=audio), []
        frames = _pictures([(part, _decoded(one, part)) for one in part.url.partition(",")[2].split(",")])
    elif kinds["image"]:
        frames = _pictures([(part, content_of(fetched(part, rules))) for part in kinds["image"]])
    sound, missing = _sound(audio, wanted)
    return MediaFiles(held=HeldMedia(frames, sound, wanted.sample_rate)), missing


def _check_parts(kinds: dict[str, list[MediaPart]], wanted: WantedStreams) -> None:
    """Refuse what is not one clip, what is not seen or heard, and what is missing."""
    for kind, most in (("video", 1), ("audio", 1), ("image", MOST_PICTURES)):
        if len(kinds[kind]) > most:
            raise RequestError(
                f"Send {most} {kind} part{'s' * (most > 1)} at most; got {len(kinds[kind])}.", param="messages"
            )
    if kinds["video"] and kinds["image"]:
        raise RequestError("Send a video or pictures, not both: they would be two clips.", param="messages")
    for kind, takes, sense in (("image", wanted.pictures, "sees"), ("audio", wanted.sound, "hears")):
        if kinds[kind] and not takes:
            raise RequestError(f"Leave the {kind} parts out: this network {sense} nothing.", param=kinds[kind][0].param)
    if kinds["video"] and not (wanted.pictures or wanted.sound):
        raise RequestError("Leave the video out: this network reads text alone.", param=kinds["video"][0].param)
    if wanted.pictures and not kinds["video"] and not kinds["image"]:
        raise RequestError(
            "Send a video or pictures, as `video_url` or `image_url`: this network sees.", param="messages"
        )


def _sound(audio: MediaFile | None, wanted: WantedStreams) -> tuple[np.ndarray | None, list[str]]:
    """The waveform [S] of a sound file, or what stands in for it."""
    if not wanted.sound:
        return None, []
    if audio is not None:
        sound = decode_clip(None, audio, frame_count=None, sample_rate=wanted.sample_rate).waveform
        return (None if sound is None else np.clip(sound, -1.0, 1.0)), []
    if not wanted.silence_for_none:
        raise RequestError(
            "Send the sound as `input_audio`, or a video with its sound: this network hears. `affect-lightning serve "
            "--missing-sound silence` lets silence stand in for it.",
            param="messages",
        )
    return np.zeros(round(_SILENCE_SECONDS * wanted.sample_rate), dtype=np.float32), ["audio"]


def fetched(part: MediaPart, rules: MediaRules) -> MediaFile:
    """The file of a part.

    Raises:
        RequestError: It may not be fetched, is too large or is not there.
    """
    scheme = urlsplit(part.url[:2000]).scheme if ":" in part.url[:2000] else ""
    if scheme == "data":
        head, _, data = part.url.partition(",")
        kind = head.removeprefix("data:").partition(";")[0]
        if not head.endswith(";base64"):
            raise RequestError(f"Send {part.param} in base64, such as data:video/mp4;base64,...", param=part.param)
        content = _decoded(data, part)
    elif scheme == "file":
        return _allowed_file(part, rules)
    elif scheme in ("http", "https"):
        kind, content = _from_host(part, rules)
    else:
        raise RequestError(f"Send {part.param} as a data: URL in base64.", param=part.param)
    _check_size(len(content), part, rules)
    ending = mimetypes.guess_extension(kind) or f".{kind.rpartition('/')[2]}"
    return PackedFile(Path(f"{part.kind}{ending}"), content)


def _check_size(size: int, part: MediaPart, rules: MediaRules) -> None:
    if size > rules.most_bytes:
        raise RequestError(
            f"Send a smaller file: {part.param} has more than {rules.most_bytes} bytes.", status=413, param=part.param
        )
    if not size:
        raise RequestError(f"{part.param} is empty.", param=part.param)


def content_of(file: MediaFile) -> bytes:
    """The bytes of a file."""
    return file.content if isinstance(file, PackedFile) else file.read_bytes()


def _decoded(data: str, part: MediaPart) -> bytes:
    try:
        return base64.b64decode("".join(data.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise RequestError(f"{part.param} is not base64 ({error}).", param=part.param) from error


def _allowed_file(part: MediaPart, rules: MediaRules) -> Path:
    """A file of this machine, which no link leads out of the allowed folders. What is elsewhere is not told apart."""
    place = urlsplit(part.url)
    try:
        path = Path(unquote(place.path)).resolve()
        allowed = any(path.is_relative_to(folder.resolve()) for folder in rules.folders)
        is_there = allowed and place.netloc in ("", "localhost") and path.is_file()
    except (OSError, ValueError):
        is_there = False
    if not is_there:
        raise RequestError(
            f"{part.param} names no file below a folder that is allowed. Send it as a data: URL, or start the server with "
            f"--allow-folder DIR.",
            param=part.param,
        )
    _check_size(path.stat().st_size, part, rules)
    return path


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """An allowed host must not send the server to another one."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        """None: the redirect becomes an error."""


def _from_host(part: MediaPart, rules: MediaRules) -> tuple[str, bytes]:
    """Kind and bytes of a file of another machine."""
    try:
        place = urlsplit(part.url)
        named = {place.hostname, f"{place.hostname}:{place.port}"}
    except ValueError as error:
        raise RequestError(f"{part.param} is no address ({error}).", param=part.param) from error
    if not named & rules.hosts:
        raise RequestError(
            f"{part.param} names another machine. Send it as a data: URL, or start the server with --allow-host HOST.",
            param=part.param,
        )
    try:
        with urllib.request.build_opener(_NoRedirects).open(part.url, timeout=rules.timeout) as reply:
            return str(reply.headers.get_content_type()), reply.read(rules.most_bytes + 1)
    except (OSError, ValueError) as error:  # URLError among them
        reason = getattr(error, "reason", None) or type(error).__name__
        raise RequestError(f"{part.param} cannot be fetched ({reason}).", param=part.param) from error


def _pictures(files: Sequence[tuple[MediaPart, bytes]]) -> np.ndarray:
    """The pictures, uint8 [N, H, W, 3] in RGB."""
    import cv2

    pictures: list[np.ndarray] = []
    pixels = 0
    for part, content in files:
        try:
            picture = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR) if content else None
        except cv2.error:  # among them: more pixels than OPENCV_IO_MAX_IMAGE_PIXELS
            picture = None
        if picture is None or picture.shape[0] * picture.shape[1] > MAX_PIXELS:
            raise RequestError(
                f"{part.param} is no picture that can be read; expected JPEG, PNG or WebP of at most {MAX_PIXELS} pixels.",
                param=part.param,
            )
        pixels += picture.shape[0] * picture.shape[1]
        if pixels > MOST_PIXELS or len(pictures) == MOST_PICTURES:
            raise RequestError(
                f"Send fewer or smaller pictures: {MOST_PICTURES} and {MOST_PIXELS} pixels in all at most.",
                status=413,
                param=part.param,
            )
        if pictures and picture.shape != pictures[0].shape:
            raise RequestError(
                f"Send pictures of one size: {part.param} has {picture.shape[1]}x{picture.shape[0]} pixels, the first has "
                f"{pictures[0].shape[1]}x{pictures[0].shape[0]}.",
                param=part.param,
            )
        pictures.append(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB))
    return np.stack(pictures)
