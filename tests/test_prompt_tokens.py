"""Prompts are tokenised where a batch is put together, and count only as long as they are those of the batch."""

from __future__ import annotations

import pickle
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from affect_lightning.contracts import ClipBatch, ClipRecord, PromptTokens, prompt_maker_of
from affect_lightning.data.dataset import ClipDataset, ReadingOptions
from affect_lightning.data.loading import ClipLoader
from affect_lightning.data.ordering import BatchPlan
from affect_lightning.data.quarantine import Quarantine
from affect_lightning.data.questions import QuestionDraw
from affect_lightning.data.reading_workers import ReadingWorkers
from affect_lightning.errors import DataError
from affect_lightning.model import AffectGPT, ModelConfiguration
from affect_lightning.model.prompt_tokens import PromptMaker
from affect_lightning.plugin_loading import build_part
from affect_lightning.training import AffectGPTModule
from affect_lightning_plugins.language_models.tiny import TinyLM
from model_cases import TINY_PARTS, random_batch

TEXT_ONLY = {"language_model": {"name": "tiny-lm", "lora_dropout": 0.0}, "inputs": ["text"]}


@pytest.fixture(scope="module")
def network() -> AffectGPT:
    return AffectGPT.from_configuration(ModelConfiguration.resolve(**TINY_PARTS))


def maker_of(network: AffectGPT) -> PromptMaker:
    maker = network.prompt_maker()
    assert maker is not None
    return maker


def tensors(tokens: PromptTokens) -> dict[str, list[Any]]:
    layout = {name: value for name, value in vars(tokens.layout).items() if torch.is_tensor(value)}
    own = {"ids": tokens.ids, "attention_mask": tokens.attention_mask, "labels": tokens.labels}
    return {name: value.tolist() for name, value in {**own, **tokens.feature_places, **layout}.items()}


def test_tokens_of_the_maker_are_those_of_the_network(network: AffectGPT) -> None:
    batch = random_batch()
    made = pickle.loads(pickle.dumps(maker_of(network)))(batch)
    own = network.assemble(batch, network.encode(batch), learn=True).tokens
    assert tensors(made) == tensors(own)
    assert made.layout.lengths == own.layout.lengths
    assert made.made_of == own.made_of
    assert set(made.feature_places) == {"multi", "audio", "face"}


def test_a_batch_with_tokens_gives_the_loss_and_gradients_of_one_without(network: AffectGPT) -> None:
    batch = random_batch()
    weights = [weight for weight in network.parameters() if weight.requires_grad]
    found = []
    for given in (batch, replace(batch, prompts=maker_of(network)(batch))):
        loss = network(given)
        found.append([loss, *torch.autograd.grad(loss, weights, allow_unused=True)])
    assert all(one is other is None or torch.equal(one, other) for one, other in zip(*found, strict=True))


def test_tokens_that_came_along_are_not_made_again(network: AffectGPT, monkeypatch: pytest.MonkeyPatch) -> None:
    batch = random_batch()
    ready = replace(batch, prompts=maker_of(network)(batch))
    made = []
    make = PromptMaker.make
    monkeypatch.setattr(PromptMaker, "make", lambda self, *texts: made.append(texts[0]) or make(self, *texts))
    features = network.encode(batch)
    network.assemble(ready, features, learn=True)
    assert made == []
    answers = ["The person feels proud."] * len(batch)
    for changed in ({"responses": answers}, {"questions": answers}, {"subtitles": answers}):
        other = network.assemble(replace(ready, **changed), features, learn=True).tokens  # type: ignore[arg-type]
        assert other.ids.tolist() != ready.prompts.ids.tolist()  # type: ignore[union-attr]
    network.assemble(ready, features, learn=False)
    assert made == [batch.names] * 4


def test_other_labels_than_those_of_the_tokens_are_learnt(network: AffectGPT) -> None:
    """An objective may supervise what the responses do not; the places that were told before do not count then."""
    batch = random_batch()
    outputs = network.outputs(batch)
    everything = outputs.labels.masked_fill(outputs.attention_mask == 1, 7)
    told = network.response_loss(replace(outputs, labels=everything), batch.valid)
    asked = network.response_loss(replace(outputs, labels=everything, tokens=None), batch.valid)
    assert torch.equal(told.mean, asked.mean)
    assert int(told.items) == int((outputs.attention_mask[:, 1:] == 1).sum())


@pytest.mark.parametrize("valid", [[True, False, True, False], [False] * 4])
def test_clips_that_are_not_valid_teach_nothing(network: AffectGPT, valid: list[bool]) -> None:
    batch = random_batch()
    ready = replace(batch, prompts=maker_of(network)(batch), valid=torch.tensor(valid))
    assert ready.teaches == any(valid)
    term = network.response_loss(network.outputs(ready), ready.valid)
    if not any(valid):
        assert float(term.mean.detach()) == int(term.items) == 0
        weights = [weight for weight in network.parameters() if weight.requires_grad]
        gradients = torch.autograd.grad(term.mean, weights, allow_unused=True)
        assert not any(gradient.any() for gradient in gradients if gradient is not None)
        return
    labels = network.assemble(batch, network.encode(batch), learn=True).labels
    assert int(term.items) == int((labels[torch.tensor(valid)] >= 0).sum())


def clip_loader(module: Any, records: list[ClipRecord], workers: int = 0) -> ClipLoader:
    return ClipLoader(
        ClipDataset(records, ReadingOptions(streams=frozenset()), QuestionDraw()),
        BatchPlan(len(records), batch_size=2, shuffle=True),
        Quarantine("error", 0.0),
        readers=ReadingWorkers(workers),
        prompts=prompt_maker_of(SimpleNamespace(lightning_module=module)),
    )


def records(number: int = 5) -> list[ClipRecord]:
    return [
        ClipRecord(
            name=f"clip{index}", corpus="x", labels=("happy",) * (1 + index % 2), subtitle_english="Well. " * index
        )
        for index in range(number)
    ]


def test_a_loader_sends_tokens_with_and_without_workers() -> None:
    module = AffectGPTModule(**TEXT_ONLY)
    assert module.prompt_maker() is None  # nothing is built yet
    module.configure_model()
    found: list[list[ClipBatch]] = []
    for workers in (0, 1):
        loader = clip_loader(module, records(), workers)
        found.append(list(loader))
        loader.close()
    maker = maker_of(module.built_network)
    for here, sent in zip(*found, strict=True):
        assert here.prompts is not None
        assert sent.prompts is not None
        assert tensors(here.prompts) == tensors(sent.prompts) == tensors(maker(here))
        assert sent.prompts.ids.is_shared()
        assert module.built_network.assemble(sent, {}, learn=True).tokens.ids is sent.prompts.ids


def test_a_clip_without_a_response_is_told_by_the_loader() -> None:
    class Silent:
        def ask(self, record: ClipRecord, epoch: int, index: int) -> tuple[str, str]:
            return "How is it?", " "

    module = AffectGPTModule(**TEXT_ONLY)
    module.configure_model()
    loader = clip_loader(module, records(2))
    loader._dataset.questions = Silent()
    with pytest.raises(DataError, match=r"Clip 'clip\d' has an empty response"):
        next(iter(loader))


def test_a_maker_that_cannot_be_sent_stays_here() -> None:
    class Unsendable:
        def prompt_maker(self) -> Any:
            return lambda batch: None

    assert clip_loader(Unsendable(), records(), workers=1)._prompts is None
    assert clip_loader(Unsendable(), records())._prompts is not None
    assert prompt_maker_of(SimpleNamespace(lightning_module=object())) is prompt_maker_of(None) is None


def test_a_plugin_that_writes_prompts_in_its_own_way_is_asked_itself() -> None:
    class Loud(TinyLM):
        def render_prompt(self, user_text: str) -> str:
            return super().render_prompt(user_text.upper())

    assert Loud().prompt_text() is None
    text = build_part("language_models", {"name": "tiny-lm", "system_prompt": "Be brief."}).prompt_text()
    assert "Be brief." in text.render_prompt("x")


def test_a_batch_knows_whether_it_teaches_and_moves_with_its_tokens(network: AffectGPT) -> None:
    batch = random_batch()
    ready = replace(batch, prompts=maker_of(network)(batch))
    moved = ready.with_each(lambda value: value.to("meta"))
    assert moved.valid.is_meta
    assert moved.teaches
    assert moved.prompts is not None
    assert moved.prompts.layout.cumulative.is_meta
    assert moved.prompts.feature_places["audio"].is_meta
    assert moved.prompts.layout.lengths == ready.prompts.layout.lengths  # type: ignore[union-attr]
    assert not replace(batch, valid=torch.zeros(4, dtype=torch.bool)).to("meta").teaches
