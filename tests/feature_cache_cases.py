"""A small cache made by hand, and a set of real small clips with the command lines that read it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from affect_lightning.contracts import ClipRecord
from affect_lightning.feature_cache.identity import CacheManifest, FileState, StreamIdentity, stored_type
from affect_lightning.feature_cache.shards import CacheEntry, read_journals
from clip_making import write_test_set, write_training_set

TINY = Path(__file__).parent / "tiny.yaml"
NAMES = [f"sample_{index:03}" for index in range(7)]
PAPER_WIDTHS = {"audio": 1024, "face": 768}  # PAPER facts: HuBERT-Large and CLIP ViT-L/14


def make_manifest(widths: dict[str, int], precision: Any = "bf16") -> CacheManifest:
    streams = {name: StreamIdentity({"encoder.name": f"{name}-encoder"}, {}, width) for name, width in widths.items()}
    return CacheManifest(streams, precision, "fp32")


def made_clip(
    manifest: CacheManifest, index: int, tokens: Sequence[int] = (8, 8), corpus: str = "made"
) -> tuple[CacheEntry, bytes, dict[str, torch.Tensor]]:
    """Random features of one clip: its entry, the bytes to commit, and what must be read back."""
    generator = torch.Generator().manual_seed(index)
    made = {
        name: torch.randn(count, width, generator=generator).to(stored_type(manifest.precision))
        for (name, width), count in zip(manifest.widths.items(), tokens, strict=True)
    }
    content = b"".join(value.view(torch.uint8).numpy().tobytes() for value in made.values())
    files = {
        role: FileState(1_000_000 + index, 1_790_000_000_123_456_789 + index, f"{index:032x}")
        for role in ("video", "audio")
    }
    entry = CacheEntry(f"sample_{index:08d}", corpus, files, 0, tuple(tokens), frames=8)
    return entry, content, made


def write_corpus(root: Path) -> Path:
    """Seven training clips and MER2024 with two."""
    write_training_set(root, NAMES)
    folder = write_test_set(root, ["test_1", "test_2"])
    (folder / "label.csv").write_text("name,discrete\ntest_1,happy\ntest_2,sad\n", encoding="utf-8")
    return root


def words(corpus: Path, out: Path, *more: str) -> list[str]:
    """Options that cache, fit and test share."""
    return [
        *("--config", str(TINY), "--data.train_root", str(corpus), "--data.benchmark_root", str(corpus)),
        *("--data.feature_folder", str(out / "features"), "--data.cache_folder", str(out / "boxes")),
        *("--trainer.logger.init_args.save_dir", str(out / "runs"), "--trainer.precision", "32-true"),
        *("--data.expected_counts", "any", "--data.validation_share", "0.0", *more),
    ]


def all_entries(folder: Path) -> dict[tuple[str, str], list[tuple[CacheEntry, bytes]]]:
    """Every entry of a cache with its features as bytes, by set and name; offsets are left out."""
    found: dict[tuple[str, str], list[tuple[CacheEntry, bytes]]] = {}
    for journal in read_journals(folder):
        content = journal.data.read_bytes()
        ordered = [*sorted(entry.offset for entry in journal.entries if entry.bad is None), journal.data_bytes]
        for entry in journal.entries:
            end = ordered[ordered.index(entry.offset) + 1] if entry.bad is None else 0
            found.setdefault((entry.corpus, entry.name), []).append(
                (replace(entry, offset=0), content[entry.offset : end] if entry.bad is None else b"")
            )
    return found


def record_of(folder: Path, name: str, corpus: str = "made") -> ClipRecord:
    """A record of two small files, which are made."""
    folder.mkdir(parents=True, exist_ok=True)
    video, audio = folder / f"{name}.mp4", folder / f"{name}.wav"
    video.write_bytes(f"pictures of {name}".encode())
    audio.write_bytes(f"sound of {name}".encode())
    return ClipRecord(name, corpus, video=video, audio=audio)
