"""`AffectGPT.from_pretrained(...).describe(...)`: equal to `predict`, for files, lists, folders and clips in memory."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
import wave
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from affect_lightning import AffectGPT
from affect_lightning.clip_answers.hub_folders import exported_place
from affect_lightning.command_line.program import main
from affect_lightning.data.decoding import decode_clip
from affect_lightning.errors import CheckpointError, ConfigurationError, DataError
from affect_lightning.model import ModelConfiguration
from answer_cases import PARTS, write_answer_case
from hub_endpoint import COMMIT, HubServer


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An exported network that sees and hears, and clips."""
    return write_answer_case(tmp_path_factory.mktemp("answers"))


@pytest.fixture(scope="module")
def network(place: Path) -> Any:
    return AffectGPT.from_pretrained(str(place / "exported"))


def test_a_folder_is_answered_as_predict_answers_it(place: Path, network: Any, tmp_path: Path) -> None:
    out = tmp_path / "out"
    options = ("--data.predict_video", str(place / "clips"), "--out", str(out), "--trainer.accelerator", "cpu")
    assert main(["predict", "--ckpt_path", str(place / "exported"), *options]) == 0
    lines = (out / "predictions" / "own.jsonl").read_text(encoding="utf-8").splitlines()
    expected = {row["name"]: row for row in map(json.loads, lines)}
    broken, *described = network.describe(place / "clips")
    assert [clip.name for clip in described] == ["one", "two"] == sorted(expected)
    assert broken.name == "broken"
    assert "Invalid data" in broken.problem
    assert str(broken).startswith("broken cannot be")
    for clip in described:
        row = expected[clip.name]
        assert (clip.text, clip.question) == (row["response"], row["question"])
        assert (list(clip.labels), clip.sentiment) == (row["labels"], row["sentiment"])
        assert clip.problem is None
        assert str(clip) == clip.text
    assert len({clip.text for clip in described}) == 2  # else the comparison would say little


def test_a_file_gives_one_answer_with_what_was_seen_and_heard(place: Path, network: Any) -> None:
    clip = network.describe(str(place / "clips" / "one.mp4"), subtitle="Hello!", question="describe", max_new_tokens=2)
    assert (clip.name, clip.subtitle) == ("one", "Hello!")
    assert clip.question == "How does the person feel, and what shows it?"
    assert clip.frames.shape == clip.crops.shape == (3, 32, 32, 3)
    assert clip.frames.dtype == np.uint8
    assert (clip.sample_rate, clip.waveform.shape) == (16_000, (16_000,))
    longer = network.describe(place / "clips" / "one.mp4", subtitle="Hello!", question="describe", max_new_tokens=6)
    assert longer.text.startswith(clip.text)
    assert longer.text != clip.text or not longer.text  # random weights of another version may end at once
    first, second = network.describe([place / "clips" / "two.mkv", place / "clips" / "one.mp4"], subtitle=["a", "b"])
    assert [(first.name, first.subtitle), (second.name, second.subtitle)] == [("two", "a"), ("one", "b")]
    with pytest.raises(DataError, match=r"broken\.mp4"):
        network.describe(place / "clips" / "broken.mp4")


def test_a_clip_in_memory_is_answered_as_its_files_are(place: Path, network: Any) -> None:
    video, sound = place / "clips" / "one.mp4", place / "sound.wav"
    pictures = decode_clip(video, None, frame_count=30, sample_rate=None).frames
    with wave.open(str(sound)) as file:
        waveform = np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(np.float32) / 32768
    held = network.describe(frames=pictures, sound=waveform, sample_rate=44_100, subtitle="Hello!")
    filed = network.describe(video, sound=sound, subtitle="Hello!")
    for name in ("frames", "crops", "waveform"):
        assert np.array_equal(getattr(held, name), getattr(filed, name)), name
    assert (held.text, held.labels, held.sentiment) == (filed.text, filed.labels, filed.sentiment)


GREY, HISS = np.zeros((2, 8, 8, 3), np.uint8), np.zeros(8000, np.float32)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "Give a clip: a path"),
        ({"frames": GREY}, "the network hears sound"),
        ({"sound": HISS, "sample_rate": 8000}, "the network sees pictures"),
        ({"frames": GREY, "sound": HISS}, "together with its `sample_rate`"),
        (
            {"frames": GREY / 255, "sound": HISS, "sample_rate": 8000},
            r"uint8 \[N, H, W, 3\]; got float64 \[2, 8, 8, 3\]",
        ),
        ({"frames": GREY, "sound": HISS + 2, "sample_rate": 8000}, r"mono floats \[S\] in \[-1, 1\]"),
        ({"frames": GREY, "sound": HISS[:9], "sample_rate": 8000}, r"must last 0.025 s or more; got 0.0011 s"),
        ({"frames": GREY, "sound": HISS, "sample_rate": 10}, "`sample_rate` must be 1000 to 768000 Hz; got 10"),
        ({"frames": GREY, "sound": "a.wav"}, "Give `sound` as an array"),
        ({"clips": "a.mp4", "frames": GREY}, "not both"),
        ({"clips": "nowhere.mp4"}, r"nowhere\.mp4 .*is not there"),
        ({"clips": "a.mp4", "question": "nmae"}, "test_question must be one of"),
        ({"clips": "a.mp4", "beams": 4}, "no option beams; it takes max_new_tokens"),
    ],
)
def test_what_does_not_go_together_is_refused(given: dict[str, Any], message: str, network: Any) -> None:
    with pytest.raises((ConfigurationError, DataError), match=message):
        network.describe(**given)


def test_a_network_without_options_asks_for_them(place: Path) -> None:
    bare = AffectGPT.from_configuration(ModelConfiguration.resolve(**PARTS)).eval()
    with pytest.raises(ConfigurationError, match=r"such as reading=\{'frames': 8\}"):
        bare.describe(place / "clips" / "one.mp4")
    reading = {"frames": 2, "crop_size": 16, "face_detector": "none"}
    assert bare.describe(place / "clips" / "one.mp4", reading=reading, max_new_tokens=1).frames.shape == (2, 16, 16, 3)


# --- a hub ---


def fetched(address: str, cache: Path, revision: str | None) -> subprocess.CompletedProcess[str]:
    """What another process finds: huggingface_hub reads the endpoint when it is imported."""
    program = (
        "import sys\n"
        "from affect_lightning.clip_answers.hub_folders import exported_place\n"
        "from affect_lightning.errors import CheckpointError\n"
        "try:\n    print(exported_place('somebody/network', eval(sys.argv[1])))\n"
        "except CheckpointError as error:\n    sys.exit(str(error))\n"
    )
    environment = {**os.environ, "HF_ENDPOINT": address, "HF_HOME": str(cache), "HF_HUB_OFFLINE": "0"}
    command = [sys.executable, "-c", program, repr(revision)]
    return subprocess.run(command, env=environment, capture_output=True, encoding="utf-8", check=False)


def test_a_model_of_a_hub_is_fetched_at_its_revision_and_only_what_is_harmless(place: Path, tmp_path: Path) -> None:
    shared = Path(shutil.copytree(place / "exported", tmp_path / "shared"))
    (shared / "evil.py").write_text("raise SystemExit\n", encoding="utf-8")
    (shared / "adapter" / "adapter_model.bin").write_bytes(b"pickled")
    with HubServer(shared) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            found = fetched(server.address, tmp_path / "cache", COMMIT)
            assert found.returncode == 0, found.stderr
            missing = fetched(server.address, tmp_path / "cache", "v7")
        finally:
            server.shutdown()
    folder = Path(found.stdout.strip().splitlines()[-1])
    assert folder.name == COMMIT
    assert all(COMMIT in path for path in server.asked if "resolve" in path)
    assert not [path for path in folder.rglob("*") if path.suffix in (".py", ".bin")]
    clip = place / "clips" / "one.mp4"
    assert (
        AffectGPT.from_pretrained(folder).describe(clip).text == AffectGPT.from_pretrained(shared).describe(clip).text
    )
    assert missing.returncode == 1
    assert "no folder somebody/network" in missing.stderr
    assert "at the revision v7" in missing.stderr
    assert "Give a branch, tag or commit that somebody/network has" in missing.stderr


def test_a_folder_needs_no_hub_and_has_no_revision(place: Path) -> None:
    assert exported_place(str(place / "exported")) == place / "exported"
    with pytest.raises(CheckpointError, match="Leave revision out"):
        exported_place(place / "exported", "main")
