"""Labelled sets and a feature cache made by hand: features in which the class is a direction, so that it can be learnt."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from affect_lightning.feature_cache.identity import CacheManifest, StreamIdentity
from affect_lightning.feature_cache.shards import BadClipEntry, CacheEntry, ShardWriter

WIDTHS = {"audio": 6, "face": 8}
EMOTIONS = ("joy", "sadness", "neutral")  # of MELD, in the order in which clips have them
MELD = ("anger", "joy", "sadness", "neutral", "disgust", "fear", "surprise")


def write_labels(root: Path, emotions: Sequence[str], sentiments: Sequence[float] = ()) -> None:
    """The training parts of MELD (one clip an emotion) and CMU-MOSI (one clip a sentiment), without media."""
    meld = {f"meld_{number:03}": {"emo": MELD.index(name), "val": -10} for number, name in enumerate(emotions)}
    _write_set(root / "meld-process", meld)
    if sentiments:
        mosi = {f"mosi_{number:03}": {"emo": 0, "val": float(value)} for number, value in enumerate(sentiments)}
        _write_set(root / "cmumosi-process", mosi)


def _write_set(folder: Path, labels: Mapping[str, Mapping[str, Any]]) -> None:
    folder.mkdir(parents=True)
    entries: dict[str, Any] = {
        "train_corpus": np.array(labels, dtype=object),
        "test_corpus": np.array({}, dtype=object),
    }
    np.savez(folder / "label.npz", **entries)
    rows = "".join(f"{name},中文,what {name} says\n" for name in labels)
    (folder / "transcription-engchi-polish.csv").write_text("name,chinese,english\n" + rows, encoding="utf-8")


def made_features(
    name: str, direction: int, widths: Mapping[str, int] = WIDTHS, *, strength: float = 3.0
) -> dict[str, torch.Tensor]:
    """Three tokens a stream: noise, and `strength` at the place of the direction; the same for the same name."""
    generator = torch.Generator().manual_seed(zlib.crc32(name.encode()))
    made = {}
    for stream, width in widths.items():
        tokens = torch.randn(3, width, generator=generator)
        tokens[:, direction] += strength
        made[stream] = tokens
    return made


def write_cache(
    folder: Path,
    clips: Mapping[tuple[str, str], Mapping[str, torch.Tensor] | None],
    *,
    widths: Mapping[str, int] = WIDTHS,
    encoder: str = "made",
    weights: str = "w1",
) -> Path:
    """A cache of features by set and name; None for a clip that could not be read."""
    streams = {name: StreamIdentity({"encoder.name": encoder}, {}, width, weights) for name, width in widths.items()}
    manifest = CacheManifest(streams, "fp32", "fp32")
    place = folder / manifest.folder_name()
    manifest.write(place)
    written = []
    for (corpus, name), features in clips.items():
        if features is None:
            written.append((CacheEntry(name, corpus, {}, bad=BadClipEntry("decoding", "video", "broken")), b""))
            continue
        content = b"".join(features[stream].numpy().astype(np.float32).tobytes() for stream in widths)
        entry = CacheEntry(
            name, corpus, {}, 0, tuple(len(features[stream]) for stream in widths), {}, zlib.crc32(content)
        )
        written.append((entry, content))
    with ShardWriter(place, 0) as writer:
        writer.commit(written)
    return place
