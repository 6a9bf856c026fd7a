"""Figure 4: every video encoder with every audio encoder and each pre-fusion builds and takes a step, small."""

from __future__ import annotations

import itertools
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from affect_lightning.command_line.program import main
from affect_lightning.command_line.trainer_commands import read_configuration
from affect_lightning.training import AffectGPTModule
from encoder_cases import saved_model
from model_cases import random_batch

REPOSITORY = Path(__file__).resolve().parents[1]
EXPERIMENTS = REPOSITORY / "experiments"
TINY = Path(__file__).parent / "tiny.yaml"
# Short name in the YAML files: plugin and tiny model.
VIDEO = {
    "clip": ("clip-vit-large-patch14", "clip"),
    "eva_clip": ("eva-clip", "eva"),
    "dinov2": ("dinov2-large", "dinov2"),
    "siglip": ("siglip", "siglip"),
}
AUDIO = {
    "hubert": ("chinese-hubert-large", "hubert"),
    "wavlm": ("wavlm-large", "wavlm"),
    "data2vec": ("data2vec-audio-base", "data2vec"),
    "imagebind": ("imagebind", "imagebind"),
    "whisper": ("whisper", "whisper"),  # ours, beside the figure's four
}
FUSIONS = ("none", "attention", "qformer")
COMBINATIONS = list(itertools.product(VIDEO, AUDIO, FUSIONS))
# Words are read one by one, so each choice with each of another kind is enough.
PAIRS = [
    (video, audio, FUSIONS[(first + second) % len(FUSIONS)])
    for (first, video), (second, audio) in itertools.product(enumerate(VIDEO), enumerate(AUDIO))
]


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("figure4")
    for _, kind in (*VIDEO.values(), *AUDIO.values()):
        saved_model(kind, root / kind)
    return {kind: root / kind for _, kind in (*VIDEO.values(), *AUDIO.values())}


def by_yaml(video: str, audio: str, fusion: str, folders: dict[str, Path]) -> list[str]:
    """One file for each choice over the test's small base; only the place of the weights is not in a file."""
    files = (TINY, *(EXPERIMENTS / f"{name}.yaml" for name in (f"figure4_video_{video}", f"figure4_audio_{audio}")))
    words = [word for path in (*files, EXPERIMENTS / f"table5_{fusion}.yaml") for word in ("--config", str(path))]
    words += ["--model.video_encoder.model", str(folders[VIDEO[video][1]])]
    return [*words, "--model.audio_encoder.model", str(folders[AUDIO[audio][1]])]


def by_words(video: str, audio: str, fusion: str, folders: dict[str, Path]) -> list[str]:
    """The same by options of the command line."""
    return [
        *("--config", str(TINY), "--model.pre_fusion", fusion),
        *("--model.video_encoder", VIDEO[video][0], "--model.video_encoder.model", str(folders[VIDEO[video][1]])),
        *("--model.audio_encoder", AUDIO[audio][0], "--model.audio_encoder.model", str(folders[AUDIO[audio][1]])),
    ]


@pytest.mark.parametrize(("video", "audio", "fusion"), COMBINATIONS)
def test_every_combination_builds_and_takes_a_step(
    video: str, audio: str, fusion: str, folders: dict[str, Path]
) -> None:
    values: Any = read_configuration(by_yaml(video, audio, fusion, folders)).model.as_dict()
    assert (values["video_encoder"]["name"], values["audio_encoder"]["name"]) == (VIDEO[video][0], AUDIO[audio][0])

    module = AffectGPTModule(**values)
    module.configure_model()
    network = module.built_network
    frozen = {name: value.clone() for name, value in network.state_dict().items() if "encoder." in name}
    before = {name: value.clone() for name, value in network.trainable_state().items()}
    optimizer = torch.optim.AdamW([value for value in network.parameters() if value.requires_grad], lr=0.01)
    loss = network(random_batch(clips=2, frames=2, samples=40_000))
    loss.backward()
    optimizer.step()
    assert math.isfinite(float(loss.detach()))
    after = network.trainable_state()
    moved = {name for name, value in before.items() if not torch.equal(value, after[name])}
    wanted = {"audio", "face"} | ({"multi"} if fusion != "none" else set())
    assert {f"projectors.{stream}.weight" for stream in wanted} <= moved
    assert set(network.projectors) == wanted
    assert any(name.startswith("language_model.") for name in moved)
    assert any(name.startswith("pre_fusion.") for name in moved) == (fusion != "none")
    assert frozen
    afterwards = network.state_dict()
    assert all(torch.equal(value, afterwards[name]) for name, value in frozen.items())


@pytest.mark.parametrize(("video", "audio", "fusion"), PAIRS)
def test_the_command_line_says_what_the_files_say(
    video: str, audio: str, fusion: str, folders: dict[str, Path]
) -> None:
    ways = [read_configuration(make(video, audio, fusion, folders)).model for make in (by_yaml, by_words)]
    assert ways[0].as_dict() == ways[1].as_dict()


def fit_words(words: list[str], corpus: Path, out: Path) -> list[str]:
    return [
        *words,
        *("--data.train_root", str(corpus), "--data.benchmark_root", str(corpus), "--trainer.max_steps", "1"),
        *("--trainer.logger.init_args.save_dir", str(out), "--data.cache_folder", str(out / "boxes")),
    ]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("video", "audio", "fusion"),
    [("clip", "hubert", "attention"), ("eva_clip", "whisper", "none"), ("dinov2", "data2vec", "qformer")],
)
def test_fit_by_yaml_and_by_command_line(
    video: str, audio: str, fusion: str, folders: dict[str, Path], corpus: Path, tmp_path: Path
) -> None:
    for way, make in (("yaml", by_yaml), ("words", by_words)):
        out = tmp_path / way
        assert main(["fit", *fit_words(make(video, audio, fusion, folders), corpus, out)]) == 0
        assert list(out.rglob("last.ckpt"))


@pytest.mark.slow
def test_fit_as_a_user_starts_it(folders: dict[str, Path], corpus: Path, tmp_path: Path) -> None:
    for way, make in (("yaml", by_yaml), ("words", by_words)):
        words = fit_words(make("siglip", "wavlm", "qformer", folders), corpus, tmp_path / way)
        program = [sys.executable, "-m", "affect_lightning", "fit", *words]
        done = subprocess.run(program, capture_output=True, text=True, check=False, cwd=REPOSITORY, encoding="utf-8")
        assert done.returncode == 0, done.stderr
        assert list((tmp_path / way).rglob("last.ckpt"))
