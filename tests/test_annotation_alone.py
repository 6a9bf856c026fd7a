"""`annotate length|crowd|agree|export` by themselves: in parts, after a kill, told in advance, with the records before them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from affect_lightning.annotation import chunked_tables, pipeline
from affect_lightning.annotation.agreement import AgreeStage
from affect_lightning.annotation.lengths import LengthStage
from affect_lightning.annotation.tables import ClipTable, StageRecord, read_clip_table, write_clip_table
from affect_lightning.command_line.program import main
from annotation_cases import written_config
from language_model_server import serving

WORDS = ("happy", "sad", "angry")
BEFORE = StageRecord("describe", {"batch_size": 8}, {"merger": "template"}, ("description",), 40, "t0", "1", "digest")


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunked_tables, "ROWS", 4)
    monkeypatch.setattr(pipeline, "ROWS", 4)
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)


def described(path: Path, count: int = 11) -> Path:
    """Descriptions of different lengths with two voters, out of a stage that saw 40 clips."""
    numbers = range(count)
    columns = {
        "name": [f"c{number:02}" for number in numbers],
        "description": ["She is " + "very " * number + WORDS[number % 3] for number in numbers],
        "votes.one": [WORDS[number % 3] for number in numbers],
        "votes.two": [WORDS[number % 2] for number in numbers],
    }
    write_clip_table(path, ClipTable.of_columns(columns, [BEFORE]))
    return path


def run(capsys: pytest.CaptureFixture[str], *words: object) -> dict[str, Any]:
    capsys.readouterr()
    code = main(["annotate", *map(str, words), "--json"])
    captured = capsys.readouterr()
    assert code == 0, captured.err
    return json.loads(captured.out)


def refused(capsys: pytest.CaptureFixture[str], *words: object) -> str:
    capsys.readouterr()
    assert main(["annotate", *map(str, words)]) == 2
    return capsys.readouterr().err


def interrupted(capsys: pytest.CaptureFixture[str], *words: object) -> bool:
    capsys.readouterr()
    return main(["annotate", *map(str, words)]) == 130 and "interrupted" in capsys.readouterr().err


def leftovers(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name.startswith("."))


# --- parts ---


@pytest.mark.parametrize("count", [2, 3])
def test_three_parts_of_a_crowd_and_of_the_agreement_are_the_bytes_of_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], count: int
) -> None:
    table = described(tmp_path / "described.parquet")
    voted = ("crowd", table, "--over", "happy,sad,angry")
    judged = ("agree", table, "--crowd", tmp_path / "crowd-one.parquet", "--rule", "E", "--taxonomy", "builtin")
    for name, words in (("crowd", voted), ("agree", judged)):
        one, several = tmp_path / f"{name}-one.parquet", tmp_path / f"{name}-several.parquet"
        told = run(capsys, *words, "--out", one)
        for number in range(count, 0, -1):
            part = run(capsys, *words, "--out", several, "--part", f"{number}/{count}")
            assert [stage["stage"] for stage in part["stages"]] == [name]
            assert not several.exists()
            if number > 1:
                assert "1/" in refused(capsys, *words, "--out", several, "--merge")
        assert "Add --merge to join the parts" in refused(capsys, *words, "--out", several)
        assert run(capsys, *words, "--out", several, "--merge") == told, "the merge tells what one run tells"
        assert several.read_bytes() == one.read_bytes()
    assert leftovers(tmp_path) == []
    records = read_clip_table(tmp_path / "agree-several.parquet").records
    assert [record.stage for record in records] == ["describe", "clips", "crowd", "clips", "agree"]
    assert records[0] == BEFORE, "its 40 clips and its time are not those of the merge"
    assert [record.clips for record in records] == [40, 11, 11, 11, 11]


def test_what_looks_at_all_clips_is_not_divided(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = described(tmp_path / "described.parquet")
    out = ("--out", tmp_path / "out.parquet")
    for words in (("length", table), ("crowd", table, "--over", "happy,sad,angry", "--method", "mace")):
        for option in (("--part", "1/2"), ("--merge",)):
            said = refused(capsys, *words, *out, *option)
            assert f"Leave {option[0]} out: the stage {words[0]} looks at all clips at once" in said
    said = refused(capsys, "crowd", table, "--train", "meld", "--data", tmp_path, *out, "--part", "1/2")
    assert "Train once with --train and --save FOLDER, then give each part --crowd FOLDER" in said
    for option in (("--part", "1/2"), ("--merge",)):
        said = refused(capsys, "export", table, "--format", "jsonl", "--out", tmp_path / "set", *option)
        assert "an export is not divided, because its lists and its datasheet are about all clips" in said
    said = refused(capsys, "agree", table, "--emotion", "votes.one", "--rule", "E", "--part", "1/2")
    assert "Add --out FILE.parquet: the parts are kept beside it" in said
    assert leftovers(tmp_path) == []


# --- resumption ---


@pytest.mark.parametrize("stage", ["length", "agree"])
def test_the_same_command_goes_on_after_a_kill(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], stage: str
) -> None:
    """Killed in the second piece, and behind the last one: nothing is worked on twice, and all is told as of one run."""
    table, kind = described(tmp_path / "described.parquet"), LengthStage if stage == "length" else AgreeStage
    more = () if stage == "length" else ("--emotion", "votes.one", "--rule", "E", "--taxonomy", "builtin")
    whole = run(capsys, stage, table, *more, "--out", tmp_path / "whole.parquet")
    worked, seen, kills = kind.columns_of, [], [True]  # type: ignore[var-annotated]

    def columns_of(self: Any, chunk: ClipTable) -> dict[str, Sequence[Any]]:
        if seen and kills:
            kills.clear()
            raise KeyboardInterrupt
        seen.append(chunk.names)
        return worked(self, chunk)

    monkeypatch.setattr(kind, "columns_of", columns_of)
    words = (stage, table, *more, "--out", tmp_path / "out.parquet")
    assert interrupted(capsys, *words)
    assert not (tmp_path / "out.parquet").exists()
    with monkeypatch.context() as patch:
        patch.setattr("affect_lightning.command_line.annotate_running._take_out", _killed)
        assert interrupted(capsys, *words)
    assert seen == [[f"c{n:02}" for n in some] for some in (range(4), range(4, 8), range(8, 11))]
    assert run(capsys, *words) == whole
    assert len(seen) == 3, "all pieces were there"
    assert (tmp_path / "out.parquet").read_bytes() == (tmp_path / "whole.parquet").read_bytes()
    assert leftovers(tmp_path) == []


def _killed(*arguments: object) -> None:
    raise KeyboardInterrupt


def test_a_refusal_leaves_nothing_that_a_corrected_command_stumbles_over(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table, out = tmp_path / "texts.csv", tmp_path / "out.parquet"
    table.write_text("name,description\na,One text.\n", "utf-8")
    assert "two descriptions or more" in refused(capsys, "length", table, "--out", out)
    assert leftovers(tmp_path) == []
    table.write_text("name,description\na,One text.\nb,Another one.\n", "utf-8")
    assert run(capsys, "length", table, "--out", out)["clips"] == 2


def test_what_is_half_done_is_not_taken_for_other_options(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    table = described(tmp_path / "described.parquet")
    words = ("length", table, "--out", tmp_path / "out.parquet")
    with monkeypatch.context() as patch:
        patch.setattr("affect_lightning.command_line.annotate_running._take_out", _killed)
        assert interrupted(capsys, *words)
    said = refused(capsys, *words, "--low", "0.2")
    assert "low of length was 0.025 and is 0.2" in said
    assert str(tmp_path / ".out.work") in said
    assert run(capsys, *words)["kept"] > 0


# --- in advance ---


def test_a_dry_run_of_each_stage_asks_and_writes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = described(tmp_path / "described.parquet")
    before = sorted(tmp_path.iterdir())
    for words in (("length", table), ("crowd", table, "--over", "happy,sad,angry")):
        (told,) = run(capsys, *words, "--dry-run")["stages"]
        assert told == {"stage": words[0], "clips": 11, "requests": {}, "answer_tokens": 0, "seconds": None}
    with serving(lambda prompt, earlier: '["glad"]' if prompt.startswith("L") else "positive") as server:
        asked = ("--extractor", "openai", "--extractor.model", "m", "--extractor.base_url", server.base_url,
                 "--extractor.cache_dir", tmp_path / "kept", "--extractor.labels_prompt", "L:{response}",
                 "--extractor.sentiment_prompt", "S:{labels}")  # fmt: skip
        words = ("agree", table, "--emotion", "votes.one", "--rule", "E", "--taxonomy", "builtin", *asked)
        (told,) = run(capsys, *words, "--out", tmp_path / "out.parquet", "--dry-run")["stages"]
        assert told["clips"] == 11
        assert told["requests"] == {"labels": 11, "sentiment": 11}
        assert server.prompts == []
        run(capsys, *words, "--part", "1/2", "--out", tmp_path / "out.parquet")
        count = len(server.prompts)
        (told,) = run(capsys, *words, "--out", tmp_path / "other.parquet", "--dry-run")["stages"]
        assert told["requests"]["labels"] == 6, "the answers of the part are kept"
        assert told["answer_tokens"] > 0
        assert len(server.prompts) == count
    assert not (tmp_path / "other.parquet").exists()
    assert [path for path in sorted(tmp_path.iterdir()) if path.name not in ("kept", ".out.work")] == before
    said = refused(capsys, "crowd", "--dataset", "meld", "--member", table, "--dry-run")
    assert "with --member, the label extractor reads the outputs before there is a table" in said


def test_an_export_is_told_in_advance(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = described(tmp_path / "described.parquet")
    clips = tmp_path / "clips"
    clips.mkdir()
    for number in range(10):
        (clips / f"c{number:02}.wav").write_bytes(b"x" * (number + 1))
    words = ("export", table, "--format", "jsonl", "--media", clips, "--drop-missing", "--out", tmp_path / "set")
    told = run(capsys, *words, "--dry-run")
    assert told == {
        "format": "jsonl", "table": 11, "clips": 10, "left_out": {"no file": 1}, "files": 10, "bytes_to_copy": 55,
        "requests": {}, "answer_tokens": 0,
    }  # fmt: skip
    assert run(capsys, *words, "--link", "none", "--dry-run")["bytes_to_copy"] == 0
    assert main(["annotate", *map(str, words), "--dry-run"]) == 0
    assert "Nothing was written and nothing asked." in capsys.readouterr().out
    assert not (tmp_path / "set").exists()
    assert "Choose another folder, or move this one away" in refused(capsys, *words[:-2], "--out", clips, "--dry-run")


# --- records ---


def test_a_pipeline_from_a_table_keeps_the_records_of_the_stages_before(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = described(tmp_path / "described.parquet")
    config = written_config(tmp_path / "c.yaml", table, tmp_path / "out", ["length"])
    assert main(["annotate", "--config", str(config)]) == 0
    for name, stages in (("00_clips", []), ("01_length", ["length"])):
        records = read_clip_table(tmp_path / "out" / f"{name}.parquet").records
        assert [record.stage for record in records] == ["describe", "clips", *stages]
        assert asdict(records[0]) == asdict(BEFORE)
    crowd = {"crowd": {"over": "happy,sad,angry"}}
    for out, parts in (("one", ()), ("several", ("1/2", "2/2"))):
        config = written_config(tmp_path / f"{out}.yaml", tmp_path / "out/01_length.parquet", tmp_path / out, [crowd])
        for part in parts:
            assert main(["annotate", "--config", str(config), "--part", part]) == 0
        assert main(["annotate", "--config", str(config), *(["--merge"] if parts else [])]) == 0
        assert main(["annotate", "--config", str(config)]) == 0, "the same command finds everything done"
    made = [(tmp_path / out / "01_crowd.parquet").read_bytes() for out in ("one", "several")]
    assert made[0] == made[1]
    records = read_clip_table(tmp_path / "several" / "01_crowd.parquet").records
    assert [record.stage for record in records] == ["describe", "clips", "length", "clips", "crowd"]
    assert records[0] == BEFORE
