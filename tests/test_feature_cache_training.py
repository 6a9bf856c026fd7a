"""`affect-lightning cache`, and fit and test from what it kept: the same losses without encoders."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from affect_lightning.command_line import cache_encoding
from affect_lightning.command_line.program import main
from affect_lightning.errors import ContractError
from affect_lightning.feature_cache.cached_features import open_cached_features
from affect_lightning.model import encoding
from affect_lightning.model.affectgpt import AffectGPT
from affect_lightning.model.configuration import ModelConfiguration
from feature_cache_cases import NAMES, all_entries, words, write_corpus
from model_cases import TINY_PARTS, random_batch

CACHED = ("--data.features", "cached")


@pytest.fixture(scope="module")
def small_corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_corpus(tmp_path_factory.mktemp("corpus"))


@pytest.fixture(scope="module")
def cached(small_corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a cache of all splits in both precisions."""
    out = tmp_path_factory.mktemp("cached")
    for precision in ("bf16", "fp32"):
        more = ("--data.feature_precision", precision, "--split", "train", "validation", "test", "--batch-size", "4")
        assert main(["cache", *words(small_corpus, out, *more)]) == 0
    return out


def result_of(capsys: pytest.CaptureFixture[str], command: list[str]) -> dict[str, Any]:
    capsys.readouterr()
    assert main([*command, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def losses_of(corpus: Path, out: Path, version: str, *more: str) -> list[float]:
    """Losses of the steps of a run."""
    run = ("--trainer.logger.init_args.version", version, *more)
    assert main(["fit", *words(corpus, out, *run)]) == 0
    events = EventAccumulator(str(out / "runs" / "tiny" / version))
    events.Reload()
    return [item.value for item in events.Scalars("train/loss")]


@pytest.fixture
def no_encoders(monkeypatch: pytest.MonkeyPatch) -> None:
    """Building any encoder, and decoding anything, fails."""

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("an encoder was built or a clip was decoded")

    build = encoding.build_part
    monkeypatch.setattr(
        encoding,
        "build_part",
        lambda group, *rest, **more: refuse() if "encoder" in group else build(group, *rest, **more),
    )
    monkeypatch.setattr("affect_lightning.data.dataset.decode_files", refuse)
    monkeypatch.setattr("affect_lightning.data.dataset.read_face_file", refuse)


@pytest.mark.parametrize(
    ("precision", "tolerance", "options"),
    [
        ("fp32", 1e-6, ()),
        ("fp32", 1e-6, ("--model.feature_norm", "standard", "--model.projector_init_scale", "1.0")),
        ("bf16", 1e-3, ()),
        ("bf16", 1e-3, ("--model.feature_norm", "standard")),
    ],
)
def test_losses_are_those_of_training_without_a_cache(
    precision: str,
    tolerance: float,
    options: tuple[str, ...],
    small_corpus: Path,
    cached: Path,
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> None:
    # A rate at which the four steps move the losses, dropout included.
    moving = ("--model.learning_rate", "0.01", *options)
    live = losses_of(small_corpus, tmp_path, "live", *moving)
    request.getfixturevalue("no_encoders")
    features = ("--data.feature_folder", str(cached / "features"), "--data.feature_precision", precision)
    from_cache = losses_of(small_corpus, tmp_path, "cached", *moving, *CACHED, *features)
    assert len(live) == 4
    assert len(set(live)) == 4
    assert from_cache == pytest.approx(live, abs=tolerance)
    states = [
        torch.load(tmp_path / "runs" / "tiny" / run / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
        for run in ("live", "cached")
    ]
    # The weights themselves may part where a gradient is all but zero: Adam's step only knows its sign.
    assert {name: value.shape for name, value in states[0].items()} == {
        name: value.shape for name, value in states[1].items()
    }
    scaling = [name for name in states[1] if name.startswith("network.feature_scaling")]
    assert len(scaling) == (6 if "standard" in options else 0)
    # Sums of squares are left out: these clips are so alike that rounding to bf16 shows in them.
    means = [name for name in scaling if not name.endswith(".squares")]
    assert all(torch.allclose(states[0][name], states[1][name], rtol=1e-2, atol=tolerance) for name in means)


def test_testing_from_the_cache_gives_the_same_responses(
    small_corpus: Path, cached: Path, tmp_path: Path, request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]
) -> None:
    features = ("--data.feature_folder", str(cached / "features"), "--data.feature_precision", "fp32")
    folders = {name: tmp_path / name for name in ("live", "cached")}
    result_of(capsys, ["test", *words(small_corpus, tmp_path, "--benchmark.out", str(folders["live"]))])
    request.getfixturevalue("no_encoders")
    result_of(
        capsys, ["test", *words(small_corpus, tmp_path, "--benchmark.out", str(folders["cached"]), *features, *CACHED)]
    )
    responses = [(folder / "predictions" / "mer2024.jsonl").read_text(encoding="utf-8") for folder in folders.values()]
    assert responses[0] == responses[1]
    assert len(responses[0].splitlines()) == 2


def test_the_command_resumes_and_adds_nothing_twice(
    small_corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["cache", *words(small_corpus, tmp_path), "--batch-size", "3"]
    first = result_of(capsys, [*command, "--data.limit_train_clips", "4"])
    assert (first["clips"], first["encoded"], first["already_there"]) == (4, 4, 0)
    assert first["streams"] == {"audio": 16, "face": 24}
    assert first["precision"] == "bf16"
    second = result_of(capsys, [*command, "--split", "train", "test"])
    assert second["folder"] == first["folder"]
    assert (second["clips"], second["encoded"], second["already_there"]) == (9, 5, 4)
    third = result_of(capsys, [*command, "--split", "train", "test"])
    assert (third["encoded"], third["bytes"]) == (0, second["bytes"])
    entries = all_entries(Path(first["folder"]))
    assert all(len(found) == 1 for found in entries.values())
    assert {name for _, name in entries} == {*NAMES, "test_1", "test_2"}
    features = open_cached_features(first["folder"]).read(0).features
    assert {name: list(tokens.shape) for name, (tokens, _) in features.items()} == {"audio": [8, 16], "face": [2, 24]}


def test_two_processes_write_what_one_writes(
    small_corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    threads = torch.get_num_threads()
    torch.set_num_threads(2)  # shared by the two; one alone must not round otherwise
    try:
        two = ["cache", *words(small_corpus, tmp_path / "two"), "--batch-size", "2", "--devices", "2"]
        result = result_of(capsys, two)
        torch.set_num_threads(1)
        one = result_of(capsys, ["cache", *words(small_corpus, tmp_path / "one"), "--batch-size", "2"])
    finally:
        torch.set_num_threads(threads)
    assert result["encoded"] == one["encoded"] == 7
    assert all_entries(Path(result["folder"])) == all_entries(Path(one["folder"]))
    assert len(list(Path(result["folder"]).glob("shard-*.jsonl"))) == 2


def test_a_process_without_its_parent_writes_nothing(small_corpus: Path, tmp_path: Path, monkeypatch: Any) -> None:
    result: list[object] = []
    monkeypatch.setattr(cache_encoding.os, "getppid", lambda: 1)
    encode = cache_encoding.encode

    def as_orphan(job: Any, encoders: Any) -> Any:
        result.append(job)
        yield from encode(cache_encoding.replace(job, parent=os.getpid()), encoders)

    monkeypatch.setattr("affect_lightning.command_line.cache_filling.encode", as_orphan)
    assert main(["cache", *words(small_corpus, tmp_path)]) == 0
    (folder,) = (tmp_path / "features").iterdir()
    assert result
    assert not all_entries(folder)


@pytest.fixture
def own_corpus(tmp_path: Path) -> Path:
    return write_corpus(tmp_path / "own")


def test_bad_clips_stay_quarantined(own_corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    broken = own_corpus / "mer-caption-plus" / "video" / "sample_003.mp4"
    broken.write_bytes(broken.read_bytes()[:600])
    result = result_of(capsys, ["cache", *words(own_corpus, tmp_path)])
    assert [(item["name"], item["stage"]) for item in result["quarantined"]] == [("sample_003", "video")]
    run = tmp_path / "runs" / "tiny" / "v0"
    assert len(losses_of(own_corpus, tmp_path, "v0", *CACHED)) == 4
    (line,) = (run / "quarantine.jsonl").read_text(encoding="utf-8").splitlines()
    assert json.loads(line)["name"] == "sample_003"
    assert json.loads(line)["path"] == str(broken)
    # Fixed, it is another file: the cache no longer fits until the command has run.
    shutil.copyfile(own_corpus / "mer-caption-plus" / "video" / "sample_002.mp4", broken)
    assert main(["fit", *words(own_corpus, tmp_path), *CACHED]) == 2
    assert "sample_003: its video file has" in capsys.readouterr().err
    assert result_of(capsys, ["cache", *words(own_corpus, tmp_path)])["encoded"] == 1
    assert main(["fit", *words(own_corpus, tmp_path), *CACHED, "--data.on_bad_clip", "error"]) == 0


def test_too_many_bad_clips_stop_the_command(
    own_corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in NAMES[:3]:
        (own_corpus / "mer-caption-plus" / "audio" / f"{name}.wav").write_bytes(b"")
    assert main(["cache", *words(own_corpus, tmp_path)]) == 2
    assert "max_bad_share = 0.01" in capsys.readouterr().err
    assert main(["cache", *words(own_corpus, tmp_path), "--data.on_bad_clip", "error"]) == 2
    assert main(["cache", *words(own_corpus, tmp_path), "--data.max_bad_share", "0.5"]) == 0


def test_a_moved_set_trains_from_its_cache(own_corpus: Path, tmp_path: Path) -> None:
    assert main(["cache", *words(own_corpus, tmp_path)]) == 0
    own_corpus.rename(tmp_path / "elsewhere")
    assert len(losses_of(tmp_path / "elsewhere", tmp_path, "moved", *CACHED)) == 4


@pytest.mark.parametrize(
    ("command", "more", "message"),
    [
        ("fit", ["--model.video_encoder.width", "32"], "face encoder.width: cached 24, wanted 32"),
        ("fit", ["--data.frames", "3"], "face reading.frame_count: cached 2, wanted 3"),
        ("fit", ["--model.inputs", "[audio,frame,text]"], "it has no stream frame"),
        ("fit", ["--data.features", "often"], "often"),
        ("test", ["--data.test_sets", "[mer2024]", "--data.feature_precision", "fp32"], "cache --split test"),
        ("cache", ["--model.inputs", "[text]"], "need no encoder"),
        ("cache", ["--devices", "0"], "--devices must be at least 1"),
        ("cache", ["--batch-size", "0"], "--batch-size must be at least 1"),
        ("cache", ["--trainer.acelerator", "cpu"], "acelerator"),
        ("cache", ["--data.train_root", "nowhere"], "nowhere"),
    ],
)
def test_mistakes_end_with_code_two_and_one_paragraph(
    command: str, more: list[str], message: str, small_corpus: Path, cached: Path, tmp_path: Path, capsys: Any
) -> None:
    folder = tmp_path / "features"
    shutil.copytree(cached / "features", folder)
    (exact,) = (path for path in folder.iterdir() if "fp32" in path.name)
    for path in exact.glob("shard-*"):  # the cache in 32 bits lacks all clips
        path.unlink()
    options = words(small_corpus, tmp_path) + ([*CACHED] if command != "cache" else [])
    assert main([command, *options, *more]) == 2
    errors = [line for line in capsys.readouterr().err.splitlines() if line.startswith("affect-lightning: error:")]
    assert len(errors) == 1
    assert message in errors[0]


def test_fewer_streams_are_served_too(small_corpus: Path, cached: Path, tmp_path: Path, no_encoders: None) -> None:
    features = ("--data.feature_folder", str(cached / "features"), *CACHED)
    assert losses_of(small_corpus, tmp_path, "heard", *features, "--model.inputs", "[audio,text]")
    assert losses_of(small_corpus, tmp_path, "read", *features, "--model.inputs", "[text]")


def test_predict_is_always_live(small_corpus: Path, cached: Path, tmp_path: Path) -> None:
    clip = small_corpus / "mer-caption-plus" / "video" / "sample_000.mp4"
    sound = small_corpus / "mer-caption-plus" / "audio" / "sample_000.wav"
    more = ("--data.predict_video", str(clip), "--data.predict_audio", str(sound), *CACHED)
    assert main(["predict", *words(small_corpus, tmp_path, *more, "--trainer.logger.init_args.version", "p")]) == 0
    assert len(list((tmp_path / "runs" / "tiny" / "p" / "predict").glob("*/predictions/own.jsonl"))) == 1


# --- the network ---


def test_features_in_the_batch_replace_the_encoders() -> None:
    configuration = ModelConfiguration.resolve(**TINY_PARTS)
    torch.manual_seed(0)
    whole = AffectGPT.from_configuration(configuration).eval()
    torch.manual_seed(0)
    bare = AffectGPT.from_configuration(configuration, whole.feature_widths).eval()
    assert not bare.encoders
    state, bare_state = whole.trainable_state(), bare.trainable_state()
    assert list(state) == list(bare_state)
    assert all(torch.equal(state[name], bare_state[name]) for name in state)
    batch = random_batch()
    features = whole.encode(batch)
    media_free = random_batch()
    media_free.streams = {}
    media_free.features = features
    assert torch.equal(bare(media_free), whole(batch))
    with pytest.raises(ContractError, match="built for cached features, without the encoder"):
        bare(batch)
    media_free.features = {"audio": features["audio"]}
    with pytest.raises(
        ContractError, match=r"needs features of the stream 'face' .* the batch has streams \['audio'\]"
    ):
        bare(media_free)
    with pytest.raises(ContractError, match=r"features\['audio'\] has 4 entries for 2 clips"):
        type(batch)(batch.records[:2], [""] * 2, [""] * 2, [""] * 2, features={"audio": features["audio"]})


def test_batches_move_with_their_features() -> None:
    batch = random_batch()
    configuration = ModelConfiguration.resolve(**TINY_PARTS)
    batch.features = AffectGPT.from_configuration(configuration).encode(batch)
    moved = batch.to("meta")
    assert moved.features is not None
    assert {stream.tokens.device.type for stream in moved.features.values()} == {"meta"}
    assert {stream.mask.device.type for stream in moved.features.values()} == {"meta"}


@pytest.mark.parametrize("compression", ["mean", "attention", {"name": "qformer", "num_layers": 1}])
def test_features_in_32_bits_pass_through_mixed_arithmetic(compression: Any) -> None:
    """Cached features are handed over in 32 bits whatever the arithmetic is."""
    configuration = ModelConfiguration.resolve(**{**TINY_PARTS, "branch_compression": compression})
    network = AffectGPT.from_configuration(configuration).eval()
    batch = random_batch()
    batch.features = network.encode(batch)
    exact = network(batch)
    with torch.autocast("cpu", torch.bfloat16):
        assert network(batch).item() == pytest.approx(exact.item(), abs=0.05)
