"""Two processes with uneven shards, one of them with padding, give the figures of one process."""

from __future__ import annotations

import socket
from datetime import timedelta
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from affect_lightning.metrics import EmotionHitRate, EmotionWheelFScore, SentimentAccuracy, SentimentWAF

WORDS = ("happy", "sad", "angry", "afraid", "surprised", "calm", "proud", "disgusted", "neutral")
SENTIMENTS = ("positive", "negative", "neutral")


def clips(count: int) -> list[tuple[list[str], list[str], str, float]]:
    """Predicted labels, true labels, predicted sentiment, true sentiment of made-up clips."""
    return [
        (
            [WORDS[(7 * number + step) % len(WORDS)] for step in range(number % 4)],
            [WORDS[(5 * number) % len(WORDS)]],
            SENTIMENTS[number % 3],
            (number % 5) - 2.0,
        )
        for number in range(count)
    ]


def metrics() -> list[tuple[torch.nn.Module, int, int]]:
    """Each metric with the places of its prediction and its truth in a clip."""
    return [
        (EmotionWheelFScore(), 0, 1),
        (EmotionWheelFScore(level=2, statistic="recall"), 0, 1),
        (EmotionHitRate(statistic="m_score", candidates=WORDS), 0, 1),
        (SentimentWAF(), 2, 3),
        (SentimentAccuracy(), 2, 3),
    ]


def scores(shard: list[tuple[list[str], list[str], str, float]], valid: torch.Tensor | None) -> list[float]:
    """Scores after one update a metric; an empty shard sees no update, as a rank without clips."""
    results = []
    for metric, prediction, truth in metrics():
        if shard:
            metric.update([clip[prediction] for clip in shard], [clip[truth] for clip in shard], valid)
        results.append(metric.compute().item())
    return results


def work(rank: int, port: int, count: int, folder: str) -> None:
    """One process: rank 0 takes the first 3 clips and a padding clip, rank 1 all the others."""
    address = f"tcp://127.0.0.1:{port}"
    dist.init_process_group("gloo", init_method=address, rank=rank, world_size=2, timeout=timedelta(seconds=120))
    all_clips = clips(count)
    shard = [*all_clips[:3], all_clips[0]] if rank == 0 else all_clips[3:]
    valid = torch.tensor([True, True, True, False]) if rank == 0 else None
    torch.save(scores(shard, valid), Path(folder) / f"{rank}.pt")
    dist.destroy_process_group()


@pytest.mark.parametrize("count", [14])
def test_two_processes_equal_one(tmp_path: Path, count: int) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    other = mp.get_context("spawn").Process(target=work, args=(1, port, count, str(tmp_path)))
    other.start()
    work(0, port, count, str(tmp_path))
    other.join()
    assert other.exitcode == 0
    one = scores(clips(count), None)
    for rank in range(2):
        assert torch.load(tmp_path / f"{rank}.pt", weights_only=True) == pytest.approx(one, abs=1e-12)
