"""docs/systems.md: the published figures, the plugins, the limits of `signal`, and the import of a system's outputs."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from affect_lightning.command_line.program import main
from affect_lightning.plugin_loading import list_plugins
from affect_lightning.unibench.report.published import published_rows
from affect_lightning.unibench.scoring.predictions import read_predictions
from affect_lightning_plugins.cue_describers.face_motion import FaceMotion
from affect_lightning_plugins.cue_describers.signal import face_words, voice_words
from affect_lightning_plugins.cue_describers.voice_measures import VoiceMeasures
from test_readme_commands import page_commands

TABLE_9 = (
    *("Otter", "VideoChat", "VideoChat2", "Video-LLaVA", "Video-LLaMA", "Video-ChatGPT", "LLaMA-VID", "mPLUG-Owl"),
    *("Chat-UniVi", "SALMONN", "Qwen-Audio", "SECap", "OneLLM", "PandaGPT", "Emotion-LLaMA"),
)


@pytest.fixture
def page(repository: Path) -> str:
    return (repository / "docs" / "systems.md").read_text(encoding="utf-8")


def rows_below(page: str, heading: str) -> list[list[str]]:
    """Cells of the first table below a heading, without its head."""
    section = page.split(f"\n## {heading}", 1)[1]
    lines = [line for line in section.partition("\n## ")[0].splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[2:]]


def test_every_system_of_table_9_has_its_published_mean(page: str) -> None:
    rows = {row[0]: row for row in rows_below(page, "The fifteen systems of Table 9")}
    assert tuple(rows) == TABLE_9
    means: dict[str, float] = {}
    for row in published_rows(["table2"]):
        means[row.model] = row.mean  # the last one shows the most inputs
    for system, (_, _, how, mean) in rows.items():
        assert mean == (f"{means[system]:.2f}" if system in means else "not in Table 2")
        assert re.match(r"(runs here: `hf-chat`|import: )", how)


def test_the_page_names_every_part_and_no_other(page: str) -> None:
    for group, heading in (("cue_describers", "Who answers"), ("transcribers", "What is shown")):
        ours = {item.name for item in list_plugins(group) if item.distribution == "affect-lightning"}
        assert {row[0].strip("`") for row in rows_below(page, heading)} == ours
    mergers = {item.name for item in list_plugins("clue_mergers") if item.distribution == "affect-lightning"}
    assert set(re.findall(r"--merger ([\w-]+)", page)) == mergers


def test_the_limits_of_signal_are_those_of_the_page(page: str) -> None:
    base = {"level": -25.0, "pitch": 180.0, "spread": 2.0, "slope": 0.0, "rate": 4.0}
    measures = dict(zip(("level", "pitch", "spread", "slope", "rate"), rows_below(page, "The words of"), strict=False))
    for measure, (_, cell) in measures.items():
        *limited, last = (part.strip() for part in cell.split(";"))
        for part in limited:
            words, limit = re.fullmatch(r"(.*), below (-?[\d.]+)", part).groups()  # type: ignore[union-attr]
            said = voice_words(VoiceMeasures(**{**base, measure: float(limit) - 0.01}, pauses=0, longest_pause=0.0))
            beyond = voice_words(VoiceMeasures(**{**base, measure: float(limit)}, pauses=0, longest_pause=0.0))
            assert words in said
            assert said != beyond
        top = voice_words(VoiceMeasures(**{**base, measure: 900.0}, pauses=0, longest_pause=0.0))
        assert last in top
    for size, words in ((0.39, "hardly moves"), (0.4, "moves a little"), (1.5, "moves a lot")):
        assert f"The mouth {words}" in face_words(FaceMotion(size, 0.0, 0.0))


def test_the_first_commands_run_as_they_stand_and_a_second_time(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AFFECT_LIGHTNING_CACHE", str(tmp_path / "cache"))
    commands = [line for line in page_commands("docs/systems.md") if "Qwen/" not in line]
    assert [line.split()[1] for line in commands] == ["answer", "score"]
    for command in [*commands, *commands]:
        assert main([str(corpus) if word == "DIR" else word for word in command.split()[1:]]) == 0
    assert all(row.response for row in read_predictions(tmp_path / "answers"))


def test_the_saved_outputs_of_a_system_are_imported_unchanged(
    reference: Path, page: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """SALMONN's outputs on OV-MERD: every text arrives; refusals and repeated prompts among them are counted."""
    from affect_lightning.safe_npz import read_npz

    saved = reference / "describers" / "SALMONN" / "output-reason-7b-subtitle-eng.npz"
    texts = read_npz(saved)["name2reason"]
    table = tmp_path / "described.csv"
    rows = [f'{name},"a.mp4",,happy' for name in texts]
    table.write_text("\n".join(["name,video,text,labels", *rows, ""]), encoding="utf-8")
    words = ["answer", "--describer", "import", "--describer.file", str(saved), "--sets", str(table)]
    assert main([*words, "--out", str(tmp_path / "out"), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)["sets"]["described"]
    assert (told["clips"], told["answered"]) == (332, 332)
    assert {row.name: row.response for row in read_predictions(tmp_path / "out")} == dict(texts)
    assert (told["cleaned"]["echoed question"], told["empty"], told["refused"]) == (56, 34, 1)
    assert "56 repeat the prompt, 34 of them say nothing else, and 1 refuses" in " ".join(page.split())
