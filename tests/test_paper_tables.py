"""The paper's tables as work: the published figures, what is run, what goes on after a kill, and the mean over seeds."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from statistics import fmean

import numpy as np
import pytest
import yaml

from affect_lightning.command_line.experiments_command import shipped_files
from affect_lightning.command_line.program import main
from affect_lightning.errors import ConfigurationError, DataError
from affect_lightning.unibench.paper_tables.catalogue import GROUPS, paper_table, paper_tables
from affect_lightning.unibench.paper_tables.drawing import curves_of, draw_table
from affect_lightning.unibench.paper_tables.finished import finished_rows
from affect_lightning.unibench.paper_tables.pages import write_pages
from affect_lightning.unibench.paper_tables.processes import Starter, program_starter, work_off
from affect_lightning.unibench.paper_tables.runs import LOG, Run, runs_of, unique_runs
from affect_lightning.unibench.paper_tables.seed_means import seed_mean
from affect_lightning.unibench.report.published import published_rows
from report_cases import generated_suite

# Stands for affect-lightning: `fit` leaves a checkpoint, `test` a report with scores that depend on the seed. It notes each
# call, and a file FAIL beside the runs makes it fail.
PROGRAM = """
import json, sys
from pathlib import Path
from report_cases import generated_suite
from affect_lightning.unibench.report.content import Report, ReportRow
from affect_lightning.unibench.report.files import write_report
from affect_lightning.unibench.report.provenance import collect_provenance

words = sys.argv[1:]
value = lambda name: words[words.index(name) + 1]
of_logger = "--trainer.logger.init_args."
run = Path(value(of_logger + "save_dir")) / value(of_logger + "name") / value(of_logger + "version")
with (run.parents[2] / "calls.txt").open("a") as calls:
    calls.write(json.dumps(words) + "\\n")
fail = run.parents[2] / "FAIL"
if fail.exists() and fail.read_text() == words[0]:
    (run / "config.yaml").write_text("begun")
    sys.exit("it failed")
if words[0] == "fit":
    (run / "checkpoints").mkdir(parents=True, exist_ok=True)
    (run / "checkpoints" / "last.ckpt").write_text("weights")
else:
    seed = int(value("--seed_everything"))
    keys = ("mer2023", "mer2024", "meld", "iemocap", "cmumosi", "cmumosei", "sims", "simsv2", "ovmerdplus")
    scores = generated_suite(seed, 0.5, clips=12, corpora=keys)
    made = collect_provenance(scores, checkpoint="last", checkpoint_rule="last", seed=seed, made_on=["cpu, 32-true"])
    write_report(Report("test", (ReportRow("test", scores, made),)), run / "test" / "all-last-20260101-000000")
"""


@pytest.fixture
def start(tmp_path: Path, repository: Path, monkeypatch: pytest.MonkeyPatch) -> Starter:
    path = tmp_path / "program.py"
    path.write_text(PROGRAM, encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(repository / "tests"))
    return program_starter((sys.executable, str(path)))


def calls_of(place: Path) -> list[list[str]]:
    path = place / "calls.txt"
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []


def make_runs(place: Path, name: str = "table5", seeds: int = 2) -> dict[str, list[Run]]:
    return runs_of(paper_table(name), out=place, base=["sandbox"], seeds=range(seeds), extra=("--data.frames", "2"))


def every(runs: dict[str, list[Run]]) -> list[Run]:
    return unique_runs([run for row in runs.values() for run in row])


# --- the catalogue ---


def test_published_rows_of_table_2_are_those_of_the_leaderboard() -> None:
    theirs = {row.inputs: row for row in published_rows(["AffectGPT"])}
    for row in paper_table("table2").rows:
        of_row = theirs[row.labels[1]]
        assert row.published == {**of_row.scores, "mean": of_row.mean}


@pytest.mark.parametrize("name", ["table2", "table4", "table5"])
def test_printed_means_are_those_of_the_printed_groups(name: str) -> None:
    """The paper's last column is the mean of nine sets, of which the groups have one, four and four."""
    for row in paper_table(name).rows:
        known = row.published
        if name == "table2":
            mean = fmean(known[key] for key in GROUPS["mean"])
        else:
            mean = (known["fine-grained"] + 4 * known["basic"] + 4 * known["sentiment"]) / 9
        assert known["mean"] == pytest.approx(mean, abs=0.011)


def test_tables_name_experiments_that_exist_and_only_change_what_the_row_says() -> None:
    for table in paper_tables().values():
        assert len({row.title for row in table.rows}) == len(table.rows)
        for row in table.rows:
            assert len(row.labels) == len(table.heads)
            assert (row.words is not None) != bool(row.needs)
            for word, name in zip(row.words or (), (row.words or ())[1:], strict=False):
                if word == "--config":
                    content = yaml.safe_load(shipped_files()[name].read_text(encoding="utf-8"))
                    assert set(content) == {"trainer", "model"}
                    assert set(content["trainer"]) == {"logger"}


def test_a_run_that_tables_share_is_one_run(tmp_path: Path) -> None:
    of_tables = [run for name in ("table2", "table5", "table6") for run in every(make_runs(tmp_path, name, 1))]
    assert len(of_tables) == 3 + 3 + 7
    assert len(unique_runs(of_tables)) == 11  # the row with everything is in each


# --- the runs ---


def test_what_is_missing_is_trained_and_tested_once(tmp_path: Path, start: Starter) -> None:
    place = tmp_path / "tables"
    runs, said = every(make_runs(place)), []
    assert work_off(runs, jobs=2, say=said.append, start=start) == []
    calls = calls_of(place)
    assert sorted(call[0] for call in calls) == ["fit"] * 6 + ["test"] * 6
    assert all(run.state == "done" and run.seconds > 0 for run in runs)
    assert "none, seed 0: fit" in said
    assert any("(6 of 6)" in line for line in said)
    seventh = next(call for call in calls if "table5_qformer" in call and call[0] == "test" and "1" in call)
    assert seventh[1:9] == [
        *("--config", "sandbox", "--config", "table5_qformer", "--seed_everything", "1", "--data.frames", "2")
    ]
    assert seventh[-2:] == ["--ckpt_path", str(place / "sandbox/table5_qformer/seed1/checkpoints/last.ckpt")]
    assert work_off(runs, jobs=2, say=said.append, start=start) == []
    assert calls_of(place) == calls


@pytest.mark.parametrize("step", ["fit", "test"])
def test_a_failed_run_is_told_the_others_go_on_and_it_continues(tmp_path: Path, start: Starter, step: str) -> None:
    place = tmp_path / "tables"
    runs = every(make_runs(place, seeds=1))
    place.mkdir()
    (place / "FAIL").write_text(step, encoding="utf-8")
    failed = work_off(runs, jobs=1, say=lambda _: None, start=start)
    assert [run.title for run, _ in failed] == ["none, seed 0", "Q-Former, seed 0", "attention, seed 0"]
    reason = failed[0][1]
    assert reason == f"{step} ended with exit code 1; see {place / 'sandbox/table5_none/seed0' / LOG}"
    assert "it failed" in (runs[0].folder / LOG).read_text(encoding="utf-8")
    assert {run.state for run in runs} == {"begun" if step == "fit" else "trained"}
    (place / "FAIL").unlink()
    before = len(calls_of(place))
    assert work_off(runs, jobs=1, say=lambda _: None, start=start) == []
    steps = [call[0] for call in calls_of(place)[before:]]
    assert steps == (["fit", "test"] * 3 if step == "fit" else ["test"] * 3)


def test_a_training_with_a_checkpoint_goes_on_from_it(tmp_path: Path, start: Starter) -> None:
    place = tmp_path / "tables"
    run = every(make_runs(place, seeds=1))[0]
    run.note()
    (run.folder / "checkpoints").mkdir()
    (run.folder / "checkpoints" / "last.ckpt").write_text("half", encoding="utf-8")
    assert run.state == "begun"
    work_off([run], jobs=1, say=lambda _: None, start=start)
    assert calls_of(place)[0][-2:] == ["--ckpt_path", "last"]


def test_other_options_never_mix_with_runs_that_are_there(tmp_path: Path) -> None:
    make = {"table": paper_table("table5"), "out": tmp_path, "base": ["sandbox"], "seeds": [0]}
    first = every(runs_of(**make, extra=("--data.frames", "2")))[0]
    first.note()
    with pytest.raises(ConfigurationError, match="Choose another --out, or delete"):
        _ = every(runs_of(**make, extra=("--data.frames", "4")))[0].state
    (first.folder / "table_run.json").write_text("{", encoding="utf-8")
    with pytest.raises(DataError, match="cannot be read"):
        _ = first.state


def test_a_base_that_changes_another_comes_with_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = paper_table("table5")
    (run, *_) = every(runs_of(table, out=tmp_path, base=["affectgpt", "affectgpt_released"], seeds=[0]))
    assert run.words[:4] == ["--config", "affectgpt", "--config", "affectgpt_released"]
    assert run.folder == tmp_path / "affectgpt_released" / "table5_none" / "seed0"
    assert main(["table", "table5", "--list", "--base", "affectgpt_released", "--out", str(tmp_path)]) == 0
    assert "3 of 3 runs are missing" in capsys.readouterr().out


# --- the mean over seeds ---


def test_the_mean_is_that_of_the_seeds_and_one_seed_has_the_report_s_interval() -> None:
    suites = [generated_suite(seed, 0.5, clips=40, corpora=GROUPS["mean"]) for seed in range(3)]
    for figure in ("mean", "basic", "meld"):
        found = seed_mean(suites, figure, resamples=200)
        of_seeds = [fmean(suite.sets[key].score or 0 for key in GROUPS.get(figure, (figure,))) for suite in suites]
        assert found.value == pytest.approx(fmean(of_seeds))
        assert found.by_seed == pytest.approx(of_seeds)
        assert found.interval is not None
        assert found.interval[0] < found.value < found.interval[1]
    alone = seed_mean(suites[:1], "meld", resamples=10_000)
    assert alone.interval == pytest.approx(suites[0].sets["meld"].interval, abs=0.6)


def test_the_interval_has_the_spread_of_seeds_and_of_clips() -> None:
    """Against the variance of a mean of independent parts: s^2 / S between the seeds, and that of the clips."""
    suites = [generated_suite(seed, skill, clips=400, corpora=["meld"]) for seed, skill in enumerate((0.2, 0.5, 0.8))]
    same = [suites[1]] * 3
    low, high = seed_mean(same, "meld").interval or (0.0, 0.0)
    within = high - low  # seeds that do not differ add nothing
    alone = seed_mean(suites[1:2], "meld").interval or (0.0, 0.0)
    assert within == pytest.approx(alone[1] - alone[0], rel=0.08)
    scores = [suite.sets["meld"].score for suite in suites]
    low, high = seed_mean(suites, "meld").interval or (0.0, 0.0)
    between = np.std(scores, ddof=1) / np.sqrt(3)
    assert high - low > 2 * 1.5 * between  # three seeds draw few values, so the ends are not those of a Gaussian


def test_seeds_on_other_clips_are_refused_and_a_missing_set_has_no_mean() -> None:
    suites = [generated_suite(0, 0.5, clips=clips, corpora=["meld"]) for clips in (20, 30)]
    with pytest.raises(DataError, match="Test all seeds on the same clips of meld: they answered 20, 30"):
        seed_mean(suites, "meld")
    assert seed_mean(suites[:1], "mean").value is None
    assert seed_mean([], "meld").value is None


# --- the pages ---


def test_every_form_has_our_figures_beside_the_published_ones(tmp_path: Path, start: Starter) -> None:
    runs = make_runs(tmp_path / "tables")
    work_off(every(runs)[:-1], jobs=2, say=lambda _: None, start=start)
    table = paper_table("table5")
    rows = finished_rows(table, runs)
    files = {path.suffix: path.read_text(encoding="utf-8") for path in write_pages(table, rows, "sandbox", tmp_path)}
    assert set(files) == {".md", ".tex", ".html", ".csv"}
    suites = [generated_suite(seed, 0.5, clips=12, corpora=GROUPS["mean"]) for seed in range(2)]
    ours = f"{fmean(suite.mean or 0 for suite in suites):.2f}"
    for suffix in (".md", ".tex", ".html"):
        assert ours in files[suffix]
        assert "72.95" in files[suffix]
        assert "1 of 2 runs missing" in files[suffix]
        assert "cpu, 32-true" in files[suffix]
        assert "Seeds: 0, 1" in files[suffix]
        assert "One seed is few" in files[suffix]
    alone = finished_rows(table, make_runs(tmp_path / "tables", seeds=1))
    page = next(path for path in write_pages(table, alone, "sandbox", tmp_path / "alone") if path.suffix == ".md")
    assert "One seed tells nothing of the spread between trainings" in page.read_text(encoding="utf-8")
    head, first, *_ = files[".csv"].splitlines()
    assert "mean.ours,mean.ours.low,mean.ours.high,mean.published" in head
    assert first.startswith("none,")
    assert ",72.95,2" in first


def test_figure_10_is_drawn_over_its_frames_once_a_point_is_there(tmp_path: Path, start: Starter) -> None:
    table = paper_table("figure10")
    runs = make_runs(tmp_path / "tables", "figure10")
    some = {title: of_row for title, of_row in runs.items() if title in ("face, 2", "face, 16", "face, text, 4")}
    work_off(every(some), jobs=2, say=lambda _: None, start=start)
    rows = finished_rows(table, runs)
    assert {name: [at for at, _ in points] for name, points in curves_of(table, rows).items()} == {
        name: [2, 4, 8, 16, 32, 64] for name in ("face", "face, text")
    }
    files = {path.suffix: path for path in write_pages(table, rows, "sandbox", tmp_path)}
    assert set(files) == {".md", ".tex", ".html", ".csv", ".svg", ".png"}
    assert files[".png"].read_bytes().startswith(b"\x89PNG")
    drawn = files[".svg"].read_text(encoding="utf-8")
    for text in (">face<", ">face, text<", ">64<", "Figure 10"):
        assert text in drawn
    assert "(figure10.svg)" in files[".md"].read_text(encoding="utf-8")
    assert 'src="figure10.svg"' in files[".html"].read_text(encoding="utf-8")
    assert draw_table(table, finished_rows(table, make_runs(tmp_path / "none", "figure10")), ["note"], tmp_path) == []
    table5 = make_runs(tmp_path / "tables", "table5")
    work_off(every(table5)[:1], jobs=1, say=lambda _: None, start=start)
    assert draw_table(paper_table("table5"), finished_rows(paper_table("table5"), table5), ["note"], tmp_path) == []


# --- the command ---


def test_the_command_lists_rows_and_costs_and_needs_a_table(
    tmp_path: Path, start: Starter, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = runs_of(paper_table("table5"), out=tmp_path, base=["sandbox"], seeds=[0])
    work_off(every(runs)[:1], jobs=1, say=lambda _: None, start=start)
    assert main(["table", "table5", "--list", "--out", str(tmp_path)]) == 0
    shown = capsys.readouterr().out
    assert "2 of 3 runs are missing (about" in shown
    assert "1 done" in shown
    took = every(runs)[0].seconds / 60
    lines = [line.split() for line in shown.splitlines() if line.startswith("table5")]
    assert [line[-3] for line in lines] == [f"{took:.1f}"] * 3  # of the two that are missing, expected
    assert main(["table", "--list", "--out", str(tmp_path / "new"), "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert listed["expected_seconds"] is None
    assert {row["table"] for row in listed["rows"]} == set(paper_tables())


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "Name a table, such as table5"),
        (["tabel5"], "There is no table 'tabel5'. Did you mean 'table5'?"),
        (["table5", "--sedes", "2"], "Did you mean `--seeds`?"),
        (["table5", "--seeds", "0"], "Give --seeds 1 or more"),
        (["table5", "--base", "sandbx"], "Did you mean 'sandbox'"),
        (["table3", "--row", "MERR=--x"], "table3 has no row 'MERR'. Did you mean 'MERR-Fine'?"),
        (["table3", "--row", "MERR-Fine"], "Write --row 'ROW=OPTIONS'"),
        (["table5", "--", "--seed_everything", "3"], "Leave --seed_everything out behind `--`"),
    ],
)
def test_mistakes_are_told_before_anything_runs(
    words: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["table", *words]) == 2
    assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
