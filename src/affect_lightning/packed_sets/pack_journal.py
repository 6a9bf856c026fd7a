"""The journal of a pack: which shards are complete, with what the index needs of their clips.

A shard counts once its line is on the disk; its file is moved to its place before. `packing.py` writes shards, and
joins those of several parts.
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from affect_lightning.packed_sets.layout import CLIP_ROW, PackError, Shard, shard_name
from affect_lightning.storage import DamagedLineError, LineLog

JOURNAL = "journal.jsonl"


@dataclass(frozen=True)
class PackedShard:
    """A shard that is complete.

    Attributes:
        shard: Its file.
        rows: Of its clips, `CLIP_ROW`.
        unreadable: See `Manifest.unreadable`.
    """

    shard: Shard
    rows: np.ndarray
    unreadable: list[dict[str, str]] = field(default_factory=list)


class PackJournal:
    """The complete shards of one request.

    Args:
        file: The journal, made when it is missing.
        folder: Where the shards are.
        request: What is packed, and how; another one cannot be continued.
        is_moving: Whether another journal takes the shards over, so that some may be gone already.

    Raises:
        PackError: The journal is of another request, or a shard that it names is missing or of another size.
    """

    def __init__(self, file: Path, folder: Path, request: dict[str, Any], *, is_moving: bool = False) -> None:
        self.folder, self._is_moving = folder, is_moving
        self.shards: list[PackedShard] = []
        self._log = LineLog(file, checksums=True, durable=True)
        try:
            lines = self._log.records()
        except DamagedLineError as error:
            raise PackError(f"{error} Delete the folder {self.folder} and pack again.") from error
        if not lines:
            self._log.add({"request": request})
            return
        self._check_request(lines[0].get("request"), request)
        for line in lines[1:]:
            self.shards.append(self._checked(line))

    @property
    def clips(self) -> int:
        """Clips in the complete shards."""
        return sum(shard.shard.clips for shard in self.shards)

    def add(self, packed: PackedShard) -> None:
        """Note that a shard is complete; on return the note is on the disk."""
        self._log.add(
            {
                "clips": packed.shard.clips,
                "size": packed.shard.size,
                "sha256": packed.shard.sha256,
                "rows": base64.b64encode(packed.rows.tobytes()).decode("ascii"),
                "unreadable": packed.unreadable,
            }
        )
        self.shards.append(packed)

    def _check_request(self, before: dict[str, Any] | None, now: dict[str, Any]) -> None:
        now = json.loads(json.dumps(now))
        if before == now:
            return
        changed = [
            f"{key} {(before or {}).get(key)!r} -> {now.get(key)!r}"
            for key in {**(before or {}), **now}
            if (before or {}).get(key) != now.get(key)
        ]
        raise PackError(
            f"{self.folder} holds an unfinished pack of something else ({'; '.join(changed)}). Give the same "
            f"options to finish it, choose another folder, or delete this one."
        )

    def _checked(self, line: dict[str, Any]) -> PackedShard:
        path = self.folder / shard_name(len(self.shards))
        found = path.stat().st_size if path.is_file() else None
        if found != line["size"] and not (self._is_moving and found is None):
            raise PackError(
                f"The shard {path} should have {line['size']} bytes and {'is missing' if found is None else f'has {found}'}."
                f" Delete the folder {path.parent} and pack again."
            )
        rows = np.frombuffer(base64.b64decode(line["rows"]), CLIP_ROW)
        return PackedShard(Shard(line["clips"], line["size"], line["sha256"]), rows, line["unreadable"])
