"""The arithmetic of group-relative policy optimisation: advantages, clipped ratios, KL, and means (not in the paper).

GRPO: Shao et al. 2024 (arXiv 2402.03300). The clip with two bounds and the mean over all tokens: DAPO (Yu et al. 2025,
arXiv 2503.14476). No division by the deviation, and a constant length: Dr. GRPO (Liu et al. 2025, arXiv 2503.20783). The
KL estimator is k3 (Schulman 2020). `group_relative.py` calls it; nothing here waits for a device.
Legend: B clips, G responses a clip, N = B * G responses, R response tokens of all of them.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from affect_lightning.contracts import LossTerm

Average = Literal["tokens", "responses", "constant"]
_LEAST_DEVIATION = 1e-4  # added to a group's deviation, as TRL does


def group_advantages(rewards: Tensor, *, scaled: bool = True) -> Tensor:
    """How much better than the mean of its clip's responses each response is.

    Responses with the same reward have advantages of exactly 0: such a clip teaches nothing.

    Args:
        rewards: [B, G], float64. A clip with a NaN gets zeros.
        scaled: Divide by the standard deviation of the clip's rewards (of a sample, with G - 1).

    Returns:
        [B, G], float32.

    >>> group_advantages(torch.tensor([[1.0, 0.0], [0.3, 0.3]]), scaled=False).tolist()
    [[0.5, -0.5], [0.0, 0.0]]
    """
    rewards = rewards.double()
    centred = rewards - rewards.mean(dim=1, keepdim=True)
    if scaled and rewards.shape[1] > 1:
        centred = centred / (rewards.std(dim=1, keepdim=True) + _LEAST_DEVIATION)
    differ = rewards.amax(dim=1, keepdim=True) > rewards.amin(dim=1, keepdim=True)  # False for NaN
    return torch.where(differ, centred, 0.0).float()


def clipped_losses(
    new: Tensor, old: Tensor, advantages: Tensor, *, clip_low: float, clip_high: float
) -> tuple[Tensor, Tensor]:
    """The loss of each token, and whether the clip cut its gradient off.

    Args:
        new: Log-probabilities of the tokens now [R].
        old: Of the weights that sampled them [R], without gradient.
        advantages: Of each token's response [R].
        clip_low: The ratio counts down to 1 - clip_low.
        clip_high: The ratio counts up to 1 + clip_high.

    Returns:
        Losses [R], and bool [R].
    """
    ratios = (new - old).exp()
    plain = ratios * advantages
    bounded = ratios.clamp(1.0 - clip_low, 1.0 + clip_high) * advantages
    return -torch.minimum(plain, bounded), (bounded < plain).detach()


def kl_estimates(new: Tensor, reference: Tensor) -> Tensor:
    """KL divergence from the reference at each token [R], by the estimator k3: never negative, and unbiased."""
    gap = reference - new
    return gap.exp() - gap - 1.0


def averaged(values: Tensor, responses: Tensor, counted: Tensor, average: Average, longest: int) -> LossTerm:
    """The mean of what the tokens have.

    Args:
        values: Of each token [R].
        responses: Which response each token belongs to [R].
        counted: Which responses count, bool [N].
        average: Over all `tokens` (DAPO; TRL calls it dapo, and in one process bnpo), over `responses` of the mean of each
            (GRPO; grpo), or over responses of the sum of each by a `constant` length (Dr. GRPO; dr_grpo).
        longest: That constant, the longest response in tokens.

    Returns:
        Its items are tokens or responses.
    """
    shares = counted[responses].to(values.dtype)
    items = counted.sum() if average != "tokens" else shares.sum()
    if average == "responses":
        lengths = torch.zeros(len(counted), dtype=values.dtype, device=values.device)
        shares = shares / lengths.index_add(0, responses, torch.ones_like(values))[responses]
    if average == "constant":
        shares = shares / longest
    # A token that does not count may hold anything, and 0 times NaN would be NaN.
    total = (torch.where(shares > 0, values, 0.0) * shares).sum()
    return LossTerm(total / items.clamp(min=1), items)
