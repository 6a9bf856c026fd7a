"""`affect-lightning annotate describe`: cues and subtitles become descriptions; refusals, broken clips, resumption, quality."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from affect_lightning.annotation.catalogue import STAGES, build_stage
from affect_lightning.annotation.descriptions import DescribeOptions, DescribeStage
from affect_lightning.annotation.stages import StageCost
from affect_lightning.annotation.tables import ClipTable, read_clip_table
from affect_lightning.annotation.text_quality import distinct_share, language_of, repetition_of, share_used
from affect_lightning.command_line.annotate_command import STEPS
from affect_lightning.command_line.program import main
from affect_lightning.errors import ConfigurationError, DataError
from affect_lightning.plugin_loading import build_part
from affect_lightning_plugins.asked_models.chat_server import ChatServer
from annotation_cases import REFUSAL, part_kinds, raw_clips, tone
from clip_making import write_wav
from language_model_server import serving

SENTENCES = {
    "audio": "<think>Hm.</think>The voice trembles softly.",
    "visual": "The mouth is pressed together.",
    "merge": "Her voice trembles, and her mouth is pressed together: she is afraid.",
}


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)


def describing(clips: Path, out: Path, *more: str) -> list[str]:
    return ["annotate", "describe", "--clips", str(clips), "--out", str(out), *more]


def asking(server: Any, *kinds: str) -> list[str]:
    words: list[str] = []
    for kind in kinds:
        words += [f"--{kind}", "openai", f"--{kind}.model", "m", f"--{kind}.base_url", server.base_url]
        words += [f"--{kind}.pause", "0.01", f"--{kind}.concurrency", "2"]
    return words


def usual(prompt: Any, earlier: int) -> str:
    return SENTENCES[part_kinds(prompt)]


def test_every_stage_of_the_catalogue_is_a_step_of_the_command() -> None:
    assert set(STAGES) <= set(STEPS)


def test_the_default_needs_no_model_and_no_download(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clips, out = raw_clips(tmp_path / "raw", 2), tmp_path / "d.parquet"
    assert main(describing(clips, out, "--visual", "none", "--json")) == 0
    told = json.loads(capsys.readouterr().out)
    assert [(one["stage"], one["clips"], one["kept"]) for one in told["stages"]] == [("describe", 2, 2)]
    table = read_clip_table(out)
    cue = table.column("audio_cues")[0]
    assert cue.startswith("The voice is ")
    assert table.column("description")[0] == f'{cue} The person says: "Sentence 0."'
    assert table.column("description")[1] == table.column("audio_cues")[1], "nobody said anything"
    assert table.column("visual_cues") == [None, None]
    assert table.column("quality.audio_used") == [1.0, 1.0]
    assert [record.stage for record in table.records] == ["clips", "describe"]
    assert table.records[-1].parts["audio cues"].startswith("signal 1 modality=audio")
    assert "batch_size" not in table.records[-1].options, "how it was done changes no column"
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []
    # Nothing is written over.
    assert main(describing(clips, out, "--visual", "none")) == 2
    assert "no table is overwritten" in capsys.readouterr().err


def test_the_describers_never_see_the_subtitle_and_the_merger_adds_it(tmp_path: Path) -> None:
    clips, out = raw_clips(tmp_path / "raw", 3, videos=[0, 2]), tmp_path / "d.parquet"
    more = ("--visual.frames", "1", "--max-bad-share", "0.4")
    with serving(usual) as server:
        assert main(describing(clips, out, *asking(server, "audio", "visual", "merger"), *more)) == 0
        kinds = [part_kinds(prompt) for prompt in server.prompts]
        assert {kind: kinds.count(kind) for kind in kinds} == {"audio": 3, "visual": 2, "merge": 2}
        merged = [prompt for prompt in server.prompts if isinstance(prompt, str)]
        for prompt in server.prompts:
            assert ("Sentence" in json.dumps(prompt)) == (prompt in merged)
        for number in (0, 2):
            (prompt,) = [prompt for prompt in merged if f"Sentence {number}." in prompt]
            assert "The voice trembles softly." in prompt
            assert "The mouth is pressed together." in prompt
        assert "<think>" not in "".join(merged), "cues are cleaned before they are merged"
    table = read_clip_table(out)
    assert table.column("audio_cues") == ["The voice trembles softly."] * 3
    assert table.column("visual_cues") == ["The mouth is pressed together.", None, "The mouth is pressed together."]
    assert table.column("description") == [SENTENCES["merge"], None, SENTENCES["merge"]]
    assert table.column("kept.describe") == [True, False, True]
    assert table.column("problem.describe")[1].startswith("video: "), "a sound file has no pictures"
    assert table.column("quality.audio_used") == [pytest.approx(2 / 3), None, pytest.approx(2 / 3)]  # not "softly"
    assert table.column("quality.visual_used") == [1.0, None, 1.0]
    assert table.column("quality.language") == ["en", None, "en"]


def test_a_single_describer_of_both_gets_its_own_question(tmp_path: Path) -> None:
    clips, out = raw_clips(tmp_path / "raw", 1, videos=[0]), tmp_path / "d.parquet"
    with serving(usual) as server:
        assert main(describing(clips, out, "--audio", "none", *asking(server, "visual"))) == 0
        (prompt,) = server.prompts
    assert prompt[-1]["text"] == DescribeOptions.both_question
    assert {part["type"] for part in prompt} == {"image_url", "input_audio", "text"}
    assert ", both, " in read_clip_table(out).records[-1].parts["visual cues"]


def test_an_empty_or_refused_answer_is_asked_for_once_more(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clips, out = raw_clips(tmp_path / "raw", 4), tmp_path / "d.parquet"
    order: list[str] = []

    def answer(prompt: Any, earlier: int) -> str:
        if part_kinds(prompt) == "merge":
            return "" if "Sentence 3." in prompt and not earlier else SENTENCES["merge"]
        sound = prompt[0]["input_audio"]["data"]
        if sound not in order:
            order.append(sound)
        which = order.index(sound)  # one clip refuses once, one always
        return REFUSAL if which == 0 or (which == 1 and not earlier) else SENTENCES["audio"]

    more = ("--visual", "none", "--max-bad-share", "0.25")
    with serving(answer) as server:
        assert main(describing(clips, out, *asking(server, "audio", "merger"), *more)) == 0
        kinds = [part_kinds(prompt) for prompt in server.prompts]
    assert kinds.count("audio") == 6
    assert kinds.count("merge") == 4, "three clips, one of them twice; none for the one that was refused"
    table = read_clip_table(out)
    assert len(table) == 4
    assert sorted(table.column("kept.describe")) == [False, True, True, True]
    (bad,) = [place for place, stays in enumerate(table.column("kept.describe")) if not stays]
    assert table.column("problem.describe")[bad] == f"audio cues: refused 2 times: {REFUSAL}"
    assert table.column("description")[bad] is None
    assert table.column("quality.words")[bad] is None


def test_too_many_refusals_stop_the_run_and_nothing_is_asked_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clips, out = raw_clips(tmp_path / "raw", 4), tmp_path / "d.parquet"
    more = ("--visual", "none")
    with serving(lambda prompt, earlier: REFUSAL) as server:
        command = describing(clips, out, *asking(server, "audio"), *more)
        assert main(command) == 2
        said = capsys.readouterr().err
        assert "4 of 4 clips have no description, and max_bad_share is 0.1" in said
        assert "[c00] audio cues: refused 2 times" in said
        assert len(server.prompts) == 8
        assert not out.exists()
        assert main([*command, "--max-bad-share", "1"]) == 0
        assert len(server.prompts) == 8, "how many may be lost does not change an answer"
    assert read_clip_table(out).column("kept.describe") == [False] * 4


def test_a_missing_subtitle_is_heard_first(tmp_path: Path) -> None:
    clips, out = raw_clips(tmp_path / "raw", 2), tmp_path / "d.parquet"
    heard = tmp_path / "heard.csv"
    heard.write_text("name,text,language\nc00,never,de\nc01,What a day,en\n", encoding="utf-8")
    ears = ("--transcriber", "import", "--transcriber.file", str(heard))
    with serving(usual) as server:
        assert main(describing(clips, out, *asking(server, "audio"), "--visual", "none", *ears)) == 0
        assert not any("What a day" in json.dumps(prompt) for prompt in server.prompts)
    table = read_clip_table(out)
    assert table.column("subtitle") == ["Sentence 0.", "What a day"]
    assert table.column("subtitle_language") == [None, "en"]
    assert table.column("subtitle_source")[1].startswith("import heard.csv sha256=")
    assert table.column("description")[1] == 'The voice trembles softly. The person says: "What a day"'


def test_a_clip_that_cannot_be_read_is_named_and_does_not_stay(tmp_path: Path) -> None:
    clips, out = raw_clips(tmp_path / "raw", 3), tmp_path / "d.parquet"
    (tmp_path / "raw" / "c02.wav").write_bytes(b"no sound")
    with serving(usual) as server:
        assert main(describing(clips, out, *asking(server, "audio"), "--visual", "none")) == 0
    table = read_clip_table(out)
    assert table.column("kept.describe") == [True, True, False]
    assert table.column("problem.describe")[2].startswith("audio: ")


def test_a_folder_of_clips_and_files_next_to_a_table(tmp_path: Path) -> None:
    folder = tmp_path / "raw"
    folder.mkdir()
    for number in range(2):
        write_wav(folder / f"a{number}.wav", tone(number))
    (tmp_path / "words.csv").write_text("name,text\na1,Yes.\na0,No.\n", encoding="utf-8")
    with serving(usual) as server:
        words = [*asking(server, "audio"), "--visual", "none"]
        assert main(describing(folder, tmp_path / "f.parquet", *words)) == 0
        assert main(describing(tmp_path / "words.csv", tmp_path / "t.parquet", *words)) == 0
    assert read_clip_table(tmp_path / "f.parquet").names == ["a0", "a1"]
    table = read_clip_table(tmp_path / "t.parquet")
    assert table.names == ["a1", "a0"], "the order of the table"
    assert [Path(path).name for path in table.column("audio")] == ["a1.wav", "a0.wav"]
    assert table.column("subtitle") == ["Yes.", "No."]


def test_no_clip_leaves_this_machine_before_that_is_agreed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ChatServer, "ask_all", lambda server, contents: pytest.fail("a clip was sent"))
    clips = raw_clips(tmp_path / "raw", 1)
    far = ("--visual", "openai", "--visual.model", "m", "--visual.base_url", "https://example.invalid/v1")
    assert main(describing(clips, tmp_path / "d.parquet", *far)) == 2
    assert "Set clips_may_leave: true if you may send these clips to https://exa" in capsys.readouterr().err
    assert not list(tmp_path.glob(".d.work/.01.work/*/answers.jsonl")), "refused before the sound was listened to"


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--audio", "none", "--visual", "none"), "Choose a describer with --audio NAME, with --visual NAME, or both"),
        (("--audio.modality", "both"), "Set modality: audio for the describer of the sound"),
        (("--audio", "signl"), "There is no cue describer plugin 'signl'. Did you mean 'signal'?"),
        (("--batch-size", "0"), "Give batch_size of 1 or more"),
        (("--merge",), "Run the parts first"),
    ],
)
def test_what_the_command_refuses(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], more: tuple[str, ...], message: str
) -> None:
    clips = raw_clips(tmp_path / "raw", 1)
    assert main(describing(clips, tmp_path / "d.parquet", *more)) == 2
    assert message in capsys.readouterr().err


def test_tables_that_name_no_files_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = tmp_path / "t.csv"
    table.write_text("name,subtitle\nx,Hello\n", encoding="utf-8")
    assert main(describing(table, tmp_path / "d.parquet", "--visual", "none")) == 2
    assert "Name the file of the clip x in a column `media`" in capsys.readouterr().err
    assert main(describing(tmp_path / "nowhere", tmp_path / "e.parquet")) == 2
    assert "Give a table of clips, or a folder with video or sound files" in capsys.readouterr().err


def test_the_help_says_what_works_without_a_model(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["annotate", "describe", "--help"]) == 0
    assert "By default no model is needed and nothing is downloaded" in capsys.readouterr().out
    assert main(["annotate", "describe", "--audio.help", "signal"]) == 0
    assert "Set one with --audio.OPTION VALUE" in capsys.readouterr().out


def test_in_python_without_a_folder(tmp_path: Path) -> None:
    clips = raw_clips(tmp_path / "raw", 2)
    with serving(usual) as server:
        options = {"model": "m", "base_url": server.base_url, "modality": "audio"}
        audio = build_part("cue_describers", {"name": "openai", **options})
        stage = DescribeStage(DescribeOptions(), merger=build_part("clue_mergers", "template"), audio=audio)
        names = [str(tmp_path / "raw" / f"c0{number}.wav") for number in range(2)]
        done = stage.run(ClipTable.of_columns({"name": ["a", "b"], "media": names}))
    assert done.column("description") == ["The voice trembles softly."] * 2
    assert clips.is_file()


@pytest.mark.slow
def test_the_shipped_pipeline_describes_the_sandbox(
    corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    some = tmp_path / "clips"
    some.mkdir()
    for path in sorted((corpus / "mer-caption-plus" / "video").glob("*.mp4"))[:2]:
        (some / path.name).write_bytes(path.read_bytes())
    places = ("--clips", str(some), "--out", str(tmp_path / "out"))
    assert main(["annotate", "--config", "annotate_sandbox", *places, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)["stages"]
    assert [one["stage"] for one in told] == ["clips", "describe", "length"]
    table = read_clip_table(tmp_path / "out" / "02_length.parquet")
    assert table.column("kept.describe") == [True, True]
    for heard, seen, text in zip(*map(table.column, ("audio_cues", "visual_cues", "description")), strict=True):
        assert heard.startswith("The voice is ")
        assert seen.startswith("The mouth moves ") or seen.startswith("The mouth hardly moves")
        assert text == f"{heard} {seen}"


# --- figures of quality ---


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("She smiles while she speaks, and her voice is warm.", "en"),
        ("Die Stimme ist leise, und sie lacht nicht.", "de"),
        ("La voix est douce, et elle ne sourit pas.", "fr"),
        ("La voz es suave y ella no sonríe con los ojos.", "es"),
        ("他的声音很低，而且他皱着眉头。", "zh"),
        ("彼女はとても静かに話している。", "ja"),
        ("그녀는 조용히 말한다.", "ko"),
        ("Она говорит тихо.", "ru"),
        ("", ""),
        ("123 !!", ""),
    ],
)
def test_languages(text: str, language: str) -> None:
    assert language_of(text) == language


def test_repetition_and_distinct_words_by_hand() -> None:
    loop = "she is sad " * 20
    assert repetition_of(loop.split()) == pytest.approx(1 - 3 / 57)  # 57 pieces of four words, 3 different ones
    assert repetition_of(["one", "two", "three"]) == 0.0
    assert distinct_share(loop.split()) == pytest.approx(3 / 60)
    assert distinct_share([]) is None


def test_the_share_of_a_cue_that_is_used() -> None:
    assert share_used("The voice is loud.", "LOUD is her voice!") == 1.0
    assert share_used("The voice is loud.", "She nods.") == 0.0
    assert share_used("声音低", "他的声音很轻") == pytest.approx(2 / 3)
    assert share_used("", "She nods.") is None
    assert share_used("Is it?", "It is.") is None, "function words only"


def test_costs() -> None:
    measured = {"audio cues": (10, 4000, 20.0)}
    cost = StageCost({"audio cues": 5, "description": 0}, measured)
    assert (cost.tokens(), cost.seconds()) == (500, 10.0)
    unknown = StageCost({"audio cues": 5, "description": 1}, measured)
    assert (unknown.tokens(), unknown.seconds()) == (None, None)


def test_options_out_of_range_and_of_the_wrong_type() -> None:
    with pytest.raises(ConfigurationError, match="Give batch_size of 1 or more"):
        DescribeOptions(batch_size=0)
    with pytest.raises(ConfigurationError, match="Correct the options of the stage describe: .*batch_size"):
        build_stage("describe", {"batch_size": "many"})
    with pytest.raises(ConfigurationError, match="no option 'batchsize'. Did you mean 'batch_size'"):
        build_stage("describe", {"batchsize": 3})
    with pytest.raises(DataError, match="Name the file of the clip"):
        build_stage("describe", {}).run(ClipTable.of_columns({"name": ["a"]}))
