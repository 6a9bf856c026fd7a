"""A clip as the parts of a shard's item, and back: the annotation as JSON, then the bytes of its files.

litdata stores an item as the sizes of its parts (uint32 each) followed by the parts. Neighbours: `packing.py` writes
items, `packed_clips.py` reads them.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from affect_lightning.contracts import ClipRecord
from affect_lightning.data.media_files import MediaFiles, PackedFile

FILES = ("video", "audio", "face")  # the parts of a media item after its annotation
PARTS = {"media": 1 + len(FILES), "features": 2}  # by payload
Parts = tuple[bytes, ...]
Problems = list[tuple[str, str, str]]  # files that could not be read: stage, path and reason
MAX_ITEM_BYTES = 2**31  # our choice: litdata counts a shard's bytes in 32 bits


@dataclass(frozen=True)
class Payload:
    """What of a clip is packed.

    Attributes:
        kind: See `Manifest.payload`.
        parts: The parts of a clip's item, and the files that could not be read; takes the clip's position and record.
        identity: What the parts depend on beside the clip, such as the encoders of cached features.
        beside: Small files that the set carries, by name.
    """

    kind: str
    parts: Callable[[int, ClipRecord], tuple[Parts, Problems]]
    identity: str = ""
    beside: Mapping[str, bytes] = field(default_factory=dict)


def media_parts(position: int, clip: ClipRecord) -> tuple[Parts, Problems]:
    """The parts of a clip's item: its annotation and its files.

    Args:
        position: Among the clips; not needed here.
        clip: Its record.

    Returns:
        The parts, and the files that could not be read.
    """
    problems: Problems = []
    contents: list[bytes] = []
    reasons: dict[str, str] = {}
    for stage in FILES:
        path: Path | None = getattr(clip, stage)
        content, problem = (b"", None) if path is None else _content(path, MAX_ITEM_BYTES - sum(map(len, contents)))
        contents.append(content)
        if path is not None and problem is not None:
            reasons[stage] = problem
            problems.append((stage, str(path), problem))
    return (annotation_part(clip, problems=reasons), *contents), problems


def _content(path: Path, room: int) -> tuple[bytes, str | None]:
    """A file's bytes, or why they cannot be had; in the words that `decoding.py` has for it."""
    try:
        if not path.is_file():
            return b"", "it is not a regular file." if path.exists() else "the file does not exist."
        if path.stat().st_size > room:
            return b"", f"it is larger than {room >> 20} MiB, the most for a packed clip; cut it into clips."
        return path.read_bytes(), None
    except OSError as error:
        return b"", f"{error.strerror or error}; it could not be read when it was packed."


def annotation_part(clip: ClipRecord, **more: Any) -> bytes:
    """A record as JSON, with the paths that its files have, and what else the payload has to say."""
    annotation = {item.name: getattr(clip, item.name) for item in fields(clip)}
    for stage in FILES:
        annotation[stage] = None if annotation[stage] is None else str(annotation[stage])
    return json.dumps({"annotation": annotation, **more}, separators=(",", ":")).encode("ascii")


def read_annotation(part: bytes) -> tuple[ClipRecord, dict[str, Any]]:
    """A record out of its JSON, and what else stands there."""
    more = json.loads(part)
    annotation = more.pop("annotation")
    annotation["labels"] = tuple(annotation["labels"])
    for stage in FILES:
        annotation[stage] = None if annotation[stage] is None else Path(annotation[stage])
    return ClipRecord(**annotation), more


def split_item(item: bytes, parts: int) -> list[bytes] | None:
    """The parts of an item; None if the sizes do not add up."""
    if len(item) < 4 * parts:
        return None
    sizes = np.frombuffer(item[: 4 * parts], "<u4").tolist()
    if 4 * parts + sum(sizes) != len(item):
        return None
    ends = np.cumsum([4 * parts, *sizes]).tolist()
    return [item[start:stop] for start, stop in pairwise(ends)]


def checksum(parts: Sequence[bytes]) -> int:
    """CRC-32 over all parts."""
    value = 0
    for part in parts:
        value = zlib.crc32(part, value)
    return value


def opened_item(parts: Sequence[bytes]) -> tuple[ClipRecord, MediaFiles]:
    """A clip's record, with the paths that its files had, and the files themselves."""
    record, more = read_annotation(parts[0])
    packed = {
        stage: PackedFile(path, content, more["problems"].get(stage))
        for stage, content in zip(FILES, parts[1:], strict=True)
        if (path := getattr(record, stage)) is not None
    }
    return record, MediaFiles(packed.get("video"), packed.get("audio"), packed.get("face"))


MEDIA = Payload("media", media_parts)
