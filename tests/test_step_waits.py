"""A training step never waits for its device: nothing is asked of it but in the places listed here, one step late.

On a processor nothing is read late, because nothing is gained by it. Here the processor plays the GPU: its values are
read late, AdamW is the fused one, and `device_watch.py` finds who asks.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor, nn
from torch.utils.data import DataLoader

from affect_lightning.contracts import ClipBatch, FeatureSequence, StreamInput
from affect_lightning.model.affectgpt import AffectGPT
from affect_lightning.training import AffectGPTModule, LossSpikeLog, TrainingMonitor, late_reading
from affect_lightning.training.loss_anomalies import NonFiniteError
from device_watch import DeviceWatch
from model_cases import TINY_PARTS, random_batch

pytestmark = pytest.mark.filterwarnings(
    "ignore:.*LeafSpec:FutureWarning",
    "ignore:.*does not have many workers",
    "ignore:You defined a `validation_step` but have no",
    r"ignore:Found \d+ module\(s\) in eval mode",
)
# What is read one step late: the report on losses and gradient, and the loss for the spike log. Both have been on their
# way since the step before, so on a GPU neither is a wait for work that is still to do.
READ_LATE = "late_reading.py:_read tolist"
WIDTHS = {"audio": 12, "face": 10}


@pytest.fixture(autouse=True)
def processor_as_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(late_reading, "LATE_DEVICES", {"cuda", "cpu"})


def batches(number: int) -> list[ClipBatch]:
    """Clips of different length with features."""
    made = []
    for seed in range(number):
        clips = random_batch(seed=seed)
        generator = torch.Generator().manual_seed(seed)
        mask = torch.ones(len(clips), 3, dtype=torch.bool)
        mask[1, 2] = False
        features = {
            name: FeatureSequence(torch.randn(len(clips), 3, width, generator=generator), mask)
            for name, width in WIDTHS.items()
        }
        made.append(replace(clips, streams={}, features=features))
    return made


def tensors_of(batch: ClipBatch) -> list[Tensor]:
    found: list[Tensor] = []
    batch.with_each(lambda value: found.append(value) or value)
    return found


def live_batches(number: int) -> list[ClipBatch]:
    """Clips of different length with pictures and sound; one is silent, one shorter than a window, one without a face."""
    made = []
    for seed in range(number):
        clips = random_batch(seed=seed)
        sound, face = clips.streams["audio"], clips.streams["face"]
        lengths = torch.tensor([12_000, 2_345, 0, 7_500])
        mask = face.mask.clone()
        mask[0] = False
        streams = {"audio": StreamInput.of_sound(sound.values, lengths, 16_000), "face": StreamInput(face.values, mask)}
        made.append(replace(clips, streams=streams))
    return made


def module_with(widths: dict[str, int] | None = WIDTHS, **options: Any) -> AffectGPTModule:
    language_model = {"name": "tiny-lm", "lora_dropout": 0.1}
    options = {"language_model": language_model, "learning_rate": 1e-2, "total_steps": 10, "warmup_steps": 0, **options}
    module = AffectGPTModule(**{**TINY_PARTS, **options})
    torch.manual_seed(0)
    module.network = AffectGPT.from_configuration(module.configuration, widths)
    return module


def trainer_with(folder: Path, *callbacks: Callback) -> Trainer:
    return Trainer(
        accelerator="cpu",
        max_epochs=1,
        logger=False,
        enable_checkpointing=False,
        enable_model_summary=False,
        gradient_clip_val=1.0,
        default_root_dir=folder,
        callbacks=list(callbacks),
    )


def loader_of(module: AffectGPTModule, data: list[ClipBatch]) -> Any:
    maker = module.prompt_maker()
    assert maker is not None
    return DataLoader([replace(batch, prompts=maker(batch)) for batch in data], batch_size=None)  # type: ignore[arg-type]


def trained(module: AffectGPTModule, data: list[ClipBatch], folder: Path, *callbacks: Callback) -> Trainer:
    trainer = trainer_with(folder, *callbacks)
    trainer.fit(module, loader_of(module, data))
    return trainer


def arrive(batch: ClipBatch) -> None:
    """Put the streams on the "device": other tensors than those that the processor keeps."""
    for name, stream in batch.streams.items():
        there = StreamInput(stream.values.clone(), stream.mask.clone(), stream.sample_rate)
        there._know(stream.known_mask)
        batch.streams[name] = there


class Watching(Callback):
    """Watches whole steps, with all that happens between them; the first two may look at what parts return."""

    def __init__(self, first: int, last: int) -> None:
        self.first, self.last = first, last
        self.watch = DeviceWatch()

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        if batch_idx == self.last:
            self.watch.__exit__(None, None, None)
        if self.first <= batch_idx < self.last:
            arrive(batch)
            self.watch.watch([*tensors_of(batch), *pl_module.parameters(), *pl_module.buffers()])
        if batch_idx == self.first:
            self.watch.__enter__()

    def on_validation_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        self.on_train_batch_start(trainer, pl_module, batch, batch_idx)


PROMPT_TUNING = {"name": "tiny-lm", "adapter": {"peft_type": "PROMPT_TUNING", "num_virtual_tokens": 3}}
WAYS: dict[str, dict[str, Any]] = {
    "cached": {"feature_norm": "standard", "stream_dropout": 0.2},
    "live": {"widths": None, "feature_norm": "standard", "stream_dropout": 0.2},
    "prompt tuning": {"language_model": PROMPT_TUNING},
    "eager": {},
}


def module_of(way: str) -> AffectGPTModule:
    module = module_with(**WAYS[way])
    if way == "eager":
        language_model: Any = module.built_network.language_model
        language_model.causal_model.set_attn_implementation("eager")
        language_model.attends_clipwise = False
    return module


@pytest.mark.parametrize("way", WAYS)
def test_a_step_asks_nothing_of_its_device_but_what_is_read_late(way: str, tmp_path: Path) -> None:
    watching = Watching(2, 5)
    data = live_batches(6) if way == "live" else batches(6)
    trained(module_of(way), data, tmp_path, watching, TrainingMonitor(), LossSpikeLog(warmup=1))
    assert set(watching.watch.found) == {READ_LATE}
    assert len(watching.watch.found) == 2 * 2  # two a step; what the first step reads was sent before anyone watched


@pytest.mark.parametrize("way", WAYS)
def test_a_validation_step_asks_nothing(way: str, tmp_path: Path) -> None:
    """Lightning adds the losses up on the device; they are read when the set ends."""
    module, watching = module_of(way), Watching(2, 5)
    data = live_batches(6) if way == "live" else batches(6)
    trainer = trainer_with(tmp_path, watching)
    found = trainer.validate(module, loader_of(module, data), verbose=False)
    assert watching.watch.found == []
    with torch.no_grad():
        network = module.built_network.eval()
        terms = [network.terms(module.objective, batch)["response"] for batch in loader_of(module, data)]
    items = [float(term.items) for term in terms]
    mean = sum(float(term.mean) * count for term, count in zip(terms, items, strict=True)) / sum(items)
    assert found[0]["val/loss"] == pytest.approx(mean, rel=1e-5)


class Asking(nn.Module):
    """A projector that asks."""

    def __init__(self, inner: nn.Module, question: Any) -> None:
        super().__init__()
        self.inner, self.question = inner, question

    def forward(self, tokens: Tensor) -> Tensor:
        self.question(tokens.detach())
        return self.inner(tokens)


QUESTIONS = {
    "item": lambda tokens: tokens.sum().item(),
    "bool": lambda tokens: bool(tokens.isfinite().all()),
    "float": lambda tokens: float(tokens.mean()),
    "tolist": lambda tokens: tokens.tolist(),
    "Boolean index": lambda tokens: tokens[tokens > 0],
    "masked_select": lambda tokens: tokens.masked_select(tokens > 0),
    "nonzero": lambda tokens: (tokens > 0).nonzero(),
    "numpy": lambda tokens: tokens.numpy(),
}


@pytest.mark.parametrize("question", QUESTIONS)
def test_the_watch_finds_whoever_asks(question: str) -> None:
    watch = DeviceWatch()
    tokens = torch.randn(3, 4)
    known = torch.randn(3, 4)
    layer = Asking(nn.Linear(4, 2), QUESTIONS[question])
    with watch:
        layer(known)
        assert watch.found == []  # the processor has it
        watch.watch([tokens])
        layer(tokens * 2 + known)
    assert len(watch.found) == 1


class Weights(Callback):
    """What trains, and its moments, before and after each step."""

    def __init__(self) -> None:
        self.seen: list[list[Tensor]] = []

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        optimizer = trainer.optimizers[0]
        assert all(group["fused"] for group in optimizer.param_groups)
        weights = [weight for group in optimizer.param_groups for weight in group["params"]]
        moments = [value for weight in weights for value in optimizer.state[weight].values()]
        self.seen.append([value.detach().clone() for value in (*weights, *moments)])


def with_nan(data: list[ClipBatch], number: int) -> list[ClipBatch]:
    assert data[number].features is not None
    data[number].features["audio"].tokens[0, 0, 0] = float("nan")  # type: ignore[index]
    data[number].records[0] = replace(data[number].records[0], name="broken")
    return data


def same(one: list[Tensor], other: list[Tensor]) -> bool:
    return all(torch.equal(first, second) for first, second in zip(one, other, strict=True))


@pytest.fixture
def weights() -> Weights:
    return Weights()


def test_a_skipped_step_changes_nothing_though_it_is_known_late(tmp_path: Path, weights: Weights) -> None:
    module = module_with(on_nonfinite="skip")
    trained(module, with_nan(batches(5), 2), tmp_path, weights)
    changed = [not same(*pair) for pair in zip(weights.seen, weights.seen[1:], strict=False)]
    assert changed == [True, False, True, True]
    assert module.nonfinite.skipped == 1
    assert all(value.isfinite().all() for value in weights.seen[-1])


@pytest.mark.parametrize("number", [2, 4])
def test_a_stop_names_the_step_that_was_not_finite(tmp_path: Path, weights: Weights, number: int) -> None:
    """The run goes on for one step before it knows; of the last step it learns when it ends."""
    with pytest.raises(NonFiniteError, match=rf"The loss is nan at step {number}, clips broken, clip1, clip2, clip3\."):
        trained(module_with(), with_nan(batches(5), number), tmp_path, weights)
    assert len(weights.seen) == number + 1
    assert same(*weights.seen[-2:])


def test_a_checkpoint_of_a_step_that_was_not_finite_is_not_written(tmp_path: Path) -> None:
    class Saving(Callback):
        def on_train_batch_end(self, trainer: Trainer, *others: Any) -> None:
            trainer.save_checkpoint(tmp_path / f"{trainer.global_step}.ckpt")

    with pytest.raises(NonFiniteError, match=r"at step 2, .*no checkpoint exists yet"):
        trained(module_with(), with_nan(batches(5), 2), tmp_path, Saving())
    assert sorted(path.name for path in tmp_path.glob("*.ckpt")) == ["1.ckpt", "2.ckpt"]


def test_spikes_are_those_that_a_prompt_reader_finds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = []
    for name, late in (("late", {"cpu"}), ("prompt", set[str]())):
        monkeypatch.setattr(late_reading, "LATE_DEVICES", late)
        spikes = LossSpikeLog(1.0001, warmup=2)
        trained(module_with(learning_rate=1e-9), batches(6), tmp_path / name, spikes)
        state = spikes.state_dict()
        lines = (tmp_path / name / "loss_spikes.jsonl").read_text(encoding="utf-8")
        found.append((state["spikes"], [round(loss, 4) for loss in state["losses"]], lines.count('"step"')))
    assert found[0] == found[1]
    assert found[0][0] > 0
    assert len(found[0][1]) == 6


def test_an_optimiser_keeps_its_kind_over_a_checkpoint_of_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    from affect_lightning.training.optimisation import build_optimizer

    made = {}
    for name, late in (("fused", {"cpu"}), ("usual", set[str]())):
        monkeypatch.setattr(late_reading, "LATE_DEVICES", late)
        weight = nn.Parameter(torch.ones(3))
        made[name] = build_optimizer([{"params": [weight]}], 0.1, "32-true")
        weight.grad = torch.ones(3)
        made[name].step()
    assert [made[name].param_groups[0]["fused"] for name in made] == [True, None]
    states = {name: optimizer.state_dict() for name, optimizer in made.items()}
    for name, other in (("fused", "usual"), ("usual", "fused")):
        made[name].load_state_dict(states[other])
        assert bool(made[name].param_groups[0]["fused"]) == (name == "fused")
        made[name].step()


def test_fp16_keeps_the_optimiser_that_its_loss_scaler_knows() -> None:
    from affect_lightning.training.optimisation import build_optimizer

    assert (
        build_optimizer([{"params": [nn.Parameter(torch.ones(1))]}], 0.1, "16-mixed").param_groups[0]["fused"] is None
    )
