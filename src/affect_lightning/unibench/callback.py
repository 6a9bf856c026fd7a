"""BenchmarkCallback: collects the responses of a Lightning test, scores them and writes the report.

Paper: Section 4 and Table 2. The LightningModule only generates; extraction, scoring (`scoring`) and reporting
(`report`) happen here, once, after all processes have handed over their clips. During predict it writes the responses with
labels and sentiment (`scoring/predictions.py`). Every response is on the disk as soon as its batch is done. Several
machines can divide a test (`parts_of_test.py`).
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch.distributed
from lightning.pytorch import Callback, LightningModule, Trainer

from affect_lightning.contracts import ClipBatch, LabelExtractor, ResponseRow, run_data_of
from affect_lightning.contracts.label_checks import described
from affect_lightning.contracts.pipeline_parts import OPTIONS_KEY, DividesTest
from affect_lightning.corpora import known_sets
from affect_lightning.corpora.corpus_file import CORPUS_FILE, is_generated
from affect_lightning.errors import ConfigurationError, ContractError, DataError
from affect_lightning.metrics import Taxonomy, taxonomy_by_name
from affect_lightning.plugin_loading import PluginChoice, build_part, resolve_choice
from affect_lightning.storage import LineLog, Part
from affect_lightning.unibench.parts_of_test import FinishedTest, PartOfTest, Shown, folder_of_part, request_of_test
from affect_lightning.unibench.report.columns import installed_columns
from affect_lightning.unibench.report.content import Curve, Report, ReportRow, bound_rows, read_loss_curves
from affect_lightning.unibench.report.examples import Example, choose_examples, make_examples, pictures_of
from affect_lightning.unibench.report.files import write_report
from affect_lightning.unibench.report.provenance import collect_provenance
from affect_lightning.unibench.result_folders import GROWING_FILE, run_title
from affect_lightning.unibench.scoring.predictions import FOLDER, Prediction, refused_writing, write_predictions
from affect_lightning.unibench.scoring.set_answers import answers_by_question
from affect_lightning.unibench.scoring.set_scoring import SuiteScores, score_predictions
from affect_lightning.unibench.scoring.unread_words import DEFAULT_LIMITS, ReadingLimits

_WITHOUT_SETUP = "Pass BenchmarkCallback to the Trainer's callbacks: it was used without its setup."
_log = logging.getLogger(__name__)


RESPONSE_OPTIONS = ("label_extractor", "taxonomy")  # decide how a response is read; checkpoints and exports keep them


class BenchmarkCallback(Callback):
    """Scores the responses of `trainer.test` and writes predictions and reports into the run's folder.

    The test step returns a list of `ResponseRow`, one a clip; rows that are not valid only fill up a batch and are
    dropped.
    """

    def __init__(
        self,
        out: str | None = None,
        *,
        label_extractor: PluginChoice = "rules",
        taxonomy: str | None = None,
        examples: int = 12,
        run_name: str | None = None,
        checkpoint_rule: str | None = None,
        training_run: str | None = None,
        corpus_file: str | None = None,
        columns: Sequence[str] = (),
        warn_unread: float = DEFAULT_LIMITS.warning,
        max_unread: float = DEFAULT_LIMITS.stop,
        part: str | None = None,
    ) -> None:
        """Keep the options; nothing is loaded yet.

        Args:
            out: Folder of predictions and reports; --out for short. By default a new one for each test and prediction, in
                the folder of the checkpoint's run; in Python, the folder of the log.
            label_extractor: Plugin that turns responses into labels. The paper uses Qwen2.5 (Appendix E); `rules` is
                our choice, because it needs no weights.
            taxonomy: `builtin`, `official-2025`, `official-2026`, or the folder of an official release (the paper's
                numbers need the 2025 one). By default official-2025 if `affect-lightning taxonomy fetch` was run,
                else builtin.
            examples: Clips shown in the report; 12 is our choice.
            run_name: Name of the row; by default the last two parts of the name of the run's folder.
            checkpoint_rule: How the checkpoint was chosen, for the report; by default what the Trainer
                shows.
            training_run: Folder with the event files whose losses are shown; by default that of the checkpoint.
            corpus_file: The sandbox's corpus.json with the best possible scores; by default that in the data module's
                folder, if there is one.
            columns: Columns of the report from installed packages, by name (docs/reports.md); by default none.
            warn_unread: Percent of the true words that may be unknown without a warning; 5 is our choice.
            max_unread: Percent of the true words above which nothing is scored, because the truths were not read as they
                are meant; 50 is our choice. The responses are written in any case.
            part: Part of the test to answer, such as 2/8; --part for short. Needs `out` (docs/many_machines.md).
        """
        super().__init__()
        if examples < 0:
            raise ConfigurationError(f"examples must be 0 or more clips; got {examples}.")
        self.out = out
        self.label_extractor = label_extractor
        self.taxonomy = taxonomy
        self.examples = examples
        self.run_name = run_name
        self.checkpoint_rule = checkpoint_rule
        self.training_run = training_run
        self.corpus_file = corpus_file
        self.columns = tuple(columns)
        self.limits = ReadingLimits(warn_unread, max_unread)
        self.part = None if part is None else Part.parse(part)
        if self.part is not None and out is None:
            raise ConfigurationError("Give the folder of the whole test with --out: its parts are kept there.")
        self.scores: SuiteScores | None = None
        self._share: PartOfTest | None = None
        self._extractor: LabelExtractor | None = None
        self._taxonomy: Taxonomy | None = None
        self._predictions: list[Prediction] = []
        self._growing: LineLog | None = None
        self._shown: Shown = {}

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Build extractor and taxonomy and find columns, so that a wrong choice fails before the first clip."""
        if stage in ("test", "predict"):
            self._extractor = build_part("label_extractors", self.label_extractor)
            self._extractor.check()
        if stage == "test":
            self.prepare()
        if self.part is not None:
            self._share = self._entered(trainer, pl_module, self.part, stage)

    def prepare(self) -> None:
        """Build what scores; `setup` does it, and so must who calls `report` without a Trainer."""
        self._extractor = self._extractor or build_part("label_extractors", self.label_extractor)
        installed_columns(self.columns)
        self._taxonomy = taxonomy_by_name(self.taxonomy)

    def _entered(self, trainer: Trainer, module: LightningModule, part: Part, stage: str) -> PartOfTest:
        """Take a part of the test, and leave out what it has answered before."""
        data = getattr(trainer, "datamodule", None)
        if stage != "test" or not isinstance(data, DividesTest):
            raise ConfigurationError(
                "Leave out --part: only `test` has parts, and only with a data module whose test can be divided."
            )
        facts = request_of_test(dict(module.hparams), data.test_facts(), _weights_path(trainer), str(trainer.precision))
        share = PartOfTest(Path(str(self.out)), part, facts, is_first=trainer.is_global_zero)
        data.share_test(part.of, share.answered)
        return share

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Let others have the part."""
        if self._share is not None:
            self._share.leave()
            self._share = None

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Keep how responses are to be read and scored, for exported folders."""
        choice = resolve_choice("label_extractors", self.label_extractor)
        section = dict(zip(RESPONSE_OPTIONS, (choice, self.taxonomy), strict=True))
        checkpoint.setdefault(OPTIONS_KEY, {})["benchmark"] = section

    def on_test_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Forget an earlier test."""
        self._begin(trainer)

    def on_predict_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Forget an earlier run."""
        self._begin(trainer)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Say where the responses so far are."""
        if self._growing is not None and self._predictions and trainer.is_global_zero:
            _log.warning("%s has the responses so far, %d of this process.", self._growing.path, len(self._predictions))

    def on_test_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Keep the batch's rows, and pictures of the clips of each set that are first by name, in whatever order."""
        for index, prediction in self._keep(outputs):
            if isinstance(batch, ClipBatch) and self.examples:
                self._show(batch, index, prediction)

    def _show(self, batch: ClipBatch, index: int, prediction: Prediction) -> None:
        """Keep subtitle and pictures of a clip, unless as many clips of its set with smaller names are kept."""
        key = (prediction.corpus, prediction.name)
        kept = sorted(other for other in self._shown if other[0] == prediction.corpus)
        if len(kept) == self.examples:
            if kept[-1] < key:
                return
            del self._shown[kept[-1]]
        subtitle = batch.records[index].subtitle_english or batch.records[index].subtitle_chinese
        self._shown[key] = (subtitle, pictures_of(batch, index))
        if self._share is not None:
            self._share.show(key, *self._shown[key])

    def on_predict_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Keep the batch's rows."""
        self._keep(outputs)

    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Gather the rows of all processes, score them, write everything, and log the scores."""
        folder = self.results_folder(trainer)
        predictions = [row for rows in _gather(self._predictions) for row in rows]
        shown = {key: value for part in _gather(self._shown) for key, value in part.items()}
        data = run_data_of(trainer)
        here = [] if data is None else list(data.quarantined("test"))
        quarantined = [clip for clips in _gather(here) for clip in clips]
        if trainer.is_global_zero and self._share is not None:
            rule = self.checkpoint_rule or _checkpoint_rule(trainer)
            self._share.finish(_weights_path(trainer), rule, quarantined, _made_on(trainer))
        elif trainer.is_global_zero:
            rule = self.checkpoint_rule or _checkpoint_rule(trainer)
            curves = self._curves(trainer, folder)
            weights, made_on = _weights_path(trainer), _made_on(trainer)
            run = FinishedTest(_benchmark_root(trainer), weights, rule, curves, quarantined, made_on)
            row = self.report(run, folder, predictions, shown)
            self.scores = row.scores
            _log_scores(pl_module, row)
            _log_responses(trainer, row.examples)
        self._clear()

    def report(self, run: FinishedTest, folder: Path, predictions: Sequence[Prediction], shown: Shown) -> ReportRow:
        """Score responses; write them and the report.

        Args:
            run: The test.
            folder: For all files.
            predictions: Responses to all clips.
            shown: Clips that may become examples.
        """
        corpus_file = self._corpus_file(run.benchmark_root)
        generated = {row.corpus for row in predictions if corpus_file and is_generated(corpus_file, row.corpus)}
        marked = [replace(row, generated=row.corpus in generated) for row in predictions]
        write_predictions(folder / FOLDER, marked)
        self._end_growing(folder)
        row = self._row(run, folder, marked, shown)
        bounds = bound_rows(corpus_file) if corpus_file else ()
        write_report(Report(f"MER-UniBench: {row.name}", (row,), bounds), folder, columns=self.columns)
        return row

    def on_predict_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the responses of all processes, with the labels and the sentiment that they name."""
        folder = self.results_folder(trainer)
        predictions = [row for rows in _gather(self._predictions) for row in rows]
        if not predictions:
            raise DataError(_nothing_answered(trainer))  # in all processes, so that none waits for another
        if trainer.is_global_zero:
            if self._extractor is None:
                raise ContractError(_WITHOUT_SETUP)
            write_predictions(folder / FOLDER, predictions, answers=answers_by_question(predictions, self._extractor))
            self._end_growing(folder)
        self._clear()

    def _begin(self, trainer: Trainer) -> None:
        """Start with no response; each that comes is kept in a file that the processes share."""
        self._clear()
        folder = self.results_folder(trainer)
        if self._share is not None:
            self._shown = dict(self._share.shown)
        self._growing = None if getattr(trainer, "fast_dev_run", False) else LineLog(folder / GROWING_FILE, shared=True)

    def _end_growing(self, folder: Path) -> None:
        """The responses are whole under their final name."""
        (folder / GROWING_FILE).unlink(missing_ok=True)

    def _clear(self) -> None:
        self._predictions, self._shown = [], {}
        self._growing = None

    def _keep(self, outputs: Any) -> list[tuple[int, Prediction]]:
        """Valid rows of a batch with their position in it."""
        if not isinstance(outputs, list) or not all(isinstance(row, ResponseRow) for row in outputs):
            raise ContractError(
                f"The test or predict step must return a list of affect_lightning.contracts.ResponseRow, one for each clip; "
                f"it returned {described(outputs)}."
            )
        kept = [(index, Prediction.of_response(row)) for index, row in enumerate(outputs) if row.valid]
        self._predictions.extend(prediction for _, prediction in kept)
        if self._growing is not None and kept:
            try:
                self._growing.add(*(prediction.to_row() for _, prediction in kept))
            except OSError as error:
                raise refused_writing(error, self._growing.path) from error
        return kept

    def results_folder(self, trainer: Trainer) -> Path:
        """Folder of predictions and reports, or of a part; asks the logger, so every process must call it."""
        folder = Path(trainer.strategy.broadcast(str(self.out or trainer.log_dir or trainer.default_root_dir)))
        return folder if self.part is None else folder_of_part(folder, self.part)

    def _corpus_file(self, root: Path | None) -> Path | None:
        if self.corpus_file is not None:
            return Path(self.corpus_file)
        found = root / CORPUS_FILE if root else None
        return found if found is not None and found.is_file() else None

    def _row(self, run: FinishedTest, folder: Path, predictions: Sequence[Prediction], shown: Shown) -> ReportRow:
        if self._extractor is None or self._taxonomy is None:
            raise ContractError(_WITHOUT_SETUP)
        sets = known_sets(run.benchmark_root)
        scores = score_predictions(predictions, self._extractor, self._taxonomy, sets=sets, limits=self.limits)
        provenance = collect_provenance(
            scores,
            checkpoint=run.weights or "none: the weights in memory",
            checkpoint_rule=run.rule,
            quarantined=run.quarantined,
            generated=sorted({row.corpus for row in predictions if row.generated}),
            made_on=run.made_on,
        )
        return ReportRow(
            name=self.run_name or run_title(folder),
            scores=scores,
            provenance=provenance,
            curves=tuple(run.curves),
            examples=tuple(choose_examples(make_examples(predictions, scores, shown), self.examples)),
        )

    def _curves(self, trainer: Trainer, folder: Path) -> list[Curve]:
        """Losses of the run that made the checkpoint: its folder is above the checkpoint's."""
        for logger in trainer.loggers:
            logger.save()
        return self.curves_of(_weights_path(trainer), folder)

    def curves_of(self, path: str, folder: Path) -> list[Curve]:
        """Losses of the run that made these weights, or of the folder."""
        if self.training_run is not None:
            return read_loss_curves(self.training_run)
        candidates = list(Path(path).resolve().parents[:2]) if path else []
        return next((curves for place in [*candidates, folder] if (curves := read_loss_curves(place))), [])


def _gather(part: Any) -> list[Any]:
    """What every process has, in the order of the processes."""
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return [part]
    parts: list[Any] = [None] * torch.distributed.get_world_size()
    torch.distributed.all_gather_object(parts, part)
    return parts


def _nothing_answered(trainer: Trainer) -> str:
    data = run_data_of(trainer)
    here = [] if data is None else data.quarantined("predict")
    clips = [clip for clips in _gather(here) for clip in clips]
    named = "; ".join(f"{clip['path'] or clip['name']} ({clip['stage']}): {clip['reason']}" for clip in clips[:10])
    return f"Give clips that can be read: none of them could, so nothing was answered. {named}".rstrip()


def _benchmark_root(trainer: Trainer) -> Path | None:
    """Folder of the test sets, if the data module has one."""
    data = run_data_of(trainer)
    return None if data is None else data.benchmark_root


def _weights_path(trainer: Trainer) -> str:
    """The checkpoint, or the exported folder that the module was filled from; empty if there was neither."""
    return str(trainer.ckpt_path or getattr(trainer.lightning_module, "filled_from", ""))


def _made_on(trainer: Trainer) -> list[str]:
    """Device and number type of this process; the others of a run have the same."""
    device = trainer.strategy.root_device
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
    return [f"{name}, {trainer.precision}"]


def _checkpoint_rule(trainer: Trainer) -> str:
    if trainer.ckpt_path:
        return "the checkpoint file given for this test"
    return "the exported folder given for this test" if _weights_path(trainer) else "no checkpoint was loaded"


def _log_scores(module: LightningModule, row: ReportRow) -> None:
    scores = {f"test/{key}": score.score for key, score in row.scores.sets.items()}
    for name, value in {**scores, "test/mean": row.scores.mean}.items():
        if value is not None:
            module.log(name, value, rank_zero_only=True, batch_size=1)


def _log_responses(trainer: Trainer, examples: Sequence[Example]) -> None:
    """Show the examples as text in TensorBoard, where a logger can."""
    text = "\n\n".join(
        f"**{example.corpus} {example.name}** ({example.outcome})  \nQuestion: {example.question}  \n"
        f"Response: {example.response}  \nTruth: {example.truth}"
        for example in examples
    )
    for logger in trainer.loggers:
        add_text = getattr(getattr(logger, "experiment", None), "add_text", None)
        if text and add_text is not None:
            add_text("test/responses", text, trainer.global_step)
