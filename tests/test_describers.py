"""Describers: a model's answers about clips, from the real classes of transformers, a server, a file, signals, our own."""

from __future__ import annotations

import base64
import io
import json
import wave
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from affect_lightning.contracts import ClipBatch, CueDescriber, StreamInput
from affect_lightning.errors import ConfigurationError, DataError
from affect_lightning.plugin_loading import build_part
from affect_lightning.testing.pipeline_part_checks import clip_batch, picked
from affect_lightning_plugins.asked_models.chat_server import ChatServer
from affect_lightning_plugins.cue_describers.face_motion import measure_face
from affect_lightning_plugins.cue_describers.voice_measures import measure_voice
from chat_model_folders import CHAT_MODELS, save_chat_model
from language_model_server import serving

MODALITIES = {
    "video-llava": "video",
    "llava-next-video": "video",
    "qwen2-audio": "audio",
    "qwen2.5-vl": "video",
    "qwen2.5-omni": "both",
    "qwen3-omni": "both",
}


def describer(name: str, **options: Any) -> CueDescriber:
    return build_part("cue_describers", {"name": name, **options})


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("chat")


# --- hf-chat: the real classes ---


@pytest.mark.parametrize("kind", CHAT_MODELS)
def test_the_real_classes_answer_and_a_clip_has_one_answer_in_any_batch(kind: str, folder: Path) -> None:
    model = save_chat_model(kind, folder / kind)
    part = describer("hf-chat", model=model, max_new_tokens=5, device="cpu")
    assert part.modality == MODALITIES[kind]
    assert set(part.reading) == ({"sample_rate"} if kind == "qwen2-audio" else {"frames", *part.reading})
    batch = clip_batch()
    texts = part.describe(batch)
    assert any(texts)
    assert [part.describe(picked(batch, [index]))[0] for index in range(3)] == texts
    # Question, subtitle and what is seen or heard all count.
    asked = part.describe(replace(batch, questions=["Is the person angry or calm, and why?"] * 3))
    without = part.describe(replace(batch, subtitles=[""] * 3))
    assert asked != texts
    assert (without[0], without[1], without[2]) != (texts[0], texts[1], texts[2])
    assert without[1] == texts[1], "the second clip has no subtitle in either case"
    streams = {
        name: StreamInput(stream.values.flip(0), stream.mask.flip(0), stream.sample_rate)
        for name, stream in batch.streams.items()
    }
    assert part.describe(replace(batch, streams=streams)) != texts


def test_clips_without_sound_or_pictures_are_answered_from_what_is_there(folder: Path) -> None:
    part = describer("hf-chat", model=save_chat_model("qwen2.5-omni", folder / "qwen2.5-omni"), max_new_tokens=4)
    batch = clip_batch()
    sound, frame = batch.streams["audio"], batch.streams["frame"]
    heard, seen = sound.mask.clone(), frame.mask.clone()
    heard[0], heard[1], seen[1] = False, False, False
    streams = {"audio": replace(sound, mask=heard), "frame": replace(frame, mask=seen)}
    texts = part.describe(replace(batch, streams=streams))
    assert texts[1] == "", "nothing to say where nothing is"
    assert texts[2] == part.describe(batch)[2]
    seen_only = describer("hf-chat", model=str(folder / "qwen2.5-omni"), max_new_tokens=4, modality="video")
    assert texts[0] == seen_only.describe(batch)[0]


def test_a_model_that_speaks_as_well_is_loaded_without_that_part(folder: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    model = save_chat_model("qwen2.5-omni", folder / "qwen2.5-omni")
    copy = tmp_path / "speaks"
    copy.mkdir()
    for path in Path(model).iterdir():
        (copy / path.name).write_bytes(path.read_bytes())
    weights = load_file(copy / "model.safetensors")
    save_file({**weights, "talker.head.weight": torch.zeros(3)}, copy / "model.safetensors", {"format": "pt"})
    expected = describer("hf-chat", model=model, max_new_tokens=4).describe(clip_batch())
    assert describer("hf-chat", model=str(copy), max_new_tokens=4).describe(clip_batch()) == expected
    save_file({**weights, "other.weight": torch.zeros(3)}, copy / "model.safetensors", {"format": "pt"})
    with pytest.raises(ConfigurationError, match=r"do not fill .*1 surplus: other\.weight"):
        describer("hf-chat", model=str(copy), max_new_tokens=4).describe(clip_batch())


def test_what_hf_chat_refuses(folder: Path, tmp_path: Path) -> None:
    model = save_chat_model("qwen2.5-vl", folder / "qwen2.5-vl")
    with pytest.raises(ConfigurationError, match="takes video; modality is 'audio'. Set modality: video"):
        describer("hf-chat", model=model, modality="audio")
    with pytest.raises(ConfigurationError, match="needs a pinned revision"):
        describer("hf-chat", model="Qwen/Qwen2.5-VL-7B-Instruct")
    with pytest.raises(ConfigurationError, match="frames and max_new_tokens must be 1 or more; got 0 and 256"):
        describer("hf-chat", model=model, frames=0)
    copy = tmp_path / "silent"
    copy.mkdir()
    for path in Path(model).iterdir():
        if "chat_template" not in path.name:
            (copy / path.name).write_bytes(path.read_bytes())
    settings = json.loads((copy / "tokenizer_config.json").read_text(encoding="utf-8"))
    settings.pop("chat_template", None)
    (copy / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")
    with pytest.raises(ConfigurationError, match="has no chat template. Give one as chat_template"):
        describer("hf-chat", model=str(copy))


def test_another_template_option_or_file_is_another_identity(folder: Path) -> None:
    model = save_chat_model("qwen2-audio", folder / "qwen2-audio")
    first = describer("hf-chat", model=model).identity()
    assert describer("hf-chat", model=model).identity() == first
    assert describer("hf-chat", model=model, device="cpu").identity() == first
    for changed in ({"system": "Be brief."}, {"max_new_tokens": 9}, {"chat_template": "{{ messages }}"}):
        assert describer("hf-chat", model=model, **changed).identity() != first


# --- openai ---


def parts_of(body: dict[str, Any]) -> list[dict[str, Any]]:
    return body["messages"][0]["content"]


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)


def test_a_server_gets_pictures_sound_and_question() -> None:
    import cv2

    batch = clip_batch()
    with serving(lambda prompt, earlier: " An answer. ") as server:
        part = describer("openai", model="m", base_url=server.base_url, frames=4, system="Be brief.")
        assert part.describe(batch) == ["An answer."] * 3
        bodies = {parts_of(body)[-1]["text"]: parts_of(body) for body in server.bodies}
    first = bodies['Be brief.\nSays: "I won!"\nHow does the person feel?']
    assert [part["type"] for part in first] == [*["image_url"] * 4, "input_audio", "text"]
    picture = base64.b64decode(first[0]["image_url"]["url"].removeprefix("data:image/jpeg;base64,"))
    shown = cv2.cvtColor(cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
    frame = batch.streams["frame"].values[0, 0].permute(1, 2, 0).numpy()
    assert np.abs(shown.astype(int) - frame.astype(int)).mean() < 4, "a picture of the clip, in its colours"
    with wave.open(io.BytesIO(base64.b64decode(first[4]["input_audio"]["data"]))) as file:
        assert (file.getframerate(), file.getnframes()) == (16_000, int(batch.streams["audio"].lengths[0]))
        heard = np.frombuffer(file.readframes(file.getnframes()), "<i2") / 32767
    assert np.abs(heard - batch.streams["audio"].values[0][batch.streams["audio"].mask[0]].numpy()).max() < 1e-4


def test_only_what_the_modality_names_is_sent_and_empty_clips_are_not() -> None:
    batch = clip_batch()
    sound = batch.streams["audio"]
    silent = sound.mask.clone()
    silent[1] = False
    with serving(lambda prompt, earlier: "Heard.") as server:
        part = describer("openai", model="m", base_url=server.base_url, modality="audio")
        texts = part.describe(replace(batch, streams={**batch.streams, "audio": replace(sound, mask=silent)}))
        assert texts == ["Heard.", "", "Heard."]
        assert [[one["type"] for one in parts_of(body)] for body in server.bodies] == [["input_audio", "text"]] * 2


def test_no_clip_leaves_this_machine_unasked(monkeypatch: pytest.MonkeyPatch) -> None:
    part = describer("openai", model="m", base_url="https://example.invalid/v1", attempts=1)
    monkeypatch.setattr(ChatServer, "ask_all", lambda server, contents: pytest.fail("a clip was sent"))
    with pytest.raises(
        ConfigurationError, match="Set clips_may_leave: true if you may send these clips to https://exa"
    ):
        part.describe(clip_batch())
    allowed = describer("openai", model="m", base_url="https://example.invalid/v1", clips_may_leave=True)
    sent = [dict.fromkeys(range(3), "sent")]
    monkeypatch.setattr(ChatServer, "ask_all", lambda server, contents: iter(sent))
    assert allowed.describe(clip_batch()) == ["sent"] * 3


# --- import ---


def write(path: Path, text: str) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_texts_come_from_every_file_that_score_takes(tmp_path: Path) -> None:
    table = write(tmp_path / "a.csv", "name,reason\nclip0,Glad.\nclip1,\nclip2,Hurt.\n")
    lines = write(tmp_path / "b.jsonl", "\n".join(json.dumps({"id": f"clip{i}", "notes": f"N{i}"}) for i in range(3)))
    np.savez(tmp_path / "c.npz", name2reason=np.array({f"clip{i}": f"R{i}" for i in range(3)}, dtype=object))
    write(tmp_path / "sets" / "contract.csv", "name,answer\nclip0,a\nclip1,b\nclip2,c\n")
    batch = clip_batch()
    assert describer("import", file=table).describe(batch) == ["Glad.", "", "Hurt."]
    assert describer("import", file=lines, column="notes").describe(batch) == ["N0", "N1", "N2"]
    assert describer("import", file=str(tmp_path / "c.npz")).describe(batch) == ["R0", "R1", "R2"]
    by_set = describer("import", file=str(tmp_path / "sets"), modality="audio")
    assert (by_set.describe(batch), by_set.modality, by_set.streams) == (["a", "b", "c"], "audio", ())


def test_a_clip_without_a_text_is_an_error_or_empty(tmp_path: Path) -> None:
    table = write(tmp_path / "a.csv", "name,reason\nclip0,Glad.\n")
    with pytest.raises(DataError, match=r"a\.csv has no text for the clip 'clip1' of contract. Add it"):
        describer("import", file=table).describe(clip_batch())
    assert describer("import", file=table, absent="empty").describe(clip_batch()) == ["Glad.", "", ""]
    with pytest.raises(ConfigurationError, match="does not exist"):
        describer("import", file=str(tmp_path / "none.csv"))
    with pytest.raises(DataError, match="must have one of contract.npz, "):
        describer("import", file=str(tmp_path)).describe(clip_batch())
    before = describer("import", file=table).identity()
    write(tmp_path / "a.csv", "name,reason\nclip0,Sad.\n")
    assert describer("import", file=table).identity() != before, "another file is another describer"


# --- signal ---


def tone(pitches: list[float], level: float, seconds: float = 2.0, syllables: float = 4.0) -> np.ndarray:
    """A voice-like sound with a gliding pitch, loud and soft in turn."""
    time = np.arange(int(seconds * 16_000)) / 16_000
    pitch = np.interp(time, np.linspace(0, seconds, len(pitches)), pitches)
    wave = sum(np.sin(k * 2 * np.pi * np.cumsum(pitch) / 16_000) / k for k in (1, 2, 3))
    beat = 0.55 + 0.45 * np.sin(2 * np.pi * syllables * time)
    return (10 ** (level / 20) * wave * beat).astype(np.float32)


def test_pitch_loudness_rate_and_pauses_are_measured() -> None:
    flat, rising = measure_voice(tone([120.0, 120.0], -20.0), 16_000), measure_voice(tone([180.0, 320.0], -6.0), 16_000)
    assert flat.pitch == pytest.approx(120.0, rel=0.03)
    assert flat.spread < 1.2
    assert rising.slope > 4
    assert rising.spread > 2
    assert rising.level == pytest.approx(flat.level + 14.0, abs=1.5)
    assert flat.rate == pytest.approx(4.0, abs=0.8)
    slow = measure_voice(tone([120.0, 120.0], -20.0, syllables=1.5), 16_000)
    assert slow.rate < flat.rate
    quiet = np.zeros(16_000, np.float32)
    paused = measure_voice(np.concatenate([tone([120.0, 120.0], -20.0), quiet, tone([120.0, 120.0], -20.0)]), 16_000)
    assert paused.longest_pause == pytest.approx(1.0, abs=0.25)
    assert paused.pauses >= 1
    assert measure_voice(quiet, 16_000).pitch is None
    assert measure_voice(np.zeros(7, np.float32), 16_000).pitch is None


def face(mouth: int = 0, brow: int = 0, shift: int = 0) -> np.ndarray:
    """A drawn face of 96 pixels with textures, its mouth opened, brows raised, or all of it moved."""
    rows, columns = np.mgrid[:96, :96]
    columns = columns - shift
    picture = 120 + 30 * np.sin(columns / 5.0) + 30 * np.cos(rows / 6.0)
    for centre in (30, 66):
        picture[((columns - centre) / 12) ** 2 + ((rows - 28 + brow) / 3) ** 2 < 1] = 20
    picture[((columns - 48) / 14) ** 2 + ((rows - 74) / (3 + mouth)) ** 2 < 1] = 10
    return np.repeat(picture.clip(0, 255).astype(np.uint8)[:, :, None], 3, axis=2)


def test_motion_is_seen_in_the_part_that_moves() -> None:
    still = measure_face(np.stack([face()] * 4))
    assert (still.mouth, still.brows, still.head) == pytest.approx((0.0, 0.0, 0.0), abs=0.05)
    talking = measure_face(np.stack([face(mouth=size) for size in (0, 6, 0, 6)]))
    frowning = measure_face(np.stack([face(brow=size) for size in (0, 5, 0, 5)]))
    nodding = measure_face(np.stack([face(shift=size) for size in (0, 3, 0, 3)]))
    assert talking.mouth > 3 * max(talking.brows, 0.05)
    assert frowning.brows > 3 * max(frowning.mouth, 0.05)
    assert nodding.head > 1.5
    assert max(talking.head, frowning.head) < 0.5


def test_signal_puts_both_into_words_and_announces_what_it_reads() -> None:
    batch = clip_batch()
    loud = torch.from_numpy(np.stack([tone([200.0, 300.0], -6.0, seconds=1.0)] * 3))
    streams = {**batch.streams, "audio": StreamInput.of_sound(loud, torch.tensor([16_000] * 3), 16_000)}
    changed: ClipBatch = replace(batch, streams=streams)
    both, heard, seen = (describer("signal", modality=one) for one in ("both", "audio", "video"))
    assert (both.streams, heard.streams, seen.streams) == (("audio", "face"), ("audio",), ("face",))
    assert heard.describe(changed)[0].startswith("The voice is loud and high; the pitch ")
    assert seen.describe(changed)[0].startswith("The mouth moves ")
    assert both.describe(changed) == [
        " ".join(filter(None, pair)) for pair in zip(heard.describe(changed), seen.describe(changed), strict=True)
    ]
    assert seen.describe(changed)[2] == "", "one frame has no motion"
    assert "face_detector" in both.reading
    assert "face_detector" not in heard.reading
    with pytest.raises(ConfigurationError, match="Motion needs frames: 2 or more; got 1"):
        describer("signal", frames=1)


# --- affectgpt ---


def test_a_model_of_ours_answers_as_its_network_does(tmp_path: Path) -> None:
    from affect_lightning.model import AffectGPT, ModelConfiguration
    from model_cases import TINY_PARTS

    parts = {**TINY_PARTS, "inputs": ["audio", "text"]}
    network = AffectGPT.from_configuration(ModelConfiguration.resolve(**parts)).eval()
    options = {"model": {"max_new_tokens": 5, "temperature": 0.0}, "data": {"frames": 3, "test_question": "name"}}
    network.save_pretrained(tmp_path / "own", options)
    part = describer("affectgpt", folder=str(tmp_path / "own"), device="cpu")
    assert (part.modality, part.streams, part.reading) == ("audio", ("audio",), {"frames": 3})
    assert part.describe(clip_batch()) == network.generate(clip_batch(), max_new_tokens=5, temperature=0.0)
    with pytest.raises(ConfigurationError, match="Give a folder of `affect-lightning export` as folder"):
        describer("affectgpt", folder=str(tmp_path / "none"))
