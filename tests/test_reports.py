"""Reports: the three files, their atomicity, the comparison of runs, and the callback inside a real Trainer."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.loggers import TensorBoardLogger
from torch.utils.data import DataLoader
from torch.utils.tensorboard import SummaryWriter

from affect_lightning.contracts import ClipBatch, ClipRecord, LabelExtractor, Sentiment
from affect_lightning.errors import ConfigurationError, ContractError, DataError
from affect_lightning.unibench import callback as callback_module
from affect_lightning.unibench import writing
from affect_lightning.unibench.bounds import read_bounds
from affect_lightning.unibench.callback import BenchmarkCallback
from affect_lightning.unibench.examples import Example, choose_examples, jpeg_data_uri, pictures_of
from affect_lightning.unibench.loss_curves import MAX_POINTS, Curve, draw_curves, read_loss_curves
from affect_lightning.unibench.predictions import read_predictions
from affect_lightning.unibench.provenance import collect_provenance, provenance_lines
from affect_lightning.unibench.report_rows import ReferenceRow, Report, ReportRow
from affect_lightning.unibench.reports import compare_runs, read_report, write_report
from affect_lightning.unibench.scoring import SetScore, SuiteScores
from affect_lightning.unibench.writing import WritingError, write_files

REPORT_FILES = ["report.html", "report.json", "report.md"]
BOUNDS = {"scores": {"meld": {"face": 0.4, "face+voice": 0.9}, "mean": {"face": 0.41, "face+voice": 0.91}}}
VOID_TAGS = {"meta", "img", "br", "hr"}


class PageChecker(HTMLParser):
    """Collects the text, the tags and what the page would load; every tag must be closed in order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.sources: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.sources += [value or "" for name, value in attrs if name in {"src", "href"}]
        if tag not in VOID_TAGS and not self.get_starttag_text().endswith("/>"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if self.open and self.open[-1] == tag:
            self.open.pop()
        elif tag not in {"line", "polyline"}:
            raise AssertionError(f"</{tag}> closes {self.open}")

    def handle_data(self, data: str) -> None:
        self.text += data


def check_page(path: Path) -> PageChecker:
    page = PageChecker()
    page.feed(path.read_text(encoding="utf-8"))
    page.close()
    assert page.open == []
    assert all(source.startswith(("#", "data:image/jpeg;base64,")) for source in page.sources), "no external resource"
    return page


def set_score(key: str, title: str, score: float | None) -> SetScore:
    wheels = (8, 8, 7, 8, 6)
    return SetScore(key, title, "hit_rate", score, {"M-score": score}, 10, 7, wheels, 1, 1.5, 2610)


def suite(score: float | None) -> SuiteScores:
    sets = {
        "meld": set_score("meld", "MELD", score),
        "mine": replace(set_score("mine", "mine", 12.0), official_clips=None),
    }
    return SuiteScores(sets, "builtin", "ab" * 32, "rules 1")


def example(name: str, hit: bool | None, corpus: str = "meld", response: str = "I see <b>joy</b> & anger.") -> Example:
    return Example(
        name,
        corpus,
        "So?",
        "What does the person feel?",
        response,
        ("joy",),
        "",
        "anger",
        hit,
        ("data:image/jpeg;base64,AA",),
    )


def row(name: str, score: float | None = 55.5) -> ReportRow:
    scores = suite(score)
    provenance = collect_provenance(
        scores,
        checkpoint="last.ckpt",
        checkpoint_rule="the last one",
        quarantined=[{"name": f"bad{number}", "reason": "truncated"} for number in range(7)],
        seed=3,
    )
    curve = Curve("train/loss", ((0, 3.0), (10, 2.0), (20, 1.5)))
    return ReportRow(name, scores, provenance, (curve,), (example("clip|1", True), example("clip2", None)))


@pytest.fixture
def report() -> Report:
    bounds = (ReferenceRow("bound: face", {"meld": 40.0}, 41.0),)
    return Report("MER-UniBench: <test> | pipes", (row("before", 20.25), row("after")), bounds)


def test_the_three_files_say_the_same(tmp_path: Path, report: Report) -> None:
    paths = write_report(report, tmp_path / "run")
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == REPORT_FILES
    assert read_report(tmp_path / "run") == report
    content = json.loads(paths[0].read_text(encoding="utf-8"))
    assert (content["format"], content["version"]) == ("affect-lightning report", 1)
    assert [entry["mean"] for entry in content["rows"]] == [20.25, 55.5]
    assert content["rows"][1]["sets"]["meld"]["scored_clips_per_wheel"] == [8, 8, 7, 8, 6]
    provenance = content["rows"][1]["provenance"]
    assert provenance["taxonomy"] == {"name": "builtin", "sha256": "ab" * 32}
    assert (provenance["seed"], provenance["checkpoint_rule"], len(provenance["quarantined"])) == (3, "the last one", 7)
    markdown, page = paths[1].read_text(encoding="utf-8"), check_page(paths[2])
    for text in (
        "20.25",
        "55.50",
        "40.00",
        "bound: face",
        "55.50 (1 of 9 sets)",
        "6 to 8 by wheel",
        "SHA-256 abababab",
    ):
        assert text in markdown
        assert text in page.text
    assert "| before | 20.25 | 12.00 | 20.25 (1 of 9 sets) |" in markdown
    assert "bad4 (truncated); and 2 more, see report.json" in page.text


def test_the_page_shows_each_clip_once_with_all_answers(tmp_path: Path, report: Report) -> None:
    page = check_page(write_report(report, tmp_path)[2])
    assert page.tags.count("article") == 2
    assert page.tags.count("img") == 2
    assert page.tags.count("svg") == 1
    assert page.tags.count("polyline") == 4
    assert "I see <b>joy</b> & anger." in page.text, "responses are shown as written, not as mark-up"
    assert page.text.count("not scored") == 2
    assert "before: train/loss" in page.text


def test_scores_that_do_not_exist_are_shown_as_such(tmp_path: Path) -> None:
    bare = ReportRow("bare", SuiteScores({"meld": set_score("meld", "MELD", None)}, "t", "0", "e"))
    paths = write_report(Report("empty", (bare,)), tmp_path)
    assert "| bare | – | – (0 of 9 sets) |" in paths[1].read_text(encoding="utf-8")
    page = check_page(paths[2])
    assert "svg" not in page.tags
    assert "article" not in page.tags
    with pytest.raises(DataError, match="A report needs at least one run with scores"):
        write_report(Report("none", ()), tmp_path)


def refuse(number: int, code: int) -> Callable[..., None]:
    """A stand-in for fsync that fails at its n-th call."""
    calls: Iterator[int] = iter(range(1, 100))

    def sync(descriptor: int) -> None:
        if next(calls) == number:
            raise OSError(code, os.strerror(code))

    return sync


@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_full_disk_leaves_nothing_half_written(
    tmp_path: Path, report: Report, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    monkeypatch.setattr(writing.os, "fsync", refuse(number, errno.ENOSPC))
    with pytest.raises(WritingError, match=r"report\.\w+ could not be written: No space left on device. Nothing half-"):
        write_report(report, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_leaves_the_earlier_report(tmp_path: Path, report: Report, monkeypatch: pytest.MonkeyPatch) -> None:
    write_report(report, tmp_path)
    monkeypatch.setattr(writing.os, "fsync", refuse(2, errno.ENOSPC))
    with pytest.raises(WritingError):
        write_report(replace(report, title="new"), tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == REPORT_FILES
    assert read_report(tmp_path) == report


def test_a_really_full_device_is_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    monkeypatch.setattr(Path, "with_name", lambda self, name: Path("/dev/full"))
    monkeypatch.setattr(Path, "unlink", lambda self, missing_ok: None)
    with pytest.raises(WritingError, match=r"a\.txt could not be written: No space left on device"):
        write_files({tmp_path / "a.txt": "text"})
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_a_file_is_explained(tmp_path: Path, report: Report) -> None:
    (tmp_path / "run").touch()
    with pytest.raises(WritingError, match=r"report.json could not be written"):
        write_report(report, tmp_path / "run")


def test_runs_are_compared(tmp_path: Path, report: Report) -> None:
    for name, score in (("a", 20.0), ("b", 60.0)):
        write_report(replace(report, rows=(row("same name", score),)), tmp_path / name)
    folders = [tmp_path / "a", tmp_path / "b" / "report.json"]
    compare_runs(folders, tmp_path / "both", names=["before training", "after training"])
    both = read_report(tmp_path / "both")
    assert [(entry.name, entry.scores.mean) for entry in both.rows] == [
        ("before training", 20.0),
        ("after training", 60.0),
    ]
    assert both.bounds == report.bounds
    compare_runs(folders, tmp_path / "unnamed")
    names = [entry.name for entry in read_report(tmp_path / "unnamed").rows]
    assert names == ["same name", "same name (report.json, 2)"]
    with pytest.raises(DataError, match="Got 1 names for 2 runs"):
        compare_runs(folders, tmp_path, names=["one"])
    with pytest.raises(DataError, match="Give at least one run folder"):
        compare_runs([], tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, r"There is no report .*report.json \(No such file or directory\). `affect-lightning test` writes it"),
        ("{", r"report.json is no JSON file"),
        ("[]", r"report.json is no report of affect-lightning: its format is not 'affect-lightning report'"),
        ('{"format": "affect-lightning report", "version": 9}', r"has version 9 of the report's format, expected 1"),
        ('{"format": "affect-lightning report", "version": 1}', r"report.json is a damaged report: KeyError\('rows'\)"),
    ],
)
def test_broken_reports_are_explained(tmp_path: Path, text: str | None, message: str) -> None:
    if text is not None:
        (tmp_path / "report.json").write_text(text)
    with pytest.raises(DataError, match=message):
        read_report(tmp_path)


def test_bounds_are_read_from_the_corpus(tmp_path: Path) -> None:
    path = tmp_path / "corpus.json"
    path.write_text(json.dumps({"bounds": BOUNDS}))
    face, both = read_bounds(path)
    assert (face.name, face.scores, face.mean) == ("bound: face", {"meld": 40.0}, 41.0)
    assert (both.name, both.mean) == ("bound: face + voice", 91.0)
    path.write_text(json.dumps({"bounds": {"scores": {"meld": {"face": "much"}}}}))
    with pytest.raises(DataError, match=r"corpus.json has no table `bounds.scores` of fractions"):
        read_bounds(path)
    with pytest.raises(DataError, match=r"nowhere.json cannot be read"):
        read_bounds(tmp_path / "nowhere.json")


def test_loss_curves_come_out_of_event_files(tmp_path: Path) -> None:
    assert read_loss_curves(tmp_path) == []
    with SummaryWriter(str(tmp_path)) as writer:
        for step in range(2 * MAX_POINTS):
            writer.add_scalar("train/loss", 1.0 / (1 + step), step)
        writer.add_scalar("validation_loss", float("nan"), 0)
        writer.add_scalar("validation_loss", 0.5, 1)
        writer.add_scalar("learning_rate", 1e-5, 0)
    curves = read_loss_curves(tmp_path)
    assert [curve.name for curve in curves] == ["train/loss", "validation_loss"]
    assert len(curves[0].points) == MAX_POINTS
    assert curves[0].points[0] == (0, 1.0)
    assert curves[0].points[-1][0] == 2 * MAX_POINTS - 1
    assert curves[1].points == ((1, 0.5),)
    assert draw_curves([Curve("a", ((5, 0.0),))]).count("<polyline") == 2
    assert draw_curves([]) == ""


def test_examples_take_turns_between_the_sets() -> None:
    examples = [example(f"clip{number}", True, corpus) for corpus in ("sims", "meld") for number in (2, 0, 1)]
    chosen = [(item.corpus, item.name) for item in choose_examples(examples, 3)]
    assert chosen == [("meld", "clip0"), ("meld", "clip1"), ("sims", "clip0")]
    assert choose_examples([], 3) == []


def make_batch(corpus: str, names: list[str], filler: int = 0) -> ClipBatch:
    """Clips with grey faces; the last `filler` clips only fill up the batch."""
    records = [ClipRecord(name, corpus, subtitle_english=f"{name} speaks", labels=("happy",)) for name in names]
    return ClipBatch(
        records=records,
        questions=["What does the person feel?"] * len(names),
        responses=[""] * len(names),
        subtitles=[record.subtitle_english for record in records],
        face=torch.full((len(names), 5, 3, 40, 60), 128, dtype=torch.uint8),
        frame_mask=torch.tensor([[True, True, False, True, False]] * len(names)),
        valid=torch.tensor([index < len(names) - filler for index in range(len(names))]),
    )


def test_pictures_are_small_jpegs_of_real_frames() -> None:
    batch = make_batch("meld", ["a"])
    assert batch.face is not None
    assert len(pictures_of(batch, 0)) == 3
    assert all(picture.startswith("data:image/jpeg;base64,/9j/") for picture in pictures_of(batch, 0))
    assert len(jpeg_data_uri(torch.zeros(720, 1280, 3, dtype=torch.uint8).numpy())) < 4000
    assert pictures_of(replace(batch, face=None), 0) == ()
    assert pictures_of(replace(batch, frame_mask=torch.zeros(1, 5, dtype=torch.bool)), 0) == ()


class Parrot(LightningModule):
    """Answers `response` to every clip."""

    def __init__(self, response: str = "happy") -> None:
        super().__init__()
        self.layer = torch.nn.Linear(1, 1)
        self.response = response

    def test_step(self, batch: ClipBatch, batch_index: int, dataloader_idx: int = 0) -> Any:
        return [
            {
                "name": record.name,
                "corpus": record.corpus,
                "question": question,
                "response": self.response,
                "truth_labels": record.labels,
                "truth_sentiment": record.sentiment,
                "valid": bool(valid),
            }
            for record, question, valid in zip(batch.records, batch.questions, batch.valid, strict=True)
        ]

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
    corpus_file.write_text(json.dumps({"bounds": BOUNDS}))
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
    check_page(folder / "report.html")
    tags = read_tags(folder)
    assert {"test/meld", "test/mean", "test/mine"} <= set(tags["scalars"])
    assert any("test/responses" in tag for tag in tags["tensors"])
    assert benchmark.scores is not None


def read_tags(folder: Path) -> dict[str, Any]:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    accumulator = EventAccumulator(str(folder))
    accumulator.Reload()
    return accumulator.Tags()


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
    with pytest.raises(ContractError, match=r"must return a list with one dictionary a clip .* it returned Tensor"):
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


def test_provenance_leaves_out_what_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PL_GLOBAL_SEED", "17")
    provenance = collect_provenance(suite(1.0), checkpoint="a", checkpoint_rule="b")
    lines = dict(provenance_lines(provenance))
    assert (lines["seed"], lines["quarantined clips"], lines["checkpoint"]) == ("17", "none", "a")
    assert "torch" in lines["packages"]
    assert lines["metrics"] == "MELD hit rate, mine hit rate"
    monkeypatch.delenv("PL_GLOBAL_SEED")
    assert collect_provenance(suite(1.0), checkpoint="a", checkpoint_rule="b")["seed"] is None
    assert provenance_lines({}) == []
