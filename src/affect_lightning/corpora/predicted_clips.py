"""Clips that `predict` answers: named one by one, by folders and patterns, or in a table (ours).

Each gets a name of its own, and a file that is not there is told of before a model is loaded. `own_clips.py` reads the table.
"""

from __future__ import annotations

import glob
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

from affect_lightning.contracts import ClipRecord
from affect_lightning.corpora.annotation_tables import shown
from affect_lightning.corpora.media_folders import AUDIO_SUFFIXES, VIDEO_SUFFIXES
from affect_lightning.corpora.own_clips import OWN_CORPUS, read_table_clips
from affect_lightning.errors import ConfigurationError, DataError

_log = logging.getLogger(__name__)
_PATTERN = frozenset("*?[")


def predicted_clips(
    video: str | Sequence[str] | None,
    audio: str | Sequence[str] | None,
    subtitle: str | Sequence[str] | None,
    table: Path | str | None = None,
    columns: Mapping[str, str] | None = None,
) -> list[ClipRecord]:
    """Records of the clips; clips of one file name are told apart by their folders, such as `a/1` and `b/1`.

    Args:
        video: `data.predict_video`: a file, a folder, a pattern such as `clips/*.mp4`, or several of these.
        audio: `data.predict_audio`, in the same way.
        subtitle: `data.predict_subtitle`.
        table: `data.predict_table`.
        columns: The table's own names of columns, by ours (`data.columns`).

    Raises:
        ConfigurationError: The lists differ in length, a clip is named twice, or a folder or pattern has no clip.
        DataError: The table is missing or broken.
    """
    if table is not None:
        if any(value is not None for value in (video, audio, subtitle)):
            raise ConfigurationError(
                "Give data.predict_table alone: it has columns for video, audio and text, so leave out predict_video, "
                "predict_audio and predict_subtitle."
            )
        return read_table_clips(Path(table), OWN_CORPUS, columns, needs_truth=False)
    videos = _files(video, VIDEO_SUFFIXES, "predict_video")
    sounds = _files(audio, AUDIO_SUFFIXES, "predict_audio")
    subtitles = _listed(subtitle)
    count = max(len(videos), len(sounds))
    for option, values in (("predict_video", videos), ("predict_audio", sounds), ("predict_subtitle", subtitles)):
        if values and len(values) != count:
            raise ConfigurationError(
                f"{option} has {len(values)} entries for {count} clips; give one for each clip, or none."
            )
    names = distinct_names(videos or sounds)
    return [
        ClipRecord(
            name=names[index],
            corpus=OWN_CORPUS,
            video=videos[index] if videos else None,
            audio=sounds[index] if sounds else None,
            subtitle_english=subtitles[index] if subtitles else "",
            subtitle_chinese=subtitles[index] if subtitles else "",
        )
        for index in range(count)
    ]


def check_predicted(clips: Sequence[ClipRecord], *, shows_text: bool) -> None:
    """Refuse no clips and clips whose files are missing or empty, and warn where the prompt would show a text that nobody gave.

    Args:
        clips: To be answered.
        shows_text: Whether the prompt shows text that nobody hears first.

    Raises:
        ConfigurationError: There are no clips.
        DataError: The message names the files.
    """
    if not clips:
        raise ConfigurationError("Set data.predict_video to a video file: predict needs a clip.")
    files = [path for clip in clips for path in (clip.video, clip.audio) if path is not None]
    absent = [str(path) for path in files if not path.is_file()]
    empty = [str(path) for path in files if path.is_file() and not path.stat().st_size]
    for paths, what in ((absent, "not there, or no file"), (empty, "empty")):
        if paths:
            raise DataError(
                f"Correct the path, or leave the clip out: {shown(paths)} ({len(paths)} of {len(files)} files) "
                f"{'is' if len(paths) == 1 else 'are'} {what}."
            )
    silent = sum(not clip.subtitle_english for clip in clips)
    if shows_text and silent:
        _log.warning(
            "Give what is said as data.predict_subtitle, or in the column text of data.predict_table, or hear it with "
            "--transcriber: the prompt shows text, and %d of %d clips have none.",
            silent,
            len(clips),
        )


def distinct_names(paths: Sequence[Path]) -> list[str]:
    """A name for each file: its own without the ending, with as many folders before it as tell it from others.

    >>> distinct_names([Path("x/a/1.mp4"), Path("x/b/1.mp4"), Path("x/2.mp4")])
    ['a/1', 'b/1', '2']

    Raises:
        ConfigurationError: A file comes twice.
    """
    whole = [path.resolve() for path in paths]
    twice = sorted({str(path) for path in whole if whole.count(path) > 1})
    if twice:
        raise ConfigurationError(f"Name each clip once: {shown(twice)} comes more than once in data.predict_video.")
    names = [path.stem for path in whole]
    for depth in range(1, max((len(path.parts) for path in whole), default=1)):
        known = list(names)
        for index, path in enumerate(whole):
            if known.count(known[index]) > 1:
                names[index] = "/".join([*path.parent.parts[-depth:], path.stem])
        if len(set(names)) == len(names):
            return names
    return [path.name if names.count(name) > 1 else name for name, path in zip(names, whole, strict=True)]


def _files(value: str | Sequence[str] | None, suffixes: Sequence[str], option: str) -> list[Path]:
    """The files that the entries mean, in the order of the entries and sorted within one."""
    files: list[Path] = []
    for entry in _listed(value):
        path = Path(entry).expanduser()
        if path.is_dir():
            found = sorted(inside for inside in path.iterdir() if inside.suffix.lower() in suffixes)
        elif _PATTERN & set(entry) and not path.exists():
            found = sorted(Path(match) for match in glob.glob(str(path), recursive=True))
        else:
            found = [path]
        if not found:
            raise ConfigurationError(f"data.{option}: {entry!r} has no file ({', '.join(suffixes)}). Correct the path.")
        files += found
    return files


def _listed(value: str | Sequence[str] | None) -> list[str]:
    if value is None:
        return []
    return [str(value)] if isinstance(value, (str, Path)) else [str(item) for item in value]
