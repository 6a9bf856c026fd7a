"""cache.json: what a folder of cached features is, written once before the first clip.

    FOLDER/<streams and encoders>-<hash>/cache.json            the identity (identity.py)
                                         shard-RRR-NNNN.bin    features, one clip after the other (shards.py)
                                         shard-RRR-NNNN.jsonl  journal: one line a batch
                                         checked.jsonl         files that were hashed again later (matching.py)
                                         writing.lock, writing-RRR.lock    held while the command, its process RRR, write

Neighbours: `identity.py` says what differs, `source.py` looks for the cache that serves a training.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, get_args

import torch

from affect_lightning.data.feature_cache.identity import FeaturePrecision, StreamIdentity, identity_digest
from affect_lightning.errors import DataError
from affect_lightning.storage import write_whole

MANIFEST = "cache.json"
FORMAT, FORMAT_VERSION = "affect-lightning features", 1
STORED_TYPES = {"bf16": torch.bfloat16, "fp32": torch.float32}


@dataclass(frozen=True)
class CacheManifest:
    """A cache's identity.

    Attributes:
        streams: Identity by stream; their order is the order of the features in a shard.
        precision: In which features are stored: bf16 or fp32.
        arithmetic: In which encoders computed them: bf16, fp16 or fp32.
    """

    streams: Mapping[str, StreamIdentity]
    precision: FeaturePrecision
    arithmetic: str

    @property
    def widths(self) -> dict[str, int]:
        """Feature width by stream."""
        return {name: identity.width for name, identity in self.streams.items()}

    @property
    def token_bytes(self) -> dict[str, int]:
        """Bytes of one feature token by stream."""
        return {name: width * STORED_TYPES[self.precision].itemsize for name, width in self.widths.items()}

    def folder_name(self) -> str:
        """Readable, and different for different identities."""
        parts = [f"{name}-{identity.facts.get('encoder.name', '')}" for name, identity in self.streams.items()]
        readable = re.sub(r"[^A-Za-z0-9.-]", "_", "+".join([*parts, self.precision]))[:120]
        return f"{readable}-{identity_digest(self.streams, self.precision, self.arithmetic)}"

    def write(self, folder: Path) -> None:
        """Write cache.json whole, unless it is there.

        Raises:
            DataError: The folder cannot be written.
        """
        if (folder / MANIFEST).exists():
            return
        values = {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            "precision": self.precision,
            "arithmetic": self.arithmetic,
            "streams": {name: asdict(identity) for name, identity in self.streams.items()},
            "made_with": {"affect-lightning": version("affect-lightning"), "torch": torch.__version__},
        }
        try:
            write_whole(folder / MANIFEST, json.dumps(values, indent=2, ensure_ascii=False) + "\n")
        except OSError as error:
            raise DataError(
                f"The feature cache {folder} cannot be written: {error.strerror or error}. Set data.feature_folder to a "
                f"folder with space that you may write to."
            ) from error


def read_manifest(folder: Path) -> CacheManifest:
    """Read cache.json.

    Raises:
        DataError: It is missing, damaged, or of another program or version.
    """
    path = folder / MANIFEST
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        found = values.get("format"), values.get("format_version")
        if found == (FORMAT, FORMAT_VERSION) and values["precision"] in get_args(FeaturePrecision):
            streams = {name: StreamIdentity(**_checked(item)) for name, item in values["streams"].items()}
            return CacheManifest(streams, values["precision"], str(values["arithmetic"]))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(
            f"{path} is missing or damaged ({type(error).__name__}: {error}). Remove the folder {folder} and run "
            f"`affect-lightning cache` again."
        ) from error
    raise DataError(
        f"{path} has the format {found[0]!r} version {found[1]!r}; expected {FORMAT!r} version {FORMAT_VERSION}. Remove "
        f"the folder and run `affect-lightning cache` with this version of the package."
    )


def _checked(item: Any) -> dict[str, Any]:
    if not isinstance(item["facts"], dict) or not isinstance(item["files"], dict) or int(item["width"]) < 1:
        raise ValueError("a stream needs facts, files and a width")
    return dict(item)


def caches_below(folder: Path) -> Iterator[Path]:
    """Folders with a cache.json: the folder itself, or those in it, in the order of their names."""
    if (folder / MANIFEST).is_file():
        yield folder
    elif folder.is_dir():
        yield from sorted(path.parent for path in folder.glob(f"*/{MANIFEST}"))
