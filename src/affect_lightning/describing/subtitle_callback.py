"""`predict --transcriber NAME`: clips of one's own that have no subtitle get one before the network sees them.

Paper: Section 3.1 (the prompt shows the subtitle). What was heard is written to `subtitles.jsonl` beside the responses, a
line a clip, as it comes. `subtitles.py` does the work; the command line adds this callback to every run.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

from affect_lightning.contracts import ClipBatch, Transcriber
from affect_lightning.describing.subtitles import HeardSubtitle, hear_missing
from affect_lightning.plugin_loading import PluginChoice, build_part
from affect_lightning.storage import LineLog
from affect_lightning.unibench.callback import BenchmarkCallback
from affect_lightning.unibench.scoring.predictions import refused_writing

SUBTITLE_FILE = "subtitles.jsonl"


class SubtitleCallback(Callback):
    """Gives clips without a subtitle the words of a transcriber; of predict only."""

    def __init__(self, transcriber: PluginChoice | None = None) -> None:
        """Keep the choice; nothing is loaded yet.

        Args:
            transcriber: Of predict: plugin that writes what is said in clips without a subtitle; --transcriber for
                short. By default none, and such clips are shown without one.
        """
        super().__init__()
        self.transcriber = transcriber
        self._part: Transcriber | None = None
        self._log: LineLog | None = None

    @property
    def hears_subtitles(self) -> bool:
        """Whether missing subtitles are heard; the data module then does not warn of them."""
        return self.transcriber is not None

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Build the transcriber, so that a wrong choice fails before the first clip."""
        if stage == "predict" and self.transcriber is not None:
            self._part = build_part("transcribers", self.transcriber)

    def on_predict_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Find the folder of the results; every process must ask."""
        if self._part is not None:
            folder = _results_folder(trainer)
            if trainer.is_global_zero:
                (folder / SUBTITLE_FILE).unlink(missing_ok=True)
            trainer.strategy.barrier("subtitles")
            self._log = LineLog(folder / SUBTITLE_FILE, shared=True)

    def on_predict_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """Fill the batch's missing subtitles and keep what was heard."""
        if self._part is None or not isinstance(batch, ClipBatch):
            return
        heard = hear_missing(batch, self._part)
        rows = [_row(batch, index, words) for index, words in heard.items() if bool(batch.valid[index])]
        if rows and self._log is not None:
            try:
                self._log.add(*rows)
            except OSError as error:
                raise refused_writing(error, self._log.path) from error


def _row(batch: ClipBatch, index: int, words: HeardSubtitle) -> dict[str, str]:
    record = batch.records[index]
    return {"name": record.name, "corpus": record.corpus, **words.to_row()}


def _results_folder(trainer: Trainer) -> Path:
    """Where the responses go."""
    for callback in trainer.callbacks:  # type: ignore[attr-defined]
        if isinstance(callback, BenchmarkCallback):
            return callback.results_folder(trainer)
    return Path(trainer.strategy.broadcast(str(trainer.log_dir or trainer.default_root_dir)))
