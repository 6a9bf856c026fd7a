"""fit, validate, test and predict: LightningCLI over AffectGPTModule and ClipDataModule.

Adds to LightningCLI: plugins by name (`plugin_arguments.py`), one paragraph for a wrong option, the arithmetic that
suits the device (`precision: null`), and results that land next to the checkpoint they come from.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from jsonargparse import Namespace
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI, SaveConfigCallback
from lightning.pytorch.utilities.exceptions import MisconfigurationException

from affect_lightning.command_line.early_checks import mistaken_weights
from affect_lightning.command_line.experiments_command import missing_base, with_experiment_files
from affect_lightning.command_line.exported_options import check_exported_options, with_exported_options
from affect_lightning.command_line.plugin_arguments import (
    PLUGIN_OPTIONS,
    ChoiceOverride,
    installed_names,
    override_words,
    take_plugin_words,
)
from affect_lightning.command_line.predict_options import take_file_of_responses
from affect_lightning.command_line.prediction_results import finish_prediction, prediction_lines
from affect_lightning.command_line.printing import print_json
from affect_lightning.command_line.refusals import is_refusal, quiet_writers, refused, trainer_mistake
from affect_lightning.command_line.resuming import choose_strategy, find_last_checkpoint, take_starting_weights
from affect_lightning.command_line.run_folders import RunFolder, check_continuation, check_trained, is_given
from affect_lightning.command_line.terminal import silence_expected_warnings
from affect_lightning.command_line.timeline_results import with_segments
from affect_lightning.data.clip_data_module import ClipDataModule
from affect_lightning.data.reading_workers import lost_worker
from affect_lightning.describing.subtitle_callback import SubtitleCallback
from affect_lightning.errors import ConfigurationError
from affect_lightning.model.processes import gather_objects
from affect_lightning.plugin_loading import resolve_choice
from affect_lightning.training import (
    AffectGPTModule,
    LossSpikeLog,
    ResumeCheckpoint,
    RewardWatch,
    StoppedBySignal,
    TrainingMonitor,
)
from affect_lightning.training.device_execution import check_training_precision, fitting_precision
from affect_lightning.training.resume_checkpoint import keep_earlier
from affect_lightning.training.signals import StoppedAtOnce, signals_end_the_command
from affect_lightning.unibench.callback import BenchmarkCallback
from affect_lightning.unibench.report.files import read_report
from affect_lightning.unibench.report.provenance import banner_of
from affect_lightning.unibench.scoring.predictions import WritingError, write_files

SUBCOMMANDS = ("fit", "validate", "test", "predict")
# Every command knows the option, because each reads the `config.yaml` that `fit` leaves; only `fit` obeys it.
_INIT_FROM_HELP = (
    "Of fit: start from the weights of this checkpoint or exported folder, with a new optimiser, schedule and run folder. "
    "Where --ckpt_path gives a checkpoint to go on from, that one counts."
)


class RunConfigCallback(SaveConfigCallback):
    """Writes the configuration into the run folder: `config.yaml` for fit, `<stage>.yaml` for the others."""

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Write it whole, or say why not; one that a continued run had before is kept beside it.

        Raises:
            WritingError: The system refuses.
        """
        folder = trainer.log_dir  # asks all processes
        if self.already_saved or folder is None or not trainer.is_global_zero:
            return
        name = str(getattr(stage, "value", stage))  # Lightning passes an enumeration that prints as TrainerFn.TESTING
        path = Path(folder) / ("config.yaml" if name == "fit" else f"{name}.yaml")
        text = self.parser.dump(self.config, skip_none=False)
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            keep_earlier(path)
            write_files({path: text})
        self.already_saved = True


class AffectParser(LightningArgumentParser):
    """LightningCLI's parser with short errors: what is wrong and where to look, without pages of usage."""

    def error(self, message: str, ex: Exception | None = None) -> Any:
        """Raise the message as a ConfigurationError; `program.py` prints it and exits with code 2."""
        paragraph = " ".join(str(message).split())
        if lacking := re.fullmatch(
            r"the following arguments are required: (?:(?:fit|validate|test|predict)\.)?(.*?)\.?", paragraph
        ):
            raise LackingOptions(
                f"Add --{lacking[1]}, or a --config that has it: the configuration lacks this option. `affect-lightning fit "
                f"--help` lists the options."
            ) from ex
        program = self.prog.replace(" [options]", "")
        program += " fit" if " " not in program else ""
        stop = "" if paragraph.endswith((".", "?", "!")) else "."
        raise ConfigurationError(f"{paragraph}{stop} `{program} --help` lists the options.") from ex


class LackingOptions(ConfigurationError):
    """A required option is nowhere."""


class AffectCLI(LightningCLI):
    """The trainer commands. `overrides` are the plugin choices of the command line; without a `folder` nothing is written."""

    def __init__(
        self, words: Sequence[str], overrides: dict[str, ChoiceOverride], folder: RunFolder | None = None
    ) -> None:
        self._words, self._overrides = words, overrides
        self._folder = folder
        self._continues = False
        super().__init__(
            AffectGPTModule,
            ClipDataModule,
            args=with_experiment_files(words),
            save_config_callback=RunConfigCallback,
            seed_everything_default=0,
            parser_class=AffectParser,
            parser_kwargs={"prog": "affect-lightning", "default_env": False},
            trainer_defaults={"callbacks": [TrainingMonitor()]},
        )

    @staticmethod
    def subcommands() -> dict[str, set[str]]:
        """The four trainer commands."""
        known = LightningCLI.subcommands()
        return {name: known[name] for name in SUBCOMMANDS}

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add our callbacks' options, link what data must know of the model, and name the plugins in the help."""
        parser.add_lightning_class_args(BenchmarkCallback, "benchmark")
        parser.add_lightning_class_args(ModelCheckpoint, "checkpoint")
        parser.add_lightning_class_args(ResumeCheckpoint, "resume")
        parser.add_lightning_class_args(LossSpikeLog, "spikes")
        parser.add_lightning_class_args(RewardWatch, "reward_watch")
        parser.add_lightning_class_args(SubtitleCallback, "subtitles")
        parser.add_argument("--init_from", type=str | None, default=None, help=_INIT_FROM_HELP)
        parser.set_defaults({"checkpoint.auto_insert_metric_name": False})
        parser.link_arguments("model.inputs", "data.inputs")
        parser.link_arguments("model.fused_streams", "data.fused_streams")
        parser.link_arguments("model.video_encoder", "data.video_encoder")
        parser.link_arguments("model.audio_encoder", "data.audio_encoder")
        parser.link_arguments("model.stream_encoders", "data.stream_encoders")
        for action in parser._actions:
            group = PLUGIN_OPTIONS.get(str(action.dest))
            if group is not None:
                action.help = (
                    f"{action.help or ''} Installed: {', '.join(installed_names(group))}; "
                    f"--{action.dest}.help NAME shows the options of one, --{action.dest}.OPTION VALUE sets one."
                ).replace("%", "%%")

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        """Parse, with the command line's plugin choices laid over the configured ones."""
        words = list(args or [])
        try:
            if self._overrides:
                silent = [word for word in words if not word.startswith("--print_config")]
                configured = _plugin_choices(parser.parse_args(silent))
                words += override_words(self._overrides, configured)
            super().parse_arguments(parser, words)
        except LackingOptions as error:
            raise ConfigurationError(f"{missing_base(self._words)}{error}") from error
        section = self.config[self.config.subcommand]
        for option, group in PLUGIN_OPTIONS.items():
            choice = section.get(option)
            if choice is not None:
                section[option] = resolve_choice(group, choice)

    def _parse_ckpt_path(self) -> None:
        """Leave the configuration as it is: Lightning would lay the checkpoint's options over those that were given."""

    def before_instantiate_classes(self) -> None:
        """Settle what depends on the device and on the checkpoint."""
        section = self.config[self.config.subcommand]
        for part in (section.model, section.data):
            if part.seed is None:  # one seed for all that is drawn, unless a part has its own
                part.seed = int(section.seed_everything or 0)
        section.checkpoint.save_last = False  # last.ckpt is the business of `resume`
        choose_strategy(section)
        self._continues = find_last_checkpoint(section, self.config.subcommand)
        if section.trainer.precision is None:
            section.trainer.precision = fitting_precision(str(section.trainer.accelerator))
        if self._folder is not None:
            self._folder.settle(section, self.config.subcommand, continues=self._continues)

    def instantiate_classes(self) -> None:
        """Build what the configuration names; the network begins with stored weights where it is told to."""
        command = self.config.subcommand
        checkpoint = self.config[command].get("ckpt_path")
        if command != "fit" and checkpoint and Path(checkpoint).is_dir():
            check_exported_options(self._words, self.config[command], Path(checkpoint), self._overrides)
        weights = take_starting_weights(self.config[command], command)
        super().instantiate_classes()
        if weights is not None:
            self.model.start_from(weights, trains=command == "fit")

    def before_fit(self) -> None:
        """Check what can be checked before anything is written, then take the run's folder."""
        check_training_precision(self.trainer.precision)
        self.datamodule.list_clips("fit")
        section = self.config["fit"]
        if section.get("ckpt_path"):
            check_continuation(section, self.model.hparams, continues=self._continues)
        if self._folder is not None:
            self._folder.enter(self.trainer)

    def after_fit(self) -> None:
        """A training without a step is no success."""
        callbacks = self.trainer.callbacks  # type: ignore[attr-defined]
        resume = next(callback for callback in callbacks if isinstance(callback, ResumeCheckpoint))
        check_trained(self.trainer, resume.steps_done)


class ConfigurationCLI(AffectCLI):
    """Parses as `fit` does and stops there: nothing is seeded or instantiated, nothing runs."""

    @staticmethod
    def subcommands() -> dict[str, set[str]]:
        """Only `fit`: making the parsers of the others would take a second."""
        return {"fit": AffectCLI.subcommands()["fit"]}

    def _set_seed(self) -> None:
        """Seed nothing."""

    def instantiate_classes(self) -> None:
        """Build nothing."""

    def _run_subcommand(self, subcommand: str) -> None:
        """Run nothing."""


def read_configuration(words: Sequence[str]) -> Namespace:
    """What `affect-lightning fit` would run with.

    Args:
        words: Its options.

    Returns:
        The sections trainer, model, data and so on, plugin choices resolved.

    Raises:
        AffectLightningError: An option is wrong.
    """
    rest, overrides, _ = take_plugin_words(["fit", *words])
    silence_expected_warnings()
    return ConfigurationCLI(rest, overrides).config["fit"]


def _plugin_choices(config: Namespace) -> dict[str, Any]:
    section = config[config.subcommand]
    return {
        option: value.as_dict() if isinstance(value, Namespace) else value
        for option in PLUGIN_OPTIONS
        if (value := section.get(option)) is not None
    }


def run(words: Sequence[str]) -> int:
    """Run one of the trainer commands.

    Args:
        words: The command line, the command's name first.

    Raises:
        AffectLightningError: A user's mistake, in one paragraph.
    """
    words, file = take_file_of_responses(with_segments(words))
    rest, overrides, _ = take_plugin_words(_with_short_out(words))  # `program.py` has answered questions for plugins
    if mistake := mistaken_weights(rest):
        raise ConfigurationError(mistake)
    silence_expected_warnings()
    torch.set_float32_matmul_precision("high")
    as_json = "--json" in rest
    rest = with_exported_options([word for word in rest if word != "--json"])
    try:
        program = _run_to_its_end(rest, overrides)
    except (StoppedBySignal, StoppedAtOnce) as stop:
        print(f"affect-lightning: {stop}", file=sys.stderr, flush=True)
        return stop.code
    folder = _results_folder(program.trainer, program.config.subcommand)  # asks all processes
    if program.config[program.config.subcommand].benchmark.part is not None:
        return 0  # `benchmark_command.py` says that a part is done
    everywhere = gather_objects(program.datamodule.quarantined("predict"))  # asks all processes, too
    left_out = list({(clip["corpus"], clip["name"]): clip for clips in everywhere for clip in clips}.values())
    if program.trainer.is_global_zero and program.config.subcommand == "predict":
        extractor = program.config["predict"].benchmark.label_extractor
        scores = finish_prediction(
            folder, program.model.configuration, extractor, file, program.datamodule.predict_clips
        )
        result, lines = prediction_lines(folder, left_out, scores, file)
        result = {"command": "predict", "folder": str(folder), **result}
        print_json(result) if as_json else print("\n".join(lines), flush=True)
    elif program.trainer.is_global_zero:
        print_results(program.config.subcommand, folder, as_json)
    return 0


def _with_short_out(words: Sequence[str]) -> list[str]:
    """The command line with --benchmark.out in the place of --out, which is short for it.

    Raises:
        ConfigurationError: The command has no result to write there, or takes no transcriber.
    """
    option = "--out"
    if words[0] not in ("test", "predict") and is_given(words, "out"):
        raise ConfigurationError(
            f"Choose the folder of `{words[0]}` with --trainer.logger.init_args.save_dir, not --out."
        )
    if words[0] != "predict" and any(word.startswith("--subtitles.transcriber") for word in words):
        raise ConfigurationError(
            f"Leave --transcriber out: `{words[0]}` takes the subtitles of the sets. `predict` and `answer` hear them."
        )
    return [f"--benchmark.out{word[len(option) :]}" if word.partition("=")[0] == option else word for word in words]


def _run_to_its_end(words: Sequence[str], overrides: dict[str, ChoiceOverride]) -> AffectCLI:
    """Run the command; what the system or a lost worker ends becomes a sentence."""
    folder = RunFolder(words)
    with signals_end_the_command(), quiet_writers() as refusals:
        try:
            program = AffectCLI(words, overrides, folder)
        except (MisconfigurationException, ModuleNotFoundError) as error:
            mistake = trainer_mistake(error)
            if mistake is None:
                raise
            raise mistake from error
        except RuntimeError as error:
            lost = lost_worker(error, workers=False)
            if lost is None:
                raise
            raise lost from error
        except OSError as error:
            if not is_refusal(error):
                raise
            folder.discard_cut()
            raise WritingError(refused(error)) from error
        except WritingError:
            folder.discard_cut()
            raise
        finally:
            folder.release()
    if refusals:
        raise WritingError(refused(refusals[0]))
    return program


def print_results(command: str, folder: Path, as_json: bool) -> None:
    """Say what came out: the folder of a training, or the scores' report; the last line says where."""
    result: dict[str, Any] = {"command": command, "folder": str(folder)}
    if command == "test":
        report = read_report(folder)
        result["mean"] = report.rows[0].scores.mean
        result["sets"] = {key: score.score for key, score in report.rows[0].scores.sets.items()}
        result["report"], result["generated"] = str(folder / "report.html"), bool(banner_of(report))
        lines = [*filter(None, [banner_of(report)]), f"Report: {result['report']}"]
    else:
        lines = [f"Run: {folder}"]
    print_json(result) if as_json else print("\n".join(lines), flush=True)


def _results_folder(trainer: Trainer, command: str) -> Path:
    """Where the command left what it found: the callback's folder for responses and scores, else that of the log."""
    for callback in trainer.callbacks:  # type: ignore[attr-defined]
        if isinstance(callback, BenchmarkCallback) and command in ("test", "predict"):
            return callback.results_folder(trainer)
    return Path(trainer.log_dir or trainer.default_root_dir)
