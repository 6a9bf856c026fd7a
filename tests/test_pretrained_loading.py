"""Weights of pretrained encoders: wholly or not at all, at a pinned revision, or none; and training behind them."""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.fabric.utilities.warnings import PossibleUserWarning
from safetensors.torch import load, save_file

from affect_lightning.command_line.program import main
from affect_lightning.errors import ConfigurationError
from affect_lightning.feature_cache.identity import differences, stream_identity
from affect_lightning.model import AffectGPT
from affect_lightning.model.configuration import ModelConfiguration
from affect_lightning.model.encoding import weights_digest
from affect_lightning.plugin_loading import build_part
from affect_lightning.training import AffectGPTModule
from encoder_cases import saved_model
from model_cases import TINY_PARTS, perturb, random_batch

GROUPS = {
    "clip": ("video_encoders", "clip-vit-large-patch14"),
    "siglip": ("video_encoders", "siglip"),
    "dinov2": ("video_encoders", "dinov2-large"),
    "eva": ("video_encoders", "eva-clip"),
    "vit": ("video_encoders", "hf-image"),
    "hubert": ("audio_encoders", "chinese-hubert-large"),
    "wavlm": ("audio_encoders", "wavlm-large"),
    "data2vec": ("audio_encoders", "data2vec-audio-base"),
    "wav2vec2": ("audio_encoders", "wav2vec2"),
    "unispeech": ("audio_encoders", "hf-audio"),
    "whisper": ("audio_encoders", "whisper"),
}
PICTURES = {"image_mean": [0.5] * 3, "image_std": [0.5] * 3, "size": {"height": 32, "width": 32}}


def saved_choice(kind: str, folder: Path) -> tuple[str, dict[str, Any]]:
    """The group and the choice of a plugin whose tiny model is saved in the folder."""
    group, name = GROUPS[kind]
    saved_model(kind, folder, PICTURES if group == "video_encoders" else None)
    short = {"window_seconds": 0.25} if group == "audio_encoders" else {}
    return group, {"name": name, "model": str(folder), **short}


@pytest.mark.parametrize("kind", GROUPS)
def test_a_partial_load_lists_the_keys(kind: str, tmp_path: Path) -> None:
    group, choice = saved_choice(kind, tmp_path)
    file = tmp_path / "model.safetensors"
    good = load(file.read_bytes())  # not mapped: the file is written over
    # A weight of the second layer of the encoder itself, not of a tower or decoder that is left out. Its name on disk
    # may differ from the one in the class, so the message is asked for the layer only.
    layer = r"(layers?|blocks)\.1\."
    name = next(
        key for key in sorted(good, reverse=True) if re.search(layer, key) and not re.search("text|decoder", key)
    )
    cases = {
        f"1 missing: [^ ]*{layer}": {key: value for key, value in good.items() if key != name},
        r"1 surplus: stranger\.weight": {**good, "stranger.weight": torch.zeros(2)},
        f"1 of another shape: [^ ]*{layer}": {**good, name: torch.zeros(3, 3)},
    }
    for message, stored in cases.items():
        save_file(stored, file, metadata={"format": "pt"})
        with pytest.raises(ConfigurationError, match=message) as caught:
            build_part(group, choice)
        assert "do not fill" in str(caught.value)
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(ConfigurationError, match="cannot be read|is not a safetensors"):
        build_part(group, choice)
    file.unlink()
    with pytest.raises(ConfigurationError, match="cannot be read|has no weights"):
        build_part(group, choice)


@pytest.mark.parametrize("kind", GROUPS)
def test_places_that_do_not_exist(kind: str, tmp_path: Path) -> None:
    group, name = GROUPS[kind]
    for model, message in (
        (str(tmp_path / "nowhere"), "The model folder '.*nowhere' does not exist"),
        ("somebody/some-model", r"hub name 'somebody/some-model' needs a pinned revision.*Give `revision: COMMIT`"),
    ):
        with pytest.raises(ConfigurationError, match=message):
            build_part(group, {"name": name, "model": model})
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigurationError, match="no config.json"):
        build_part(group, {"name": name, "model": str(tmp_path / "empty")})
    with pytest.raises(ConfigurationError, match="Remove `revision: main`: it chooses a version of a hub name"):
        build_part(group, {"name": name, "model": str(tmp_path / "empty"), "revision": "main"})


def test_an_unreachable_hub_names_the_remedy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    for group, name in (("video_encoders", "clip-vit-large-patch14"), ("audio_encoders", "chinese-hubert-large")):
        with pytest.raises(ConfigurationError, match="cannot be read: .*Give a folder with config.json and weights"):
            build_part(group, name)


def test_code_of_a_model_is_never_run(tmp_path: Path) -> None:
    group, choice = saved_choice("vit", tmp_path)
    settings = (tmp_path / "config.json").read_text(encoding="utf-8")
    trap = '{"auto_map": {"AutoConfig": "trap.Config", "AutoModel": "trap.Model"},'
    (tmp_path / "config.json").write_text(settings.replace("{", trap, 1), encoding="utf-8")
    (tmp_path / "trap.py").write_text(f"open({str(tmp_path / 'sprung')!r}, 'w')", encoding="utf-8")
    build_part(group, choice)
    assert not (tmp_path / "sprung").exists()


# Width and parameters at the published sizes. Parameters: model cards and papers (CLIP 304M, SigLIP 428M, DINOv2 304M,
# EVA-CLIP-g 1.01B, HuBERT-Large 316M, WavLM-Large 316M, data2vec base 93M, wav2vec 2.0 base 95M, Whisper encoder 637M).
PUBLISHED = {
    "clip-vit-large-patch14": (768, 304e6),
    "siglip": (1152, 428e6),
    "dinov2-large": (1024, 304e6),
    "eva-clip": (1024, 1.01e9),
    "chinese-hubert-large": (1024, 316e6),
    "hubert-large": (1024, 316e6),
    "wavlm-large": (1024, 316e6),
    "data2vec-audio-base": (768, 93e6),
    "wav2vec2": (768, 95e6),
    "whisper": (1280, 637e6),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_sizes_on_the_meta_device(name: str) -> None:
    group = next((group for group, known in GROUPS.values() if known == name), "audio_encoders")
    with torch.device("meta"):
        encoder = build_part(group, name)
    width, parameters = PUBLISHED[name]
    assert encoder.feature_width == width
    assert sum(value.numel() for value in encoder.parameters()) == pytest.approx(parameters, rel=0.01)
    assert {value.device.type for value in encoder.parameters()} == {"meta"}
    assert "architecture only" in encoder.source


@pytest.mark.parametrize("kind", GROUPS)
def test_folders_on_the_meta_device_and_with_random_weights(kind: str, tmp_path: Path) -> None:
    group, choice = saved_choice(kind, tmp_path)
    (tmp_path / "model.safetensors").unlink()  # neither way reads weights
    with torch.device("meta"):
        empty = build_part(group, choice)
    assert all(value.is_meta for value in empty.parameters())
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    first, again = (build_part(group, {**choice, "weights": "random"}) for _ in range(2))
    assert torch.rand(1) == expected, "the global random state has moved"
    other = build_part(group, {**choice, "weights": "random", "seed": 1})
    assert weights_digest(first) == weights_digest(again) != weights_digest(other)
    assert first.feature_width == empty.feature_width


@pytest.mark.parametrize("kind", GROUPS)
def test_training_behind_the_encoder(kind: str, tmp_path: Path) -> None:
    """Forward, backward and two steps of fit: the projector learns, the encoder stays as it was."""
    from lightning.pytorch import Trainer

    group, choice = saved_choice(kind, tmp_path)
    part = "video_encoder" if group == "video_encoders" else "audio_encoder"
    parts = {**TINY_PARTS, part: choice}
    model = AffectGPT.from_configuration(ModelConfiguration.resolve(**parts))
    perturb(model)
    model(random_batch()).backward()
    encoder = model.encoders[part]
    assert not [value for value in encoder.parameters() if value.requires_grad or value.grad is not None]
    stream = "face" if part == "video_encoder" else "audio"
    assert all(value.grad is not None and value.grad.any() for value in model.projectors[stream].parameters())
    module = AffectGPTModule(**parts, learning_rate=1e-2, warmup_steps=1, total_steps=2)
    loader = torch.utils.data.DataLoader([random_batch(2, seed=seed) for seed in range(2)], batch_size=None)
    trainer = Trainer(
        accelerator="cpu",
        max_steps=2,
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
        default_root_dir=tmp_path,
    )
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=PossibleUserWarning)
        warnings.filterwarnings("ignore", message=r".*isinstance\(treespec, LeafSpec\).*", category=FutureWarning)
        trainer.fit(module, loader)
    assert trainer.global_step == 2
    assert weights_digest(module.network.encoders[part]) == weights_digest(encoder)


def test_the_program_fits_with_figure_4s_encoders(corpus: Path, tmp_path: Path) -> None:
    _, seeing = saved_choice("clip", tmp_path / "clip")
    _, hearing = saved_choice("hubert", tmp_path / "hubert")
    words = ["fit", "--config", str(Path(__file__).parent / "tiny.yaml"), "--trainer.max_steps", "2"]
    words += ["--data.train_root", str(corpus), "--data.benchmark_root", str(corpus)]
    words += ["--data.cache_folder", str(tmp_path / "boxes"), "--trainer.logger.init_args.save_dir", str(tmp_path)]
    words += ["--model.video_encoder", seeing["name"], "--model.video_encoder.model", seeing["model"]]
    words += ["--model.video_encoder.features", "patches", "--model.audio_encoder", hearing["name"]]
    words += ["--model.audio_encoder.model", hearing["model"], "--model.audio_encoder.window_seconds", "0.25"]
    assert main(words) == 0
    checkpoint = torch.load(next(tmp_path.rglob("last.ckpt")), weights_only=True)
    stored = checkpoint["hyper_parameters"]
    assert stored["video_encoder"]["features"] == "patches"
    assert stored["audio_encoder"]["last_layers"] == 4
    assert not [key for key in checkpoint["state_dict"] if "encoder" in key]


OPTIONS = {
    "clip": [{"features": "patches"}, {"image_size": 48}, {"weights": "random"}],
    "hubert": [{"windows": 4}, {"window_seconds": 0.5}, {"last_layers": 2}, {"span": "clip"}, {"features": "frames"}],
}


@pytest.mark.parametrize("kind", OPTIONS)
def test_cached_features_belong_to_all_options_and_to_the_files(kind: str, tmp_path: Path) -> None:
    group, choice = saved_choice(kind, tmp_path / "model")
    stream = "face" if group == "video_encoders" else "audio"
    cached = stream_identity(stream, choice, {}, None)
    assert differences(cached, stream_identity(stream, choice, {}, None)) == []
    for changed in [*OPTIONS[kind], {"model": "somebody/else"}, {"revision": "abc"}]:
        found = differences(cached, stream_identity(stream, {**choice, **changed}, {}, None))
        assert [line for line in found if next(iter(changed)) in line], changed
    (tmp_path / "model" / "preprocessor_config.json").write_text('{"do_normalize": false}', encoding="utf-8")
    assert "content" in differences(cached, stream_identity(stream, choice, {}, None))[0]
