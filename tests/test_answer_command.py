"""`affect-lightning answer`: a model of others on the benchmark sets; killed, resumed, scored. And `predict --transcriber`."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from affect_lightning.command_line.program import main
from affect_lightning.describing.answering import ANSWERS_FILE, AnswerFolder
from affect_lightning.unibench.scoring.predictions import read_predictions
from language_model_server import refuse, serving
from run_cases import words

HEARD = ("--model.inputs", "[audio, text]")
REFUSAL = "I'm sorry, but I cannot determine the emotions of a person in a video."


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)


def asking(corpus: Path, out: Path, *more: str, sets: tuple[str, ...] = ("meld", "mer2023")) -> list[str]:
    return ["answer", "--data", str(corpus), "--sets", *sets, "--out", str(out), *more]


def server_words(server: Any, *more: str) -> list[str]:
    options = {"model": "m", "base_url": server.base_url, "frames": "2", "pause": "0.01", "concurrency": "1"}
    given = [word for name, value in options.items() for word in (f"--describer.{name}", value)]
    return ["--describer", "openai", *given, *more]


def test_answers_become_predictions_that_score_and_report_take(
    corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def answer(prompt: list[dict[str, Any]], earlier: int) -> str:
        return REFUSAL if len(server.prompts) == 1 else "<think>Hm.</think>The person feels happy."

    with serving(answer) as server:
        assert main(asking(corpus, tmp_path / "a", *server_words(server), "--json")) == 0
        assert len(server.prompts) == 4
        assert server.prompts[0][-1]["text"] == "Which emotions does the person feel?", (
            "no subtitle unless it is asked for"
        )
        assert [part["type"] for part in server.prompts[0]] == ["image_url", "image_url", "input_audio", "text"]
        told = json.loads(capsys.readouterr().out)
        # Everything is there: no server is asked, whether it runs or not.
        assert main(asking(corpus, tmp_path / "a", *server_words(server))) == 0
        assert len(server.prompts) == 4
    shown = capsys.readouterr().out
    assert "refused" in shown
    assert sorted(told["sets"]) == ["mer2023", "meld"] or sorted(told["sets"]) == ["meld", "mer2023"]
    total = {key: sum(one[key] for one in told["sets"].values()) for key in ("clips", "answered", "empty", "refused")}
    assert total == {"clips": 4, "answered": 4, "empty": 0, "refused": 1}
    assert sum(one["cleaned"].get("thoughts", 0) for one in told["sets"].values()) == 3
    predictions = read_predictions(tmp_path / "a")
    assert {row.corpus for row in predictions} == {"meld", "mer2023"}
    assert all(row.generated and row.truth_labels for row in predictions), "truths and the mark of a generated corpus"
    for key in ("meld", "mer2023"):
        file = tmp_path / "a" / "predictions" / f"{key}.jsonl"
        scoring = ["score", "--dataset", key, "--labels", str(corpus), "--predictions", str(file), "--json"]
        assert main([*scoring, "--taxonomy", "builtin", "--out", str(tmp_path / key)]) == 0
        score = json.loads(capsys.readouterr().out)
        assert (score["clips"], score["generated"]) == (2, True)
    both = ["report", str(tmp_path / "meld"), str(tmp_path / "mer2023"), "--json"]
    assert main(both) == 0
    assert len(json.loads(capsys.readouterr().out)["rows"]) == 2


def test_a_run_that_was_cut_off_asks_no_finished_clip_again(
    corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, words_of = tmp_path / "a", ("--batch-size", "4")
    with serving(lambda prompt, earlier: refuse(400, "too long") if len(server.prompts) > 2 else "Happy.") as server:
        assert main(asking(corpus, out, *server_words(server), *words_of)) == 2
        assert "rejects the request (status 400)" in capsys.readouterr().err
        kept = (out / ANSWERS_FILE).read_bytes()
        assert kept.count(b"\n") == 2
        assert not (out / "predictions").exists()
        (out / ANSWERS_FILE).write_bytes(kept[:-9])  # as a kill inside the second line leaves it
        asked = list(server.prompts[:2])
        server.behaviour = lambda prompt, earlier: "Sad."
        before = len(server.prompts)
        assert main(asking(corpus, out, *server_words(server), *words_of)) == 0
        again = server.prompts[before:]
    assert len(again) == 3
    assert asked[0] not in again, "the finished one"
    assert asked[1] in again, "the one whose line was cut off"
    assert sorted(row.response for row in read_predictions(out)) == ["Happy.", "Sad.", "Sad.", "Sad."]


def test_other_settings_need_another_folder(corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with serving(lambda prompt, earlier: "Happy.") as server:
        assert main(asking(corpus, tmp_path / "a", *server_words(server), sets=("meld",))) == 0
        for changed, name in (
            (("--question", "describe"), "question"),
            (("--subtitle",), "subtitle"),
            (("--describer.max_new_tokens", "9"), "describer"),
            (("--merger", "template"), "merger"),
        ):
            assert main(asking(corpus, tmp_path / "a", *server_words(server), *changed, sets=("meld",))) == 2
            said = capsys.readouterr().err
            assert "Choose another folder with --out" in said
            assert f"under other settings ({name})" in said
        # More sets go into the same folder.
        assert main(asking(corpus, tmp_path / "a", *server_words(server), sets=("meld", "iemocap"))) == 0
        assert len(server.prompts) == 4


def test_subtitles_are_shown_or_added_afterwards(corpus: Path, tmp_path: Path) -> None:
    with serving(lambda prompt, earlier: "The voice is soft.") as server:
        shown = server_words(server, "--describer.modality", "audio", "--subtitle", "--question", "describe")
        assert main(asking(corpus, tmp_path / "shown", *shown, sets=("meld",))) == 0
        assert server.prompts[0][-1]["text"].startswith('Says: "')
        assert server.prompts[0][-1]["text"].endswith('"\nHow does the person feel, and what shows it?')
        added = server_words(server, "--describer.modality", "audio", "--merger", "template")
        assert main(asking(corpus, tmp_path / "added", *added, sets=("meld",))) == 0
        assert server.prompts[-1][-1]["text"] == "Which emotions does the person feel?"
    for row in read_predictions(tmp_path / "added"):
        assert row.response.startswith('The voice is soft. The person says: "')


def test_a_missing_subtitle_is_heard_and_written_beside_the_answer(
    corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clips = sorted((corpus / "meld-process").rglob("*.mp4"))[:2]
    table = tmp_path / "mine.csv"
    table.write_text(
        f"name,video,text,labels\nsays,{clips[0]},I know.,happy\nsilent,{clips[1]},,sad\n", encoding="utf-8"
    )
    heard = tmp_path / "heard.csv"
    heard.write_text("name,text,language\nsays,never,de\nsilent,What a day,en\n", encoding="utf-8")
    texts = tmp_path / "texts.csv"
    texts.write_text("name,response\nsays,Glad.\nsilent,Low.\n", encoding="utf-8")
    given = [
        "--describer",
        "import",
        "--describer.file",
        str(texts),
        "--sets",
        str(table),
        "--out",
        str(tmp_path / "o"),
    ]
    ears = ["--transcriber", "import", "--transcriber.file", str(heard)]
    assert main(["answer", *given, *ears]) == 2
    assert "Nothing would use the words of the transcriber. Add --subtitle" in capsys.readouterr().err
    assert main(["answer", *given, *ears, "--merger", "template"]) == 0
    lines = (tmp_path / "o" / "predictions" / "mine.jsonl").read_text(encoding="utf-8").splitlines()
    rows = {row["name"]: row for row in map(json.loads, lines)}
    assert rows["says"]["response"] == 'Glad. The person says: "I know."'
    assert "subtitle" not in rows["says"]
    assert rows["silent"]["response"] == 'Low. The person says: "What a day"'
    assert (rows["silent"]["subtitle"], rows["silent"]["subtitle_language"]) == ("What a day", "en")
    assert rows["silent"]["subtitle_source"].startswith("import heard.csv sha256=")


def test_broken_clips_are_named_and_left_out(corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    copy = tmp_path / "corpus"
    shutil.copytree(corpus, copy)
    video = sorted((copy / "meld-process").rglob("*.mp4"))[0]
    video.write_bytes(b"no video")
    with serving(lambda prompt, earlier: "Happy.") as server:
        seen = server_words(server, "--describer.modality", "video", "--json")
        assert main(asking(copy, tmp_path / "a", *seen, sets=("meld",))) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["sets"]["meld"]["clips"] - told["sets"]["meld"]["answered"] == 1
    assert [clip["name"] for clip in told["left_out"]] == [video.stem]


def test_what_the_command_refuses(corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    texts = tmp_path / "texts.csv"
    texts.write_text("name,response\na,b\n", encoding="utf-8")
    given = ["--describer", "import", "--describer.file", str(texts)]
    for more, message in (
        ([], "Choose who answers with --describer NAME"),
        (["--describer", "imprt"], "There is no cue describer plugin 'imprt'. Did you mean 'import'?"),
        (["--describer.file", "x"], "Add --describer NAME: options for it were given, but no name."),
        ([*given, "--batch-size", "0"], "--batch-size must be 1 or more clips; got 0."),
    ):
        assert main(asking(corpus, tmp_path / "a", *more)) == 2
        assert message in capsys.readouterr().err
    assert main(["answer", "--describer.help", "import"]) == 0
    assert "Set one with --describer.OPTION VALUE" in capsys.readouterr().out
    folder = AnswerFolder(tmp_path / "b", {"describer": "one"})
    folder.add([{"corpus": "meld", "name": "x", "question": "?", "response": "Happy."}])
    (tmp_path / "b" / "asked.json").write_text("{", encoding="utf-8")
    assert main(asking(corpus, tmp_path / "b", *given)) == 2
    assert "asked.json is damaged" in capsys.readouterr().err


# --- predict ---


def test_predict_hears_what_is_missing(
    corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    clips = sorted((corpus / "meld-process").rglob("*.mp4"))[:2]
    table = tmp_path / "clips.csv"
    table.write_text(f"name,video,text\nsays,{clips[0]},I know.\nsilent,{clips[1]},\n", encoding="utf-8")
    heard = tmp_path / "heard.csv"
    heard.write_text("name,text,language\nsays,never,de\nsilent,What a day,en\n", encoding="utf-8")
    ears = ["--transcriber", "import", "--transcriber.file", str(heard)]
    given = words(corpus, tmp_path, *HEARD, "--data.predict_table", str(table), "--out", str(tmp_path / "o"))
    assert main(["predict", *given, *ears]) == 0
    assert "the prompt shows text" not in caplog.text, "what is missing is heard"
    lines = (tmp_path / "o" / "subtitles.jsonl").read_text(encoding="utf-8").splitlines()
    (row,) = map(json.loads, lines)
    assert (row["name"], row["subtitle"], row["subtitle_language"]) == ("silent", "What a day", "en")
    assert row["subtitle_source"].startswith("import heard.csv sha256=")
    with_words = {row.name: row.response for row in read_predictions(tmp_path / "o")}
    plain = words(corpus, tmp_path, *HEARD, "--data.predict_table", str(table), "--out", str(tmp_path / "p"))
    assert main(["predict", *plain]) == 0
    assert "the prompt shows text, and 1 of 2 clips have none" in caplog.text
    assert not (tmp_path / "p" / "subtitles.jsonl").exists()
    without = {row.name: row.response for row in read_predictions(tmp_path / "p")}
    assert with_words["says"] == without["says"]
    assert with_words["silent"] != without["silent"], "the network saw the words"
    assert main(["test", *words(corpus, tmp_path), *ears]) == 2
    assert "Leave --transcriber out: `test` takes the subtitles of the sets." in capsys.readouterr().err
    assert main(["predict", "--transcriber.help", "import"]) == 0
    assert "subtitles" in capsys.readouterr().out
