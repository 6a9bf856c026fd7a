"""The objective group-relative on a tiny network: sampling, rewards, KL from the start, validation, watching, refusals."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from affect_lightning.contracts import ClipRecord, SampledResponse
from affect_lightning.errors import ConfigurationError, PluginError
from affect_lightning.metrics import Taxonomy, clip_set_scores, hit_rate, set_f_score
from affect_lightning.model.start_weights import StartWeights
from affect_lightning.objectives.group_relative import GroupRelativeObjective
from affect_lightning.objectives.reward_sum import RewardSum
from affect_lightning.plugin_loading import build_part
from affect_lightning.training import AffectGPTModule, RewardWatch
from affect_lightning.training.affectgpt_module import weighted_sum
from affect_lightning.training.reward_watch import as_table
from golden_networks import attention_in, with_features
from model_cases import TINY_PARTS, perturb, pick, random_batch

WORDS = {"name": "length", "most_labels": None, "most_words": 1}


def made(**options: Any) -> AffectGPTModule:
    chosen = {"rewards": [WORDS], "group_size": 3, "max_new_tokens": 12, **options}
    module = AffectGPTModule(**TINY_PARTS, warmup_steps=0, objective={"name": "group-relative", **chosen})
    module.configure_model()
    perturb(module.built_network)
    module.built_network.start_weights = StartWeights.of(module.built_network)
    return module


def texts(module: AffectGPTModule) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for sample in module.objective.samples():
        found.setdefault(sample.record.name, []).append(sample.response)
    return found


def test_a_clip_gets_its_responses_in_any_batch_and_other_ones_in_another_step() -> None:
    module, batch = made(), random_batch(4)
    network, objective = module.built_network, module.objective
    network.terms(objective, batch)
    whole = texts(module)
    assert len(whole) == 4
    assert len({text for own in whole.values() for text in own}) > 6
    network.terms(objective, pick(batch, [2, 0]))
    assert texts(module) == {name: whole[name] for name in texts(module)}
    assert len(texts(module)) == 2
    objective.begin_step(1)
    network.terms(objective, batch)
    assert all(texts(module)[name] != whole[name] for name in whole)


def test_the_first_update_has_a_ratio_of_one_and_later_ones_keep_the_sampling() -> None:
    module, batch = made(updates=2, kl_weight=0.5), random_batch(3)
    network, objective = module.built_network.train(), module.objective
    objective.begin_step(0)
    first = network.terms(objective, batch)
    sampled = texts(module)
    assert float(first["policy"].mean.detach()) == pytest.approx(0.0, abs=1e-6)  # advantages of a clip add up to 0
    assert float(first["kl"].mean.detach()) == 0.0
    assert first["kl"].weight == 0.5
    weighted_sum(first).backward()
    before = {name: value.detach().clone() for name, value in network.named_parameters() if value.requires_grad}
    norm = torch.stack([value.grad.norm() for value in network.parameters() if value.grad is not None]).norm()
    with torch.no_grad():  # so small a step that the loss is nearly straight
        for value in network.parameters():
            if value.grad is not None:
                value.sub_(0.02 * value.grad / norm)
    second = network.terms(objective, batch)
    assert texts(module) == sampled
    assert float(second["policy"].mean.detach()) < -1e-4  # the step made better responses likelier
    assert float(second["kl"].mean.detach()) > 0.0
    assert network.training
    start = network.start_weights
    assert start is not None
    assert all(torch.equal(start.values[name], value) for name, value in before.items())


def test_the_start_weights_give_the_network_back_bit_for_bit() -> None:
    network = made().built_network
    perturb(network, seed=3)
    before = {name: value.clone() for name, value in network.trainable_state().items()}
    assert network.start_weights is not None
    with network.start_weights.in_place(network):
        assert any(not torch.equal(value, before[name]) for name, value in network.trainable_state().items())
    assert all(torch.equal(value, before[name]) for name, value in network.trainable_state().items())


def test_equal_rewards_teach_nothing() -> None:
    module = made(rewards=["wheel-f-score"], kl_weight=0.0)  # a random model names no emotion: 0 for all
    terms = module.built_network.terms(module.objective, random_batch(3))
    weighted_sum(terms).backward()
    assert not [name for name, value in module.named_parameters() if value.grad is not None and bool(value.grad.any())]
    assert float(module.objective.measures()["groups_without_spread"].mean) == 1.0


def test_a_batch_without_valid_clips_counts_in_nothing() -> None:
    module, batch = made(response_weight=0.5), random_batch(3)
    batch.valid[:] = False
    terms = module.built_network.terms(module.objective, batch)
    assert {name: (float(term.mean.detach()), float(term.items)) for name, term in terms.items()} == dict.fromkeys(
        ("policy", "kl", "response"), (0.0, 0.0)
    )


def test_validation_rewards_one_greedy_response_a_clip() -> None:
    module, batch = made(), random_batch(3)
    with torch.no_grad():
        terms = module.built_network.terms(module.objective, batch)
    greedy = module.built_network.generate(batch, max_new_tokens=12)
    assert [sample.response for sample in module.objective.samples()] == greedy
    rewards = [sample.reward for sample in module.objective.samples()]
    assert float(terms["policy"].mean) == pytest.approx(-sum(rewards) / 3)


def test_token_scores_are_the_response_loss() -> None:
    module, batch = made(), random_batch(3)
    network = module.built_network.eval()
    scores = network.token_scores(batch, [[text] for text in batch.responses], longest=10_000)
    assert float(-scores.log_probabilities.detach().mean()) == pytest.approx(float(network(batch).detach()), rel=1e-5)
    empty = network.token_scores(pick(batch, [0]), [["", "ab"]], longest=2)
    assert empty.responses.tolist() == [0, 1, 1]  # the end token alone; two bytes that filled the response: no end
    assert bool((empty.entropies >= 0).all())


def loss_of(module: AffectGPTModule, batch: Any) -> tuple[float, dict[str, torch.Tensor], dict[str, list[str]]]:
    """Loss with KL and response loss, gradients of all weights, and the sampled responses."""
    module.zero_grad(set_to_none=True)
    loss = weighted_sum(module.built_network.terms(module.objective, batch))
    loss.backward()
    gradients = {name: value.grad.clone() for name, value in module.named_parameters() if value.grad is not None}
    return float(loss.detach()), gradients, texts(module)


@pytest.mark.parametrize("form", ["padded", "cached"])
def test_packed_rows_give_the_loss_of_padded_ones_and_cached_features_that_of_clips(form: str) -> None:
    """Rows of unlike length, three responses a clip: none sees another one's tokens."""
    module, batch = made(kl_weight=0.3, response_weight=0.5), random_batch(3)
    perturb(module.built_network, seed=5)  # away from the start, so that KL counts
    with attention_in(module.built_network, "packed"), rows_of(module.built_network) as packed:
        loss, gradients, sampled = loss_of(module, batch)
    assert min(packed) == max(packed) == 1  # all responses of the batch in one row
    given = with_features(module.built_network, batch) if form == "cached" else batch
    with (
        attention_in(module.built_network, "packed" if form == "cached" else form),
        rows_of(module.built_network) as rows,
    ):
        other, other_gradients, other_sampled = loss_of(module, given)
    assert max(rows) == (1 if form == "cached" else 9)
    assert other_sampled == sampled
    assert other == pytest.approx(loss, rel=1e-5)
    assert gradients.keys() == other_gradients.keys()
    for name, value in gradients.items():
        torch.testing.assert_close(other_gradients[name], value, rtol=1e-3, atol=1e-6, msg=name)


@contextmanager
def rows_of(network: Any) -> Iterator[list[int]]:
    """Collects how many rows the language model is given when it scores or learns; decoding has a cache and is left out."""
    seen: list[int] = []
    hook = network.language_model.causal_model.base_model.register_forward_pre_hook(
        lambda _part, _inputs, options: (
            None if options.get("use_cache") else seen.append(len(options["inputs_embeds"]))
        ),
        with_kwargs=True,
    )
    try:
        yield seen
    finally:
        hook.remove()


def scored(labels: list[list[str]], truths: list[list[str]]) -> list[SampledResponse]:
    return [
        SampledResponse(ClipRecord(str(place), "set", labels=tuple(true)), "", "", "", tuple(own))
        for place, (own, true) in enumerate(zip(labels, truths, strict=True))
    ]


CANDIDATES = ["happy", "sad", "angry", "afraid", "surprised", "disgusted", "worried", "proud", "lonely", "anxious"]
# Words that every wheel has: a clip whose truth is on some wheels only is no item of the others' means.
POOL = [word for word in CANDIDATES if bool(Taxonomy.builtin().encode([[word]]).all())]


def test_rewards_summed_over_a_set_are_its_metric_or_at_most_it() -> None:
    """The hit rate is a mean over clips; F_S is concave in precision and recall, so the clips' mean is at most F_S."""
    generator, taxonomy = np.random.default_rng(0), Taxonomy.builtin()
    wheel_f = build_part("rewards", {"name": "wheel-f-score", "taxonomy": "builtin"})
    hit = build_part("rewards", {"name": "hit", "taxonomy": "builtin"})
    assert len(POOL) >= 5
    gaps = []
    for _ in range(20):
        labels, truths = (
            [list(generator.choice(POOL, generator.integers(1, 4), replace=False)) for _ in range(12)] for _ in range(2)
        )
        samples, whole = scored(labels, truths), set_f_score(labels, truths, taxonomy)
        assert set(whole.scored_clips) == {12}
        assert np.mean(hit.score(samples)) == pytest.approx(hit_rate(labels, truths, taxonomy).hit_rate)
        gaps.append(whole.f - float(np.mean(wheel_f.score(samples))))
    assert min(gaps) >= -1e-12
    assert max(gaps) > 0.01
    # Where each clip is all right or all wrong, precision and recall are alike in every clip, and the two agree.
    labels, truths = [["happy"], ["sad"], ["angry"]], [["happy"], ["happy"], ["angry"]]
    assert np.mean(wheel_f.score(scored(labels, truths))) == pytest.approx(set_f_score(labels, truths, taxonomy).f)
    one = clip_set_scores(labels[1:2], truths[1:2], taxonomy)
    assert wheel_f.score(scored(labels[1:2], truths[1:2])) == pytest.approx([one.precision.mean()])


def test_rewards_add_up_with_their_weights_and_read_the_cleaned_answer() -> None:
    rewards = RewardSum(
        [{"name": "hit", "taxonomy": "builtin"}, {"name": "format", "weight": 0.5, "form": "reasoning"}, "sentiment"],
        "rules",
    )
    batch = random_batch(1)
    batch.records[0] = replace(batch.records[0], labels=("sad",), sentiment=None)
    right, wrong = "<think>Happy? No.</think><answer>The person feels sad.</answer>", "<think>sad</think> happy"
    ((first, second),) = rewards(batch, [[right, wrong]])
    assert (first.answer, first.labels) == ("The person feels sad.", ("sad",))
    assert (first.rewards["hit"], first.rewards["format"]) == (1.0, 1.0)
    assert np.isnan(first.rewards["sentiment"])  # without a truth it is left out
    assert first.reward == 1.5
    assert second.rewards["format"] == 0.0
    assert second.labels == ("happy",)


def test_wrong_options_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="group_size must be 2 or more"):
        GroupRelativeObjective(group_size=1)
    with pytest.raises(ConfigurationError, match="'hit' comes twice"):
        GroupRelativeObjective(rewards=["hit", {"name": "hit"}])
    with pytest.raises(ConfigurationError, match="weight of the reward 'hit' must be a number"):
        GroupRelativeObjective(rewards=[{"name": "hit", "weight": "much"}])
    with pytest.raises(PluginError, match="no reward plugin 'hits'. Did you mean 'hit'"):
        GroupRelativeObjective(rewards=["hits"])
    with pytest.raises(ConfigurationError, match="most_labels or most_words"):
        build_part("rewards", {"name": "length", "most_labels": None})


def test_reward_hacking_is_named(caplog: pytest.LogCaptureFixture) -> None:
    watch = RewardWatch(growth=0.2)
    with caplog.at_level(logging.WARNING):
        watch._compare(2.0, 0.50)
        watch._compare(2.3, 0.40)  # a sixth more labels
        watch._compare(3.0, 0.51)  # more labels, and a better score
        assert not caplog.text
        kept = RewardWatch()
        kept.load_state_dict(watch.state_dict())
        kept._compare(3.0, 0.50)
        kept._compare(4.0, 0.30)
    assert caplog.text.count("Reward hacking: held-out responses have 3.00 labels, 2.00 at the first validation") == 1


def test_the_text_for_tensorboard_is_a_table() -> None:
    sample = replace(
        scored([["sad"]], [["sad"]])[0], response="<think>a|b</think>\nsad", rewards={"hit": 1.0}, reward=1.0
    )
    assert as_table([sample]).splitlines()[2] == "| 0 | sad | &lt;think>a\\|b&lt;/think> sad | 1.000 | 1.000 |"
