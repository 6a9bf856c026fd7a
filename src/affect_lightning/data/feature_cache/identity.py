"""What cached features depend on, and how two of these descriptions differ.

A cache holds one identity: for every stream the encoder (plugin, options, distribution, weights) and the way in which
its clips were read, and the precision. `affect-lightning cache` knows all of it; a training, which builds no encoder,
knows all but the weights of the built encoder, and compares the files that its options name instead.
Neighbours: `manifest.py` keeps an identity on disk, `source.py` compares.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from affect_lightning.data.feature_cache.clip_files import digest_of, hash_file
from affect_lightning.plugin_loading import PluginChoice, find_plugin, find_stream, resolve_choice

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
    **dict.fromkeys(("streams", "subtitle_language", "readers"), ()),
}

FileFacts = dict[str, Any]  # size, mtime_ns, digest


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
                found.append(f"{name}: the content of {now} is not that of the cached {before}")
        elif before != now:
            found.append(f"{name}: cached {before!r}, wanted {now!r}")
    return found


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
