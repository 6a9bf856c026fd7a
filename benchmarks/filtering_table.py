"""The shape of Table 4 on the sandbox: does a model gain from the filters, and from more than from fewer clips?

    affect-lightning sandbox --out sandbox-raw --clips 1 --test-clips 60 --raw-clips 300
    affect-lightning annotate --config annotate_planted
    affect-lightning sandbox --out sandbox-tests --clips 1 --seed 1
    python benchmarks/filtering_table.py runs/annotate_planted --corpus sandbox-raw --tested-on sandbox-tests --out filtering

TABLE is the last table of the pipeline (or the folder of its tables), with columns `labels` and `kept.STAGE`. Three training
sets are made of it: `unfiltered` has every clip, `filtered` those that all filters keep, and `random` as many clips as
`filtered`, drawn from all of them with the seed of the training. The labels are those that the extractor read from the
descriptions, so a wrong description gives wrong labels. A clip without a label cannot be trained on, and is in none of the sets.
The model is that of the demo with fewer steps, the same number for each set; features are cached once. Each model is tested on
the nine sets of a second corpus, because the crowd of the pipeline has learnt from those of the first. Means and differences
have 95% intervals of Student over the seeds, so three seeds give wide ones; the differences of one seed have paired bootstrap
intervals over the test clips. A run of the same training set that is there already is not made again.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import random
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from annotate_faults import last_table, read_faults  # benchmarks/annotate_faults.py beside this file

from affect_lightning.annotation.tables import ClipTable, read_clip_table
from affect_lightning.command_line.printing import print_json
from affect_lightning.command_line.program import main as command
from affect_lightning.command_line.terminal import format_table
from affect_lightning.errors import AffectLightningError, DataError
from affect_lightning.sandbox.layouts import places_of, write_csv
from affect_lightning.sandbox.priors import RAW_CLIPS, TRAINING_SET
from affect_lightning.sandbox.raw_clips import TRUTH_TABLE
from affect_lightning.unibench.report.files import compare_runs, read_report
from affect_lightning.unibench.result_folders import newest_result

ARMS = ("unfiltered", "filtered", "random")
STUDENT_95 = {2: 12.706, 3: 4.303, 4: 3.182, 5: 2.776}  # two-sided 95% by number of seeds: n - 1 degrees of freedom


@dataclass(frozen=True)
class Plan:
    """What is trained on what.

    Attributes:
        corpus: The sandbox with raw clips.
        tested_on: A sandbox whose nine sets test the models.
        out: Folder of the training sets, the features and the runs.
        steps: Of each training.
    """

    corpus: Path
    tested_on: Path
    out: Path
    steps: int

    def words(self, arm: str) -> list[str]:
        """Options that `cache`, `fit` and `test` share."""
        roots = ["--data.train_root", str(self.out / "sets" / arm), "--data.benchmark_root", str(self.tested_on)]
        return ["--config", "sandbox", *roots, "--data.feature_folder", str(self.out / "features")]


def arms_of(table: ClipTable, seeds: Sequence[int]) -> dict[str, list[str]]:
    """Names of the clips of each training set; a set `random-SEED` for each seed.

    Raises:
        DataError: The filters drop nothing, or everything.
    """
    labels = table.column("labels")
    usable = [name for name, words in zip(table.names, labels, strict=True) if words]
    stays = dict(zip(table.names, table.kept(), strict=True))
    filtered = [name for name in usable if stays[name]]
    if not 0 < len(filtered) < len(usable):
        raise DataError(
            f"The filters keep {len(filtered)} of {len(usable)} clips with a label: nothing can be compared."
        )
    drawn = {
        f"random-{seed}": sorted(random.Random(f"{seed}/random subset").sample(usable, len(filtered))) for seed in seeds
    }
    return {"unfiltered": usable, "filtered": filtered, **drawn}


def write_training_set(root: Path, names: Sequence[str], table: ClipTable, corpus: Path) -> str:
    """Write clips in the layout of MER-Caption+, with links to their media; returns a digest of what is learnt."""
    places, raw = places_of(root, TRAINING_SET.key), places_of(corpus, RAW_CLIPS)
    rows = {name: place for place, name in enumerate(table.names)}
    subtitles, labels, texts = (table.column(column) for column in ("subtitle", "labels", "description"))
    for name in names:
        for link, media in zip(places.media_of(name), raw.media_of(name), strict=True):
            link.parent.mkdir(parents=True, exist_ok=True)
            if not link.exists():
                os.link(media.resolve(), link)
    write_csv(places.subtitles, ("name", "chinese", "english"), ((name, "", subtitles[rows[name]]) for name in names))
    write_csv(places.labels, ("name", "openset"), ((name, str(list(labels[rows[name]]))) for name in names))
    reasons = places.folder / str(TRAINING_SET.description_file)
    write_csv(reasons, ("name", "reason"), ((name, texts[rows[name]]) for name in names))
    learnt = places.labels.read_bytes() + places.subtitles.read_bytes()
    return hashlib.sha256(learnt).hexdigest()[:8]


def run(plan: Plan, name: str, digest: str, seed: int) -> Path:
    """Train and test one model on a training set; returns the folder of the run."""
    version = f"{name}-{digest}-seed{seed}-{plan.steps}"
    logger = "--trainer.logger.init_args"
    words = [
        *plan.words(name),
        *("--data.features", "cached", "--seed_everything", str(seed), "--trainer.max_steps", str(plan.steps)),
        *(f"{logger}.save_dir", str(plan.out / "runs"), f"{logger}.name", "filtering", f"{logger}.version", version),
    ]
    folder = plan.out / "runs" / "filtering" / version
    last = folder / "checkpoints" / "last.ckpt"
    if not last.exists():
        _do("fit", *words)
    if not list(folder.rglob("report.json")):
        _do("test", *words, "--ckpt_path", str(last))
    return folder


def _do(*words: str) -> None:
    code = command(words)
    if code != 0:
        raise AffectLightningError(f"`affect-lightning {' '.join(words)}` ended with exit code {code}.")


def student_interval(values: Sequence[float]) -> tuple[float, float] | None:
    """95% interval of a mean over seeds; None for one seed, or more than the table of quantiles has."""
    if len(values) not in STUDENT_95:
        return None
    half = STUDENT_95[len(values)] * stdev(values) / len(values) ** 0.5
    return mean(values) - half, mean(values) + half


def compared(folders: Mapping[tuple[str, int], Path], seeds: Sequence[int]) -> dict[str, Any]:
    """Means of the arms and differences to `filtered`, over the seeds and by seed."""
    means: dict[str, list[float]] = {arm: [] for arm in ARMS}
    by_seed = []
    for seed in seeds:
        with tempfile.TemporaryDirectory() as unused:
            place = Path(unused) / "comparison"
            compare_runs([newest_result(folders[arm, seed]) for arm in ARMS], place, names=list(ARMS))
            report = read_report(place, outcomes=True)
        for row in report.rows:
            if row.scores.mean is None:
                raise DataError(f"{folders[row.name, seed]} has no mean: a set is missing.")
            means[row.name].append(row.scores.mean)
        by_seed.append({"seed": seed, "tests": [test.to_json() for test in report.tests if test.key == "mean"]})
    differences = {
        f"filtered - {other}": [a - b for a, b in zip(means["filtered"], means[other], strict=True)]
        for other in ("unfiltered", "random")
    }
    return {
        "means": {
            arm: {"values": values, "mean": mean(values), "interval": student_interval(values)}
            for arm, values in means.items()
        },
        "differences": {
            name: {"values": values, "mean": mean(values), "interval": student_interval(values)}
            for name, values in differences.items()
        },
        "paired_bootstrap_by_seed": by_seed,
    }


def wrong_share(names: Sequence[str], faults: Mapping[str, str]) -> float:
    """Share of the clips whose description is another clip's."""
    return sum(faults[name] == "wrong_description" for name in names) / len(names)


def main(arguments: Sequence[str] | None = None) -> int:
    """Make the training sets, cache, train, test and compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", type=Path, help="last table of the pipeline, or the folder of its tables")
    parser.add_argument("--corpus", type=Path, required=True, help="sandbox corpus with raw clips")
    parser.add_argument("--tested-on", type=Path, required=True, help="sandbox corpus of another seed, for the tests")
    parser.add_argument("--out", type=Path, required=True, help="folder for training sets, features and runs")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="of the trainings (default: 0 1 2)")
    parser.add_argument("--steps", type=int, default=120, help="of each training (default: 120, our choice)")
    parser.add_argument("--json", action="store_true", help="print one JSON object to standard output")
    options = parser.parse_args(arguments)
    plan = Plan(options.corpus, options.tested_on, options.out, options.steps)
    try:
        table = read_clip_table(last_table(options.table))
        sets = arms_of(table, options.seeds)
        digests = {
            arm: write_training_set(plan.out / "sets" / arm, names, table, plan.corpus) for arm, names in sets.items()
        }
        _do("cache", *plan.words("unfiltered"), "--split", "train", "test")
        folders = {
            (arm, seed): run(plan, name, digests[name], seed)
            for seed in options.seeds
            for arm in ARMS
            for name in [f"{arm}-{seed}" if arm == "random" else arm]
        }
        content = compared(folders, options.seeds)
        faults = read_faults(plan.corpus / TRUTH_TABLE)
    except AffectLightningError as error:
        print(error, file=sys.stderr)
        return 2
    content["sets"] = {arm: {"clips": len(names), "wrong": wrong_share(names, faults)} for arm, names in sets.items()}
    print_json(content) if options.json else print(_text(content))
    return 0


def _text(content: Mapping[str, Any]) -> str:
    rows = []
    for arm, figures in content["means"].items():
        some = [values for name, values in content["sets"].items() if name.split("-")[0] == arm]
        wrong = mean(values["wrong"] for values in some)
        rows.append([arm, str(some[0]["clips"]), f"{100 * wrong:.1f}%", *_cells(figures)])
    rows.extend([name, "", "", *_cells(figures)] for name, figures in content["differences"].items())
    return format_table(("training set", "clips", "wrong", "mean", "95% interval", "by seed"), rows, right=(1, 2, 3))


def _cells(figures: Mapping[str, Any]) -> list[str]:
    interval = figures["interval"]
    told = "-" if interval is None else f"[{interval[0]:.2f}, {interval[1]:.2f}]"
    return [f"{figures['mean']:.2f}", told, ", ".join(f"{value:.2f}" for value in figures["values"])]


if __name__ == "__main__":
    sys.exit(main())
