"""One vector a clip and modality, out of caches of what the frozen encoders give, and of subtitles.

Paper: Section 2 after MERBench: features of an utterance are the mean over its tokens. A cache (`feature_cache`) is read by
clip. Features of one stream and one encoder, made in one way, are one `FeatureInput`, in however many caches they are. Only
positions are kept for all clips; vectors are read when they are asked for, so that a million clips fit.
Legend: N clips, D feature width.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from affect_lightning.annotation.trained_crowd.text_features import IDENTITY, WIDTH, hashed_text
from affect_lightning.contracts import ClipRecord
from affect_lightning.corpora.annotation_tables import shown
from affect_lightning.errors import ConfigurationError, DataError
from affect_lightning.feature_cache.cached_features import CachedFeatures, match_clips
from affect_lightning.feature_cache.identity import (
    CacheManifest,
    StreamIdentity,
    caches_below,
    differences,
    read_manifest,
)
from affect_lightning.feature_cache.journal_index import JournalIndex

TEXT = "text"
TEXT_LABEL = "text:hashed"


@dataclass(frozen=True)
class FeatureInput:
    """One kind of features that a member can read.

    Attributes:
        label: Stream and encoder, such as `audio:prosody`.
        stream: The modality.
        width: Of its vectors.
        digest: Of everything that decides them.
    """

    label: str
    stream: str
    width: int
    digest: str


HASHED_TEXT = FeatureInput(TEXT_LABEL, TEXT, WIDTH, hashlib.sha256(IDENTITY.encode()).hexdigest()[:16])


@dataclass
class _Cache:
    folder: Path
    manifest: CacheManifest
    index: JournalIndex
    labels: dict[str, str] = field(default_factory=dict)  # label by stream


class FeatureCaches:
    """The caches that a crowd reads.

    Args:
        places: Caches, or folders of caches.
        with_text: Whether subtitles are read too.
        earlier: Those that were read before, of which the indexes are kept.

    Attributes:
        inputs: By label.

    Raises:
        DataError: There is no cache, one is damaged, or two have features of one encoder that were made in different ways.
    """

    def __init__(self, places: Sequence[Path], with_text: bool, earlier: FeatureCaches | None = None) -> None:
        self.inputs: dict[str, FeatureInput] = {}
        self._caches: list[_Cache] = []
        indexes = {} if earlier is None else {cache.folder: cache.index for cache in earlier._caches}
        first: dict[str, tuple[Path, StreamIdentity]] = {}
        for folder in dict.fromkeys(folder for place in places for folder in caches_below(place)):
            index = indexes[folder] if folder in indexes else JournalIndex(folder)
            cache = _Cache(folder, read_manifest(folder), index)
            for stream, identity in cache.manifest.streams.items():
                label = f"{stream}:{identity.facts.get('encoder.name', 'unnamed')}"
                found = FeatureInput(label, stream, identity.width, _digest(identity))
                known = self.inputs.setdefault(label, found)
                if known != found:
                    raise DataError(_two_ways(label, first[label], (folder, identity)))
                first.setdefault(label, (folder, identity))
                cache.labels[stream] = label
            self._caches.append(cache)
        if not self._caches:
            raise DataError(
                f"There is no feature cache in {shown([str(place) for place in places])}. Run `affect-lightning cache`, or let "
                f"this command encode with --encode EXPERIMENT."
            )
        if with_text:
            self.inputs[TEXT_LABEL] = HASHED_TEXT

    def corpora_of(self, names: Iterable[str]) -> dict[str, str]:
        """The set of each clip in the caches, by name; clips that are not there are left out.

        Raises:
            ConfigurationError: A name is there in several sets.
        """
        wanted, found = set(names), dict[str, set[str]]()
        for cache in self._caches:
            for entry, _ in cache.index.entries_of(wanted):
                found.setdefault(entry.name, set()).add(entry.corpus)
        twice = sorted(name for name, corpora in found.items() if len(corpora) > 1)
        if twice:
            raise ConfigurationError(
                f"Say whose clips they are with --corpus SET: {len(twice)} names are in several sets of the caches, such as "
                f"{twice[0]} in {', '.join(sorted(found[twice[0]]))}."
            )
        return {name: corpora.pop() for name, corpora in found.items()}

    def locate(
        self, records: Sequence[ClipRecord], labels: Iterable[str], texts: Sequence[str] | None
    ) -> LocatedFeatures:
        """Where the features of clips are.

        Args:
            records: The clips.
            labels: Inputs that are wanted.
            texts: Subtitle of each clip; None if there are none.

        Raises:
            DataError: A clip's files have changed since it was cached, or a cache is damaged.
        """
        wanted = [label for label in dict.fromkeys(labels) if label != TEXT_LABEL]
        located = LocatedFeatures(records, {label: self.inputs[label] for label in labels}, texts)
        changed: dict[int, str] = {}
        for cache in self._caches:
            streams = [stream for stream, label in cache.labels.items() if label in wanted]
            if streams:
                matching = match_clips(cache.folder, records, streams, index=cache.index)
                changed |= matching.changed
                there = [place for place, item in enumerate(matching.found) if item is not None]
                entries = [item for item in matching.found if item is not None]
                located.add(
                    CachedFeatures(cache.manifest, entries, streams), there, {s: cache.labels[s] for s in streams}
                )
        old = sorted(set(located.absent(wanted)) & set(changed))
        if old:
            raise DataError(
                f"Run `affect-lightning cache` again: {len(old)} clips have changed since they were cached, such as "
                f"{records[old[0]].name}: {changed[old[0]]}."
            )
        return located


class LocatedFeatures:
    """The features of a list of clips, read when they are asked for.

    Args:
        records: The clips.
        inputs: By label.
        texts: See `FeatureCaches.locate`.
    """

    def __init__(
        self, records: Sequence[ClipRecord], inputs: Mapping[str, FeatureInput], texts: Sequence[str] | None
    ) -> None:
        self.records, self._inputs, self._texts = records, inputs, texts
        self._readers: list[tuple[CachedFeatures, dict[str, str]]] = []
        self._reader = {label: np.full(len(records), -1, dtype=np.int32) for label in inputs if label != TEXT_LABEL}
        self._place = {label: np.zeros(len(records), dtype=np.int64) for label in self._reader}
        self.unreadable: dict[int, str] = {}

    def __len__(self) -> int:
        return len(self.records)

    def add(self, features: CachedFeatures, places: Sequence[int], labels: Mapping[str, str]) -> None:
        """Take in what one cache has: features by position in it, for clips at `places`, streams by label."""
        number = len(self._readers)
        self._readers.append((features, {label: stream for stream, label in labels.items()}))
        bad = features.bad
        for position, place in enumerate(places):
            if position in bad:
                self.unreadable[place] = bad[position].reason
            for label in labels.values():
                if self._reader[label][place] < 0:
                    self._reader[label][place], self._place[label][place] = number, position

    def absent(self, labels: Iterable[str]) -> list[int]:
        """Clips that the caches lack for at least one input; clips that could not be read are not among them."""
        columns = [self._reader[label] < 0 for label in labels if label != TEXT_LABEL]
        lacking = np.any(columns, axis=0) if columns else np.zeros(len(self), dtype=bool)
        return [int(place) for place in np.flatnonzero(lacking)]

    def rows(self, label: str, start: int = 0, stop: int | None = None) -> Tensor:
        """Vectors [N, D] of a range of clips; NaN for a clip that has nothing of this input."""
        stop = len(self) if stop is None else min(stop, len(self))
        if label == TEXT_LABEL:
            return hashed_text(list(self._texts or [""] * len(self))[start:stop])
        rows = torch.full((stop - start, self._inputs[label].width), torch.nan)
        for place in range(start, stop):
            number = int(self._reader[label][place])
            if number < 0 or place in self.unreadable:
                continue
            features, streams = self._readers[number]
            tokens, mask = features.read(int(self._place[label][place]), self.records[place]).features[streams[label]]
            if mask.any():
                rows[place - start] = tokens[mask].mean(0)
        return rows


def _digest(identity: StreamIdentity) -> str:
    return hashlib.sha256(json.dumps(identity.content(), sort_keys=True).encode()).hexdigest()[:16]


def _two_ways(label: str, first: tuple[Path, StreamIdentity], second: tuple[Path, StreamIdentity]) -> str:
    how = differences(first[1], second[1]) or ["the encoder's weights differ"]
    return (
        f"Name the caches that count, each with --features FOLDER: {first[0]} and {second[0]} have features {label} that were "
        f"made in different ways ({'; '.join(how[:3])})."
    )
