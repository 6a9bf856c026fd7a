"""Feature caches in object storage: whole objects only, several machines, and training from what lies there.

`memory://` and `file://` stand for `s3://` and `gs://`: fsspec treats all of them alike.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from affect_lightning.command_line.program import main
from affect_lightning.errors import ConfigurationError, DataError
from affect_lightning.storage import CACHE_VARIABLE, ObjectFolder
from clip_making import write_clip, write_training_set
from training_runs import Run

fsspec = pytest.importorskip("fsspec")
NAMES = [f"sample_{index:03}" for index in range(7)]
TINY = str(Path(__file__).parent / "tiny.yaml")


@pytest.fixture
def memory() -> Iterator[Any]:
    system = fsspec.filesystem("memory")
    yield system
    system.rm("/bucket", recursive=True) if system.exists("/bucket") else None


def objects(system: Any, root: str = "/bucket") -> dict[str, bytes]:
    return {name.split(root, 1)[1]: system.cat_file(name) for name in system.find(root)}


def write(folder: Path, **contents: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        (folder / name.replace("_", ".")).write_text(content, encoding="utf-8")


def test_what_is_new_goes_up_and_what_is_missing_comes_down(memory: Any, tmp_path: Path) -> None:
    first = ObjectFolder("memory://bucket/caches/", tmp_path / "first")
    write(tmp_path / "first" / "a", cache_json="{}", shard_bin="12", shard_jsonl="[2]", writing_lock="")
    first.send()
    assert objects(memory) == {
        "/caches/a/cache.json": b"{}",
        "/caches/a/shard.bin": b"12",
        "/caches/a/shard.jsonl": b"[2]",
    }
    second = ObjectFolder("memory://bucket/caches", tmp_path / "second")
    second.fetch("*/cache.json")
    assert [path.name for path in (tmp_path / "second" / "a").iterdir()] == ["cache.json"]
    second.fetch("*")
    assert (tmp_path / "second" / "a" / "shard.bin").read_text(encoding="utf-8") == "12"
    write(tmp_path / "second" / "a", shard_bin="1234", shard_jsonl="[4]")  # not sent yet: a fetch does not undo it
    second.fetch("*")
    assert (tmp_path / "second" / "a" / "shard.bin").read_text(encoding="utf-8") == "1234"
    second.send()
    first.fetch("*")
    assert (tmp_path / "first" / "a" / "shard.bin").read_text(encoding="utf-8") == "1234"
    second.remove("a")
    first.fetch("*")
    assert objects(memory) == {}
    assert not (tmp_path / "first" / "a" / "shard.bin").exists()


def test_features_go_before_the_journal_that_speaks_of_them(
    memory: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While a shard is sent, its process goes on writing; then the link breaks."""
    folder = ObjectFolder("memory://bucket/x", tmp_path)
    write(tmp_path, shard_bin="12", shard_jsonl="[2]", part_json="begun")
    kind, upload = type(memory), type(memory).put_file

    def grow(self: Any, source: str, target: str, **more: Any) -> None:
        write(tmp_path, shard_bin="1234", shard_jsonl="[4]")
        upload(self, source, target, **more)

    monkeypatch.setattr(kind, "put_file", grow)
    folder.send()
    assert objects(memory)["/x/shard.jsonl"] == b"[2]"
    assert len(objects(memory)["/x/shard.bin"]) >= 2
    monkeypatch.setattr(kind, "put_file", upload)
    folder.send()  # what grew meanwhile is noticed
    assert objects(memory) == {"/x/shard.jsonl": b"[4]", "/x/shard.bin": b"1234", "/x/part.json": b"begun"}

    def broken(self: Any, source: str, target: str, **more: Any) -> None:
        raise ConnectionResetError("the link is broken")

    monkeypatch.setattr(kind, "put_file", broken)
    write(tmp_path, shard_bin="123456", shard_jsonl="[6]", part_json="finished")
    with pytest.raises(DataError, match=r"Check the address, the keys .* memory://bucket/x .*ConnectionResetError"):
        folder.send()
    assert objects(memory) == {"/x/shard.jsonl": b"[4]", "/x/shard.bin": b"1234", "/x/part.json": b"begun"}
    monkeypatch.setattr(kind, "put_file", upload)
    folder.send()
    assert objects(memory)["/x/part.json"] == b"finished"


def test_addresses_that_nothing_serves_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(
        ConfigurationError, match=r"Give an address that fsspec knows, such as s3://bucket/features: star://x"
    ):
        ObjectFolder("star://x", tmp_path).fetch("*")

    def missing(address: str) -> None:
        raise ImportError("Install s3fs to access S3")

    monkeypatch.setattr(fsspec, "url_to_fs", missing)
    with pytest.raises(
        ConfigurationError, match=r"Run `pip install 'affect-lightning\[cloud\]'`: s3://b/x needs a library"
    ):
        ObjectFolder("s3://b/x", tmp_path).fetch("*")


# --- the commands ---


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    def make(path: Path) -> None:
        write_clip(path, range(160 * int(path.stem[-3:]), 2000, 200))

    return write_training_set(tmp_path_factory.mktemp("corpus"), NAMES, make)


def words(command: str, corpus: Path, out: Path, features: str, *more: str) -> list[str]:
    return [
        *(command, "--config", TINY, "--data.train_root", str(corpus), "--data.cache_folder", str(out / "boxes")),
        *("--data.crop_size", "16", "--data.frames", "1", "--trainer.precision", "32-true"),
        *("--data.feature_folder", features, "--data.validation_share", "0", *more),
    ]


def test_a_training_reads_what_another_machine_has_cached(
    memory: Any, corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    place = "memory://bucket/features"
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "one"))
    assert main(words("cache", corpus, tmp_path, place, "--batch-size", "2")) == 0
    there = objects(memory)
    assert {name.rsplit("/", 1)[1] for name in there} == {"cache.json", "shard-000-0000.bin", "shard-000-0000.jsonl"}
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "two"))
    assert main(words("cache", corpus, tmp_path, "memory://bucket/nothing", "--batch-size", "0")) == 2
    fit = ("--data.features", "cached", "--trainer.max_steps", "1", "--trainer.enable_progress_bar", "false")
    run = ("--trainer.logger.init_args.save_dir", str(tmp_path / "runs"))
    assert main(words("fit", corpus, tmp_path, place, *fit, *run)) == 0
    shutil.rmtree(tmp_path / "two")
    capsys.readouterr()
    assert main(words("cache", corpus, tmp_path, place, "--batch-size", "2", "--json")) == 0
    assert json.loads(capsys.readouterr().out)["already_there"] == len(NAMES)
    assert objects(memory) == there
    (cache,) = {name.split("/")[2] for name in there}
    assert main(words("cache", corpus, tmp_path, f"{place}/{cache}")) == 2
    assert "Give the address above it" in capsys.readouterr().err
    assert main(words("fit", corpus, tmp_path, "memory://bucket/empty", *fit, *run)) == 2
    assert "There is no feature cache in memory://bucket/empty" in capsys.readouterr().err


def test_machines_without_a_common_disk_fill_one_cache(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each has a cache folder of its own, and they share only the storage; the merge runs on a fourth."""
    bucket = tmp_path / "bucket"
    given = words("cache", corpus, tmp_path, f"file://{bucket}/many", "--batch-size", "2")
    runs = [
        Run(
            [*given, "--part", f"{part}/3"],
            tmp_path / f"{part}.log",
            {CACHE_VARIABLE: str(tmp_path / f"machine{part}")},
        )
        for part in (1, 2, 3)
    ]
    assert [run.end() for run in runs] == [0, 0, 0], [run.log.read_text(encoding="utf-8") for run in runs]
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "machine4"))
    assert main([*given, "--merge"]) == 0
    assert main(words("cache", corpus, tmp_path, f"file://{bucket}/one", "--batch-size", "2")) == 0
    many, one = (
        {path.relative_to(bucket / name): path.read_bytes() for path in (bucket / name).rglob("*") if path.is_file()}
        for name in ("many", "one")
    )
    assert many == one
    assert len(one) == 3
    assert main([*given, "--merge"]) == 0
