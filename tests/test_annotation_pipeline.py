"""`affect-lightning annotate --config`: stages in their order, parts, resumption, and tables larger than memory."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from affect_lightning.annotation import chunked_tables, pipeline
from affect_lightning.annotation.chunked_tables import ClipSource, write_pieces
from affect_lightning.annotation.lengths import LengthOptions, LengthStage
from affect_lightning.annotation.pipeline import Pipeline
from affect_lightning.annotation.stages import Stage
from affect_lightning.annotation.tables import ClipTable, check_names, read_clip_table, write_clip_table
from affect_lightning.command_line.program import main
from affect_lightning.errors import ConfigurationError, DataError
from affect_lightning.storage import Part, PartError
from annotation_cases import asked_server, raw_clips, written_config
from language_model_server import refuse, serving

WORDS = ("happy", "sad", "angry")
FILTERS: list[Any] = ["length", {"crowd": {"over": "happy,sad,angry"}}, {"agree": {"rule": "E", "taxonomy": "builtin"}}]


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunked_tables, "ROWS", 4)
    monkeypatch.setattr(pipeline, "ROWS", 4)
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)


def described(path: Path, count: int = 11) -> Path:
    """Descriptions of different lengths, with the votes of two voters; the last ones have no second vote."""
    lines = ["name,description,votes.one,votes.two"]
    for number in range(count):
        text = "She is " + " and ".join(["very " * number + WORDS[number % 3]] * 2)
        second = "" if number > count - 4 else WORDS[number % 2]
        lines.append(f"c{number:02},{text},{WORDS[number % 3]},{second}")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def annotating(config: Path, *more: str) -> list[str]:
    return ["annotate", "--config", str(config), *more]


def tables(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.glob("*.parquet"))}


def test_stages_in_their_order_each_with_a_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = written_config(tmp_path / "c.yaml", described(tmp_path / "d.csv"), tmp_path / "out", FILTERS)
    assert main(annotating(config, "--json")) == 0
    captured = capsys.readouterr()
    told = json.loads(captured.out)["stages"]
    assert [one["stage"] for one in told] == ["clips", "length", "crowd", "agree"]
    assert [one["clips"] for one in told] == [11] * 4
    assert "length: 11 clips, 9 stay, " in captured.err
    assert sorted(tables(tmp_path / "out")) == [
        "00_clips.parquet", "01_length.parquet", "02_crowd.parquet", "03_agree.parquet",
    ]  # fmt: skip
    assert not list((tmp_path / "out").glob(".*.work")), "nothing half done is left"
    last = read_clip_table(tmp_path / "out" / "03_agree.parquet")
    assert [record.stage for record in last.records] == ["clips", "length", "crowd", "agree"]
    assert last.records[1].columns == ("length", "kept.length")
    assert last.records[1].time == "2023-11-14T22:13:20Z"
    # The same as one stage after the other, in memory.
    alone = LengthStage(LengthOptions()).run(read_clip_table(tmp_path / "d.csv"))
    assert last.column("length") == alone.column("length")
    assert last.column("kept.length") == alone.column("kept.length")
    assert sum(last.kept()) == told[-1]["kept"]


def test_what_is_there_is_taken_and_what_differs_is_never_replaced(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clips, out = described(tmp_path / "d.csv"), tmp_path / "out"
    config = written_config(tmp_path / "c.yaml", clips, out, FILTERS[:2])
    assert main(annotating(config)) == 0
    before = tables(out)
    written_config(config, clips, out, FILTERS)
    capsys.readouterr()
    assert main(annotating(config, "--json")) == 0
    captured = capsys.readouterr()
    assert [one["was_there"] for one in json.loads(captured.out)["stages"]] == [True, True, True, False]
    assert "length: 11 clips, 9 stay, was there already" in captured.err
    assert {name: content for name, content in tables(out).items() if name in before} == before
    written_config(config, clips, out, [{"length": {"low": 0.1}}, *FILTERS[1:]])
    assert main(annotating(config)) == 2
    said = capsys.readouterr().err
    assert "01_length.parquet away: the table is there, but of other clips or options" in said
    assert "low of length was 0.025 and is 0.1" in said
    clips.write_text(clips.read_text(encoding="utf-8").replace("very", "so"), encoding="utf-8")
    written_config(config, clips, out, FILTERS)
    assert main(annotating(config)) == 2
    assert "(the clips differ)" in capsys.readouterr().err
    assert {name: content for name, content in tables(out).items() if name in before} == before


@pytest.mark.parametrize("count", [2, 3])
def test_parts_merge_to_the_bytes_of_one(tmp_path: Path, capsys: pytest.CaptureFixture[str], count: int) -> None:
    clips = described(tmp_path / "d.csv")
    order = [FILTERS[1], FILTERS[2], FILTERS[0]]  # the lengths need all clips at once
    one = written_config(tmp_path / "one.yaml", clips, tmp_path / "one", order)
    several = written_config(tmp_path / "several.yaml", clips, tmp_path / "several", order)
    assert main(annotating(one)) == 0
    for number in reversed(range(1, count + 1)):
        assert main(annotating(several, "--part", f"{number}/{count}", "--json")) == 0
        told = json.loads(capsys.readouterr().out.splitlines()[-1])
        assert [stage["stage"] for stage in told["stages"]] == ["clips", "crowd", "agree"]
        if number > 1:
            assert main(annotating(several, "--merge")) == 2
            assert "1/" in capsys.readouterr().err
            assert main(annotating(several)) == 2
            assert "Add --merge to join the parts" in capsys.readouterr().err
    assert main(annotating(several, "--merge")) == 0
    assert tables(tmp_path / "several") == tables(tmp_path / "one")
    assert not (tmp_path / "several" / "parts").exists()
    assert main(annotating(several, "--merge")) == 0, "a second merge finds everything done"
    assert tables(tmp_path / "several") == tables(tmp_path / "one")


def test_descriptions_in_three_parts_side_by_side_are_those_of_one_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clips, cues = described(tmp_path / "d.csv"), tmp_path / "cues.csv"
    texts = [f"c{number:02},The voice number {number} trembles." for number in range(11)]
    texts[6] = 'c06,"I\'m sorry, but I cannot determine the emotions of a person."'
    cues.write_text("\n".join(["name,response", *texts]) + "\n", encoding="utf-8")
    imported = ("--audio", "import", "--audio.file", str(cues), "--visual", "none", "--max-bad-share", "0.5")

    def command(out: str, *more: str) -> list[str]:
        return ["annotate", "describe", "--clips", str(clips), "--out", str(tmp_path / out), *imported, *more]

    assert main(command("one.parquet")) == 0
    for part in ("2/3", "3/3", "1/3"):
        assert main(command("three.parquet", "--part", part)) == 0
        assert not (tmp_path / "three.parquet").exists()
    assert main(command("three.parquet", "--merge")) == 0
    assert (tmp_path / "three.parquet").read_bytes() == (tmp_path / "one.parquet").read_bytes()
    table = read_clip_table(tmp_path / "one.parquet")
    assert table.column("kept.describe") == [number != 6 for number in range(11)]
    assert table.column("problem.describe")[6].startswith("audio cues: refused 2 times")
    assert [record.clips for record in table.records] == [11, 11]


def test_what_cannot_be_divided(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clips = described(tmp_path / "d.csv", 2)
    config = written_config(tmp_path / "c.yaml", clips, tmp_path / "out", ["length"])
    assert main(annotating(config, "--part", "1/2")) == 2
    assert "Leave --part out: the stage length looks at all clips at once" in capsys.readouterr().err
    config = written_config(tmp_path / "c.yaml", clips, tmp_path / "out", [FILTERS[1]])
    assert main(annotating(config, "--part", "1/3")) == 2
    assert "Use 2 parts or fewer: there are 2 clips, and this is 1/3." in capsys.readouterr().err


def test_an_export_stands_last_and_is_written_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clips, out = described(tmp_path / "d.csv"), tmp_path / "out"
    export = {"export": {"format": "jsonl", "title": "Mine", "taxonomy": "builtin"}}
    config = written_config(tmp_path / "c.yaml", clips, out, [*FILTERS, export])
    assert main(annotating(config, "--json")) == 0
    told = json.loads(capsys.readouterr().out)["stages"][-1]
    assert (told["stage"], told["was_there"]) == ("export", False)
    folder = out / "04_export"
    written = json.loads((folder / "export.json").read_text(encoding="utf-8"))
    assert (written["table"], written["clips"], written["statements"]["title"]) == (11, told["kept"], "Mine")
    assert (folder / "datasheet.md").is_file()
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert main(annotating(config, "--json")) == 0
    assert json.loads(capsys.readouterr().out)["stages"][-1]["was_there"]
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
    export["export"]["title"] = "Another"
    assert main(annotating(written_config(config, clips, out, [*FILTERS, export]))) == 2
    assert "a stage export of other clips, stages or options was begun" in capsys.readouterr().err
    assert main(annotating(written_config(config, clips, out, [export, *FILTERS]))) == 2
    assert "Put export last: the stage length stands behind it." in capsys.readouterr().err
    assert main(annotating(written_config(config, clips, tmp_path / "o", ["length", {"export": {"format": "x"}}]))) == 2
    assert "Choose the format of the export from" in capsys.readouterr().err
    (tmp_path / "p" / "02_export").mkdir(parents=True)
    config = written_config(tmp_path / "c.yaml", clips, tmp_path / "p", ["length", "export"])
    assert main(annotating(config)) == 2
    assert "it is there, and no pipeline has written it" in capsys.readouterr().err


class _Stumbling(Stage[LengthOptions]):
    """Fails once at a clip, and counts the clips that it has seen."""

    name = "stumbling"

    def __init__(self, at: str) -> None:
        super().__init__(LengthOptions())
        self.at, self.seen = at, []  # type: ignore[var-annotated]

    def columns_of(self, table: ClipTable) -> dict[str, Sequence[Any]]:
        self.seen += table.names
        if self.at in table.names:
            self.at = ""
            raise DataError("the model has gone away")
        return {"seen": [None if name < "c05" else name for name in table.names]}


def test_a_stage_goes_on_after_the_last_whole_piece(tmp_path: Path) -> None:
    stage = _Stumbling("c06")
    work = Pipeline(ClipSource(described(tmp_path / "d.csv")), [stage], tmp_path / "out")
    with pytest.raises(DataError, match="gone away"):
        work.run()
    assert stage.seen == [f"c{number:02}" for number in range(8)]
    stage.seen.clear()
    done = work.run()
    assert stage.seen == [f"c{number:02}" for number in range(4, 11)]
    table = read_clip_table(done[-1].path)
    assert table.column("seen") == [None] * 5 + [f"c{number:02}" for number in range(5, 11)], (
        "also where a piece has none"
    )
    # What was begun under other options is not taken.
    other = Pipeline(ClipSource(tmp_path / "d.csv"), [_Stumbling("c01")], tmp_path / "other")
    with pytest.raises(DataError):
        other.run()
    (tmp_path / "other" / ".01.work" / "request").write_text("another", encoding="utf-8")
    with pytest.raises(ConfigurationError, match="a stage stumbling of other clips, stages or options was begun"):
        other.run()


def test_a_part_with_other_options_is_named_at_the_merge(tmp_path: Path) -> None:
    source = ClipSource(described(tmp_path / "d.csv"))
    one, other = _Stumbling(""), _Stumbling("")
    other.options = LengthOptions(low=0.2)
    Pipeline(source, [one], tmp_path / "out").run_part(Part(1, 2))
    Pipeline(source, [other], tmp_path / "out").run_part(Part(2, 2))
    with pytest.raises(PartError, match="2/2 was made with other options or clips"):
        Pipeline(source, [one], tmp_path / "out").merge()


def test_a_dry_run_asks_nothing_and_learns_from_what_is_done(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clips, out = raw_clips(tmp_path / "raw", 6), tmp_path / "out"
    with serving(lambda prompt, earlier: "x" * 40) as server:
        asked = asked_server(server.base_url, concurrency=1)
        stages: list[Any] = [{"describe": {"audio": asked, "visual": "none", "batch_size": 1}}, "length"]
        config = written_config(tmp_path / "c.yaml", clips, out, stages)
        assert main(annotating(config, "--dry-run", "--json")) == 0
        first, second = json.loads(capsys.readouterr().out)["stages"]
        assert first == {
            "stage": "describe", "clips": 6, "requests": {"audio cues": 6, "description": 6}, "answer_tokens": None,
            "seconds": None,
        }  # fmt: skip
        assert (second["clips"], second["requests"], second["seconds"]) == (6, {}, None)
        assert not out.exists()
        assert server.prompts == []
        assert main(annotating(config, "--dry-run")) == 0
        assert "unknown" in capsys.readouterr().out
        server.behaviour = lambda prompt, earlier: "x" * 40 if len(server.prompts) < 6 else refuse(400, "too long")
        assert main(annotating(config)) == 2
        capsys.readouterr()
        server.prompts.clear()
        assert main(annotating(config, "--dry-run", "--json")) == 0
        first, second = json.loads(capsys.readouterr().out)["stages"]
        assert server.prompts == []
        assert (first["clips"], first["requests"]) == (2, {"audio cues": 1, "description": 2})
        assert second["clips"] == 6
        server.behaviour = lambda prompt, earlier: "x" * 40
        assert main(annotating(config)) == 0
        assert len(server.prompts) == 1, "five were there"
        capsys.readouterr()
        assert main(annotating(config, "--dry-run", "--json")) == 0
        assert [one["clips"] for one in json.loads(capsys.readouterr().out)["stages"]] == [0, 0]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("stages: [length]\n", "Set `clips` in"),
        ("clips: x.csv\nout: o\nstage: [length]\n", "unknown key 'stage'. Did you mean 'stages'?"),
        ("clips: x.csv\nout: o\nstages: length\n", "`stages` must be a list of stages"),
        ("clips: x.csv\nout: o\nstages: [{length: {}, agree: {}}]\n", "one name with its options"),
        ("clips: x.csv\nout: o\nstages: [{length: 3}]\n", "The options of the stage length must be a mapping; got 3"),
        ("clips: x.csv\nout: o\nstages: [lenght]\n", "There is no stage 'lenght'. Did you mean 'length'?"),
        (
            "clips: x.csv\nout: o\nstages: [{length: {lo: 1}}]\n",
            "The stage length has no option 'lo'. Did you mean 'low'?",
        ),
        ("clips: x.csv\nout: o\nstages: [{length: {low: much}}]\n", "Correct the options of the stage length"),
        ("clips: x.csv\nout: o\nstages: [{agree: {extractor: rulez}}]\n", "Did you mean 'rules'?"),
        ("clips: x.csv\nout: o\nstages: [length]\n", "there is nothing at x.csv"),
    ],
)
def test_configurations_that_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, content: str, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "c.yaml").write_text(content, encoding="utf-8")
    assert main(annotating(tmp_path / "c.yaml")) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "o").exists()


def test_the_configuration_in_the_help_is_right(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["annotate", "--help"]) == 0
    shown = capsys.readouterr().out
    example = shown[shown.index("  clips: raw") : shown.index("\n\nEach stage writes")]
    config = tmp_path / "c.yaml"
    config.write_text(example, encoding="utf-8")
    clips = raw_clips(tmp_path / "raw", 2)
    assert main(annotating(config, "--clips", str(clips), "--out", str(tmp_path / "out"), "--dry-run", "--json")) == 0
    assert [one["stage"] for one in json.loads(capsys.readouterr().out)["stages"]] == ["describe", "length", "agree"]
    assert main(["annotate", "--confg", "x"]) == 2
    assert "Did you mean `--config`?" in capsys.readouterr().err


# --- tables in pieces ---


def test_equal_rows_are_equal_bytes_whatever_pieces_they_came_in(tmp_path: Path) -> None:
    columns = {
        "name": [f"c{number}" for number in range(11)],
        "words": [[], *[["a"]] * 10],
        "text": [None] * 9 + ["x", "y"],
    }
    for cuts in ([0, 11], [0, 1, 5, 11], [0, 9, 11]):
        pieces = []
        for low, high in pairwise(cuts):
            piece = tmp_path / f"{cuts}-{low}.parquet"
            write_clip_table(piece, ClipTable.of_columns({name: cells[low:high] for name, cells in columns.items()}))
            pieces.append(piece)
        write_pieces(tmp_path / f"whole-{len(cuts)}.parquet", pieces, [])
    whole = [(tmp_path / f"whole-{count}.parquet").read_bytes() for count in (2, 3, 4)]
    assert whole[0] == whole[1] == whole[2]
    assert read_clip_table(tmp_path / "whole-2.parquet").column("words") == columns["words"]


def test_names_that_come_twice_in_different_pieces_are_found(tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    table.write_text("name,description\n" + "".join(f"c{number % 7},x\n" for number in range(9)), encoding="utf-8")
    with pytest.raises(DataError, match="2 clips stand in more than one row: c0, c1"):
        Pipeline(ClipSource(table), [_Stumbling("")], tmp_path / "out").run()
    empty = tmp_path / "e.csv"
    empty.write_text("name,description\nc0,x\n,y\n", encoding="utf-8")
    with pytest.raises(DataError, match="Row 2 of the table has no name"):
        Pipeline(ClipSource(empty), [_Stumbling("")], tmp_path / "out2").run()
    import pyarrow

    check_names(pyarrow.chunked_array([["a"], ["b"]]))


def test_kinds_that_differ_between_pieces_are_told(tmp_path: Path) -> None:
    pieces = [tmp_path / "a.parquet", tmp_path / "b.parquet"]
    write_clip_table(pieces[0], ClipTable.of_columns({"name": ["a"], "x": ["text"]}))
    write_clip_table(pieces[1], ClipTable.of_columns({"name": ["b"], "x": [[1]]}))
    with pytest.raises(DataError, match="must have values of one kind in all clips"):
        write_pieces(tmp_path / "c.parquet", pieces, [])
