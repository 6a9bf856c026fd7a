"""What cached features depend on: the files of their clips, and cache.json with the encoders and the way of reading.

    FOLDER/<streams and encoders>-<hash>/cache.json            the identity, written once before the first clip
                                         shard-RRR-NNNN.bin    features, one clip after the other (shards.py)
                                         shard-RRR-NNNN.jsonl  journal: one line a batch
                                         checked.jsonl         files that were hashed again later (cached_features.py)
                                         writing.lock, writing-RRR.lock    held while the command, its process RRR, write

A clip's files are hashed in full when it is encoded, because they are read anyhow. Later, size and time of change are
looked at; only a file whose time differs is hashed again, so a touched or copied file passes and a changed one does not.
Paths are never part of it: a set may move.

A cache holds one identity: for every stream the encoder (plugin, options, distribution, weights) and the way in which
its clips were read, and the precision. `affect-lightning cache` knows all of it; a training, which builds no encoder,
knows all but the weights of the built encoder, and compares the files that its options name instead.
`clip_encoding.py` records, `cached_features.py` looks at the clips' files, `source.py` finds the cache that serves.
"""

from __future__ import annotations

import hashlib
import json
import re
import stat
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, get_args

from affect_lightning.contracts import ClipRecord, StreamReader
from affect_lightning.errors import DataError
from affect_lightning.plugin_loading import PluginChoice, find_plugin, find_stream, resolve_choice
from affect_lightning.storage import write_whole

if TYPE_CHECKING:
    import torch

_BLOCK = 1 << 20  # bytes read at once; our choice
_DIGEST_BYTES = 16  # 128 bits: no two files of any set share one by chance
# Changes whenever decoding, the sampling of frames or cropping changes what an encoder is shown.
READING_RULES = "reading-2"  # 2: plain WAV files of other rates are resampled by librosa
FeaturePrecision = Literal["bf16", "fp32"]
# Which streams an option of reading counts for; one that is not named counts for every stream. Which streams a cache has is
# its own matter, a subtitle is no feature, and readers of plugins have an identity of their own.
_COUNTS_FOR: dict[str, tuple[str, ...]] = {
    "sample_rate": ("audio",),
    "frame_count": ("face", "frame"),
    "crop_size": ("face", "frame"),
    "face_policy": ("face",),
    "frame_choice": ("face", "frame"),
    "frame_scaling": ("frame",),
    "face_channels": ("face",),
    # A masked stream changes no other clip's features.
    **dict.fromkeys(("streams", "subtitle_language", "readers", "missing_streams"), ()),
}

FileFacts = dict[str, Any]  # size, mtime_ns, digest
MANIFEST = "cache.json"
FORMAT, FORMAT_VERSION = "affect-lightning features", 1
_STORED_BYTES = {"bf16": 2, "fp32": 4}  # of a number


class FileState(NamedTuple):
    """A file as it was when its clip was encoded.

    Attributes:
        size: In bytes.
        mtime_ns: Time of its last change.
        digest: Of its content.
    """

    size: int
    mtime_ns: int
    digest: str


def used_files(
    record: ClipRecord, streams: Collection[str], readers: Mapping[str, StreamReader] | None = None
) -> dict[str, Path]:
    """The files that `ClipDataset.read` opens for these streams, by role: video, audio, face, and those of plugins.

    A missing file is named where the record expects it.
    """
    released = record.face if "face" in streams else None
    pictures = "frame" in streams or ("face" in streams and released is None)
    own_track = "audio" in streams and record.audio is None
    files = {
        "video": record.video if pictures or own_track else None,
        "audio": record.audio if "audio" in streams else None,
        "face": released,
    }
    used = {role: path for role, path in files.items() if path is not None}
    for name, reader in (readers or {}).items():
        if name in streams:
            used |= {f"{name} {role}": Path(path) for role, path in reader.files(record).items()}
    return used


def digest_of(parts: Iterable[bytes | memoryview]) -> str:
    """Hash of bytes in parts, 32 hexadecimal digits."""
    digest = hashlib.blake2b(digest_size=_DIGEST_BYTES)
    for part in parts:
        digest.update(part)
    return digest.hexdigest()


def hash_file(path: Path) -> str:
    """Hash of a file's content.

    Raises:
        OSError: It cannot be read.
    """
    with path.open("rb", buffering=0) as stream:
        return digest_of(iter(lambda: stream.read(_BLOCK), b""))


def file_state(path: Path) -> FileState | None:
    """State of a file, its content hashed; None if it cannot be read or is no regular file."""
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            return None
        return FileState(status.st_size, status.st_mtime_ns, hash_file(path))
    except OSError:
        return None


def file_stamp(path: Path) -> tuple[int, int] | None:
    """Size and time of change of a regular file; None if there is none that can be opened."""
    try:
        status = path.stat()
    except OSError:
        return None
    return (status.st_size, status.st_mtime_ns) if stat.S_ISREG(status.st_mode) else None


def is_readable(path: Path) -> bool:
    """Whether a regular file can be opened for reading."""
    if file_stamp(path) is None:
        return False
    try:
        with path.open("rb"):
            return True
    except OSError:
        return False


@dataclass(frozen=True)
class StreamIdentity:
    """What the features of one stream depend on.

    Attributes:
        facts: Plain values by name, such as `encoder.image_size`.
        files: Size, time and hash of the files that options name, by the same names; they are compared by content.
        width: Feature width D; 0 where it is not known.
        weights: Hash of the built encoder's weights; empty where it is not known.
    """

    facts: dict[str, Any]
    files: dict[str, FileFacts] = field(default_factory=dict)
    width: int = 0
    weights: str = ""

    def content(self) -> dict[str, Any]:
        """Everything that decides the features, without the places and times of files."""
        kept = {name: value for name, value in self.facts.items() if name not in self.files}
        return {"facts": kept, "files": {name: facts["digest"] for name, facts in self.files.items()}} | {
            "width": self.width,
            "weights": self.weights,
        }


def stream_identity(
    stream: str,
    encoder: PluginChoice,
    reading: Mapping[str, Any],
    face_detector: PluginChoice | None,
    known_files: Sequence[FileFacts] = (),
    reader: str = "",
) -> StreamIdentity:
    """The identity of a stream as far as it is known without building the encoder.

    Args:
        stream: Its name.
        encoder: Plugin of the stream.
        reading: The fields of `ReadingOptions`; one that is not known here counts for every stream.
        face_detector: Plugin; it counts for the face stream only.
        known_files: Facts of files that were hashed before; see `file_facts`.
        reader: Identity of the reader of a plugin's stream.

    Raises:
        PluginError: A plugin is unknown or its options are wrong.
    """
    facts, files = _plugin_facts("encoder", find_stream(stream).encoder_group, encoder, known_files)
    if stream == "face" and face_detector is not None:
        detector_facts, detector_files = _plugin_facts("face_detector", "face_detectors", face_detector, known_files)
        facts, files = facts | detector_facts, files | detector_files
    counting = {name: value for name, value in reading.items() if stream in _COUNTS_FOR.get(name, (stream,))}
    facts |= {f"reading.{name}": value for name, value in counting.items()}
    facts |= {"reading.rules": READING_RULES, **({"reader": reader} if reader else {})}
    return StreamIdentity(json.loads(json.dumps(facts, default=str)), files)


def _plugin_facts(
    prefix: str, group: str, choice: PluginChoice, known_files: Sequence[FileFacts]
) -> tuple[dict[str, Any], dict[str, FileFacts]]:
    resolved = resolve_choice(group, choice)
    listing = find_plugin(group, resolved["name"])
    facts: dict[str, Any] = {f"{prefix}.{name}": value for name, value in resolved.items()}
    facts[f"{prefix}.distribution"] = f"{listing.distribution} {listing.version}"
    named = {name: Path(value) for name, value in facts.items() if isinstance(value, str) and name != f"{prefix}.name"}
    return facts, {name: file_facts(path, known_files) for name, path in named.items() if path.exists()}


def file_facts(path: Path, known_files: Sequence[FileFacts] = ()) -> FileFacts:
    """Size, time of change and hash of a file, or of a folder with all its files.

    Args:
        path: The file or folder.
        known_files: Earlier facts; those with the same size and time are taken over instead of reading the file.
    """
    parts = sorted(part for part in path.rglob("*") if part.is_file()) if path.is_dir() else [path]
    states = [part.stat() for part in parts]
    size, changed = sum(state.st_size for state in states), max((state.st_mtime_ns for state in states), default=0)
    for known in known_files:
        if (known["size"], known["mtime_ns"]) == (size, changed):
            return known
    if not path.is_dir():
        digest = hash_file(path)
    else:
        digest = digest_of(f"{part.relative_to(path).as_posix()} {hash_file(part)}\n".encode() for part in parts)
    return {"size": size, "mtime_ns": changed, "digest": digest}


def differences(cached: StreamIdentity, wanted: StreamIdentity) -> list[str]:
    """How a cached stream differs from the one that is wanted, one phrase each; empty if it serves.

    A file is compared by content. One that is no longer there cannot be: then the option's text must be the same.
    """
    found = []
    for name in sorted(cached.facts.keys() | wanted.facts.keys()):
        before, now = cached.facts.get(name), wanted.facts.get(name)
        if name in cached.files and name in wanted.files:
            if cached.files[name]["digest"] != wanted.files[name]["digest"]:
                found.append(f"{name}: the content of {now} differs from that of the cached {before}")
        elif before != now:
            found.append(f"{name}: cached {before!r}, wanted {now!r}")
    return found


def stored_type(precision: FeaturePrecision) -> torch.dtype:
    """The number type in which features of a precision are stored."""
    import torch

    return {"bf16": torch.bfloat16, "fp32": torch.float32}[precision]


def arithmetic_of(precision: str) -> str:
    """In which arithmetic encoders run under a Trainer's precision: bf16, fp16 or fp32.

    >>> arithmetic_of("bf16-mixed"), arithmetic_of("16-mixed"), arithmetic_of("32-true")
    ('bf16', 'fp16', 'fp32')
    """
    if precision.startswith("bf16"):
        return "bf16"
    return "fp16" if precision.startswith("16") else "fp32"


def identity_digest(streams: Mapping[str, StreamIdentity], precision: str, arithmetic: str) -> str:
    """A short hash of everything that decides the content of a cache."""
    content = {name: identity.content() for name, identity in streams.items()}
    text = json.dumps([content, precision, arithmetic], sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=5).hexdigest()


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
        return {name: width * _STORED_BYTES[self.precision] for name, width in self.widths.items()}

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
        import torch

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
                f"folder with free space and write permission."
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
