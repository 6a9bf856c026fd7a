"""Options that read, ask and train as the authors' released code does, which no array of theirs covers.

Those with arrays: test_oracle.py and test_oracle_encoders.py. The list of differences: docs/released.md.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from affect_lightning.contracts import ClipRecord
from affect_lightning.data import ClipDataModule
from affect_lightning.data.box_cache import BoxCache
from affect_lightning.data.dataset import ClipDataset, ReadingOptions
from affect_lightning.data.decoding import DecodedClip, decode_clip
from affect_lightning.data.faces import FaceCropper, read_face_file, resize, squashed
from affect_lightning.data.ordering import SampleKey
from affect_lightning.data.questions import QuestionDraw
from affect_lightning.errors import ConfigurationError
from affect_lightning.model import AffectGPT, ModelConfiguration
from affect_lightning.model.prompt_tokens import prompt_ids
from affect_lightning.plugin_loading import build_part
from affect_lightning.prompting import PromptStyle, assemble_plain_prompt, placeholder
from affect_lightning.training.optimisation import learning_rate_factor
from clip_making import grey_at, write_clip
from face_cases import ScriptedDetector
from model_cases import TINY_PARTS, random_batch
from oracle_options import NETWORK_BACK, PROMPT_BACK, RELEASED, RELEASED_SPEECH, SEEN, SPEECH_BACK, UNSEEN

REPOSITORY = Path(__file__).resolve().parents[1]


@pytest.fixture
def coloured(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every clip that a data set reads shows coloured noise."""
    frames = np.random.default_rng(0).integers(0, 255, (4, 48, 64, 3), np.uint8)
    clip = DecodedClip(frames, np.ones(4, bool), np.arange(4.0))
    monkeypatch.setattr("affect_lightning.data.dataset.decode_files", lambda *_, **__: clip)


def read(**options: Any) -> Any:
    """The sample of one clip; without a detector its face crops are its whole frames."""
    path = Path("a.mp4")
    reading = ReadingOptions(frozenset({"face", "frame"}), frame_count=4, crop_size=16, **options)
    cropper = FaceCropper(build_part("face_detectors", "none"), 16)
    record = ClipRecord("a", "made", video=path, labels=("happy",))
    return ClipDataset([record], reading, QuestionDraw(), cropper)[SampleKey(0)]


def test_first_frames_of_equal_parts(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.mp4")
    clip = decode_clip(path, None, frame_count=8, sample_rate=None, frame_choice="first")
    frames = round(2.0 * 25)
    assert np.allclose(clip.frame_times, [index * frames // 8 / 25 for index in range(8)], atol=1e-6)
    shown = clip.frames[:, clip.frames.shape[1] * 3 // 4, clip.frames.shape[2] // 2].mean(axis=-1)
    assert np.allclose(shown, [grey_at(time) for time in clip.frame_times], atol=3)


def test_a_short_clip_repeats_its_last_frame_unmasked(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.mp4", [0, 100, 200])
    clip = decode_clip(path, None, frame_count=5, sample_rate=None, frame_choice="first")
    assert clip.frame_mask.all()
    assert np.allclose(clip.frame_times, [0.0, 0.1, 0.2, 0.2, 0.2], atol=0.02)
    assert (clip.frames[2] == clip.frames[4]).all()
    assert (clip.frames[1] != clip.frames[2]).any()
    assert decode_clip(path, None, frame_count=5, sample_rate=None).frame_mask.sum() == 3


def test_released_crops_are_chosen_alike(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.arange(16, dtype=np.uint8)[:, None, None, None] * np.ones((1, 8, 8, 3), np.uint8))
    crops = read_face_file(tmp_path / "a.npy", 4, 8, "first")
    assert crops.pictures[:, 0, 0, 0].tolist() == [0, 4, 8, 12]
    more = read_face_file(tmp_path / "a.npy", 18, 8, "first")
    assert more.mask.all()
    assert more.pictures[-3:, 0, 0, 0].tolist() == [15, 15, 15]


def test_kept_boxes_belong_to_one_choice_of_frames(tmp_path: Path) -> None:
    frames, mask = np.zeros((2, 40, 40, 3), np.uint8), np.ones(2, bool)
    source = write_clip(tmp_path / "a.mp4")
    detector = ScriptedDetector([[], []])
    for calls, choice in ((1, "middle"), (2, "first"), (2, "first"), (2, "middle")):
        FaceCropper(detector, 16, BoxCache(tmp_path / "boxes"), frame_choice=choice).crop(frames, mask, source)
        assert detector.calls == calls


@pytest.mark.usefixtures("coloured")
def test_own_crops_in_blue_green_red() -> None:
    rgb, bgr = (read(face_channels=channels).streams for channels in ("rgb", "bgr"))
    assert (bgr["face"].values != rgb["face"].values).any()
    assert (bgr["face"].values == rgb["face"].values[..., ::-1]).all()
    assert (bgr["frame"].values == rgb["frame"].values).all()


@pytest.mark.usefixtures("coloured")
def test_whole_frames_scaled_as_a_decoder_does() -> None:
    area, decoder = (read(frame_scaling=way).streams["frame"] for way in ("area", "decoder"))
    assert decoder.values.shape == area.values.shape == (4, 16, 16, 3)
    assert (decoder.values != area.values).any()
    stripes = np.tile(np.arange(64, dtype=np.uint8)[None, :, None] * 4, (32, 1, 3))
    for scale in (squashed, resize):
        ramp = scale(stripes, 16)[8, 2:-2, 0].astype(int)
        assert np.allclose(np.diff(ramp), 16, atol=2), "the whole width must be there"


def test_a_clip_without_words_is_neutral() -> None:
    record = ClipRecord("a", "made", description="reasons")
    ours, released = QuestionDraw(0.5), QuestionDraw(0.5, no_words="neutral")
    assert {ours.ask(record, epoch, 0)[1] for epoch in range(40)} == {"reasons"}
    assert {released.ask(record, epoch, 0)[1] for epoch in range(40)} == {"reasons", "The person feels neutral."}
    named = ClipRecord("a", "made", labels=("sad",), description="reasons")
    assert [ours.ask(named, epoch, 0) for epoch in range(9)] == [released.ask(named, epoch, 0) for epoch in range(9)]
    assert "positive" in released.ask(ClipRecord("a", "made", sentiment=1.0), 0, 0)[1]


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("frame_choice", "last", "frame_choice must be middle or first; got 'last'"),
        ("frame_scaling", "cubic", "frame_scaling must be area or decoder; got 'cubic'"),
        ("face_channels", "gray", "face_channels must be rgb or bgr; got 'gray'"),
        ("no_words", "skip", "no_words must be describe or neutral; got 'skip'"),
    ],
)
def test_unknown_values_are_refused(option: str, value: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        ClipDataModule(**{option: value})


def test_options_of_reading_reach_the_reader() -> None:
    module = ClipDataModule(
        frame_choice="first", frame_scaling="decoder", face_channels="bgr", no_words="neutral", frames=5
    )
    found = module.options
    assert (found.frame_choice, found.frame_scaling, found.face_channels) == ("first", "decoder", "bgr")
    assert (found.frame_count, module.training_questions.no_words) == (5, "neutral")


def network(**options: Any) -> AffectGPT:
    torch.manual_seed(0)
    return AffectGPT.from_configuration(ModelConfiguration.resolve(**{**TINY_PARTS, **options}))


def test_face_and_frame_share_a_branch_and_a_projector() -> None:
    inputs = ["multi", "audio", "face", "frame", "text"]
    shared, apart = network(inputs=inputs, shared_pictures=True), network(inputs=inputs)
    assert {*shared.branches} == {"audio", "face"}
    assert {*shared.projectors} == {"multi", "audio", "face"}
    assert {*apart.projectors} == {"multi", "audio", "face", "frame"}
    features = shared.encode(random_batch())
    features["frame"] = features["face"]
    tokens = shared.eval().project(features)
    assert torch.equal(tokens["face"], tokens["frame"])
    others = apart.eval().project(features)
    assert not torch.equal(others["face"], others["frame"])
    alone = network(inputs=["audio", "frame"], shared_pictures=True)
    assert {*alone.projectors} == {"audio", "frame"}
    shared.train()(random_batch()).backward()
    assert shared.projectors["face"].weight.grad is not None


def test_pictures_of_two_widths_cannot_share() -> None:
    options = {"inputs": ["audio", "face", "frame"], "stream_encoders": {"frame": {"name": "tiny-video", "width": 5}}}
    with pytest.raises(ConfigurationError, match=r"Set `shared_pictures: false`.*'frame' has features of width 5"):
        network(**options, shared_pictures=True)
    assert network(**options).branches["frame"].output_width == 5


def test_plain_prompts() -> None:
    inputs = ["multi", "audio", "face", "text"]
    text = assemble_plain_prompt(inputs, "Well,\n fine.", "How is he?", {"multi": 1, "audio": 2, "face": 0})
    tokens = placeholder(0), placeholder(1) * 2
    assert text == (
        f"###Human: <Multi>{tokens[0]}</Multi> <Audio>{tokens[1]}</Audio> <Subtitle>Well, fine.</Subtitle> How is he? "
        "###Assistant: "
    )
    model = build_part("language_models", "tiny-lm")
    plain = PromptStyle("plain").prompt(model.render_prompt, inputs, "Hi.", "Why?")
    assert "<|im_start|>" not in plain
    assert [sentinel for sentinel in prompt_ids(model, plain) if sentinel < 0] == [-1, -2, -3]
    assert "<|im_start|>" in PromptStyle("chat").prompt(model.render_prompt, inputs, "Hi.", "Why?")


def test_a_response_ends_where_it_was_taught_to(monkeypatch: pytest.MonkeyPatch) -> None:
    model = network(response_end="###")
    said = ["He is glad. ###Human: and", "###", "Sad.", "Calm###"]
    monkeypatch.setattr(type(model.language_model), "generate", lambda *_, **__: list(said))
    assert model.generate(random_batch()) == ["He is glad.", "", "Sad.", "Calm"]
    assert network().generate(random_batch()) == said
    labels = model.assemble(random_batch(), model.encode(random_batch()), learn=True).labels
    learnt = model.language_model.tokenizer.decode([int(label) for label in labels[0] if label >= 0])
    assert "###" in learnt


def test_a_constant_rate_after_the_warm_up() -> None:
    def rate(step: int, warmup: int) -> float:
        return learning_rate_factor(step, warmup_steps=warmup, warmup_factor=0.1, total_steps=None)

    assert [rate(step, 0) for step in (0, 1, 10_000)] == [1.0, 1.0, 1.0]
    assert [round(rate(step, 2), 2) for step in (0, 1, 2, 9)] == [0.1, 0.55, 1.0, 1.0]


def test_the_released_experiment_sets_every_option_of_the_table() -> None:
    """docs/released.md names each option with its value; the experiment has them, and nothing that is not there."""
    given = yaml.safe_load((REPOSITORY / "experiments" / "affectgpt_released.yaml").read_text(encoding="utf-8"))
    page = (REPOSITORY / "docs" / "released.md").read_text(encoding="utf-8")
    own = {**given["model"], **given["data"]}
    encoder = own.pop("audio_encoder")
    assert encoder.pop("name") == "chinese-hubert-large"
    assert "`chinese-hubert-large`" in page
    for option, value in {**own, **encoder}.items():
        shown = f"[{', '.join(value)}]" if isinstance(value, list) else str(value).lower() if value is True else value
        assert f"`{option}: {shown}`" in page, option


def test_every_released_option_is_seen_by_the_arrays_or_is_known_not_to_be() -> None:
    given = yaml.safe_load((REPOSITORY / "experiments" / "affectgpt_released.yaml").read_text(encoding="utf-8"))
    encoder = {name: value for name, value in given["model"].pop("audio_encoder").items() if name != "name"}
    assert {**given["model"], **given["data"], **encoder}.keys() == SEEN | UNSEEN.keys()
    assert not SEEN & UNSEEN.keys()
    assert {name: given["model"][name] for name in RELEASED} == RELEASED
    assert encoder == RELEASED_SPEECH
    defaults = ModelConfiguration.resolve(**{**TINY_PARTS, "audio_encoder": "chinese-hubert-large"}).as_dict()
    defaults |= {name: defaults["audio_encoder"][name] for name in encoder}
    changed = {**{option: value for option, value, _ in (*NETWORK_BACK, *SPEECH_BACK)}, **PROMPT_BACK}
    for option, ours in changed.items():
        default = defaults[option]
        assert (default["name"] if isinstance(default, dict) else default) in (ours, tuple(ours)), option
