"""The arithmetic of group-relative policy optimisation: TRL's loss, cases worked by hand, and gradients that must be zero."""

from __future__ import annotations

import importlib.util
import math
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from affect_lightning.objectives.policy_loss import averaged, clipped_losses, group_advantages, kl_estimates

LONGEST = 9
HAS_TRL = importlib.util.find_spec("trl") is not None
# Our averages by TRL's names. In one process bnpo and dapo are the same mean.
AVERAGES = {"grpo": "responses", "bnpo": "tokens", "dapo": "tokens", "dr_grpo": "constant"}


def rows(seed: int) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """New, old and reference log-probabilities [N, T], advantages [N] and mask [N, T] of responses of unlike length."""
    generator = torch.Generator().manual_seed(seed)

    def drawn(scale: float) -> Tensor:
        return scale * torch.randn(8, LONGEST, generator=generator, dtype=torch.float64)

    new = drawn(1.0) - 2.0
    lengths = torch.tensor([1, 9, 4, 7, 2, 5, 9, 3])
    mask = (torch.arange(LONGEST) < lengths[:, None]).double()
    return new, new + drawn(0.3), new + drawn(0.5), drawn(1.0)[:, 0], mask


def ours(average: Any, kl_weight: float, seed: int = 0, clip_high: float = 0.28) -> tuple[Tensor, Tensor]:
    """The loss, and its gradient by the log-probabilities."""
    new, old, reference, advantages, mask = rows(seed)
    new = new.requires_grad_()
    kept = mask.bool()
    owner = torch.arange(len(mask))[:, None].expand_as(mask)[kept]
    losses, _ = clipped_losses(new[kept], old[kept], advantages[owner], clip_low=0.2, clip_high=clip_high)
    counted = torch.ones(len(mask), dtype=torch.bool)
    loss = averaged(losses, owner, counted, average, LONGEST).mean
    kl = averaged(kl_estimates(new[kept], reference[kept]), owner, counted, average, LONGEST).mean
    loss = loss + kl_weight * kl
    loss.backward()
    assert new.grad is not None
    return loss.detach(), new.grad


@pytest.mark.skipif(not HAS_TRL, reason="TRL needs Python 3.11 or newer")
@pytest.mark.filterwarnings("ignore")  # of TRL's own imports
@pytest.mark.parametrize("kl_weight", [0.0, 0.04])
@pytest.mark.parametrize("kind", list(AVERAGES))
def test_the_loss_is_that_of_trl(kind: str, kl_weight: float) -> None:
    from trl import GRPOTrainer

    new, old, reference, advantages, mask = rows(0)
    new = new.requires_grad_()
    loss = trl_loss(GRPOTrainer, kind, kl_weight, new, old, reference, advantages, mask)
    loss.backward()
    assert new.grad is not None
    found, gradient = ours(AVERAGES[kind], kl_weight)
    assert float(found) == pytest.approx(float(loss.detach()), abs=1e-6)
    torch.testing.assert_close(gradient, new.grad, rtol=0, atol=1e-6)
    assert float(gradient.abs().max()) > 1e-3


def trl_loss(
    trainer: Any, kind: str, beta: float, new: Tensor, old: Tensor, reference: Tensor, advantages: Tensor, mask: Tensor
) -> Tensor:
    """What TRL's trainer computes from the same numbers; only the parts that it reads are there."""
    settings = SimpleNamespace(
        delta=None,
        use_bias_correction_kl=False,
        steps_per_generation=1,
        sapo_temperature_pos=1.0,
        sapo_temperature_neg=1.0,
    )
    accelerator = SimpleNamespace(num_processes=1, gather=lambda value: value, reduce=lambda value, **options: value)
    answers: tuple[Tensor | None, ...] = (new, torch.zeros_like(new), None)  # the last is for the loss of experts
    metrics: dict[str, Any] = {"train": _Anything(), "eval": _Anything()}
    stub = _Stub(
        args=settings,
        accelerator=accelerator,
        model=SimpleNamespace(training=True),
        _metrics=metrics,
        loss_type=kind,
        beta=beta,
        epsilon_low=0.2,
        epsilon_high=0.28,
        importance_sampling_level="token",
        max_completion_length=LONGEST,
        current_gradient_accumulation_steps=1,
        top_entropy_quantile=1.0,
        off_policy_mask_threshold=None,
        use_vllm=False,
        aux_loss_enabled=False,
        _entropy_bonus_enabled=False,
        _get_per_token_logps_and_entropies=lambda *given, **options: answers,
    )
    inputs = {
        "prompt_ids": torch.zeros(len(mask), 1, dtype=torch.long),
        "prompt_mask": torch.ones(len(mask), 1),
        "completion_ids": torch.zeros(mask.shape, dtype=torch.long),
        "completion_mask": mask,
        "advantages": advantages,
        "old_per_token_logps": old,
        "ref_per_token_logps": reference,
        "num_items_in_batch": mask.sum(),
    }
    try:
        found: Tensor = trainer._compute_loss(stub, None, inputs)
    except ValueError:
        answers = answers[:2]  # releases before experts take two
        found = trainer._compute_loss(stub, None, inputs)
    return found


class _Anything(dict[str, list[Any]]):
    def __missing__(self, name: str) -> list[Any]:
        self[name] = []
        return self[name]


class _Stub(SimpleNamespace):
    """Older and newer versions of TRL read other switches; what is not given is off."""

    def __getattr__(self, name: str) -> Any:
        return None


def test_a_case_worked_by_hand() -> None:
    """Two responses of 1 and 3 tokens; ratios 2, 1, 0.5 and 1; advantages 1 and -1; clip 0.2 on both sides."""
    new = torch.tensor([math.log(2), 0.0, math.log(0.5), 0.0], dtype=torch.float64)
    owner = torch.tensor([0, 1, 1, 1])
    advantages = torch.tensor([1.0, -1.0], dtype=torch.float64)
    losses, clipped = clipped_losses(new, torch.zeros(4), advantages[owner], clip_low=0.2, clip_high=0.2)
    # -min(2, 1.2) = -1.2; -min(-1, -1) = 1; -min(-0.5, -0.8) = 0.8; 1
    torch.testing.assert_close(losses, torch.tensor([-1.2, 1.0, 0.8, 1.0], dtype=torch.float64))
    assert clipped.tolist() == [True, False, True, False]
    both = torch.ones(2, dtype=torch.bool)
    found = {kind: averaged(losses, owner, both, kind, 4) for kind in ("tokens", "responses", "constant")}  # type: ignore[arg-type]
    assert {kind: float(term.mean) for kind, term in found.items()} == pytest.approx(
        {"tokens": 1.6 / 4, "responses": (-1.2 + 2.8 / 3) / 2, "constant": 1.6 / 8}
    )
    assert {kind: float(term.items) for kind, term in found.items()} == {"tokens": 4, "responses": 2, "constant": 2}
    only = averaged(torch.tensor([float("nan"), 1.0, 0.8, 1.0]), owner, torch.tensor([False, True]), "responses", 4)
    assert (float(only.mean), float(only.items)) == (pytest.approx(2.8 / 3), 1)
    kl = kl_estimates(torch.tensor([0.0, -1.0]), torch.tensor([0.0, -1.0 + math.log(2)]))
    torch.testing.assert_close(kl, torch.tensor([0.0, 1.0 - math.log(2)]))


@pytest.mark.parametrize("scaled", [True, False])
def test_advantages_compare_within_a_clip(scaled: bool) -> None:
    rewards = torch.tensor([[1.0, 0.0, 0.5, 0.5], [0.1, 0.1, 0.1, 0.1], [7.0, float("nan"), 1.0, 2.0]])
    found = group_advantages(rewards, scaled=scaled)
    deviation = float(rewards[0].std()) + 1e-4 if scaled else 1.0
    torch.testing.assert_close(found[0], torch.tensor([0.5, -0.5, 0.0, 0.0]) / deviation)
    assert found[1].tolist() == [0.0] * 4  # exactly
    assert found[2].tolist() == [0.0] * 4


def test_equal_rewards_give_no_gradient() -> None:
    new = torch.randn(6, generator=torch.Generator().manual_seed(1)).requires_grad_()
    owner = torch.tensor([0, 0, 1, 1, 1, 2])
    # 0.1 + 0.2 is not 0.3 in floating point: the mean of such numbers is not quite any of them
    advantages = group_advantages(torch.full((1, 3), 0.1 + 0.2)).flatten()
    losses, _ = clipped_losses(new, new.detach() - 0.01, advantages[owner], clip_low=0.2, clip_high=0.2)
    averaged(losses, owner, torch.ones(3, dtype=torch.bool), "tokens", 5).mean.backward()
    assert new.grad is not None
    assert not bool(new.grad.any())


@pytest.mark.parametrize("kind", ["tokens", "responses", "constant"])
def test_two_halves_weighted_by_their_items_are_the_whole(kind: Any) -> None:
    generator = torch.Generator().manual_seed(2)
    owner = torch.tensor([0, 1, 1, 2, 2, 2, 3])
    values = torch.randn(7, generator=generator, dtype=torch.float64)
    counted = torch.tensor([True, True, False, True])
    whole = averaged(values, owner, counted, kind, 5)
    halves = [
        averaged(values[:3], owner[:3], counted[:2], kind, 5),
        averaged(values[3:], owner[3:] - 2, counted[2:], kind, 5),
    ]
    total = sum(float(half.items) for half in halves)
    assert total == float(whole.items)
    assert sum(float(half.mean * half.items) for half in halves) / total == pytest.approx(float(whole.mean))
