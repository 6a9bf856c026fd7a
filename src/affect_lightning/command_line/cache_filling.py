"""Filling the feature cache: find the cache of a configuration, encode what it lacks, count what cannot be read.

`cache_command.py` has the options, `cache_encoding.py` the processes and devices, `feature_cache/` the cache. Several
machines can divide the work (`feature_cache/cache_parts.py`).
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
from affect_lightning.feature_cache.cache_parts import PARTS, join_parts, waiting_clips, work_in_parts
from affect_lightning.feature_cache.cached_features import Matching, match_clips
from affect_lightning.feature_cache.identity import MANIFEST, CacheManifest, arithmetic_of
from affect_lightning.feature_cache.shards import WAIT_SECONDS, CacheEntry, only_command
from affect_lightning.feature_cache.source import wanted_identities
from affect_lightning.model.encoding import weights_digest
from affect_lightning.storage import Part
from affect_lightning.training import AffectGPTModule

SEND_SECONDS = 600.0  # our choice: a machine that is lost with its disk loses ten minutes of work
Filled = tuple[list[CacheEntry], list[CacheEntry], int]  # entries that were there, new ones, and how many had changed


class ConfigurationReader(AffectCLI):
    """Reads what `fit` would read and makes module and data module; there is no Trainer, and nothing runs."""

    def instantiate_classes(self) -> None:
        """Make the two; neither builds parts or opens files yet."""
        self.config_init = self.parser.instantiate_classes(self.config)
        self.datamodule = self._get(self.config_init, "data")
        self.model = self._get(self.config_init, "model")

    def _set_seed(self) -> None:
        """Seed nothing: who draws seeds itself."""

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

    def match(self, folder: Path, records: Sequence[ClipRecord]) -> Matching:
        """What a folder of shards has for clips."""
        return match_clips(folder, records, self.manifest.streams, self.data.options.readers)


def fill_cache(
    words: Sequence[str],
    overrides: dict[str, ChoiceOverride],
    splits: Sequence[str],
    *,
    devices: int,
    batch_size: int,
    wait_seconds: float | None = None,
    part: Part | None = None,
    joins: bool = False,
    records: Sequence[ClipRecord] | None = None,
) -> dict[str, Any]:
    """Encode what is not in the cache yet.

    Args:
        words: Options of `fit`.
        overrides: Its plugin choices.
        splits: To encode.
        devices: Number of processes, each on a device of its own.
        batch_size: Clips in one call of the encoders.
        wait_seconds: For another command that fills the same cache; None for a minute.
        part: Which share of the clips; None for all.
        joins: Whether to join finished parts instead of encoding.
        records: Clips instead of those of the splits.

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
    clips = _clips(program.datamodule, splits) if records is None else iter(records)
    plan = _plan(program.model, program.datamodule, str(trainer.precision), clips)
    started = time.monotonic()
    with _in_storage(plan, part, joins=joins):
        if part is not None:
            found, added, changed = _encode_part(plan, part, chosen, batch_size)
        else:
            found, added, changed = _encode_or_join(plan, chosen, batch_size, wait_seconds, joins=joins)
    summary = _summary(plan, found, added, changed, time.monotonic() - started)
    return summary if part is None else {**summary, "part": str(part)}


@contextlib.contextmanager
def _in_storage(plan: CachePlan, part: Part | None, *, joins: bool) -> Iterator[None]:
    """Where the cache is in object storage: fetch what counts, and send what is new, whatever ends the command."""
    store, name = plan.data.feature_options.store, plan.folder.name
    if store is None:
        yield
        return
    mine = "*" if joins else f"{part.folder_name}/*" if part is not None else ""
    store.fetch(*(f"{name}/{kind}" for kind in ("shard-*", "checked.jsonl", f"{PARTS}/*/part.json", f"{PARTS}/{mine}")))
    try:
        yield
    finally:
        store.send()
    if joins:
        store.remove(f"{name}/{PARTS}")


def _encode_or_join(
    plan: CachePlan, devices: Sequence[str], size: int, wait_seconds: float | None, *, joins: bool
) -> Filled:
    """Fill the cache with all clips that it lacks, by encoding them or out of finished parts."""
    parts = work_in_parts(plan.folder, plan.records, size)
    with only_command(plan.folder, WAIT_SECONDS if wait_seconds is None else wait_seconds):
        matching = plan.match(plan.folder, plan.records)
        found = [item.entry for item in matching.found if item is not None]
        missing = [plan.records[position] for position in matching.missing]
        if joins:
            quarantine = Quarantine(plan.data.bad_clips.policy, plan.data.bad_clips.max_bad_share)
            _admit(quarantine, found, plan.records)
            added = []
            for entries in join_parts(plan.folder, plan.manifest, parts, batches_of(plan.records, size), plan.match):
                _admit(quarantine, entries, plan.records)
                added += entries
            if plan.data.feature_options.store is None:  # there, the parts go once the cache is in the storage
                parts.remove()
        else:
            parts.check_none_waits()
            added = list(_encode(plan, plan.folder, plan.records, batches_of(missing, size), found, devices))
        os.utime(plan.folder / MANIFEST)  # of several caches that serve, a training takes the one filled last
    return found, added, len(matching.changed)


def _encode_part(plan: CachePlan, part: Part, devices: Sequence[str], size: int) -> Filled:
    """Encode a part of the batches, in a folder of its own; clips that the cache has are left out."""
    batches = part.of(batches_of(plan.records, size))
    records = [record for batch in batches for record in batch]
    parts = work_in_parts(plan.folder, plan.records, size)
    with parts.begun(part) as place, only_command(place):
        found, waiting = waiting_clips(batches, [plan.match(folder, records) for folder in (plan.folder, place)])
        added = list(_encode(plan, place, records, waiting, found, devices))
        parts.finish(part, {"clips": len(records)})
    return found, added, 0


def _plan(module: AffectGPTModule, data: ClipDataModule, precision: str, clips: Iterator[ClipRecord]) -> CachePlan:
    """Build the encoders and find the folder that belongs to them."""
    identities = wanted_identities(data.feature_options, data.options, data.face_detector)
    if not identities:
        raise ConfigurationError(
            f"Add a stream to model.inputs: there is nothing to cache, because {list(module.configuration.inputs)} "
            "need no encoder."
        )
    records = _listed_once(clips)
    encoders = encoders_for(module.configuration, list(identities), module.hparams["seed"])
    streams = {}
    for name, identity in identities.items():
        encoder = encoders.get(module.configuration.encoders.key_of(name))
        if encoder is None:
            raise ContractError(f"The stream {name!r} has no encoder.")
        streams[name] = replace(identity, width=int(encoder.feature_width), weights=weights_digest(encoder))
    manifest = CacheManifest(streams, data.feature_options.precision, arithmetic_of(precision))
    below = data.feature_options.folder
    if data.feature_options.address is not None and (below / MANIFEST).is_file():
        raise ConfigurationError(
            f"Give the address above it: {data.feature_options.address} is a cache itself, and `cache` needs that of all "
            f"caches (data.feature_folder)."
        )
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


def _encode(
    plan: CachePlan,
    folder: Path,
    records: Sequence[ClipRecord],
    batches: Sequence[list[ClipRecord]],
    found: Sequence[CacheEntry],
    devices: Sequence[str],
) -> Iterator[CacheEntry]:
    """Encode with a progress bar; bad clips are counted and stop the command past their limit.

    Args:
        plan: Of the command.
        folder: For the shards.
        records: All clips that count, for the limit.
        batches: What is missing of them.
        found: Entries of those that are there.
        devices: See `EncodingJob`.
    """
    from tqdm import tqdm

    data = plan.data
    quarantine = Quarantine(
        data.bad_clips.policy, data.bad_clips.max_bad_share
    )  # without a file: the cache keeps its clips
    _admit(quarantine, found, records)
    missing = [record for batch in batches for record in batch]
    if not missing:
        return
    job = EncodingJob(
        configuration=plan.module.configuration,
        seed=plan.module.hparams["seed"],
        manifest=plan.manifest,
        folder=folder,
        batches=list(batches),
        options=replace(data.options, streams=frozenset(plan.manifest.streams)),
        cropper=data.cropper_for(missing),
        readers=data.readers.for_clips(len(missing)),
        device=devices[0],
    )
    store, sent = data.feature_options.store, time.monotonic()
    encoded = encode(job, plan.encoders) if len(devices) == 1 else encode_on_devices(job, devices)
    with (
        contextlib.closing(encoded),
        tqdm(total=len(records), initial=len(found), unit="clip", desc="cache", smoothing=0.1) as bar,
    ):
        for entries in encoded:
            _admit(quarantine, entries, records)
            yield from entries
            if store is not None and time.monotonic() - sent > SEND_SECONDS:
                store.send()
                sent = time.monotonic()
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
