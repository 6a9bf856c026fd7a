"""A packed set as a source of training clips, split as `clip_sources.py` splits clips in folders.

Packing chooses which clips are used. Reading makes the split and checks that no test clip is trained on, from the rows
of `clips.npy` alone. `packed_clips.py` reads the clips; `data/clip_data_module.py` asks here.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from affect_lightning.corpora.annotation_tables import shown
from affect_lightning.data.clip_sources import ClipSources, stable_share
from affect_lightning.data.ordering import SetBalance
from affect_lightning.errors import ConfigurationError, DataError
from affect_lightning.packed_sets.packed_clips import CACHE_BYTES, PackedClips, open_packed_set
from affect_lightning.packed_sets.shard_order import SHUFFLE_WINDOW, ShardedPlan
from affect_lightning.packed_sets.shard_store import is_remote
from affect_lightning.storage import user_cache_folder

# Options that say where folders are, or that are settled when the set is read.
NOT_OF_THE_SELECTION = (
    "train_root",
    "benchmark_root",
    "test_sets",
    "expected_counts",
    "test_overlap",
    "validation_share",
    "limit_test_clips",
)

_log = logging.getLogger(__name__)


def selection_of(sources: ClipSources) -> dict[str, Any]:
    """The options that choose the clips of a packed set, as plain values."""
    chosen = {name: value for name, value in asdict(sources).items() if name not in NOT_OF_THE_SELECTION}
    return dict(json.loads(json.dumps(chosen, default=str)))


def training_split(clips: PackedClips, sources: ClipSources) -> tuple[PackedClips, PackedClips]:
    """Clips to train on, and clips to validate on; none of them is a clip of the test sets.

    Args:
        clips: All of the packed set.
        sources: Its options of the split, and where the test sets are.

    Raises:
        ConfigurationError: An option would choose other clips than were packed.
        DataError: A test clip is among them, or nothing is left to train on.
    """
    _check_selection(clips.manifest.selection, sources)
    share = clips.column("share")
    kept = np.ones(len(clips), dtype=bool)
    for title, names in sources.known_test_names():
        known = {stable_share(name): name for name in names}
        tested = np.isin(share, list(known))
        if tested.any() and sources.test_overlap == "error":
            shared = sorted(known[value] for value in set(share[tested].tolist()))
            raise DataError(
                f"{shown(shared)} ({len(shared)} of {len(clips)} packed clips) are test clips of {title}. Every clip must "
                "be in one split only. Set test_overlap to drop, which leaves them out of training, or pack again "
                "without them."
            )
        if tested.any():
            _log.warning("%d training clips are left out, because they are test clips of %s.", int(tested.sum()), title)
        kept &= ~tested
    validating = share < sources.validation_share
    training = clips.where(kept & ~validating)
    if not len(training):
        raise DataError(
            f"No clip of the {len(clips)} packed ones is left for training: validation_share is "
            f"{sources.validation_share:g}. Lower it."
        )
    if clips.manifest.unreadable:
        _log.warning(
            "%d files of the packed set could not be read when it was packed; their clips are quarantined.",
            len(clips.manifest.unreadable),
        )
    return training, clips.where(kept & validating)


def _check_selection(packed: Mapping[str, Any], sources: ClipSources) -> None:
    """An option that is set must be what it was when the set was packed."""
    defaults, asked = selection_of(ClipSources()), selection_of(sources)
    for name, value in asked.items():
        before = packed.get(name, defaults[name])
        if value not in (defaults[name], before):
            raise ConfigurationError(
                f"data.{name} is {value!r}, but the packed set was made with {before!r}. Remove the option, or pack again "
                f"with it: the clips are chosen when they are packed."
            )


@dataclass(frozen=True)
class PackedSource:
    """Where a packed set is, and how it is read. The attributes are options of `ClipDataModule`, which explains them.

    Raises:
        ConfigurationError: A size is none, or the window is too small.
    """

    place: str | None = None
    cache_folder: Path | None = None
    cache_size: str | int = CACHE_BYTES
    window: int = SHUFFLE_WINDOW

    def __post_init__(self) -> None:
        parse_size(self.cache_size, "data.packed_cache_size")
        if self.window < 1:
            raise ConfigurationError(f"data.shuffle_window must be at least 1 shard; got {self.window}.")

    def training_clips(
        self, sources: ClipSources, payload: str | None = "media", foreign: Collection[str] = ()
    ) -> tuple[PackedClips, PackedClips]:
        """Open the set; clips to train on, and clips to validate on. See `training_split`.

        Args:
            sources: Options of the split.
            payload: See `open_packed_set`.
            foreign: Streams that plugins read, whose files are in no packed set of media.

        Raises:
            DataError: The set is missing or damaged, or `training_split` finds something wrong.
            ConfigurationError: No set is named, the cache is too small for the window, or media lack a stream.
        """
        if payload == "media" and foreign:
            raise ConfigurationError(
                f"A packed set of media has no files of the streams {', '.join(foreign)}, which plugins read. Train from "
                f"the folders (without data.packed), or pack features: `affect-lightning pack --payload features`."
            )
        if self.place is None:
            raise ConfigurationError("data.packed is not set. Give the folder or address of a packed set.")
        size = parse_size(self.cache_size, "data.packed_cache_size")
        folder = self.cache_folder or user_cache_folder("packed")
        clips = open_packed_set(self.place, cache_folder=folder, cache_bytes=size, payload=payload)
        clips.store.open_files = self.window + 2
        return training_split(clips, sources)

    def _check_room(self, clips: PackedClips, ranks: int) -> None:
        """A rank has one shard more than the window in use at a time, and one on its way."""
        size, count = parse_size(self.cache_size, "data.packed_cache_size"), ranks * (self.window + 2)
        needed = sum(sorted((shard.size for shard in clips.manifest.shards), reverse=True)[:count])
        if needed > size:
            raise ConfigurationError(
                f"data.packed_cache_size is {size / 1e9:.3g} GB; {count} shards of {self.place} need "
                f"{needed / 1e9:.3g} GB, or each would be downloaded again and again. Raise it, or lower data.shuffle_window."
            )

    def plan(
        self,
        clips: PackedClips,
        *,
        batch_size: int,
        shuffle: bool,
        seed: int,
        rank: int,
        world_size: int,
        balance: SetBalance,
        weights: Mapping[str, float] | None = None,
        ranks_here: int = 1,
        length_pool: int = 0,
    ) -> ShardedPlan:
        """The order in which a split is read.

        Args:
            clips: Of the split.
            batch_size: See `ShardedPlan`, as for the options that are not named here.
            shuffle: The same.
            seed: The same.
            rank: The same.
            world_size: The same.
            balance: The same.
            weights: Of the sets by `ClipRecord.corpus`; 1 for one that is not named.
            ranks_here: Processes on this machine, which share its cache.
            length_pool: Must be 0.

        Raises:
            ConfigurationError: `length_pool` is set, or the cache is too small for the window.
        """
        if is_remote(self.place or ""):
            self._check_room(clips, ranks_here if shuffle else 1)
        if length_pool:
            raise ConfigurationError(
                "Set data.length_pool to 0 with data.packed: it sorts by the subtitle's length, which a packed set does not "
                "list."
            )
        used, groups = np.unique(clips.column("corpus"), return_inverse=True)
        named = [clips.manifest.corpora[number] for number in used.tolist()]
        return ShardedPlan(
            shards=clips.shard_numbers(),
            batch_size=batch_size,
            shuffle=shuffle,
            seed=seed,
            rank=rank,
            world_size=world_size,
            groups=groups.astype(np.uint16),
            balance=balance,
            weights=tuple(weights.get(corpus, 1.0) for corpus in named) if weights and shuffle else (),
            window=self.window,
            set_hash=clips.manifest.index_sha256,
        )


def parse_size(value: str | int, option: str) -> int:
    """A number of bytes.

    Args:
        value: A number, alone or with KB, MB, GB or TB (powers of 1000) or KiB, MiB, GiB or TiB (of 1024).
        option: For messages.

    Raises:
        ConfigurationError: It is no size.

    >>> parse_size("64MB", "--shard-size"), parse_size("1.5 GiB", "--shard-size"), parse_size(7, "--shard-size")
    (64000000, 1610612736, 7)
    """
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(?:([KMGT])(i?)B?|B)?\s*", str(value), re.IGNORECASE)
    size = 0
    if found:
        power = " KMGT".index((found[2] or " ").upper())
        size = round(float(found[1]) * (1024 if found[3] else 1000) ** power)
    if size < 1:
        raise ConfigurationError(f"{option} must be a size such as 64MB or 20GB; got {value!r}.")
    return size
