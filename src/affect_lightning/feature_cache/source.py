"""`data.features: cached`: finds the cache for a run, checks it against the data, and gives each split its reader.

Refuses a cache that was made differently (and names the difference) and clips that are missing or have changed (and
names them), with the command that fixes it. Nothing is encoded here: a run from the cache has no encoders.
`identity.py` compares, `cached_features.py` looks at the clips, `data/clip_data_module.py` has the options.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, get_args

from affect_lightning.contracts import ClipRecord
from affect_lightning.data.dataset import ReadingOptions
from affect_lightning.errors import ConfigurationError, DataError
from affect_lightning.feature_cache.cached_features import CachedFeatures, Matching, match_clips
from affect_lightning.feature_cache.identity import (
    MANIFEST,
    CacheManifest,
    FeaturePrecision,
    StreamIdentity,
    arithmetic_of,
    caches_below,
    differences,
    read_manifest,
    stream_identity,
)
from affect_lightning.plugin_loading import EncoderChoices, PluginChoice
from affect_lightning.storage import ObjectFolder, is_address, user_cache_folder

FeatureMode = Literal["live", "cached"]
NAMED = 10  # how many clips or differences a message names (our choice: fits a screen)
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class FeatureOptions:
    """Options of `ClipDataModule` about features, which explains them.

    Attributes:
        mode: `data.features`.
        folder: `data.feature_folder`; by default `features` in the user's cache folder. For an address, its local copy.
        precision: `data.feature_precision`.
        encoders: Of the model.
        address: `data.feature_folder`, if that is in object storage.

    Raises:
        ConfigurationError: A word is unknown.
    """

    mode: FeatureMode = "live"
    folder: Path = field(default_factory=lambda: user_cache_folder("features"))
    precision: FeaturePrecision = "bf16"  # our choice: half the size
    encoders: EncoderChoices = field(default_factory=EncoderChoices)
    address: str | None = None

    @classmethod
    def at(
        cls, place: str | Path | None, mode: FeatureMode, precision: FeaturePrecision, encoders: EncoderChoices
    ) -> FeatureOptions:
        """The options of caches in a folder, in object storage, or in the user's cache folder.

        Args:
            place: `data.feature_folder`.
            mode: As the attribute, like the others.
            precision: The same.
            encoders: The same.
        """
        if place is None:
            return cls(mode, precision=precision, encoders=encoders)
        if not is_address(str(place)):
            return cls(mode, Path(place).expanduser(), precision, encoders)
        address = str(place).rstrip("/")
        copy = hashlib.sha256(address.encode()).hexdigest()[:16]
        return cls(mode, user_cache_folder("features-of", copy), precision, encoders, address)

    @property
    def place(self) -> str:
        """What the user calls the folder."""
        return self.address or str(self.folder)

    @property
    def store(self) -> ObjectFolder | None:
        """The folder in object storage, of which `folder` is a copy; None if it is not there."""
        return None if self.address is None else ObjectFolder(self.address, self.folder)

    def fetch(self, *patterns: str) -> None:
        """Bring the local copy up to date, where there is one; see `ObjectFolder.fetch`."""
        if self.store is not None:
            self.store.fetch(*patterns)

    def __post_init__(self) -> None:
        for option, value, known in (
            ("features", self.mode, get_args(FeatureMode)),
            ("feature_precision", self.precision, get_args(FeaturePrecision)),
        ):
            if value not in known:
                raise ConfigurationError(f"data.{option} must be one of {', '.join(known)}; got {value!r}.")


def wanted_identities(
    options: FeatureOptions, reading: ReadingOptions, face_detector: PluginChoice | None
) -> dict[str, StreamIdentity]:
    """What features must depend on to serve a run, by stream; a stream without an encoder is not encoded.

    Args:
        options: Names the encoders.
        reading: Of the run.
        face_detector: Of the run.

    Raises:
        PluginError: A plugin is unknown or its options are wrong.
        DataError: A cache in the folder is damaged.
    """
    options.fetch(MANIFEST, f"*/{MANIFEST}")
    fields = asdict(replace(reading, streams=frozenset(), readers={}))
    cached = [read_manifest(folder).streams.values() for folder in caches_below(options.folder)]
    known_files = [facts for streams in cached for identity in streams for facts in identity.files.values()]
    return {
        stream: stream_identity(
            *(stream, encoder, fields, face_detector, known_files),
            reading.readers[stream].identity() if stream in reading.readers else "",
        )
        for stream in sorted(reading.streams)
        if (encoder := options.encoders.of(stream)) is not None
    }


class FeatureSource:
    """The cached features of a run.

    Args:
        options: Where they are and what they must be.

    Attributes:
        manifest: Of the cache in use; None before `prepare`.
        is_packed: Whether the features come with the clips of a packed set.
    """

    def __init__(self, options: FeatureOptions) -> None:
        self.options = options
        self.manifest: CacheManifest | None = None
        self.is_packed = False
        self._folder: Path | None = None
        self._wanted: dict[str, StreamIdentity] = {}
        self._readers: dict[str, CachedFeatures] = {}

    @property
    def widths(self) -> dict[str, int]:
        """Feature width by stream of the cache in use."""
        return {} if self.manifest is None else {name: self.manifest.widths[name] for name in self._wanted}

    def prepare(
        self,
        splits: Mapping[str, Sequence[ClipRecord]],
        reading: ReadingOptions,
        face_detector: PluginChoice | None,
        precision: str | None = None,
    ) -> None:
        """Choose the cache and check the clips of some splits.

        Args:
            splits: Clips by split; splits that are known already are not looked at again.
            reading: Of the run.
            face_detector: Of the run.
            precision: Of the Trainer, if there is one.

        Raises:
            ConfigurationError: No stream has an encoder.
            DataError: No cache serves, or clips are missing in it or have changed.
        """
        if self._folder is None:
            self._wanted = wanted_identities(self.options, reading, face_detector)
            if not self._wanted:
                raise ConfigurationError(
                    "data.features is cached, but the data module does not know the encoders of these features. Give "
                    "it the model's video_encoder, audio_encoder and stream_encoders (the command line does this "
                    "by itself)."
                )
            self._folder, self.manifest = self._choose()
            below = self._folder.relative_to(self.options.folder).as_posix()
            self.options.fetch(*(f"{below}/{kind}".removeprefix("./") for kind in ("shard-*", "checked.jsonl")))
            _log.info("Features come from the cache %s.", self._folder)
            self._warn_of_arithmetic(precision)
        assert self.manifest is not None
        for split, records in splits.items():
            if split not in self._readers:
                matching = match_clips(self._folder, records, self._wanted, reading.readers)
                self._check(split, records, matching)
                entries = [item for item in matching.found if item is not None]
                self._readers[split] = CachedFeatures(self.manifest, entries, self._wanted)

    def use_packed(
        self, folder: Path, reading: Any, face_detector: PluginChoice | None, precision: str | None = None
    ) -> None:
        """Take the features that the clips of a packed set bring with them.

        Args:
            folder: Where the set's cache.json is.
            reading: `ReadingOptions`.
            face_detector: Of the run.
            precision: Of the Trainer, if there is one.

        Raises:
            DataError: The features were made in another way than this run needs.
        """
        self._wanted = wanted_identities(self.options, reading, face_detector)
        self._folder, self.manifest, self.is_packed = folder, read_manifest(folder), True
        if misfit := self._misfit(self.manifest):
            raise DataError(
                f"The packed features do not fit this run: {'; '.join(misfit[:NAMED])}. Restore the options, "
                f"or run `affect-lightning cache` and `affect-lightning pack --payload features` with these."
            )
        self._warn_of_arithmetic(precision)

    def reader(self, split: str) -> CachedFeatures:
        """The features of a split's clips, in their order."""
        return self._readers[split]

    def _choose(self) -> tuple[Path, CacheManifest]:
        """The cache with the fewest streams that nobody asked for; of several the one that `cache` filled last."""
        caches = [(folder, read_manifest(folder)) for folder in caches_below(self.options.folder)]
        misfits = {folder: self._misfit(manifest) for folder, manifest in caches}
        fitting = [(folder, manifest) for folder, manifest in caches if not misfits[folder]]
        if not fitting:
            raise DataError(self._foreign(misfits))
        return min(fitting, key=lambda item: (len(item[1].streams), -(item[0] / MANIFEST).stat().st_mtime_ns))

    def _misfit(self, manifest: CacheManifest) -> list[str]:
        """Why a cache does not serve."""
        found = []
        if manifest.precision != self.options.precision:
            found.append(f"precision: cached {manifest.precision}, wanted {self.options.precision}")
        for stream, wanted in self._wanted.items():
            if stream not in manifest.streams:
                found.append(f"it has no stream {stream}")
            else:
                found += [f"{stream} {phrase}" for phrase in differences(manifest.streams[stream], wanted)]
        return found

    def _foreign(self, misfits: Mapping[Path, Sequence[str]]) -> str:
        if not misfits:
            return f"There is no feature cache in {self.options.place} (data.feature_folder). {_command('')}"
        nearest = min(misfits, key=lambda folder: len(misfits[folder]))
        more = len(misfits[nearest]) - NAMED
        return (
            f"None of the {len(misfits)} feature caches in {self.options.place} fits this run. The nearest, "
            f"{nearest.name}, differs: {'; '.join(misfits[nearest][:NAMED])}{f'; and {more} more' if more > 0 else ''}. "
            f"{_command('')} The new cache does not replace this one."
        )

    def _warn_of_arithmetic(self, precision: str | None) -> None:
        """Features of another arithmetic serve (a laptop trains from a server's cache), but not without a word."""
        assert self.manifest is not None
        if precision is not None and arithmetic_of(precision) != self.manifest.arithmetic:
            _log.warning(
                "The features in %s were computed in %s arithmetic; live encoders would compute in %s in this run "
                "(trainer.precision %s). Losses may differ by more than 1e-3.",
                *(self._folder, self.manifest.arithmetic, arithmetic_of(precision), precision),
            )

    def _check(self, split: str, records: Sequence[ClipRecord], matching: Matching) -> None:
        missing = [position for position in matching.missing if position not in matching.changed]
        problems = []
        if missing:
            named = ", ".join(records[position].name for position in missing[:NAMED])
            problems.append(f"{len(missing)} of {len(records)} {split} clips are not in it ({_first(missing)}{named})")
        if matching.changed:
            changed = sorted(matching.changed)
            named = "; ".join(f"{records[item].name}: {matching.changed[item]}" for item in changed[:NAMED])
            problems.append(f"{len(changed)} have changed since they were cached ({_first(changed)}{named})")
        if problems:
            option = " --split test" if split == "test" else ""
            raise DataError(
                f"The feature cache {self._folder} does not fit the data: {' and '.join(problems)}. {_command(option)}"
            )
        if matching.unchecked:
            _log.warning(
                "The media of %d of %d %s clips are missing (%s). Their cached features are used unchecked.",
                *(len(matching.unchecked), len(records), split, records[matching.unchecked[0]].name),
            )


def _first(items: Sequence[int]) -> str:
    return f"the first {NAMED}: " if len(items) > NAMED else ""


def _command(option: str) -> str:
    return (
        f"Run `affect-lightning cache{option}` with the --config and the options of this run to encode these clips, or set "
        f"data.features to live."
    )
