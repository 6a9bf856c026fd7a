"""Filling the feature cache: find the cache of a configuration, encode what it lacks, count what cannot be read.

`cache_command.py` has the options, `cache_encoding.py` the processes and devices, `feature_cache/` the cache.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from affect_lightning.command_line.cache_encoding import (
    EncodingJob,
    batches_of,
    choose_devices,
    encode,
    encode_on_devices,
    encoders_for,
)
from affect_lightning.command_line.plugin_arguments import ChoiceOverride
from affect_lightning.command_line.terminal import silence_expected_warnings
from affect_lightning.command_line.trainer_commands import AffectCLI
from affect_lightning.contracts import ClipRecord, Encoder
from affect_lightning.data.clip_data_module import ClipDataModule
from affect_lightning.data.quarantine import BadClip, Quarantine
from affect_lightning.errors import ConfigurationError, ContractError
from affect_lightning.feature_cache.cached_features import match_clips
from affect_lightning.feature_cache.identity import MANIFEST, CacheManifest, arithmetic_of
from affect_lightning.feature_cache.shards import CacheEntry, only_command
from affect_lightning.feature_cache.source import wanted_identities
from affect_lightning.model.encoding import weights_digest
from affect_lightning.training import AffectGPTModule


class ConfigurationReader(AffectCLI):
    """Reads what `fit` would read and makes module and data module; there is no Trainer, and nothing runs."""

    def instantiate_classes(self) -> None:
        """Make the two; neither builds parts or opens files yet."""
        self.config_init = self.parser.instantiate_classes(self.config)
        self.datamodule = self._get(self.config_init, "data")
        self.model = self._get(self.config_init, "model")

    def _run_subcommand(self, subcommand: str) -> None:
        """Nothing: `fit` only named the options."""


@dataclass
class CachePlan:
    """What the command is to do.

    Attributes:
        module: Of the configuration.
        data: Of the configuration.
        manifest: Of the cache.
        folder: Of the cache.
        records: All clips of the splits.
        encoders: Built.
    """

    module: AffectGPTModule
    data: ClipDataModule
    manifest: CacheManifest
    folder: Path
    records: list[ClipRecord]
    encoders: dict[str, Encoder]


def fill_cache(
    words: Sequence[str], overrides: dict[str, ChoiceOverride], splits: Sequence[str], *, devices: int, batch_size: int
) -> dict[str, Any]:
    """Encode what is not in the cache yet.

    Args:
        words: Options of `fit`.
        overrides: Its plugin choices.
        splits: To encode.
        devices: Number of processes, each on a device of its own.
        batch_size: Clips in one call of the encoders.

    Returns:
        What `--json` prints.

    Raises:
        AffectLightningError: A user's mistake, or a cache that cannot be written.
    """
    silence_expected_warnings()
    torch.set_float32_matmul_precision("high")
    program = ConfigurationReader(["fit", *words], overrides)
    trainer = program.config["fit"].trainer
    chosen = choose_devices(str(trainer.accelerator), devices)
    plan = _plan(program.model, program.datamodule, str(trainer.precision), splits)
    with only_command(plan.folder):
        matching = match_clips(plan.folder, plan.records, plan.manifest.streams, plan.data.options.readers)
        found = [item.entry for item in matching.found if item is not None]
        missing = [plan.records[position] for position in matching.missing]
        started = time.monotonic()
        added = list(_encode_missing(plan, missing, found, chosen, batch_size))
        seconds = time.monotonic() - started
        os.utime(plan.folder / MANIFEST)  # of several caches that serve, a training takes the one filled last
    return _summary(plan, found, added, len(matching.changed), seconds)


def _plan(module: AffectGPTModule, data: ClipDataModule, precision: str, splits: Sequence[str]) -> CachePlan:
    """Build the encoders and find the folder that belongs to them."""
    identities = wanted_identities(data.feature_options, data.options, data.face_detector)
    if not identities:
        raise ConfigurationError(
            f"Add a stream to model.inputs: there is nothing to cache, because {list(module.configuration.inputs)} "
            "need no encoder."
        )
    records = _listed_once(_clips(data, splits))
    encoders = encoders_for(module.configuration, list(identities), module.hparams["seed"])
    streams = {}
    for name, identity in identities.items():
        encoder = encoders.get(module.configuration.encoders.key_of(name))
        if encoder is None:
            raise ContractError(f"The stream {name!r} has no encoder.")
        streams[name] = replace(identity, width=int(encoder.feature_width), weights=weights_digest(encoder))
    manifest = CacheManifest(streams, data.feature_options.precision, arithmetic_of(precision))
    below = data.feature_options.folder
    # An option that names a cache, not the folder of caches, means that cache and those next to it.
    folder = (below.parent if (below / MANIFEST).is_file() else below) / manifest.folder_name()
    manifest.write(folder)
    return CachePlan(module, data, manifest, folder, records, encoders)


def _clips(data: ClipDataModule, splits: Sequence[str]) -> Iterator[ClipRecord]:
    if "train" in splits or "validation" in splits:
        training, validation = data.sources.training_clips()
        yield from training if "train" in splits else ()
        yield from validation if "validation" in splits else ()
    if "test" in splits:
        yield from data.sources.test_clips()


def _listed_once(records: Iterator[ClipRecord]) -> list[ClipRecord]:
    """Without repetitions: two sets may list one clip."""
    return list({(item.corpus, item.name, item.video, item.audio, item.face): item for item in records}.values())


def _encode_missing(
    plan: CachePlan, missing: Sequence[ClipRecord], found: Sequence[CacheEntry], devices: Sequence[str], size: int
) -> Iterator[CacheEntry]:
    """Encode with a progress bar; bad clips are counted and stop the command past their limit."""
    from tqdm import tqdm

    data = plan.data
    quarantine = Quarantine(
        data.bad_clips.policy, data.bad_clips.max_bad_share
    )  # without a file: the cache keeps its clips
    _admit(quarantine, found, plan.records)
    if not missing:
        return
    job = EncodingJob(
        configuration=plan.module.configuration,
        seed=plan.module.hparams["seed"],
        manifest=plan.manifest,
        folder=plan.folder,
        batches=batches_of(missing, size),
        options=replace(data.options, streams=frozenset(plan.manifest.streams)),
        cropper=data.cropper_for(missing),
        readers=data.readers.for_clips(len(missing)),
        device=devices[0],
    )
    encoded = encode(job, plan.encoders) if len(devices) == 1 else encode_on_devices(job, devices)
    with (
        contextlib.closing(encoded),
        tqdm(total=len(plan.records), initial=len(found), unit="clip", desc="cache", smoothing=0.1) as bar,
    ):
        for entries in encoded:
            _admit(quarantine, entries, plan.records)
            yield from entries
            bar.update(len(entries))
            if quarantine.clips:
                bar.set_postfix(quarantined=len(quarantine.clips), refresh=False)


def _admit(quarantine: Quarantine, entries: Sequence[CacheEntry], records: Sequence[ClipRecord]) -> None:
    for entry in entries:
        if entry.bad is not None:
            record = next(item for item in records if (item.corpus, item.name) == (entry.corpus, entry.name))
            path = getattr(record, entry.bad.role) if entry.bad.role else record.video or record.audio
            bad = BadClip(entry.name, entry.corpus, str(path or ""), entry.bad.stage, entry.bad.reason)
            quarantine.admit(bad, len(records))


def _summary(
    plan: CachePlan, found: Sequence[CacheEntry], added: Sequence[CacheEntry], changed: int, seconds: float
) -> dict[str, Any]:
    entries = [*found, *added]
    sizes = [path.stat().st_size for path in plan.folder.glob("shard-*")]
    bad = [entry for entry in entries if entry.bad is not None]
    return {
        "command": "cache",
        "folder": str(plan.folder),
        "streams": plan.manifest.widths,
        "precision": plan.manifest.precision,
        "arithmetic": plan.manifest.arithmetic,
        "clips": len(entries),
        "encoded": len(added),
        "already_there": len(found),
        "changed": changed,
        "quarantined": [
            {"name": entry.name, "corpus": entry.corpus, "stage": entry.bad.stage, "reason": entry.bad.reason}
            for entry in bad
            if entry.bad is not None
        ],
        "frames": sum(entry.frames for entry in entries),
        "frames_without_face": sum(entry.frames_without_face for entry in entries),
        "bytes": sum(sizes),
        "seconds": round(seconds, 3),
        "clips_per_second": round(len(added) / seconds, 2) if added and seconds else None,
    }
