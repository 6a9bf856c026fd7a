"""Which of the known places each part of a set came from, and how many clips have released face crops.

A set may have its labels, transcript, media and crops in one of several places (`corpora/sets.py`). The readers take
the first one that exists; this module says which one it was. `annotations.py` checks the content.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from affect_lightning.contracts import ClipRecord
from affect_lightning.corpora import BenchmarkSet
from affect_lightning.corpora.annotation_tables import find_file
from affect_lightning.corpora.media_folders import FACE_FOLDER
from affect_lightning.corpora.sets import subtitle_columns
from affect_lightning.inspection.annotations import FoundSet
from affect_lightning.inspection.findings import Finding


def sources_of(found: FoundSet, clips: Sequence[ClipRecord]) -> dict[str, str]:
    """The places by part: labels, descriptions, clip list, subtitles, video, sound, faces; parts that a set lacks are left out.

    Args:
        found: The set.
        clips: Its clips, as the reader found them.
    """
    item = found.item
    places: dict[str, str] = {}
    if item is None:
        places["labels"] = found.root.name
    elif isinstance(item, BenchmarkSet):
        places["labels"] = find_file(found.folder, item.label_files, "labels").name
        if item.clip_list and (found.folder / item.clip_list).is_file():
            places["clip list"] = item.clip_list
    else:
        places["labels"] = item.label_file
        if item.description_file is not None:
            places["descriptions"] = item.description_file
    if item is not None and item.subtitle_files:
        file = find_file(found.folder, item.subtitle_files, "subtitles").name
        places["subtitles"] = f"{file} ({', '.join(dict.fromkeys(subtitle_columns(file)))})"
    places["video"] = _folders(found.folder, (clip.video for clip in clips), lambda path: path.parent)
    places["sound"] = _folders(found.folder, (clip.audio for clip in clips), lambda path: path.parent)
    places["faces"] = _folders(found.folder, (clip.face for clip in clips), _crops_folder)
    return {part: place for part, place in places.items() if place}


def released_faces(clips: Iterable[ClipRecord]) -> int:
    """Clips that have released face crops."""
    return sum(clip.face is not None for clip in clips)


def missing_faces(corpus: str, clips: Sequence[ClipRecord]) -> list[Finding]:
    """Clips without crops in a set in which others have them: their faces are detected."""
    without = tuple(clip.name for clip in clips if clip.face is None)
    if not without or len(without) == len(clips):
        return []
    text = f"the other {len(clips) - len(without)} clips have released crops; these faces are detected"
    return [Finding(corpus, "missing-face", "note", without, text)]


def _crops_folder(path: Path) -> Path:
    """The pattern by which crops are named, as a path."""
    if path.parent.name == path.stem and path.parent.parent.name == FACE_FOLDER:
        return path.parent.parent / "NAME" / f"NAME{path.suffix}"
    return path.with_name(f"NAME{path.suffix}")


def _folders(root: Path, paths: Iterable[Path | None], place_of: Callable[[Path], Path]) -> str:
    """The places, most frequent first, with their numbers of clips where there are several; no folder that is missing."""
    counts = Counter(place_of(path) for path in paths if path is not None and path.parent.is_dir())
    if len(counts) == 1:
        return _below(root, next(iter(counts)))
    return ", ".join(f"{_below(root, place)} ({number} clips)" for place, number in counts.most_common())


def _below(root: Path, place: Path) -> str:
    return place.relative_to(root).as_posix() if place.is_relative_to(root) else str(place)
