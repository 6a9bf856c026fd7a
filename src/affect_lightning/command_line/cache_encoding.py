"""Runs the frozen encoders over batches of clips and writes their features, in one process or in several.

The work is divided by batch: process r of n takes the batches r, r + n, ... and writes its own shards, so the processes
share only the folder. A process commits whole batches, and none after its parent has ended. `cache_filling.py` finds
what is missing and shows the progress; `feature_cache/clip_encoding.py` reads clips and makes entries;
`model/encoding.py` builds the encoders.
"""

from __future__ import annotations

import contextlib
import math
import multiprocessing
import os
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection, wait
from pathlib import Path

import torch

from affect_lightning.contracts import ClipRecord, Encoder
from affect_lightning.data.dataset import ReadingOptions
from affect_lightning.data.faces import FaceCropper
from affect_lightning.data.reading_workers import ReadingWorkers
from affect_lightning.errors import AffectLightningError, ConfigurationError
from affect_lightning.feature_cache.clip_encoding import ClipsToEncode, entries_of, read_in_batches
from affect_lightning.feature_cache.identity import CacheManifest
from affect_lightning.feature_cache.shards import CacheEntry, ShardWriter
from affect_lightning.model.configuration import ModelConfiguration
from affect_lightning.model.encoding import build_encoders, encode_stream, weights_digest

_AUTOCAST = {"bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True)
class EncodingJob:
    """What one process must do. It pickles.

    Attributes:
        configuration: Names the encoders.
        seed: Of random encoders; `model.seed`, as in training.
        manifest: Of the cache.
        folder: Of the cache.
        batches: Clips of each batch.
        options: How clips are read; their streams are those of the manifest.
        cropper: See `ClipDataset`.
        readers: Worker processes that read clips.
        device: Where the encoders run.
        rank: Number of this process.
        threads: Of the arithmetic on a CPU; None leaves torch's number.
        parent: Number of the process that shows the progress, without which this one ends; None if it is this one.
    """

    configuration: ModelConfiguration
    seed: int
    manifest: CacheManifest
    folder: Path
    batches: list[list[ClipRecord]]
    options: ReadingOptions
    cropper: FaceCropper | None
    readers: ReadingWorkers
    device: str
    rank: int = 0
    threads: int | None = None
    parent: int | None = None


def encoders_for(configuration: ModelConfiguration, streams: Sequence[str], seed: int) -> dict[str, Encoder]:
    """The encoders as a training with this seed builds them."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build_encoders(configuration, streams)


def encode(job: EncodingJob, encoders: Mapping[str, Encoder]) -> Generator[list[CacheEntry], None, None]:
    """Encode and write batch by batch; gives the entries of each batch once it is on the disk.

    Args:
        job: What to do.
        encoders: Built encoders; see `build_encoders`.

    Raises:
        AffectLightningError: A clip could not be read for a reason that is not its own, or nothing can be written.
    """
    device = torch.device(job.device)
    for encoder in encoders.values():
        encoder.eval().requires_grad_(False).to(device)
    by_stream = {name: encoders.get(job.configuration.encoders.key_of(name)) for name in job.manifest.streams}
    clips = ClipsToEncode([record for batch in job.batches for record in batch], job.options, job.cropper)
    places, start = [], 0
    for batch in job.batches:
        places.append(range(start, start + len(batch)))
        start += len(batch)
    autocast = _AUTOCAST.get(job.manifest.arithmetic)
    arithmetic = torch.autocast(device.type, autocast) if autocast else contextlib.nullcontext()
    with ShardWriter(job.folder, job.rank) as writer:
        for decoded, read in read_in_batches(clips, places, job.readers):
            features = {}
            if decoded is not None:
                moved = decoded.to(device)
                with torch.inference_mode(), arithmetic:
                    features = {name: encode_stream(moved, name, encoder) for name, encoder in by_stream.items()}
            entries = entries_of(read, features, job.manifest)
            if job.parent is not None and os.getppid() != job.parent:
                return  # the command was killed; another one will do this batch
            writer.commit(entries)
            yield [entry for entry, _ in entries]


def encode_on_devices(job: EncodingJob, devices: Sequence[str]) -> Generator[list[CacheEntry], None, None]:
    """Encode in one new process a device; gives the entries of each batch once it is on the disk.

    Args:
        job: The whole work.
        devices: One for each process, such as cpu or cuda:1.

    Raises:
        AffectLightningError: What a process raised; or a process died.
    """
    threads = max(1, torch.get_num_threads() // len(devices)) if devices[0] == "cpu" else None
    context = multiprocessing.get_context("spawn")  # forked processes cannot use CUDA
    processes, pipes = [], []
    try:
        for rank, device in enumerate(devices):
            receiving, sending = context.Pipe(duplex=False)
            share = replace(job, batches=job.batches[rank :: len(devices)], rank=rank, device=device)
            share = replace(share, threads=threads, parent=os.getpid())
            process = context.Process(target=_encode_share, args=(share, sending), name=f"encoder-{rank}")
            process.start()
            sending.close()
            processes.append(process)
            pipes.append(receiving)
        waiting = list(pipes)
        while waiting:
            for pipe in wait(waiting):
                assert isinstance(pipe, Connection)
                try:
                    received = pipe.recv()
                except EOFError:
                    raise _died(processes[pipes.index(pipe)]) from None
                if received is None:
                    waiting.remove(pipe)
                elif isinstance(received, AffectLightningError):
                    raise received
                else:
                    yield received
        for process in processes:
            process.join()
    finally:
        for process in processes:
            process.terminate()  # does nothing to one that has ended
            process.join()


def _encode_share(job: EncodingJob, results: Connection) -> None:
    """The life of one process."""
    if job.threads is not None:
        torch.set_num_threads(job.threads)
    torch.set_float32_matmul_precision("high")
    try:
        encoders = encoders_for(job.configuration, list(job.manifest.streams), job.seed)
        check_weights(encoders, job.configuration, job.manifest)
        for entries in encode(job, encoders):
            results.send(entries)
        results.send(None)
    except AffectLightningError as error:
        results.send(error)
    except BrokenPipeError:  # the parent is gone
        return


def check_weights(encoders: Mapping[str, Encoder], configuration: ModelConfiguration, manifest: CacheManifest) -> None:
    """Check that encoders that were built again have the weights of the manifest.

    Raises:
        ConfigurationError: They differ.
    """
    for name, identity in manifest.streams.items():
        encoder = encoders.get(configuration.encoders.key_of(name))
        if encoder is not None and weights_digest(encoder) != identity.weights:
            raise ConfigurationError(
                f"The encoder {identity.facts.get('encoder.name')!r} has different weights each time that it is built. Use one "
                f"device, or an encoder with fixed weights: several processes cannot cache its features together."
            )


def batches_of(records: Sequence[ClipRecord], size: int) -> list[list[ClipRecord]]:
    """The clips in order, `size` a batch."""
    return [list(records[index * size : (index + 1) * size]) for index in range(math.ceil(len(records) / size))]


def choose_devices(accelerator: str, count: int) -> list[str]:
    """Devices for `count` processes, under the Trainer's `accelerator` option.

    Raises:
        ConfigurationError: There are not so many, or none of that kind.
    """
    if count < 1:
        raise ConfigurationError(f"--devices must be at least 1; got {count}.")
    if accelerator in ("auto", "gpu", "cuda") and torch.cuda.is_available():
        available = torch.cuda.device_count()
        if count > available:
            raise ConfigurationError(
                f"--devices must be at most {available}, the number of GPUs of this machine; got {count}."
            )
        return [f"cuda:{rank}" for rank in range(count)]
    if accelerator in ("auto", "gpu", "mps") and torch.backends.mps.is_available():
        return ["mps"] * count
    if accelerator in ("auto", "cpu"):
        return ["cpu"] * count
    raise ConfigurationError(
        f"Choose --trainer.accelerator auto or cpu: this machine has no {accelerator!r} that torch can use."
    )


def _died(process: multiprocessing.process.BaseProcess) -> AffectLightningError:
    process.join()
    return AffectLightningError(
        f"The process {process.name} ended with exit code {process.exitcode} before its work was done. Run the command "
        f"again to continue: finished work is kept. If the process had a message, it is above (-9: the system killed it, "
        f"perhaps because memory ran out)."
    )
