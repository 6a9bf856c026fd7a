"""The share of a test that one of several machines answers: whole batches, so that none is put together in another way.

`clip_data_module.py` gives the share to its loader, `unibench/parts_of_test.py` says which one, and keeps the responses.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from affect_lightning.contracts import ClipRecord
from affect_lightning.data.ordering import BatchPlan, SampleKey
from affect_lightning.errors import ConfigurationError

BatchChoice = Callable[[Sequence[int]], Sequence[int]]
ClipKeys = frozenset[tuple[str, str]]  # set and name


@dataclass(frozen=True)
class ChosenBatches:
    """Some batches of a plan, in their order; a plan itself (`EpochPlan`).

    Attributes:
        plan: The whole one.
        chosen: The batches of this rank.
        clips_per_rank: Clips of the share, answered ones included.
    """

    plan: BatchPlan
    chosen: list[list[SampleKey]]
    clips_per_rank: int
    shuffle: bool = False

    @property
    def world_size(self) -> int:
        """Number of processes."""
        return self.plan.world_size

    def __len__(self) -> int:
        return len(self.chosen)

    def batches(self, epoch: int) -> list[list[SampleKey]]:
        """The same in every epoch."""
        return self.chosen

    def state_options(self) -> dict[str, Any]:
        """What the order depends on."""
        return {**self.plan.state_options(), "batches": len(self.chosen)}


@dataclass(frozen=True)
class ShareOfTest:
    """One share of a test.

    Attributes:
        choose: Takes the batches of the share out of the numbers of all.
        answered: Set and name of clips that have a response already.
    """

    choose: BatchChoice
    answered: ClipKeys = frozenset()

    def of(self, plan: BatchPlan, records: Sequence[ClipRecord]) -> ChosenBatches:
        """The batches of the share that have a clip without a response; the last one if none has, so that there is one.

        Batches are those of one process, and several processes take turns, so their number changes no batch.

        Args:
            plan: Of the whole test.
            records: All clips.

        Raises:
            ConfigurationError: The share has no batch.
        """
        whole = replace(plan, rank=0, world_size=1).batches(0)
        share = [whole[number] for number in self.choose(range(len(whole)))]
        if not share:
            raise ConfigurationError(
                f"Divide the test into at most {len(whole)} parts, or lower data.eval_batch_size ({plan.batch_size}): it has "
                f"{len(whole)} batches, and a part takes whole ones."
            )
        waiting = [batch for batch in share if not self._has_answered(batch, records)] or share[-1:]
        own = waiting[plan.rank :: plan.world_size]
        if len(own) < math.ceil(len(waiting) / plan.world_size):  # all processes must do as many steps
            own.append([key._replace(valid=False) for key in waiting[0]])
        return ChosenBatches(plan, own, math.ceil(sum(map(len, share)) / plan.world_size))

    def _has_answered(self, batch: Sequence[SampleKey], records: Sequence[ClipRecord]) -> bool:
        clips = [records[key.clip] for key in batch]
        return all((clip.corpus, clip.name) in self.answered for clip in clips)


def facts_of_test(records: Any, batch_size: int, longest_first: bool, options: Mapping[str, Any]) -> dict[str, Any]:
    """What all shares of a test must agree on, by names that a user understands.

    Args:
        records: All clips, listed: a test has no packed ones.
        batch_size: Clips of a batch.
        longest_first: See `BatchPlan`.
        options: What else of the data module changes a response, by name.
    """
    names = hashlib.sha256()
    for record in records:
        names.update(f"{record.corpus}\0{record.name}\n".encode("utf-8", "surrogateescape"))
    order = {"eval_batch_size": batch_size, "longest_first": longest_first}
    facts = {f"data.{name}": value for name, value in {**options, **order}.items()}
    return {**facts, "number of clips": len(records), "hash of their names": names.hexdigest()}
