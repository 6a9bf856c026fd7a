"""Packed features are those of the cache, bit by bit; a set made in another way, or with other things in it, is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from affect_lightning.command_line.pack_command import configured_data
from affect_lightning.command_line.program import main
from affect_lightning.contracts import ClipBatch
from affect_lightning.data.clip_data_module import ClipDataModule
from affect_lightning.errors import DataError
from clip_making import write_clip, write_training_set

pytest.importorskip("litdata", reason="litdata is not installed: pip install 'affect-lightning[streaming]'")

NAMES = [f"sample_{index:03}" for index in range(7)]
BROKEN = NAMES[4]


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Options that cache, pack and fit share, over seven clips of which one is broken."""
    root = tmp_path_factory.mktemp("corpus")
    write_training_set(root, NAMES, make=lambda path: write_clip(path, range(0, 800, 40)))
    (root / "mer-caption-plus" / "video" / f"{BROKEN}.mp4").write_bytes(b"no film")
    return [
        *("--config", str(Path(__file__).parent / "tiny.yaml"), "--data.train_root", str(root)),
        *("--data.feature_folder", str(root / "features"), "--data.cache_folder", str(root / "boxes")),
        *("--data.validation_share", "0.6", "--data.max_bad_share", "0.5", "--trainer.precision", "32-true"),
    ]


@pytest.fixture(scope="module")
def packed(words: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("packed") / "set"
    assert main(["pack", "--out", str(folder), "--payload", "features", *words]) == 2  # nothing is cached yet
    assert main(["cache", *words]) == 0
    assert main(["pack", "--out", str(folder), "--payload", "features", *words]) == 0
    return folder


def module_of(words: list[str], **options: Any) -> ClipDataModule:
    extra = [word for name, value in options.items() for word in (f"--data.{name}", str(value))]
    module = configured_data([*words, "--data.features", "cached", *extra])
    module.setup("fit")
    return module


def features_of(batch: ClipBatch) -> dict[str, list[Any]]:
    assert batch.features is not None
    assert not batch.streams
    return {name: [stream.tokens.tolist(), stream.mask.tolist()] for name, stream in batch.features.items()}


def test_packed_features_are_the_cached_ones(words: list[str], packed: Path) -> None:
    listed, streamed = module_of(words), module_of(words, packed=packed)
    assert streamed.feature_widths == listed.feature_widths != {}
    pairs = zip(streamed.val_dataloader(), listed.val_dataloader(), strict=True)
    compared = 0
    for one, other in pairs:
        assert one.records == other.records
        assert one.responses == other.responses
        assert torch.equal(one.valid, other.valid)
        assert features_of(one) == features_of(other)
        compared += len(one)
    assert compared >= 2
    names = sorted(name for batch in streamed.train_dataloader() for name in batch.names)
    assert names == sorted(name for batch in listed.train_dataloader() for name in batch.names)
    assert streamed.counts() == listed.counts()
    assert [clip["name"] for clip in streamed.quarantined()] == [BROKEN]


def test_the_manifest_says_what_it_is(packed: Path) -> None:
    manifest = json.loads((packed / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["payload"] == "features"
    assert [entry["name"] for entry in manifest["unreadable"]] == [BROKEN]
    assert list(manifest["beside"]) == ["cache.json"]


def test_features_made_in_another_way_are_refused(words: list[str], packed: Path) -> None:
    with pytest.raises(DataError, match=r"packed features were not made as this run needs them: .*frame_count"):
        module_of(words, packed=packed, frames=5)
    with pytest.raises(DataError, match=r"has the payload 'features'; 'media' is needed.*data.features to cached"):
        configured_data([*words, "--data.packed", str(packed)]).setup("fit")


def test_training_from_packed_features(words: list[str], packed: Path, tmp_path: Path) -> None:
    more = ["--data.packed", str(packed), "--data.features", "cached", "--trainer.max_steps", "2"]
    more += ["--trainer.logger.init_args.save_dir", str(tmp_path), "--trainer.limit_val_batches", "1"]
    assert main(["fit", *words, *more]) == 0
    assert list(tmp_path.rglob("*.ckpt"))
