"""The callback inside a real Trainer: responses collected, scored, logged and reported; responses of predict."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import LightningDataModule, LightningModule, Trainer
from lightning.pytorch.loggers import TensorBoardLogger
from torch.utils.data import DataLoader
from torch.utils.tensorboard import SummaryWriter

from affect_lightning.contracts import ClipBatch, ClipRecord, LabelExtractor, ResponseRow, Sentiment, StreamInput
from affect_lightning.errors import ConfigurationError, ContractError
from affect_lightning.unibench import callback as callback_module
from affect_lightning.unibench.callback import BenchmarkCallback
from affect_lightning.unibench.report.examples import jpeg_data_uri, pictures_of
from affect_lightning.unibench.report.files import read_report
from affect_lightning.unibench.report.loss_curves import Curve
from affect_lightning.unibench.scoring.predictions import read_predictions

BOUNDS = {"scores": {"meld": {"face": 0.4, "face+voice": 0.9}, "mean": {"face": 0.41, "face+voice": 0.91}}}


def make_batch(corpus: str, names: list[str], filler: int = 0) -> ClipBatch:
    """Clips with grey faces; the last `filler` clips only fill up the batch."""
    records = [ClipRecord(name, corpus, subtitle_english=f"{name} speaks", labels=("happy",)) for name in names]
    return ClipBatch(
        records=records,
        questions=["What does the person feel?"] * len(names),
        responses=[""] * len(names),
        subtitles=[record.subtitle_english for record in records],
        streams={
            "face": StreamInput(
                torch.full((len(names), 5, 3, 40, 60), 128, dtype=torch.uint8),
                torch.tensor([[True, True, False, True, False]] * len(names)),
            )
        },
        valid=torch.tensor([index < len(names) - filler for index in range(len(names))]),
    )


def test_pictures_are_small_jpegs_of_real_frames() -> None:
    batch = make_batch("meld", ["a"])
    assert len(pictures_of(batch, 0)) == 3
    assert all(picture.startswith("data:image/jpeg;base64,/9j/") for picture in pictures_of(batch, 0))
    assert len(jpeg_data_uri(torch.zeros(720, 1280, 3, dtype=torch.uint8).numpy())) < 4000
    assert pictures_of(replace(batch, streams={}), 0) == ()
    batch.streams["face"].mask.zero_()
    assert pictures_of(batch, 0) == ()


class Parrot(LightningModule):
    """Answers `response` to every clip."""

    def __init__(self, response: str = "happy") -> None:
        super().__init__()
        self.layer = torch.nn.Linear(1, 1)
        self.response = response

    def test_step(self, batch: ClipBatch, batch_index: int, dataloader_idx: int = 0) -> Any:
        return ResponseRow.of_batch(batch, batch.questions, [self.response] * len(batch))

    predict_step = test_step


class BrokenParrot(Parrot):
    def test_step(self, batch: ClipBatch, batch_index: int, dataloader_idx: int = 0) -> Any:
        return torch.zeros(1)


def loader(batches: list[ClipBatch]) -> DataLoader:
    return DataLoader(batches, batch_size=None)


def make_trainer(tmp_path: Path, callback: BenchmarkCallback, logger: bool = True) -> Trainer:
    return Trainer(
        accelerator="cpu",
        devices=1,
        logger=TensorBoardLogger(tmp_path, name="run", version="v0") if logger else False,
        callbacks=[callback],
        default_root_dir=tmp_path,
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
    )


class OneWordExtractor(LabelExtractor):
    """The response is the label, and never unpleasant."""

    def extract(self, responses: Sequence[str]) -> list[list[str]]:
        return [[response] for response in responses]

    def sentiment(self, labels: Sequence[Sequence[str]]) -> list[Sentiment]:
        return ["positive" for _ in labels]

    def identity(self) -> str:
        return "one-word extractor of a test"


@pytest.fixture
def one_word_extractor(monkeypatch: pytest.MonkeyPatch) -> None:
    """An extractor in place of an installed plugin."""
    monkeypatch.setattr(callback_module, "build_part", lambda group, choice: OneWordExtractor())


def in_lightning(test: Callable[..., None]) -> Callable[..., None]:
    """Let pass what Lightning itself warns about."""
    few_workers = pytest.mark.filterwarnings("ignore:.*does not have many workers:UserWarning")
    old_name = pytest.mark.filterwarnings("ignore:.*LeafSpec.*is deprecated:FutureWarning")
    return few_workers(old_name(test))


@in_lightning
@pytest.mark.usefixtures("one_word_extractor")
def test_the_callback_scores_a_test(tmp_path: Path) -> None:
    corpus_file = tmp_path / "corpus.json"
    corpus_file.write_text(json.dumps({"bounds": BOUNDS}), encoding="utf-8")
    benchmark = BenchmarkCallback(examples=2, corpus_file=str(corpus_file))
    trainer = make_trainer(tmp_path, benchmark)
    loaders = [
        loader([make_batch("meld", ["a", "b"]), make_batch("meld", ["c", "a"], filler=1)]),
        loader([make_batch("mine", ["z"])]),
    ]
    logged = trainer.test(Parrot(), loaders, verbose=False)
    folder = tmp_path / "run" / "v0"
    assert [prediction.name for prediction in read_predictions(folder)] == ["a", "b", "c", "z"]
    assert {"test/meld": 100.0, "test/mine": 100.0, "test/mean": 100.0}.items() <= logged[0].items()
    report = read_report(folder)
    (entry,) = report.rows
    assert (entry.name, entry.scores.mean, entry.scores.sets["meld"].clips) == ("run/v0", 100.0, 3)
    assert [(item.corpus, item.name, item.hit) for item in entry.examples] == [("meld", "a", True), ("mine", "z", True)]
    assert entry.examples[0].subtitle == "a speaks"
    assert len(entry.examples[0].pictures) == 3
    assert entry.provenance["checkpoint_rule"] == "no checkpoint was loaded"
    assert [bound.name for bound in report.bounds] == ["bound: face", "bound: face + voice"]
    assert (folder / "report.html").read_text(encoding="utf-8").count("<article>") == 2
    tags = read_tags(folder)
    assert {"test/meld", "test/mean", "test/mine"} <= set(tags["scalars"])
    assert any("test/responses" in tag for tag in tags["tensors"])
    assert benchmark.scores is not None


@in_lightning
@pytest.mark.usefixtures("one_word_extractor")
def test_the_examples_do_not_depend_on_the_order_of_the_clips(tmp_path: Path) -> None:
    chosen = []
    for number, names in enumerate((["d", "b"], ["a", "c"]), 1):
        other = ["a", "c"] if number == 1 else ["d", "b"]
        trainer = make_trainer(tmp_path, BenchmarkCallback(out=str(tmp_path / str(number)), examples=2), logger=False)
        trainer.test(Parrot(), loader([make_batch("meld", names), make_batch("meld", other)]), verbose=False)
        (row,) = read_report(tmp_path / str(number)).rows
        chosen.append([(example.name, example.subtitle) for example in row.examples])
    assert chosen[0] == chosen[1] == [("a", "a speaks"), ("b", "b speaks")]


def read_tags(folder: Path) -> dict[str, Any]:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    accumulator = EventAccumulator(str(folder))
    accumulator.Reload()
    return accumulator.Tags()


class Clips(LightningDataModule):
    """Two clips of MELD, of which one was lost."""

    def __init__(self, root: Path) -> None:
        super().__init__()
        self.benchmark_root = root
        self.feature_widths = None

    def counts(self) -> dict[str, dict[str, int]]:
        return {}

    def quarantined(self, split: str | None = None) -> list[dict[str, str]]:
        return [{"name": "lost", "reason": "truncated"}] if split == "test" else []

    def test_dataloader(self) -> DataLoader:
        return loader([make_batch("meld", ["a", "b"])])


class Talks(Clips):
    """Clips of a set that its folder describes."""

    def test_dataloader(self) -> DataLoader:
        return loader([make_batch("talks", ["a", "b"])])


@in_lightning
@pytest.mark.usefixtures("one_word_extractor")
def test_a_set_is_scored_as_its_folder_says(tmp_path: Path) -> None:
    (tmp_path / "talks").mkdir()
    (tmp_path / "talks" / "benchmark_set.yaml").write_text(
        "{title: The talks, metric: hit_rate, labels: [happy, sad], clips: 9}",
        encoding="utf-8",
    )
    benchmark = BenchmarkCallback(out=str(tmp_path / "out"), examples=0)
    make_trainer(tmp_path, benchmark, logger=False).test(Parrot(), datamodule=Talks(tmp_path), verbose=False)
    assert benchmark.scores is not None
    score = benchmark.scores.sets["talks"]
    assert (score.title, score.metric, score.score, score.official_clips) == ("The talks", "hit_rate", 100.0, 9)
    assert benchmark.scores.mean is None


@in_lightning
@pytest.mark.usefixtures("one_word_extractor")
def test_bounds_quarantine_and_losses_are_found_by_themselves(tmp_path: Path) -> None:
    (tmp_path / "corpus.json").write_text(json.dumps({"bounds": BOUNDS}), encoding="utf-8")
    training, checkpoint = tmp_path / "fit", tmp_path / "fit" / "checkpoints" / "last.ckpt"
    with SummaryWriter(str(training)) as writer:
        writer.add_scalar("train/loss", 2.0, 1)
    module = Parrot()
    checkpoint.parent.mkdir()
    content = {"state_dict": module.state_dict(), "pytorch-lightning_version": "2.6.6", "global_step": 1}
    torch.save({**content, "epoch": 0}, checkpoint)
    benchmark = BenchmarkCallback(out=str(tmp_path / "out"), run_name="after training", examples=0)
    trainer = make_trainer(tmp_path, benchmark, logger=False)
    trainer.test(module, datamodule=Clips(tmp_path), ckpt_path=str(checkpoint), verbose=False)
    report = read_report(tmp_path / "out")
    (entry,) = report.rows
    assert (entry.name, entry.examples) == ("after training", ())
    assert entry.curves == (Curve("train/loss", ((1, 2.0),)),)
    assert entry.provenance["quarantined"] == [{"name": "lost", "reason": "truncated"}]
    assert entry.provenance["checkpoint"] == str(checkpoint)
    assert entry.provenance["checkpoint_rule"] == "the checkpoint file given for this test"
    assert len(report.bounds) == 2


@in_lightning
def test_predict_writes_responses_only(tmp_path: Path) -> None:
    trainer = make_trainer(tmp_path, BenchmarkCallback(out=str(tmp_path / "out")), logger=False)
    trainer.predict(Parrot(), loader([make_batch("mine", ["a", "b"], filler=1)]), return_predictions=False)
    assert [path.name for path in (tmp_path / "out").rglob("*") if path.is_file()] == ["mine.jsonl"]
    assert [prediction.name for prediction in read_predictions(tmp_path / "out")] == ["a"]


@in_lightning
@pytest.mark.usefixtures("one_word_extractor")
def test_a_foreign_test_step_and_a_wrong_option_are_explained(tmp_path: Path) -> None:
    trainer = make_trainer(tmp_path, BenchmarkCallback(), logger=False)
    with pytest.raises(ContractError, match=r"must return a list of .*ResponseRow, one a clip; it returned a tensor"):
        trainer.test(BrokenParrot(), loader([make_batch("mine", ["a"])]), verbose=False)
    with pytest.raises(ConfigurationError, match="examples must be 0 or more clips; got -1"):
        BenchmarkCallback(examples=-1)


def test_rows_of_all_processes_are_gathered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.distributed, "get_world_size", lambda: 2)

    def gather(parts: list[Any], part: Any) -> None:
        parts[:] = [part, ["of the other"]]

    monkeypatch.setattr(torch.distributed, "all_gather_object", gather)
    assert callback_module._gather(["mine"]) == [["mine"], ["of the other"]]
