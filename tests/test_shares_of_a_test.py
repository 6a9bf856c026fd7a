"""The share of a test that one machine answers: whole batches, what is answered left out, and what a merge refuses."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from affect_lightning.contracts import ClipRecord
from affect_lightning.data.ordering import BatchPlan, SampleKey
from affect_lightning.data.shares_of_test import ShareOfTest as Share
from affect_lightning.errors import ConfigurationError
from affect_lightning.storage import LineLog, Part, PartError
from affect_lightning.unibench.parts_of_test import JoinedParts, PartOfTest, request_of_test, work_of_test
from affect_lightning.unibench.result_folders import GROWING_FILE
from affect_lightning.unibench.scoring.predictions import Prediction

RECORDS = [ClipRecord(f"clip{index}", "made", subtitle_english="w" * (index % 4)) for index in range(11)]


def plan_of(rank: int, world_size: int) -> BatchPlan:
    order: dict[str, Any] = {"batch_size": 2, "rank": rank, "world_size": world_size, "longest_first": True}
    return BatchPlan.of_clips(RECORDS, "subtitle_english", {}, **order)


def named(batches: list[list[SampleKey]]) -> list[list[str]]:
    return [[RECORDS[key.clip].name for key in batch] for batch in batches]


@pytest.mark.parametrize("world_size", [1, 2, 4])
def test_the_shares_are_the_batches_of_one_process(world_size: int) -> None:
    whole = named(plan_of(0, 1).batches(0))
    for number in (1, 2, 3):
        plans = [plan_of(rank, world_size) for rank in range(world_size)]
        shares = [Share(Part(number, 3).of).of(plan, RECORDS) for plan in plans]
        met = [batch for share in shares for batch in share.batches(0) if batch[0].valid]
        assert sorted(named(met)) == sorted(whole[number - 1 :: 3])
        assert len({len(share) for share in shares}) == 1  # all processes do as many steps
        assert {share.world_size for share in shares} == {world_size}
        assert all(share.clips_per_rank * world_size >= sum(map(len, met)) for share in shares)


def test_a_batch_is_left_out_once_all_its_clips_are_answered() -> None:
    plan, part = plan_of(0, 1), Part(1, 1)
    whole = named(plan.batches(0))
    half = frozenset([("made", whole[0][0])])
    first = frozenset(("made", name) for name in whole[0])
    assert named(Share(part.of, half).of(plan, RECORDS).batches(0)) == whole
    kept = Share(part.of, first).of(plan, RECORDS)
    assert named(kept.batches(0)) == whole[1:]
    assert kept.clips_per_rank == len(RECORDS)  # the limit of bad clips stays that of the share
    everything = frozenset((record.corpus, record.name) for record in RECORDS)
    assert named(Share(part.of, everything).of(plan, RECORDS).batches(0)) == whole[-1:]


def test_a_share_without_a_batch_is_refused() -> None:
    with pytest.raises(
        ConfigurationError, match=r"Divide the test into at most 6 parts, or lower data.eval_batch_size \(2\)"
    ):
        Share(Part(7, 7).of).of(plan_of(0, 1), RECORDS)


def answer(out: Path, part: str, request: dict[str, Any], names: list[str], bad: tuple[str, ...] = ()) -> None:
    taken = PartOfTest(out, Part.parse(part), request, is_first=True)
    log = LineLog(taken.folder / GROWING_FILE, shared=True)
    log.add(*(Prediction(name, "made", "How?", f"{name} is happy.").to_row() for name in names))
    taken.show(("made", names[0]), "words", ["picture"])
    taken.finish("w.ckpt", "last", [{"corpus": "made", "name": name, "reason": "broken"} for name in bad])
    taken.leave()


def test_a_merge_needs_an_answer_or_a_reason_for_each_clip(tmp_path: Path) -> None:
    request = {"data.frames": 8}
    answer(tmp_path, "1/2", request, ["a", "c"])
    answer(tmp_path, "2/2", request, ["b", "a"], bad=("d",))  # a second answer to one clip does not count
    parts = work_of_test(tmp_path, request).finished()
    joined = JoinedParts(parts, [("made", name) for name in "abcd"])
    assert sorted(row.name for row in joined.predictions) == ["a", "b", "c"]
    assert joined.shown == {("made", "a"): ("words", ("picture",)), ("made", "b"): ("words", ("picture",))}
    assert (joined.weights, joined.rule) == ("w.ckpt", "last")
    assert [clip["name"] for clip in joined.quarantined] == ["d"]
    with pytest.raises(PartError, match=r"Run all parts again, .* 2 of 6 clips have no response, such as e, f"):
        JoinedParts(parts, [("made", name) for name in "abcdef"])


def test_replaced_weights_are_other_weights_wherever_they_lie(tmp_path: Path) -> None:
    for folder in ("here", "there"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "last.ckpt").write_bytes(b"weights")
        os.utime(tmp_path / folder / "last.ckpt", ns=(1, 1))
    plain = json.dumps(request_of_test({}, {}, str(tmp_path / "here" / "last.ckpt"), "32-true"))
    assert plain == json.dumps(request_of_test({}, {}, str(tmp_path / "there" / "last.ckpt"), "32-true"))
    os.utime(tmp_path / "there" / "last.ckpt", ns=(2, 2))
    assert plain != json.dumps(request_of_test({}, {}, str(tmp_path / "there" / "last.ckpt"), "32-true"))
    assert request_of_test({}, {}, "", "32-true") == {"--ckpt_path": "", "trainer.precision": "32-true"}
    assert request_of_test({}, {}, str(tmp_path / "here"), "x") != request_of_test({}, {}, str(tmp_path / "there"), "x")
