"""`affect-lightning pack`: killed at any moment it goes on without losing or repeating a clip; mistakes are told."""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from affect_lightning.command_line.program import main
from affect_lightning.contracts import ClipRecord
from affect_lightning.data.clip_data_module import ClipDataModule
from affect_lightning.errors import ConfigurationError, DataError
from affect_lightning.packed_sets.layout import MANIFEST, STAGING, Manifest
from affect_lightning.packed_sets.packed_clips import open_packed_set
from affect_lightning.packed_sets.packing import Packing, pack_clips
from affect_lightning.storage import Part
from clip_making import write_test_set, write_training_set
from patience import LONGEST
from streaming_cases import pack_tiny, tiny_records

pytest.importorskip("litdata", reason="litdata is not installed: pip install 'affect-lightning[streaming]'")

NAMES = [f"sample_{index:03}" for index in range(6)]
MakeModule = Callable[..., ClipDataModule]
KILLS = int(os.environ.get("AFFECT_PACK_KILLS", "2"))


def names_in(folder: Path) -> list[str]:
    clips = open_packed_set(str(folder), cache_folder=folder)
    return [clips.open(index)[0].name for index in range(len(clips))]


def test_killed_at_random_moments_it_loses_and_repeats_nothing(tmp_path: Path) -> None:
    count = 400
    folder, whole = tmp_path / "killed", tmp_path / "whole"
    context = multiprocessing.get_context("forkserver")
    drawn = random.Random(7)
    reached: list[int] = []
    for _ in range(KILLS):
        shards = len(list(folder.glob("chunk-*")))
        wanted = shards + drawn.randint(0, max(1, (80 - shards) // 4))
        halt = min(5 * (wanted + 4), count - 1)  # five clips a shard: it never gets through before it is killed
        process = context.Process(target=pack_tiny, args=(folder, count, halt))
        process.start()
        until = time.monotonic() + LONGEST
        while len(list(folder.glob("chunk-*"))) < wanted and process.is_alive() and time.monotonic() < until:
            time.sleep(0.001)
        time.sleep(drawn.random() * 0.01)
        assert process.pid is not None
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        reached.append(len(list(folder.glob("chunk-*"))))
        assert not (folder / MANIFEST).exists()
    assert reached == sorted(reached)
    assert reached[-1] > 0
    pack_tiny(folder, count)
    pack_tiny(whole, count)
    assert names_in(folder) == [f"clip{index:06}" for index in range(count)]
    for path in whole.iterdir():
        assert (folder / path.name).read_bytes() == path.read_bytes(), path.name
    assert sorted(path.name for path in folder.iterdir()) == sorted(path.name for path in whole.iterdir())


def test_a_killed_part_goes_on_and_a_killed_merge_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, whole, count = tmp_path / "parts", tmp_path / "whole", 110
    place = folder / STAGING / "parts" / "2-of-3"
    process = multiprocessing.get_context("forkserver").Process(target=pack_tiny, args=(folder, count, 85, "2/3"))
    process.start()
    until = time.monotonic() + LONGEST
    while len(list(place.glob("chunk-*"))) < 4 and process.is_alive() and time.monotonic() < until:
        time.sleep(0.001)
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    assert process.exitcode == -signal.SIGKILL
    for part in ("3/3", "2/3", "1/3"):
        pack_tiny(folder, count, part=part)
    packing = Packing(tiny_records(count), folder, shard_bytes=1000, range_clips=20)
    move, moved = os.replace, 0

    def stop_after_five(source: Path, target: Path) -> None:
        nonlocal moved
        move(source, target)
        if Path(target).parent == folder and Path(target).name.startswith("chunk-"):
            moved += 1
            if moved == 5:
                raise KeyboardInterrupt  # the shard has its name, and the journal has no line of it

    monkeypatch.setattr(os, "replace", stop_after_five)
    with pytest.raises(KeyboardInterrupt):
        packing.merge()
    monkeypatch.undo()
    manifest = packing.merge()
    pack_tiny(whole, count)
    assert manifest.clips == count
    assert names_in(folder) == [f"clip{index:06}" for index in range(count)]
    for path in whole.iterdir():
        assert (folder / path.name).read_bytes() == path.read_bytes(), path.name
    assert sorted(path.name for path in folder.iterdir()) == sorted(path.name for path in whole.iterdir())


def test_a_part_that_lost_a_shard_is_named(tmp_path: Path) -> None:
    packing = Packing(tiny_records(50), tmp_path / "set", shard_bytes=1000, range_clips=20)
    for part in ("1/2", "2/2"):
        packing.part(Part.parse(part))
    place = tmp_path / "set" / STAGING / "parts" / "2-of-2"
    (place / "chunk-0-1.bin").unlink()
    with pytest.raises(DataError, match=r"Delete .*2-of-2 and run that part again: its shard chunk-0-1.bin is missing"):
        packing.merge()
    shutil.rmtree(place)
    packing.part(Part.parse("2/2"))
    assert packing.merge().clips == 50


def test_no_shard_has_clips_of_two_ranges(tmp_path: Path) -> None:
    manifest = Packing(tiny_records(50), tmp_path / "set", range_clips=20).whole()
    assert [shard.clips for shard in manifest.shards] == [20, 20, 10]
    with pytest.raises(ConfigurationError, match="A range must have at least 1 clip; got 0"):
        Packing(tiny_records(3), tmp_path / "none", range_clips=0)


def journal_of(folder: Path) -> Path:
    return folder / STAGING / "journal.jsonl"


def interrupted(folder: Path, clips: list[ClipRecord], after: int) -> None:
    """Pack until the clip `after` is asked for."""
    from affect_lightning.packed_sets.layout import Payload, media_parts

    def parts(position: int, clip: ClipRecord) -> Any:
        if position == after:
            raise KeyboardInterrupt
        return media_parts(position, clip)

    with pytest.raises(KeyboardInterrupt):
        pack_clips(clips, folder, payload=Payload("media", parts), shard_bytes=1000)


def test_a_line_that_was_cut_off_is_written_again(tmp_path: Path) -> None:
    clips = tiny_records(100)
    interrupted(tmp_path / "set", clips, 60)
    journal = journal_of(tmp_path / "set")
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join(lines[:-1]) + lines[-1][:40])  # its shard lies there, the note is torn
    manifest = pack_clips(clips, tmp_path / "set", shard_bytes=1000)
    assert manifest.clips == 100
    assert names_in(tmp_path / "set") == [clip.name for clip in clips]
    assert not (tmp_path / "set" / STAGING).exists()


def test_an_unfinished_pack_is_only_finished_with_the_same_request(tmp_path: Path) -> None:
    clips = tiny_records(100)
    interrupted(tmp_path / "set", clips, 60)
    with pytest.raises(DataError, match=r"unfinished pack of something else \(shard_bytes 1000 -> 2000\)"):
        pack_clips(clips, tmp_path / "set", shard_bytes=2000)
    with pytest.raises(DataError, match=r"unfinished pack of something else \(clips 100 -> 99; names "):
        pack_clips(clips[:99], tmp_path / "set", shard_bytes=1000)
    (tmp_path / "set" / "chunk-0-1.bin").write_bytes(b"")
    with pytest.raises(DataError, match=r"The shard .*chunk-0-1.bin should have \d+ bytes and has 0"):
        pack_clips(clips, tmp_path / "set", shard_bytes=1000)


def test_a_finished_pack_is_left_alone(tmp_path: Path) -> None:
    clips = tiny_records(30)
    first = pack_clips(clips, tmp_path / "set")
    changed = {path: path.stat().st_mtime_ns for path in (tmp_path / "set").iterdir()}
    assert pack_clips(clips, tmp_path / "set") == first
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "set").iterdir()} == changed
    with pytest.raises(DataError, match="holds another packed set"):
        pack_clips(clips[:-1], tmp_path / "set")
    assert Manifest.from_json(first.to_json(), "here") == first


def test_folders_in_use_are_refused(tmp_path: Path) -> None:
    from filelock import FileLock

    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.tex").write_text("do not touch", encoding="utf-8")
    with pytest.raises(DataError, match="is not empty and holds no packed set"):
        pack_clips(tiny_records(3), tmp_path / "full")
    (tmp_path / "held" / STAGING).mkdir(parents=True)
    with (
        FileLock(tmp_path / "held" / STAGING / "lock"),
        pytest.raises(DataError, match="Another process is packing into"),
    ):
        pack_clips(tiny_records(3), tmp_path / "held")
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(DataError, match="cannot be written"):
        pack_clips(tiny_records(3), tmp_path / "file" / "set")
    with pytest.raises(ConfigurationError, match="There are no clips to pack"):
        pack_clips([], tmp_path / "none")
    with pytest.raises(ConfigurationError, match="A shard's size must be"):
        pack_clips(tiny_records(3), tmp_path / "none", shard_bytes=2**40)


# --- the command, and training from what it wrote ---


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("corpus")
    write_training_set(root, NAMES)
    folder = write_test_set(root, ["test_1"])
    (folder / "label.csv").write_text("name,discrete\ntest_1,happy\n", encoding="utf-8")
    return root


def pack_words(corpus: Path, folder: Path) -> list[str]:
    config = str(Path(__file__).parent / "tiny.yaml")
    return ["pack", "--config", config, "--out", str(folder), "--shard-size", "20KB", "--data.train_root", str(corpus)]


@pytest.fixture(scope="module")
def packed(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("packed") / "set"
    arguments = pack_words(corpus, folder)
    assert main([*arguments, "--data.exclude_nothing", "1"]) == 2  # an unknown option of fit
    assert main(arguments) == 0
    return folder


@pytest.fixture
def make_module() -> MakeModule:
    def make(**options: Any) -> ClipDataModule:
        plain: dict[str, Any] = {"face_detector": "none", "frames": 2, "crop_size": 16, "validation_share": 0.4}
        return ClipDataModule(**{**plain, "batch_size": 2, **options})

    return make


def test_the_command_says_what_it_wrote(corpus: Path, packed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = [*pack_words(corpus, packed), "--json"]
    capsys.readouterr()
    assert main(words) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["clips"] == 6
    assert result["unreadable"] == []
    assert result["shards"] == len(list(packed.glob("chunk-*"))) > 1
    assert main([*words, "--shard-size", "large"]) == 2
    assert "--shard-size must be a size such as 64MB or 20GB; got 'large'" in capsys.readouterr().err


def test_the_split_is_that_of_the_folders(corpus: Path, packed: Path, make_module: MakeModule) -> None:
    listed, streamed = make_module(train_root=corpus), make_module(packed=str(packed))
    for module in (listed, streamed):
        module.setup("fit")
    for split in ("train", "validation"):
        clips = streamed.records[split]
        assert [clips.open(index)[0].name for index in range(len(clips))] == [
            clip.name for clip in listed.records[split]
        ]
    assert [batch.names for batch in streamed.val_dataloader()] == [batch.names for batch in listed.val_dataloader()]
    met = sorted(name for batch in streamed.train_dataloader() for name in batch.names)
    assert met == sorted(clip.name for clip in listed.records["train"])
    assert streamed.counts()["train"]["clips"] == len(met)


def test_a_selection_is_made_when_packing(packed: Path, make_module: MakeModule) -> None:
    module = make_module(packed=str(packed), limit_train_clips=3)
    with pytest.raises(ConfigurationError, match=r"data.limit_train_clips is 3, but the packed set was made with None"):
        module.setup("fit")
    module = make_module(packed=str(packed), length_pool=2)
    module.setup("fit")
    with pytest.raises(ConfigurationError, match="Set data.length_pool to 0 with data.packed"):
        module.train_dataloader()


def test_test_clips_are_kept_out(corpus: Path, packed: Path, make_module: MakeModule, tmp_path: Path) -> None:
    write_test_set(tmp_path, [NAMES[2]])
    label = tmp_path / "mer2024-dataset-process" / "label.csv"
    label.write_text(f"name,discrete\n{NAMES[2]},happy\n", encoding="utf-8")
    with pytest.raises(DataError, match=rf"{NAMES[2]}.* \(1 of 6 packed clips\) are test clips of"):
        make_module(packed=str(packed), benchmark_root=tmp_path).setup("fit")
    module = make_module(packed=str(packed), benchmark_root=tmp_path, test_overlap="drop", validation_share=0.0)
    module.setup("fit")
    clips = module.records["train"]
    assert [clips.open(index)[0].name for index in range(len(clips))] == [*NAMES[:2], *NAMES[3:]]
