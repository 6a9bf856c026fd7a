"""Sandbox scores of our settings and the released ones, one option at a time: the last table of docs/released.md.

    python benchmarks/released_settings.py FOLDER [--seeds 0 1 2] [--only NAME ...] [--steps 400] [--table]

Each setting trains a small model on the same generated clips from the same seeds and answers the same nine test sets.
The encoders are those of `experiments/sandbox.yaml` (EfficientNet-Lite0, prosody). The language model is random and
small (`tiny-lm`), so a run takes a minute or two; it cannot read, so no run gets the words. What the encoders give is
cached, once for each way of reading. FOLDER keeps corpus, features and `results.jsonl`, one line a run: a second start
goes on with the runs that are missing, and `--table` prints the table of what is there.

The interval is Student's over the seeds. The difference is paired: each seed's score less that of our setting with the
same seed.
"""

from __future__ import annotations

import argparse
import math
import shutil
import statistics
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from affect_lightning.command_line.program import main as affect_lightning
from affect_lightning.storage import LineLog
from affect_lightning.unibench.report.files import read_report

CLIPS, TEST_CLIPS = 480, 20  # of the training set and of each test set; those of the demo
STUDENT = {1: 12.706, 2: 4.303, 3: 3.182, 4: 2.776, 5: 2.571, 6: 2.447, 7: 2.365, 8: 2.306, 9: 2.262}  # 97.5%
# Our choice: it learns the form of a response and a drawn face within 400 steps on one core.
SMALL_MODEL = (
    *("--model.language_model", "{name: tiny-lm, hidden_width: 64, lora_rank: 32, lora_alpha: 32}"),
    *("--data.batch_size", "16", "--model.learning_rate", "5e-3", "--model.projector_learning_rate", "2e-3"),
    *("--model.stream_dropout", "0.0", "--model.max_new_tokens", "40", "--trainer.accelerator", "cpu"),
    *("--trainer.precision", "32-true"),
)


@dataclass(frozen=True)
class Setting:
    """One row.

    Attributes:
        title: In the table.
        options: Of the model, laid over those of our setting.
        reading: Options that change what the encoders see, so that they need features of their own.
        against: Name of our setting that differs from this one in the row's option alone; empty for ours themselves.
        checkpoint: Name of the setting whose training it takes, where it differs in the answers only.
        trained: Whether it trains at all.
    """

    title: str
    options: tuple[str, ...] = ()
    reading: tuple[str, ...] = ()
    against: str = "ours"
    checkpoint: str = ""
    trained: bool = True


def _model(**options: str) -> tuple[str, ...]:
    return tuple(word for name, value in options.items() for word in (f"--model.{name}", value))


def _data(**options: str) -> tuple[str, ...]:
    return tuple(word for name, value in options.items() for word in (f"--data.{name}", value))


FACE = _model(inputs="[multi, audio, face]")
FRAME = _model(inputs="[multi, audio, frame]", fused_streams="[audio, frame]")
BOTH = _model(inputs="[multi, audio, face, frame]")
FUSION = _model(pre_fusion="attention-released", fused_streams="[face, audio]")
BRANCHES = _model(branch_compression="attention-released")
PLAIN, END = _model(prompt_form="plain"), _model(response_end="###")
CONSTANT = _model(learning_rate_schedule="constant", warmup_steps="0")
SAMPLED = _model(temperature="1.0", top_p="0.9")
FIRST, BGR, DECODER = _data(frame_choice="first"), _data(face_channels="bgr"), _data(frame_scaling="decoder")

SETTINGS: dict[str, Setting] = {
    "untrained": Setting("ours, untrained", FACE, against="", trained=False),
    "ours": Setting("ours: audio and face", FACE, against=""),
    "fusion": Setting("`pre_fusion: attention-released`", FACE + FUSION),
    "branches": Setting("`branch_compression: attention-released`", FACE + BRANCHES),
    "plain": Setting("`prompt_form: plain`", FACE + PLAIN),
    "end": Setting('`response_end: "###"`', FACE + END),
    "constant": Setting("`learning_rate_schedule: constant`, no warm-up", FACE + CONSTANT),
    "first": Setting("`frame_choice: first`", FACE, FIRST),
    "bgr": Setting("`face_channels: bgr`", FACE, BGR),
    "sampled": Setting("`temperature: 1.0`, `top_p: 0.9`", FACE + SAMPLED, checkpoint="ours"),
    "released": Setting(
        "all of the above", FACE + FUSION + BRANCHES + PLAIN + END + CONSTANT + SAMPLED, reading=FIRST + BGR
    ),
    "frame": Setting("ours: audio and whole frame", FRAME, against=""),
    "decoder": Setting("`frame_scaling: decoder`", FRAME, DECODER, against="frame"),
    "both": Setting("ours: audio, face and whole frame", BOTH, against=""),
    "shared": Setting("`shared_pictures: true`", BOTH + _model(shared_pictures="true"), against="both"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what is missing, seed by seed, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="for corpus, features, runs and results.jsonl")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="seeds (default: 0 1 2)")
    parser.add_argument("--only", nargs="+", choices=SETTINGS, default=[*SETTINGS], help="settings (default: all)")
    parser.add_argument("--steps", type=int, default=400, help="training steps of 16 clips (default: %(default)s)")
    parser.add_argument("--table", action="store_true", help="print the table and run nothing")
    options = parser.parse_args(arguments)
    log = LineLog(options.folder / "results.jsonl")
    if not options.table:
        for seed in options.seeds:
            for name in options.only:
                if (name, seed, options.steps) not in scores_of(log):
                    score = Run(options.folder, name, seed, options.steps).score()
                    log.add({"setting": name, "seed": seed, "steps": options.steps, "mean": score})
    found = {(name, seed): score for (name, seed, steps), score in scores_of(log).items() if steps == options.steps}
    print(table(found))
    return 0


def scores_of(log: LineLog) -> dict[tuple[str, int, int], float]:
    """Means by setting, seed and steps."""
    return {(line["setting"], line["seed"], line["steps"]): line["mean"] for line in log.records()}


@dataclass(frozen=True)
class Run:
    """One setting with one seed."""

    folder: Path
    name: str
    seed: int
    steps: int

    def score(self) -> float:
        """Train and test; the mean over the nine sets, in percent."""
        setting = SETTINGS[self.name]
        version = f"{self.name}-{self.seed}-{self.steps}"
        shutil.rmtree(self._run(version), ignore_errors=True)  # of a start that was interrupted
        self._fill_cache(setting)
        checkpoint: tuple[str, ...] = ()
        if setting.trained:
            if not setting.checkpoint:
                _do("fit", *self._words(setting, version))
            trained = self._run(f"{setting.checkpoint or self.name}-{self.seed}-{self.steps}")
            checkpoint = ("--ckpt_path", str(trained / "checkpoints" / "last.ckpt"))
        _do("test", *self._words(setting, version), *checkpoint)
        mean = read_report(self._run(version)).rows[0].scores.mean
        assert mean is not None
        return mean

    def _fill_cache(self, setting: Setting) -> None:
        corpus = self.folder / "corpus"
        _do(
            "sandbox", *("--out", str(corpus), "--clips", str(CLIPS), "--test-clips", str(TEST_CLIPS), "--workers", "1")
        )
        streams = BOTH if not setting.reading else FRAME if DECODER[0] in setting.reading else FACE
        _do("cache", *self._base(), *SMALL_MODEL, *streams, *setting.reading, "--split", "train", "test")

    def _base(self) -> tuple[str, ...]:
        corpus = str(self.folder / "corpus")
        places = _data(train_root=corpus, benchmark_root=corpus, feature_folder=str(self.folder / "features"))
        return ("--config", "sandbox", *places)

    def _words(self, setting: Setting, version: str) -> tuple[str, ...]:
        logger = "--trainer.logger.init_args."
        return (
            *self._base(),
            *SMALL_MODEL,
            *setting.options,
            *setting.reading,
            *_data(features="cached", reading_threads="1"),
            *("--seed_everything", str(self.seed), "--model.seed", str(self.seed)),
            *("--trainer.max_steps", str(self.steps), "--trainer.enable_progress_bar", "false"),
            *(f"{logger}save_dir", str(self.folder / "runs"), f"{logger}version", version),
        )

    def _run(self, version: str) -> Path:
        return self.folder / "runs" / "sandbox" / version


def _do(*words: str) -> None:
    if affect_lightning(words) != 0:
        sys.exit(f"`affect-lightning {words[0]}` failed; its message is above. Fix that and start again.")


def interval(values: Sequence[float]) -> str:
    """Mean and Student's 95% interval; the mean alone for one value.

    >>> interval([60.0, 62.0, 64.0])
    '62.00 ± 4.97'
    """
    mean = statistics.fmean(values)
    if len(values) < 2:
        return f"{mean:.2f}"
    return f"{mean:.2f} ± {STUDENT[len(values) - 1] * statistics.stdev(values) / math.sqrt(len(values)):.2f}"


def table(found: Mapping[tuple[str, int], float]) -> str:
    """The Markdown table of what has run; a row without its counterpart has no difference.

    >>> print(table({("ours", 0): 60.0, ("ours", 1): 62.0, ("plain", 0): 61.0, ("plain", 1): 63.0}))
    | setting | seeds | mean score | less ours |
    | --- | ---: | ---: | ---: |
    | ours: audio and face | 2 | 61.00 ± 12.71 | |
    | `prompt_form: plain` | 2 | 62.00 ± 12.71 | 1.00 ± 0.00 |
    """
    lines = ["| setting | seeds | mean score | less ours |", "| --- | ---: | ---: | ---: |"]
    for name, setting in SETTINGS.items():
        scores = {seed: score for (other, seed), score in found.items() if other == name}
        if scores:
            pairs = [
                score - found[setting.against, seed]
                for seed, score in scores.items()
                if (setting.against, seed) in found
            ]
            difference = f" {interval(pairs)} " if pairs else " "
            lines.append(f"| {setting.title} | {len(scores)} | {interval([*scores.values()])} |{difference}|")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
