"""The words of a diagnosis: what was checked, how bad it is, and which clips it concerns."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

Level = Literal["problem", "note"]
NAMED = 10  # names that a table shows; all of them are in the JSON (our choice: fits a line)

CHECKS: dict[str, str] = {
    "annotation-file": "a table or label file is missing, broken or lacks a column",
    "clip-count": "the number of clips differs from Table 11 or corpus.json",
    "missing-file": "the video or sound file of a clip is missing",
    "surplus-file": "no annotation names a video or sound file",
    "missing-subtitle": "a clip has no row in the table of subtitles",
    "missing-face": "a clip has no released face crops, in a set where others have them",
    "missing-words": "a clip has no emotion words, in a set that has them",
    "missing-description": "a clip has no description, in a set that has them",
    "bad-description": "a description of your own table is an error message, a refusal or holds thoughts",
    "unknown-word": "the taxonomy does not know an emotion word, so the metric drops it",
    "unreadable": "training or testing would quarantine a clip",
    "worker-died": "the process that read a clip crashed, ran out of memory or took too long",
    "too-short": "a clip is shorter than --min-seconds",
    "too-long": "a clip is longer than --max-seconds",
    "lengths-differ": "the pictures and the sound of a clip differ in length by more than a second",
    "silent": "the sound of a clip is silence",
    "no-face": "no frame of a clip shows a face",
}


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong, or worth knowing.

    Attributes:
        corpus: Key of the set.
        check: One of `CHECKS`.
        level: A problem counts for the exit code, a note does not.
        names: All clips (or files, or words) that it concerns.
        text: What it means, in a sentence; the whole message where a file cannot be read.
        details: By name: path, stage and reason of an unreadable clip, the seconds of a long one, ...
    """

    corpus: str
    check: str
    level: Level
    names: tuple[str, ...] = ()
    text: str = ""
    details: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class SetSummary:
    """What a set holds.

    Attributes:
        corpus: Its key.
        role: `training` or `test`.
        folder: Where it lies.
        clips: Annotated clips.
        checked: Clips whose media were read, now or in an earlier part of this check.
        seconds: Shortest, median and longest clip; empty if none was read.
        frames: Frames that were read for faces.
        frames_without_face: Those of them without the speaker's face.
        sources: Which of the known places each part came from: labels, subtitles, video, sound, faces, ...
        released_faces: Clips with released face crops.
    """

    corpus: str
    role: str
    folder: str
    clips: int
    checked: int = 0
    seconds: tuple[float, ...] = ()
    frames: int = 0
    frames_without_face: int = 0
    sources: dict[str, str] = field(default_factory=dict)
    released_faces: int = 0


@dataclass(frozen=True)
class Thresholds:
    """Lengths beyond which a clip is listed, in seconds.

    Attributes:
        shortest: Our choice: 0.3 s holds no word.
        longest: Our choice: the sets' clips last seconds; one of minutes was cut wrongly.
        difference: Between pictures and sound of a clip (our choice).
    """

    shortest: float = 0.3
    longest: float = 120.0
    difference: float = 1.0
