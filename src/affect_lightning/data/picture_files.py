"""Picture files as clips of one frame, for training sets of pictures (paper, Table 3: MiniGPT-4, LLaVA, EmoVIT).

The name says that a file is a picture, its first bytes say which kind; `decoding.py` then opens it with the reader for that
kind alone. A picture that has a video's name stays a broken clip.
"""

from __future__ import annotations

from pathlib import Path

from affect_lightning.corpora.media_folders import PICTURE_SUFFIXES
from affect_lightning.data.media_files import MediaFile, NamedBytes

_FORMATS = ((b"\xff\xd8\xff", "jpeg_pipe"), (b"\x89PNG", "png_pipe"), (b"RIFF", "webp_pipe"), (b"BM", "bmp_pipe"))
_HEAD = 4  # bytes


def picture_format(file: MediaFile, source: str | NamedBytes) -> str | None:
    """FFmpeg's name for the reader of a picture file; None for a file that is no picture by its name.

    Args:
        file: With the name.
        source: Its path, or its bytes.

    Raises:
        ValueError: It is named a picture and is of no kind that is read.
        OSError: It cannot be read.
    """
    if file.suffix.lower() not in PICTURE_SUFFIXES:
        return None
    if isinstance(source, str):
        with Path(source).open("rb") as opened:
            head = opened.read(_HEAD)
    else:
        head = source.getvalue()[:_HEAD]
    for beginning, form in _FORMATS:
        if head.startswith(beginning):
            return form
    raise ValueError(f"it begins with {head!r}, which is no JPEG, PNG, WebP or BMP")
