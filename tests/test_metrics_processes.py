"""Two processes with uneven shards and repeated padding clips give the figures of one process."""

from __future__ import annotations

import socket
from datetime import timedelta
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from affect_lightning.metrics import EmotionHitRate, EmotionWheelFScore, SentimentAccuracy, SentimentWAF, Taxonomy
from metric_cases import official_truth, saved_outputs
from patience import LONGEST

WORDS = ("happy", "sad", "angry", "afraid", "surprised", "calm", "proud", "disgusted", "neutral")
SENTIMENTS = ("positive", "negative", "neutral")
BATCH = 4

Clip = tuple[object, object, str, float]
Shard = list[tuple[int, bool]]  # number of the clip, and whether it counts


def made_up_clips(count: int) -> list[Clip]:
    """Predicted labels, true labels, predicted sentiment, true sentiment."""
    return [
        (
            [WORDS[(7 * number + step) % len(WORDS)] for step in range(number % 4)],
            [WORDS[(5 * number) % len(WORDS)]],
            SENTIMENTS[number % 3],
            (number % 5) - 2.0,
        )
        for number in range(count)
    ]


def real_clips(reference: Path) -> list[Clip]:
    """AffectGPT's saved labels and sentiments: MER2023 and, for as many clips, CMU-MOSI."""
    emotions, values = official_truth(reference, "mer2023"), official_truth(reference, "cmumosi")
    labels = saved_outputs(reference, "mer2023", "checkpoint_000030", "openset")
    words = saved_outputs(reference, "cmumosi", "checkpoint_000030", "openset-sentiment")
    return [(labels[a], emotions[a], words[b], values[b]) for a, b in zip(emotions, values, strict=False)]


def shardings(count: int) -> dict[str, tuple[Shard, Shard]]:
    """How a loader may deal `count` clips out to two processes."""
    clips = [(number, True) for number in range(count)]
    padding = [(0, False), (1, False), (2, False)]
    return {
        "every second clip, padded to whole batches": ([*clips[::2], *padding[:2]], [*clips[1::2], *padding]),
        "uneven": ([*clips[:3], padding[0]], clips[3:]),
        "all in one, padding alone in the other": (clips, padding),
        "all in one, nothing in the other": ([], clips),
        "padding before and between": ([*padding, *clips[:5], padding[1], *clips[5:9]], [padding[2], *clips[9:]]),
    }


def metrics(taxonomy: Taxonomy) -> list[tuple[torch.nn.Module, int, int]]:
    """Each metric with the places of its prediction and its truth in a clip."""
    return [
        (EmotionWheelFScore(taxonomy), 0, 1),
        (EmotionWheelFScore(taxonomy, level=2, statistic="recall"), 0, 1),
        (EmotionWheelFScore(taxonomy, statistic="precision"), 0, 1),
        (EmotionHitRate(taxonomy), 0, 1),
        (EmotionHitRate(taxonomy, statistic="m_score", candidates=WORDS), 0, 1),
        (SentimentWAF(), 2, 3),
        (SentimentAccuracy(), 2, 3),
    ]


def scores(clips: list[Clip], shard: Shard, taxonomy: Taxonomy, masked: bool = True) -> list[float]:
    """Scores of all processes, each with its shard in batches; a process without clips sees no update."""
    results = []
    for metric, prediction, truth in metrics(taxonomy):
        for start in range(0, len(shard), BATCH):
            batch = shard[start : start + BATCH]
            valid = torch.tensor([counts for _, counts in batch]) if masked else None
            numbers = [number for number, _ in batch]
            metric.update([clips[one][prediction] for one in numbers], [clips[one][truth] for one in numbers], valid)
        results.append(metric.compute().item())
    return results


def load_case(reference: str | None) -> tuple[list[Clip], Taxonomy]:
    if reference is None:
        return made_up_clips(15), Taxonomy.builtin()
    return real_clips(Path(reference)), Taxonomy.from_official(Path(reference) / "emotion_wheel")


def work(rank: int, port: int, reference: str | None, folder: str) -> None:
    """One process: the scores with every sharding, as this process sees them."""
    torch.set_num_threads(1)
    address = f"tcp://127.0.0.1:{port}"
    dist.init_process_group("gloo", init_method=address, rank=rank, world_size=2, timeout=timedelta(seconds=LONGEST))
    clips, taxonomy = load_case(reference)
    found = {name: scores(clips, shards[rank], taxonomy) for name, shards in shardings(len(clips)).items()}
    torch.save(found, Path(folder) / f"{rank}.pt")
    dist.destroy_process_group()


@pytest.mark.filterwarnings("ignore:The ``compute`` method of metric")  # a process without clips has seen no update
@pytest.mark.parametrize("real", [False, True], ids=["made-up clips", "saved outputs"])
def test_two_processes_equal_one(real: bool, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    reference = str(request.getfixturevalue("reference")) if real else None
    clips, taxonomy = load_case(reference)
    one = scores(clips, [(number, True) for number in range(len(clips))], taxonomy)
    threads = torch.get_num_threads()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    other = mp.get_context("forkserver").Process(target=work, args=(1, port, reference, str(tmp_path)))
    other.start()
    work(0, port, reference, str(tmp_path))
    other.join()
    torch.set_num_threads(threads)
    assert other.exitcode == 0
    for rank in range(2):
        found = torch.load(tmp_path / f"{rank}.pt", weights_only=True)
        assert found.keys() == shardings(len(clips)).keys()
        for name, values in found.items():
            assert values == pytest.approx(one, abs=1e-12), (rank, name)


def test_padding_would_move_every_score_if_it_counted() -> None:
    """So that the test above can fail."""
    clips, taxonomy = load_case(None)
    one = scores(clips, [(number, True) for number in range(len(clips))], taxonomy)
    padded = scores(clips, [*((number, True) for number in range(len(clips))), (0, False), (4, False)], taxonomy, False)
    assert all(abs(first - second) > 1e-3 for first, second in zip(one, padded, strict=True))
