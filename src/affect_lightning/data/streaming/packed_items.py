"""A clip as the parts of a shard's item, and back: the annotation as JSON, then the bytes of its files.

litdata stores an item as the sizes of its parts (uint32 each) followed by the parts. Neighbours: `packing.py` writes
items, `packed_clips.py` reads them.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from affect_lightning.contracts import ClipRecord
from affect_lightning.data.media_files import MediaFiles, PackedFile
from affect_lightning.data.streaming.layout import PackError

FILES = ("video", "audio", "face")  # the parts of a media item after its annotation
MAX_ITEM_BYTES = 2**31  # our choice: litdata counts a shard's bytes in 32 bits


def media_parts(clip: ClipRecord) -> tuple[tuple[bytes, ...], list[tuple[str, Path, str]]]:
    """The parts of a clip's item, and the files that could not be read: stage, path and reason of each."""
    problems: list[tuple[str, Path, str]] = []
    contents: list[bytes] = []
    described: dict[str, Any] = {}
    for stage in FILES:
        path: Path | None = getattr(clip, stage)
        content, problem = (b"", None) if path is None else _content(path, MAX_ITEM_BYTES - sum(map(len, contents)))
        contents.append(content)
        if path is not None:
            described[stage] = {"path": str(path), "problem": problem}
        if path is not None and problem is not None:
            problems.append((stage, path, problem))
    return (annotation_part(clip, described), *contents), problems


def _content(path: Path, room: int) -> tuple[bytes, str | None]:
    """A file's bytes, or why they cannot be had; in the words that `decoding.py` has for it."""
    try:
        if not path.is_file():
            return b"", "it is no regular file." if path.exists() else "the file does not exist."
        if path.stat().st_size > room:
            return b"", f"it is larger than {room >> 20} MiB, too much for a packed clip; cut it into clips."
        return path.read_bytes(), None
    except OSError as error:
        return b"", f"{error.strerror or error}; it could not be read when it was packed."


def annotation_part(clip: ClipRecord, files: dict[str, Any]) -> bytes:
    """A record as JSON; `files` says where the files of the following parts were."""
    annotation = {
        "name": clip.name,
        "corpus": clip.corpus,
        "subtitle_english": clip.subtitle_english,
        "subtitle_chinese": clip.subtitle_chinese,
        "labels": clip.labels,
        "description": clip.description,
        "sentiment": clip.sentiment,
    }
    return json.dumps({"annotation": annotation, "files": files}, separators=(",", ":")).encode("ascii")


def split_item(item: bytes, parts: int) -> list[bytes]:
    """The parts of an item.

    Raises:
        PackError: The sizes do not add up.
    """
    sizes = np.frombuffer(item[: 4 * parts], "<u4").tolist()
    if len(sizes) != parts or 4 * parts + sum(sizes) != len(item):
        raise PackError(f"its {len(item)} bytes are no item of {parts} parts.")
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
    described = json.loads(parts[0])
    annotation, files = described["annotation"], described["files"]
    packed = {
        stage: PackedFile(Path(files[stage]["path"]), content, files[stage]["problem"])
        for stage, content in zip(FILES, parts[1:], strict=False)
        if stage in files
    }
    paths: dict[str, Any] = {stage: file.path for stage, file in packed.items()}
    record = ClipRecord(**{**annotation, "labels": tuple(annotation["labels"]), **paths})
    return record, MediaFiles(**packed)
