"""Choosing the next token: the right distribution, the nucleus of transformers, and nothing of the batch around a row."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from transformers import TemperatureLogitsWarper, TopPLogitsWarper

from affect_lightning_plugins.language_models import token_choice
from affect_lightning_plugins.language_models.token_choice import TokenChoice, in_nucleus, pick

# Chi-square of six degrees of freedom that one draw in ten thousand exceeds.
CRITICAL = 27.86


def logits_of(rows: int, words: int, spread: float = 1.0) -> Tensor:
    return spread * torch.randn(rows, words, generator=torch.Generator().manual_seed(words))


def test_tokens_are_drawn_as_often_as_they_are_likely() -> None:
    logits = torch.tensor([[0.3, -1.0, 2.0, 0.0, 1.1, -0.4, 0.7]])
    counts = torch.zeros(7)
    for seed in range(100):
        choice = TokenChoice(1, temperature=0.8, seed=seed)
        for _ in range(70):  # more than one block of numbers
            counts[choice.choose(logits)] += 1
    wanted = 7000 * torch.softmax(logits[0] / 0.8, dim=-1)
    assert float(((counts - wanted) ** 2 / wanted).sum()) < CRITICAL
    wrong = 7000 * torch.softmax(logits[0] / 0.9, dim=-1)
    assert float(((counts - wrong) ** 2 / wrong).sum()) > CRITICAL, "the test would see another temperature"


@pytest.mark.parametrize("words", [11, 3000])
@pytest.mark.parametrize("spread", [0.01, 1.0, 8.0])  # flat: no look at some tokens suffices
@pytest.mark.parametrize("top_p", [1e-6, 0.3, 0.9, 1.0])
def test_temperature_and_nucleus_are_those_of_transformers(words: int, spread: float, top_p: float) -> None:
    logits = logits_of(5, words, spread)
    ids = torch.zeros(5, 1, dtype=torch.long)
    warped = TopPLogitsWarper(top_p)(ids, TemperatureLogitsWarper(0.7)(ids, logits)) if top_p < 1 else logits / 0.7
    ours = in_nucleus(torch.softmax(logits / 0.7, dim=-1), top_p)
    torch.testing.assert_close(ours / ours.sum(dim=-1, keepdim=True), torch.softmax(warped, dim=-1))


def test_looking_at_some_tokens_gives_what_sorting_all_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    shares = torch.softmax(logits_of(4, 3000) * torch.tensor([[2.5], [5.0], [2.7], [3.0]]), dim=-1)
    found = in_nucleus(shares, 0.9)
    monkeypatch.setattr(token_choice, "_LOOKS", ())
    assert torch.equal(in_nucleus(shares, 0.9), found)
    sizes = (found > 0).sum(dim=-1)
    assert int(sizes.min()) < 64 < int(sizes.max()) < 1024


def test_tokens_as_likely_as_the_last_one_are_in_the_nucleus() -> None:
    shares = torch.tensor([[0.2, 0.1, 0.2, 0.2, 0.2, 0.1]])
    assert in_nucleus(shares, 0.5).tolist() == [pytest.approx([0.2, 0.0, 0.2, 0.2, 0.2, 0.0])]


def test_any_number_picks_a_token_that_has_a_share() -> None:
    shares = torch.zeros(6, 4)
    shares[:, 1], shares[:, 2] = 0.3, 0.1
    numbers = torch.tensor([0.0, 0.7, 0.74, 0.76, 1 - 2**-24, 1.0]).unsqueeze(1)
    assert pick(shares, numbers).tolist() == [1, 1, 1, 2, 2, 2]


def responses(rows: list[int], leave_after: int | None = None) -> dict[int, list[int]]:
    """70 tokens of each row, whose logits depend on the row alone; the second row leaves early if it is asked to."""
    running, table = list(rows), logits_of(4, 200)
    choice = TokenChoice(len(rows), temperature=1.0, top_p=0.95, seed=5, repetition_penalty=1.3)
    found: dict[int, list[int]] = {row: [] for row in rows}
    for number in range(70):
        for row, token in zip(running, choice.choose(table[running]).tolist(), strict=True):
            found[row].append(token)
        if number + 1 == leave_after:
            kept = [place for place in range(len(running)) if place != 1]
            running = [running[place] for place in kept]
            choice.keep(kept)
    return found


def test_a_row_does_not_depend_on_the_rows_beside_it() -> None:
    together = responses([0, 1, 2, 3])
    assert len({tuple(row) for row in together.values()}) == 4
    for row in range(4):
        assert responses([row]) == {row: together[row]}
    for leave_after in (10, 64, 65):  # within a block of numbers, and between two
        fewer = responses([3, 0, 2], leave_after)
        assert (fewer[3], fewer[2]) == (together[3], together[2])
        assert fewer[0] == together[0][:leave_after]


def test_without_a_seed_every_row_draws_for_itself_and_torch_s_own_numbers_stay() -> None:
    state = torch.get_rng_state()
    choice = TokenChoice(2, temperature=1.0)
    drawn = torch.stack([choice.choose(torch.zeros(2, 50)) for _ in range(40)])
    assert not torch.equal(drawn[:, 0], drawn[:, 1])
    assert torch.equal(torch.get_rng_state(), state)


def test_greedy_takes_the_most_likely_token_that_was_not_there() -> None:
    logits = torch.tensor([[3.0, 2.9, -1.0], [1.0, 2.0, 5.0]])
    choice = TokenChoice(2, repetition_penalty=2.0, prompt_ids=[[0], []])
    assert choice.choose(logits).tolist() == [1, 2]
    assert choice.choose(logits).tolist() == [0, 2]  # 1.5 against 1.45; 2.5 against 2.0
