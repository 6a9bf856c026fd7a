"""The format of a packed set: what lies in its folder, and what an item of a shard holds.

    manifest.json       written last: a folder without it is no finished set
    cache.json          what the features were made of, where features are packed (`feature_cache/identity.py`)
    clips.npy           a row a clip (`CLIP_ROW`), read by memory mapping
    index.json          litdata's own index, so that `litdata.StreamingDataset` reads the folder as well
    chunk-0-N.bin       shards in litdata's format
    .packing/           the journal of an unfinished set (`packing.py`)

litdata stores an item as the sizes of its parts (uint32 each) followed by the parts. The first part is the annotation as
JSON. The others are the bytes of the clip's files, or its cached features as safetensors in the precision of the cache,
whose cache.json goes with the set, so that features made in another way are refused as they are from a cache.
`packing.py` writes these, `packed_clips.py` and `shard_store.py` read them.
Legend: N feature tokens, D feature width.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
import zlib
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from affect_lightning.contracts import ClipRecord
from affect_lightning.data.media_files import CachedClip, MediaFiles, PackedFile
from affect_lightning.data.quarantine import UnreadableClipError
from affect_lightning.errors import DataError
from affect_lightning.feature_cache.cached_features import CachedFeatures
from affect_lightning.feature_cache.identity import MANIFEST as CACHE_MANIFEST
from affect_lightning.feature_cache.identity import CacheManifest, stored_type

if TYPE_CHECKING:
    import torch

FORMAT = "affect-lightning-pack/1"
MANIFEST, CLIPS, LITDATA_INDEX, STAGING = "manifest.json", "clips.npy", "index.json", ".packing"
# What a process knows of every clip without opening a shard: 15 bytes. `share` is `stable_share(name)`, `crc32` that of
# the clip's parts, `corpus` a position in the manifest's `corpora`.
CLIP_ROW = np.dtype([("share", "<f8"), ("crc32", "<u4"), ("corpus", "<u2"), ("flags", "u1")])
HAS_RELEASED_FACE, UNREADABLE = 1, 2  # bits of `flags`
FILES = ("video", "audio", "face")  # the parts of a media item after its annotation
PARTS = {"media": 1 + len(FILES), "features": 2}  # by payload
Parts = tuple[bytes, ...]
Problems = list[tuple[str, str, str]]  # files that could not be read: stage, path and reason
MAX_ITEM_BYTES = 2**31  # our choice: litdata counts a shard's bytes in 32 bits


class PackError(DataError):
    """A packed set is missing, unfinished, damaged, or another one than was asked for."""


def shard_name(shard: int) -> str:
    """File of a shard, named as litdata names it.

    >>> shard_name(12)
    'chunk-0-12.bin'
    """
    return f"chunk-0-{shard}.bin"


def names_hash(clips: Iterable[ClipRecord]) -> str:
    """SHA-256 of the sets and names of clips, in their order."""
    digest = hashlib.sha256()
    for clip in clips:
        digest.update(f"{clip.corpus}\0{clip.name}\n".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


@dataclass(frozen=True)
class Shard:
    """One shard.

    Attributes:
        clips: Clips in it.
        size: Of its file in bytes.
        sha256: Of its file.
    """

    clips: int
    size: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """What a packed set is.

    Attributes:
        payload: `media` (the files' bytes) or `features`.
        clips: Clips in it.
        names_sha256: See `names_hash`.
        index_sha256: Of `clips.npy`.
        corpora: The sets that the clips are of; see `ClipRecord.corpus`.
        shards: In their order.
        unreadable: Clips of which a file could not be read, with path, stage and reason; they are met again, and go to
            quarantine, when the set is read.
        beside: SHA-256 of the small files that the set carries, by name.
        selection: The options by which the clips were chosen.
        made_by: Versions of the software.
        format: Of the folder.
    """

    payload: str
    clips: int
    names_sha256: str
    index_sha256: str
    corpora: tuple[str, ...]
    shards: tuple[Shard, ...]
    unreadable: tuple[Mapping[str, str], ...] = ()
    beside: Mapping[str, str] = field(default_factory=dict)
    selection: Mapping[str, Any] = field(default_factory=dict)
    made_by: Mapping[str, str] = field(default_factory=dict)
    format: str = FORMAT

    def to_json(self) -> str:
        """The manifest as it is written, a shard a line."""
        plain = asdict(self)
        shards = ",\n  ".join(json.dumps([shard.clips, shard.size, shard.sha256]) for shard in self.shards)
        rest = json.dumps({**plain, "shards": []}, indent=1)
        return rest.replace('"shards": []', f'"shards": [\n  {shards}\n ]', 1) + "\n"

    @classmethod
    def from_json(cls, text: str, place: str) -> Manifest:
        """Read a manifest.

        Args:
            text: Its content.
            place: Where it is from, for messages.

        Raises:
            PackError: It is no manifest, of another format, or does not add up.
        """
        try:
            plain = json.loads(text)
            found = plain["format"] if isinstance(plain, dict) else None
            if found != FORMAT:
                raise PackError(
                    f"{place} has the format {found!r}, expected {FORMAT!r}. Pack the set again with this version."
                )
            shards = tuple(Shard(int(clips), int(size), str(digest)) for clips, size, digest in plain.pop("shards"))
            manifest = cls(
                **{**plain, "corpora": tuple(plain["corpora"]), "unreadable": tuple(plain["unreadable"])}, shards=shards
            )
        except (ValueError, KeyError, TypeError) as error:
            raise PackError(
                f"{place} is not the manifest of a packed set ({error}); expected what `affect-lightning pack` writes. Copy "
                f"or pack the set again."
            ) from error
        if sum(shard.clips for shard in shards) != manifest.clips:
            raise PackError(
                f"{place} is damaged: its shards have {sum(shard.clips for shard in shards)} clips, but it declares "
                f"{manifest.clips}. Copy or pack the set again."
            )
        return manifest


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, read in pieces."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while piece := stream.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()


@dataclass(frozen=True)
class Payload:
    """What of a clip is packed.

    Attributes:
        kind: See `Manifest.payload`.
        parts: The parts of a clip's item, and the files that could not be read; takes the clip's position and record.
        identity: What the parts depend on besides the clip, such as the encoders of cached features.
        beside: Small files that the set carries, by name.
    """

    kind: str
    parts: Callable[[int, ClipRecord], tuple[Parts, Problems]]
    identity: str = ""
    beside: Mapping[str, bytes] = field(default_factory=dict)


def media_parts(position: int, clip: ClipRecord) -> tuple[Parts, Problems]:
    """The parts of a clip's item: its annotation and its files.

    Args:
        position: Among the clips; not needed here.
        clip: Its record.

    Returns:
        The parts, and the files that could not be read.
    """
    problems: Problems = []
    contents: list[bytes] = []
    reasons: dict[str, str] = {}
    for stage in FILES:
        path: Path | None = getattr(clip, stage)
        content, problem = (b"", None) if path is None else _content(path, MAX_ITEM_BYTES - sum(map(len, contents)))
        contents.append(content)
        if path is not None and problem is not None:
            reasons[stage] = problem
            problems.append((stage, str(path), problem))
    return (annotation_part(clip, problems=reasons), *contents), problems


def _content(path: Path, room: int) -> tuple[bytes, str | None]:
    """A file's bytes, or why they cannot be had; in the words that `decoding.py` has for it."""
    try:
        if not path.is_file():
            return b"", "it is not a regular file." if path.exists() else "the file does not exist."
        if path.stat().st_size > room:
            return b"", f"it is larger than {room >> 20} MiB, the most for a packed clip; cut it into clips."
        return path.read_bytes(), None
    except OSError as error:
        return b"", f"{error.strerror or error}; it could not be read when it was packed."


def annotation_part(clip: ClipRecord, **more: Any) -> bytes:
    """A record as JSON, with the paths that its files have, and what the payload adds."""
    annotation = {item.name: getattr(clip, item.name) for item in fields(clip)}
    for stage in FILES:
        annotation[stage] = None if annotation[stage] is None else str(annotation[stage])
    return json.dumps({"annotation": annotation, **more}, separators=(",", ":")).encode("ascii")


def read_annotation(part: bytes) -> tuple[ClipRecord, dict[str, Any]]:
    """A record out of its JSON, and what else stands there."""
    more = json.loads(part)
    annotation = more.pop("annotation")
    annotation["labels"] = tuple(annotation["labels"])
    for stage in FILES:
        annotation[stage] = None if annotation[stage] is None else Path(annotation[stage])
    return ClipRecord(**annotation), more


def split_item(item: bytes, parts: int) -> list[bytes] | None:
    """The parts of an item; None if the sizes do not add up."""
    if len(item) < 4 * parts:
        return None
    sizes = np.frombuffer(item[: 4 * parts], "<u4").tolist()
    if 4 * parts + sum(sizes) != len(item):
        return None
    ends = np.cumsum([4 * parts, *sizes]).tolist()
    return [item[start:stop] for start, stop in pairwise(ends)]


def checksum(parts: Sequence[bytes]) -> int:
    """CRC-32 over all parts."""
    value = 0
    for part in parts:
        value = zlib.crc32(part, value)
    return value


def opened_item(parts: Sequence[bytes]) -> tuple[ClipRecord, MediaFiles]:
    """A clip's record, with the paths that its files had, and the files themselves."""
    record, more = read_annotation(parts[0])
    packed = {
        stage: PackedFile(path, content, more["problems"].get(stage))
        for stage, content in zip(FILES, parts[1:], strict=True)
        if (path := getattr(record, stage)) is not None
    }
    return record, MediaFiles(packed.get("video"), packed.get("audio"), packed.get("face"))


MEDIA = Payload("media", media_parts)


@dataclass(frozen=True)
class PackedEncoding:
    """The features of one clip out of a shard.

    Attributes:
        content: Tokens [N, D] and masks [N] of all packed streams, as safetensors.
        frames: See `CachedClip`.
        frames_without_face: See `CachedClip`.
        problem: Path, stage and reason if the clip could not be read when it was encoded.
    """

    content: bytes
    frames: int = 0
    frames_without_face: int = 0
    problem: tuple[str, str, str] | None = None

    def read(self, streams: Collection[str]) -> CachedClip:
        """The features of some streams, as the cache gives them.

        Raises:
            UnreadableClipError: The clip could not be read when it was encoded.
        """
        if self.problem is not None:
            raise UnreadableClipError(*self.problem)
        from safetensors.torch import load

        tensors = load(self.content)
        names = [name.removesuffix(".tokens") for name in tensors if name.endswith(".tokens")]
        features = {
            name: (tensors[f"{name}.tokens"].float(), tensors[f"{name}.mask"]) for name in names if name in streams
        }
        return CachedClip(features, self.frames, self.frames_without_face)


def features_payload(features: CachedFeatures, manifest: CacheManifest) -> Payload:
    """What to pack for clips whose features are cached.

    Args:
        features: Of the clips, in their order.
        manifest: Of the cache.
    """
    from safetensors.torch import save

    stored = stored_type(manifest.precision)

    def parts(position: int, clip: ClipRecord) -> tuple[Parts, Problems]:
        try:
            cached = features.read(position, clip)
        except UnreadableClipError as error:
            problem = (error.path, error.stage, error.reason)
            return (annotation_part(clip, problem=problem), b""), [(error.stage, error.path, error.reason)]
        tensors: dict[str, torch.Tensor] = {}
        for name, (tokens, mask) in cached.features.items():
            tensors |= {f"{name}.tokens": tokens.to(stored).contiguous(), f"{name}.mask": mask.contiguous()}
        counts = [cached.frames, cached.frames_without_face]
        return (annotation_part(clip, counts=counts), save(tensors)), []

    with tempfile.TemporaryDirectory() as folder:
        manifest.write(Path(folder))
        described = (Path(folder) / CACHE_MANIFEST).read_bytes()
    return Payload("features", parts, manifest.folder_name(), {CACHE_MANIFEST: described})


def opened_features(parts: Sequence[bytes]) -> tuple[ClipRecord, MediaFiles]:
    """A clip's record and its features."""
    record, more = read_annotation(parts[0])
    if "problem" in more:
        return record, MediaFiles(encoded=PackedEncoding(b"", problem=tuple(more["problem"])))
    return record, MediaFiles(encoded=PackedEncoding(parts[1], *more["counts"]))
