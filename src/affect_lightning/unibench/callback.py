"""BenchmarkCallback: collects the responses of a Lightning test, scores them and writes the report.

Paper: Section 4 and Table 2. The LightningModule only generates; extraction, scoring (`scoring`) and reporting
(`report`) happen here, once, after all processes have handed over their clips. During predict it only writes the
responses (`scoring/predictions.py`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch.distributed
from lightning.pytorch import Callback, LightningModule, Trainer

from affect_lightning.contracts import ClipBatch, LabelExtractor, ResponseRow, run_data_of
from affect_lightning.contracts.label_checks import described
from affect_lightning.corpora import known_sets
from affect_lightning.corpora.corpus_file import CORPUS_FILE
from affect_lightning.errors import ConfigurationError, ContractError
from affect_lightning.metrics import Taxonomy, taxonomy_by_name
from affect_lightning.plugin_loading import PluginChoice, build_part
from affect_lightning.unibench.report.columns import installed_columns
from affect_lightning.unibench.report.content import Curve, Report, ReportRow, bound_rows, read_loss_curves
from affect_lightning.unibench.report.examples import Example, choose_examples, make_examples, pictures_of
from affect_lightning.unibench.report.files import write_report
from affect_lightning.unibench.report.provenance import collect_provenance
from affect_lightning.unibench.scoring.predictions import FOLDER, Prediction, write_predictions
from affect_lightning.unibench.scoring.set_scoring import SuiteScores, score_predictions
from affect_lightning.unibench.scoring.unread_words import DEFAULT_LIMITS, ReadingLimits

ClipKey = tuple[str, str]  # corpus and name


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
    ) -> None:
        """Keep the options; nothing is loaded yet.

        Args:
            out: Folder of predictions and reports; by default the folder of the run's log.
            label_extractor: Plugin that turns responses into labels. The paper uses Qwen2.5 (Appendix E); `rules` is
                our choice, because it needs no weights.
            taxonomy: `builtin`, `official-2025`, `official-2026`, or the folder of an official release (the paper's
                numbers need the 2025 one). By default official-2025 if `affect-lightning taxonomy fetch` was run,
                else builtin.
            examples: Clips shown in the report; 12 is our choice.
            run_name: Name of the row; by default the last two parts of the folder's name.
            checkpoint_rule: How the checkpoint was chosen, for the report; by default what the Trainer
                shows.
            training_run: Folder with the event files whose losses are shown; by default that of the checkpoint.
            corpus_file: The sandbox's corpus.json with the best possible scores; by default that in the data module's
                folder, if there is one.
            columns: Columns of the report from installed packages, by name (docs/reports.md); by default none.
            warn_unread: Percent of the true words that may be unknown without a warning; 5 is our choice.
            max_unread: Percent of the true words above which nothing is scored, because the truths were not read as they
                are meant; 50 is our choice. The responses are written in any case.
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
        self.scores: SuiteScores | None = None
        self._extractor: LabelExtractor | None = None
        self._taxonomy: Taxonomy | None = None
        self._predictions: list[Prediction] = []
        self._shown: dict[ClipKey, tuple[str, tuple[str, ...]]] = {}

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Build extractor and taxonomy and find columns, so that a wrong choice fails before the first clip."""
        if stage == "test":
            installed_columns(self.columns)
            self._extractor = build_part("label_extractors", self.label_extractor)
            self._taxonomy = taxonomy_by_name(self.taxonomy)

    def on_test_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Forget an earlier test."""
        self._clear()

    def on_predict_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Forget an earlier run."""
        self._clear()

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
        if trainer.is_global_zero:
            write_predictions(folder / FOLDER, predictions)
            row = self._row(trainer, folder, predictions, shown, quarantined)
            corpus_file = self._corpus_file(trainer)
            bounds = bound_rows(corpus_file) if corpus_file else ()
            write_report(Report(f"MER-UniBench: {row.name}", (row,), bounds), folder, columns=self.columns)
            self.scores = row.scores
            _log_scores(pl_module, row)
            _log_responses(trainer, row.examples)
        self._clear()

    def on_predict_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the responses of all processes."""
        folder = self.results_folder(trainer)
        predictions = [row for rows in _gather(self._predictions) for row in rows]
        if trainer.is_global_zero:
            write_predictions(folder / FOLDER, predictions)
        self._clear()

    def _clear(self) -> None:
        self._predictions, self._shown = [], {}

    def _keep(self, outputs: Any) -> list[tuple[int, Prediction]]:
        """Valid rows of a batch with their position in it."""
        if not isinstance(outputs, list) or not all(isinstance(row, ResponseRow) for row in outputs):
            raise ContractError(
                f"The test or predict step must return a list of affect_lightning.contracts.ResponseRow, one for each clip; "
                f"it returned {described(outputs)}."
            )
        kept = [(index, Prediction.of_response(row)) for index, row in enumerate(outputs) if row.valid]
        self._predictions.extend(prediction for _, prediction in kept)
        return kept

    def results_folder(self, trainer: Trainer) -> Path:
        """Folder of predictions and reports; asks the logger, so every process must call it."""
        return Path(self.out or trainer.log_dir or trainer.default_root_dir)

    def _corpus_file(self, trainer: Trainer) -> Path | None:
        if self.corpus_file is not None:
            return Path(self.corpus_file)
        root = _benchmark_root(trainer)
        found = root / CORPUS_FILE if root else None
        return found if found is not None and found.is_file() else None

    def _row(
        self,
        trainer: Trainer,
        folder: Path,
        predictions: Sequence[Prediction],
        shown: Mapping[ClipKey, tuple[str, tuple[str, ...]]],
        quarantined: Sequence[Mapping[str, str]],
    ) -> ReportRow:
        if self._extractor is None or self._taxonomy is None:
            raise ContractError("Pass BenchmarkCallback to the Trainer's callbacks: it was used without its setup.")
        sets = known_sets(_benchmark_root(trainer))
        scores = score_predictions(predictions, self._extractor, self._taxonomy, sets=sets, limits=self.limits)
        provenance = collect_provenance(
            scores,
            checkpoint=_weights_path(trainer) or "none: the weights in memory",
            checkpoint_rule=self.checkpoint_rule or _checkpoint_rule(trainer),
            quarantined=quarantined,
        )
        return ReportRow(
            name=self.run_name or "/".join(folder.resolve().parts[-2:]),
            scores=scores,
            provenance=provenance,
            curves=tuple(self._curves(trainer, folder)),
            examples=tuple(choose_examples(make_examples(predictions, scores, shown), self.examples)),
        )

    def _curves(self, trainer: Trainer, folder: Path) -> list[Curve]:
        """Losses of the run that made the checkpoint: its folder is above the checkpoint's."""
        for logger in trainer.loggers:
            logger.save()
        if self.training_run is not None:
            return read_loss_curves(self.training_run)
        path = _weights_path(trainer)
        candidates = list(Path(path).resolve().parents[:2]) if path else []
        return next((curves for place in [*candidates, folder] if (curves := read_loss_curves(place))), [])


def _gather(part: Any) -> list[Any]:
    """What every process has, in the order of the processes."""
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return [part]
    parts: list[Any] = [None] * torch.distributed.get_world_size()
    torch.distributed.all_gather_object(parts, part)
    return parts


def _benchmark_root(trainer: Trainer) -> Path | None:
    """Folder of the test sets, if the data module has one."""
    data = run_data_of(trainer)
    return None if data is None else data.benchmark_root


def _weights_path(trainer: Trainer) -> str:
    """The checkpoint, or the exported folder that the module was filled from; empty if there was neither."""
    return str(trainer.ckpt_path or getattr(trainer.lightning_module, "filled_from", ""))


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
