"""The loader: the same batches for any number of workers, exact resume, ranks without repeats, counted bad clips."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from lightning.pytorch import Trainer

from affect_lightning.contracts import ClipBatch, ClipRecord, FaceBox, FaceDetector
from affect_lightning.data.dataset import ClipDataset, ReadingOptions
from affect_lightning.data.faces import FaceCropper
from affect_lightning.data.loading import ClipLoader
from affect_lightning.data.ordering import BatchPlan
from affect_lightning.data.quarantine import Quarantine
from affect_lightning.data.questions import QuestionDraw
from affect_lightning.data.reading_workers import ReadingWorkers
from affect_lightning.errors import ConfigurationError, DataError
from affect_lightning.plugin_loading import build_part
from clip_making import tone, write_clip, write_wav
from model_cases import stream_values
from name_recorder import NameRecorder
from patience import LONGEST

CLIPS = 7


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> list[ClipRecord]:
    folder = tmp_path_factory.mktemp("clips")
    return [
        ClipRecord(
            name=f"clip{index}",
            corpus="made",
            video=write_clip(folder / f"clip{index}.mp4", range(0, 400 + 40 * index, 40)),
            audio=write_wav(folder / f"clip{index}.wav", tone(0.4 + 0.04 * index, 300 + 50 * index)),
            subtitle_english=f"words {index}",
            labels=("happy", f"mood{index}"),
            description=f"reasons {index}",
        )
        for index in range(CLIPS)
    ]


def make_loader(records: Sequence[ClipRecord], workers: int = 0, quarantine: Quarantine | None = None, **plan: Any):
    options = ReadingOptions(frozenset({"audio", "face", "frame"}), frame_count=3, crop_size=16)
    cropper = FaceCropper(build_part("face_detectors", "none"), 16)
    plan = {"batch_size": 2, "shuffle": True, "seed": 5, **plan}
    dataset = ClipDataset(records, options, QuestionDraw(seed=5), cropper)
    bad = quarantine or Quarantine()
    return ClipLoader(dataset, BatchPlan(len(records), **plan), bad, readers=ReadingWorkers(workers, "forkserver"))


def contents(batch: ClipBatch) -> list[Any]:
    assert set(batch.streams) == {"audio", "face", "frame"}
    return [batch.names, batch.questions, batch.responses, batch.valid.tolist(), stream_values(batch)]


def broken(records: Sequence[ClipRecord], *names: str) -> list[ClipRecord]:
    from dataclasses import replace

    return [replace(item, video=Path("/nowhere.mp4")) if item.name in names else item for item in records]


def test_any_number_of_workers_gives_the_same_batches(records: list[ClipRecord]) -> None:
    expected = [[contents(batch) for batch in loader] for loader in [make_loader(records)] * 2]
    assert expected[0] != expected[1]  # two epochs, two orders
    assert sorted(name for batch in expected[0] for name in batch[0]) == [record.name for record in records]
    for workers in (1, 2):
        loader = make_loader(records, workers)
        assert [[contents(batch) for batch in loader] for _ in range(2)] == expected


class MeetingDetector(FaceDetector):
    """Waits until two threads detect at once, each with its own copy; finds nothing."""

    meeting = threading.Barrier(2, timeout=LONGEST)
    owners: ClassVar[dict[int, int]] = {}

    def identity(self) -> str:
        return "meeting"

    def detect(self, frames: np.ndarray) -> list[list[FaceBox]]:
        assert self.owners.setdefault(id(self), threading.get_ident()) == threading.get_ident()
        self.meeting.wait()
        return [[] for _ in frames]

    def __deepcopy__(self, memory: dict[int, Any]) -> MeetingDetector:
        kept.append(MeetingDetector())  # an object that is gone could lend its identity to the next
        return kept[-1]


kept: list[MeetingDetector] = []


def test_threads_read_at_once_and_give_the_same_batches(records: list[ClipRecord]) -> None:
    def batches(detector: FaceDetector, threads: int) -> list[list[Any]]:
        options = ReadingOptions(frozenset({"audio", "face", "frame"}), frame_count=3, crop_size=16)
        dataset = ClipDataset(records[:6], options, QuestionDraw(seed=5), FaceCropper(detector, 16))
        plan = BatchPlan(6, 2, shuffle=True, seed=5)
        loader = ClipLoader(dataset, plan, Quarantine(), readers=ReadingWorkers(reading_threads=threads))
        result = [contents(batch) for batch in loader]
        loader.close()
        return result

    expected = batches(build_part("face_detectors", "none"), 1)
    assert batches(MeetingDetector(), 2) == expected
    assert len(kept) == 2
    with pytest.raises(ConfigurationError, match="reading_threads must be at least 1"):
        batches(MeetingDetector(), 0)


def test_batches_are_what_the_contract_says(records: list[ClipRecord]) -> None:
    batch = next(iter(make_loader(records, shuffle=False, batch_size=3)))
    assert batch.names == ["clip0", "clip1", "clip2"]
    face, frame, sound = (batch.streams[name] for name in ("face", "frame", "audio"))
    assert face.values.shape == frame.values.shape == (3, 3, 3, 16, 16)
    assert face.values.is_contiguous()
    assert sound.lengths.tolist() == [6400, 7040, 7680]
    assert not sound.values[0, 6400:].any()
    assert sound.sample_rate == 16_000
    assert batch.subtitles == ["words 0", "words 1", "words 2"]
    assert batch.valid.all()


def test_resume_gives_the_very_next_clip(records: list[ClipRecord]) -> None:
    whole = make_loader(records)
    expected = [contents(batch) for _ in range(2) for batch in whole][:7]
    first = make_loader(records)
    given = iter(first)
    before = [contents(next(given)) for _ in range(3)]
    second = make_loader(records)
    second.load_state_dict(json.loads(json.dumps(first.state_dict())))
    assert second.state_dict() == first.state_dict()
    assert len(second) == len(whole) == 4
    assert before + [contents(batch) for batch in second] == expected


def test_a_limited_pass_is_taken_up_again(records: list[ClipRecord]) -> None:
    order = [batch.names for loader in [make_loader(records)] * 3 for batch in loader]
    limited = make_loader(records)
    assert [batch.names for _ in range(4) for batch in islice(limited, 3)] == order
    evaluated = make_loader(records, shuffle=False)
    assert [batch.names for _ in range(2) for batch in islice(evaluated, 1)] == [["clip0", "clip1"]] * 2


def test_another_plan_cannot_be_continued(records: list[ClipRecord]) -> None:
    state = {**make_loader(records).state_dict(), "batches": 2}
    other = make_loader(records, batch_size=3)
    with pytest.warns(UserWarning, match="batch_size 2 -> 3.*starts again"):
        other.load_state_dict(state)
    assert len(list(other)) == 3


@pytest.mark.parametrize("world_size", [1, 2, 3, 9])
def test_ranks_share_the_clips(world_size: int) -> None:
    plans = [BatchPlan(CLIPS, 2, True, 3, rank, world_size) for rank in range(world_size)]
    ranks = [[key for batch in plan.batches(4) for key in batch] for plan in plans]
    assert len({len(plan.batches(4)) for plan in plans}) == 1
    assert len({len(keys) for keys in ranks}) == 1
    assert sorted(key.clip for keys in ranks for key in keys if key.valid) == list(range(CLIPS))


def test_questions_are_drawn_by_share() -> None:
    record = ClipRecord("a", "made", labels=("happy",), description="reasons")
    draw = QuestionDraw(0.25, seed=1)
    asked = [draw.ask(record, epoch, 3) for epoch in range(400)]
    assert asked == [draw.ask(record, epoch, 3) for epoch in range(400)]
    assert 70 <= sum(response == "reasons" for _, response in asked) <= 130
    silent = ClipRecord("a", "made", labels=("happy",))
    assert "happy" in QuestionDraw(1.0).ask(silent, 0, 0)[1]
    with pytest.raises(DataError, match="no emotion words, no description"):
        draw.ask(ClipRecord("a", "made"), 0, 0)
    with pytest.raises(ConfigurationError, match="describe_share must be between 0 and 1; got 2"):
        QuestionDraw(2)


@pytest.mark.parametrize("workers", [0, 1])
def test_bad_clips_go_to_quarantine(records: list[ClipRecord], tmp_path: Path, workers: int) -> None:
    quarantine = Quarantine(max_bad_share=0.5, file=tmp_path / "run" / "quarantine.jsonl")
    loader = make_loader(broken(records, "clip1", "clip4"), workers, quarantine)
    names = [sorted(name for batch in loader if batch.valid.all() for name in batch.names) for _ in range(2)]
    assert names == [["clip0", "clip2", "clip3", "clip5", "clip6"]] * 2
    assert sorted(clip.name for clip in quarantine.clips) == ["clip1", "clip4"]
    assert Counter(clip.stage for clip in quarantine.clips) == {"video": 2}
    assert loader.counts.clips == 10
    assert loader.counts.lost_batches == 1  # in the second epoch, both meet in one batch
    lines = [
        json.loads(line) for line in (tmp_path / "run" / "quarantine.jsonl").read_text(encoding="utf-8").splitlines()
    ]
    assert {line["name"] for line in lines} == {"clip1", "clip4"}
    assert lines[0] == {
        "name": lines[0]["name"],
        "corpus": "made",
        "path": "/nowhere.mp4",
        "stage": "video",
        "reason": "the file does not exist.",
    }


def test_too_many_bad_clips_stop_the_run(records: list[ClipRecord]) -> None:
    names = [record.name for record in records]
    with pytest.raises(
        DataError, match=r"3 of 7 clips cannot be read.*max_bad_share = 0.2.*\[3\] clip2 \(made, video\)"
    ):
        list(make_loader(broken(records, *names), quarantine=Quarantine(max_bad_share=0.2), shuffle=False))
    with pytest.raises(DataError, match=r"The clip clip0 .*on_bad_clip to quarantine"):
        list(make_loader(broken(records, "clip0"), quarantine=Quarantine("error")))
    many = Quarantine(max_bad_share=1.0)
    assert list(make_loader(broken(records, *names), quarantine=many, shuffle=False)) == []
    assert len(many.clips) == 7
    with pytest.raises(ConfigurationError, match="max_bad_share must be between 0 and 1"):
        Quarantine(max_bad_share=1.5)


def test_a_batch_without_clips(records: list[ClipRecord]) -> None:
    bad = broken(records, "clip2", "clip3")
    evaluated = make_loader(bad, quarantine=Quarantine(max_bad_share=1.0), shuffle=False)
    assert [batch.names for batch in evaluated] == [["clip0", "clip1"], ["clip4", "clip5"], ["clip6"]]
    assert evaluated.counts.lost_batches == 1
    # Where steps count, the batch before stands in, marked as not valid.
    rank = make_loader(bad, quarantine=Quarantine(max_bad_share=1.0), shuffle=False, world_size=2, batch_size=1)
    assert [(batch.names, batch.valid.tolist()) for batch in rank] == [
        (["clip0"], [True]),
        (["clip0"], [False]),
        (["clip4"], [True]),
        (["clip6"], [True]),
    ]


def test_a_full_disk_is_said_so(records: list[ClipRecord], tmp_path: Path) -> None:
    (tmp_path / "run").write_text("a file where the folder should be", encoding="utf-8")
    quarantine = Quarantine(max_bad_share=1.0, file=tmp_path / "run" / "quarantine.jsonl")
    with pytest.raises(DataError, match="The quarantine file .* cannot be written"):
        list(make_loader(broken(records, "clip0"), quarantine=quarantine))


@pytest.mark.parametrize("workers", [0, 1])
def test_other_errors_keep_their_message(records: list[ClipRecord], workers: int) -> None:
    dataset = ClipDataset(records, ReadingOptions(), QuestionDraw())
    loader = ClipLoader(dataset, BatchPlan(CLIPS, 2), Quarantine(), readers=ReadingWorkers(workers))
    with pytest.raises(ConfigurationError, match=r"^The clip clip0 needs a face detector, because"):
        next(iter(loader))


class ValidatedRecorder(NameRecorder):
    """Is validated in mid-epoch too."""

    def validation_step(self, batch: ClipBatch, batch_index: int) -> None:
        assert len(batch)


@pytest.mark.filterwarnings("ignore:.*LeafSpec:FutureWarning")
@pytest.mark.parametrize("stop_after", [2, 4, 6])
def test_lightning_resumes_exactly(records: list[ClipRecord], tmp_path: Path, stop_after: int) -> None:
    def fit(steps: int, checkpoint: Path | None = None) -> tuple[Trainer, list[tuple[str, ...]]]:
        trainer = Trainer(
            max_steps=steps,
            accelerator="cpu",
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            val_check_interval=2,
            num_sanity_val_steps=0,
            use_distributed_sampler=False,
            default_root_dir=tmp_path,
        )
        module = ValidatedRecorder()
        validation = make_loader(records[:2], shuffle=False)
        trainer.fit(module, make_loader(records), validation, ckpt_path=checkpoint)
        return trainer, module.seen

    _, whole = fit(10)
    trainer, first = fit(stop_after)
    trainer.save_checkpoint(tmp_path / "middle.ckpt")
    _, rest = fit(10, tmp_path / "middle.ckpt")
    assert len(whole) == 10
    assert first + rest == whole
