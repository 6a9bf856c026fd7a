"""Packed sets: the memory of a process by the number of clips, and the rate of reading packed and unpacked clips.

    python benchmarks/streaming.py memory --clips 1000 1000000 --workers 1
    python benchmarks/streaming.py rate --clips 200

Each memory is that of a process of its own, peak (VmHWM of Linux), main process and largest worker. The set of a million
clips is one shard of a thousand, linked a thousand times: what a process holds depends on the index, not on the bytes.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from itertools import islice
from pathlib import Path

import numpy as np

SHARD_CLIPS = 1000
BATCHES = 40
ROUNDS = 3


def write_linked_set(folder: Path, clips: int) -> Path:
    """A packed set of so many clips without files, all shards of which are one file."""
    from dataclasses import replace

    from affect_lightning.contracts import ClipRecord
    from affect_lightning.packed_sets.layout import CLIPS, MANIFEST, file_sha256, shard_name
    from affect_lightning.packed_sets.packing import pack_clips

    many = clips // SHARD_CLIPS
    assert clips == many * SHARD_CLIPS, f"a multiple of {SHARD_CLIPS}, please"
    listed = [
        ClipRecord(f"clip{index:06}", "made", labels=("happy", "calm"), subtitle_english="some words that are said")
        for index in range(SHARD_CLIPS)
    ]
    manifest = pack_clips(listed, folder)
    for shard in range(1, many):
        os.link(folder / shard_name(0), folder / shard_name(shard))
    np.save(folder / CLIPS, np.tile(np.load(folder / CLIPS), many))
    wide = replace(manifest, clips=clips, shards=manifest.shards * many, index_sha256=file_sha256(folder / CLIPS))
    (folder / MANIFEST).write_text(wide.to_json(), encoding="utf-8")
    return folder


def peak_bytes(process: int | str) -> int:
    """Most memory that a process ever held."""
    for line in Path(f"/proc/{process}/status").read_text(encoding="utf-8").splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) * 1024
    return 0


def children() -> list[int]:
    listed = [path.read_text(encoding="utf-8") for path in Path("/proc/self/task").glob("*/children")]
    return [int(number) for text in listed for number in text.split()]


def measure_one(folder: Path, workers: int) -> dict[str, int]:
    """Train's way through the set: some batches, then over the end of the epoch."""
    from affect_lightning.data.clip_data_module import ClipDataModule

    module = ClipDataModule(packed=str(folder), inputs=["text"], workers=workers, batch_size=3, validation_share=0.05)
    module.setup("fit")
    loader = module.train_dataloader()
    read = sum(len(batch) for batch in islice(loader, BATCHES))
    loader.load_state_dict({**loader.state_dict(), "batches": len(loader) - BATCHES // 2})
    read += sum(len(batch) for batch in islice(loader, BATCHES))
    assert loader.epoch == 1
    assert read >= 3 * (2 * BATCHES - 1)
    result = {"clips": len(module.records["train"]) + len(module.records["validation"])}
    result["main"] = peak_bytes("self")
    result["worker"] = max((peak_bytes(child) for child in children()), default=0)
    loader.close()
    return result


def memory(counts: list[int], workers: int) -> list[dict[str, int]]:
    """Measured in a process for each count."""
    rows = []
    for count in counts:
        with tempfile.TemporaryDirectory() as name:
            folder = write_linked_set(Path(name) / "set", count)
            words = [sys.executable, __file__, "one", "--folder", str(folder), "--workers", str(workers)]
            rows.append(
                json.loads(subprocess.run(words, check=True, capture_output=True, text=True, encoding="utf-8").stdout)
            )
    return rows


def rate(count: int) -> dict[str, float]:
    """Clips a second of processor time, from files and from shards, on 2 s clips of 320x240 with sound beside them.

    The best of some rounds in turn, everything in the system's cache: what the shards cost, not what the disk does.
    """
    sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
    from affect_lightning.contracts import ClipRecord
    from affect_lightning.data.dataset import ReadingOptions
    from affect_lightning.data.ordering import SampleKey
    from affect_lightning.packed_sets.packed_clips import open_packed_set
    from affect_lightning.packed_sets.packing import pack_clips
    from clip_making import tone, write_clip, write_wav
    from streaming_cases import make_dataset

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        video = write_clip(folder / "made.mp4", size=(320, 240))
        sound = write_wav(folder / "made.wav", tone(2.0))
        records = []
        for index in range(count):
            copies = folder / f"{index}.mp4", folder / f"{index}.wav"
            for copy, original in zip(copies, (video, sound), strict=True):
                copy.write_bytes(original.read_bytes())
            records.append(ClipRecord(f"clip{index}", "made", *copies, labels=("happy",)))
        started = time.process_time()
        pack_clips(records, folder / "set", shard_bytes=2**22)
        result = {"pack": count / (time.process_time() - started)}
        packed = open_packed_set(str(folder / "set"), cache_folder=folder)
        options = ReadingOptions(frozenset({"audio", "frame"}))
        order = np.random.default_rng(0).permutation(count).tolist()
        datasets = {"files": make_dataset(records, options), "packed": make_dataset(packed, options)}
        read = {f"decode {name}": lambda index, part=part: part[SampleKey(index)] for name, part in datasets.items()}
        read["open files"] = lambda index: [path.read_bytes() for path in (records[index].video, records[index].audio)]
        read["open packed"] = packed.open
        for label, reader in [*read.items()] * ROUNDS:
            started = time.process_time()
            for index in order:
                reader(index)
            result[label] = max(result.get(label, 0.0), count / (time.process_time() - started))
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["memory", "rate", "one"])
    parser.add_argument("--clips", type=int, nargs="+", default=[1000])
    parser.add_argument("--workers", type=int, default=0)
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    if options.what == "one":
        print(json.dumps(measure_one(options.folder, options.workers)))
    elif options.what == "rate":
        print(json.dumps({name: round(value, 1) for name, value in rate(options.clips[0]).items()}))
    else:
        for row in memory(options.clips, options.workers):
            print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
