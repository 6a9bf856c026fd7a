"""`affect-lightning annotate export`: every format is read by its reader, nothing is half written, texts stay texts."""

from __future__ import annotations

import json
import os
import re
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from affect_lightning.annotation.exporting.contents import StageCount, TableTally
from affect_lightning.annotation.exporting.datasheet_figures import labels_by_sector
from affect_lightning.annotation.exporting.preference_pairs import pairs_of_verdicts
from affect_lightning.annotation.exporting.writing import FORMATS
from affect_lightning.annotation.preferences import Judgement, Pair, write_judgements
from affect_lightning.annotation.review_store import ReviewStore
from affect_lightning.annotation.tables import ClipTable, StageRecord, write_clip_table
from affect_lightning.command_line.program import main
from affect_lightning.corpora.official_folders import read_training_set
from affect_lightning.corpora.own_clips import read_own_table
from affect_lightning.errors import DataError
from affect_lightning.metrics import Taxonomy
from browser_driving import opened_browser
from clip_making import tone, write_clip, write_wav
from test_annotation_crowd import annotate_json
from test_annotation_review import HOSTILE
from training_runs import TINY

NAMES = [f"talk_{number}" for number in range(6)]
KEPT = ["talk_0", "talk_1", "talk_2", "talk_4"]
DESCRIPTIONS = [f"Clip {number}: she frowns, <video> her voice is low." for number in range(6)]
SUBTITLES = ["Well, <audio> never!", "“Go”", "", "no", "It's, fine", "no"]
LABELS = [["happy", "can’t wait"], ["sad"], ["angry", "worried", "upset"], ["sad"], ["wistful"], ["calm"]]


def table_of(path: Path, **columns: Sequence[Any]) -> Path:
    """A table of six clips, of which four stay."""
    given = {
        "name": NAMES,
        "description": DESCRIPTIONS,
        "labels": [[word.replace("’", "'") for word in words] for words in LABELS],
        "subtitle": SUBTITLES,
        "chinese": ["好", "", "", "", "", ""],
        "sentiment": ["positive", "negative", "negative", None, "neutral", None],
        "crowd_emotion": ["joy", "sad", "furious", "sad", None, "calm"],
        "audio_cues": ["a low voice"] * 6,
        "visual_cues": ["a frown"] * 6,
        "kept.length": [True, True, True, False, True, True],
        "kept.speaker": [True, None, True, True, True, False],
        **columns,
    }
    records = [
        StageRecord(
            "speaker", {"detector": "sync"}, {"speaker detector": "sync | v1"}, ("kept.speaker",), 6, "t0", "1"
        ),
        StageRecord("length", {"unit": "words"}, {}, ("length", "kept.length"), 6, "t1", "1"),
    ]
    write_clip_table(path, ClipTable.of_columns(given, records))
    return path


def media_of(folder: Path, names: Sequence[str] = NAMES) -> Path:
    """A video for each clip, and a sound file for all but the last; as long as each other."""
    folder.mkdir()
    for number, name in enumerate(names):
        write_clip(folder / f"{name}.mp4", range(0, 40 * (25 + 2 * number), 40))
        if number < len(names) - 1:
            write_wav(folder / f"{name}.wav", tone(1 + 0.08 * number))
    return folder


@pytest.fixture(scope="module")
def media(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return media_of(tmp_path_factory.mktemp("media") / "clips")


@pytest.fixture
def table(tmp_path: Path) -> Path:
    return table_of(tmp_path / "clips.parquet")


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


# --- formats, each read by its reader ---


def test_mer_caption_layout_is_checked_and_trained_on(
    tmp_path: Path, table: Path, media: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "mine"
    found = annotate_json(capsys, "export", table, "--format", "mercaptionplus", "--media", media, "--out", out)
    assert (found["clips"], found["table"], found["counts"]["clips with labels"]) == (4, 6, 4)
    clips = read_training_set(out)
    assert [clip.name for clip in clips] == KEPT
    kept = [NAMES.index(name) for name in KEPT]
    assert [list(clip.labels) for clip in clips] == [LABELS[number] for number in kept]
    assert [clip.description for clip in clips] == [DESCRIPTIONS[number] for number in kept]
    assert [clip.subtitle_english for clip in clips] == [SUBTITLES[number] for number in kept]
    assert clips[0].subtitle_chinese == "好"
    assert [clip.video for clip in clips] == [out / "video" / f"{name}.mp4" for name in KEPT]
    assert (out / "audio" / "talk_0.wav").read_bytes() == (media / "talk_0.wav").read_bytes()

    allowed = ("--expected-counts", "any", "--allow", "unknown-word", "--face-detector", "none")
    assert main(["doctor", "--data", str(out), "--json", *allowed]) == 0
    checked = json.loads(capsys.readouterr().out)
    assert checked["sets"][0]["clips"] == 4, checked
    words = ["fit", "--config", str(TINY), "--data.train_root", str(out), "--data.validation_share", "0"]
    words += ["--data.crop_size", "16", "--data.frames", "1", "--trainer.max_steps", "1"]
    words += ["--trainer.enable_progress_bar", "false", "--trainer.logger.init_args.save_dir", str(tmp_path / "runs")]
    assert main(words) == 0, capsys.readouterr().err


def test_lines_are_a_table_of_ones_own(
    tmp_path: Path, table: Path, media: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "mine"
    annotate_json(capsys, "export", table, "--format", "jsonl", "--media", media, "--out", out)
    clips = read_own_table(out / "clips.jsonl")
    assert [clip.name for clip in clips] == KEPT
    assert [list(clip.labels) for clip in clips] == [LABELS[NAMES.index(name)] for name in KEPT]
    assert [clip.sentiment for clip in clips] == [1, -1, -1, 0]
    assert clips[0].video == out / "video" / "talk_0.mp4"
    assert clips[0].video.is_file()
    assert clips[0].description == DESCRIPTIONS[0]
    assert clips[0].subtitle_english == SUBTITLES[0]


def test_hugging_face_datasets_load_it(
    tmp_path: Path, table: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    datasets = pytest.importorskip("datasets")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_OFFLINE", True)
    out = tmp_path / "mine"
    more = ("--title", "mine: #1", "--license", "ours, 'for' research", "--all")
    annotate_json(capsys, "export", table, "--format", "datasets", "--out", out, *more)
    loaded = datasets.load_dataset(str(out), cache_dir=str(tmp_path / "cache"))["train"]
    assert loaded["name"] == NAMES
    assert [list(words) for words in loaded["labels"]] == LABELS
    assert loaded[0]["description"] == DESCRIPTIONS[0]
    assert loaded[3]["sentiment"] is None
    assert loaded.info.license in ("other", None, "")
    card = (out / "README.md").read_text(encoding="utf-8")
    assert "license_name: ours, 'for' research" in card


def test_conversations_have_a_mark_for_each_file(
    tmp_path: Path, table: Path, media: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The fields of LLaMA-Factory's data/README.md (sharegpt, multimodal) and of ms-swift's Custom-dataset page."""
    out = tmp_path / "mine"
    found = annotate_json(
        capsys, "export", table, "--format", "sharegpt", "--media", media, "--out", out, "--title", "t"
    )
    rows = lines_of(out / "conversations.jsonl")
    assert found["counts"]["conversations"] == len(rows) == 2 * len(KEPT), "both questions of the paper"
    for row in rows:
        assert [turn["from"] for turn in row["conversations"]] == ["human", "gpt"]
        texts = [turn["value"] for turn in row["conversations"]]
        for mark, files in (("<video>", row["videos"]), ("<audio>", row["audios"])):
            assert sum(text.count(mark) for text in texts) == len(files) == 1
        assert all((out / file).is_file() for file in (*row["videos"], *row["audios"]))
    question, answer = (turn["value"] for turn in rows[0]["conversations"])
    assert question.startswith("<video><audio>")
    assert "Well, [audio] never!" in question
    assert answer == DESCRIPTIONS[0].replace("<video>", "[video]")
    assert rows[1]["conversations"][1]["value"] == "The person feels happy and can’t wait."
    entry = json.loads((out / "dataset_info.json").read_text(encoding="utf-8"))["t"]
    assert entry["formatting"] == "sharegpt"
    assert (out / entry["file_name"]).is_file()
    assert all(column in rows[0] for column in entry["columns"].values())


def test_merr_has_the_fields_and_lists_of_emotion_llama(
    tmp_path: Path, table: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The fields of MERR_fine_grained.json and the lists in Emotion-LLaMA's docs/dataset/configuration.md."""
    out = tmp_path / "mine"
    annotate_json(capsys, "export", table, "--format", "merr", "--out", out)
    fine = json.loads((out / "MERR_fine_grained.json").read_text(encoding="utf-8"))
    coarse = json.loads((out / "MERR_coarse_grained.json").read_text(encoding="utf-8"))
    assert list(fine) == list(coarse) == KEPT
    assert fine["talk_0"]["smp_reason_caption"] == DESCRIPTIONS[0]
    assert coarse["talk_0"]["caption"] == 'a frown a low voice The person says: "Well, <audio> never!"'
    shared = {"AU_list", "visual_prior_list", "audio_prior_list", "peak_index", "peak_AU_list", "pseu_emotion", "text"}
    assert shared <= fine["talk_0"].keys() & coarse["talk_0"].keys()
    lines = (out / "MERR_fine_grained.txt").read_text(encoding="utf-8").splitlines()
    assert lines == ["talk_0 happy", "talk_1 sad", "talk_2 angry"], "wistful is none of the nine"
    transcript = (out / "transcription_en_all.csv").read_text(encoding="utf-8").splitlines()
    assert transcript[0] == "name,sentence"
    assert transcript[4] == 'talk_4,"It\'s, fine"'
    blank = table_of(tmp_path / "blank.parquet", name=["a b", *NAMES[1:]])
    assert main(["annotate", "export", str(blank), "--format", "merr", "--out", str(tmp_path / "none")]) == 2
    assert "1 clips have one in their name: a b" in capsys.readouterr().err


# --- preferences ---


def judgement(name: str, winner: str | None, rater: str = "r", *, again: bool = False) -> Judgement:
    return Judgement(Pair(name, "ours", f"ours of {name}", "theirs", f"theirs of {name}"), rater, winner, again)


VERDICTS = [
    *(judgement("talk_0", "theirs", rater) for rater in "ab"),
    judgement("talk_0", "ours", "c"),
    judgement("talk_0", "ours", "c", again=True),
    judgement("talk_1", None),
    judgement("talk_2", "ours"),
    judgement("talk_3", "ours"),
]


def test_pairs_of_verdicts(tmp_path: Path, table: Path, media: Path, capsys: pytest.CaptureFixture[str]) -> None:
    verdicts, out = tmp_path / "verdicts.csv", tmp_path / "pairs"
    write_judgements(verdicts, VERDICTS)
    words = ("export", table, "--format", "preferences", "--media", media, "--out")
    found = annotate_json(capsys, *words, out, "--verdicts", verdicts, "--title", "p")
    assert found["counts"] == {"pairs": 2, "undecided pairs left out": 1, "pairs of other clips left out": 1}
    first, second = lines_of(out / "preferences.jsonl")
    assert (first["chosen"]["value"], first["rejected"]["value"]) == ("theirs of talk_0", "ours of talk_0")
    assert (first["sources"], first["votes"]) == (["theirs", "ours"], [2, 1]), "a repeat is no further vote"
    assert second["chosen"] == {"from": "gpt", "value": "ours of talk_2"}
    assert [turn["from"] for turn in first["conversations"]] == ["human"]
    assert first["conversations"][0]["value"].count("<video>") == len(first["videos"]) == 1
    entry = json.loads((out / "dataset_info.json").read_text(encoding="utf-8"))["p"]
    assert entry["ranking"] is True
    assert all(column in first for column in entry["columns"].values())
    plain = lines_of(out / "preferences-messages.jsonl")
    assert [message["role"] for message in plain[0]["messages"]] == ["user", "assistant"]
    assert (plain[0]["messages"][1]["content"], plain[0]["rejected_response"]) == ("theirs of talk_0", "ours of talk_0")
    assert sorted(path.stem for path in (out / "video").iterdir()) == ["talk_0", "talk_2"]


def test_pairs_of_a_study_and_of_two_columns(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = table_of(
        tmp_path / "clips.parquet", good=[f"good {name}" for name in NAMES], bad=["bad", "", "bad", *NAMES[3:]]
    )
    store = ReviewStore.create(tmp_path / "s.sqlite", [one.pair for one in VERDICTS[3:6]], repeats=0)
    store.enter("r")
    while showing := store.next_of("r"):
        store.judge("r", showing.place, "left" if showing.left.startswith("ours") else "right")
    words = ("export", table, "--format", "preferences", "--out")
    annotate_json(capsys, *words, tmp_path / "study", "--study", store.path)
    rows = lines_of(tmp_path / "study" / "preferences.jsonl")
    assert {row["name"]: row["sources"] for row in rows} == {name: ["ours", "theirs"] for name in KEPT[:3]}
    found = annotate_json(capsys, *words, tmp_path / "columns", "--chosen", "good", "--rejected", "bad")
    assert found["counts"] == {"pairs": 3, "undecided pairs left out": 1}, "talk_1 has nothing to reject"
    for more, said in (
        ((), "--verdicts FILE, or --study"),
        (("--chosen", "good"), "--chosen COLUMN with --rejected COLUMN"),
        (("--chosen", "good", "--rejected", "good"), "no two different texts of one clip"),
    ):
        assert main(["annotate", *map(str, words), str(tmp_path / "no"), *more]) == 2
        assert said in capsys.readouterr().err
    with pytest.raises(DataError, match="1 are undecided, and 0 are of clips"):
        pairs_of_verdicts([judgement("talk_1", None)], NAMES)


# --- which clips, which files ---


def test_nothing_is_written_over_and_nothing_half_written(
    tmp_path: Path, table: Path, media: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "mine"
    words = ["annotate", "export", str(table), "--format", "jsonl", "--out", str(out)]
    (media_without := tmp_path / "few").mkdir()
    os.link(media / "talk_1.mp4", media_without / "talk_1.mp4")
    assert main([*words, "--media", str(media_without)]) == 2
    err = capsys.readouterr().err
    assert "3 of 4 clips have no file in" in err
    assert "talk_0" in err
    assert "--drop-missing" in err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["clips.parquet", "few"]
    found = annotate_json(capsys, *words[1:], "--media", media_without, "--drop-missing", "--link", "hard")
    assert (found["clips"], found["left_out"]) == (1, {"no file": 3})
    assert (out / "video" / "talk_1.mp4").stat().st_ino == (media / "talk_1.mp4").stat().st_ino
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    assert main(words) == 2
    assert "nothing is written over it" in capsys.readouterr().err
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before


def test_files_by_column_and_only_named(tmp_path: Path, media: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = [media / f"{name}.mp4" for name in NAMES]
    table = table_of(
        tmp_path / "clips.parquet",
        media=[os.path.relpath(files[0], tmp_path), str(media / "talk_1.wav"), *map(str, files[2:])],
    )
    out = tmp_path / "mine"
    annotate_json(capsys, "export", table, "--format", "jsonl", "--link", "none", "--out", out)
    rows = {row["name"]: row for row in lines_of(out / "clips.jsonl")}
    assert rows["talk_0"]["video"] == str(files[0].resolve())
    assert (rows["talk_1"]["video"], rows["talk_1"]["audio"]) == ("", str((media / "talk_1.wav").resolve()))
    assert not (out / "video").exists()
    sheet = (out / "datasheet.md").read_text(encoding="utf-8")
    assert "| seconds of a clip | 1.1 +- 0.1 |" in sheet, "of the videos, and of the one sound"


@pytest.mark.parametrize(
    ("columns", "more", "said"),
    [
        ({"kept.length": [False] * 6}, (), "the filters dropped all 6 clips"),
        ({"name": ["../talk", *NAMES[1:]]}, (), "1 clips have names that cannot be names of files: ../talk"),
        ({"description": [""] * 6, "labels": [[]] * 6}, (), "No clip has a description or labels"),
        ({"description": list(range(6))}, (), "Expected texts in the columns to export; the clip talk_0 has 0"),
        ({}, ("--labels", "words"), "no column 'words'"),
        ({}, ("--wheel", "9"), "Choose a wheel from 1 to"),
        ({}, ("--verdicts", "file.csv"), "Add --format preferences"),
        ({}, ("--media", "nowhere"), "There is no folder nowhere with the clips"),
    ],
)
def test_mistakes_are_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], columns: dict[str, Any], more: Sequence[str], said: str
) -> None:
    table, out = table_of(tmp_path / "clips.parquet", **columns), tmp_path / "mine"
    code = main(["annotate", "export", str(table), "--format", "jsonl", "--out", str(out), *more])
    assert code == 2
    assert said in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["clips.parquet"]


# --- the datasheet ---


def test_counts_at_each_stage() -> None:
    table = ClipTable.of_columns(
        {
            "name": list("abcd"),
            "kept.late": [False, False, True, None],
            "kept.early": [True, False, True, False],
        },
        [StageRecord("early", columns=("kept.early",)), StageRecord("late", columns=("kept.late",))],
    )
    tally = TableTally(table.columns, table.records)
    tally.add(table)
    assert tally.stages == [StageCount("early", 2, 0, 2), StageCount("late", 2, 1, 1)]


def test_labels_by_sector_against_the_taxonomy() -> None:
    taxonomy = Taxonomy.builtin()
    found = labels_by_sector({"happy": 3, "calm": 1, "sad": 2, "lonely": 1, "no such word": 9}, taxonomy, 1)
    assert found == {"happy": {"happy": 3, "calm": 1}, "sad": {"sad": 2, "lonely": 1}}


def test_the_datasheet_in_a_browser_with_hostile_texts(
    tmp_path: Path, media: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """No text of the table or of the user is mark-up, in either form; the figures are drawn, and nothing is loaded."""
    hostile = f"{HOSTILE} [a](javascript:b) `c` $x$ | 高兴"
    table = table_of(tmp_path / "clips.parquet", labels=[[hostile, "happy"], *LABELS[1:]])
    out = tmp_path / "mine"
    annotate_json(
        capsys, "export", table, "--format", "sharegpt", "--media", media, "--out", out,
        "--title", hostile, "--use", "research", "--license", hostile, "--taxonomy", "builtin",
    )  # fmt: skip
    sheet = (out / "datasheet.md").read_text(encoding="utf-8")
    assert "<script" not in sheet
    assert "<img" not in sheet
    assert "[a](" not in sheet.replace(r"\[a\](", "")
    assert "| length | 1 | 0 | 4 |" in sheet
    assert "| speaker | 1 | 1 | 5 |" in sheet
    assert re.search(r"- \*\*speaker detector:\*\* sync \\\| v1", sheet)
    assert "No votes check the emotion of the descriptions" in sheet
    assert "**Intended use:** research" in sheet
    for figure in ("stages", "lengths", "labels", "durations", "wheel"):
        assert (out / "figures" / f"{figure}.svg").read_text(encoding="utf-8").count("<path") > 3
        assert f"![{figure}](figures/{figure}.svg)" in sheet
    with opened_browser(tmp_path) as page:
        page.open((out / "datasheet.html").as_uri())
        assert page.messages == []
        assert page.value("document.title").startswith("Datasheet: </p><script>")
        assert page.value("[...document.images].map(image => image.naturalWidth > 100)") == [True] * 5
        assert page.value("document.querySelectorAll('script').length") == 0
        assert page.value("document.documentElement.scrollWidth <= document.documentElement.clientWidth") is True
        assert all(request.startswith(("file:", "data:")) for request in page.requests)


# --- the page ---


def test_the_commands_of_the_page_run(
    tmp_path: Path, media: Path, repository: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("CLIPS").symlink_to(media)
    labels = [["happy"], ["sad"], ["angry", "worried"], ["sad"], ["happy"], ["calm"]]
    better, worse = ([f"{word} {name}" for name in NAMES] for word in ("better", "worse"))
    table_of(Path("clips.parquet"), labels=labels, better=better, worse=worse)
    write_judgements(Path("verdicts.csv"), VERDICTS)
    store = ReviewStore.create(Path("study.sqlite"), [VERDICTS[0].pair], repeats=0)
    store.enter("ann")
    store.judge("ann", 0, "left")
    page = (repository / "docs" / "annotation_export.md").read_text(encoding="utf-8")
    commands = re.findall(r"^    affect-lightning (.+)$", page, re.MULTILINE)
    assert len(commands) == 5
    for command in commands:
        assert main(shlex.split(command)) == 0, f"{command}: {capsys.readouterr().err}"
    assert set(re.findall(r"^\| `(\w+)` \| ", page, re.MULTILINE)) == set(FORMATS)
    assert [len(lines_of(Path(folder, "preferences.jsonl"))) for folder in ("pairs", "pairs-of-study")] == [2, 1]
