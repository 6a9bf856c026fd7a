"""Which of a training set's clips are used: lists of names to take or leave, a share, a limit; all by stable hashes.

Paper: Section 5 trains on all of MER-Caption+; the selections are ours, for subsets and curves over the amount of data.
Neighbour: `clip_sources.py` reads the sets and asks here. Nothing here depends on the order or number of other clips.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path

from affect_lightning.contracts import ClipRecord
from affect_lightning.corpora.tables import read_text, shown
from affect_lightning.errors import ConfigurationError, DataError

LIST_SUFFIX = ".txt"  # an entry of include or exclude that ends so is a file with a name a line


def stable_share(name: str, purpose: str = "") -> float:
    """A number in [0, 1) that depends on the name alone: which split a clip is in never changes as a set grows.

    Args:
        name: Of the clip.
        purpose: Draws for different purposes are independent: a tenth of the clips is not the same tenth.

    Example:
        >>> 0.0 <= stable_share("sample_00000123") < 1.0
        True
    """
    text = f"{purpose}\0{name}" if purpose else name
    return int.from_bytes(hashlib.sha256(text.encode("utf-8")).digest()[:8], "big") / 2**64


def listed_names(entries: Sequence[str] | str | None, root: Path | None, option: str) -> dict[str, str] | None:
    """The names that an option lists, each with where it stands; None if the option is not set.

    Args:
        entries: Names, or paths of text files (`.txt`, UTF-8, a name a line, empty lines left out), or one of either.
        root: Folder in which a list file is looked for first; then its path is taken as it is.
        option: `include` or `exclude`, for messages.

    Raises:
        DataError: A list file is missing or unreadable.
        ConfigurationError: The option lists nothing.
    """
    if entries is None:
        return None
    names: dict[str, str] = {}
    for entry in [entries] if isinstance(entries, str) else entries:
        if not entry.endswith(LIST_SUFFIX):
            names.setdefault(entry, f"data.{option}")
            continue
        inside = root / entry if root is not None else Path(entry)
        path = inside if inside.is_file() else Path(entry).expanduser()
        for number, line in enumerate(read_text(path).splitlines(), 1):
            if line.strip():
                names.setdefault(line.strip(), f"{path}, line {number}")
    if not names and option == "include":
        raise ConfigurationError("data.include lists no clip. Name some clips, or remove the option to use all clips.")
    return names


def select_clips(
    clips: Iterable[ClipRecord],
    *,
    ratio: float = 1.0,
    include: dict[str, str] | None = None,
    exclude: dict[str, str] | None = None,
) -> list[ClipRecord]:
    """The clips that are used, in their order.

    Args:
        clips: Of all training sets. A listed name means every clip of that name.
        ratio: Share that is used, chosen by a stable hash after the lists (1 uses all).
        include: Names to take, with where each stands; None takes all.
        exclude: Names to leave out, with where each stands.

    Raises:
        DataError: A listed name is no clip of the sets, or one name is on both lists.
        ConfigurationError: `ratio` is not above 0 and at most 1.
    """
    if not 0.0 < ratio <= 1.0:
        raise ConfigurationError(f"ratio must be above 0 and at most 1 (the share of clips used); got {ratio}.")
    kept = list(clips)
    known = {clip.name for clip in kept}
    for option, names in (("include", include), ("exclude", exclude)):
        unknown = [f"{name!r} ({place})" for name, place in (names or {}).items() if name not in known]
        if unknown:
            raise DataError(
                f"{shown(unknown)} {'is' if len(unknown) == 1 else 'are'} on the {option} list, but the training sets "
                f"({len(known)} clips) have no such name ({len(unknown)} of {len(names or {})} listed). Fix the list."
            )
    both = sorted({*(include or {})} & {*(exclude or {})})
    if both:
        raise DataError(
            f"{shown(both)} ({len(both)}): on the include list and on the exclude list. Remove each from one of them."
        )
    if include is not None:
        kept = [clip for clip in kept if clip.name in include]
    if exclude:
        kept = [clip for clip in kept if clip.name not in exclude]
    return [clip for clip in kept if ratio >= 1.0 or stable_share(clip.name, "ratio") < ratio]


def limited_clips(clips: list[ClipRecord], limit: int | None, purpose: str = "") -> list[ClipRecord]:
    """At most `limit` clips, the same for every run and independent of the set's order; the order is kept.

    Args:
        clips: To choose from.
        limit: None takes all.
        purpose: See `stable_share`.

    Raises:
        ConfigurationError: The limit is below 1.
    """
    if limit is None or limit >= len(clips):
        return clips
    if limit < 1:
        raise ConfigurationError(f"A limit of clips must be at least 1; got {limit}.")
    chosen = sorted(range(len(clips)), key=lambda position: stable_share(clips[position].name, purpose))[:limit]
    return [clips[position] for position in sorted(chosen)]
