"""Clips whose files do not open, found from their headers before a model is loaded (ours). Nothing is decoded.

`predict` asks, because loading a language model takes minutes. `decoding.py` opens the files and finds what is broken
further on; both kinds end in the quarantine. `doctor` asks for the length that a header gives.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

from affect_lightning.contracts import ClipRecord
from affect_lightning.data.dataset import ReadingOptions
from affect_lightning.data.decoding import open_container, track_of
from affect_lightning.data.media_files import MediaFile
from affect_lightning.data.quarantine import NAMED_CLIPS, BadClip, Quarantine, UnreadableClipError
from affect_lightning.errors import DataError

MOST_OPENED = (
    2000  # our choice: 2 to 4 seconds on a local disk, a minute on a slow network; more clips wait for their turn
)
_log = logging.getLogger(__name__)


def announced_seconds(file: MediaFile, track: str = "video") -> float | None:
    """Length of the pictures, or of the sound, as the file's header says; None if it does not say.

    Args:
        file: With the clip.
        track: `video` or `audio`.

    Raises:
        UnreadableClipError: The file is missing, broken, or lacks the track.
    """
    with open_container(file, track) as container:
        stream = track_of(container, track, file)
        if stream.duration is not None and stream.time_base is not None:
            return float(stream.duration * stream.time_base)
        return None if container.duration is None else float(container.duration / 1e6)


def check_headers(record: ClipRecord, options: ReadingOptions) -> None:
    """Open the media files of a clip and look for the tracks that will be read.

    Raises:
        UnreadableClipError: A file is missing or broken, or lacks the track.
    """
    pictures = "frame" in options.streams or ("face" in options.streams and record.face is None)
    sound = "audio" in options.streams
    if pictures or (sound and record.audio is None):
        with open_container(record.video, "video" if pictures else "audio") as container:
            if pictures:
                track_of(container, "video", record.video)
            if sound and record.audio is None:
                track_of(container, "audio", record.video)
    if sound and record.audio is not None:
        with open_container(record.audio, "audio") as container:
            track_of(container, "audio", record.audio)


def readable_clips(
    records: Sequence[ClipRecord], options: ReadingOptions, quarantine: Quarantine, *, admits: bool = True
) -> list[ClipRecord]:
    """The clips whose files open; the others go into the quarantine, with a warning.

    Args:
        records: The clips; those after the first `MOST_OPENED` are taken as they are.
        options: What is read of them.
        quarantine: Of the run.
        admits: Whether this process counts them; of several processes, one does.

    Raises:
        DataError: None opens, or the quarantine's policy stops at a bad clip.
    """
    bad: dict[int, BadClip] = {}
    for index, record in enumerate(records[:MOST_OPENED]):
        try:
            check_headers(record, options)
        except UnreadableClipError as error:
            path = error.path or str(record.video or record.audio or "")
            bad[index] = BadClip(record.name, record.corpus, path, error.stage, error.reason)
    for clip in bad.values() if admits else ():
        quarantine.admit(clip, len(records))
    named = "; ".join(
        f"{clip.path or clip.name} ({clip.stage}): {clip.reason}" for clip in list(bad.values())[:NAMED_CLIPS]
    )
    if len(bad) == len(records):
        raise DataError(f"Give clips that can be read: none of them could, so nothing was answered. {named}")
    if bad and admits:
        _log.warning("%d of %d clips cannot be read and are left out: %s", len(bad), len(records), named)
    return [record for index, record in enumerate(records) if index not in bad]
