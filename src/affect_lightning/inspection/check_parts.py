"""Checks that several machines divide: each reads the clips that a hash of their names gives it; a merge joins the journals.

`clip_checks.py` has the journal and the checks, `storage/parts.py` keeps the parts, `command_line/doctor_command.py` asks.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from affect_lightning.contracts import ClipRecord
from affect_lightning.inspection.clip_checks import Checking, CheckJournal, ClipCheck, clip_key
from affect_lightning.storage import Part, PartError, WorkInParts

NAMED = 5  # clips that a message names (our choice)
_JOURNAL = "checks.jsonl"


def checks_in_parts(journal: Path, clips: Sequence[ClipRecord], checking: Checking) -> WorkInParts:
    """The parts of a check, in a folder next to its journal.

    Args:
        journal: Of the whole check.
        clips: All clips.
        checking: How they are checked; the parts must agree on it.
    """
    names = hashlib.sha256()
    for clip in clips:
        names.update(f"{clip.corpus}\0{clip.name}\n".encode("utf-8", "surrogateescape"))
    options: dict[str, Any] = json.loads(checking.settings)
    request = {f"data.{name}": value for name, value in options.items()}
    request |= {"--timeout": checking.seconds, "number of clips": len(clips), "hash of their names": names.hexdigest()}
    return WorkInParts(journal.with_suffix(".parts"), request)


def part_journal(folder: Path) -> Path:
    """Journal in the folder of a part."""
    return folder / _JOURNAL


def clips_of_part(clips: Sequence[ClipRecord], part: Part) -> list[ClipRecord]:
    """The clips that a part checks."""
    return [clip for clip in clips if _is_of(part, clip)]


def _is_of(part: Part, clip: ClipRecord) -> bool:
    return part.has(f"{clip.corpus}\0{clip.name}")


def join_checks(clips: Sequence[ClipRecord], checking: Checking, journal: CheckJournal, parts: WorkInParts) -> None:
    """Bring what finished parts found into the journal of the whole check, in the clips' order.

    Args:
        clips: All clips.
        checking: How they were checked.
        journal: Of the whole check; what it knows already stays.
        parts: Of the check.

    Raises:
        PartError: A part is missing, unfinished or of another check, or a clip has changed since.
    """
    keyed = {clip_key(clip, checking.settings, checking.checker.files_of_plugins(clip)): clip for clip in clips}
    wanted = {key: clip for key, clip in keyed.items() if key not in journal.known}
    if not wanted:
        return
    done = parts.finished()
    known = {one.part: CheckJournal(part_journal(one.folder)).known for one in done}
    found: dict[str, ClipCheck] = {}
    lacking: dict[Part, list[str]] = {}
    for key, clip in wanted.items():
        part = next(part for part in known if _is_of(part, clip))
        check = known[part].get(key)
        if check is None:
            lacking.setdefault(part, []).append(clip.name)
        else:
            found[key] = check
    if lacking:
        named = "; ".join(
            f"{part} ({len(names)} clips, such as {', '.join(names[:NAMED])})" for part, names in lacking.items()
        )
        raise PartError(f"Run these parts again, then merge again: files of their clips have changed since. {named}.")
    for key, check in found.items():
        journal.add(key, check)
