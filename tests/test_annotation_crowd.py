"""`affect-lightning annotate crowd`: saved outputs vote over closed classes; on real outputs the crowd beats its members."""

from __future__ import annotations

import json
import random
import sys
from pathlib import Path
from typing import Any

import pytest

from affect_lightning.annotation.crowd import CrowdOptions, CrowdStage, accuracy_by_share
from affect_lightning.annotation.figures import draw_shares
from affect_lightning.annotation.members import Classes
from affect_lightning.annotation.tables import ClipTable, read_clip_table
from affect_lightning.annotation.votes import decide, majority
from affect_lightning.command_line.program import main
from affect_lightning.errors import ConfigurationError, DataError
from affect_lightning.metrics import taxonomy_by_name

# WAF of the majority, and of the best of the seven members, percent.
REAL = {"cmumosi": (81.52, 81.30), "cmumosei": (81.61, 80.90), "sims": (88.78, 88.49)}
MOODS = ("positive", "negative", "neutral")


def annotate_json(capsys: pytest.CaptureFixture[str], *words: object) -> dict[str, Any]:
    """The JSON of a step that must succeed."""
    capsys.readouterr()
    code = main(["annotate", *map(str, words), "--json"])
    captured = capsys.readouterr()
    assert code == 0, captured.err
    return json.loads(captured.out)


@pytest.mark.parametrize("key", REAL)
def test_the_saved_checkpoints_as_a_crowd_beat_the_best_of_them(
    reference: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], key: str
) -> None:
    words = ("--dataset", key, "--member", reference / "affectgpt_outputs" / key, "--labels", reference / "labels")
    figure, out = tmp_path / "share.svg", tmp_path / "crowd.parquet"
    found = annotate_json(capsys, "crowd", *words, "--figure", figure, "--out", out)
    crowd, best = REAL[key]
    assert found["crowd"]["waf"] == pytest.approx(crowd, abs=0.01)
    assert len(found["members"]) == 7
    assert max(member["waf"] for member in found["members"].values()) == pytest.approx(best, abs=0.01)
    accuracies = [point["accuracy"] for point in found["by_share"]]
    assert accuracies == sorted(accuracies)
    assert accuracies[-1] > accuracies[0] + 5, "the accuracy rises with the share of the votes"
    drawn = figure.read_text(encoding="utf-8")
    assert drawn.count("<use") >= len(accuracies), "a mark for each point"
    assert f"{found['crowd']['clips']:,}" in drawn
    table = read_clip_table(out)
    assert len(table) == found["clips"]
    record = table.records[-1]
    assert (record.stage, record.options["method"], record.clips) == ("crowd", "majority", len(table))
    assert set(record.columns) == {f"crowd_sentiment{end}" for end in ("", "_share", "_voters", "_probability")}
    assert all(0 < share <= 1 for share in table.column("crowd_sentiment_share"))


@pytest.mark.parametrize(("method", "documented"), [("dawid-skene", 88.78), ("mace", 87.81)])
def test_models_of_reliability_run_on_the_real_votes(
    reference: Path, capsys: pytest.CaptureFixture[str], method: str, documented: float
) -> None:
    words = (
        "--dataset",
        "sims",
        "--member",
        reference / "affectgpt_outputs" / "sims",
        "--labels",
        reference / "labels",
    )
    found = annotate_json(capsys, "crowd", *words, "--method", method, "--iterations", 30)
    # Another release of crowd-kit may end its iterations elsewhere: one clip of 388 is a quarter of a point.
    assert found["crowd"]["waf"] == pytest.approx(documented, abs=0.6)


def test_the_documented_figures_are_these(repository: Path) -> None:
    page = (repository / "docs" / "annotation.md").read_text(encoding="utf-8")
    for crowd, best in REAL.values():
        assert f"{best:.2f} | {crowd:.2f}" in page


def test_a_tie_goes_to_the_voter_named_first_and_shares_count_cast_votes() -> None:
    ballots = [
        {"a": ["sad"], "b": ["happy"], "c": []},
        {"a": ["sad", "happy"], "b": ["happy"], "c": ["happy"]},
        {"a": [], "b": [], "c": []},
    ]
    first, second, nobody = majority(ballots)
    assert (first.label, first.share, first.voters) == ("sad", 0.5, 2)
    assert (second.label, second.share, second.voters) == ("happy", pytest.approx(2.5 / 3), 3)
    assert (nobody.label, nobody.share, nobody.voters) == (None, 0.0, 0)


@pytest.mark.parametrize("method", ["dawid-skene", "mace"])
def test_a_model_of_reliability_finds_whom_to_trust(method: Any) -> None:
    """Two voters are nearly always right, three guess: the majority errs more often than the model does."""
    draw = random.Random(0)
    truth = [draw.choice(MOODS) for _ in range(300)]

    def voter(right: float) -> list[str]:
        return [mood if draw.random() < right else draw.choice(MOODS) for mood in truth]

    voters = {name: voter(right) for name, right in (("a", 0.0), ("b", 0.0), ("c", 0.0), ("d", 0.95), ("e", 0.95))}
    ballots = [{name: [votes[clip]] for name, votes in voters.items()} for clip in range(len(truth))]

    def accuracy(chosen: Any) -> float:
        verdicts = decide(ballots, MOODS, chosen, iterations=60)
        return sum(verdict.label == mood for verdict, mood in zip(verdicts, truth, strict=True)) / len(truth)

    assert accuracy(method) > 0.9 > accuracy("majority")
    found = decide(ballots, MOODS, method, iterations=60)
    assert all(verdict.probability is not None and 0 <= verdict.probability <= 1.000001 for verdict in found)
    assert found == decide(ballots, MOODS, method, iterations=60), "the same votes give the same verdicts"


def test_words_cannot_vote() -> None:
    with pytest.raises(DataError, match="'joyful' is none of positive, negative, neutral"):
        decide([{"a": ["joyful"], "b": []}], MOODS)
    table = ClipTable.of_columns({"name": ["x"], "votes.a": [["joyful"]], "votes.b": [["happy"]]})
    taxonomy = taxonomy_by_name("builtin")
    with pytest.raises(DataError, match="Map the words of a to classes first"):
        CrowdStage(CrowdOptions(over="wheel1"), Classes.named("wheel1", taxonomy)).run(table)


def test_words_become_sectors_or_classes_before_they_vote(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = {"one": ["joyful"], "two": ["cheerful", "annoyed"], "three": ["furious"]}
    files = []
    for name, labels in rows.items():
        path = tmp_path / f"{name}.jsonl"
        path.write_text(json.dumps({"name": "x", "labels": labels}) + "\n", encoding="utf-8")
        files += ["--member", path]
    found = annotate_json(
        capsys,
        "crowd",
        "--dataset",
        "mine",
        *files,
        "--over",
        "wheel1",
        "--taxonomy",
        "builtin",
        "--out",
        tmp_path / "c.parquet",
    )
    taxonomy = taxonomy_by_name("builtin")
    happy, angry = taxonomy.sector("joyful", 1), taxonomy.sector("annoyed", 1)
    assert taxonomy.sector("cheerful", 1) == happy != angry
    assert found["classes"] == {happy: 1}
    table = read_clip_table(tmp_path / "c.parquet")
    assert table.column("votes.two") == [[happy, angry]]
    assert table.column("crowd_emotion_share") == [pytest.approx(1.5 / 3)]
    assert table.records[-1].parts["taxonomy"].startswith("builtin, SHA-256")
    closed = annotate_json(
        capsys, "crowd", "--dataset", "mine", *files, "--over", "joyful,furious", "--taxonomy", "builtin"
    )
    assert closed["classes"] == {"joyful": 1}, "the second output names none of the two classes and abstains"


def test_words_of_members_that_nobody_can_read_are_told_or_stop_the_vote(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    def member(name: str, labels: list[str]) -> list[Any]:
        path = tmp_path / f"{name}.jsonl"
        path.write_text(
            "".join(json.dumps({"name": f"x{n}", "labels": word}) + "\n" for n, word in enumerate(labels)),
            encoding="utf-8",
        )
        return ["--member", path]

    asked = ["crowd", "--dataset", "mine", "--over", "happy,sad", "--taxonomy", "builtin"]
    whole = member("whole", ["happy", "sad", "happy", "sad"])
    annotate_json(capsys, *asked, *whole, *member("some", ["happy", "zzz", "happy", "sad"]))
    assert (
        "the member some: 25.0% of the given labels (1 of 4) could not be read; the commonest: 'zzz' (1)" in caplog.text
    )
    assert "whole" not in caplog.text
    caplog.clear()
    annotate_json(capsys, *asked, *whole, *member("other", ["angry", "angry", "calm", "sad"]))
    assert "The member other names no class for 3 of its 4 clips with words, such as 'angry'" in caplog.text
    words = [*asked, *whole, *member("none", ["zzz", "zzz", "yyy", "sad"])]
    assert main(["annotate", *map(str, words)]) == 2
    err = capsys.readouterr().err
    assert "Check how the given labels of the member none are written: 75% of them (3 of 4) could not be read" in err
    assert "leave this member out, or correct its file." in err
    assert "--max-unread" not in err


def test_a_table_of_votes_serves_as_well_and_small_shares_do_not_stay(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = tmp_path / "votes.csv"
    source.write_text(
        "name,votes.a,votes.b,votes.c\nx,positive,positive,negative\ny,neutral,neutral,neutral\n", "utf-8"
    )
    out = tmp_path / "crowd.parquet"
    annotate_json(capsys, "crowd", source, "--min-share", 0.9, "--out", out)
    table = read_clip_table(out)
    assert table.column("crowd_sentiment") == ["positive", "neutral"]
    assert table.column("kept.crowd") == [False, True]
    assert table.kept() == [False, True]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["crowd"], "Give a table with columns votes.NAME, or --dataset SET and --member"),
        (["crowd", "--member", "a.csv"], "Add --dataset SET"),
        (["crowd", "votes.csv", "--figure", "x.svg"], "Add --labels DIR"),
        (["crowd", "votes.csv", "--over", "happy"], "two or more classes"),
        (["crowd", "votes.csv", "--over", "wheel9"], "There is no wheel 9"),
        (["crowd", "votes.csv", "--over", "happy,zzzzz"], "Name classes that are emotion words: 'zzzzz' is none that"),
        (["crowd", "votes.csv", "--over", "happy,angy"], "Did you mean 'angry'?"),
        (
            ["crowd", "--dataset", "mine", "--member", "one.csv", "--member", "one.csv"],
            "Name each output once: --member names one.csv more than once",
        ),
        (["crowd", "votes.csv", "--out", "x.csv"], "A table of clips is a Parquet file: name it x.parquet"),
        (["crowd", "votes.csv", "--out", "there.parquet"], "Choose another name"),
        (["crowd", "one.csv"], "two or more columns votes.NAME"),
        (["crowd", "twice.csv"], "1 clips stand in more than one row: x"),
    ],
)
def test_what_is_no_crowd_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("votes.csv").write_text("name,votes.a,votes.b\nx,positive,negative\n", "utf-8")
    Path("one.csv").write_text("name,votes.a\nx,positive\n", "utf-8")
    Path("twice.csv").write_text("name,votes.a,votes.b\nx,positive,negative\nx,positive,negative\n", "utf-8")
    Path("there.parquet").write_text("", "utf-8")
    assert main(["annotate", *words]) == 2
    assert message in capsys.readouterr().err


def test_the_majority_needs_no_crowd_kit_and_the_others_say_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "crowdkit", None)
    monkeypatch.setitem(sys.modules, "crowdkit.aggregation", None)
    ballots = [{"a": ["positive"], "b": ["positive"]}]
    assert decide(ballots, MOODS)[0].label == "positive"
    with pytest.raises(ConfigurationError, match=r"affect-lightning\[annotate\]"):
        decide(ballots, MOODS, "mace")
    with pytest.raises(ConfigurationError, match="A crowd decides by majority, dawid-skene, mace"):
        decide(ballots, MOODS, "borda")  # type: ignore[arg-type]


def test_a_table_without_pyarrow_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ConfigurationError, match=r"needs pyarrow.*affect-lightning\[annotate\]"):
        ClipTable.of_columns({"name": ["x"]})


def test_records_of_earlier_stages_stay(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = tmp_path / "votes.csv"
    source.write_text("name,votes.a,votes.b,description\nx,positive,positive,one\ny,neutral,neutral,one two\n", "utf-8")
    annotate_json(capsys, "length", source, "--out", tmp_path / "one.parquet", "--low", 0, "--high", 0)
    annotate_json(capsys, "crowd", tmp_path / "one.parquet", "--out", tmp_path / "two.parquet")
    records = read_clip_table(tmp_path / "two.parquet").records
    assert [record.stage for record in records] == ["clips", "length", "clips", "crowd"]
    assert records[2].parts["clips"].startswith("one.parquet, SHA-256 ")


def test_shares_are_bounds_from_below() -> None:
    points = accuracy_by_share([True, False, True, None], [1.0, 4 / 7, 4 / 7, 1.0], [0.0, 4 / 7, 0.6])
    assert points == [(0.0, pytest.approx(200 / 3), 3), (4 / 7, pytest.approx(200 / 3), 3), (0.6, 100.0, 1)]


def test_a_figure_takes_any_name_and_is_the_same_each_time(tmp_path: Path) -> None:
    for number in (1, 2):
        draw_shares(tmp_path / f"{number}.svg", {"my $set$ <&>": [(0.0, 81.4, 656), (0.6, None, 0), (1.0, 90.4, 426)]})
    drawn = (tmp_path / "1.svg").read_text(encoding="utf-8")
    assert drawn == (tmp_path / "2.svg").read_text(encoding="utf-8")
    assert "my $set$ &lt;&amp;&gt;" in drawn
    with pytest.raises(ConfigurationError, match=r"must end in .svg, .png, .pdf"):
        draw_shares(tmp_path / "3.gif", {})
