"""The journal of an unfinished pack: which shards are whole, so that a killed pack goes on without losing a clip.

A line is appended after its shard lies complete under its final name; so a shard without a line is
written again, and a clip is in exactly one shard that has a line. Neighbour: `packing.py`.
"""

from __future__ import annotations

import base64
import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from affect_lightning.data.streaming.layout import CLIP_ROW, PackError, Shard, shard_name


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


class Journal:
    """The complete shards of one request.

    Args:
        file: The journal, made when it is missing.
        request: What is packed, and how; another one cannot be continued.

    Raises:
        PackError: The journal is of another request, or a shard that it names is missing or of another size.
    """

    def __init__(self, file: Path, request: dict[str, Any]) -> None:
        self.file = file
        self.shards: list[PackedShard] = []
        lines = self._whole_lines()
        if not lines:
            self._append({"request": request})
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
        self._append(
            {
                "clips": packed.shard.clips,
                "size": packed.shard.size,
                "sha256": packed.shard.sha256,
                "rows": base64.b64encode(packed.rows.tobytes()).decode("ascii"),
                "unreadable": packed.unreadable,
            }
        )
        self.shards.append(packed)

    def _whole_lines(self) -> list[dict[str, Any]]:
        """The lines that were written whole; what a kill left behind them is cut off."""
        if not self.file.is_file():
            return []
        content = self.file.read_bytes()
        whole = content[: content.rfind(b"\n") + 1]
        if len(whole) < len(content):
            with self.file.open("r+b") as stream:
                stream.truncate(len(whole))
        try:
            return [json.loads(line) for line in whole.splitlines()]
        except ValueError as error:
            raise PackError(
                f"The journal {self.file} is damaged ({error}). Delete the folder {self.file.parent.parent} and pack again."
            ) from error

    def _append(self, entry: dict[str, Any]) -> None:
        with self.file.open("ab") as stream:
            stream.write(json.dumps(entry).encode("ascii") + b"\n")
            stream.flush()
            os.fsync(stream.fileno())

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
            f"{self.file.parent.parent} holds an unfinished pack of something else ({'; '.join(changed)}). Give the same "
            f"options to finish it, choose another folder, or delete this one."
        )

    def _checked(self, line: dict[str, Any]) -> PackedShard:
        path = self.file.parent.parent / shard_name(len(self.shards))
        found = path.stat().st_size if path.is_file() else None
        if found != line["size"]:
            raise PackError(
                f"The shard {path} should have {line['size']} bytes and {'is missing' if found is None else f'has {found}'}."
                f" Delete the folder {path.parent} and pack again."
            )
        rows = np.frombuffer(base64.b64decode(line["rows"]), CLIP_ROW)
        return PackedShard(Shard(line["clips"], line["size"], line["sha256"]), rows, line["unreadable"])
