"""The commands of the pages, twice in one folder: nothing of the first time is lost or changed by the second.

What only shows something is run once. A command may refuse its second time, with one sentence, as `export` does to a
folder that is there. The parts are tiny and random, so a training takes a second; what the commands print is looked at in
`test_readme_commands.py`.
"""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from affect_lightning.command_line.program import main
from page_blocks import page_commands, page_python
from run_cases import contents
from test_readme_commands import TINY, as_a_user, place_of
from training_runs import Run

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

# `test_readme_commands.py` runs it, in two processes.
SKIPPED = ("torchrun",)
# Kept between runs on purpose, and only added to.
CACHES = ("face_boxes", "user-cache")
EXPERIMENTS = ("sandbox", "affectgpt")
CORPUS_SIZE = ["--clips", "8", "--test-clips", "2"]  # of the fixture `corpus`, which stands in the folder
PAGES = {
    "docs/commands.md": 20,
    "docs/training.md": 4,
    "docs/reports.md": 3,
    "docs/python.md": 1,
}  # least number of commands that are run
# The other pages, in one process. A page says what cannot run in a clone (`page_blocks.py`).
OTHER_PAGES = {
    "docs/architecture.md": 1,
    "docs/data.md": 12,
    "docs/doctor.md": 2,
    "docs/encoders.md": 1,
    "docs/explanation.md": 1,
    "docs/faces.md": 2,
    "docs/feature_cache.md": 3,
    "docs/fusions.md": 2,
    "docs/howto_faces.md": 4,
    "docs/howto_install.md": 3,
    "docs/howto_nan_loss.md": 3,
    "docs/howto_real_data.md": 9,
    "docs/howto_resume.md": 2,
    "docs/howto_scores.md": 6,
    "docs/howto_weights.md": 1,
    "docs/label_extractors.md": 1,
    "docs/language_models.md": 2,
    "docs/many_machines.md": 3,
    "docs/plugins.md": 1,
    "docs/results.md": 4,
    "docs/sandbox.md": 1,
    "docs/streaming.md": 2,
    "docs/systems.md": 2,
    "docs/tables.md": 1,
    "docs/taxonomy.md": 1,
    "docs/tutorial.md": 13,
}


# Its Python belongs to packages of their own, which `test_docs_plugins.py` makes.
PYTHON_RUN_ELSEWHERE = ("docs/plugins.md",)


def in_small(command: str, folder: Path) -> list[str]:
    """The command's words, with tiny parts in the place of the experiments and of the demo's sizes."""
    words = [place_of(word, folder) for word in shlex.split(command)][1:]
    small = [
        f"{word}.yaml" if before == "--config" and word in EXPERIMENTS else word
        for before, word in zip(["", *words], words, strict=False)
    ]
    sizes = {
        "sandbox": CORPUS_SIZE if "sandbox-data" in words else ["--clips", "2", "--test-clips", "1"],
        "demo": ["--config", "sandbox.yaml", "--clips", "6", "--test-clips", "2", "--steps", "2"],
    }
    return [*small, *sizes.get(words[0], [])]


def writes(words: list[str]) -> bool:
    """Whether a command can change a file: one that only shows something is not run a second time."""
    shows = words[0] in ("--help", "--version", "summary", "experiments") or "--list" in words
    return not (
        shows or (words[0] == "plugins" and "new" not in words) or any(word.endswith(".help") for word in words)
    )


def prepared(folder: Path, corpus: Path) -> None:
    """Experiments with tiny parts, the reader's own table, a corpus and a clip of it."""
    shutil.copytree(corpus, folder / "sandbox-data")
    shutil.copy(next((corpus / "mer-caption-plus" / "video").glob("*.mp4")), folder / "clip.mp4")
    tiny = TINY.read_text(encoding="utf-8")
    for name in EXPERIMENTS:
        text = tiny.replace("name: tiny}", f"name: {name}}}").replace("max_steps: 4", "max_steps: 2")
        (folder / f"{name}.yaml").write_text(text, encoding="utf-8")
    rows = "name,text,description,video\nt1,Hello.,She is happy.,clip.mp4\nt2,No.,He is sad.,clip.mp4\n"
    (folder / "talks.csv").write_text(rows, encoding="utf-8")
    for name, column in (("labels", "labels"), ("predictions", "response")):
        words = "".join(f"t{number},{word}\n" for number, word in enumerate(("happy", "sad", "angry")))
        (folder / f"{name}.csv").write_text(f"name,{column}\n{words}", encoding="utf-8")


def ends_well(command: str, folder: Path, log: Path, codes: tuple[int, ...]) -> None:
    environment = {"AFFECT_CPU_BF16": "off", "AFFECT_LIGHTNING_CACHE": str(folder / "user-cache")}
    run = Run(in_small(command, folder), log, environment, partial(as_a_user, str(folder)))
    code = run.end()
    assert code in codes, f"{command}: exit code {code}\n{run.text()}"
    assert code == 0 or "affect-lightning: error: " in run.text()
    assert "Traceback" not in run.text()


@pytest.fixture(scope="module")
def tested_runs(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder in which two runs of `sandbox` were trained and tested."""
    root = tmp_path_factory.mktemp("tested")
    folder = root / "folder"
    folder.mkdir()
    prepared(folder, corpus)
    for number in (0, 1):
        ends_well("affect-lightning fit --config sandbox", folder, root / "log", (0,))
        checkpoint = f"runs/sandbox/version_{number}/checkpoints/last.ckpt"
        ends_well(f"affect-lightning test --config sandbox --ckpt_path {checkpoint}", folder, root / "log", (0,))
    return folder


def set_up(page: str, folder: Path, corpus: Path, tested_runs: Path) -> None:
    """What a page takes for granted: a corpus and, to compare runs, two tested ones in each of its experiments."""
    if page == "docs/training.md":
        prepared(folder, corpus)
        return
    shutil.copytree(tested_runs, folder, dirs_exist_ok=True)
    if page == "docs/reports.md":
        for name in "ab":
            shutil.copytree(folder / "runs" / "sandbox" / "version_0", folder / "runs" / name / "version_0")


@pytest.mark.parametrize("page", PAGES)
def test_a_second_time_changes_nothing_of_the_first(page: str, corpus: Path, tested_runs: Path, tmp_path: Path) -> None:
    folder, logs = tmp_path / "folder", tmp_path / "logs"
    folder.mkdir()
    logs.mkdir()
    set_up(page, folder, corpus, tested_runs)
    commands = [line for line in page_commands(page) if not any(word in line for word in SKIPPED)]
    assert len(commands) >= PAGES[page]
    for number, command in enumerate(commands):
        # A page shows some commands twice, such as a report into one folder.
        twice = any(in_small(command, folder) == in_small(other, folder) for other in commands[:number])
        writes_out = "--out comparison" in command and any("--out comparison" in other for other in commands[:number])
        ends_well(command, folder, logs / f"first-{number}", (0, 2) if twice or writes_out else (0,))
    before = contents(folder)
    for number, command in enumerate(commands):
        if writes(in_small(command, folder)):
            ends_well(command, folder, logs / f"second-{number}", (0, 2))
    after = contents(folder)
    lost = [name for name, value in before.items() if after.get(name) != value and not any(c in name for c in CACHES)]
    assert lost == []


def readers_files(folder: Path, corpus: Path) -> None:
    """What the reader of docs/data.md and docs/results.md has: tables of the trade, clips, folders; text alone."""
    prepared(folder, corpus)
    for place in ("clips/one.mp4", "more/two.mp4"):
        (folder / place).parent.mkdir()
        shutil.copy(folder / "clip.mp4", folder / place)
    words = ("happy", "sad", "angry")
    utterances = "".join(f"0,{number},Hello.,{word},neutral\n" for number, word in enumerate(words))
    polarities = "".join(
        f"v,{number},Hello.,{value},{mode}\n" for number, value in enumerate((-1, 1)) for mode in ("train", "test")
    )
    responses = "".join(
        f"{name}{number},She is {word}.\n" for name in ("dia0_utt", "v_") for number, word in enumerate(words)
    )
    tables = {
        "talks.csv": "clip,said,emotion,name,text,labels\n" + "".join(f"{w},Hi.,{w},{w},Hi.,{w}\n" for w in words),
        "train_sent_emo.csv": "Dialogue_ID,Utterance_ID,Utterance,Emotion,Sentiment\n" + utterances,
        "test_sent_emo.csv": "Dialogue_ID,Utterance_ID,Utterance,Emotion,Sentiment\n" + utterances,
        "label.csv": "video_id,clip_id,text,label,mode\n" + polarities,
        "responses.csv": "name,response\n" + responses,
        "clips.csv": "name,video\none,clips/one.mp4\n",
        "infer_result/20260101.jsonl": "".join(f'{{"response": "{w}", "videos": ["t{n}.mp4"]}}\n' for n, w in enumerate(words)),
    }  # fmt: skip
    for name, text in tables.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    tiny = (
        TINY.read_text(encoding="utf-8")
        .replace("name: tiny}", "name: text_only}")
        .replace("max_steps: 4", "max_steps: 2")
    )
    text_only = tiny.replace("model:\n", "model:\n  inputs: [text]\n").replace(
        "data:\n", "data:\n  test_sets: [meld]\n"
    )
    (folder / "text_only.yaml").write_text(text_only, encoding="utf-8")


def as_a_shell(word: str, folder: Path) -> list[str]:
    """A pattern's files; a list, which the page quotes, stays."""
    found = (
        sorted(str(path.relative_to(folder)) for path in folder.glob(word)) if "*" in word and word[0] != "[" else []
    )
    return found or [word]


def page_words(page: str, folder: Path) -> Iterator[list[str]]:
    """Commands of a page for one process: no place of the page is left, and `$DATA` is written out."""
    places = {"TRAIN": "sandbox-data", "BENCH": "sandbox-data", "FILE": "responses.csv", "CONFIG": "sandbox"}
    corpus = "--data.train_root sandbox-data --data.benchmark_root sandbox-data"
    for command in page_commands(page):
        whole = command.replace("$DATA", corpus)
        words = [places.get(word, word) for word in in_small(whole, folder)]
        words = [found for word in words for found in as_a_shell(word, folder)]
        yield [f"{word}.yaml" if before == "--config" and word == "text_only" else word
               for before, word in zip(["", *words], words, strict=False)]  # fmt: skip


def ends(words: list[str], capsys: pytest.CaptureFixture[str]) -> int:
    try:
        code = main(words)
    except SystemExit as error:  # argparse
        code = error.code if isinstance(error.code, int) else 1
    told = capsys.readouterr()
    assert code in (0, 2), f"{shlex.join(words)}: {code}\n{told.err[-3000:]}"
    assert code == 0 or "error: " in told.err, shlex.join(words)
    return code


@pytest.fixture(scope="module")
def readers_folder(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The reader's files with a finished run and its export."""
    folder = tmp_path_factory.mktemp("reader")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        readers_files(folder, corpus)
        assert main(["fit", "--config", "sandbox.yaml"]) == 0
        assert main(["export", "runs/sandbox/version_0/checkpoints/last.ckpt", "exported"]) == 0
    return folder


@pytest.mark.parametrize("page", OTHER_PAGES)
def test_the_other_pages_twice(
    page: str,
    readers_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    shutil.copytree(readers_folder, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AFFECT_LIGHTNING_CACHE", str(tmp_path / "user-cache"))
    commands = list(page_words(page, tmp_path))
    codes = [ends(words, capsys) for words in commands]
    namespace: dict[str, object] = {"__name__": "__main__"}
    for block in page_python(page) if page not in PYTHON_RUN_ELSEWHERE else ():
        exec(compile("\n".join(block.lines), f"{page}:{block.line}", "exec"), namespace)
    told = [shlex.join(words) for words, code in zip(commands, codes, strict=True) if code]
    assert codes.count(0) >= OTHER_PAGES[page], told
    before = contents(tmp_path)
    for words in filter(writes, commands):
        ends(words, capsys)
    after = contents(tmp_path)
    lost = [name for name, value in before.items() if after.get(name) != value and not any(c in name for c in CACHES)]
    assert lost == []
