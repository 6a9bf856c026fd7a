"""Workers, threads and caches change no bit of a batch: the same seed gives the same batches."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from torch import Tensor, equal

from affect_lightning.contracts import ClipBatch
from affect_lightning.data.clip_data_module import ClipDataModule


def batches_of(corpus: Path, cache: Path, **options: Any) -> list[ClipBatch]:
    """Two epochs of training batches, every stream read."""
    pytest.importorskip("onnxruntime")
    module = ClipDataModule(
        train_root=corpus,
        inputs=["multi", "audio", "face", "frame", "text"],
        fused_streams=["audio", "face"],
        frames=4,
        crop_size=64,
        batch_size=3,
        validation_share=0.0,
        face_detector={"name": "centerface", "longest_side": 256},
        cache_folder=cache,
        seed=11,
        **options,
    )
    module.setup("fit")
    loader = module.train_dataloader()
    batches = [batch for _ in range(2) for batch in loader]
    module.teardown("fit")
    return batches


def differences(first: list[ClipBatch], second: list[ClipBatch]) -> list[str]:
    found = [] if len(first) == len(second) else [f"{len(first)} and {len(second)} batches"]
    for position, (one, other) in enumerate(zip(first, second, strict=False)):
        for name, value in vars(one).items():
            counterpart = getattr(other, name)
            if isinstance(value, Tensor):
                same = value.dtype == counterpart.dtype and equal(value, counterpart)
            else:
                same = value == counterpart
            if not same:
                found.append(f"batch {position}: {name}")
    return found


@pytest.mark.timeout(1800)
def test_workers_and_caches_change_nothing(corpus: Path, tmp_path: Path) -> None:
    cold = batches_of(corpus, tmp_path / "main")
    assert [len(batch) for batch in cold] == [3, 3, 2] * 2
    assert any(tmp_path.joinpath("main").rglob("*"))  # the second epoch and the next runs find boxes here
    assert differences(cold[:3], cold[3:])  # another order: the comparison can tell
    runs = {
        "warm": batches_of(corpus, tmp_path / "main"),
        "one worker, cold": batches_of(corpus, tmp_path / "one", workers=1),
        "two workers, cold": batches_of(corpus, tmp_path / "two", workers=2, worker_start="forkserver"),
        "two workers, warm": batches_of(corpus, tmp_path / "main", workers=2, worker_start="forkserver"),
        "two threads, cold": batches_of(corpus, tmp_path / "threads", reading_threads=2),
    }
    assert {name: differences(cold, batches) for name, batches in runs.items()} == {name: [] for name in runs}
